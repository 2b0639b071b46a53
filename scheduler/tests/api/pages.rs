//! Pages for people and monitors ("Discovery, HTTP").

use serde_json::json;

use crate::server::{Cluster, Server};
use crate::{create, is_running, job, told};

/// Line 7.
#[test]
fn shapes_of_pages() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), Cluster::Obedient, &[]);
    assert_eq!(told(&create(&server, job("a", 2))), "OK");
    let mut large = job("b", 1);
    let resources = &mut large.task_config.as_mut().unwrap().resources;
    resources.as_mut().unwrap().insert(aurora_api::api::Resource::NamedPort("http".into()));
    large.task_config.as_mut().unwrap().tier = Some("preferred".into());
    create(&server, large);
    server.wait_for("tasks to run", |s| is_running(s, "a", 2) && is_running(s, "b", 1));

    assert_eq!(server.get("/health"), (200, "OK\n".to_owned()));
    let (status, text) = server.get("/leaderhealth");
    assert!(status == 200 && text.starts_with("Current status: This is the leading scheduler."));
    let tiers = json!({
        "default": "preemptible",
        "tiers": {
            "preemptible": {"preemptible": true, "revocable": false},
            "preferred": {"preemptible": false, "revocable": false},
            "revocable": {"preemptible": true, "revocable": true},
        }
    });
    assert_eq!(server.json("/tiers"), tiers);
    let none = json!({"DRAINED": [], "SCHEDULED": [], "DRAINING": {}});
    assert_eq!(server.json("/maintenance"), none);
    assert_eq!(server.json("/cron"), json!({"scheduled": {}}));
    assert_eq!(server.json("/quotas"), json!({}));
    assert_eq!(server.json("/pendingtasks"), json!([]));
    let state = server.json("/state");
    assert_eq!(state["taskConfigs"].as_object().unwrap().len(), 2);
    let keys: usize = state["agents"]
        .as_object()
        .unwrap()
        .values()
        .map(|keys| keys.as_array().unwrap().len())
        .sum();
    assert_eq!(keys, 3);
    server.wait_for("offers", |s| s.json("/offers").as_array().unwrap().len() == 4);
    let offers = server.json("/offers");
    let offer = &offers[0];
    assert!(offer["hostname"].as_str().unwrap().ends_with(".example"), "{offer}");
    assert_eq!(
        offer["resources"][0],
        json!({"name": "cpus", "type": "SCALAR", "scalar": {"value": 1000.0}})
    );
    assert_eq!(offer["attributes"][0]["text"]["value"], "a");
    for path in ["/agents", "/slaves"] {
        let (status, page) = server.get(path);
        assert!(
            status == 200 && page.contains("rack=[a]") && page.contains("agent-0.example"),
            "{page}"
        );
    }
    let (status, page) = server.get("/");
    assert!(status == 200 && page.contains("href=\"/vars\""));
    assert_eq!(server.get("/nothing").0, 404);
}

#[test]
fn a_group_that_waits() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), Cluster::Empty, &[]);
    create(&server, job("a", 2));
    let groups = server.json("/pendingtasks");
    assert_eq!(groups[0]["name"], "www/prod/a");
    assert_eq!(groups[0]["taskIds"].as_array().unwrap().len(), 2);
    assert_eq!(groups[0]["reason"], "[]");
    assert!(groups[0]["penaltyMs"].is_number());
}

#[test]
fn variables() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), Cluster::Obedient, &[]);
    create(&server, job("a", 2));
    server.wait_for("tasks to run", |s| is_running(s, "a", 2));
    let all = server.json("/vars.json");
    assert_eq!(all["framework_registered"], 1);
    assert_eq!(all["scheduler_lifecycle_ACTIVE"], 1);
    assert_eq!(all["scheduler_lifecycle_DEAD"], 0);
    assert_eq!(all["task_store_RUNNING"], 2);
    assert_eq!(all["flag_cluster_name"], "test");
    assert!(all["scheduler_thrift_response_OK"].as_u64().unwrap() > 0);
    assert!(all["scheduler_log_entries_written"].as_u64().unwrap() > 0);
    assert!(all["scheduler_resource_offers"].as_u64().unwrap() >= 4);
    let (status, text) = server.get("/vars");
    assert_eq!(status, 200);
    let lines: Vec<_> = text.lines().collect();
    assert!(lines.contains(&"task_store_RUNNING 2"), "{text}");
    let mut sorted = lines.clone();
    sorted.sort_unstable();
    assert_eq!(lines, sorted);
    let (_, pretty) = server.get("/vars.json?pretty=true");
    assert!(pretty.contains("\n  \"framework_registered\": 1"), "{pretty}");
}

