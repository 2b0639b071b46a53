//! Everything that Python code can learn from outside: files, the environment, who and where it is.
//! All of it is read; nothing is written but what is printed, which is collected.

use std::cell::{Cell, RefCell};
use std::io::{Read, Write as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use base64::Engine as _;
use digest::Digest as _;
use rustpython_vm as vm;
use vm::builtins::{
    PyBaseException, PyBaseExceptionRef, PyBytes, PyBytesRef, PyDictRef, PyListRef, PyType,
};
use vm::function::OptionalArg;
use vm::{AsObject, Py, PyObjectRef, PyRef, PyResult, VirtualMachine};

use crate::convert::{self, text_argument};
use crate::hooks;

/// A configuration file may be this large.
const MAX_SOURCE: u64 = 16 << 20;

/// A file that is read as data may be this large.
const MAX_FILE: u64 = 64 << 20;

/// Printed text beyond this is dropped.
const MAX_OUTPUT: usize = 1 << 20;

/// Where what is printed goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Printing {
    /// Standard output into the report, the rest to standard error.
    Plain,
    /// The same, but the rest to the client.
    Report,
    /// All of it to the client.
    Client,
}

thread_local! {
    static READS: Cell<bool> = const { Cell::new(true) };
    static OUTPUT: RefCell<String> = const { RefCell::new(String::new()) };
    static PRINTING: Cell<Printing> = const { Cell::new(Printing::Plain) };
    static PRINTED: Cell<usize> = const { Cell::new(0) };
}

/// Whether Python code may read files. Included files are always read.
pub(crate) fn allow_reads(allow: bool) {
    READS.set(allow);
}

/// Says where what is printed goes from now on, up to a limit that starts anew.
pub(crate) fn print_to(printing: Printing) {
    PRINTING.set(printing);
    PRINTED.set(0);
}

/// Whether there is a client that answers questions.
pub(crate) fn has_client() -> bool {
    PRINTING.get() == Printing::Client
}

/// Sends the client something to print. What is beyond the limit is dropped.
fn send(stream: &str, text: &str) {
    let printed = PRINTED.get();
    if printed < MAX_OUTPUT {
        PRINTED.set(printed + text.len());
        hooks::print(stream, text);
    }
}

fn print(text: &str) {
    if has_client() {
        return send("out", text);
    }
    OUTPUT.with(|output| {
        let mut output = output.borrow_mut();
        if output.len() < MAX_OUTPUT {
            output.push_str(text);
        }
    });
}

fn complain(text: &str) {
    match PRINTING.get() {
        // Nobody is there to be told that this did not work.
        Printing::Plain => drop(std::io::stderr().write_all(text.as_bytes())),
        Printing::Report | Printing::Client => send("err", text),
    }
}

/// A line of a certain importance.
fn log(level: PyObjectRef, text: PyObjectRef, vm: &VirtualMachine) -> PyResult<()> {
    let (level, text) = (text_argument(&level, vm)?, text_argument(&text, vm)?);
    match PRINTING.get() {
        Printing::Plain if level == "debug" => {}
        Printing::Plain => complain(&format!("{:>5}] {text}\n", level.to_uppercase())),
        Printing::Report | Printing::Client => send(&level, &text),
    }
    Ok(())
}

/// What was printed.
pub(crate) fn output() -> String {
    OUTPUT.with(|output| output.borrow().clone())
}

/// An exception of an OSError class. These have more in them than others, so the class must make
/// them itself.
fn made_by(
    class: &Py<PyType>,
    arguments: Vec<PyObjectRef>,
    vm: &VirtualMachine,
) -> PyBaseExceptionRef {
    let made = class.to_owned().as_object().call(vm::function::FuncArgs::from(arguments), vm);
    match made.map(PyObjectRef::downcast::<PyBaseException>) {
        Ok(Ok(exception)) => exception,
        Ok(Err(_)) => vm.new_runtime_error("an exception class makes something else".to_owned()),
        Err(error) => error,
    }
}

