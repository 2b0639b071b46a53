//! Pages for people and monitors ("Discovery, HTTP").

use serde_json::json;

use aurora_api::api;

use crate::server::{Cluster, Server};
use crate::{create, get_tasks, is_running, job, kill, query, tasks, told};

/// Line 7.
#[test]
fn shapes_of_pages() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), Cluster::Obedient, &[]);
    assert_eq!(told(&create(&server, job("a", 2))), "OK");
    let mut large = job("b", 1);
    let resources = &mut large.task_config.as_mut().unwrap().resources;
    resources.as_mut().unwrap().insert(api::Resource::NamedPort("http".into()));
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
    // Ranges of ports are one resource, as Mesos has them.
    let range = json!([{"begin": 31000, "end": 31499}, {"begin": 31500, "end": 32000}]);
    let ports = json!({"name": "ports", "type": "RANGES", "ranges": {"range": range}});
    assert_eq!(offer["resources"].as_array().unwrap()[3..], [ports]);
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

/// The cells of the rows of a page's table, without the names of the columns.
fn rows(page: &str) -> Vec<Vec<String>> {
    let plain = |cell: &str| {
        let mut text = String::new();
        let mut in_tag = false;
        for c in cell.chars() {
            match c {
                '<' => in_tag = true,
                '>' if in_tag => in_tag = false,
                c if !in_tag => text.push(c),
                _ => {}
            }
        }
        text
    };
    let rows = page.split("<tr>").skip(2);
    rows.map(|row| row.split("<td>").skip(1).map(plain).collect()).collect()
}

/// Consumption counts active tasks without their executors, as quota does.
#[test]
fn utilization() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), Cluster::Empty, &["-allowed_job_environments=.*"]);
    let with = |name: &str, environment: &str, cpus: f64, tier: &str, dedicated: bool| {
        let mut job = job(name, 2);
        job.key.as_mut().unwrap().environment = Some(environment.into());
        let task = job.task_config.as_mut().unwrap();
        task.job = job.key.clone();
        task.tier = Some(tier.into());
        let resources = [
            api::Resource::NumCpus(cpus.into()),
            api::Resource::RamMb(10),
            api::Resource::DiskMb(100),
        ];
        task.resources = Some(resources.into());
        if dedicated {
            let value = api::ValueConstraint {
                values: Some(["www/*".to_owned()].into()),
                ..Default::default()
            };
            let constraint = api::Constraint {
                name: Some("dedicated".into()),
                constraint: Some(api::TaskConstraint::Value(value)),
                ..Default::default()
            };
            task.constraints = Some([constraint].into());
        }
        assert_eq!(told(&create(&server, job)), "OK");
    };
    with("a", "prod", 1.5, "preferred", false);
    with("a", "test", 0.5, "preemptible", false);
    with("b", "prod", 4.0, "preemptible", true);
    with("gone", "prod", 64.0, "preemptible", false);
    kill(&server, "gone", &[], None);

    let page = |path: &str| {
        let (status, page) = server.get(path);
        assert_eq!(status, 200, "{page}");
        page
    };
    let totals = page("/utilization");
    assert!(totals.contains("href=\"/utilization/free_pool_consumed\""), "{totals}");
    assert_eq!(
        rows(&totals),
        [
            ["Total consumed", "12", "60", "600"],
            ["Dedicated consumed", "8", "20", "200"],
            ["Quota consumed", "3", "20", "200"],
            ["Free pool consumed", "1", "20", "200"],
        ]
    );
    let roles = page("/utilization/total_consumed");
    assert!(roles.contains("href=\"/utilization/total_consumed/www\""), "{roles}");
    assert_eq!(rows(&roles), [["www", "12", "60", "600"]]);
    let jobs = rows(&page("/utilization/TOTAL_consumed/www"));
    assert_eq!(jobs, [["a", "4", "40", "400"], ["b", "8", "20", "200"]]);
    assert_eq!(rows(&page("/utilization/quota_consumed/www")), [["a", "3", "20", "200"]]);
    assert_eq!(rows(&page("/utilization/total_consumed/other")), Vec::<Vec<String>>::new());
    let hostile = page("/utilization/total_consumed/%3Cscript%3E");
    assert!(!hostile.contains("<script>"), "{hostile}");
    for path in ["/utilization/most", "/utilization/most/www"] {
        assert_eq!(server.get(path), (400, "Invalid metric type.".to_owned()));
    }
}

