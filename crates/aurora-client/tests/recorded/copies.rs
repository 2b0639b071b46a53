//! Copies into sandboxes, of which none was recorded: a recorded one, changed.

use std::ffi::OsString;
use std::rc::Rc;

use aurora_client::world::Captured;

use crate::case::{Bodies, cases};
use crate::scheduler::Scheduler;
use crate::world::Recorded;

/// What is spawned for a copy from one sandbox to another with this OpenSSH and these options for scp.
fn spawned(version: &'static str, options: &str) -> Vec<String> {
    let case = cases("aurora").into_iter().find(|case| case.name == "task-scp").unwrap();
    let step = &case.steps[0];
    let scheduler = Scheduler::new(Rc::new(Bodies::load()), step.all_calls());
    let mut world = Recorded::new(scheduler, step.now);
    world.running = Box::new(|_| Ok(Captured { code: 0, output: version.as_bytes().to_vec() }));
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("clusters.json"), crate::CLUSTERS).unwrap();
    let root = home.path().to_string_lossy().into_owned();
    world.variables.insert("AURORA_CONFIG_ROOT".to_owned(), root);
    let options = format!("--scp-options={options}");
    let files = ["golden/web/prod/hello/0:a/./x", "golden/web/prod/hello/1:b/"];
    let words = ["aurora", "task", "scp", &options].into_iter().chain(files);
    let exit = crate::AURORA(words.map(OsString::from).collect(), &mut world);
    assert_eq!(exit, 0, "{}", world.said());
    assert_eq!(world.scheduler.borrow_mut().finish(), [""; 0]);
    world.spawned()
}

#[test]
fn what_scp_is_told_depends_on_what_it_can() {
    let sandbox = |instance: u32| {
        format!(
            "/var/lib/mesos/slaves/*/frameworks/*/executors/thermos-web-prod-hello-{instance}-\
             00000000-0000-4000-8000-00000000000{}/runs/latest/sandbox",
            instance + 1
        )
    };
    let from = format!("[web@agent01.example:{}/a/x]", sandbox(0));
    let to = format!("[web@agent02.example:{}/b]", sandbox(1));
    let found = format!("[web@agent02.example:\"$(cd {0} && pwd || echo '{0}')\"/b]", sandbox(1));
    for (version, options, expected) in [
        // Nobody knows, so as the original.
        ("", "-r", format!("scp [-r] {from} {to}")),
        ("OpenSSH_8.4p1", "-r", format!("scp [-r] {from} {found}")),
        ("OpenSSH_9.2p1", "-r", format!("scp [-r] [-O] {from} {found}")),
        ("OpenSSH_9.2p1", "-O", format!("scp [-O] {from} {found}")),
    ] {
        assert_eq!(spawned(version, options), ["ssh [-V]", &expected], "{version} {options}");
    }
    // As sftp does it, no shell is asked.
    assert_eq!(spawned("OpenSSH_9.2p1", "-s"), [format!("scp [-s] {from} {to}")]);
}
