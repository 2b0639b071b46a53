//! The Thermos task: loading, validation, and what a runner plans with.
//!
//! Source of behaviour: Thermos reference, "The task model" and "Validation rules"; Thermos as
//! observed, "Configuration as the runner takes it".

use std::collections::HashMap;
use std::fmt;

use crate::check::check_interpolated;
use crate::error::{Error, Fault, Path, Segment, quoted};
use crate::interpolate::{Interpolated, Limits, interpolate};
use crate::json;
use crate::number::{self, Integer};
use crate::schema::{self, as_i64};
use crate::scope::Bindings;
use crate::template::{Component, Ref};
use crate::types::Type;
use crate::value::{Raw, Strictness, StructValue, Value};

/// A process's name becomes part of the file name `coordinator.NAME`, and Linux file names have
/// at most 255 bytes.
pub const MAX_PROCESS_NAME: usize = 255 - "coordinator.".len();

/// The document may be worked on at most this much, in addition to [`WORK_PER_BYTE`].
const BASE_WORK: u64 = 64 << 20;

/// Work allowed for every byte of the document.
const WORK_PER_BYTE: u64 = 32;

/// Escapes of escapes are undone at most this often.
const MAX_ROUNDS: usize = 10;

/// A task, ready to be planned and run.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Its name; any text. Default: the first process's name.
    pub name: String,
    /// Its processes, as written. Of several with one name only the last counts, see
    /// [`Task::counts`].
    pub processes: Vec<Process>,
    /// Orders between processes.
    pub constraints: Vec<Constraint>,
    /// What the whole task needs, if given.
    pub resources: Option<Resources>,
    /// The number of permanently failed regular processes at which it fails; 0: no limit.
    pub max_failures: i64,
    /// How many processes of a plan run at a time; 0: no limit.
    pub max_concurrency: i64,
    /// Seconds for cleaning up and finalizing when the task ends by itself.
    pub finalization_wait: i64,
    /// Accepted, but without effect.
    pub user: Option<String>,
}

/// One command line.
#[derive(Clone, Debug, PartialEq)]
pub struct Process {
    /// Its name, which is usable as part of a file name (but may have blanks, quotes, `%`, line
    /// ends …).
    pub name: String,
    /// What the shell runs.
    pub cmdline: String,
    /// Failed runs after which it has failed for good; 0: never.
    pub max_failures: i64,
    /// Run again after success.
    pub daemon: bool,
    /// Does not count for the task's end.
    pub ephemeral: bool,
    /// Least seconds between the end of a run and the next start.
    pub min_duration: i64,
    /// Belongs to the finalizing plan.
    pub is_final: bool,
    /// Where its output goes, if given.
    pub logger: Option<Logger>,
    /// Accepted, but without effect.
    pub resources: Option<Resources>,
}

/// Names in the order in which their processes run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Constraint {
    /// Each after the one before it.
    pub order: Vec<String>,
}

/// What is needed to run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resources {
    /// Cores.
    pub cpu: f64,
    /// Bytes.
    pub ram: i64,
    /// Bytes.
    pub disk: i64,
    /// Devices.
    pub gpu: i64,
}

/// Where the output of a process goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logger {
    /// To files, to the runner's own output, …
    pub destination: LoggerDestination,
    /// Whether files are rotated.
    pub mode: LoggerMode,
    /// When; without effect unless the mode is [`LoggerMode::Rotate`].
    pub rotate: Option<RotatePolicy>,
}

/// Where output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoggerDestination {
    /// To files below the sandbox.
    File,
    /// To the runner's standard output and error.
    Console,
    /// To both.
    Both,
    /// Nowhere.
    None,
}

/// How log files are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoggerMode {
    /// One file that grows.
    Standard,
    /// Rotated at a size.
    Rotate,
}

/// When log files are rotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotatePolicy {
    /// The size of a file, in bytes.
    pub log_size: i64,
    /// How many old files are kept.
    pub backups: i64,
}

/// A task that was accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The task.
    pub task: Task,
    /// The interpolated task as one line of JSON, as it is kept on disk: ASCII, separators `", "`
    /// and `": "`, defaults written out, what is not given left out.
    pub json: String,
    /// What is accepted, but hardly meant.
    pub warnings: Vec<Warning>,
}

/// Something that is accepted, but hardly meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What it is.
    pub kind: WarningKind,
    /// Where it is.
    pub path: Path,
    message: String,
}

