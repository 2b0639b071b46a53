//! A world in which a recorded case can be played: its clock moves only when somebody waits, its names
//! lead to the recorded scheduler, and the programs that it runs only note their arguments.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use aurora_client::world::{Captured, Connection, Interrupted, Node, Program, Sink, Stream, World};

use crate::scheduler::Scheduler;

/// When a case without a time of its own is played.
const SOME_TIME: u64 = 1_795_180_000;

/// For how long nobody listens in a case in which somebody comes to listen.
const DOWN: Duration = Duration::from_secs(8);

/// The world of one step.
pub(crate) struct Recorded {
    pub(crate) scheduler: Rc<RefCell<Scheduler>>,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) zookeeper: Option<Vec<(String, String)>>,
    /// What was printed.
    pub(crate) out: Vec<u8>,
    pub(crate) error: Vec<u8>,
    /// Programs that were run: `name [argument] [argument]`.
    pub(crate) spawned: Vec<String>,
    started: Duration,
    now: Duration,
    listening: Duration,
    interrupted: Option<Duration>,
    /// What is random.
    pub(crate) random: [u8; 16],
}

impl Recorded {
    pub(crate) fn new(scheduler: Scheduler, now: Option<u64>) -> Self {
        let now = Duration::from_secs(now.unwrap_or(SOME_TIME));
        Self {
            scheduler: Rc::new(RefCell::new(scheduler)),
            variables: BTreeMap::new(),
            zookeeper: None,
            out: Vec::new(),
            error: Vec::new(),
            spawned: Vec::new(),
            started: now,
            now,
            listening: now,
            interrupted: None,
            random: [0; 16],
        }
    }

    /// Nobody listens: at first, or ever.
    pub(crate) fn down(&mut self, for_ever: bool) {
        self.listening = if for_ever { Duration::MAX } else { self.started + DOWN };
    }

    /// The user gives up after so many seconds.
    pub(crate) fn interrupt_after(&mut self, seconds: u64) {
        self.interrupted = Some(self.started + Duration::from_secs(seconds));
    }

    fn note(&mut self, program: &Program) {
        // By its name, as a script may be given with its path.
        let name = program.name.rsplit('/').next().unwrap_or_default();
        let arguments: String =
            program.arguments.iter().map(|argument| format!(" [{argument}]")).collect();
        self.spawned.push(format!("{name}{arguments}"));
    }
}

impl World for Recorded {
    fn stream(&mut self, stream: Stream) -> &mut dyn Write {
        match stream {
            Stream::Out => &mut self.out,
            Stream::Error => &mut self.error,
        }
    }

    fn is_terminal(&self, _stream: Stream) -> bool {
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

    fn offset(&self, _at: Duration) -> i32 {
        0
    }

    fn sleep(&mut self, time: Duration) -> Result<(), Interrupted> {
        self.now += time;
        match self.interrupted {
            Some(at) if self.now >= at => Err(Interrupted),
            _ => Ok(()),
        }
    }

    fn random(&mut self) -> [u8; 16] {
        self.random
    }

    fn run(&mut self, program: &Program) -> io::Result<u8> {
        if ["diff", "cmp"].contains(&&*program.name) {
            let done = Command::new(&program.name).args(&program.arguments).output()?;
            self.out.extend(done.stdout);
            self.error.extend(done.stderr);
            return Ok(done.status.code().unwrap_or_default() as u8);
        }
        self.note(program);
        // The stand-in of the recordings ends so when it is told to.
        let exit = self.variables.get("FAKE_EXIT").and_then(|code| code.parse().ok());
        Ok(exit.unwrap_or(0))
    }

    fn capture(&mut self, programs: &[Program], _at_once: usize, done: Sink<'_>) {
        for (index, program) in programs.iter().enumerate() {
            self.note(program);
            let output = format!("output of {}\n", program.name).into_bytes();
            done(&mut self.out, index, Ok(Captured { code: 0, output }));
        }
    }

    fn browse(&mut self, url: &str) -> io::Result<()> {
        self.note(&Program::new("browser", [url]));
        Ok(())
    }

    fn connect(&mut self, host: &str, port: u16) -> io::Result<Box<dyn Connection>> {
        match (host, port) {
            ("scheduler.example", 8081) | ("scheduler2.example", 8082)
                if self.now >= self.listening =>
            {
                let scheduler = Rc::clone(&self.scheduler);
                Ok(Box::new(Wire {
                    scheduler,
                    incoming: Vec::new(),
                    outgoing: VecDeque::new(),
                    closed: false,
                }))
            }
            ("scheduler.example" | "scheduler2.example", _) => {
                Err(io::ErrorKind::ConnectionRefused.into())
            }
            _ => Err(io::Error::other("name or service not known")),
        }
    }

    fn nodes(&mut self, _servers: &str, path: &str) -> io::Result<Vec<Node>> {
        let nodes = self.zookeeper.as_ref().ok_or(io::ErrorKind::ConnectionRefused)?;
        let below = nodes.iter().filter_map(|(place, data)| {
            let name = place.strip_prefix(path)?.strip_prefix('/')?.to_owned();
            Some(Node { name, data: data.clone().into_bytes() })
        });
        Ok(below.collect())
    }
}

/// A connection to the recorded scheduler.
struct Wire {
    scheduler: Rc<RefCell<Scheduler>>,
    incoming: Vec<u8>,
    outgoing: VecDeque<u8>,
    closed: bool,
}

impl Write for Wire {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        if self.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.incoming.extend(data);
        while let Some(length) = Scheduler::request_length(&self.incoming) {
            let request: Vec<u8> = self.incoming.drain(..length).collect();
            match self.scheduler.borrow_mut().answer(&request) {
                Some(answer) => self.outgoing.extend(answer),
                None => self.closed = true,
            }
        }
        Ok(data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Wire {
    /// After an answer there is nothing more to read: who reads on would wait for ever.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.outgoing.is_empty() && !self.closed {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "read beyond the answer"));
        }
        self.outgoing.read(buffer)
    }
}

impl Connection for Wire {
    fn is_open(&mut self) -> bool {
        !self.closed
    }
}
