//! The interpreter: what is in it, and running a file in it.
//!
//! There is nothing in the interpreter that could open a socket, start a process or write a file; it
//! is built without them. Files are read by [`crate::host`], modules come from the sources next to
//! the prelude and from nowhere else.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use aurora_schema::interpolate::{Limits, interpolate};
use aurora_schema::template::{Component, Ref, Token, Tokens};
use aurora_schema::types::Type;
use aurora_schema::value::Value;
use aurora_schema::{transfer, wording};
use rustpython_vm as vm;
use vm::builtins::{PyDict, PyDictRef, PyStrRef, PyTypeRef};
use vm::class::PyClassImpl;
use vm::compiler::Mode;
use vm::frozen::FrozenCodeObject;
use vm::scope::Scope;
use vm::{AsObject, Interpreter, PyObjectRef, PyResult, Settings, VirtualMachine};

use crate::classes;
use crate::convert::{self, text_argument};
use crate::environment::{self, Environment};
use crate::hooks::Hooks;
use crate::host;
use crate::object::{Object, value_of};
use crate::python2;
use crate::report::{self, Report};

/// Code of our own, compiled when this program is built: compiling it at each start would take a third
/// of the time of a small file. A name in angle brackets is how [`convert::is_own`] knows it.
type Own = fn() -> FrozenCodeObject<&'static [u8]>;

macro_rules! own {
    ($name:tt, $file:tt) => {{
        // So that the build sees when the file changes.
        const _: &str = include_str!($file);
        || vm::py_compile!(file = $file, module_name = $name)
    }};
}

const PRELUDE: Own = own!("<pystachio>", "python/prelude.py");

const HOOKS: Own = own!("<hooks>", "python/hooks.py");

/// The modules that files can import, in Python.
const MODULES: &[(&str, Own)] = &[
    (
        "apache.aurora.common.aurora_job_key",
        own!("<apache.aurora.common.aurora_job_key>", "python/aurora_job_key.py"),
    ),
    ("base64", own!("<base64>", "python/base64.py")),
    ("collections", own!("<collections>", "python/collections.py")),
    ("copy", own!("<copy>", "python/copy.py")),
    ("datetime", own!("<datetime>", "python/datetime.py")),
    ("functools", own!("<functools>", "python/functools.py")),
    ("gen.apache.aurora.api.ttypes", own!("<gen.apache.aurora.api.ttypes>", "python/ttypes.py")),
    ("getpass", own!("<getpass>", "python/getpass.py")),
    ("hashlib", own!("<hashlib>", "python/hashlib.py")),
    ("io", own!("<io>", "python/io.py")),
    ("json", own!("<json>", "python/json.py")),
    ("logging", own!("<logging>", "python/logging.py")),
    ("math", own!("<math>", "python/math.py")),
    ("operator", own!("<operator>", "python/operator.py")),
    ("os", own!("<os>", "python/os.py")),
    ("os.path", own!("<os.path>", "python/os_path.py")),
    ("platform", own!("<platform>", "python/platform.py")),
    ("posixpath", own!("<posixpath>", "python/os_path.py")),
    ("re", own!("<re>", "python/re.py")),
    ("socket", own!("<socket>", "python/socket.py")),
    ("string", own!("<string>", "python/string.py")),
    ("sys", own!("<sys>", "python/sys.py")),
    ("textwrap", own!("<textwrap>", "python/textwrap.py")),
    ("twitter.common.log", own!("<twitter.common.log>", "python/logging.py")),
    ("types", own!("<types>", "python/types.py")),
];

/// How deep Python may recurse. The thread's stack is made for it.
const RECURSION: usize = 1_000;

/// What kind of file it is, which decides which names it sees and what it defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `jobs`.
    Aurora,
    /// `export(task)`.
    Thermos,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The file.
    pub(crate) file: PathBuf,
    /// Its kind.
    pub(crate) kind: Kind,
    /// Whether its hooks are to be called afterwards.
    pub(crate) hooks: bool,
}

#[derive(Default)]
struct Run {
    /// Canonical paths of the files being run, outermost first, with the names to show.
    files: Vec<(PathBuf, String)>,
    globals: Option<PyDictRef>,
    /// The prelude's names.
    natives: Option<PyDictRef>,
    exports: Vec<PyObjectRef>,
}

thread_local! {
    static RUN: RefCell<Run> = RefCell::default();
}

fn with<T>(work: impl FnOnce(&mut Run) -> T) -> T {
    RUN.with(|run| work(&mut run.borrow_mut()))
}

