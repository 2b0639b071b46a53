//! A world in which a recorded case can be played: its names lead to the recorded scheduler, and the
//! programs that it runs only note their arguments.

use std::cell::RefCell;
use std::io;
use std::ops::{Deref, DerefMut};
use std::process::Command;
use std::rc::Rc;
use std::time::Duration;

use aurora_client::testing::{Fake, Reply};
use aurora_client::world::{Captured, Program};

use crate::scheduler::Scheduler;

/// When a case without a time of its own is played.
const SOME_TIME: u64 = 1_795_180_000;

/// For how long nobody listens in a case in which somebody comes to listen.
const DOWN: Duration = Duration::from_secs(8);

/// The world of one step.
pub(crate) struct Recorded {
    pub(crate) fake: Fake,
    pub(crate) scheduler: Rc<RefCell<Scheduler>>,
}

impl Deref for Recorded {
    type Target = Fake;

    fn deref(&self) -> &Fake {
        &self.fake
    }
}

impl DerefMut for Recorded {
    fn deref_mut(&mut self) -> &mut Fake {
        &mut self.fake
    }
}

impl Recorded {
    pub(crate) fn new(scheduler: Scheduler, now: Option<u64>) -> Self {
        let scheduler = Rc::new(RefCell::new(scheduler));
        let asked = Rc::clone(&scheduler);
        let mut fake = Fake::new(move |_, _, request| {
            assert_eq!(Scheduler::request_length(request), Some(request.len()));
            asked.borrow_mut().answer(request).map_or_else(Reply::nothing, Reply::Bytes)
        });
        fake.now = Duration::from_secs(now.unwrap_or(SOME_TIME));
        fake.zookeeper = None;
        let mut recorded = Self { fake, scheduler };
        recorded.listen_from(Duration::ZERO);
        recorded.programs_end_with(0);
        recorded
    }

    fn listen_from(&mut self, begin: Duration) {
        self.listening = Box::new(move |now, host, port| match (host, port) {
            ("scheduler.example", 8081) | ("scheduler2.example", 8082) if now >= begin => Ok(()),
            ("scheduler.example" | "scheduler2.example", _) => {
                Err(io::ErrorKind::ConnectionRefused.into())
            }
            _ => Err(io::Error::other("name or service not known")),
        });
    }

    /// Nobody listens: at first, or ever.
    pub(crate) fn down(&mut self, for_ever: bool) {
        let begin = if for_ever { Duration::MAX } else { self.now + DOWN };
        self.listen_from(begin);
    }

    /// Programs other than those that compare files only say that they ran, and end so.
    pub(crate) fn programs_end_with(&mut self, code: u8) {
        self.running = Box::new(move |program| {
            if ["diff", "cmp"].contains(&&*program.name) {
                let done = Command::new(&program.name).args(&program.arguments).output()?;
                let code = done.status.code().unwrap_or_default() as u8;
                return Ok(Captured { code, output: [done.stdout, done.stderr].concat() });
            }
            let output = format!("output of {}\n", program.name).into_bytes();
            Ok(Captured { code, output })
        });
    }

    /// The user gives up after so many seconds.
    pub(crate) fn interrupt_after(&mut self, seconds: u64) {
        self.patience = Some(self.now + Duration::from_secs(seconds));
    }

    /// Programs that were run: `name [argument] [argument]`.
    pub(crate) fn spawned(&self) -> Vec<String> {
        let compares = |program: &&Program| ["diff", "cmp"].contains(&&*program.name);
        let programs = self.programs.iter().filter(|program| !compares(program));
        programs
            .map(|program| {
                // By its name, as a script may be given with its path.
                let name = program.name.rsplit('/').next().unwrap_or_default();
                let arguments = program.arguments.iter().map(|argument| format!(" [{argument}]"));
                name.to_owned() + &arguments.collect::<String>()
            })
            .collect()
    }
}
