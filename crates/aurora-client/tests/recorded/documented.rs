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
    ("task run", "--executor-sandbox --ssh-options --ssh-user -l --threads -t"),
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
        "--exclude_file --exclude_hosts -x --grouping --include_file --include_hosts -i \
         --list_jobs -l --min_job_instance_count --override_jobs -o",
    ),
    ("sla_probe_hosts", "--filename --grouping --hosts --min_job_instance_count"),
];

/// Runs a command line with nobody to talk to; returns its exit code and what it printed.
fn run(program: Run, words: &[&str]) -> (u8, String) {
    let scheduler = Scheduler::new(Rc::new(Bodies::default()), Vec::new());
    let mut world = Recorded::new(scheduler, None);
    let argv: Vec<OsString> = words.iter().map(OsString::from).collect();
    let exit = program(argv, &mut world);
    let text = [world.out, world.error].concat();
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
