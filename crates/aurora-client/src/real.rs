//! The outside as it is.

use std::io::{self, IsTerminal as _, Read, Write};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use chrono::{Offset as _, TimeZone as _};
use zookeeper_client::{Client, Error as ZooKeeperError};

use crate::commands::login;
use crate::exit::code;
use crate::world::{Captured, Connection, Interrupted, Node, Program, Sink, Stream, World};

/// So long a connection may take to be opened.
const MAX_CONNECT: Duration = Duration::from_secs(20);

/// So long an answer may take to go on.
const MAX_ANSWER: Duration = Duration::from_secs(300);

/// So long ZooKeeper may take.
const MAX_ZOOKEEPER: Duration = Duration::from_secs(10);

/// A captured program may print so much.
const MAX_CAPTURED: u64 = 64 << 20;

/// Programs that show a page, in the order in which they are tried.
const BROWSERS: [&str; 4] = ["xdg-open", "sensible-browser", "x-www-browser", "www-browser"];

/// The outside as it is.
#[derive(Debug)]
pub struct Real {
    out: io::Stdout,
    error: io::Stderr,
}

impl Real {
    /// From now on, an interrupt of the user's ends the process with a word and the exit code for it.
    pub fn new() -> Real {
        // Without the thread an interrupt still ends the process.
        if let Ok(mut signals) = signal_hook::iterator::Signals::new([signal_hook::consts::SIGINT])
        {
            let _ = std::thread::Builder::new().name("interrupt".to_owned()).spawn(move || {
                if signals.forever().next().is_some() {
                    let line = "\nERROR] Command interrupted by user\n";
                    let start = usize::from(!io::stderr().is_terminal());
                    let _ = io::stderr().write_all(&line.as_bytes()[start..]);
                    std::process::exit(i32::from(code::INTERRUPTED));
                }
            });
        }
        Real { out: io::stdout(), error: io::stderr() }
    }
}

impl Default for Real {
    fn default() -> Real {
        Real::new()
    }
}

impl World for Real {
    fn stream(&mut self, stream: Stream) -> &mut dyn Write {
        match stream {
            Stream::Out => &mut self.out,
            Stream::Error => &mut self.error,
        }
    }

    fn is_terminal(&self, stream: Stream) -> bool {
        match stream {
            Stream::Out => self.out.is_terminal(),
            Stream::Error => self.error.is_terminal(),
        }
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn user(&self) -> String {
        login()
    }

    fn now(&self) -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
    }

    fn offset(&self, at: Duration) -> i32 {
        let at = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
        let local = chrono::Local.timestamp_opt(at, 0).earliest();
        local.map_or(0, |local| local.offset().fix().local_minus_utc())
    }

    fn sleep(&mut self, time: Duration) -> Result<(), Interrupted> {
        std::thread::sleep(time);
        Ok(())
    }

    fn random(&mut self) -> [u8; 16] {
        let mut bytes = [0; 16];
        if rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) != Ok(16) {
            // Only a kernel from before 2014 has none; the time is better than nothing.
            bytes = self.now().as_nanos().to_ne_bytes();
        }
        bytes
    }

    fn run(&mut self, program: &Program) -> io::Result<u8> {
        let _ = self.out.flush();
        let mut child = Command::new(&program.name).args(&program.arguments).spawn()?;
        let noted = match &program.pid_file {
            Some(file) => std::fs::write(file, child.id().to_string()),
            None => Ok(()),
        };
        let status = child.wait()?;
        noted.map(|()| exit_code(status))
    }

    fn capture(&mut self, programs: &[Program], at_once: usize, done: Sink<'_>) {
        let next = AtomicUsize::new(0);
        let (sender, ended) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..at_once.clamp(1, programs.len().max(1)) {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || {
                    loop {
                        let position = next.fetch_add(1, Ordering::Relaxed);
                        let Some(program) = programs.get(position) else { break };
                        if sender.send((position, captured(program))).is_err() {
                            break;
                        }
                    }
                });
            }
            drop(sender);
            for (position, captured) in ended {
                done(&mut self.out, position, captured);
            }
        });
    }

    fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = String::new();
        if io::stdin().read_line(&mut line)? == 0 {
            return Ok(None);
        }
        Ok(Some(line.trim_end_matches(['\n', '\r']).to_owned()))
    }

    fn browse(&mut self, url: &str) -> io::Result<()> {
        let chosen = self.variable("BROWSER").filter(|browser| !browser.is_empty());
        let names = chosen.iter().map(String::as_str).chain(BROWSERS);
        let mut outcome = Err(io::Error::new(io::ErrorKind::NotFound, "none is installed"));
        for name in names {
            match Command::new(name).arg(url).status() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Ok(status) if !status.success() => {
                    outcome = Err(io::Error::other(format!("{name} failed ({status})")));
                }
                other => return other.map(drop),
            }
        }
        outcome
    }

    fn connect(&mut self, host: &str, port: u16) -> io::Result<Box<dyn Connection>> {
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
        for address in (host, port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, MAX_CONNECT) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    stream.set_read_timeout(Some(MAX_ANSWER))?;
                    stream.set_write_timeout(Some(MAX_ANSWER))?;
                    return Ok(Box::new(Tcp(stream)));
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    fn nodes(&mut self, servers: &str, path: &str) -> io::Result<Vec<Node>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let look = async {
            let connector = Client::connector().with_session_timeout(MAX_ZOOKEEPER);
            let client = connector.connect(servers).await?;
            let names = match client.list_children(path).await {
                Err(ZooKeeperError::NoNode) => return Ok(Vec::new()),
                names => names?,
            };
            let mut nodes = Vec::with_capacity(names.len());
            for name in names {
                match client.get_data(&format!("{path}/{name}")).await {
                    Ok((data, _)) => nodes.push(Node { name, data }),
                    // It is gone since.
                    Err(ZooKeeperError::NoNode) => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(nodes)
        };
        match runtime.block_on(async { tokio::time::timeout(MAX_ZOOKEEPER, look).await }) {
            Ok(nodes) => nodes.map_err(io::Error::other),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer came in time")),
        }
    }
}

/// As shells say it.
fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code & 0xff).ok()).unwrap_or(code::UNKNOWN)
}

/// Runs a program to its end. Both of its streams are one pipe, so that lines keep their order.
fn captured(program: &Program) -> io::Result<Captured> {
    let (reader, writer) = io::pipe()?;
    let mut command = Command::new(&program.name);
    command
        .args(&program.arguments)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer);
    let mut child = command.spawn()?;
    // It holds the pipe's other end.
    drop(command);
    let mut output = Vec::new();
    let read = reader.take(MAX_CAPTURED).read_to_end(&mut output);
    let status = child.wait()?;
    read?;
    Ok(Captured { code: exit_code(status), output })
}

/// A connection over TCP.
#[derive(Debug)]
pub(crate) struct Tcp(pub(crate) TcpStream);

impl Read for Tcp {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Tcp {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Connection for Tcp {
    fn is_open(&mut self) -> bool {
        // Nothing is on its way, so what can be read is the end, or nobody's answer.
        let idle = |stream: &TcpStream| -> io::Result<bool> {
            stream.set_nonblocking(true)?;
            let peeked = stream.peek(&mut [0]);
            stream.set_nonblocking(false)?;
            Ok(peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock))
        };
        idle(&self.0).unwrap_or(false)
    }
}
