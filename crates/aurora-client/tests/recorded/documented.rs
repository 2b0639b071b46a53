//! Every command and option that the original documents: ours has it. The list is written by hand,
//! from the original's usage texts and reference.

use std::ffi::OsString;
use std::rc::Rc;

use crate::Run;
use crate::case::Bodies;
use crate::scheduler::Scheduler;
use crate::world::Recorded;

/// Commands of `aurora`, and their options.
const AURORA: &[(&str, &str)] = &[
    ("config list", "--bind --read-json"),
    ("cron deschedule", ""),
    ("cron schedule", "--bind --read-json"),
    ("cron show", ""),
    ("cron start", "--bind --read-json --config --open-browser"),
    ("job add", "--bind --read-json --config --open-browser --wait-until"),
    ("job create", "--bind --read-json --open-browser --wait-until"),
    ("job diff", "--bind --read-json --from"),
    ("job inspect", "--bind --read-json --raw --write-json"),
    (
        "job kill",
        "--batch-size --bind --config --max-total-failures --message -m --no-batching \
         --open-browser --read-json --strict",
    ),
    (
        "job killall",
        "--batch-size --bind --config --max-total-failures --message -m --no-batching \
         --open-browser --read-json",
    ),
    ("job list", ""),
    ("job open", ""),
    (
        "job restart",
        "--batch-size --bind --config --force --healthcheck-interval-seconds \
         --max-per-instance-failures --max-total-failures --open-browser --read-json --strict \
         --watch-secs",
    ),
    ("job status", "--write-json"),
    ("quota get", "--write-json"),
    ("sla get-job-uptime", "--percentiles"),
    ("sla get-task-up-count", "--durations"),
    ("task run", "--executor-sandbox -e --ssh-options --ssh-user -l --threads -t"),
    ("task scp", "--executor-sandbox --scp-options"),
    (
        "task ssh",
        "--command -c --executor-sandbox --pid-file -p --ssh-options --ssh-user -l --tunnels -L",
    ),
    ("update abort", "--message -m"),
    ("update info", "--write-json"),
    ("update list", "--status --user --write-json"),
    ("update pause", "--message -m"),
    ("update resume", "--message -m"),
    ("update rollback", "--message -m --wait"),
    (
        "update start",
        "--bind --healthcheck-interval-seconds --message -m --open-browser --read-json --strict \
         --wait",
    ),
    ("update wait", ""),
];

/// Commands of `aurora_admin`, and their options.
const AURORA_ADMIN: &[(&str, &str)] = &[
    ("get_cluster_config", "--sh --export"),
    ("get_scheduler", ""),
    ("host_activate", "--filename --hosts"),
    ("host_deactivate", "--filename --hosts"),
    (
        "host_drain",
        "--filename --hosts --post_drain_script --grouping --override_percentage \
         --override_duration --override_reason --unsafe_hosts_file",
    ),
    ("host_status", "--filename --hosts"),
    ("increase_quota", ""),
    ("prune_tasks", "--states --role --env --limit"),
    ("query", "--force --listformat -l --shards --states"),
    ("reconcile_tasks", "--type -t --batch_size -b"),
    ("scheduler_backup_now", ""),
    ("scheduler_commit_recovery", ""),
    ("scheduler_delete_recovery_tasks", ""),
    ("scheduler_list_backups", ""),
    ("scheduler_print_recovery_tasks", ""),
    ("scheduler_snapshot", ""),
    ("scheduler_stage_recovery", ""),
    ("scheduler_unload_recovery", ""),
    ("set_quota", ""),
    (
        "sla_host_drain",
        "--filename --hosts --default_percentage --default_duration --force_drain_timeout",
    ),
    (
        "sla_list_safe_domain",
        "--exclude_file -X --exclude_hosts -x --grouping --include_file -I --include_hosts -i \
         --list_jobs -l --min_job_instance_count --override_file --override_jobs -o",
    ),
    ("sla_probe_hosts", "--filename --grouping --hosts --min_job_instance_count"),
];

