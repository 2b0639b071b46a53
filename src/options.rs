//! The command line of the executor.

use thermos_runner::flags::{self, Flag, Kind, Parsed};

/// Source: the original's option listing of `thermos_executor`. Options without help are accepted
/// and have no effect yet; COMPATIBILITY.md lists them.
pub const FLAGS: &[Flag] = &[
    Flag {
        name: "execute-as-user",
        kind: Kind::Value("USER"),
        help: "own sandboxes and run processes as this user in place of the role",
    },
    Flag { name: "nosetuid", kind: Kind::Switch, help: "never switch the user" },
    Flag {
        name: "preserve_env",
        kind: Kind::Switch,
        help: "pass the executor's environment on to processes",
    },
    Flag {
        name: "stop_timeout_in_secs",
        kind: Kind::Integer("SECS"),
        help: "longest time that a task gets to end [default: 120]",
    },
    Flag {
        name: "runner-logger-destination",
        kind: Kind::Value("WHERE"),
        help: "file, console or none, for processes without a logger [default: file]",
    },
    Flag {
        name: "runner-logger-mode",
        kind: Kind::Value("MODE"),
        help: "standard, for processes without a logger [default: standard]",
    },
    Flag { name: "runner-rotate-log-size-mb", kind: Kind::Integer("MIB"), help: "" },
    Flag { name: "runner-rotate-log-backups", kind: Kind::Integer("N"), help: "" },
    Flag { name: "announcer-ensemble", kind: Kind::Value("SERVERS"), help: "" },
    Flag { name: "announcer-serverset-path", kind: Kind::Value("PATH"), help: "" },
    Flag { name: "announcer-allow-custom-serverset-path", kind: Kind::Switch, help: "" },
    Flag { name: "announcer-hostname", kind: Kind::Value("NAME"), help: "" },
    Flag { name: "announcer-zookeeper-auth-config", kind: Kind::Value("FILE"), help: "" },
    Flag { name: "mesos-containerizer-path", kind: Kind::Value("PATH"), help: "" },
    Flag { name: "no-create-user", kind: Kind::Switch, help: "" },
    Flag { name: "sandbox-mount-point", kind: Kind::Value("PATH"), help: "" },
    Flag { name: "nosetuid-health-checks", kind: Kind::Switch, help: "" },
    Flag { name: "help", kind: Kind::Switch, help: "show this" },
    Flag { name: "version", kind: Kind::Switch, help: "show the version" },
    Flag { name: "short-help", kind: Kind::Switch, help: "" },
    Flag { name: "long-help", kind: Kind::Switch, help: "" },
    Flag { name: "log_to_stderr", kind: Kind::Value("LEVEL"), help: "" },
    Flag { name: "log_to_disk", kind: Kind::Value("LEVEL"), help: "" },
    Flag { name: "log_to_stdout", kind: Kind::Value("LEVEL"), help: "" },
    Flag { name: "log_dir", kind: Kind::Value("PATH"), help: "" },
    Flag { name: "log_simple", kind: Kind::Switch, help: "" },
    Flag { name: "log_to_scribe", kind: Kind::Value("LEVEL"), help: "" },
    Flag { name: "scribe_category", kind: Kind::Value("NAME"), help: "" },
    Flag { name: "scribe_buffer", kind: Kind::Switch, help: "" },
    Flag { name: "scribe_host", kind: Kind::Value("HOST"), help: "" },
    Flag { name: "scribe_port", kind: Kind::Integer("PORT"), help: "" },
    Flag { name: "app_daemonize", kind: Kind::Switch, help: "" },
    Flag { name: "app_daemon_stdout", kind: Kind::Value("FILE"), help: "" },
    Flag { name: "app_daemon_stderr", kind: Kind::Value("FILE"), help: "" },
    Flag { name: "app_pidfile", kind: Kind::Value("FILE"), help: "" },
    Flag { name: "app_debug", kind: Kind::Switch, help: "" },
    Flag { name: "app_profiling", kind: Kind::Switch, help: "" },
    Flag { name: "app_profile_output", kind: Kind::Value("FILE"), help: "" },
    Flag { name: "app_ignore_rc_file", kind: Kind::Switch, help: "" },
    Flag { name: "app_rc_filename", kind: Kind::Switch, help: "" },
];

