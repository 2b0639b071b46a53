//! Which clusters there are: `clusters.json`.
//!
//! An entry's `auth_mechanism` is not looked at: users are made known by Basic authentication if
//! `~/.netrc` has a password for the scheduler's host. The original takes every mechanism that it was
//! not built with for `UNAUTHENTICATED`, and does the same.
//!
//! Source of behaviour: scheduler reference, "clusters.json", and the recorded cases `clusters-*`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

/// Where clusters are listed for everybody, unless [`ROOT_VARIABLE`] says otherwise.
const ROOT: &str = "/etc/aurora";

/// Names the directory of the list for everybody.
pub const ROOT_VARIABLE: &str = "AURORA_CONFIG_ROOT";

const FILE: &str = "clusters.json";

/// The port of ZooKeeper, unless an entry says another.
const ZOOKEEPER_PORT: u16 = 2181;

/// How a cluster's scheduler is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Through ZooKeeper: servers as `HOST:PORT,…` and the path of the schedulers.
    ZooKeeper(String, String),
    /// At this address.
    Address(String),
    /// Not at all: a sentence that says what the entry lacks.
    Nowhere(String),
}

/// An entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The first part of job keys.
    pub name: String,
    /// How its scheduler is found.
    pub finding: Finding,
    /// What printed addresses start with, in place of the scheduler's own.
    pub proxy_url: Option<String>,
    /// The agents' work directory.
    pub slave_root: Option<String>,
    /// The name of a sandbox that is in use: `latest`.
    pub slave_run_directory: Option<String>,
    /// The registry of images.
    pub docker_registry: Option<String>,
    /// The file that has the entry.
    pub file: PathBuf,
    /// The entry's members as they stand there, for those who print it.
    pub members: Map<String, Value>,
}

/// The clusters by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Clusters(BTreeMap<String, Cluster>);

impl Clusters {
    /// Reads the lists: that for everybody, then the user's own, whose entries replace others of the
    /// same name. A list that does not exist is empty.
    ///
    /// # Errors
    /// A list cannot be read or understood: a sentence with its name.
    pub fn load(root: Option<&str>, home: Option<&Path>) -> Result<Clusters, String> {
        let mut clusters = Clusters::default();
        let root = root.filter(|root| !root.is_empty()).unwrap_or(ROOT);
        let root = Path::new(root).join(FILE);
        let own = home.map(|home| home.join(".aurora").join(FILE));
        for file in [Some(root), own].into_iter().flatten() {
            match std::fs::read(&file) {
                Ok(text) => clusters.add(&file, &text)?,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(format!("Cannot read {}: {error}", file.display())),
            }
        }
        Ok(clusters)
    }

    /// Adds the entries of a list: an array of them, or an object whose members they are. Those
    /// without a name are nobody's.
    ///
    /// # Errors
    /// It is no such list: a sentence.
    pub fn add(&mut self, file: &Path, text: &[u8]) -> Result<(), String> {
        let name = file.display();
        let list: Value = serde_json::from_slice(text)
            .map_err(|error| format!("Unable to parse {name}: {error}"))?;
        let entries: Vec<Value> = match list {
            Value::Array(entries) => entries,
            Value::Object(members) => members.into_iter().map(|(_, entry)| entry).collect(),
            _ => return Err(format!("Unable to parse {name}: it is no list of clusters")),
        };
        for (position, entry) in entries.into_iter().enumerate() {
            let Value::Object(members) = entry else {
                return Err(format!("Unable to parse {name}: entry {} is no object", position + 1));
            };
            let entry = Entry { file, members: &members };
            let Some(cluster) = entry.text("name")? else { continue };
            let cluster = Cluster {
                finding: entry.finding()?,
                proxy_url: entry.text("proxy_url")?,
                slave_root: entry.text("slave_root")?,
                slave_run_directory: entry.text("slave_run_directory")?,
                docker_registry: entry.text("docker_registry")?,
                file: file.to_owned(),
                name: cluster,
                members: members.clone(),
            };
            self.0.insert(cluster.name.clone(), cluster);
        }
        Ok(())
    }

    /// The cluster of a name.
    ///
    /// # Errors
    /// There is none: a sentence.
    pub fn get(&self, name: &str) -> Result<&Cluster, String> {
        self.0.get(name).ok_or_else(|| format!("Unknown cluster: {name}"))
    }

    /// All, by name.
    pub fn all(&self) -> impl Iterator<Item = &Cluster> {
        self.0.values()
    }
}

struct Entry<'e> {
    file: &'e Path,
    members: &'e Map<String, Value>,
}

