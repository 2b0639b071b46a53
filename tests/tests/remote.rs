//! `aurora task run`, `ssh` and `scp` with OpenSSH's own programs: a job of two instances on the
//! two agents of a real Mesos, which are one machine by two addresses, and an sshd on both.
//!
//! Needs root, `sshd`, `ssh` and `scp`, and `python3` for something that listens.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use thermos_tests::masters::{Daemon, Real, free_port};
use thermos_tests::scheduler::{Scheduler, directory};
use thermos_tests::{need_program, program, wait_for};

const LIMIT: Duration = Duration::from_secs(60);

/// Who logs in, and whose tasks run.
const ROLE: &str = "root";

const KEY: &str = "here/root/devel/www";

/// Serves its sandbox. Each instance wants more than half of an agent, so each has one for itself.
const JOB: &str = r#"{"cluster": "here", "role": "root", "environment": "devel", "name": "www",
    "service": true, "instances": 2, "task": {"name": "www",
    "processes": [{"name": "www", "cmdline":
    "echo served >served; python3 -m http.server -b {{mesos.hostname}} {{thermos.ports[http]}}"}],
    "resources": {"cpu": 3, "ram": 67108864, "disk": 67108864}}}"#;

/// An sshd on loopback with files of its own, and what a client needs to get in.
struct Sshd {
    daemon: Option<Daemon>,
    place: PathBuf,
    port: u16,
}

impl Sshd {
    fn start(place: &Path) -> Sshd {
        need_program("ssh", "openssh-client");
        need_program("scp", "openssh-client");
        fs::create_dir(place).unwrap();
        for name in ["host", "own"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(place.join(name))
                .status();
            assert!(made.unwrap().success());
        }
        fs::copy(place.join("own.pub"), place.join("authorized")).unwrap();
        let port = free_port();
        let public = fs::read_to_string(place.join("host.pub")).unwrap();
        let known: String = (1..=2).map(|n| format!("[127.0.0.{n}]:{port} {public}")).collect();
        fs::write(place.join("known"), known).unwrap();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nListenAddress 127.0.0.2\nHostKey {0}/host\n\
             PidFile none\nAuthorizedKeysFile {0}/authorized\nStrictModes no\nUsePAM no\n\
             PermitRootLogin prohibit-password\nPasswordAuthentication no\nPrintMotd no\n\
             Subsystem sftp internal-sftp\n",
            place.display()
        );
        fs::write(place.join("config"), config).unwrap();
        let mut sshd = Sshd { daemon: None, place: place.to_owned(), port };
        sshd.restart();
        sshd
    }

    fn restart(&mut self) {
        // Where it puts processes that have no rights; packages make it when the service starts.
        fs::create_dir_all("/run/sshd").unwrap();
        let log = fs::File::options().create(true).append(true).open(self.place.join("log"));
        let log = log.unwrap();
        // It wants to be started by its whole name.
        let mut command = Command::new("/usr/sbin/sshd");
        command.args(["-D", "-e", "-f"]).arg(self.place.join("config"));
        let mut daemon = Daemon::start(command.stdout(log.try_clone().unwrap()).stderr(log));
        wait_for("sshd", LIMIT, || {
            assert!(!daemon.has_ended(), "sshd has ended: {}", self.log());
            (1..=2)
                .all(|n| TcpStream::connect(format!("127.0.0.{n}:{}", self.port)).is_ok())
                .then_some(())
        });
        self.daemon = Some(daemon);
    }

    fn stop(&mut self) {
        self.daemon = None;
    }

    fn log(&self) -> String {
        fs::read_to_string(self.place.join("log")).unwrap()
    }

    /// Options that ssh and scp know by the same names.
    fn options(&self) -> String {
        let place = self.place.display();
        format!(
            "-F /dev/null -oPort={} -oIdentityFile={place}/own -oIdentitiesOnly=yes \
             -oBatchMode=yes -oStrictHostKeyChecking=yes -oUserKnownHostsFile={place}/known",
            self.port
        )
    }
}

/// A job that runs, and a user who may log in where.
struct User<'a> {
    home: PathBuf,
    sshd: &'a Sshd,
}

