//! Finding a cluster's scheduler.
//!
//! Source of behaviour: scheduler reference, "clusters.json", and the recorded cases `zk-*`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use crate::clusters::Finding;
use crate::context::Context;
use crate::exit::Failure;
use crate::world::Node;

/// So long a look into ZooKeeper waits for a scheduler.
const MAX_LOOK: Duration = Duration::from_secs(10);

/// So long a call looks.
const MAX_LOOKS: Duration = Duration::from_secs(60);

/// Pause between two glances.
const PAUSE: Duration = Duration::from_secs(1);

/// What the names of leading schedulers' nodes start with. Those of candidates start otherwise.
const MEMBER: &str = "member_";

/// The addresses that were found, until a call to one fails.
#[derive(Debug, Default)]
pub(crate) struct Schedulers(BTreeMap<String, String>);

impl Schedulers {
    /// An address is not to be trusted any longer.
    pub(crate) fn forget(&mut self, cluster: &str) {
        self.0.remove(cluster);
    }
}

/// Why there is no address.
#[derive(Debug)]
pub(crate) enum Missing {
    /// Not now.
    Absent,
    /// Never.
    Failure(Failure),
}

impl Context<'_> {
    /// The address of a cluster's scheduler.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn scheduler(&mut self, cluster: &str) -> Result<String, Failure> {
        self.find(cluster).map_err(|missing| match missing {
            Missing::Failure(failure) => failure,
            Missing::Absent => Failure::new(
                crate::exit::code::NETWORK,
                format!("Timed out trying to connect to scheduler at {cluster}"),
            ),
        })
    }

    /// The address of a cluster's scheduler, looked up for a minute at most.
    pub(crate) fn find(&mut self, cluster: &str) -> Result<String, Missing> {
        let finding = self.cluster(cluster).map_err(Missing::Failure)?.finding.clone();
        let (servers, path) = match finding {
            Finding::Address(address) => return Ok(address),
            Finding::Nowhere(why) => return Err(Missing::Failure(Failure::Fatal(why))),
            Finding::ZooKeeper(servers, path) => (servers, path),
        };
        if let Some(known) = self.schedulers.0.get(cluster) {
            return Ok(known.clone());
        }
        let start = self.world.now();
        while self.world.now().saturating_sub(start) < MAX_LOOKS {
            match self.look(&servers, &path).map_err(Missing::Failure)? {
                Ok(address) => {
                    self.schedulers.0.insert(cluster.to_owned(), address.clone());
                    return Ok(address);
                }
                Err(None) => {
                    self.warn(format_args!(
                        "Could not connect to scheduler: No schedulers detected in {cluster}!"
                    ));
                }
                Err(Some(why)) => {
                    self.warn(format_args!("Could not connect to scheduler: {why}"));
                }
            }
        }
        Err(Missing::Absent)
    }

    /// Looks until there is a scheduler or it is time to say so. The inner error is why it cannot
    /// be known.
    fn look(
        &mut self,
        servers: &str,
        path: &str,
    ) -> Result<Result<String, Option<String>>, Failure> {
        let start = self.world.now();
        loop {
            let outcome = match self.world.nodes(servers, path) {
                Ok(nodes) => leader(&nodes).transpose().unwrap_or(Err(String::new())),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
                    return Err(Failure::Interrupted);
                }
                Err(error) => Err(format!("ZooKeeper at {servers}: {error}")),
            };
            match outcome {
                Ok(address) => return Ok(Ok(address)),
                Err(why) if self.world.now().saturating_sub(start) >= MAX_LOOK => {
                    return Ok(Err(Some(why).filter(|why| !why.is_empty())));
                }
                Err(_) => self.world.sleep(PAUSE)?,
            }
        }
    }
}