/// Kinds of warnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WarningKind {
    /// A value was turned into its type in a way that changes it: a fraction cut off, a boolean
    /// as a number or text, a number other than 0 and 1 as a boolean.
    Coercion,
    /// A process has the name of a later one and is not run.
    DuplicateProcess,
    /// No name in an order belongs to a process; the order has no effect.
    UnknownOrder,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Why a task was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    source_name: String,
    kind: ErrorKind,
    path: Path,
    message: String,
}

/// What kind of mistake a document has. Kinds are looked for in the order given here, except that
/// a reference may be found malformed before all of the shape is known to be right.
///
/// The original ended with 2 for the first three, with 101 for ports, and for the rest had the
/// code 102 (which it never came to use).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    /// It is no JSON.
    Syntax {
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },
    /// A wrong type, an unknown or missing attribute, a value outside an enumeration or range.
    Schema,
    /// A malformed or endless reference, or templates that grow beyond all bounds.
    Interpolation,
    /// Ports that are referenced and not bound, sorted.
    UnboundPorts(Vec<String>),
    /// A process's name cannot be used.
    Name,
    /// The orders of processes contradict the processes or each other.
    Plan,
    /// References that nothing stands for, sorted.
    UnboundRefs(Vec<Ref>),
}

impl LoadError {
    /// What kind of mistake it is.
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// Where it is; empty for the whole document.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What is wrong, without source and path.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// `task.json: processes[2].max_failures: expected an integer, got "abc"`
impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source_name)?;
        if let ErrorKind::Syntax { line, column } = self.kind {
            write!(f, ":{line}:{column}")?;
        }
        if !self.path.is_root() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for LoadError {}

/// A mistake before the name of its source is known.
struct Refusal {
    kind: ErrorKind,
    path: Path,
    message: String,
}

impl Refusal {
    fn new(kind: ErrorKind, path: Path, message: impl Into<String>) -> Refusal {
        Refusal { kind, path, message: message.into() }
    }

    fn in_source(self, source_name: &str) -> LoadError {
        let Refusal { kind, path, message } = self;
        LoadError { source_name: source_name.to_owned(), kind, path, message }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        let kind = match error.fault {
            Fault::Schema => ErrorKind::Schema,
            Fault::Interpolation => ErrorKind::Interpolation,
        };
        Refusal { kind, path: error.path, message: error.message }
    }
}

/// Reads a task from JSON, replaces its references, and validates it.
///
/// Unknown attributes are errors at every level, as they were in the original runner. Work and
/// memory are linear in the size of the document and of what its references stand for.
pub fn load(source: &[u8], source_name: &str, bindings: &Bindings) -> Result<Loaded, LoadError> {
    load_task(source, bindings).map_err(|refusal| refusal.in_source(source_name))
}

/// The names of the ports that a task refers to as `{{thermos.ports[name]}}`, sorted, whether or
/// not they are bound. The task is not validated further than is needed to find them.
pub fn referenced_ports(
    source: &[u8],
    source_name: &str,
    bindings: &Bindings,
) -> Result<Vec<String>, LoadError> {
    let ports = ports_prefix();
    let bindings = match &ports {
        Some(prefix) => bindings.without(prefix),
        None => bindings.clone(),
    };
    read(source, &bindings)
        .map(|(read, _)| unbound_ports(&read))
        .map_err(|refusal| refusal.in_source(source_name))
}

/// Whether two task documents, such as [`Loaded::json`], say the same: by value, as Python
/// compares (`1` equals `1.0`), whatever the order of attributes. A text that is no JSON is the
/// same as nothing.
pub fn same_task(a: &str, b: &str) -> bool {
    match (json::parse(a.as_bytes()), json::parse(b.as_bytes())) {
        (Ok(a), Ok(b)) => json::same_value(&a, &b),
        _ => false,
    }
}

/// Checks an interpolated task as the client does before it sends one: the type check, the names of
/// processes, the plan. References may be left, for what only a running task knows. Gives what is
/// accepted, but hardly meant.
pub fn validate(value: &Value) -> Result<Vec<Warning>, LoadError> {
    let checked = || -> Result<Vec<Warning>, Refusal> {
        check_interpolated(value)?;
        let task = Task::from_value(value)?;
        check_names(&task)?;
        check_plan(&task)
    };
    checked().map_err(|refusal| refusal.in_source("task"))
}