/// Runs a file and says what it defines. Then calls its hooks, if that was asked for and it has some,
/// for as long as somebody wants that.
pub(crate) fn evaluate(request: &Request, say: impl FnOnce(&Report)) {
    let mut settings = Settings::default();
    settings.install_signal_handlers = false;
    settings.import_site = false;
    settings.isolated = true;
    settings.hash_seed = Some(0);
    let interpreter = Interpreter::with_init(settings, |vm| {
        vm.recursion_limit.set(RECURSION);
    });
    interpreter.enter(|vm| {
        let mut report = match run(request, vm) {
            Ok(report) => report,
            Err(error) => Report::of_exception(&error, "load", vm),
        };
        let mut hooks = None;
        if let Report::Defined { hooks: names, .. } = &mut report
            && request.hooks
        {
            hooks = Some(Hooks::find(vm)).filter(Hooks::is_wanted);
            *names = hooks.as_ref().map(|hooks| hooks.names().to_vec());
        }
        say(&report);
        if let Some(mut hooks) = hooks {
            hooks.serve(vm);
        }
    })
}

/// Something that the file has assigned to.
pub(crate) fn global(name: &str, vm: &VirtualMachine) -> PyResult<Option<PyObjectRef>> {
    let globals = with(|run| run.globals.clone());
    let found = globals.map(|globals| globals.get_item_opt(name, vm)).transpose()?.flatten();
    Ok(found.filter(|found| !vm.is_none(found)))
}

/// Runs the part of our own that calls hooks, and gives its namespace.
pub(crate) fn start_hooks(vm: &VirtualMachine) -> PyResult<PyDictRef> {
    let names = vm.ctx.new_dict();
    let natives = with(|run| run.natives.clone());
    names.set_item("__builtins__", vm.builtins.clone().into(), vm)?;
    names.set_item("__name__", vm.ctx.new_str("hooks").into(), vm)?;
    names.set_item("_native", vm.unwrap_or_none(natives.map(Into::into)), vm)?;
    run_own(HOOKS, &names, vm)?;
    Ok(names)
}

fn run(request: &Request, vm: &VirtualMachine) -> PyResult<Report> {
    let prelude = start(vm)?;
    python2::restrict_division(vm);
    let names = prelude.get_item("_names", vm)?;
    let globals = names.call((request.kind == Kind::Thermos,), vm)?;
    let globals = globals
        .downcast::<PyDict>()
        .map_err(|_| vm.new_runtime_error("the names are no dictionary".to_owned()))?;
    globals.set_item("Environment", environment::class(), vm)?;
    globals.set_item("__builtins__", vm.builtins.clone().into(), vm)?;
    with(|run| {
        run.globals = Some(globals.clone());
        run.natives = Some(prelude);
    });
    let name = request.file.display().to_string();
    run_file(&request.file, &name, vm)?;
    match request.kind {
        Kind::Aurora => match jobs(&globals, vm) {
            Ok(report) => Ok(report),
            Err(error) => Ok(Report::of_exception(&error, "select", vm)),
        },
        Kind::Thermos => {
            let exports = with(|run| std::mem::take(&mut run.exports));
            let values: Vec<Value> =
                exports.iter().filter_map(|task| value_of(task)).cloned().collect();
            Ok(Report::defined(transfer::encode(&values), Vec::new()))
        }
    }
}

/// What the file put into `jobs`. What is no value of the language is only named.
fn jobs(globals: &PyDictRef, vm: &VirtualMachine) -> PyResult<Report> {
    let Some(jobs) = globals.get_item_opt("jobs", vm)? else {
        return Ok(Report::defined(transfer::encode(&[]), Vec::new()));
    };
    if vm.is_none(&jobs) {
        return Ok(Report::defined(transfer::encode(&[]), Vec::new()));
    }
    let jobs: Vec<PyObjectRef> = vm.extract_elements_with(&jobs, Ok)?;
    let mut values = Vec::new();
    let mut foreign = Vec::new();
    for job in &jobs {
        match value_of(job) {
            Some(value) if matches!(value.ty(), Type::Struct(_)) => {
                foreign.push(None);
                values.push(value.clone());
            }
            Some(value) => foreign.push(Some(value.ty().to_string())),
            None => foreign.push(Some(format!("'{}' object", job.class().name()))),
        }
    }
    Ok(Report::defined(transfer::encode(&values), foreign))
}