impl User<'_> {
    /// A command of the noun `task`, to be started in the user's directory. `words` follow the
    /// options for ssh.
    fn task(&self, verb: &str, words: &[&str]) -> Command {
        let kind = if verb == "scp" { "scp" } else { "ssh" };
        let mut command = Command::new(program("aurora", "aurora-client"));
        command
            .args(["task", verb, &format!("--{kind}-options={}", self.sshd.options())])
            .args(words)
            .current_dir(&self.home)
            .env("HOME", &self.home)
            .env("AURORA_CONFIG_ROOT", &self.home)
            .env("no_proxy", "*")
            .env_remove("SSH_AUTH_SOCK")
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end: its exit code, what it printed, and what it said.
    fn run(&self, verb: &str, words: &[&str]) -> (i32, String, String) {
        let output = self.task(verb, words).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    }

    /// Runs it; it must succeed. What it printed.
    fn done(&self, verb: &str, words: &[&str]) -> String {
        let (code, out, error) = self.run(verb, words);
        assert_eq!(code, 0, "{words:?}: {out}{error}{}", self.sshd.log());
        out
    }

    fn file(&self, name: &str) -> String {
        fs::read_to_string(self.home.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }
}

/// Starts the job and does something with it.
fn with_job(test: impl FnOnce(&User<'_>, &Path)) {
    let mesos = Real::with_agents(2, &[]);
    let place = directory();
    let scheduler = Scheduler::start(place.path(), &mesos.address().to_string(), &[]);
    let sshd = Sshd::start(&place.path().join("sshd"));
    let home = place.path().join("home");
    fs::create_dir(&home).unwrap();
    let root = format!("{}/agent-*.work/agents/0/work", mesos.path().display());
    let clusters = serde_json::json!([{
        "name": "here",
        "scheduler_uri": format!("http://{}", scheduler.address()),
        "slave_root": root,
        "slave_run_directory": "latest",
    }]);
    fs::write(home.join("clusters.json"), clusters.to_string()).unwrap();
    fs::write(home.join("www.json"), JOB).unwrap();
    let created = Command::new(program("aurora", "aurora-client"))
        .args(["job", "create", "--read-json", "--wait-until=RUNNING", KEY, "www.json"])
        .current_dir(&home)
        .env("HOME", &home)
        .env("AURORA_CONFIG_ROOT", &home)
        .env("no_proxy", "*")
        .output()
        .unwrap();
    assert!(created.status.success(), "{created:?} {}", scheduler.log());
    let user = User { home, sshd: &sshd };
    // RUNNING is said before the first process has done anything.
    wait_for("the job's server", LIMIT, || {
        let (code, out, _) = user.run("run", &[KEY, "cat served"]);
        (code == 0 && out.matches("served").count() == 2).then_some(())
    });
    test(&user, place.path());
    scheduler.stop();
}

/// One job for everything: tasks of several clusters would want the same ports of this machine.
#[test]
fn tasks_are_reached_through_ssh() {
    with_job(|user, scratch| {
        commands_run_where_tasks_do(user, scratch);
        shells_open_in_sandboxes(user);
        files_are_copied_both_ways(user, scratch);
        machines_that_cannot_be_reached(user, scratch);
    });
}

/// The words after the machine's name in each line of `task run`.
fn lines(out: &str) -> Vec<(String, Vec<String>)> {
    let mut lines: Vec<_> = out
        .lines()
        .map(|line| {
            let (host, words) = line.split_once(":  ").unwrap_or_else(|| panic!("{line}"));
            (host.to_owned(), words.split(' ').map(str::to_owned).collect())
        })
        .collect();
    lines.sort();
    lines
}

fn commands_run_where_tasks_do(user: &User<'_>, scratch: &Path) {
    // In the sandbox of each, on its own machine, with what is known about it.
    let facts = "echo {{mesos.instance}} {{thermos.task_id}} {{thermos.ports[http]}} $(pwd)";
    let told = lines(&user.done("run", &["-t", "2", KEY, facts]));
    let hosts: Vec<&str> = told.iter().map(|(host, _)| &**host).collect();
    assert_eq!(hosts, ["127.0.0.1", "127.0.0.2"]);
    let mut instances: Vec<&str> = told.iter().map(|(_, words)| &*words[0]).collect();
    instances.sort_unstable();
    assert_eq!(instances, ["0", "1"]);
    for (_, words) in &told {
        let [instance, id, port, place] = &words[..] else { panic!("{words:?}") };
        assert!(id.contains(&format!("-{instance}-")), "{id}");
        assert!((31_000..31_200).contains(&port.parse::<u16>().unwrap()), "{port}");
        let end = format!("/executors/thermos-{id}/runs/");
        assert!(place.contains(&end) && place.ends_with("/sandbox"), "{place}");
        assert_eq!(fs::read_to_string(Path::new(place).join("served")).unwrap(), "served\n");
    }

    // The executor's own directory is the one above, and one instance can be meant.
    let above = user.done("run", &["--executor-sandbox", &format!("{KEY}/1"), "ls -d sandbox"]);
    assert_eq!(lines(&above)[0].1, ["sandbox"]);
    assert_eq!(lines(&above).len(), 1);

    // `job run` is the same.
    let alias = Command::new(program("aurora", "aurora-client"))
        .args(["job", "run", &format!("--ssh-options={}", user.sshd.options()), KEY, "pwd"])
        .env("AURORA_CONFIG_ROOT", &user.home)
        .env("no_proxy", "*")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&alias.stdout).lines().count(), 2, "{alias:?}");

    // Two at once: each waits for the other.
    let here = scratch.join("met-");
    let meet = format!(
        "touch {0}{{{{mesos.instance}}}}; for i in $(seq 600); do \
             if test -e {0}0 -a -e {0}1; then echo met; exit; fi; sleep 0.1; done; exit 1",
        here.display()
    );
    assert_eq!(user.done("run", &["--threads=2", KEY, &meet]).matches("met").count(), 2);

    // Where one fails, all have failed, and it is named.
    let (code, out, error) = user.run("run", &[KEY, "echo x; exit $((3 * {{mesos.instance}}))"]);
    assert_eq!((code, out.lines().count()), (4, 2), "{error}");
    assert!(error.contains("(instance 1): the command ended with 3"), "{error}");
    assert!(!error.contains("(instance 0)"), "{error}");
}