fn load_task(source: &[u8], bindings: &Bindings) -> Result<Loaded, Refusal> {
    let (read, mut warnings) = read(source, bindings)?;
    check_interpolated(&read.value)?;
    let task = Task::from_value(&read.value)?;
    let ports = unbound_ports(&read);
    if !ports.is_empty() {
        let message = format!("unbound ports: {}", ports.join(", "));
        return Err(Refusal::new(ErrorKind::UnboundPorts(ports), Path::root(), message));
    }
    let json = read.value.to_json();
    check_names(&task)?;
    warnings.extend(check_plan(&task)?);
    check_bound(&read)?;
    Ok(Loaded { task, json, warnings })
}

/// Parses, binds and interpolates; warns of what coercion changes.
fn read(source: &[u8], bindings: &Bindings) -> Result<(Interpolated, Vec<Warning>), Refusal> {
    let document = json::parse(source).map_err(|error| {
        let kind = ErrorKind::Syntax { line: error.line, column: error.column };
        Refusal::new(kind, Path::root(), error.message)
    })?;
    let raw = schema::from_json(&schema::TASK, document, Strictness::Strict)?;
    let limits =
        Limits { work: BASE_WORK + WORK_PER_BYTE * source.len() as u64, ..Limits::default() };
    let mut warnings = Vec::new();
    warn_of_coercion(&raw, &mut Vec::new(), &mut warnings);
    let mut read = interpolate(&raw.bind([bindings.scope()]), &limits)?;
    // An escape survives one interpolation only; the next one sees a reference.
    for _ in 0..MAX_ROUNDS {
        if !read.unescaped {
            return Ok((read, warnings));
        }
        // What is unbound now is still in the text, and found again.
        read = interpolate(&read.value, &limits)?;
    }
    Err(Refusal::new(
        ErrorKind::Interpolation,
        Path::root(),
        "escapes of escapes of escapes are nested too deeply",
    ))
}

fn warn_of_coercion(value: &Value, path: &mut Vec<Segment>, warnings: &mut Vec<Warning>) {
    if let Some(attributes) = value.as_struct() {
        for (position, attribute) in attributes.given() {
            let name = attributes.ty().fields()[position].name();
            path.push(Segment::Field(name.into()));
            warn_of_coercion(attribute, path, warnings);
            path.pop();
        }
    } else if let Some(items) = value.items() {
        for (index, item) in items.iter().enumerate() {
            path.push(Segment::Index(index));
            warn_of_coercion(item, path, warnings);
            path.pop();
        }
    } else if let Some(raw) = value.raw() {
        let message = match (value.ty(), raw) {
            (Type::Integer, Raw::Float(float)) if float.fract() != 0.0 => {
                format!("{} is not whole; its fraction is cut off", number::float_exact(*float))
            }
            (Type::Integer | Type::Float, Raw::Bool(boolean)) => {
                format!("{boolean} counts as {}", u8::from(*boolean))
            }
            (Type::String, Raw::Bool(boolean)) => {
                format!("{boolean} becomes the text {}", if *boolean { "True" } else { "False" })
            }
            (Type::Boolean, Raw::Integer(Integer::Small(0 | 1))) => return,
            (Type::Boolean, Raw::Integer(_) | Raw::Float(_)) => {
                "a number counts as true unless it is 0".to_owned()
            }
            _ => return,
        };
        let path = Path::from_segments(path.clone());
        warnings.push(Warning { kind: WarningKind::Coercion, path, message });
    }
}

fn ports_prefix() -> Option<Ref> {
    Ref::parse("thermos.ports").ok()
}