/// Line 9.
#[test]
fn readable_calls() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), Cluster::Empty, &[]);
    let call = |method: &str, body: &str| {
        let (status, _, body) = server.post(&format!("/apibeta/{method}"), "", body.as_bytes());
        (status, serde_json::from_slice::<serde_json::Value>(&body).unwrap())
    };
    let (status, answer) = call("getTierConfigs", "");
    assert_eq!(status, 200);
    assert_eq!(answer["responseCode"], "OK");
    assert_eq!(answer["serverInfo"]["clusterName"], "test");
    assert_eq!(answer["result"]["getTierConfigResult"]["defaultTierName"], "preemptible");
    create(&server, job("a", 2));
    let body = r#"{"query": {"role": "www", "statuses": ["PENDING"]}}"#;
    let (status, answer) = call("getTasksStatus", body);
    assert_eq!(status, 200);
    assert_eq!(answer["result"]["scheduleStatusResult"]["tasks"].as_array().unwrap().len(), 2);
    let body = r#"{"job": {"role": "www", "environment": "prod", "name": "a"}, "instances": [0], "message": "x"}"#;
    assert_eq!(call("killTasks", body).0, 200);
    let detail = |(status, answer): (u16, serde_json::Value)| {
        assert_eq!(answer["responseCode"], "ERROR");
        (status, answer["details"][0]["message"].as_str().unwrap().to_owned())
    };
    let expect = |status, text: &str| (status, text.to_owned());
    assert_eq!(detail(call("getLocks", "{}")), expect(404, "Method getLocks does not exist."));
    assert_eq!(detail(call("getJobs", "{")), expect(400, "Request must be valid JSON"));
    let object = "Request data must be a JSON object of method parameters.";
    assert_eq!(detail(call("getJobs", "[1]")), expect(400, object));
    let (status, text) = detail(call("getJobs", r#"{"ownerRole": {"a": 1}}"#));
    assert!(status == 400 && text.starts_with("Failed to parse parameter"), "{text}");
    let (status, head, _) =
        server.http(b"GET /apibeta HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n");
    assert!(status == 303 && head.contains("location: /apihelp/index.html"), "{head}");
    assert!(server.get("/apihelp/index.html").1.contains("createJob"));
}

/// Line 6.
#[test]
fn other_sites_may_be_let_in() {
    let dir = tempfile::tempdir().unwrap();
    let flags = ["-enable_cors_for=http://ui.example"];
    let server = Server::start(dir.path(), Cluster::Empty, &flags);
    let call = br#"[1,"getTierConfigs",1,0,{}]"#;
    let (status, head, _) = server.post("/api", "Origin: http://ui.example\r\n", call);
    assert_eq!(status, 200);
    for line in [
        "access-control-allow-origin: http://ui.example",
        "access-control-allow-methods: delete,get,head,options,post,put",
        "access-control-allow-headers: accept,content-type,origin,x-requested-with",
    ] {
        assert!(head.contains(line), "{head}");
    }
    let (_, head, _) = server.post("/apibeta/getTierConfigs", "", b"");
    assert!(!head.contains("access-control"), "{head}");
}

/// Line 8.
#[test]
fn compression_and_keep_alive() {
    use std::io::{Read, Write};
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), Cluster::Empty, &[]);
    create(&server, job("a", 200));
    let call = br#"[1,"getTasksStatus",1,0,{"1":{"rec":{}}}]"#;
    let (_, _, plain) = server.post("/api", "", call);
    let (status, head, packed) = server.post("/api", "Accept-Encoding: gzip\r\n", call);
    assert_eq!(status, 200);
    assert!(head.contains("content-encoding: gzip"), "{head}");
    assert!(packed.len() * 5 < plain.len(), "{} {}", packed.len(), plain.len());
    // The 27 bytes of a call without arguments, twice over one connection.
    let call = b"\x80\x01\x00\x01\x00\x00\x00\x0egetRoleSummary\x00\x00\x00\x00\x00";
    let mut stream = std::net::TcpStream::connect(server.address).unwrap();
    for _ in 0..2 {
        let head = format!(
            "POST /api HTTP/1.1\r\nHost: s\r\n{}Content-Length: {}\r\n\r\n",
            crate::server::BINARY,
            call.len()
        );
        stream.write_all(&[head.as_bytes(), call].concat()).unwrap();
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer).unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200"), "{:?}", &answer[..length.min(40)]);
    }
}

#[test]
fn the_end_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), Cluster::Empty, &[]);
    create(&server, job("a", 1));
    let (status, _, body) = server.post("/quitquitquit", "", b"");
    assert_eq!((status, &*body), (200, &b"Notifying quit listener.\n"[..]));
    server.wait().unwrap();
}
