//! Any command line, and any port mapping: no panic, and what was understood means the same when it
//! is spelled out in full. Input: the words, each ended by a newline.

#![no_main]

use libfuzzer_sys::fuzz_target;
use thermos_runner::flags::{Flag, Kind, help, parse, port};

/// Names that begin alike, and that differ in what may be exchanged.
const TABLE: &[Flag] = &[
    Flag { name: "log", kind: Kind::Value("WORD"), help: "one" },
    Flag { name: "log_dir", kind: Kind::Value("DIR"), help: "two" },
    Flag { name: "log-size", kind: Kind::Integer("MB"), help: "three" },
    Flag { name: "preserve_env", kind: Kind::Switch, help: "four" },
    Flag { name: "port", kind: Kind::Value("NAME:PORT"), help: "" },
    Flag { name: "help", kind: Kind::Switch, help: "" },
    Flag { name: "short-help", kind: Kind::Switch, help: "" },
];

fuzz_target!(|source: &str| {
    for word in source.split('\n') {
        if let Ok((name, number)) = port(word) {
            assert_eq!(port(&format!("{name}:{number}")), Ok((name, number)));
        }
    }
    let parsed = match parse(TABLE, source.split('\n').map(str::to_owned)) {
        Ok(parsed) => parsed,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let mut plain = Vec::new();
    for flag in TABLE {
        plain.extend(parsed.all(flag.name).map(|value| format!("--{}={value}", flag.name)));
        match flag.kind {
            Kind::Switch => assert!(parsed.all(flag.name).all(|v| v == "true" || v == "false")),
            Kind::Integer(_) => {
                assert_eq!(parsed.integer(flag.name).is_some(), parsed.value(flag.name).is_some());
            }
            Kind::Value(_) => assert!(parsed.all(flag.name).count() <= source.len()),
        }
    }
    plain.push("--".to_owned());
    plain.extend(parsed.arguments.iter().cloned());
    let again = parse(TABLE, plain);
    let again = again.as_ref();
    for flag in TABLE {
        let values: Vec<&str> = parsed.all(flag.name).collect();
        assert_eq!(again.map(|again| again.all(flag.name).collect()), Ok(values));
    }
    assert_eq!(again.map(|again| &again.arguments), Ok(&parsed.arguments));
    assert!(help(TABLE).contains("--log_dir=DIR"));
});
