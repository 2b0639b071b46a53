//! Ids and secrets.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

fn bytes<const N: usize>() -> io::Result<[u8; N]> {
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A secret for the `Authorization` header. Agents give a JWT; to executors it is opaque.
pub(crate) fn token() -> io::Result<String> {
    Ok(hex(&bytes::<32>()?))
}

/// The bytes of a random UUID.
pub(crate) fn uuid() -> io::Result<[u8; 16]> {
    let mut bytes = bytes::<16>()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Ok(bytes)
}

/// A random UUID as text.
pub fn uuid_text() -> io::Result<String> {
    let text = hex(&uuid()?);
    let mut out = String::with_capacity(36);
    for (place, c) in text.chars().enumerate() {
        if matches!(place, 8 | 12 | 16 | 20) {
            out.push('-');
        }
        out.push(c);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes() {
        let id = uuid_text().unwrap();
        let parts: Vec<usize> = id.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12], "{id}");
        assert!(id[14..].starts_with('4') && id != uuid_text().unwrap());
        assert_eq!(token().unwrap().len(), 64);
    }
}