fn shells_open_in_sandboxes(user: &User<'_>) {
    let instance = format!("{KEY}/1");
    // A command, with its exit code; and what is known about the task in it.
    let (code, out, error) =
        user.run("ssh", &["-c", "cat served; exit $((6 + {{mesos.instance}}))", &instance]);
    assert_eq!((code, out.trim_end()), (7, "served"), "{error}");

    // A shell, which is told what to do.
    let mut shell = user.task("ssh", &["-p", "pid", &instance]);
    let mut shell =
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    shell.stdin.take().unwrap().write_all(b"pwd\ncat served\nexit 5\n").unwrap();
    let mut text = String::new();
    shell.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(shell.wait().unwrap().code(), Some(5));
    assert!(text.contains("/sandbox\n") && text.ends_with("served\n"), "{text}");
    user.file("pid").parse::<u32>().unwrap();

    // A port of the task is here for as long as the shell is.
    let port = free_port();
    let tunnel = format!("{port}:http");
    let mut shell = user.task("ssh", &["-L", &tunnel, "-c", "cat", &instance]);
    let mut shell = shell.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let page = wait_for("the tunnel", LIMIT, || served(port));
    assert!(page.ends_with("\r\n\r\nserved\n"), "{page}");
    end(&mut shell);
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "the tunnel is still there");
    let (code, _, error) = user.run("ssh", &["-L", "1:none", "-c", "cat", &instance]);
    assert!(code == 6 && error.contains("has no port named none"), "{code}: {error}");
}

/// The file that the job serves, from a port here, once it can be had.
fn served(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    // Who accepts and says nothing is asked again.
    stream.set_read_timeout(Some(LIMIT / 10)).unwrap();
    write!(stream, "GET /served HTTP/1.0\r\n\r\n").ok()?;
    let mut page = String::new();
    stream.read_to_string(&mut page).ok()?;
    page.starts_with("HTTP/1.0 200").then_some(page)
}