/// Line 7.
#[test]
fn the_way_to_an_instance() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), Cluster::Obedient, &[]);
    let with_ports = |name: &str, ports: &[&str]| {
        let mut job = job(name, 1);
        let resources = job.task_config.as_mut().unwrap().resources.as_mut().unwrap();
        resources.extend(ports.iter().map(|port| api::Resource::NamedPort((*port).into())));
        create(&server, job);
    };
    with_ports("web", &["admin", "http", "other"]);
    with_ports("mute", &["other"]);
    let mut waiting = job("waiting", 1);
    let resources = waiting.task_config.as_mut().unwrap().resources.as_mut().unwrap();
    *resources =
        [api::Resource::NumCpus(5000.0.into()), api::Resource::RamMb(1), api::Resource::DiskMb(1)]
            .into();
    create(&server, waiting);
    server.wait_for("tasks to run", |s| is_running(s, "web", 1) && is_running(s, "mute", 1));

    let web = tasks(&get_tasks(&server, query("web"))).remove(0).assigned_task.unwrap();
    let port = web.assigned_ports.unwrap()["http"];
    let place = format!("http://{}:{port}/", web.slave_host.unwrap());
    let ask = |method: &str, path: &str| {
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        );
        let (status, head, body) = server.http(head.as_bytes());
        let place = head.lines().find_map(|line| line.strip_prefix("location: "));
        (status, place.map(str::to_owned), String::from_utf8(body).unwrap())
    };
    for method in ["GET", "PUT", "POST", "DELETE"] {
        for (path, expected) in
            [("", ""), ("/", ""), ("/a/b%20c?x=1&y", "a/b%20c?x=1&y"), ("?x", "?x"), ("//", "/")]
        {
            let (status, found, _) = ask(method, &format!("/mname/www/prod/web/0{path}"));
            assert_eq!((status, found), (307, Some(format!("{place}{expected}"))), "{path}");
        }
    }
    for (path, problem) in [
        ("web/1", "No such live instance found."),
        ("nothing/0", "No such live instance found."),
        ("waiting/0", "The selected instance is currently in state PENDING"),
        ("mute/0", "The task does not have a registered http port."),
    ] {
        let (status, found, body) = ask("GET", &format!("/mname/www/prod/{path}"));
        assert_eq!((status, found, &*body), (404, None, problem), "{path}");
    }
    for path in ["/mname", "/mname/www", "/mname/www/prod/web", "/mname/www/prod/web/first"] {
        let (status, _, body) = ask("GET", path);
        assert!(status == 400 && body.contains("/mname/ROLE/"), "{path} {status} {body}");
    }
    assert_eq!(ask("PATCH", "/mname/www/prod/web/0").0, 405);
}

/// Line 7.
#[test]
fn what_is_inside() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), Cluster::Obedient, &[]);
    let mut evil = job("a", 1);
    let executor = evil.task_config.as_mut().unwrap().executor_config.as_mut().unwrap();
    executor.data = Some("{\"task\": \"<script>\"}".into());
    create(&server, evil);
    server.wait_for("a task to run", |s| is_running(s, "a", 1));
    let id = tasks(&get_tasks(&server, query("a"))).remove(0).assigned_task.unwrap();
    let id = id.task_id.unwrap();

    let (status, page) = server.get(&format!("/structdump/task/{id}"));
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("&quot;status&quot;: &quot;RUNNING&quot;"), "{page}");
    assert!(page.contains("&quot;numCpus&quot;: 0.1") && !page.contains("<script>"), "{page}");
    for path in ["/structdump/task/none", "/structdump/cron/www/prod/none"] {
        let (status, page) = server.get(path);
        assert!(status == 404 && page.contains("Entity not found"), "{path} {page}");
    }
    assert_eq!(server.get("/structdump").0, 400);

    let services = server.json("/services");
    let services = services.as_array().unwrap();
    assert!(services.iter().all(|it| it["state"] == "RUNNING"), "{services:?}");
    let names = services.iter().map(|it| it["name"].as_str().unwrap());
    assert!(names.collect::<Vec<_>>().contains(&"MesosDriver"));
    let (status, threads) = server.get("/threads");
    assert_eq!(status, 200);
    assert!(threads.lines().count() >= 3, "{threads}");
    let line = |line: &str| line.starts_with('"') && line.contains(" state=");
    assert!(threads.lines().all(line), "{threads}");
}