/// The address of the leading scheduler among the nodes of a path, if one leads.
///
/// A node says where pages are served in its additional endpoint `https` or `http`. Without one it
/// is the service endpoint, to which schedulers send their readers in any case.
///
/// # Errors
/// The leader's node is no description of a scheduler: a sentence.
pub(crate) fn leader(nodes: &[Node]) -> Result<Option<String>, String> {
    let members = nodes.iter().filter(|node| node.name.starts_with(MEMBER));
    let Some(node) = members.min_by_key(|node| &node.name) else { return Ok(None) };
    let strange = |what: &str| format!("the scheduler's node {} {what}", node.name);
    let member: Value = serde_json::from_slice(&node.data)
        .map_err(|error| strange(&format!("is no JSON: {error}")))?;
    let address = |scheme: &str, endpoint: &Value| -> Option<String> {
        let host = endpoint.get("host")?.as_str().filter(|host| !host.is_empty())?;
        let port = endpoint.get("port")?.as_u64().and_then(|port| u16::try_from(port).ok())?;
        Some(match host.contains(':') {
            true => format!("{scheme}://[{host}]:{port}"),
            false => format!("{scheme}://{host}:{port}"),
        })
    };
    let additional = |scheme: &str| {
        let endpoint = member.get("additionalEndpoints").and_then(|all| all.get(scheme))?;
        address(scheme, endpoint)
    };
    additional("https")
        .or_else(|| additional("http"))
        .or_else(|| address("http", member.get("serviceEndpoint")?))
        .map(Some)
        .ok_or_else(|| strange("names no address"))
}

/// An address with its last part replaced: `http://h/a/b` and `c` are `http://h/a/c`.
pub(crate) fn beside(base: &str, last: &str) -> String {
    let path = base.find("://").map_or(0, |scheme| scheme + 3);
    match base[path..].rfind('/') {
        Some(slash) => format!("{}/{last}", &base[..path + slash]),
        None => format!("{base}/{last}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (base, expected) in [
            ("http://s:8081", "http://s:8081/api"),
            ("http://s:8081/", "http://s:8081/api"),
            ("http://s:8081/some/path", "http://s:8081/some/api"),
            ("https://p/x/", "https://p/x/api"),
            ("s", "s/api"),
        ] {
            assert_eq!(beside(base, "api"), expected);
        }
    }

    fn node(name: &str, data: &str) -> Node {
        Node { name: name.to_owned(), data: data.as_bytes().to_vec() }
    }

    #[test]
    fn leaders() {
        let service = r#""serviceEndpoint": {"host": "s", "port": 1}"#;
        let http = r#""http": {"host": "h", "port": 2}"#;
        for (data, expected) in [
            (format!("{{{service}, \"additionalEndpoints\": {{{http}}}}}"), "http://h:2"),
            (
                format!(
                    "{{{service}, \"additionalEndpoints\": {{{http}, \
                     \"https\": {{\"host\": \"t\", \"port\": 3}}}}, \"shard\": 0}}"
                ),
                "https://t:3",
            ),
            (format!("{{{service}, \"additionalEndpoints\": {{}}}}"), "http://s:1"),
            (r#"{"serviceEndpoint": {"host": "::1", "port": 1}}"#.to_owned(), "http://[::1]:1"),
        ] {
            let nodes =
                [node("singleton_candidate_0000000003", "x"), node("member_0000000001", &data)];
            assert_eq!(leader(&nodes), Ok(Some(expected.to_owned())), "{data}");
        }
    }

    #[test]
    fn the_oldest_leads_if_it_can_be_understood() {
        let other = r#"{"serviceEndpoint": {"host": "a", "port": 1}}"#;
        let nodes = [node("member_0000000009", other), node("member_0000000010", "x")];
        assert_eq!(leader(&nodes), Ok(Some("http://a:1".to_owned())));
        assert!(leader(&nodes[1..]).unwrap_err().contains("member_0000000010 is no JSON"));
        let empty = [node("member_0000000010", r#"{"serviceEndpoint": {"port": 1}}"#)];
        assert!(leader(&empty).unwrap_err().contains("names no address"));
        assert_eq!(leader(&[]), Ok(None));
    }
}