/// Reads, checks and runs one file in the one namespace.
fn run_file(path: &Path, name: &str, vm: &VirtualMachine) -> PyResult<()> {
    let source = host::read_source(path, name, vm)?;
    let canonical = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let cycle = with(|run| {
        let start = run.files.iter().position(|(known, _)| *known == canonical)?;
        let mut names: Vec<&str> = run.files[start..].iter().map(|(_, name)| &**name).collect();
        names.push(name);
        Some(names.join(" includes "))
    });
    if let Some(cycle) = cycle {
        return Err(vm.new_recursion_error(format!("files include each other: {cycle}")));
    }
    if let Some(finding) = python2::check(&source) {
        return Err(report::syntax_error(&finding, name, &source, vm));
    }
    let code = vm.compile(&source, Mode::Exec, name.to_owned()).map_err(|error| {
        let finding = python2::explain(&source, &error);
        report::syntax_error(&finding, name, &source, vm)
    })?;
    let Some(globals) = with(|run| run.globals.clone()) else {
        return Err(vm.new_runtime_error("there is no namespace".to_owned()));
    };
    with(|run| run.files.push((canonical, name.to_owned())));
    let done = vm.run_code_obj(code, Scope::with_builtins(None, globals, vm));
    with(|run| run.files.pop());
    done.map(drop)
}

/// `include(path)`: relative to the folder of the file that contains the call.
fn include(path: PyObjectRef, vm: &VirtualMachine) -> PyResult<()> {
    let path = text_argument(&path, vm)?;
    let from = convert::here(vm).map(|origin| origin.file.to_string()).unwrap_or_default();
    let folder = Path::new(&from).parent().unwrap_or(Path::new(""));
    let target = folder.join(&path);
    let name = target.display().to_string();
    // Included code may have been reached through many calls; the interpreter counts them.
    vm.with_recursion("in include()", || run_file(&target, &name, vm))
}

/// `export(task)`: adds a task; a dictionary is turned into one.
fn export(task: PyObjectRef, vm: &VirtualMachine) -> PyResult<()> {
    let class = classes::helper("Task", vm)?;
    let task = match value_of(&task) {
        Some(value) if value.as_struct().is_some_and(|task| task.ty().name() == "Task") => task,
        _ => class.call((task,), vm)?,
    };
    let refused = |message: String| Err(classes::exception("InvalidTask", message, vm));
    if let Some(value) = value_of(&task) {
        if let Err(error) = value.check() {
            return refused(wording::check_message(&value.ty(), &error));
        }
        let done = interpolate(value, &Limits::default());
        let unbound = done.map(|done| done.unbound).unwrap_or_default();
        let wrong = unbound.keys().find(|reference| match reference.components() {
            [Component::Name(first), Component::Name(second), Component::Name(_), ..] => {
                **first == *"thermos" && **second == *"ports"
            }
            _ => false,
        });
        if let Some(reference) = wrong {
            return refused(format!(
                "Task has invalid process: it refers to {{{{{reference}}}}}; ports are referred to as \
                 {{{{thermos.ports[name]}}}}"
            ));
        }
    }
    with(|run| run.exports.push(task));
    Ok(())
}

/// Makes the native names, runs the prelude with them, and gives its namespace.
fn start(vm: &VirtualMachine) -> PyResult<PyDictRef> {
    let object = Object::make_static_type();
    let environment = Environment::make_static_type();
    let names = vm.ctx.new_dict();
    names.set_item("__builtins__", vm.builtins.clone().into(), vm)?;
    names.set_item("__name__", vm.ctx.new_str("pystachio").into(), vm)?;
    names.set_item("_Object", object.into(), vm)?;
    names.set_item("Environment", environment.into(), vm)?;
    macro_rules! native {
        ($($name:literal => $function:expr),* $(,)?) => {
            $(names.set_item($name, vm.new_function($name, $function).into(), vm)?;)*
        };
    }
    native! {
        "_is_type" => |object: PyObjectRef, vm: &VirtualMachine| classes::is_type(&object, vm),
        "_type_map" => |class: PyObjectRef, vm: &VirtualMachine| classes::type_map(&class, vm),
        "_components" => components,
        "_split" => split,
        "_define_struct" => |name: PyStrRef, body: PyDictRef, vm: &VirtualMachine| {
            classes::define_struct(name.as_wtf8().to_string_lossy().into_owned(), &body, vm)
        },
        "_derive_struct" =>
            |name: PyStrRef, parent: PyObjectRef, body: PyDictRef, vm: &VirtualMachine| {
                let name = name.as_wtf8().to_string_lossy();
                classes::derive_struct(&name, &parent, body.into(), vm)
            },
        "_list" => |element: PyObjectRef, vm: &VirtualMachine| -> PyResult<PyTypeRef> {
            classes::class_of(&Type::list(classes::type_argument(&element, vm)?), vm)
        },
        "_map" => |key: PyObjectRef, value: PyObjectRef, vm: &VirtualMachine| -> PyResult<PyTypeRef> {
            let key = classes::type_argument(&key, vm)?;
            classes::class_of(&Type::map(key, classes::type_argument(&value, vm)?), vm)
        },
        "_enum" => enumeration,
        "_choice" => choice,
        "_finish" => |names: PyDictRef, _: &VirtualMachine| classes::set_helpers(&names),
        "_classes" => |vm: &VirtualMachine| -> PyResult<PyDictRef> {
            let dict = vm.ctx.new_dict();
            for (name, class) in classes::standard(vm)? {
                dict.set_item(&*name, class, vm)?;
            }
            Ok(dict)
        },
        "_include" => include,
        "_export" => export,
        "_has_source" => |name: PyStrRef, _: &VirtualMachine| source(&name).is_some(),
        "_sources" => |vm: &VirtualMachine| -> PyObjectRef {
            let names = MODULES.iter().map(|(name, _)| vm.ctx.new_str(*name).into());
            vm.ctx.new_list(names.collect()).into()
        },
    }
    host::provide(&names, vm)?;
    let natives = names.clone();
    let run_source = move |name: PyStrRef, into: PyDictRef, vm: &VirtualMachine| -> PyResult<()> {
        let Some(code) = source(&name) else {
            return Err(vm.new_runtime_error("there is no such module".to_owned()));
        };
        into.set_item("_native", natives.clone().into(), vm)?;
        run_own(code, &into, vm)
    };
    names.set_item("_run_source", vm.new_function("_run_source", run_source).into(), vm)?;
    run_own(PRELUDE, &names, vm)?;
    classes::set_helpers(&names);
    Ok(names)
}