fn os_error(error: &std::io::Error, name: &str, vm: &VirtualMachine) -> PyBaseExceptionRef {
    use std::io::ErrorKind;
    let exceptions = &vm.ctx.exceptions;
    let class = match error.kind() {
        ErrorKind::NotFound => exceptions.file_not_found_error,
        ErrorKind::PermissionDenied => exceptions.permission_error,
        ErrorKind::IsADirectory => exceptions.is_a_directory_error,
        ErrorKind::NotADirectory => exceptions.not_a_directory_error,
        _ => exceptions.os_error,
    };
    let full = error.to_string();
    let reason = full.split(" (os error").next().unwrap_or_default();
    let number = error.raw_os_error().unwrap_or(rustix::io::Errno::INVAL.raw_os_error());
    let arguments = vec![
        vm.ctx.new_int(number).into(),
        vm.ctx.new_str(reason).into(),
        vm.ctx.new_str(name).into(),
    ];
    made_by(class, arguments, vm)
}

/// Reads a regular file. Error: it cannot be read, is something else, or is too large.
fn read_regular(path: &Path, limit: u64) -> std::io::Result<Vec<u8>> {
    // Opening must not wait for the other end of a pipe.
    let file = std::fs::OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits() as i32)
        .open(path)?;
    let metadata = file.metadata()?;
    let kind = metadata.file_type();
    if kind.is_dir() {
        return Err(std::io::Error::from_raw_os_error(rustix::io::Errno::ISDIR.raw_os_error()));
    }
    if kind.is_fifo() || kind.is_socket() || kind.is_char_device() || kind.is_block_device() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let mut content = Vec::new();
    file.take(limit + 1).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(std::io::Error::other(format!("it is larger than {} MiB", limit >> 20)));
    }
    Ok(content)
}

/// The text of a configuration file.
pub(crate) fn read_source(path: &Path, name: &str, vm: &VirtualMachine) -> PyResult<String> {
    let content = read_regular(path, MAX_SOURCE).map_err(|error| os_error(&error, name, vm))?;
    let text = String::from_utf8(content).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        vm.new_value_error(format!("{name}:{line}: the file is not UTF-8"))
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

fn allowed(what: &str, vm: &VirtualMachine) -> PyResult<()> {
    if READS.get() {
        return Ok(());
    }
    let message = vm.ctx.new_str(format!("{what}: reading files is switched off"));
    Err(made_by(vm.ctx.exceptions.permission_error, vec![message.into()], vm))
}

fn read(path: PyObjectRef, vm: &VirtualMachine) -> PyResult<PyRef<PyBytes>> {
    let name = text_argument(&path, vm)?;
    allowed(&name, vm)?;
    let content = read_regular(Path::new(&name), MAX_FILE);
    Ok(vm.ctx.new_bytes(content.map_err(|error| os_error(&error, &name, vm))?))
}

/// What is at a path: `f`ile, `d`irectory, `o`ther, or nothing; and its size.
fn stat(path: PyObjectRef, vm: &VirtualMachine) -> PyResult<(String, u64)> {
    let name = text_argument(&path, vm)?;
    allowed(&name, vm)?;
    Ok(match std::fs::metadata(&name) {
        Ok(metadata) if metadata.is_file() => ("f".to_owned(), metadata.len()),
        Ok(metadata) if metadata.is_dir() => ("d".to_owned(), metadata.len()),
        Ok(metadata) => ("o".to_owned(), metadata.len()),
        Err(_) => (String::new(), 0),
    })
}

fn list(path: PyObjectRef, vm: &VirtualMachine) -> PyResult<PyListRef> {
    let name = text_argument(&path, vm)?;
    allowed(&name, vm)?;
    let entries = std::fs::read_dir(&name).map_err(|error| os_error(&error, &name, vm))?;
    let mut names: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    names.sort();
    Ok(vm.ctx.new_list(names.into_iter().map(|name| vm.ctx.new_str(name).into()).collect()))
}

/// The login name: of the environment, else of the user database.
fn login() -> Option<String> {
    let set = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    if let Some(name) = ["LOGNAME", "USER", "LNAME", "USERNAME"].into_iter().find_map(set) {
        return Some(name);
    }
    let own = rustix::process::getuid().as_raw().to_string();
    let users = std::fs::read_to_string("/etc/passwd").ok()?;
    let mut fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let entry = fields.find(|fields| fields.get(2) == Some(&&*own))?;
    Some((*entry.first()?).to_owned())
}

fn hash(name: PyObjectRef, content: PyBytesRef, vm: &VirtualMachine) -> PyResult<PyRef<PyBytes>> {
    let content = content.as_bytes();
    let digest = match &*text_argument(&name, vm)? {
        "md5" => md5::Md5::digest(content).to_vec(),
        "sha1" => sha1::Sha1::digest(content).to_vec(),
        "sha224" => sha2::Sha224::digest(content).to_vec(),
        "sha256" => sha2::Sha256::digest(content).to_vec(),
        "sha384" => sha2::Sha384::digest(content).to_vec(),
        "sha512" => sha2::Sha512::digest(content).to_vec(),
        other => {
            return Err(vm.new_value_error(format!("unsupported hash type {other}")));
        }
    };
    Ok(vm.ctx.new_bytes(digest))
}

fn base64_engine(url: bool) -> &'static base64::engine::GeneralPurpose {
    if url {
        &base64::engine::general_purpose::URL_SAFE
    } else {
        &base64::engine::general_purpose::STANDARD
    }
}

