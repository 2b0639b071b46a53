//! An outside for tests: a clock that only moves when somebody waits, and servers that are functions.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use crate::real::Tcp;
use crate::world::{Captured, Connection, Interrupted, Node, Program, Sink, Stream, World};

/// What a server does with a request.
pub(crate) enum Reply {
    /// Answers, and waits for the next request.
    Bytes(Vec<u8>),
    /// Answers and closes the connection.
    Last(Vec<u8>),
}

impl Reply {
    /// An answer in HTTP.
    pub(crate) fn http(status: &str, headers: &str, body: &[u8]) -> Reply {
        let length = body.len();
        let mut bytes =
            format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n").into_bytes();
        bytes.extend_from_slice(body);
        Reply::Bytes(bytes)
    }

    /// The connection is closed.
    pub(crate) fn nothing() -> Reply {
        Reply::Last(Vec::new())
    }
}

/// A server: the number of the connection, `HOST:PORT`, and the bytes of a request.
pub(crate) type Server = Box<dyn FnMut(usize, &str, &[u8]) -> Reply>;

/// The outside.
pub(crate) struct Fake {
    pub(crate) out: Vec<u8>,
    pub(crate) error: Vec<u8>,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) now: Duration,
    pub(crate) nodes: Vec<Node>,
    pub(crate) programs: Vec<Program>,
    /// The user interrupts when it is this late.
    pub(crate) patience: Option<Duration>,
    /// Every host is here, in place of the server.
    pub(crate) listening: Option<SocketAddr>,
    connections: usize,
    server: Rc<RefCell<Server>>,
}

impl Fake {
    pub(crate) fn new(server: impl FnMut(usize, &str, &[u8]) -> Reply + 'static) -> Fake {
        Fake {
            out: Vec::new(),
            error: Vec::new(),
            variables: BTreeMap::new(),
            now: Duration::from_secs(1_795_000_000),
            nodes: Vec::new(),
            programs: Vec::new(),
            patience: None,
            listening: None,
            connections: 0,
            server: Rc::new(RefCell::new(Box::new(server))),
        }
    }

    /// Connections that were opened.
    pub(crate) fn connections(&self) -> usize {
        self.connections
    }

    pub(crate) fn error(&self) -> String {
        String::from_utf8_lossy(&self.error).into_owned()
    }
}

impl World for Fake {
    fn stream(&mut self, stream: Stream) -> &mut dyn Write {
        match stream {
            Stream::Out => &mut self.out,
            Stream::Error => &mut self.error,
        }
    }

    fn is_terminal(&self, _: Stream) -> bool {
        false
    }

    fn variable(&self, name: &str) -> Option<String> {
        self.variables.get(name).cloned()
    }

    fn user(&self) -> String {
        "tester".to_owned()
    }

    fn now(&self) -> Duration {
        self.now
    }

    fn offset(&self, _: Duration) -> i32 {
        0
    }

    fn sleep(&mut self, time: Duration) -> Result<(), Interrupted> {
        self.now += time;
        match self.patience.is_some_and(|patience| self.now >= patience) {
            true => Err(Interrupted),
            false => Ok(()),
        }
    }

    fn random(&mut self) -> [u8; 16] {
        [7; 16]
    }

    fn run(&mut self, program: &Program) -> io::Result<u8> {
        self.programs.push(program.clone());
        Ok(0)
    }

    fn capture(&mut self, programs: &[Program], _: usize, done: Sink<'_>) {
        for (position, program) in programs.iter().enumerate() {
            self.programs.push(program.clone());
            done(&mut self.out, position, Ok(Captured::default()));
        }
    }

    fn browse(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn connect(&mut self, host: &str, port: u16) -> io::Result<Box<dyn Connection>> {
        if host == "nowhere" {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        self.connections += 1;
        if let Some(address) = self.listening {
            return Ok(Box::new(Tcp(TcpStream::connect(address)?)));
        }
        Ok(Box::new(Line {
            number: self.connections,
            peer: format!("{host}:{port}"),
            server: self.server.clone(),
            sent: Vec::new(),
            answer: Vec::new(),
            closed: false,
        }))
    }

    fn nodes(&mut self, _: &str, _: &str) -> io::Result<Vec<Node>> {
        Ok(self.nodes.clone())
    }
}

struct Line {
    number: usize,
    peer: String,
    server: Rc<RefCell<Server>>,
    sent: Vec<u8>,
    answer: Vec<u8>,
    closed: bool,
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sent.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Line {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.sent.is_empty() && !self.closed {
            let sent = std::mem::take(&mut self.sent);
            let mut serve = self.server.borrow_mut();
            match (*serve)(self.number, &self.peer, &sent) {
                Reply::Bytes(bytes) => self.answer.extend(bytes),
                Reply::Last(bytes) => {
                    self.answer.extend(bytes);
                    self.closed = true;
                }
            }
        }
        if self.answer.is_empty() && !self.closed {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        // In small pieces, as a network may do it.
        let length = buffer.len().min(self.answer.len()).min(7.max(self.answer.len() / 64));
        for (place, byte) in buffer.iter_mut().zip(self.answer.drain(..length)) {
            *place = byte;
        }
        Ok(length)
    }
}

impl Connection for Line {
    fn is_open(&mut self) -> bool {
        !self.closed
    }
}
