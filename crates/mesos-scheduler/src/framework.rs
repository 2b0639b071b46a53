//! Who a scheduler is for a master, and how it proves that.

use std::fmt;
use std::time::Duration;

use crate::base64;
use crate::v1::framework_info::{Capability, capability};
use crate::v1::{FrameworkId, FrameworkInfo};

/// What a scheduler's flags say about its framework.
#[derive(Clone, Debug, PartialEq)]
pub struct Framework {
    /// Id from an earlier subscription. `None`: the master makes one.
    pub id: Option<String>,
    /// Name, for people; Aurora's `-framework_name`.
    pub name: String,
    /// User that executors run as where they do not say otherwise; `-executor_user`.
    pub user: String,
    /// Who pays for it; `-framework_announce_principal`.
    pub principal: Option<String>,
    /// The role whose resources it gets, beside those of `*`; `-mesos_role`.
    pub role: Option<String>,
    /// How long the tasks live on without a scheduler; `-framework_failover_timeout`.
    pub failover_timeout: Duration,
    /// The host where it runs, as others see it.
    pub hostname: Option<String>,
    /// Where people find its pages.
    pub webui_url: Option<String>,
    /// Wants resources that can be taken away; `-receive_revocable_resources`.
    pub revocable: bool,
    /// Wants agents with GPUs; `-allow_gpu_resource`.
    pub gpus: bool,
    /// Hears TASK_UNREACHABLE, TASK_GONE and so on in place of TASK_LOST; `-partition_aware`.
    pub partition_aware: bool,
}

impl Default for Framework {
    /// Aurora's defaults.
    fn default() -> Self {
        Self {
            id: None,
            name: "Aurora".to_owned(),
            user: "root".to_owned(),
            principal: None,
            role: None,
            failover_timeout: Duration::from_secs(21 * 24 * 60 * 60),
            hostname: None,
            webui_url: None,
            revocable: false,
            gpus: false,
            partition_aware: false,
        }
    }
}

impl Framework {
    /// The message. Its executors always outlive an agent's restart (`checkpoint`).
    pub fn info(&self) -> FrameworkInfo {
        let capabilities = [
            (self.revocable, capability::Type::RevocableResources),
            (self.gpus, capability::Type::GpuResources),
            (self.partition_aware, capability::Type::PartitionAware),
        ];
        let wanted = capabilities.into_iter().filter(|(wanted, _)| *wanted);
        FrameworkInfo {
            user: self.user.clone(),
            name: self.name.clone(),
            id: self.id.clone().map(|value| FrameworkId { value }),
            failover_timeout: Some(self.failover_timeout.as_secs_f64()),
            checkpoint: Some(true),
            role: self.role.clone(),
            hostname: self.hostname.clone(),
            principal: self.principal.clone(),
            webui_url: self.webui_url.clone(),
            capabilities: wanted
                .map(|(_, kind)| Capability { r#type: Some(kind.into()) })
                .collect(),
            ..FrameworkInfo::default()
        }
    }
}

/// Name and secret for the master.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name, which goes into [`Framework::principal`] too if it is to be announced.
    pub principal: String,
    secret: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({}, …)", self.principal)
    }
}

/// Name of the principal in the file of `-framework_authentication_file`.
pub const PRINCIPAL: &str = "aurora_authentication_principal";
/// Name of the secret in that file.
pub const SECRET: &str = "aurora_authentication_secret";

/// What is wrong with a file of credentials. Never with the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialsError {
    /// It does not have this property, or an empty one.
    Missing(&'static str),
    /// An escape of `\u` is not followed by four hexadecimal digits, in this line.
    Escape(usize),
    /// The principal has a colon, which HTTP's basic authentication does not allow.
    Colon,
}

impl fmt::Display for CredentialsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "there is no {name} in it"),
            Self::Escape(line) => write!(f, "line {line}: \\u is not followed by four digits"),
            Self::Colon => write!(f, "{PRINCIPAL} has a colon, which HTTP does not allow"),
        }
    }
}

impl std::error::Error for CredentialsError {}

impl Credentials {
    /// Name and secret.
    pub fn new(
        principal: impl Into<String>,
        secret: impl Into<String>,
    ) -> Result<Self, CredentialsError> {
        let (principal, secret) = (principal.into(), secret.into());
        if principal.contains(':') {
            return Err(CredentialsError::Colon);
        }
        Ok(Self { principal, secret })
    }

    /// Reads the text of a file of Java properties that has [`PRINCIPAL`] and [`SECRET`].
    pub fn parse(text: &str) -> Result<Self, CredentialsError> {
        let properties = properties(text)?;
        let get = |name: &'static str| {
            let last = properties.iter().rev().find(|(key, _)| key == name);
            let value = last.map(|(_, value)| value.clone()).filter(|value| !value.is_empty());
            value.ok_or(CredentialsError::Missing(name))
        };
        Self::new(get(PRINCIPAL)?, get(SECRET)?)
    }

    /// The value of HTTP's `Authorization`.
    pub(crate) fn authorization(&self) -> String {
        let pair = format!("{}:{}", self.principal, self.secret);
        format!("Basic {}", base64::encode(pair.as_bytes()))
    }
}

