//! An outside for tests: a clock that only moves when somebody waits, servers and programs that are
//! functions. For the tests of this crate, and whoever asks for the feature `testing`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::time::Duration;

use aurora_api::api::Response;
use aurora_api::binary;
use thrift_wire::{MessageKind, Method, OutMessage as _, Wire as _};

use crate::real::Tcp;
use crate::world::{Captured, Connection, Interrupted, Node, Program, Sink, Stream, World};

/// The bytes of a message in which a method answers.
pub fn message<M: Method<Output = Response>>(response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    let mut out = binary::Writer::new(&mut body);
    out.message_begin(M::NAME, MessageKind::Reply, 0);
    if let Ok(reply) = M::reply(Ok(response)) {
        reply.write(&mut out);
    }
    out.message_end();
    body
}

/// What a server does with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Answers, and waits for the next request.
    Bytes(Vec<u8>),
    /// Answers and closes the connection.
    Last(Vec<u8>),
}

impl Reply {
    /// An answer in HTTP.
    pub fn http(status: &str, headers: &str, body: &[u8]) -> Reply {
        let length = body.len();
        let mut bytes =
            format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n").into_bytes();
        bytes.extend_from_slice(body);
        Reply::Bytes(bytes)
    }

    /// The connection is closed.
    pub fn nothing() -> Reply {
        Reply::Last(Vec::new())
    }
}

/// A server: the number of the connection, `HOST:PORT`, and the bytes of a request.
pub type Server = Box<dyn FnMut(usize, &str, &[u8]) -> Reply>;

/// Who listens: the time, a host and a port.
pub type Listening = Box<dyn Fn(Duration, &str, u16) -> io::Result<()>>;

/// What a program prints, and how it ends.
pub type Running = Box<dyn FnMut(&Program) -> io::Result<Captured>>;

/// The outside.
pub struct Fake {
    /// What was printed.
    pub out: Vec<u8>,
    /// What was said.
    pub error: Vec<u8>,
    /// The environment.
    pub variables: BTreeMap<String, String>,
    /// The time.
    pub now: Duration,
    /// The user interrupts when it is this late.
    pub patience: Option<Duration>,
    /// What is random.
    pub random: [u8; 16],
    /// ZooKeeper's nodes, by path; without it nobody answers.
    pub zookeeper: Option<Vec<(String, String)>>,
    /// Programs that were run.
    pub programs: Vec<Program>,
    /// What they do.
    pub running: Running,
    /// Who can be connected to: everybody but `nowhere`.
    pub listening: Listening,
    /// Every host is here, in place of the server.
    pub instead: Option<SocketAddr>,
    connections: usize,
    server: Rc<RefCell<Server>>,
}

impl Fake {
    /// With a server behind every address, and nothing else.
    pub fn new(server: impl FnMut(usize, &str, &[u8]) -> Reply + 'static) -> Fake {
        Fake {
            out: Vec::new(),
            error: Vec::new(),
            variables: BTreeMap::new(),
            now: Duration::from_secs(1_795_000_000),
            patience: None,
            random: [7; 16],
            zookeeper: Some(Vec::new()),
            programs: Vec::new(),
            running: Box::new(|_| Ok(Captured::default())),
            listening: Box::new(|_, host, _| match host {
                "nowhere" => Err(io::ErrorKind::ConnectionRefused.into()),
                _ => Ok(()),
            }),
            instead: None,
            connections: 0,
            server: Rc::new(RefCell::new(Box::new(server))),
        }
    }

    /// Connections that were opened.
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// What was said, as text.
    pub fn said(&self) -> String {
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
        self.random
    }

    fn run(&mut self, program: &Program) -> io::Result<u8> {
        self.programs.push(program.clone());
        let Captured { code, output } = (self.running)(program)?;
        self.out.extend(output);
        Ok(code)
    }

    fn capture(&mut self, programs: &[Program], _: usize, done: Sink<'_>) {
        for (position, program) in programs.iter().enumerate() {
            self.programs.push(program.clone());
            done(&mut self.out, position, (self.running)(program));
        }
    }

    fn browse(&mut self, url: &str) -> io::Result<()> {
        self.programs.push(Program::new("browser", [url]));
        Ok(())
    }

    fn connect(&mut self, host: &str, port: u16) -> io::Result<Box<dyn Connection>> {
        (self.listening)(self.now, host, port)?;
        self.connections += 1;
        if let Some(address) = self.instead {
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

    fn nodes(&mut self, _: &str, path: &str) -> io::Result<Vec<Node>> {
        let nodes = self.zookeeper.as_ref().ok_or(io::ErrorKind::ConnectionRefused)?;
        let below = nodes.iter().filter_map(|(place, data)| {
            let name = place.strip_prefix(path)?.strip_prefix('/')?.to_owned();
            Some(Node { name, data: data.clone().into_bytes() })
        });
        Ok(below.collect())
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
    /// Who reads beyond an answer would wait for ever.
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