#[test]
fn variables_over_time() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), Cluster::Obedient, &[]);
    create(&server, job("a", 2));
    server.wait_for("tasks to run", |s| is_running(s, "a", 2));
    let path = "/graphdata?metrics=time,task_store_RUNNING,framework_registered";
    server.wait_for("a sample", |s| s.get(path).0 == 200);
    let newest = |s: &Server| s.json(path)["data"].as_array().unwrap().last().cloned().unwrap();
    server.wait_for("a sample of that", |s| newest(s)[1] == 2);
    let graph = server.json(path);
    assert_eq!(graph["names"], json!(["time", "task_store_RUNNING", "framework_registered"]));
    let since = newest(&server)[0].as_i64().unwrap();
    server.wait_for("the next sample", |s| newest(s)[0].as_i64().unwrap() > since);
    let later = server.json(&format!("{path}&since={since}"));
    let later = later["data"].as_array().unwrap();
    assert!(!later.is_empty());
    assert!(later.iter().all(|row| row[0].as_i64().unwrap() > since), "{later:?}");
    let names = server.json("/graphdata");
    let names: Vec<_> = names.as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    assert!(names.contains(&"task_store_RUNNING") && !names.contains(&"flag_cluster_name"));
    let unknown = (400, r#"{"error":"Unknown metric none"}"#.to_owned());
    assert_eq!(server.get("/graphdata?metrics=none"), unknown);
}

#[test]
fn variables_that_are_drawn() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), Cluster::Obedient, &[]);
    create(&server, job("a", 2));
    server.wait_for("tasks to run", |s| is_running(s, "a", 2));
    let path = "/graphview/chart?query=task_store_RUNNING%20*%2021%0Anone&period=3600";
    let drawn = |s: &Server| s.get(path).1.contains("task_store_RUNNING * 21: 42");
    server.wait_for("two tasks in the chart", drawn);
    let (status, chart) = server.get(path);
    assert!(status == 200 && chart.contains("<polyline"), "{chart}");
    assert!(chart.contains("Unknown metric none"), "{chart}");
    assert!(!chart.contains("<script"), "{chart}");

    for path in ["/graphview", "/graphview/"] {
        let (status, page) = server.get(path);
        assert_eq!(status, 200);
        assert!(page.contains("href=\"/graphview?query=task_store_RUNNING\""), "{page}");
        assert!(!page.contains("<iframe"), "{page}");
    }
    let (_, page) = server.get("/graphview?query=%22%3E%3Cscript%3E&period=%22%3E%3Cb%3E");
    let frame = "src=\"/graphview/chart?query=%22%3E%3Cscript%3E&amp;period=%22%3E%3Cb%3E\"";
    assert!(page.contains(frame), "{page}");
    assert!(!page.contains("<script") && !page.contains("<b>"), "{page}");
    let (_, chart) = server.get("/graphview/chart?query=%3Cscript%3E");
    assert!(chart.contains("&lt;script&gt;") && !chart.contains("<script"), "{chart}");
}

/// The headers of a form that a browser sends.
const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// Headers that browsers send with what a page of another web site has them post.
const FOREIGN: [&str; 5] = [
    "Origin: http://evil.example\r\n",
    "Origin: null\r\n",
    "Sec-Fetch-Site: cross-site\r\n",
    "Sec-Fetch-Site: same-site\r\n",
    "Referer: http://evil.example/page\r\n",
];

#[test]
fn levels_of_the_log() {
    let dir = tempfile::tempdir().unwrap();
    // Whoever may call the API may not do this.
    let flags = ["-enable_cors_for=http://evil.example"];
    let server = Server::start(dir.path(), Cluster::Empty, &flags);
    let (status, page) = server.get("/logconfig");
    assert_eq!(status, 200);
    for row in ["<td>ROOT<td>INFO", "<td>openraft<td>WARN", "<td>aurora_scheduler<td>INHERIT"] {
        assert!(page.contains(row), "{row} {page}");
    }
    let change = |headers: &str, form: &str| {
        let (status, _, page) = server.post("/logconfig", headers, form.as_bytes());
        (status, String::from_utf8(page).unwrap())
    };
    let own = format!("{FORM}Origin: http://scheduler\r\nSec-Fetch-Site: same-origin\r\n");
    for (headers, form, said, row) in [
        (&*own, "logger=ROOT&level=DEBUG", "ROOT level changed to DEBUG", "<td>ROOT<td>DEBUG"),
        // From a program.
        (FORM, "logger=a%3A%3Ab&level=off", "a::b level changed to OFF", "<td>a::b<td>OFF"),
        (FORM, "level=ALL&logger=a%3A%3Ab", "a::b level changed to ALL", "<td>a::b<td>TRACE"),
        // Any other level, as in the original.
        (
            FORM,
            "logger=openraft&level=x",
            "openraft level changed to INHERIT",
            "<td>openraft<td>INHERIT",
        ),
    ] {
        let (status, page) = change(headers, form);
        assert_eq!(status, 200, "{page}");
        assert!(page.contains(said) && page.contains(row), "{said} {page}");
        assert!(server.get("/logconfig").1.contains(row));
    }
    for foreign in FOREIGN {
        let (status, page) = change(&format!("{FORM}{foreign}"), "logger=ROOT&level=OFF");
        assert_eq!(status, 403, "{foreign} {page}");
    }
    assert_eq!(change("Content-Type: text/plain\r\n", "logger=ROOT&level=OFF").0, 415);
    let (status, page) = change(FORM, "logger=%3Cscript%3E&level=OFF");
    assert!(status == 400 && !page.contains("<script"), "{page}");
    assert_eq!(change(FORM, "level=OFF").0, 400);
    assert!(server.get("/logconfig").1.contains("<td>ROOT<td>DEBUG"), "nothing has changed");
}

