//! Where masters are.
//!
//! [`Masters`] is what the flag says; [`Masters::watch`] makes a place of it where the answer can be
//! found at any time. That is the seam: whatever writes a list of [`Endpoint`]s into a
//! [`tokio::sync::watch`] channel can find masters for a [`Client`](crate::Client).

use std::fmt;

use mesos_executor::environment::{Endpoint, Token};
use tokio::sync::watch;

use crate::json;
use crate::v1::MasterInfo;

/// The port of a master where none is named.
const PORT: u16 = 5050;

/// The port of a ZooKeeper server where none is named.
const ZOOKEEPER_PORT: u16 = 2181;

/// What the names of masters' nodes begin with; ten digits follow. Nodes with the older binary
/// content are named `info_…`.
const PREFIX: &str = "json.info_";

/// Where to look for masters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Masters {
    /// Here. One that does not lead says who does.
    Fixed(Vec<Endpoint>),
    /// In ZooKeeper, where the leader is the oldest of those that are there.
    ZooKeeper(Ensemble),
}

/// A directory in ZooKeeper.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ensemble {
    /// The servers.
    pub servers: Vec<Endpoint>,
    /// The directory, an absolute path.
    pub path: String,
    /// `user:password` for the digest scheme.
    pub credentials: Option<Token>,
}

/// Why a text does not say where masters are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// This is not `host` or `host:port`.
    Endpoint(String),
    /// There is no path behind the servers.
    Path,
    /// What is before the `@` is not `user:password`.
    Credentials,
    /// This program was built without ZooKeeper.
    Unsupported,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(text) => write!(
                f,
                "{text:?} is not host:port; masters are named as host:port,… or as \
                 zk://user:password@host:port,…/path"
            ),
            Self::Path => f.write_str("zk://… has no path behind the servers, such as /mesos"),
            Self::Credentials => f.write_str("what is before the @ of zk://… is not user:password"),
            Self::Unsupported => f.write_str("this program was built without ZooKeeper"),
        }
    }
}

impl std::error::Error for Error {}

impl Masters {
    /// Reads `host:port`, several of them with commas, or `zk://[user:password@]host:port,…/path`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        let Some(rest) = text.strip_prefix("zk://") else {
            return Ok(Self::Fixed(endpoints(text, PORT)?));
        };
        let (authority, path) = match rest.find('/') {
            Some(place) => rest.split_at(place),
            None => return Err(Error::Path),
        };
        let path = path.trim_end_matches('/');
        if path.is_empty() || path.contains("//") {
            return Err(Error::Path);
        }
        let (credentials, servers) = match authority.rsplit_once('@') {
            Some((pair, servers)) => {
                let fine = pair.split_once(':').is_some_and(|(user, _)| !user.is_empty());
                let token = Token::new(pair).filter(|_| fine).ok_or(Error::Credentials)?;
                (Some(token), servers)
            }
            None => (None, authority),
        };
        let servers = endpoints(servers, ZOOKEEPER_PORT)?;
        Ok(Self::ZooKeeper(Ensemble { servers, path: path.to_owned(), credentials }))
    }

    /// Begins to look, in a task of the current tokio runtime that ends with the last receiver.
    pub fn watch(&self) -> Result<watch::Receiver<Vec<Endpoint>>, Error> {
        match self {
            Self::Fixed(endpoints) => Ok(watch::channel(endpoints.clone()).1),
            #[cfg(feature = "zookeeper")]
            Self::ZooKeeper(ensemble) => Ok(crate::zookeeper::watch(ensemble.clone())),
            #[cfg(not(feature = "zookeeper"))]
            Self::ZooKeeper(_) => Err(Error::Unsupported),
        }
    }
}

fn endpoints(text: &str, port: u16) -> Result<Vec<Endpoint>, Error> {
    let endpoint = |text: &str| {
        let text = text.trim();
        let alone = || Endpoint::parse(&format!("{text}:{port}"));
        Endpoint::parse(text).or_else(alone).ok_or_else(|| Error::Endpoint(text.to_owned()))
    };
    text.split(',').map(endpoint).collect()
}

/// The node of the leader: of those that masters make the one with the smallest number.
pub fn leader<'a>(nodes: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let number = |node: &&str| node.strip_prefix(PREFIX).and_then(sequence);
    nodes.into_iter().filter(|node| number(node).is_some()).min_by_key(number)
}

/// ZooKeeper counts in 32 bits with a sign, so that after 2³¹ nodes numbers are negative.
fn sequence(digits: &str) -> Option<u32> {
    let wide = digits.len() >= 10;
    let number: i32 = digits.parse().ok().filter(|_| wide && !digits.starts_with('+'))?;
    Some(number as u32)
}