fn encode(content: PyBytesRef, url: bool, vm: &VirtualMachine) -> PyRef<PyBytes> {
    vm.ctx.new_bytes(base64_engine(url).encode(content.as_bytes()).into_bytes())
}

fn decode(text: PyBytesRef, url: bool, vm: &VirtualMachine) -> PyResult<PyRef<PyBytes>> {
    let tight: Vec<u8> =
        text.as_bytes().iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let content = base64_engine(url).decode(tight);
    Ok(vm.ctx.new_bytes(content.map_err(|error| vm.new_value_error(error.to_string()))?))
}

fn parse_json(text: PyObjectRef, vm: &VirtualMachine) -> PyResult {
    let text = text_argument(&text, vm)?;
    let json = aurora_schema::json::parse(text.as_bytes()).map_err(|error| {
        vm.new_value_error(format!(
            "{}: line {} column {}",
            error.message, error.line, error.column
        ))
    })?;
    convert::from_json(&json, vm)
}

/// Functions of one number.
fn math(name: PyObjectRef, x: f64, vm: &VirtualMachine) -> PyResult<f64> {
    let y = match &*text_argument(&name, vm)? {
        "sqrt" => x.sqrt(),
        "exp" => x.exp(),
        "log" => x.ln(),
        "log2" => x.log2(),
        "log10" => x.log10(),
        "log1p" => x.ln_1p(),
        "expm1" => x.exp_m1(),
        "sin" => x.sin(),
        "cos" => x.cos(),
        "tan" => x.tan(),
        "asin" => x.asin(),
        "acos" => x.acos(),
        "atan" => x.atan(),
        "sinh" => x.sinh(),
        "cosh" => x.cosh(),
        "tanh" => x.tanh(),
        "floor" => x.floor(),
        "ceil" => x.ceil(),
        "trunc" => x.trunc(),
        other => return Err(vm.new_value_error(format!("there is no function {other}"))),
    };
    if (y.is_nan() && !x.is_nan()) || (y.is_infinite() && x == 0.0) {
        return Err(vm.new_value_error("math domain error".to_owned()));
    }
    if y.is_infinite() && x.is_finite() {
        return Err(vm.new_overflow_error("math range error".to_owned()));
    }
    Ok(y)
}

thread_local! {
    /// Compiled patterns, by their text.
    static PATTERNS: RefCell<std::collections::HashMap<String, std::rc::Rc<fancy_regex::Regex>>> =
        RefCell::default();
}

fn pattern(text: &str, vm: &VirtualMachine) -> PyResult<std::rc::Rc<fancy_regex::Regex>> {
    if let Some(known) = PATTERNS.with(|patterns| patterns.borrow().get(text).cloned()) {
        return Ok(known);
    }
    let made = fancy_regex::RegexBuilder::new(text)
        .backtrack_limit(1_000_000)
        .build()
        .map_err(|error| vm.new_value_error(format!("bad pattern {text:?}: {error}")))?;
    let made = std::rc::Rc::new(made);
    PATTERNS.with(|patterns| patterns.borrow_mut().insert(text.to_owned(), made.clone()));
    Ok(made)
}

