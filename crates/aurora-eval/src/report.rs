//! What an evaluation gave, as the JSON that the process prints.
//!
//! ```text
//! {"ok": true, "defined": DOCUMENT, "foreign": [null or "what it is", …], "hooks": ["class", …],
//!  "output": "…"}
//! {"ok": false, "error": {"stage", "class", "message", "file", "line", "column", "help",
//!                         "trace": [[file, line], …]}, "output": "…"}
//! ```
//!
//! `DOCUMENT` is that of [`aurora_schema::transfer`]. `foreign` has one entry for everything in
//! `jobs`: what is no job at all is named. `file`, `line` and the rest are left out where unknown.
//! `hooks` is only there if hooks were asked for and there are some: then the process stays (see
//! [`crate::hooks`]).

use aurora_schema::json::Writer;
use rustpython_vm as vm;
use vm::builtins::PyBaseExceptionRef;
use vm::{AsObject, PyObjectRef, PyResult, VirtualMachine};

use crate::convert::is_own;
use crate::host;

/// The answer.
#[derive(Debug)]
pub(crate) enum Report {
    /// The file ran.
    Defined {
        /// What it defined.
        document: String,
        /// What is no job, by position.
        foreign: Vec<Option<String>>,
        /// The classes of the hooks, if there are some to be called.
        hooks: Option<Vec<String>>,
    },
    /// It did not.
    Failed(Box<Failure>),
}

/// A mistake.
#[derive(Debug, Default)]
pub(crate) struct Failure {
    /// When it was found: `load`, `select`.
    pub(crate) stage: &'static str,
    /// The exception's class.
    pub(crate) class: String,
    /// What is wrong.
    pub(crate) message: String,
    /// Where, if that is known: file, line and column from 1.
    pub(crate) place: Option<(String, usize, usize)>,
    /// What to do.
    pub(crate) help: Option<String>,
    /// The user's lines that led there, outermost first.
    pub(crate) trace: Vec<(String, usize)>,
}

/// A mistake in the text of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Line, from 1.
    pub(crate) line: usize,
    /// Column in characters, from 1.
    pub(crate) column: usize,
    /// What is wrong.
    pub(crate) message: String,
    /// What to write instead.
    pub(crate) help: Option<String>,
}

impl Report {
    /// The file ran.
    pub(crate) fn defined(document: String, foreign: Vec<Option<String>>) -> Report {
        Report::Defined { document, foreign, hooks: None }
    }

    /// An exception that nobody caught.
    pub(crate) fn of_exception(
        error: &PyBaseExceptionRef,
        stage: &'static str,
        vm: &VirtualMachine,
    ) -> Report {
        Report::Failed(Box::new(Failure::of_exception(error, stage, vm)))
    }

    /// As one line of JSON.
    pub(crate) fn to_json(&self) -> String {
        let mut out = Writer::new();
        match self {
            Report::Defined { document, foreign, hooks } => {
                let mut out = String::from("{\"ok\": true, \"defined\": ");
                out.push_str(document);
                let mut rest = Writer::new();
                rest.begin_array();
                for name in foreign {
                    match name {
                        Some(name) => rest.text(name),
                        None => rest.null(),
                    }
                }
                rest.end_array();
                out.push_str(", \"foreign\": ");
                out.push_str(&rest.finish());
                if let Some(hooks) = hooks {
                    let mut names = Writer::new();
                    names.begin_array();
                    hooks.iter().for_each(|name| names.text(name));
                    names.end_array();
                    out.push_str(", \"hooks\": ");
                    out.push_str(&names.finish());
                }
                let mut output = Writer::new();
                output.text(&host::output());
                out.push_str(", \"output\": ");
                out.push_str(&output.finish());
                out.push('}');
                return out;
            }
            Report::Failed(failure) => {
                out.begin_object();
                out.name("ok");
                out.boolean(false);
                out.name("error");
                failure.write(&mut out);
                out.name("output");
                out.text(&host::output());
                out.end_object();
            }
        }
        out.finish()
    }
}