#[test]
fn calls_from_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), Cluster::Empty, &["-enable_cors_for=*"]);
    create(&server, job("a", 2));
    for path in ["/apiclient", "/apiclient/api.html"] {
        let (status, page) = server.get(path);
        assert!(status == 200 && page.contains("<option>killTasks"), "{page}");
    }
    let call = |headers: &str, form: &str| {
        let (status, _, page) = server.post("/apiclient", headers, form.as_bytes());
        (status, String::from_utf8(page).unwrap())
    };
    let get = "method=getTasksStatus&parameters=%7B%22query%22%3A+%7B%22role%22%3A+%22www%22%7D%7D";
    let (status, page) = call(FORM, get);
    assert_eq!(status, 200);
    assert!(page.contains("<option selected>getTasksStatus"), "{page}");
    assert!(page.contains("&quot;responseCode&quot;: &quot;OK&quot;"), "{page}");
    assert_eq!(page.matches("&quot;instanceId&quot;").count(), 2, "{page}");
    let kill = "method=killTasks&parameters=%7B%22job%22%3A%7B%22role%22%3A%22www%22%2C%22environment\
                %22%3A%22prod%22%2C%22name%22%3A%22a%22%7D%7D";
    for foreign in FOREIGN {
        assert_eq!(call(&format!("{FORM}{foreign}"), kill).0, 403, "{foreign}");
    }
    assert_eq!(server.count("a", api::ScheduleStatus::PENDING), 2);
    let (status, page) = call(FORM, kill);
    assert!(status == 200 && page.contains("&quot;OK&quot;"), "{page}");
    assert_eq!(server.count("a", api::ScheduleStatus::PENDING), 0);
    let (status, page) = call(FORM, "method=%3Cscript%3E&parameters=%3Cscript%3E");
    assert!(status == 404 && !page.contains("<script"), "{page}");
    assert_eq!(call(FORM, "method=getJobs&parameters=%7B").0, 400);
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

/// What is not set is left out, and is not 0.
#[test]
fn readable_answers_say_what_is_set() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), Cluster::Empty, &[]);
    create(&server, job("a", 1));
    let (_, _, body) = server.post("/apibeta/getTasksStatus", "", br#"{"query": {}}"#);
    let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let task = &answer["result"]["scheduleStatusResult"]["tasks"][0];
    assert_eq!(task["failureCount"], 0, "{task}");
    assert!(task["assignedTask"].get("slaveHost").is_none(), "{task}");
    assert!(task.get("ancestorId").is_none(), "{task}");
    let (_, _, body) = server.post("/apibeta/getJobSummary", "", b"{}");
    let answer: serde_json::Value = serde_json::from_slice(&body).unwrap();
    let summary = &answer["result"]["jobSummaryResult"]["summaries"][0];
    assert_eq!(summary["stats"]["pendingTaskCount"], 1, "{answer}");
    assert!(summary.get("nextCronRunMs").is_none(), "{answer}");
}

/// Tasks that run without an executor are shown like others.
#[test]
fn tasks_without_an_executor() {
    use aurora_api::api::read_only_scheduler as read;
    let dir = tempfile::tempdir().unwrap();
    let flags = ["-require_docker_use_executor=false", "-allowed_container_types=DOCKER"];
    let server = Server::start(dir.path(), Cluster::Empty, &flags);
    let mut bare = job("bare", 1);
    let task = bare.task_config.as_mut().unwrap();
    task.executor_config = None;
    let docker = api::DockerContainer { image: Some("image".into()), ..Default::default() };
    task.container = api::Container::Docker(docker);
    assert_eq!(told(&create(&server, bare)), "OK");
    let args =
        read::GetTasksWithoutConfigsArgs { query: Some(query("bare")), ..Default::default() };
    let found = tasks(&server.call::<read::GetTasksWithoutConfigs>(args));
    let config = found[0].assigned_task.as_ref().unwrap().task.as_ref().unwrap();
    assert_eq!(config.executor_config, None);
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
