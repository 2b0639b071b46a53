//! The executor is one file: what an agent copies into a sandbox is everything, whatever it is
//! called there and however little there is around it.
//!
//! Needs what `tests/run` sets up: Mesos in `target/mesos`, and the executor as it ships.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use thermos_tests::mesos::{Cluster, Launch, Scheduler, executor_binary, executor_id, process};
use thermos_tests::need_program;

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(20);

/// After the end of an executor nothing may be left but what is being reaped.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Who processes run as where it does not matter.
const USER: &str = "daemon";

/// How a task that ends well is reported.
const WELL: &[&str] = &["TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED"];

/// What the executor is called here.
const NAME: &str = "any name, 50% of it";

/// A launch with the executor alone in its sandbox, under another name, and with the sandbox as its
/// home, as schedulers ask for. A script of the host's, which is given the executor's command line
/// as its arguments and has the cluster's directory as `$work`, starts it.
fn alone(
    cluster: &Cluster,
    task_id: &str,
    command_line: &str,
    script: &str,
    flags: &str,
) -> Launch {
    let mut launch = Launch::of(task_id, USER, &[process("p", command_line)]);
    launch.uris = vec![(executor_binary(), Some(NAME.to_owned()))];
    let path = cluster.path().join(format!("{task_id}.sh"));
    let work = cluster.path().display();
    fs::write(&path, format!("#!/bin/bash\nset -e\nwork={work}\n{script}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    launch.value = format!(
        "HOME=${{MESOS_SANDBOX=.}} exec '{}' \"${{MESOS_SANDBOX=.}}/{NAME}\" {flags}",
        path.display()
    );
    launch
}

/// Every name in the executor's directory but those of Mesos itself.
fn names(cluster: &Cluster, task_id: &str) -> Vec<String> {
    let entries = fs::read_dir(cluster.directory(&executor_id(task_id))).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| !matches!(&**name, "stdout" | "stderr"));
    names.sort();
    names
}

/// What a task with this command line leaves.
fn left() -> Vec<String> {
    let mut names: Vec<String> =
        [NAME, "checkpoints", "sandbox", "task.json", "thermos_executor.log", "thermos_runner.log"]
            .map(str::to_owned)
            .into();
    names.sort();
    names
}

#[test]
fn alone_under_another_name() {
    let cluster = Cluster::start();
    let mut scheduler = Scheduler::register(&cluster);
    scheduler.launch(&[alone(&cluster, "alone", "echo $HOME > said", "exec \"$@\"", "")]);
    scheduler.expect("alone", WELL, LONG);
    let home = cluster.sandbox("alone").display().to_string();
    assert_eq!(cluster.wait_file("alone", "said").trim_end(), home);
    assert_eq!(names(&cluster, "alone"), left());
    cluster.wait_until_gone(AT_ONCE);
}

/// In a mount namespace where every file system is read-only but the sandbox.
#[test]
fn only_the_sandbox_can_be_written() {
    need_program("unshare", "util-linux");
    const READ_ONLY: &str = r#"
        exec unshare --mount --propagation private bash -ec '
            mount --bind "$MESOS_SANDBOX" "$MESOS_SANDBOX"
            while read -r _ _ _ _ point _; do
                printf -v point %b "${point//\\/\\0}"
                [[ $point == "$MESOS_SANDBOX" ]] || mount -o remount,bind,ro "$point" || [[ ! -e $point ]]
            done </proc/self/mountinfo
            for place in / /tmp /var /run /dev/shm "${MESOS_SANDBOX%/*}"; do
                ! touch "$place/tried" 2>/dev/null || exit 77
            done
            exec "$@"
        ' bash "$@"
    "#;
    let cluster = Cluster::start();
    let mut scheduler = Scheduler::register(&cluster);
    let tries = "touch /tmp/tried ../../tried 2> errors; echo done > said";
    scheduler.launch(&[alone(&cluster, "read-only", tries, READ_ONLY, "")]);
    scheduler.expect("read-only", WELL, LONG);
    assert_eq!(cluster.wait_file("read-only", "said"), "done\n");
    let errors = cluster.wait_file("read-only", "errors");
    assert_eq!(errors.lines().count(), 2, "{errors}");
    assert_eq!(names(&cluster, "read-only"), left());
    cluster.wait_until_gone(AT_ONCE);
}

/// In a root directory with nothing but bash, its libraries, /proc and /dev/null: without a user
/// database, without any other program.
#[test]
fn a_root_with_nothing_but_bash() {
    const NEW_ROOT: &str = r#"
        root=$work/root
        for file in /bin/bash $(ldd /bin/bash | grep -o '/[^ ]*'); do
            mkdir -p "$root${file%/*}"
            cp -L "$file" "$root$file"
        done
        mkdir -p "$root/proc" "$root/dev" "$root$MESOS_SANDBOX"
        : >"$root/dev/null"
        export root
        exec unshare --mount --propagation private bash -ec '
            mount --bind "$MESOS_SANDBOX" "$root$MESOS_SANDBOX"
            mount --rbind /proc "$root/proc"
            mount --bind /dev/null "$root/dev/null"
            exec chroot "$root" /bin/bash -c "cd \"\$MESOS_SANDBOX\" && unset root && exec \"\$@\"" bash "$@"
        ' bash "$@"
    "#;
    let cluster = Cluster::start();
    let mut scheduler = Scheduler::register(&cluster);
    let look = "echo /* /bin/* > said && echo $HOME >> said";
    scheduler.launch(&[alone(&cluster, "bare", look, NEW_ROOT, "--nosetuid")]);
    scheduler.expect("bare", WELL, LONG);
    let sandbox = cluster.sandbox("bare").display().to_string();
    let said = cluster.wait_file("bare", "said");
    let (top, home) = said.split_once('\n').unwrap();
    let own = format!("/{}", sandbox.split('/').nth(1).unwrap());
    let known = ["/bin", "/bin/bash", "/dev", "/lib", "/lib64", "/proc", &own];
    assert!(top.split(' ').all(|path| known.contains(&path)), "{top}");
    assert_eq!(home.trim_end(), sandbox);
    assert_eq!(names(&cluster, "bare"), left());
    cluster.wait_until_gone(AT_ONCE);
}
