//! Any `.netrc`: no panic, and what it says about a machine says the same when it is written down
//! plainly. Input: the machine, a newline, the file.

#![no_main]

use aurora_client::netrc::credentials;
use libfuzzer_sys::fuzz_target;

/// A word in quotes, with nothing in it that means more than itself.
fn quoted(word: &str) -> String {
    let plain = |character: char| match character {
        '"' | '\\' => format!("\\{character}"),
        other => other.to_string(),
    };
    format!("\"{}\"", word.chars().map(plain).collect::<String>())
}

fuzz_target!(|source: &str| {
    let (machine, text) = source.split_once('\n').unwrap_or((source, ""));
    let found = credentials(text, machine);
    let Some(known) = &found else { return };
    assert!(!format!("{known:?}").contains(&format!("password: {:?}", known.password)));
    let (user, password) = (quoted(&known.user), quoted(&known.password));
    for entry in [format!("machine {}", quoted(machine)), "default".to_owned()] {
        let plain = format!("{entry}\n\tlogin {user}\n\tpassword {password}\n");
        assert_eq!(credentials(&plain, machine), found, "{plain}");
    }
});
