//! Processes inside a file system image: what Mesos' containerizer helper is called with.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::{Value as Json, json};
use thermos_tests::stream::{outcomes, task_state};
use thermos_tests::{Runner, World, need_root};

const CMDLINE: &str = r#"echo "it's" 'a "quoted" $line' \\ && echo `date`"#;

/// Runs a task with a helper that says `usage` when it is called with `launch` only, and records
/// how it is called otherwise: its own user and directory, environment, then its arguments.
fn called(usage: &str, args: &[&str]) -> (World, Vec<String>) {
    let world = World::new();
    let helper = world.path().join("helper");
    let record = world.path().join("record");
    let script = format!(
        "#!/bin/bash\nif [ $# = 1 ]; then echo '{usage}' >&2; exit 1; fi\n\
         {{ id -u; pwd; echo \"$HOME\"; printf '%s\\n' \"$@\"; }} > {}\necho inside\n",
        record.display()
    );
    fs::write(&helper, script).unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let directory = format!("MESOS_DIRECTORY={}", world.path().join("mesos").display());
    let flag = format!("--mesos_containerizer_path={}", helper.display());
    let mut all = vec![flag.as_str(), "--container_sandbox=/mnt/mesos/sandbox"];
    all.extend(args);
    let task = json!({"processes": [{"name": "a", "cmdline": CMDLINE}]}).to_string();
    let mut runner = Runner::start_under(&world, &["env", &directory], "image", &task, &all);
    runner.finish(&world);
    let records = runner.records();
    assert_eq!(task_state(&records), Some("SUCCESS"), "{}", runner.output());
    assert_eq!(outcomes(&records, "a"), ["SUCCESS"]);
    let log = fs::read_to_string(world.sandbox().join(".logs/a/0/stdout")).unwrap();
    assert_eq!(log, "inside\n");
    let lines = fs::read_to_string(record).unwrap().lines().map(str::to_owned).collect();
    (world, lines)
}

fn command() -> Json {
    json!({"shell": false, "value": "/bin/bash", "arguments": ["/bin/bash", "-c", CMDLINE]})
}

#[test]
fn an_old_helper_is_given_separate_flags() {
    need_root();
    let (world, lines) = called("usage: --command --rootfs", &["--setuid=nobody"]);
    let [uid, directory, home, rest @ ..] = lines.as_slice() else { panic!("{lines:?}") };
    // It changes the user itself, and needs root for it.
    assert_eq!(uid, "0");
    assert_eq!(directory, world.sandbox().to_str().unwrap());
    assert_eq!(home, "/mnt/mesos/sandbox");
    let [launch, unshare, working, rootfs, user, json] = rest else { panic!("{rest:?}") };
    assert_eq!([launch, unshare], ["launch", "--unshare_namespace_mnt"]);
    assert_eq!(working, "--working_directory=/mnt/mesos/sandbox");
    assert_eq!(*rootfs, format!("--rootfs={}", world.path().join("mesos/taskfs").display()));
    assert_eq!(user, "--user=nobody");
    let json: Json = serde_json::from_str(json.strip_prefix("--command=").unwrap()).unwrap();
    assert_eq!(json, command());
}

#[test]
fn a_helper_that_knows_launch_info_is_given_that() {
    need_root();
    let (world, lines) = called("usage: --launch_info=VALUE", &["--setuid=nobody"]);
    let [uid, directory, _, launch, unshare, info] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!((uid.as_str(), directory.as_str()), ("0", world.sandbox().to_str().unwrap()));
    assert_eq!([launch, unshare], ["launch", "--unshare_namespace_mnt"]);
    let info: Json = serde_json::from_str(info.strip_prefix("--launch_info=").unwrap()).unwrap();
    let expected = json!({
        "rootfs": world.path().join("mesos/taskfs"),
        "user": "nobody",
        "working_directory": "/mnt/mesos/sandbox",
        "command": command(),
    });
    assert_eq!(info, expected);
}

#[test]
fn what_the_helper_needs_must_be_given() {
    need_root();
    let task = json!({"processes": [{"name": "a", "cmdline": "true"}]}).to_string();
    let limit = Duration::from_secs(20);
    let helper = "--mesos_containerizer_path=/none/helper";
    let inside = "--container_sandbox=/mnt/mesos/sandbox";
    let cases: [(&[&str], &[&str], i32, &str); 3] = [
        (&["env", "MESOS_DIRECTORY=/none"], &[helper], 2, "--container_sandbox"),
        (&["env", "-u", "MESOS_DIRECTORY"], &[helper, inside], 2, "MESOS_DIRECTORY"),
        (&["env", "MESOS_DIRECTORY=/none"], &[helper, inside], 103, "/none/helper"),
    ];
    for (command, args, code, named) in cases {
        let world = World::new();
        let mut runner = Runner::start_under(&world, command, "image", &task, args);
        assert_eq!(runner.wait(limit).code(), Some(code), "{}", runner.output());
        assert!(runner.output().contains(named), "{}", runner.output());
        assert!(!world.root().exists() && !world.sandbox().exists());
    }
}
