//! Any command line of the scheduler, and any file that a flag of it may name: no panic; a refusal
//! says why; and what was understood means the same when it is given as it is printed. Input: the
//! words, each ended by a newline; all of it is also read as a file.

#![no_main]

use aurora_scheduler::flags::{FLAGS, Flags, Kind};
use aurora_scheduler::options::Options;
use aurora_scheduler::taskinfo::executor::{Executors, Thermos, mount};
use libfuzzer_sys::fuzz_target;
use mesos_scheduler::Credentials;

/// Flags that are printed without what is secret in them.
const SECRETS: [&str; 2] = ["zk_digest_credentials", "mesos_master_address"];

fn line(source: &str) {
    let flags = match Flags::parse(source.split('\n').map(str::to_owned)) {
        Ok(flags) => flags,
        Err(error) => {
            assert!(!error.flag.is_empty() || source.split('\n').any(str::is_empty));
            assert!(!error.problem.is_empty());
            return;
        }
    };
    let printed = |flags: &Flags| -> Vec<String> {
        let open = flags.iter().filter(|(name, _)| !SECRETS.contains(name));
        open.map(|(name, value)| format!("-{name}={value}")).collect()
    };
    match Flags::parse(printed(&flags)) {
        Ok(again) => assert_eq!(printed(&again), printed(&flags)),
        Err(error) => panic!("{error}"),
    }
    // Files are whatever this machine has.
    let files = FLAGS.iter().filter(|flag| flag.kind == Kind::Readable);
    if files.into_iter().any(|flag| flags.is_given(flag.name)) {
        return;
    }
    if let Err(error) = Options::new(&flags) {
        assert!(error.flag.starts_with('-') && !error.problem.is_empty());
    }
}

fn files(source: &str) {
    let thermos = Thermos { path: "/executor".to_owned(), ..Thermos::default() };
    let Ok(thermos) = thermos.executor() else { return };
    match Executors::new(thermos, Some(source)) {
        Ok(executors) => assert!(executors.names().all(|name| executors.get(name).is_some())),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Err(error) = Credentials::parse(source) {
        assert!(!error.to_string().is_empty());
    }
    if let Err(error) = mount(source) {
        assert!(!error.to_string().is_empty());
    }
}

fuzz_target!(|source: &str| {
    line(source);
    files(source);
});
