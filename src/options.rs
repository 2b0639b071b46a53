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
        help: "file, console, both or none, for processes without a logger [default: file]",
    },
    Flag {
        name: "runner-logger-mode",
        kind: Kind::Value("MODE"),
        help: "standard or rotate, for processes without a logger [default: standard]",
    },
    Flag {
        name: "runner-rotate-log-size-mb",
        kind: Kind::Integer("MIB"),
        help: "size of a log file before it is rotated [default: 100]",
    },
    Flag {
        name: "runner-rotate-log-backups",
        kind: Kind::Integer("N"),
        help: "rotated log files to keep [default: 5]",
    },
    Flag {
        name: "runner-rotate-log-compress",
        kind: Kind::Switch,
        help: "compress rotated log files (gzip), also those of processes with a logger of their own",
    },
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
    /// Arguments of the runner about processes without a logger.
    pub logger: Vec<String>,
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
    Ok(Options {
        execute_as_user: flags.value("execute-as-user").map(str::to_owned),
        nosetuid: flags.is_on("nosetuid"),
        preserve_env: flags.is_on("preserve_env"),
        stop_timeout: flags.integer("stop_timeout_in_secs").unwrap_or(120).max(0),
        logger: logger(flags)?,
    })
}

/// The runner's spellings of the flags about logs. Checked here, so that a mistake is found when the
/// executor starts and not with its first task.
fn logger(flags: &Parsed) -> Result<Vec<String>, flags::FlagError> {
    let wrong = |name: &str, expected: &str, value: &str| {
        flags::FlagError(format!("option --{name}: expected {expected}, got {value:?}"))
    };
    let words: [(&str, &str, &[&str]); 2] = [
        (
            "runner-logger-destination",
            "process_logger_destination",
            &["file", "console", "both", "none"],
        ),
        ("runner-logger-mode", "process_logger_mode", &["standard", "rotate"]),
    ];
    let numbers = [
        ("runner-rotate-log-size-mb", "rotate_log_size_mb"),
        ("runner-rotate-log-backups", "rotate_log_backups"),
    ];
    let mut arguments = Vec::new();
    for (name, runner, allowed) in words {
        if let Some(value) = flags.value(name) {
            if !allowed.contains(&value) {
                return Err(wrong(name, &allowed.join(" or "), value));
            }
            arguments.push(format!("--{runner}={value}"));
        }
    }
    for (name, runner) in numbers {
        if let Some(value) = flags.integer(name) {
            if value < 0 {
                return Err(wrong(name, "0 or more", &value.to_string()));
            }
            arguments.push(format!("--{runner}={value}"));
        }
    }
    if flags.is_on("runner-rotate-log-compress") {
        arguments.push("--rotate_log_compress".to_owned());
    }
    Ok(arguments)
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
            "--runner-logger-mode=rotate",
            "--runner-rotate-log-size-mb=20",
            "--runner_rotate_log_backups",
            "3",
            "--runner-rotate-log-compress",
            "--nosetuid-health-checks",
        ]);
        let Ok(Wish::Run(options)) = wish else { panic!("{wish:?}") };
        assert_eq!(options.stop_timeout, 60);
        assert!(options.preserve_env && !options.nosetuid);
        assert_eq!(
            options.logger,
            [
                "--process_logger_destination=console",
                "--process_logger_mode=rotate",
                "--rotate_log_size_mb=20",
                "--rotate_log_backups=3",
                "--rotate_log_compress"
            ]
        );
    }

    #[test]
    fn mistakes_name_the_flag() {
        for (argument, words) in [
            ("--runner-logger-mode=rotated", "expected standard or rotate, got"),
            ("--runner-logger-destination=syslog", "expected file or console or both or none"),
            ("--runner-rotate-log-backups=-1", "expected 0 or more, got"),
            ("--stop_timeout_in_secs=soon", "expected a whole number"),
            ("--announcer-enable", "no such option"),
        ] {
            let error = of(&[argument]).unwrap_err().0;
            assert!(error.contains(words), "{error}");
        }
        assert!(matches!(of(&["--help"]), Ok(Wish::Print(_))));
    }
}