/// Runs a command line with nobody to talk to; returns its exit code and what it printed.
fn run(program: Run, words: &[&str]) -> (u8, String) {
    let scheduler = Scheduler::new(Rc::new(Bodies::default()), Vec::new());
    let mut world = Recorded::new(scheduler, None);
    let argv: Vec<OsString> = words.iter().map(OsString::from).collect();
    let exit = program(argv, &mut world);
    let text = [world.fake.out, world.fake.error].concat();
    (exit, String::from_utf8(text).unwrap())
}

#[test]
fn every_documented_command_and_option_is_there() {
    for (name, program, commands, everywhere) in [
        ("aurora", crate::AURORA, AURORA, "--verbose -v --skip-hooks --help -h"),
        (
            "aurora_admin",
            crate::AURORA_ADMIN,
            AURORA_ADMIN,
            "--verbose -v --quiet -q --bypass-leader-redirect --help -h",
        ),
    ] {
        for (command, options) in commands {
            let command: Vec<_> = [name].into_iter().chain(command.split(' ')).collect();
            let (exit, help) = run(program, &[&command[..], &["--help"]].concat());
            assert!(exit == 0 && help.contains("Usage:"), "{command:?}: {help}");
            for option in options.split_whitespace().chain(everywhere.split(' ')) {
                // It may want a value, but must be known.
                let (_, text) = run(program, &[&command[..], &[option]].concat());
                assert!(!text.contains("unexpected argument"), "{command:?} {option}: {text}");
            }
            let (exit, text) = run(program, &[&command[..], &["--frob"]].concat());
            assert!(exit == 2 && text.contains("unexpected argument"), "{command:?}: {text}");
        }
    }
}

/// Names of options may be cut, as long as only one is meant.
#[test]
fn options_are_known_by_their_beginning() {
    for (program, line, is_known) in [
        (crate::AURORA, "aurora job killall --no-b --mess x", true),
        (crate::AURORA, "aurora job restart --max-t 3", true),
        (crate::AURORA, "aurora job restart --max 3", false),
        (crate::AURORA, "aurora task ssh --comm x --verb", true),
        (crate::AURORA_ADMIN, "aurora_admin --bypass sla_probe_hosts --min 3 --ho x", true),
        (crate::AURORA_ADMIN, "aurora_admin host_drain --override 3", false),
    ] {
        let (_, text) = run(program, &line.split(' ').collect::<Vec<_>>());
        assert_eq!(!text.contains("unexpected argument"), is_known, "{line}: {text}");
    }
}

/// One command under two names: `job run` never was in the original, but is what people look for.
#[test]
fn a_command_runs_for_each_task_of_a_job() {
    let helps = ["task", "job"].map(|noun| {
        let (exit, help) = run(crate::AURORA, &["aurora", noun, "run", "--help"]);
        assert_eq!(exit, 0, "{help}");
        help.replace(&format!("aurora {noun} run"), "").replace("; as `aurora task run`", "")
    });
    assert_eq!(helps[0], helps[1]);
    // Options are understood behind the command, too; its own are for quotes, or behind --.
    for (line, why) in [
        ("c/r/e/n uptime -t 2", "Unknown cluster: c"),
        ("-t 2 c/r/e/n uptime", "Unknown cluster: c"),
        ("c/r/e/n -- ls -l", "Unknown cluster: c"),
        ("c/r/e/n ls -a", "unexpected argument"),
        ("c/r/e/n ls -t x", "invalid value"),
        ("c/r/e/n", "required"),
    ] {
        let words: Vec<&str> =
            ["aurora", "task", "run"].into_iter().chain(line.split(' ')).collect();
        let (_, text) = run(crate::AURORA, &words);
        assert!(text.contains(why), "{line}: {text}");
    }
}

#[test]
fn manuals_and_completions() {
    let place = tempfile::tempdir().unwrap();
    for (name, program, command) in
        [("aurora", crate::AURORA, "update"), ("aurora_admin", crate::AURORA_ADMIN, "host_drain")]
    {
        for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
            let (exit, text) = run(program, &[name, "completions", shell]);
            assert!(exit == 0 && text.contains(command), "{name} {shell}");
        }
        assert_eq!(run(program, &[name, "man", place.path().to_str().unwrap()]).0, 0);
        let page = place.path().join(format!("{name}-{command}.1"));
        let page = std::fs::read_to_string(&page).unwrap();
        assert!(page.contains(".SH SYNOPSIS"), "{page}");
    }
}