impl Failure {
    /// What an exception says.
    pub(crate) fn of_exception(
        error: &PyBaseExceptionRef,
        stage: &'static str,
        vm: &VirtualMachine,
    ) -> Failure {
        let object: PyObjectRef = error.clone().into();
        let class = error.class().name().to_string();
        let mut failure = Failure { stage, class, ..Failure::default() };
        failure.message = text(&object, vm).unwrap_or_default();
        for entry in error.__traceback__().iter().flat_map(|first| first.iter()) {
            let entry: PyObjectRef = entry.into();
            let frame = attribute(&entry, "tb_frame", vm);
            let code = frame.and_then(|frame| attribute(&frame, "f_code", vm));
            let Some(code) = code else { continue };
            let file = attribute(&code, "co_filename", vm).and_then(|file| text(&file, vm).ok());
            let line = attribute(&entry, "tb_lineno", vm).and_then(|line| number(&line, vm));
            if let (Some(file), Some(line)) = (file, line)
                && !is_own(&file)
            {
                let column = column(&code, &entry, vm).unwrap_or(1);
                failure.place = Some((file.clone(), line, column));
                failure.trace.push((file, line));
            }
        }
        if error.class().fast_issubclass(vm.ctx.exceptions.syntax_error) {
            let line = attribute(&object, "lineno", vm).and_then(|line| number(&line, vm));
            let file = attribute(&object, "filename", vm).and_then(|file| text(&file, vm).ok());
            if let (Some(line), Some(file)) = (line, file) {
                let column =
                    attribute(&object, "offset", vm).and_then(|column| number(&column, vm));
                failure.place = Some((file, line, column.unwrap_or(1)));
            }
            if let Some(message) = attribute(&object, "msg", vm) {
                failure.message = text(&message, vm).unwrap_or_default();
            }
        }
        failure.help = match attribute(&object, "help", vm) {
            Some(help) => text(&help, vm).ok(),
            None => crate::python2::advice(&failure.class, &failure.message).map(str::to_owned),
        };
        failure
    }

    /// As a JSON object.
    pub(crate) fn write(&self, out: &mut Writer) {
        out.begin_object();
        for (name, text) in
            [("stage", self.stage), ("class", &self.class), ("message", &self.message)]
        {
            out.name(name);
            out.text(text);
        }
        if let Some((file, line, column)) = &self.place {
            out.name("file");
            out.text(file);
            out.name("line");
            out.integer(*line as i64);
            out.name("column");
            out.integer(*column as i64);
        }
        if let Some(help) = &self.help {
            out.name("help");
            out.text(help);
        }
        out.name("trace");
        out.begin_array();
        for (file, line) in &self.trace {
            out.begin_array();
            out.text(file);
            out.integer(*line as i64);
            out.end_array();
        }
        out.end_array();
        out.end_object();
    }
}

fn attribute(object: &PyObjectRef, name: &'static str, vm: &VirtualMachine) -> Option<PyObjectRef> {
    object.get_attr(name, vm).ok().filter(|found| !vm.is_none(found))
}

fn text(object: &PyObjectRef, vm: &VirtualMachine) -> PyResult<String> {
    Ok(object.str(vm)?.as_wtf8().to_string_lossy().into_owned())
}

fn number(object: &PyObjectRef, vm: &VirtualMachine) -> Option<usize> {
    text(object, vm).ok()?.parse().ok()
}

/// A mistake as an exception, so that included files may be guarded by `try`.
pub(crate) fn syntax_error(
    finding: &Finding,
    file: &str,
    source: &str,
    vm: &VirtualMachine,
) -> PyBaseExceptionRef {
    let line = source.lines().nth(finding.line.saturating_sub(1)).unwrap_or_default();
    let details: Vec<PyObjectRef> = vec![
        vm.ctx.new_str(file).into(),
        vm.ctx.new_int(finding.line).into(),
        vm.ctx.new_int(finding.column).into(),
        vm.ctx.new_str(line).into(),
    ];
    let args = vec![vm.ctx.new_str(&*finding.message).into(), vm.ctx.new_tuple(details).into()];
    let class = vm.ctx.exceptions.syntax_error.to_owned();
    let made = class.as_object().call(vm::function::FuncArgs::from(args), vm);
    let exception = made.and_then(|made| {
        made.downcast::<vm::builtins::PyBaseException>()
            .map_err(|_| vm.new_runtime_error("a syntax error is no exception".to_owned()))
    });
    let exception = match exception {
        Ok(exception) => exception,
        Err(error) => error,
    };
    if let Some(help) = &finding.help {
        let help = vm.ctx.new_str(&**help);
        let _ = exception.as_object().set_attr("help", help, vm);
    }
    exception
}

/// The column of the instruction that a traceback entry stands at, from 1.
fn column(code: &PyObjectRef, entry: &PyObjectRef, vm: &VirtualMachine) -> Option<usize> {
    let last = attribute(entry, "tb_lasti", vm).and_then(|last| number(&last, vm))?;
    let positions = vm.call_method(code, "co_positions", ()).ok()?;
    let positions: Vec<PyObjectRef> = vm.extract_elements_with(&positions, Ok).ok()?;
    let position = positions.get(last / 2)?;
    let parts: Vec<PyObjectRef> = vm.extract_elements_with(position, Ok).ok()?;
    Some(number(parts.get(2)?, vm)? + 1)
}
