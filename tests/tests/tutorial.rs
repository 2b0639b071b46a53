//! The tutorial, as its reader does it: jobs in `.aurora` files, the client, the scheduler, a real
//! Mesos, the executor; and the log of what runs, read where the cluster's own pages read it.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use thermos_tests::masters::Real;
use thermos_tests::scheduler::{ROLE, Scheduler, directory};
use thermos_tests::{program, wait_for, workspace};

const LIMIT: Duration = Duration::from_secs(60);

/// A user's directory with the tutorial's files and the clusters that the client knows.
struct Reader<'a> {
    home: PathBuf,
    mesos: &'a Real,
}

impl Reader<'_> {
    fn new<'a>(home: &Path, scheduler: &Scheduler, mesos: &'a Real) -> Reader<'a> {
        for file in fs::read_dir(workspace().join("fixtures/tutorial")).unwrap().flatten() {
            fs::copy(file.path(), home.join(file.file_name())).unwrap();
        }
        let clusters = serde_json::json!([{
            "name": "test",
            "scheduler_uri": format!("http://{}", scheduler.address()),
            "auth_mechanism": "UNAUTHENTICATED",
        }]);
        fs::create_dir(home.join(".aurora")).unwrap();
        fs::write(home.join(".aurora/clusters.json"), clusters.to_string()).unwrap();
        Reader { home: home.to_owned(), mesos }
    }

    /// A command of the client: its exit code and both its outputs.
    fn aurora(&self, line: &str) -> (i32, String) {
        let output = Command::new(program("aurora", "aurora-client"))
            .args(line.split(' '))
            .current_dir(&self.home)
            .env("HOME", &self.home)
            .env("TUTORIAL", &self.home)
            .env("USER", ROLE)
            .env("AURORA_CONFIG_ROOT", &self.home)
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    }

    /// A command that succeeds, and what it prints.
    fn done(&self, line: &str) -> String {
        let (code, text) = self.aurora(line);
        assert_eq!(code, 0, "aurora {line}: {text}");
        text
    }

    /// What instance 0 of a job of this name has written, from its agent.
    fn log(&self, name: &str) -> String {
        let agents = get(self.mesos.address(), "/slaves");
        let agent = agents["slaves"][0]["pid"].as_str().unwrap().split('@').nth(1).unwrap();
        let agent = agent.parse().unwrap();
        let state = get(agent, "/state");
        let each = |value: &Value, field: &str| value[field].as_array().unwrap().clone();
        let mut executors =
            each(&state, "frameworks").into_iter().flat_map(|it| each(&it, "executors"));
        let id = format!("-{name}-0-");
        let ours = executors.find(|it| it["id"].as_str().unwrap().contains(&id)).unwrap();
        let sandbox = ours["directory"].as_str().unwrap();
        let path = format!("{sandbox}/sandbox/.logs/hello_world/0/stdout");
        let read = format!("/files/read?path={path}&offset=0&length=4096");
        get(agent, &read)["data"].as_str().unwrap_or_default().to_owned()
    }
}

/// A page in JSON.
fn get(address: std::net::SocketAddr, path: &str) -> Value {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    serde_json::from_str(body).unwrap_or_default()
}

#[test]
fn hello_world_and_its_production() {
    let mesos = Real::start(&[]);
    let place = directory();
    let scheduler = Scheduler::start(place.path(), &mesos.address().to_string(), &[]);
    let home = directory();
    let reader = Reader::new(home.path(), &scheduler, &mesos);

    // What is in the file.
    let key = format!("test/{ROLE}/devel/hello_world");
    assert_eq!(
        reader.done("config list hello_world.aurora").lines().last(),
        Some(&*format!("jobs=[{key}]"))
    );
    let inspected = reader.done(&format!("job inspect {key} hello_world.aurora"));
    assert!(inspected.contains("hello_world.sh {{mesos.instance}}"), "{inspected}");

    // It runs, and says so.
    reader.done(&format!("job create --wait-until=RUNNING {key} hello_world.aurora"));
    let status = reader.done(&format!("job status {key}"));
    assert!(status.contains("RUNNING") && status.contains("CPU: 0.1 core(s)"), "{status}");
    let listed = reader.done(&format!("job list test/{ROLE}"));
    assert!(listed.contains(&key), "{listed}");
    wait_for("its log", LIMIT, || {
        let log = reader.log("hello_world");
        (log.lines().count() > 1)
            .then(|| assert!(log.starts_with("Hello world, this is instance 0.\n"), "{log}"))
    });

    // It cannot be created twice, does not differ from its file, and gets a second instance.
    let (code, text) = reader.aurora(&format!("job create {key} hello_world.aurora"));
    assert!(code == 4 && text.contains("already exists"), "{code}: {text}");
    reader.done(&format!("job add --wait-until=RUNNING {key}/0 1"));
    assert_eq!(scheduler.statuses().get("RUNNING"), Some(&2));
    reader.done(&format!("job restart --watch-secs=1 {key}/0"));
    reader.done(&format!("job kill {key}/1"));
    reader.done(&format!("job killall {key}"));
    let (_, status) = reader.aurora(&format!("job status {key}"));
    assert!(status.contains("Active tasks (0)") && status.contains("status: KILLED"), "{status}");

    // The same again: what is left of the second instance is not waited for.
    reader.done(&format!("job create --wait-until=RUNNING {key} hello_world.aurora"));
    reader.done(&format!("job killall {key}"));

    // The file that includes it.
    for (environment, count) in [("prod", 3), ("staging1", 1)] {
        let key = format!("test/{ROLE}/{environment}/hello_world-test");
        reader.done(&format!("job create --wait-until=RUNNING {key} production.aurora"));
        let text = reader.done(&format!("job status {key}"));
        assert!(text.contains(&format!("Active tasks ({count})")), "{text}");
        reader.done(&format!("job killall --batch-size=2 {key}"));
    }
    assert_eq!(scheduler.statuses().get("RUNNING"), None);
    scheduler.stop();
}