/// Where the master is that has written this into its node.
pub fn endpoint(data: &[u8]) -> Option<Endpoint> {
    let info: MasterInfo = json::from_slice(data).ok()?;
    let (host, port) = match &info.address {
        Some(address) => {
            let host = address.ip.clone().or_else(|| address.hostname.clone());
            (host, u16::try_from(address.port).ok()?)
        }
        // In the byte order of the machine that it was made on, which is nearly always this.
        None => {
            let [a, b, c, d] = info.ip.to_le_bytes();
            (Some(format!("{a}.{b}.{c}.{d}")), u16::try_from(info.port).ok()?)
        }
    };
    let host = host.filter(|host| !host.is_empty())?;
    Endpoint::parse(&Endpoint { host, port }.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn at(texts: &[&str]) -> Vec<Endpoint> {
        texts.iter().map(|text| Endpoint::parse(text).unwrap()).collect()
    }

    #[rstest]
    #[case("127.0.0.1:5050", &["127.0.0.1:5050"])]
    #[case("a,b:1, c:2", &["a:5050", "b:1", "c:2"])]
    #[case("[::1]:5051,[::2]", &["[::1]:5051", "[::2]:5050"])]
    fn fixed(#[case] text: &str, #[case] expected: &[&str]) {
        assert_eq!(Masters::parse(text), Ok(Masters::Fixed(at(expected))));
    }

    #[rstest]
    #[case("zk://a:2181/mesos", &["a:2181"], "/mesos", None)]
    #[case("zk://a,b:1/x/y/", &["a:2181", "b:1"], "/x/y", None)]
    #[case("zk://user:pa@ss:word@a/mesos", &["a:2181"], "/mesos", Some("user:pa@ss:word"))]
    fn zookeeper(
        #[case] text: &str,
        #[case] servers: &[&str],
        #[case] path: &str,
        #[case] credentials: Option<&str>,
    ) {
        let credentials = credentials.and_then(Token::new);
        let expected = Ensemble { servers: at(servers), path: path.to_owned(), credentials };
        assert_eq!(Masters::parse(text), Ok(Masters::ZooKeeper(expected)));
    }

    #[rstest]
    #[case("", Error::Endpoint("".into()))]
    #[case("a,,b", Error::Endpoint("".into()))]
    #[case("a:b", Error::Endpoint("a:b".into()))]
    #[case("http://a:1", Error::Endpoint("http://a:1".into()))]
    #[case("zk://a:1", Error::Path)]
    #[case("zk://a:1/", Error::Path)]
    #[case("zk://a:1//x", Error::Path)]
    #[case("zk:///mesos", Error::Endpoint("".into()))]
    #[case("zk://user@a/mesos", Error::Credentials)]
    #[case("zk://:pass@a/mesos", Error::Credentials)]
    fn wrong(#[case] text: &str, #[case] error: Error) {
        assert_eq!(Masters::parse(text), Err(error));
    }

    #[rstest]
    #[case(&[], None)]
    #[case(&["log_replicas", "info_0000000001", "json.info_1"], None)]
    #[case(&["json.info_0000000010", "json.info_0000000009"], Some("json.info_0000000009"))]
    #[case(&["json.info_-2147483648", "json.info_2147483647"], Some("json.info_2147483647"))]
    #[case(&["json.info_+000000001", "json.info_0000000002"], Some("json.info_0000000002"))]
    fn leaders(#[case] nodes: &[&str], #[case] expected: Option<&str>) {
        assert_eq!(leader(nodes.iter().copied()), expected);
    }

    /// Recorded from a master.
    const NODE: &str = r#"{"address":{"hostname":"h","ip":"10.0.0.1","port":5051},"capabilities":[{"type":"AGENT_UPDATE"},{}],"hostname":"h","id":"a","ip":16777343,"pid":"master@10.0.0.1:5051","port":5051,"version":"1.11.0"}"#;

    #[rstest]
    #[case(NODE, Some("10.0.0.1:5051"))]
    #[case(r#"{"id":"a","ip":16777343,"port":5050}"#, Some("127.0.0.1:5050"))]
    #[case(r#"{"id":"a","ip":0,"port":1,"address":{"hostname":"h","port":7}}"#, Some("h:7"))]
    #[case(r#"{"id":"a","ip":0,"port":1,"address":{"ip":"::1","port":7}}"#, Some("[::1]:7"))]
    #[case(r#"{"id":"a","ip":0,"port":1,"address":{"hostname":"a b","port":7}}"#, None)]
    #[case(r#"{"id":"a","ip":0,"port":1,"address":{"hostname":"a","port":70000}}"#, None)]
    #[case(r#"{"id":"a"}"#, None)]
    #[case("\u{1}", None)]
    fn nodes(#[case] data: &str, #[case] expected: Option<&str>) {
        assert_eq!(endpoint(data.as_bytes()), expected.and_then(Endpoint::parse));
    }

    proptest! {
        #[test]
        fn no_panic(text: String, data: Vec<u8>) {
            let _ = (Masters::parse(&text), Masters::parse(&format!("zk://{text}")));
            let _ = (endpoint(&data), leader([text.as_str()]));
        }
    }
}