/// What the operator asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Owner of sandboxes and user of processes, in place of the role.
    pub execute_as_user: Option<String>,
    /// Never switch the user.
    pub nosetuid: bool,
    /// Pass the executor's environment on.
    pub preserve_env: bool,
    /// Longest time for a task to end, in seconds.
    pub stop_timeout: i64,
    /// For processes without a logger.
    pub logger_destination: Option<String>,
}

/// What a command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Serve an agent.
    Run(Options),
    /// Print this and exit.
    Print(String),
}

/// Understands a command line.
pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Wish, flags::FlagError> {
    let flags = flags::parse(FLAGS, arguments)?;
    if ["help", "short-help", "long-help"].iter().any(|name| flags.is_on(name)) {
        return Ok(Wish::Print(format!(
            "Usage: thermos_executor [options]\n\nRuns one Thermos task for a Mesos agent, which \
             launches it.\n\nOptions:\n{}",
            flags::help(FLAGS)
        )));
    }
    if flags.is_on("version") {
        return Ok(Wish::Print(format!("thermos_executor {}\n", env!("CARGO_PKG_VERSION"))));
    }
    options(&flags).map(Wish::Run)
}

fn options(flags: &Parsed) -> Result<Options, flags::FlagError> {
    let one_of = |name: &str, allowed: &[&str], later: &[&str]| match flags.value(name) {
        Some(value) if later.contains(&value) => Err(flags::FlagError(format!(
            "option --{name}: {value:?} is not supported yet; use {}",
            allowed.join(" or ")
        ))),
        Some(value) if !allowed.contains(&value) => Err(flags::FlagError(format!(
            "option --{name}: expected {}, got {value:?}",
            allowed.join(" or ")
        ))),
        value => Ok(value.map(str::to_owned)),
    };
    one_of("runner-logger-mode", &["standard"], &["rotate"])?;
    Ok(Options {
        execute_as_user: flags.value("execute-as-user").map(str::to_owned),
        nosetuid: flags.is_on("nosetuid"),
        preserve_env: flags.is_on("preserve_env"),
        stop_timeout: flags.integer("stop_timeout_in_secs").unwrap_or(120).max(0),
        logger_destination: one_of(
            "runner-logger-destination",
            &["file", "console", "none"],
            &["both"],
        )?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arguments: &[&str]) -> Result<Wish, flags::FlagError> {
        parse(arguments.iter().map(|argument| (*argument).to_owned()))
    }

    #[test]
    fn spellings_of_existing_clusters() {
        let wish = of(&[
            "--announcer-ensemble=localhost:2181",
            "--announcer-zookeeper-auth-config=/etc/auth.json",
            "--mesos-containerizer-path=/usr/libexec/mesos/mesos-containerizer",
            "--preserve_env",
            "-stop_timeout_in_secs=60",
            "--runner_logger_destination=console",
            "--nosetuid-health-checks",
        ]);
        let Ok(Wish::Run(options)) = wish else { panic!("{wish:?}") };
        assert_eq!(options.stop_timeout, 60);
        assert!(options.preserve_env && !options.nosetuid);
        assert_eq!(options.logger_destination.as_deref(), Some("console"));
    }

    #[test]
    fn mistakes_name_the_flag() {
        for (argument, words) in [
            ("--runner-logger-mode=rotate", "not supported yet"),
            ("--runner-logger-destination=syslog", "expected file or console or none"),
            ("--stop_timeout_in_secs=soon", "expected a whole number"),
            ("--announcer-enable", "no such option"),
        ] {
            let error = of(&[argument]).unwrap_err().0;
            assert!(error.contains(words), "{error}");
        }
        assert!(matches!(of(&["--help"]), Ok(Wish::Print(_))));
    }
}
