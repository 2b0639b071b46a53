//! Any bytes as the content of `/proc/PID/stat`: no panic; and a line as the kernel writes it, with
//! any bytes at all as the name of the command, tells its fields.

#![no_main]

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use thermos_runner::proc::{Stat, parse_stat};

/// A line of the kernel's, and what it says.
fn line(u: &mut Unstructured<'_>) -> Result<(Vec<u8>, Stat)> {
    let stat = Stat {
        pid: u.arbitrary()?,
        ppid: u.arbitrary()?,
        session: u.arbitrary()?,
        zombie: u.arbitrary()?,
        ticks: u.arbitrary()?,
    };
    let state = match stat.zombie {
        true => u.choose(b"ZX")?,
        false => u.choose(b"RSDTtIPK")?,
    };
    let others: i32 = u.arbitrary()?;
    let fields = u.int_in_range(0..=40)?;
    let mut line = format!("{} (", stat.pid).into_bytes();
    let rest = format!(
        ") {} {} {others} {}{} {}{}\n",
        char::from(*state),
        stat.ppid,
        stat.session,
        format!(" {others}").repeat(22 - 7),
        stat.ticks,
        format!(" {others}").repeat(fields),
    );
    // The longest names are those of kernel threads.
    line.extend(u.bytes(u.len().min(64))?);
    line.extend(rest.as_bytes());
    Ok((line, stat))
}

fuzz_target!(|data: &[u8]| {
    if let Some((b'#', rest)) = data.split_first() {
        if let Ok((line, stat)) = line(&mut Unstructured::new(rest)) {
            assert_eq!(parse_stat(&line), Some(stat));
            // Read with a buffer that is too small for it.
            let _ = parse_stat(&line[..rest.len() % line.len()]);
        }
    } else {
        let _ = parse_stat(data);
    }
});
