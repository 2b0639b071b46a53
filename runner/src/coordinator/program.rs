//! Arguments and environment as `execve` takes them, made before the fork.

#![deny(unsafe_code)]

use std::ffi::{CString, c_char};

/// What is executed: a program, its arguments and its environment, ready for `execve`.
#[derive(Debug)]
pub(crate) struct Program {
    pub(super) path: CString,
    _argv: Vec<CString>,
    pub(super) argv: Vec<*const c_char>,
}

impl Program {
    /// A program with its arguments, the name of the program first. Fails for NUL bytes.
    pub(crate) fn new(path: &str, argv: &[&str]) -> Result<Program, std::ffi::NulError> {
        let owned: Vec<CString> =
            argv.iter().map(|arg| CString::new(*arg)).collect::<Result<_, _>>()?;
        Ok(Program { path: CString::new(path)?, argv: pointers(&owned), _argv: owned })
    }
}

/// An environment, with and without `BASH_ENV`.
#[derive(Debug)]
pub(crate) struct Environment {
    _strings: Vec<CString>,
    pub(super) with_profile: Vec<*const c_char>,
    pub(super) without_profile: Vec<*const c_char>,
}

impl Environment {
    /// `variables` without `BASH_ENV`; `profile` is the path of `.thermos_profile` as bash sees it.
    /// A variable that cannot be passed on (a NUL byte) is left out.
    pub(crate) fn new<'a>(
        variables: impl IntoIterator<Item = (&'a str, &'a str)>,
        profile: &str,
    ) -> Environment {
        let mut strings: Vec<CString> = variables
            .into_iter()
            .filter_map(|(name, value)| CString::new(format!("{name}={value}")).ok())
            .collect();
        let without_profile = pointers(&strings);
        // One that was passed on gives way to ours.
        let others: Vec<*const c_char> = strings
            .iter()
            .filter(|string| !string.as_bytes().starts_with(b"BASH_ENV="))
            .map(|string| string.as_ptr())
            .collect();
        strings.extend(CString::new(format!("BASH_ENV={profile}")));
        let own = strings.last().map(|string| string.as_ptr());
        let with_profile = others.into_iter().chain(own).chain([std::ptr::null()]).collect();
        Environment { with_profile, without_profile, _strings: strings }
    }
}

/// A null-terminated array of pointers into `strings`, whose buffers do not move with the vector.
fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
}