impl Entry<'_> {
    fn text(&self, member: &str) -> Result<Option<String>, String> {
        match self.members.get(member) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(self.wrong(member, "text", other)),
        }
    }

    fn wrong(&self, member: &str, wanted: &str, found: &Value) -> String {
        let name = self.members.get("name").and_then(Value::as_str).unwrap_or_default();
        format!("{}: cluster {name}: {member} must be {wanted}, not {found}", self.file.display())
    }

    fn port(&self) -> Result<u16, String> {
        let Some(value) = self.members.get("zk_port") else { return Ok(ZOOKEEPER_PORT) };
        let port = match value {
            Value::Number(number) => number.as_u64().and_then(|port| u16::try_from(port).ok()),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        port.ok_or_else(|| self.wrong("zk_port", "a port", value))
    }

    fn finding(&self) -> Result<Finding, String> {
        let text = |member| self.text(member).map(|text| text.filter(|text| !text.is_empty()));
        if let Some(servers) = text("zk")? {
            let port = self.port()?;
            let Some(path) = text("scheduler_zk_path")? else {
                let message = "Error connecting to scheduler: Cluster has no defined scheduler path, \
                               must specify scheduler_zk_path in your cluster config!";
                return Ok(Finding::Nowhere(message.to_owned()));
            };
            let servers: Vec<String> = servers
                .split(',')
                .map(str::trim)
                .filter(|server| !server.is_empty())
                .map(|server| match server.contains(':') {
                    true => server.to_owned(),
                    false => format!("{server}:{port}"),
                })
                .collect();
            return Ok(Finding::ZooKeeper(servers.join(","), path));
        }
        Ok(match text("scheduler_uri")? {
            Some(address) => Finding::Address(address),
            None => Finding::Nowhere(format!(
                "\"cluster\" does not specify zk or scheduler_uri (in {})",
                self.file.display()
            )),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Clusters, String> {
        let mut clusters = Clusters::default();
        clusters.add(Path::new("c.json"), text.as_bytes()).map(|()| clusters)
    }

    #[test]
    fn lists_and_objects() {
        for text in [
            r#"[{"name": "west", "scheduler_uri": "http://s:8081"}]"#,
            r#"{"any": {"name": "west", "scheduler_uri": "http://s:8081"}}"#,
            r#"[{"scheduler_uri": "http://x"}, {"name": "west", "scheduler_uri": "http://s:8081"}]"#,
        ] {
            let clusters = read(text).unwrap();
            assert_eq!(clusters.all().count(), 1, "{text}");
            let west = clusters.get("west").unwrap();
            assert_eq!(west.finding, Finding::Address("http://s:8081".to_owned()));
        }
        assert_eq!(read("[]").unwrap().get("west").unwrap_err(), "Unknown cluster: west");
    }

    #[test]
    fn through_zookeeper() {
        for (entry, servers) in [
            (r#""zk": "a, b""#, "a:2181,b:2181"),
            (r#""zk": "a,b:77", "zk_port": 99"#, "a:99,b:77"),
            (r#""zk": "a", "zk_port": "99", "scheduler_uri": "http://x""#, "a:99"),
        ] {
            let text = format!(r#"[{{"name": "west", "scheduler_zk_path": "/aurora", {entry}}}]"#);
            let found = read(&text).unwrap().get("west").unwrap().finding.clone();
            assert_eq!(found, Finding::ZooKeeper(servers.to_owned(), "/aurora".to_owned()));
        }
        let nowhere = [r#"[{"name": "w", "zk": "a"}]"#, r#"[{"name": "w"}]"#];
        for text in nowhere {
            let found = read(text).unwrap().get("w").unwrap().finding.clone();
            assert!(matches!(found, Finding::Nowhere(_)), "{text}: {found:?}");
        }
    }

    #[test]
    fn what_is_no_list() {
        for (text, part) in [
            ("[{", "Unable to parse c.json: EOF"),
            ("3", "no list"),
            ("[3]", "entry 1 is no object"),
            (r#"[{"name": 3}]"#, "name must be text, not 3"),
            (r#"[{"name": "w", "zk": "a", "zk_port": 70000}]"#, "zk_port must be a port"),
            (r#"[{"name": "w", "scheduler_uri": []}]"#, "cluster w: scheduler_uri must be text"),
        ] {
            let message = read(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn the_users_own_list_wins() {
        let place = tempfile::tempdir().unwrap();
        let own = place.path().join("home/.aurora");
        std::fs::create_dir_all(&own).unwrap();
        let list = |address: &str, other: &str| {
            format!(
                r#"[{{"name": "west", "scheduler_uri": "{address}"}},
                    {{"name": "{other}", "scheduler_uri": "http://o"}}]"#
            )
        };
        std::fs::write(place.path().join(FILE), list("http://a", "all")).unwrap();
        std::fs::write(own.join(FILE), list("http://b", "own")).unwrap();
        let home = place.path().join("home");
        let clusters = Clusters::load(place.path().to_str(), Some(&home)).unwrap();
        let names: Vec<&str> = clusters.all().map(|cluster| &*cluster.name).collect();
        assert_eq!(names, ["all", "own", "west"]);
        let west = clusters.get("west").unwrap();
        assert_eq!(west.finding, Finding::Address("http://b".to_owned()));
        assert!(west.file.starts_with(&home));
    }
}
