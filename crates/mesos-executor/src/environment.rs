//! What an agent tells an executor in its environment.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::duration;

/// Agent's address as `host:port`.
pub const AGENT_ENDPOINT: &str = "MESOS_AGENT_ENDPOINT";
/// Path of a unix socket to use in place of TCP.
pub const DOMAIN_SOCKET: &str = "MESOS_DOMAIN_SOCKET";
/// Id of the framework, for every call.
pub const FRAMEWORK_ID: &str = "MESOS_FRAMEWORK_ID";
/// Id of the executor, for every call.
pub const EXECUTOR_ID: &str = "MESOS_EXECUTOR_ID";
/// Sandbox, as the host sees it.
pub const DIRECTORY: &str = "MESOS_DIRECTORY";
/// Sandbox, as the executor sees it.
pub const SANDBOX: &str = "MESOS_SANDBOX";
/// `1`: the framework checkpoints, so its executors outlive an agent's restart.
pub const CHECKPOINT: &str = "MESOS_CHECKPOINT";
/// How long a checkpointing executor waits for a lost agent.
pub const RECOVERY_TIMEOUT: &str = "MESOS_RECOVERY_TIMEOUT";
/// Longest pause between two tries to subscribe.
pub const SUBSCRIPTION_BACKOFF_MAX: &str = "MESOS_SUBSCRIPTION_BACKOFF_MAX";
/// Time from SHUTDOWN to the agent's SIGKILL.
pub const SHUTDOWN_GRACE_PERIOD: &str = "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD";
/// Secret for the `Authorization` header. To be removed from the environment of tasks.
pub const AUTHENTICATION_TOKEN: &str = "MESOS_EXECUTOR_AUTHENTICATION_TOKEN";
/// Id of the agent.
pub const AGENT_ID: &str = "MESOS_SLAVE_ID";

/// What is assumed where the agent says nothing: Mesos' own defaults.
const DEFAULT_RECOVERY_TIMEOUT: Duration = Duration::from_secs(15 * 60);
const DEFAULT_BACKOFF_MAX: Duration = Duration::from_secs(2);
const DEFAULT_GRACE_PERIOD: Duration = Duration::from_secs(5);

/// The environment of an executor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// Where the agent listens for TCP.
    pub agent: Endpoint,
    /// The unix socket to use in place of TCP.
    pub domain_socket: Option<PathBuf>,
    /// Id of the framework.
    pub framework_id: String,
    /// Id of the executor.
    pub executor_id: String,
    /// Id of the agent, if told.
    pub agent_id: Option<String>,
    /// Sandbox, as the host sees it.
    pub directory: PathBuf,
    /// Sandbox, as the executor sees it: `directory`, unless the executor has a root of its own.
    pub sandbox: PathBuf,
    /// Does the executor outlive an agent's restart?
    pub checkpoint: bool,
    /// How long a checkpointing executor waits for a lost agent; 15 min unless told.
    pub recovery_timeout: Duration,
    /// Longest pause between two tries to subscribe; 2 s unless told.
    pub subscription_backoff_max: Duration,
    /// Time from SHUTDOWN to the agent's SIGKILL; 5 s unless told.
    pub shutdown_grace_period: Duration,
    /// Secret for the agent, if it wants one.
    pub authentication_token: Option<Token>,
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Name or address; an IPv6 address without its brackets.
    pub host: String,
    /// Port of TCP.
    pub port: u16,
}

impl Endpoint {
    /// Reads `host:port` or `[address]:port`.
    pub fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        let host = match bare {
            Some(address) => address,
            None if host.contains([':', '[', ']']) => return None,
            None => host,
        };
        let fine = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | '@' | '?' | '#' | '\\');
        if host.is_empty() || !host.chars().all(fine) || !port.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        Some(Self { host: host.to_owned(), port: port.parse().ok()? })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// A secret, which does not show in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A secret; `None` if it cannot be in an HTTP header.
    pub fn new(secret: impl Into<String>) -> Option<Self> {
        let secret = secret.into();
        (!secret.is_empty() && secret.bytes().all(|b| b.is_ascii_graphic())).then_some(Self(secret))
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Why an environment is not an executor's. Names the variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// Name of the variable.
    pub variable: &'static str,
    /// What is wrong with it; without the value, which may be a secret.
    pub reason: Reason,
}