/// Closes the input of a command, which ends it.
fn end(child: &mut Child) {
    drop(child.stdin.take());
    let ended = wait_for("the end of ssh", LIMIT, || child.try_wait().unwrap());
    assert!(ended.success(), "{ended}");
}

fn files_are_copied_both_ways(user: &User<'_>, scratch: &Path) {
    let at = |instance: u32, path: &str| format!("{KEY}/{instance}:{path}");
    let home = |name: &str| user.home.join(name);
    fs::write(home("a b.txt"), "from here\n").unwrap();
    fs::create_dir_all(home("tree/deep")).unwrap();
    fs::write(home("tree/deep/leaf"), "leaf\n").unwrap();

    // Into a sandbox, out of it again, and from one to another.
    user.done("scp", &["a b.txt", &at(0, "there.txt")]);
    user.done("scp", &[&at(0, "./x/../there.txt"), "back.txt"]);
    assert_eq!(user.file("back.txt"), "from here\n");
    user.done("scp", &[&at(0, "there.txt"), &at(1, "moved.txt")]);
    let moved = user.done("run", &[&format!("{KEY}/1"), "cat moved.txt"]);
    assert!(moved.ends_with(":  from here\n"), "{moved}");

    // Several, whole trees, absolute names, and the directory above.
    user.done("scp", &["a b.txt", "www.json", &at(1, "")]);
    assert_eq!(user.done("run", &[&format!("{KEY}/1"), "ls www.json"]).lines().count(), 1);
    let deep = user.task("scp", &[]).args(["tree", &at(0, "tree")]).output().unwrap();
    assert!(!deep.status.success(), "scp copies no tree unless told so");
    let recursive = format!("--scp-options={} -r", user.sshd.options());
    let copied = Command::new(program("aurora", "aurora-client"))
        .args(["task", "scp", &recursive, "tree", &at(0, "tree")])
        .current_dir(&user.home)
        .env("AURORA_CONFIG_ROOT", &user.home)
        .env("no_proxy", "*")
        .output()
        .unwrap();
    assert!(copied.status.success(), "{copied:?}");
    user.done("scp", &[&at(0, "tree/deep/leaf"), "leaf"]);
    assert_eq!(user.file("leaf"), "leaf\n");
    let absolute = scratch.join("absolute.txt");
    user.done("scp", &["leaf", &at(0, absolute.to_str().unwrap())]);
    assert_eq!(fs::read_to_string(&absolute).unwrap(), "leaf\n");
    user.done("scp", &["--executor-sandbox", &at(0, "sandbox/served"), "served"]);
    assert_eq!(user.file("served"), "served\n");

    // What cannot be.
    for (words, code, why) in [
        ([&*at(0, "none"), "x"], 1, "none"),
        (["leaf", &at(0, "~/x")], 6, "does not support tilde expansion"),
        (["leaf", &at(7, "x")], 6, "not found"),
        (["leaf", "here/root/devel/www:x"], 6, "is not in the form"),
    ] {
        let (found, out, error) = user.run("scp", &words);
        assert!(found == code && error.contains(why), "{words:?}: {found} {out}{error}");
    }
}

fn machines_that_cannot_be_reached(user: &User<'_>, scratch: &Path) {
    // Nobody listens: a port that was free a moment ago.
    let mut away = Sshd::start(&scratch.join("away"));
    away.stop();
    let other = User { home: user.home.clone(), sshd: &away };
    let (code, out, error) = other.run("run", &["-t", "2", KEY, "true"]);
    assert_eq!(code, 4, "{out}{error}");
    assert_eq!(error.matches("the command ended with 255").count(), 2, "{error}");
    assert_eq!(other.run("ssh", &["-c", "true", &format!("{KEY}/0")]).0, 255);
    let (code, _, error) = other.run("scp", &["www.json", &format!("{KEY}/0:x")]);
    assert!(code != 0 && error.contains("Connection refused"), "{code}: {error}");
    away.restart();
    let other = User { home: user.home.clone(), sshd: &away };
    other.done("ssh", &["-l", ROLE, "-c", "test -e served", &format!("{KEY}/0")]);
}
