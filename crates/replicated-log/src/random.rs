//! Ids and salts.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

/// Random bytes of the system.
pub(crate) fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match getrandom(rest, GetRandomFlags::empty()) {
            Ok(n) => filled += n,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes)
}

/// A random number.
pub(crate) fn number() -> io::Result<u64> {
    Ok(u64::from_le_bytes(bytes()?))
}