/// The first match at or after a byte offset: the byte spans of all groups, or None.
fn search(
    expression: PyObjectRef,
    subject: PyObjectRef,
    start: usize,
    vm: &VirtualMachine,
) -> PyResult {
    let expression = pattern(&text_argument(&expression, vm)?, vm)?;
    let subject = text_argument(&subject, vm)?;
    if !subject.is_char_boundary(start) || start > subject.len() {
        return Ok(vm.ctx.none());
    }
    let found = expression
        .captures_from_pos(&subject, start)
        .map_err(|error| vm.new_value_error(format!("matching went on for too long: {error}")))?;
    let Some(captures) = found else {
        return Ok(vm.ctx.none());
    };
    let spans = (0..captures.len()).map(|group| -> PyObjectRef {
        match captures.get(group) {
            Some(span) => {
                let bound = |at: usize| -> PyObjectRef {
                    let characters = subject.get(..at).unwrap_or_default().chars().count();
                    vm.ctx
                        .new_tuple(vec![
                            vm.ctx.new_int(characters).into(),
                            vm.ctx.new_int(at).into(),
                        ])
                        .into()
                };
                vm.ctx.new_tuple(vec![bound(span.start()), bound(span.end())]).into()
            }
            None => vm.ctx.none(),
        }
    });
    Ok(vm.ctx.new_tuple(spans.collect()).into())
}

/// The names of a pattern's groups, by number, None for those without.
fn groups(expression: PyObjectRef, vm: &VirtualMachine) -> PyResult<PyListRef> {
    let expression = pattern(&text_argument(&expression, vm)?, vm)?;
    let names = expression.capture_names().map(|name| match name {
        Some(name) => vm.ctx.new_str(name).into(),
        None => vm.ctx.none(),
    });
    Ok(vm.ctx.new_list(names.collect()))
}

fn escape(text: PyObjectRef, vm: &VirtualMachine) -> PyResult<String> {
    Ok(fancy_regex::escape(&text_argument(&text, vm)?).into_owned())
}

/// Adds the native functions to the prelude's names.
pub(crate) fn provide(names: &PyDictRef, vm: &VirtualMachine) -> PyResult<()> {
    macro_rules! native {
        ($($name:literal => $function:expr),* $(,)?) => {
            $(names.set_item($name, vm.new_function($name, $function).into(), vm)?;)*
        };
    }
    native! {
        "_read" => read,
        "_stat" => stat,
        "_listdir" => list,
        "_hash" => hash,
        "_b64encode" => encode,
        "_b64decode" => decode,
        "_json_loads" => parse_json,
        "_math" => math,
        "_re_search" => search,
        "_re_groups" => groups,
        "_re_escape" => escape,
        "_write" => |text: PyObjectRef, vm: &VirtualMachine| -> PyResult<()> {
            print(&text.as_object().str(vm)?.as_wtf8().to_string_lossy());
            Ok(())
        },
        "_complain" => |text: PyObjectRef, vm: &VirtualMachine| -> PyResult<()> {
            complain(&text.as_object().str(vm)?.as_wtf8().to_string_lossy());
            Ok(())
        },
        "_log" => log,
        "_ask" => hooks::ask,
        "_sent" => hooks::sent,
        "_environ" => |vm: &VirtualMachine| -> PyResult<PyDictRef> {
            let dict = vm.ctx.new_dict();
            for (name, value) in std::env::vars_os() {
                let value = vm.ctx.new_str(value.to_string_lossy().into_owned());
                dict.set_item(&*name.to_string_lossy(), value.into(), vm)?;
            }
            Ok(dict)
        },
        "_cwd" => |vm: &VirtualMachine| -> PyResult<String> {
            let folder = std::env::current_dir().map_err(|error| os_error(&error, ".", vm))?;
            Ok(folder.display().to_string())
        },
        "_login" => |vm: &VirtualMachine| -> PyResult<String> {
            login().ok_or_else(|| {
                let message = vm.ctx.new_str("the user has no name; set LOGNAME");
                made_by(vm.ctx.exceptions.os_error, vec![message.into()], vm)
            })
        },
        "_uid" => |_: OptionalArg| rustix::process::getuid().as_raw(),
        "_hostname" => |_: OptionalArg| {
            rustix::system::uname().nodename().to_string_lossy().into_owned()
        },
    }
    Ok(())
}