/// What is wrong with a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Not set, or empty.
    Missing,
    /// Not UTF-8.
    NotUtf8,
    /// Not `host:port`.
    Endpoint,
    /// Not a duration.
    Duration(duration::Error),
    /// Not fit for an HTTP header.
    Token,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.variable;
        match &self.reason {
            Reason::Missing => write!(f, "{name} is not set: was this started by a Mesos agent?"),
            Reason::NotUtf8 => write!(f, "{name} is not UTF-8"),
            Reason::Endpoint => write!(f, "{name} is not host:port"),
            Reason::Duration(error) => write!(f, "{name} is not a duration: {error}"),
            Reason::Token => write!(f, "{name} has a character that HTTP does not allow"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.reason {
            Reason::Duration(error) => Some(error),
            _ => None,
        }
    }
}

impl Environment {
    /// Reads the variables of a process, such as [`std::env::vars_os`]. Of a name that occurs twice
    /// the last value counts; other names are ignored, and an empty value is none.
    pub fn from_vars<K, V>(vars: impl IntoIterator<Item = (K, V)>) -> Result<Self, Error>
    where
        K: AsRef<OsStr>,
        V: AsRef<OsStr>,
    {
        let mut values: [(&'static str, Option<V>); 12] = [
            (AGENT_ENDPOINT, None),
            (DOMAIN_SOCKET, None),
            (FRAMEWORK_ID, None),
            (EXECUTOR_ID, None),
            (DIRECTORY, None),
            (SANDBOX, None),
            (CHECKPOINT, None),
            (RECOVERY_TIMEOUT, None),
            (SUBSCRIPTION_BACKOFF_MAX, None),
            (SHUTDOWN_GRACE_PERIOD, None),
            (AUTHENTICATION_TOKEN, None),
            (AGENT_ID, None),
        ];
        for (key, value) in vars {
            if let Some((_, place)) = values.iter_mut().find(|(name, _)| *name == key.as_ref()) {
                *place = (!value.as_ref().is_empty()).then_some(value);
            }
        }
        let values = Values(&values);
        let directory = values.path(DIRECTORY).ok_or(missing(DIRECTORY))?;
        let endpoint = values.required(AGENT_ENDPOINT)?;
        let token = match values.text(AUTHENTICATION_TOKEN)? {
            Some(text) => Some(
                Token::new(text)
                    .ok_or(Error { variable: AUTHENTICATION_TOKEN, reason: Reason::Token })?,
            ),
            None => None,
        };
        Ok(Self {
            agent: Endpoint::parse(endpoint)
                .ok_or(Error { variable: AGENT_ENDPOINT, reason: Reason::Endpoint })?,
            domain_socket: values.path(DOMAIN_SOCKET).map(Path::to_path_buf),
            framework_id: values.required(FRAMEWORK_ID)?.to_owned(),
            executor_id: values.required(EXECUTOR_ID)?.to_owned(),
            agent_id: values.text(AGENT_ID)?.map(str::to_owned),
            directory: directory.to_path_buf(),
            sandbox: values.path(SANDBOX).unwrap_or(directory).to_path_buf(),
            checkpoint: values.text(CHECKPOINT)? == Some("1"),
            recovery_timeout: values.duration(RECOVERY_TIMEOUT, DEFAULT_RECOVERY_TIMEOUT)?,
            subscription_backoff_max: values
                .duration(SUBSCRIPTION_BACKOFF_MAX, DEFAULT_BACKOFF_MAX)?,
            shutdown_grace_period: values.duration(SHUTDOWN_GRACE_PERIOD, DEFAULT_GRACE_PERIOD)?,
            authentication_token: token,
        })
    }
}

fn missing(variable: &'static str) -> Error {
    Error { variable, reason: Reason::Missing }
}

struct Values<'a, V>(&'a [(&'static str, Option<V>)]);

impl<'a, V: AsRef<OsStr>> Values<'a, V> {
    fn get(&self, variable: &'static str) -> Option<&'a OsStr> {
        let (_, value) = self.0.iter().find(|(name, _)| *name == variable)?;
        value.as_ref().map(AsRef::as_ref)
    }

    fn path(&self, variable: &'static str) -> Option<&'a Path> {
        self.get(variable).map(Path::new)
    }

    fn text(&self, variable: &'static str) -> Result<Option<&'a str>, Error> {
        match self.get(variable).map(OsStr::to_str) {
            Some(None) => Err(Error { variable, reason: Reason::NotUtf8 }),
            Some(text) => Ok(text),
            None => Ok(None),
        }
    }

    fn required(&self, variable: &'static str) -> Result<&'a str, Error> {
        self.text(variable)?.ok_or(missing(variable))
    }

    fn duration(&self, variable: &'static str, default: Duration) -> Result<Duration, Error> {
        match self.text(variable)? {
            Some(text) => duration::parse(text)
                .map_err(|error| Error { variable, reason: Reason::Duration(error) }),
            None => Ok(default),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    const FULL: [(&str, &str); 14] = [
        ("MESOS_AGENT_ENDPOINT", "127.0.0.1:5051"),
        ("MESOS_FRAMEWORK_ID", "f-0000"),
        ("MESOS_EXECUTOR_ID", "e"),
        ("MESOS_DIRECTORY", "/var/sandbox"),
        ("MESOS_SANDBOX", "/mnt/mesos/sandbox"),
        ("MESOS_CHECKPOINT", "1"),
        ("MESOS_RECOVERY_TIMEOUT", "20secs"),
        ("MESOS_SUBSCRIPTION_BACKOFF_MAX", "1.5secs"),
        ("MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", "2secs"),
        ("MESOS_EXECUTOR_AUTHENTICATION_TOKEN", "a.b-c_d"),
        ("MESOS_DOMAIN_SOCKET", "/run/agent.sock"),
        ("MESOS_SLAVE_ID", "S0"),
        ("MESOS_HTTP_COMMAND_EXECUTOR", "0"),
        ("PATH", "/bin"),
    ];

    /// The full environment with some variables changed; `None` removes one.
    fn with(changes: &[(&str, Option<&str>)]) -> Result<Environment, Error> {
        let kept = FULL.into_iter().filter(|(name, _)| !changes.iter().any(|(n, _)| n == name));
        let new = changes.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
        Environment::from_vars(kept.chain(new))
    }

    #[test]
    fn full() {
        let environment = with(&[]).unwrap();
        assert_eq!(
            environment,
            Environment {
                agent: Endpoint { host: "127.0.0.1".into(), port: 5051 },
                domain_socket: Some("/run/agent.sock".into()),
                framework_id: "f-0000".into(),
                executor_id: "e".into(),
                agent_id: Some("S0".into()),
                directory: "/var/sandbox".into(),
                sandbox: "/mnt/mesos/sandbox".into(),
                checkpoint: true,
                recovery_timeout: Duration::from_secs(20),
                subscription_backoff_max: Duration::from_millis(1500),
                shutdown_grace_period: Duration::from_secs(2),
                authentication_token: Token::new("a.b-c_d"),
            }
        );
        assert!(!format!("{environment:?}").contains("a.b-c_d"));
    }

    #[test]
    fn least() {
        let environment = Environment::from_vars(FULL.into_iter().take(4)).unwrap();
        assert_eq!(environment.sandbox, environment.directory);
        assert_eq!(environment.recovery_timeout, Duration::from_secs(900));
        assert_eq!(environment.subscription_backoff_max, Duration::from_secs(2));
        assert_eq!(environment.shutdown_grace_period, Duration::from_secs(5));
        assert!(!environment.checkpoint);
        assert_eq!(environment.authentication_token, None);
        assert_eq!(environment.domain_socket, None);
    }

    #[rstest]
    #[case("1", true)]
    #[case("0", false)]
    #[case("true", false)]
    #[case("", false)]
    fn checkpoints(#[case] value: &str, #[case] checkpoint: bool) {
        let environment = with(&[("MESOS_CHECKPOINT", Some(value))]).unwrap();
        assert_eq!(environment.checkpoint, checkpoint);
    }

    #[rstest]
    #[case(
        "MESOS_AGENT_ENDPOINT",
        None,
        "MESOS_AGENT_ENDPOINT is not set: was this started by a Mesos agent?"
    )]
    #[case(
        "MESOS_FRAMEWORK_ID",
        None,
        "MESOS_FRAMEWORK_ID is not set: was this started by a Mesos agent?"
    )]
    #[case(
        "MESOS_EXECUTOR_ID",
        Some(""),
        "MESOS_EXECUTOR_ID is not set: was this started by a Mesos agent?"
    )]
    #[case(
        "MESOS_DIRECTORY",
        None,
        "MESOS_DIRECTORY is not set: was this started by a Mesos agent?"
    )]
    #[case("MESOS_AGENT_ENDPOINT", Some("localhost"), "MESOS_AGENT_ENDPOINT is not host:port")]
    #[case(
        "MESOS_RECOVERY_TIMEOUT",
        Some("15 mins"),
        "MESOS_RECOVERY_TIMEOUT is not a duration: its unit is none of ns, us, ms, secs, mins, \
         hrs, days, weeks"
    )]
    #[case(
        "MESOS_SUBSCRIPTION_BACKOFF_MAX",
        Some("-1secs"),
        "MESOS_SUBSCRIPTION_BACKOFF_MAX is not a duration: does not start with a number"
    )]
    #[case(
        "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD",
        Some("99999999weeks"),
        "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD is not a duration: longer than 292 years"
    )]
    #[case(
        "MESOS_EXECUTOR_AUTHENTICATION_TOKEN",
        Some("a\r\nb"),
        "MESOS_EXECUTOR_AUTHENTICATION_TOKEN has a character that HTTP does not allow"
    )]
    fn wrong(#[case] name: &str, #[case] value: Option<&str>, #[case] text: &str) {
        assert_eq!(with(&[(name, value)]).unwrap_err().to_string(), text);
    }

    #[test]
    fn not_utf8() {
        let vars = FULL.map(|(name, value)| (name, OsString::from(value)));
        let bad = |name| (name, OsString::from_vec(vec![0xff]));
        let error = Environment::from_vars(vars.clone().into_iter().chain([bad(FRAMEWORK_ID)]));
        assert_eq!(error.unwrap_err().to_string(), "MESOS_FRAMEWORK_ID is not UTF-8");
        // A path need not be.
        let fine = Environment::from_vars(vars.into_iter().chain([bad(SANDBOX)])).unwrap();
        assert_eq!(fine.sandbox.into_os_string().into_vec(), [0xff]);
    }

    #[rstest]
    #[case("127.0.0.1:5051", Some(("127.0.0.1", 5051)))]
    #[case("agent.example:65535", Some(("agent.example", 65535)))]
    #[case("[::1]:80", Some(("::1", 80)))]
    #[case("::1:80", None)]
    #[case("agent", None)]
    #[case("agent:", None)]
    #[case(":80", None)]
    #[case("[]:80", None)]
    #[case("agent:65536", None)]
    #[case("agent:+1", None)]
    #[case("a b:80", None)]
    #[case("a\r\nX:80", None)]
    #[case("http://agent:80", None)]
    fn endpoints(#[case] text: &str, #[case] parts: Option<(&str, u16)>) {
        let endpoint = Endpoint::parse(text);
        assert_eq!(endpoint.as_ref().map(|e| (e.host.as_str(), e.port)), parts);
        if let Some(endpoint) = endpoint {
            assert_eq!(endpoint.to_string(), text);
        }
    }
}
