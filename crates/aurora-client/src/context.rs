//! What every command has at hand: the outside, the clusters, a way to speak to their schedulers,
//! and a way to speak to people.

use std::fmt;
use std::time::Duration;

use aurora_api::api;

use crate::clusters::{Cluster, Clusters, Finding, ROOT_VARIABLE};
use crate::exit::{Failure, code};
use crate::http::Http;
use crate::schedulers::{self, Schedulers};
use crate::world::{Stream, World, home};

/// How important a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// With `--verbose` only.
    Debug,
    /// What is being done.
    Info,
    /// What goes on all the same.
    Warning,
    /// What does not.
    Error,
}

impl Level {
    /// As it stands before a line, and its colour on a terminal.
    fn label(self) -> (&'static str, &'static str) {
        match self {
            Level::Debug => ("DEBUG] ", "2"),
            Level::Info => (" INFO] ", "0"),
            Level::Warning => (" WARN] ", "33"),
            Level::Error => ("ERROR] ", "31"),
        }
    }
}

/// What every command has at hand.
pub struct Context<'w> {
    /// The outside.
    pub world: &'w mut dyn World,
    /// The least important lines that are printed.
    pub level: Level,
    /// How requests name this program.
    pub agent: &'static str,
    /// Whether a scheduler that does not lead is to answer itself.
    pub bypass_redirect: bool,
    pub(crate) http: Http,
    pub(crate) schedulers: Schedulers,
    clusters: Option<Clusters>,
}

impl<'w> Context<'w> {
    /// A context for one command.
    pub fn new(world: &'w mut dyn World) -> Context<'w> {
        Context {
            world,
            level: Level::Info,
            agent: concat!("aurora/", env!("CARGO_PKG_VERSION")),
            bypass_redirect: false,
            http: Http::default(),
            schedulers: Schedulers::default(),
            clusters: None,
        }
    }

    /// Prints a result, as it is.
    pub fn print(&mut self, text: &str) {
        // A reader that has seen enough is no mistake.
        let out = self.world.stream(Stream::Out);
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Prints a line of a result.
    pub fn say(&mut self, line: impl fmt::Display) {
        self.print(&format!("{line}\n"));
    }

    /// Prints a line for the user only.
    pub fn complain(&mut self, line: impl fmt::Display) {
        let error = self.world.stream(Stream::Error);
        let _ = writeln!(error, "{line}");
    }

    /// Prints text for the user only, as it is.
    pub fn print_error(&mut self, text: &str) {
        let error = self.world.stream(Stream::Error);
        let _ = error.write_all(text.as_bytes()).and_then(|()| error.flush());
    }

    /// Prints a line about what happens.
    pub fn log(&mut self, level: Level, line: impl fmt::Display) {
        if level < self.level {
            return;
        }
        let (label, colour) = level.label();
        match colour != "0" && self.is_colourful(Stream::Error) {
            true => self.complain(format_args!("\x1b[{colour}m{label}{line}\x1b[0m")),
            false => self.complain(format_args!("{label}{line}")),
        }
    }

    /// Prints what is being done.
    pub fn info(&mut self, line: impl fmt::Display) {
        self.log(Level::Info, line);
    }

    /// Prints what should be known.
    pub fn warn(&mut self, line: impl fmt::Display) {
        self.log(Level::Warning, line);
    }

    /// Whether colours help on a stream.
    pub fn is_colourful(&self, stream: Stream) -> bool {
        self.world.is_terminal(stream)
            && self.world.variable("NO_COLOR").is_none_or(|value| value.is_empty())
            && self.world.variable("TERM").is_none_or(|value| value != "dumb")
    }

    /// A line that the next one replaces, for people who wait; nothing elsewhere. An empty one
    /// removes the last.
    pub fn progress(&mut self, line: impl fmt::Display) {
        if self.level <= Level::Info && self.is_colourful(Stream::Error) {
            let error = self.world.stream(Stream::Error);
            let _ = write!(error, "\r\x1b[K{line}").and_then(|()| error.flush());
        }
    }

    /// The clusters.
    ///
    /// # Errors
    /// A list of them cannot be understood.
    pub fn clusters(&mut self) -> Result<&Clusters, Failure> {
        let clusters = match self.clusters.take() {
            Some(clusters) => clusters,
            None => {
                let root = self.world.variable(ROOT_VARIABLE);
                Clusters::load(root.as_deref(), home(self.world).as_deref())
                    .map_err(|message| Failure::new(code::REFUSED, message))?
            }
        };
        Ok(self.clusters.insert(clusters))
    }

    /// The cluster of a name.
    ///
    /// # Errors
    /// There is none.
    pub fn cluster(&mut self, name: &str) -> Result<&Cluster, Failure> {
        self.clusters()?
            .get(name)
            .map_err(|message| Failure::new(code::INVALID_CONFIGURATION, message))
    }

    /// The address of a page of a cluster's scheduler: that of a role, job or update, whose parts are
    /// given in order.
    ///
    /// # Errors
    /// No scheduler can be found.
    pub fn page(&mut self, cluster: &str, parts: &[&str]) -> Result<String, Failure> {
        let cluster = self.cluster(cluster)?.clone();
        let base = match (cluster.proxy_url, &cluster.finding) {
            (Some(proxy), _) => proxy,
            (None, Finding::Address(address)) => address.clone(),
            (None, _) => self.scheduler(&cluster.name)?,
        };
        let mut path = "scheduler".to_owned();
        for part in parts {
            path.push('/');
            path.push_str(part);
        }
        Ok(schedulers::beside(&base, &path))
    }

    /// Shows a page in a browser.
    pub fn browse(&mut self, url: &str) {
        if let Err(error) = self.world.browse(url) {
            self.warn(format_args!("Cannot open a browser for {url}: {error}"));
        }
    }

    /// Says what an answer has to say, and goes on if it is no refusal.
    ///
    /// # Errors
    /// It is one: the lead is printed with the reasons, and the code is the exit code.
    pub fn check(&mut self, response: &api::Response, code: u8, lead: &str) -> Result<(), Failure> {
        let details = details(response);
        if response.response_code == Some(api::ResponseCode::OK) {
            if !details.is_empty() {
                self.info(details);
            }
            return Ok(());
        }
        self.complain(lead);
        self.complain(format_args!("\t{details}"));
        if response.response_code == Some(api::ResponseCode::JOB_UPDATING_ERROR) {
            self.complain(
                "\tError: job is locked by an active update.\n      Run 'aurora update abort' or \
                 wait for the active update to finish.",
            );
        }
        Err(Failure::Reported(code))
    }

    /// As [`Context::check`], in words that fit any call.
    ///
    /// # Errors
    /// The answer is a refusal.
    pub fn check_plainly(&mut self, response: &api::Response) -> Result<(), Failure> {
        self.check(response, code::API, "Command failure:")
    }

    /// A time, as people here read it: `2026-11-21 20:15:00`.
    pub fn time(&self, millis: i64) -> String {
        let at = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
        let local = millis.div_euclid(1000) + i64::from(self.world.offset(at));
        match chrono::DateTime::from_timestamp(local, 0) {
            Some(time) => time.format("%Y-%m-%d %H:%M:%S").to_string(),
            None => millis.to_string(),
        }
    }
}

/// The reasons of an answer, as one text.
pub fn details(response: &api::Response) -> String {
    let details = response.details.iter().flatten();
    let texts: Vec<&str> = details.filter_map(|detail| detail.message.as_deref()).collect();
    texts.join(", ")
}
