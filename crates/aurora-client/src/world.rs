//! Everything that the commands need from outside this program.
//!
//! Commands are written against [`World`] and nothing else, so a test can give them a clock that it
//! moves itself, names that resolve to its own server, and an `ssh` that only notes its arguments.
//! Files are the exception: they are where the current directory, `HOME` and other variables say.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

/// The user does not want to wait any longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted;

/// One of the two streams that people read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Results.
    Out,
    /// What happens meanwhile, and what went wrong.
    Error,
}

/// A program to run, found in `PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// What follows the name. No shell looks at it.
    pub arguments: Vec<String>,
    /// Where its process id is to be noted.
    pub pid_file: Option<PathBuf>,
}

impl Program {
    /// A program with its arguments.
    pub fn new<A: Into<String>>(name: &str, arguments: impl IntoIterator<Item = A>) -> Program {
        Program {
            name: name.to_owned(),
            arguments: arguments.into_iter().map(Into::into).collect(),
            pid_file: None,
        }
    }
}

/// What a program printed, on both streams, and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Captured {
    /// Its exit code; 128 and the signal that ended it.
    pub code: u8,
    /// Standard output and standard error, as they came.
    pub output: Vec<u8>,
}

/// Where the results of [`World::capture`] go: standard output, the position of the program in the
/// list, and what became of it.
pub type Sink<'s> = &'s mut dyn FnMut(&mut dyn Write, usize, io::Result<Captured>);

/// An open connection.
pub trait Connection: Read + Write {
    /// Whether the other side has not closed it, as far as can be told without waiting.
    fn is_open(&mut self) -> bool;
}

/// A node below a path in ZooKeeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Its content.
    pub data: Vec<u8>,
}

/// What is outside.
pub trait World {
    /// A stream to write to. Errors of writing are of no interest: nobody is there to read.
    fn stream(&mut self, stream: Stream) -> &mut dyn Write;

    /// Whether a stream goes to a person.
    fn is_terminal(&self, stream: Stream) -> bool;

    /// A variable of the environment that is set and is text.
    fn variable(&self, name: &str) -> Option<String>;

    /// Who runs this.
    fn user(&self) -> String;

    /// Time since 1970.
    fn now(&self) -> Duration;

    /// Seconds that the local time is ahead of UTC at a time since 1970.
    fn offset(&self, at: Duration) -> i32;

    /// Waits.
    ///
    /// # Errors
    /// The user wants to stop.
    fn sleep(&mut self, time: Duration) -> Result<(), Interrupted>;

    /// Sixteen random bytes.
    fn random(&mut self) -> [u8; 16];

    /// Runs a program with this one's terminal until it ends. Returns its exit code, or 128 and the
    /// signal that ended it.
    ///
    /// # Errors
    /// It cannot be started.
    fn run(&mut self, program: &Program) -> io::Result<u8>;

    /// Runs programs without input, so many at once, and hands over what each printed when it ended,
    /// in the order in which they end.
    fn capture(&mut self, programs: &[Program], at_once: usize, done: Sink<'_>);

    /// A line that the user writes, without its end; none at the end of the input.
    ///
    /// # Errors
    /// It cannot be read.
    fn line(&mut self) -> io::Result<Option<String>> {
        Ok(None)
    }

    /// Shows a page in a browser.
    ///
    /// # Errors
    /// There is none.
    fn browse(&mut self, url: &str) -> io::Result<()>;

    /// Opens a TCP connection.
    ///
    /// # Errors
    /// The name is not known, or nobody listens. [`io::ErrorKind::Interrupted`] is the user's wish to
    /// stop.
    fn connect(&mut self, host: &str, port: u16) -> io::Result<Box<dyn Connection>>;

    /// The nodes below a path in ZooKeeper; none if the path does not exist. `servers` is
    /// `HOST:PORT,…`.
    ///
    /// # Errors
    /// No server answers.
    fn nodes(&mut self, servers: &str, path: &str) -> io::Result<Vec<Node>>;
}

/// The user's home directory.
pub fn home(world: &dyn World) -> Option<PathBuf> {
    world.variable("HOME").filter(|home| !home.is_empty()).map(PathBuf::from)
}