/// The pairs of a file of Java properties: `key=value`, `key: value` or `key value` in each line;
/// `#` and `!` begin comments, a backslash at the end of a line continues it.
fn properties(text: &str) -> Result<Vec<(String, String)>, CredentialsError> {
    let mut pairs = Vec::new();
    let mut lines = text.split(['\n', '\r']).enumerate();
    while let Some((number, line)) = lines.next() {
        let mut line = line.trim_start_matches([' ', '\t', '\x0c']).to_owned();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        while line.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1 {
            line.pop();
            let Some((_, next)) = lines.next() else { break };
            line.push_str(next.trim_start_matches([' ', '\t', '\x0c']));
        }
        pairs.push(pair(&line).ok_or(CredentialsError::Escape(number + 1))?);
    }
    Ok(pairs)
}

/// Key and value of a line. `None`: an escape is wrong.
fn pair(line: &str) -> Option<(String, String)> {
    let blank = |c: char| matches!(c, ' ' | '\t' | '\x0c');
    let mut escaped = false;
    let end = line.find(|c: char| {
        let found = !escaped && (blank(c) || matches!(c, '=' | ':'));
        escaped = c == '\\' && !escaped;
        found
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(blank);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(blank);
    Some((unescape(key)?, unescape(rest)?))
}

fn unescape(text: &str) -> Option<String> {
    // As UTF-16, of which escapes may be halves.
    let mut units: Vec<u16> = Vec::new();
    let mut buffer = [0; 2];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '\\' => match chars.next() {
                Some('u') => {
                    let digits: String = chars.by_ref().take(4).collect();
                    let hex = digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_hexdigit());
                    units.push(u16::from_str_radix(&digits, 16).ok().filter(|_| hex)?);
                    continue;
                }
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('f') => '\x0c',
                Some(c) => c,
                None => break,
            },
            c => c,
        };
        units.extend_from_slice(c.encode_utf16(&mut buffer));
    }
    Some(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    #[test]
    fn plain() {
        let expected = json!({
            "user": "root", "name": "Aurora", "failover_timeout": 1_814_400.0, "checkpoint": true,
        });
        assert_eq!(json::to_value(&Framework::default().info()), expected);
    }

    #[test]
    fn everything() {
        let framework = Framework {
            id: Some("f-0000".into()),
            principal: Some("aurora".into()),
            role: Some("www".into()),
            failover_timeout: Duration::from_secs(60),
            hostname: Some("h".into()),
            webui_url: Some("http://h:8081".into()),
            revocable: true,
            gpus: true,
            partition_aware: true,
            ..Framework::default()
        };
        let expected = json!({
            "user": "root", "name": "Aurora", "id": {"value": "f-0000"}, "failover_timeout": 60.0,
            "checkpoint": true, "role": "www", "hostname": "h", "principal": "aurora",
            "webui_url": "http://h:8081",
            "capabilities": [
                {"type": "REVOCABLE_RESOURCES"}, {"type": "GPU_RESOURCES"}, {"type": "PARTITION_AWARE"},
            ],
        });
        assert_eq!(json::to_value(&framework.info()), expected);
    }

    fn pairs(text: &str) -> Vec<(String, String)> {
        properties(text).unwrap()
    }

    #[rstest]
    #[case("a=b", "a", "b")]
    #[case("  a = b ", "a", "b ")]
    #[case("a:b", "a", "b")]
    #[case("a b", "a", "b")]
    #[case("a\t=:b", "a", ":b")]
    #[case("a", "a", "")]
    #[case("a==b", "a", "=b")]
    #[case(r"a\=b=c", "a=b", "c")]
    #[case(r"a\:b c", "a:b", "c")]
    #[case(r"a=\u0041\u00e9", "a", "Aé")]
    #[case(r"a=\ud83d\ude00", "a", "😀")]
    #[case(r"a=x\ty\\z\q", "a", "x\ty\\zq")]
    #[case("a=b\\\n   c", "a", "bc")]
    #[case("a=b\\\\\n", "a", "b\\")]
    #[case("# x=y\n! z\n\na=b\r\n", "a", "b")]
    fn lines(#[case] text: &str, #[case] key: &str, #[case] value: &str) {
        assert_eq!(pairs(text), [(key.to_owned(), value.to_owned())]);
    }

    #[rstest]
    #[case("", CredentialsError::Missing(PRINCIPAL))]
    #[case("aurora_authentication_principal=p", CredentialsError::Missing(SECRET))]
    #[case(
        "aurora_authentication_principal=p\naurora_authentication_secret=",
        CredentialsError::Missing(SECRET)
    )]
    #[case(
        "aurora_authentication_principal=p:q\naurora_authentication_secret=s",
        CredentialsError::Colon
    )]
    #[case("\na=\\u12", CredentialsError::Escape(2))]
    #[case("a=\\u+123", CredentialsError::Escape(1))]
    fn wrong(#[case] text: &str, #[case] error: CredentialsError) {
        assert_eq!(Credentials::parse(text), Err(error));
    }

    #[test]
    fn credentials() {
        let text = "aurora_authentication_principal=aurora\naurora_authentication_secret=s3cret\n";
        let credentials = Credentials::parse(text).unwrap();
        assert_eq!(credentials.authorization(), "Basic YXVyb3JhOnMzY3JldA==");
        assert_eq!(format!("{credentials:?}"), "Credentials(aurora, …)");
    }

    proptest! {
        #[test]
        fn no_panic(text: String) {
            let _ = Credentials::parse(&text);
        }
    }
}