fn unbound_ports(read: &Interpolated) -> Vec<String> {
    let Some(prefix) = ports_prefix() else {
        return Vec::new();
    };
    let names = read.unbound.keys().filter_map(|reference| match reference.after(&prefix) {
        Some([Component::Index(name)]) => Some(name.to_string()),
        _ => None,
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

fn check_bound(read: &Interpolated) -> Result<(), Refusal> {
    let Some((_, path)) = read.unbound.first_key_value() else {
        return Ok(());
    };
    /// More references than this are only counted.
    const SHOWN: usize = 10;
    let listed: Vec<String> =
        read.unbound.keys().take(SHOWN).map(|reference| format!("{{{{{reference}}}}}")).collect();
    let mut message = format!("unexpected unbound refs: {}", listed.join(", "));
    if read.unbound.len() > SHOWN {
        message.push_str(&format!(" and {} more", read.unbound.len() - SHOWN));
    }
    let prefix = ports_prefix();
    let bad_port = read.unbound.keys().any(|reference| {
        prefix
            .as_ref()
            .is_some_and(|prefix| reference == prefix || reference.after(prefix).is_some())
    });
    message.push_str(if bad_port {
        "; ports are referred to as {{thermos.ports[name]}}"
    } else {
        "; make sure that they are spelt right, and not nested or escaped"
    });
    let refs = read.unbound.keys().cloned().collect();
    Err(Refusal::new(ErrorKind::UnboundRefs(refs), path.clone(), message))
}

fn check_names(task: &Task) -> Result<(), Refusal> {
    for (index, process) in task.processes.iter().enumerate() {
        let name = &process.name;
        let problem = if name.is_empty() {
            "may not be empty".to_owned()
        } else if name.starts_with('.') {
            "may not start with \".\"".to_owned()
        } else if name.contains('/') {
            "may not contain \"/\"".to_owned()
        } else if name.contains('\0') {
            "may not contain a NUL character".to_owned()
        } else if name.len() > MAX_PROCESS_NAME {
            format!("may not be longer than {MAX_PROCESS_NAME} bytes (it has {})", name.len())
        } else {
            continue;
        };
        let path = Path::from_segments(vec![
            Segment::Field("processes".into()),
            Segment::Index(index),
            Segment::Field("name".into()),
        ]);
        let message = format!("invalid process name {}: it {problem}", quoted(name));
        return Err(Refusal::new(ErrorKind::Name, path, message));
    }
    Ok(())
}

fn check_plan(task: &Task) -> Result<Vec<Warning>, Refusal> {
    let mut warnings = Vec::new();
    let by_name = task.by_name();
    for (index, process) in task.processes.iter().enumerate() {
        if by_name.get(&*process.name).is_some_and(|last| *last as usize != index) {
            let path = vec![Segment::Field("processes".into()), Segment::Index(index)];
            let name = quoted(&process.name);
            warnings.push(Warning {
                kind: WarningKind::DuplicateProcess,
                path: Path::from_segments(path),
                message: format!("there is a later process {name}; this one is not run"),
            });
        }
    }
    for (index, constraint) in task.constraints.iter().enumerate() {
        let refuse =
            |message: String| Err(Refusal::new(ErrorKind::Plan, order_path(index), message));
        let Some(first) = constraint.order.first() else {
            return refuse("an order must name at least one process".to_owned());
        };
        let class =
            |name: &str| by_name.get(name).map(|index| task.processes[*index as usize].is_final);
        let expected = class(first);
        if let Some(other) = constraint.order.iter().find(|name| class(name) != expected) {
            let describe = |name: &str| match class(name) {
                None => format!("there is no process {}", quoted(name)),
                Some(true) => format!("{} is final", quoted(name)),
                Some(false) => format!("{} is a regular process", quoted(name)),
            };
            return refuse(format!(
                "an order may not mix regular, final and unknown processes: {}, {}",
                describe(first),
                describe(other)
            ));
        }
        if expected.is_none() {
            warnings.push(Warning {
                kind: WarningKind::UnknownOrder,
                path: order_path(index),
                message: format!(
                    "none of these names belongs to a process ({}, …); the order is ignored",
                    quoted(first)
                ),
            });
            continue;
        }
        for pair in constraint.order.windows(2) {
            let (Some(before), Some(after)) = (by_name.get(&*pair[0]), by_name.get(&*pair[1]))
            else {
                continue;
            };
            let before = &task.processes[*before as usize];
            let after = &task.processes[*after as usize];
            if before.daemon {
                return refuse(format!(
                    "process {} may not depend on daemon process {}",
                    quoted(&after.name),
                    quoted(&before.name)
                ));
            }
            if before.ephemeral && !after.ephemeral {
                return refuse(format!(
                    "non-ephemeral process {} may not depend on ephemeral process {}",
                    quoted(&after.name),
                    quoted(&before.name)
                ));
            }
        }
    }
    match find_cycle(&task.dependencies()) {
        None => Ok(warnings),
        Some(cycle) => Err(cycle_refusal(task, &cycle)),
    }
}

fn order_path(index: usize) -> Path {
    Path::from_segments(vec![
        Segment::Field("constraints".into()),
        Segment::Index(index),
        Segment::Field("order".into()),
    ])
}

fn cycle_refusal(task: &Task, cycle: &[u32]) -> Refusal {
    /// Longer cycles are cut short in the message.
    const SHOWN: usize = 12;
    let name = |index: &u32| quoted(&task.processes[*index as usize].name);
    let mut steps: Vec<String> = cycle.iter().take(SHOWN).map(name).collect();
    if cycle.len() > SHOWN {
        steps.push(format!("… {} more …", cycle.len() - SHOWN));
    }
    steps.extend(cycle.first().map(name));
    let path = Path::from_segments(vec![Segment::Field("constraints".into())]);
    let message = format!("the orders form a cycle: {}", steps.join(" before "));
    Refusal::new(ErrorKind::Plan, path, message)
}

/// A cycle in a graph of predecessors, in running order, if there is one.
fn find_cycle(predecessors: &[Vec<u32>]) -> Option<Vec<u32>> {
    let mut successors: Vec<Vec<u32>> = vec![Vec::new(); predecessors.len()];
    let mut waiting: Vec<usize> = predecessors.iter().map(Vec::len).collect();
    for (index, before) in predecessors.iter().enumerate() {
        for before in before {
            successors[*before as usize].push(index as u32);
        }
    }
    let mut ready: Vec<u32> =
        (0..predecessors.len() as u32).filter(|i| waiting[*i as usize] == 0).collect();
    while let Some(done) = ready.pop() {
        for after in &successors[done as usize] {
            waiting[*after as usize] -= 1;
            if waiting[*after as usize] == 0 {
                ready.push(*after);
            }
        }
    }
    // Whatever still waits has a predecessor that still waits: going back must meet itself.
    let blocked = |index: &u32| waiting[*index as usize] > 0;
    let mut at = (0..predecessors.len() as u32).find(blocked)?;
    let mut seen: Vec<Option<usize>> = vec![None; predecessors.len()];
    let mut trail = Vec::new();
    loop {
        if let Some(start) = seen[at as usize] {
            let mut cycle = trail.split_off(start);
            cycle.reverse();
            return Some(cycle);
        }
        seen[at as usize] = Some(trail.len());
        trail.push(at);
        at = *predecessors[at as usize].iter().find(|index| blocked(index))?;
    }
}

impl Task {
    /// For every process, by index, the processes of the same plan that must have finished before
    /// it starts: ascending, each once. A process that does not count (see [`Task::counts`]) has
    /// none and is nobody's. Linear in the length of all orders, apart from sorting each list.
    pub fn dependencies(&self) -> Vec<Vec<u32>> {
        let by_name = self.by_name();
        let mut predecessors: Vec<Vec<u32>> = vec![Vec::new(); self.processes.len()];
        let process = |index: u32| &self.processes[index as usize];
        for constraint in &self.constraints {
            let indices = constraint.order.iter().map(|name| by_name.get(&**name).copied());
            let mut before: Option<u32> = None;
            for index in indices {
                if let (Some(before), Some(after)) = (before, index)
                    && process(before).is_final == process(after).is_final
                {
                    predecessors[after as usize].push(before);
                }
                before = index;
            }
        }
        for before in &mut predecessors {
            before.sort_unstable();
            before.dedup();
            before.shrink_to_fit();
        }
        predecessors
    }

    /// For every process, by index, whether it counts: whether no later one has its name.
    pub fn counts(&self) -> Vec<bool> {
        let by_name = self.by_name();
        let last = |(index, process): (usize, &Process)| {
            by_name.get(&*process.name).is_some_and(|last| *last as usize == index)
        };
        self.processes.iter().enumerate().map(last).collect()
    }

    /// The last process of every name.
    fn by_name(&self) -> HashMap<&str, u32> {
        let named = self.processes.iter().enumerate();
        named.map(|(index, process)| (&*process.name, index as u32)).collect()
    }

    /// A task from an interpolated value of the Task schema that passed the type check.
    ///
    /// Errors: the type check's, for what is missing; a number that does not fit 64 bits.
    pub fn from_value(value: &Value) -> Result<Task, Error> {
        let task = Attributes::of(value)?;
        let Some(processes) = task.get("processes") else {
            return Err(task.missing("processes"));
        };
        Ok(Task {
            name: task.text("name")?,
            processes: each(processes, "processes", Process::from_value)?,
            constraints: match task.get("constraints") {
                Some(list) => each(list, "constraints", Constraint::from_value)?,
                None => Vec::new(),
            },
            resources: task.part("resources", Resources::from_value)?,
            max_failures: task.integer("max_failures")?,
            max_concurrency: task.integer("max_concurrency")?,
            finalization_wait: task.integer("finalization_wait")?,
            user: task.get("user").and_then(Value::as_text).map(str::to_owned),
        })
    }
}

impl Process {
    fn from_value(value: &Value) -> Result<Process, Error> {
        let process = Attributes::of(value)?;
        Ok(Process {
            name: process.text("name")?,
            cmdline: process.text("cmdline")?,
            max_failures: process.integer("max_failures")?,
            daemon: process.boolean("daemon")?,
            ephemeral: process.boolean("ephemeral")?,
            min_duration: process.integer("min_duration")?,
            is_final: process.boolean("final")?,
            logger: process.part("logger", Logger::from_value)?,
            resources: process.part("resources", Resources::from_value)?,
        })
    }
}

impl Constraint {
    fn from_value(value: &Value) -> Result<Constraint, Error> {
        let constraint = Attributes::of(value)?;
        let order = match constraint.get("order") {
            Some(names) => each(names, "order", |name| {
                name.as_text().map(str::to_owned).ok_or_else(|| Error::schema("expected a string"))
            })?,
            None => Vec::new(),
        };
        Ok(Constraint { order })
    }
}

impl Resources {
    fn from_value(value: &Value) -> Result<Resources, Error> {
        let resources = Attributes::of(value)?;
        Ok(Resources {
            cpu: resources.float("cpu")?,
            ram: resources.integer("ram")?,
            disk: resources.integer("disk")?,
            gpu: resources.integer("gpu")?,
        })
    }
}

impl Logger {
    fn from_value(value: &Value) -> Result<Logger, Error> {
        let logger = Attributes::of(value)?;
        Ok(Logger {
            destination: match &*logger.text("destination")? {
                "console" => LoggerDestination::Console,
                "both" => LoggerDestination::Both,
                "none" => LoggerDestination::None,
                _ => LoggerDestination::File,
            },
            mode: match &*logger.text("mode")? {
                "rotate" => LoggerMode::Rotate,
                _ => LoggerMode::Standard,
            },
            rotate: logger.part("rotate", RotatePolicy::from_value)?,
        })
    }
}

impl RotatePolicy {
    fn from_value(value: &Value) -> Result<RotatePolicy, Error> {
        let policy = Attributes::of(value)?;
        Ok(RotatePolicy {
            log_size: policy.integer("log_size")?,
            backups: policy.integer("backups")?,
        })
    }
}

/// A struct's attributes as Rust types. Everything is there after a type check, except numbers
/// that are too large; anything else missing is still reported rather than assumed.
struct Attributes<'v>(&'v StructValue);

impl<'v> Attributes<'v> {
    fn of(value: &'v Value) -> Result<Attributes<'v>, Error> {
        value.as_struct().map(Attributes).ok_or_else(|| Error::schema("expected an object"))
    }

    fn get(&self, name: &str) -> Option<&'v Value> {
        self.0.get(self.0.ty().position(name)?)
    }

    fn missing(&self, name: &str) -> Error {
        let message = format!("required by {}, but missing", self.0.ty().name());
        Error::schema(message).at(Segment::Field(name.into()))
    }

    fn text(&self, name: &str) -> Result<String, Error> {
        let text = self.get(name).and_then(Value::as_text);
        text.map(str::to_owned).ok_or_else(|| self.missing(name))
    }

    fn integer(&self, name: &str) -> Result<i64, Error> {
        let value = self.get(name).ok_or_else(|| self.missing(name))?;
        as_i64(value).ok_or_else(|| {
            Error::schema(format!("expected an integer from {} to {}", i64::MIN, i64::MAX))
                .at(Segment::Field(name.into()))
        })
    }

    fn float(&self, name: &str) -> Result<f64, Error> {
        match self.get(name).and_then(Value::raw) {
            Some(Raw::Float(float)) => Ok(*float),
            _ => Err(self.missing(name)),
        }
    }

    fn boolean(&self, name: &str) -> Result<bool, Error> {
        match self.get(name).and_then(Value::raw) {
            Some(Raw::Bool(boolean)) => Ok(*boolean),
            _ => Err(self.missing(name)),
        }
    }

    fn part<T>(
        &self,
        name: &str,
        from_value: impl Fn(&Value) -> Result<T, Error>,
    ) -> Result<Option<T>, Error> {
        let part = self.get(name).map(from_value).transpose();
        part.map_err(|error| error.at(Segment::Field(name.into())))
    }
}

fn each<T>(
    list: &Value,
    name: &str,
    from_value: impl Fn(&Value) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let items = list.items().unwrap_or_default().iter().enumerate();
    items
        .map(|(index, item)| from_value(item).map_err(|error| error.at(Segment::Index(index))))
        .collect::<Result<Vec<T>, Error>>()
        .map_err(|error| error.at(Segment::Field(name.into())))
}