fn source(name: &PyStrRef) -> Option<Own> {
    let name = name.as_wtf8().to_string_lossy();
    MODULES.iter().find(|(known, _)| *known == name).map(|(_, code)| *code)
}

fn run_own(code: Own, names: &PyDictRef, vm: &VirtualMachine) -> PyResult<()> {
    let code = vm.ctx.new_code(code());
    vm.run_code_obj(code, Scope::with_builtins(None, names.clone(), vm)).map(drop)
}

/// The parts of an address as pairs: `('.', 'name')`, `('[', 'index')`.
fn components(address: PyObjectRef, vm: &VirtualMachine) -> PyResult {
    let address = text_argument(&address, vm)?;
    let parsed = Ref::parse(&address)
        .map_err(|_| classes::exception("InvalidRefError", wording::bad_reference(&address), vm))?;
    let parts = parsed.components().iter().map(|component| {
        let (kind, name) = match component {
            Component::Name(name) => (".", name),
            Component::Index(name) => ("[", name),
        };
        let pair = vec![vm.ctx.new_str(kind).into(), vm.ctx.new_str(&**name).into()];
        vm.ctx.new_tuple(pair).into()
    });
    Ok(vm.ctx.new_tuple(parts.collect()).into())
}

/// The pieces of a text as pairs: whether it is a reference, and the address or text.
fn split(text: PyObjectRef, vm: &VirtualMachine) -> PyResult {
    let text = text_argument(&text, vm)?;
    let pieces = Tokens::new(&text).map(|token| {
        let (reference, piece) = match token {
            Token::Plain(plain) => (false, plain.to_owned()),
            Token::Reference { inner, .. } => (true, inner.to_owned()),
            Token::Escape { inner, .. } => (false, format!("{{{{{inner}}}}}")),
        };
        let pair = vec![vm.ctx.new_bool(reference).into(), vm.ctx.new_str(piece).into()];
        vm.ctx.new_tuple(pair).into()
    });
    Ok(vm.ctx.new_list(pieces.collect()).into())
}

fn enumeration(name: PyObjectRef, words: PyObjectRef, vm: &VirtualMachine) -> PyResult {
    let words: Vec<PyObjectRef> = vm.extract_elements_with(&words, Ok)?;
    let words = words.iter().map(|word| text_argument(word, vm).map(String::into_boxed_str));
    let words = words.collect::<PyResult<Vec<Box<str>>>>()?;
    let name = if vm.is_none(&name) {
        format!("Enum_{}", words.join("_"))
    } else {
        text_argument(&name, vm)?
    };
    classes::enumeration(&name, words, vm)
}

fn choice(
    name: PyObjectRef,
    alternatives: PyObjectRef,
    vm: &VirtualMachine,
) -> PyResult<PyTypeRef> {
    let alternatives: Vec<PyObjectRef> = vm.extract_elements_with(&alternatives, Ok)?;
    let alternatives = alternatives.iter().map(|class| classes::type_argument(class, vm));
    let alternatives = alternatives.collect::<PyResult<Vec<Type>>>()?;
    let ty = if vm.is_none(&name) {
        Type::choice(alternatives)
    } else {
        Type::named_choice(&text_argument(&name, vm)?, alternatives)
    };
    classes::class_of(&ty, vm)
}
