//! Hooks: objects in a file's `hooks`, whose methods are called around a client's calls of a
//! scheduler.
//!
//! After its report the process reads requests from standard input, one JSON object per line, and
//! answers each with one. It ends with its input.
//!
//! ```text
//! {"job": DOCUMENT}                      the job that the calls are about; first of all
//!     {"done": true} or {"done": false, "error": ERROR}
//! {"call": number of the hook, "key": [cluster, role, environment, name],
//!  "event": "pre", "post" or "err", "method": "kill_job",
//!  "arguments": [ARGUMENT, …], "keywords": {name: ARGUMENT, …}, "extra": ARGUMENT}
//!     {"done": true, "name": null}                              it has no method for that
//!     {"done": true, "name": "pre_kill_job", "passed": false, "value": "None", "changed": JOB}
//!     {"done": false, "name": …, "error": ERROR, "changed": JOB}
//!
//! ARGUMENT  null, true, 1, "text", [ARGUMENT, …] · {"config": null} · {"key": [four texts]}
//!           · {"map": {…}} · {"settings": {…}} · {"response": {…}} · {"refusal": {…}}
//!           · {"failure": [class, message]}
//! JOB       null: as before · {"job": DOCUMENT, "metadata": [[key, value], …]}
//! ERROR     as in a report
//! ```
//!
//! Before it answers it may say and ask something:
//!
//! ```text
//! {"print": "out", "err", "debug", "info", "warn" or "error", "text": "…"}
//! {"ask": "line", "prompt": "…"}         {"line": ["…"]}, or {"line": []} where there is none
//! {"ask": "sent", "job": DOCUMENT, "metadata": …}
//!                                        {"thrift": {…}, "ports": […]} or {"error": "…"}
//! ```

use std::io::{BufRead as _, Write as _};

use aurora_schema::json::{self, Json, Writer};
use aurora_schema::number::Integer;
use aurora_schema::transfer;
use rustpython_vm as vm;
use vm::builtins::{PyBaseExceptionRef, PyDictRef, PyListRef, PyTuple};
use vm::function::FuncArgs;
use vm::{AsObject, PyObject, PyObjectRef, PyResult, VirtualMachine};

use crate::convert::{self, text_argument};
use crate::host::{self, Printing};
use crate::interpreter;
use crate::object::{value_of, wrap};
use crate::report::Failure;

/// The version of the protocol.
pub(crate) const VERSION: &str = "1";

/// The hooks of a file.
pub(crate) struct Hooks {
    objects: Vec<PyObjectRef>,
    names: Vec<String>,
    /// Why there are none: what is called so is no list.
    broken: Option<PyBaseExceptionRef>,
    /// The part of this that is in Python; there once a job is.
    helpers: Option<PyDictRef>,
}

/// What a call is about, as Python objects.
struct Call {
    hook: PyObjectRef,
    key: PyObjectRef,
    event: PyObjectRef,
    method: PyObjectRef,
    arguments: PyObjectRef,
    keywords: PyObjectRef,
    extra: PyObjectRef,
}

impl Hooks {
    /// The hooks that the file has defined. That `hooks` is no list is a mistake only for a job that
    /// has them enabled; before that it may be any name.
    pub(crate) fn find(vm: &VirtualMachine) -> Hooks {
        let found = interpreter::global("hooks", vm).and_then(|hooks| match hooks {
            Some(hooks) => vm.extract_elements_with(&hooks, Ok),
            None => Ok(Vec::new()),
        });
        let (objects, broken): (Vec<PyObjectRef>, _) = match found {
            Ok(objects) => (objects, None),
            Err(error) => {
                let help = vm.ctx.new_str("write a list of objects: hooks = [Checker()]");
                let _ = error.as_object().set_attr("help", help, vm);
                (Vec::new(), Some(error))
            }
        };
        let name = |hook: &PyObjectRef| match hook.downcast_ref::<vm::builtins::PyType>() {
            Some(class) => class.name().to_string(),
            None => hook.class().name().to_string(),
        };
        let names = objects.iter().map(name).collect();
        Hooks { objects, names, broken, helpers: None }
    }

    /// Whether there is anything to be called, or to be complained about.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.objects.is_empty() || self.broken.is_some()
    }

    /// The classes of the hooks.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// Answers requests until there are no more.
    pub(crate) fn serve(&mut self, vm: &VirtualMachine) {
        while let Some(request) = receive() {
            host::print_to(Printing::Client);
            let answer = self.answer(&request, vm);
            if !send(&answer) {
                break;
            }
        }
    }

    fn answer(&mut self, request: &Json, vm: &VirtualMachine) -> String {
        let mut name = None;
        let done = match find(request, "job") {
            Some(document) => self.begin(document, vm).map(|()| None),
            None => self.call(request, &mut name, vm),
        };
        let mut out = Writer::new();
        out.begin_object();
        out.name("done");
        out.boolean(done.is_ok());
        out.name("name");
        match &name {
            Some((name, _)) => out.text(name),
            None => out.null(),
        }
        match done {
            Ok(None) => {}
            Ok(Some((passed, value))) => {
                out.name("passed");
                out.boolean(passed);
                out.name("value");
                out.text(&value);
            }
            Err(error) => {
                let mut failure = Failure::of_exception(&error, "hook", vm);
                // A mistake in no line of the user's is one in what the method takes.
                if failure.class == "TypeError"
                    && failure.trace.is_empty()
                    && failure.help.is_none()
                {
                    failure.help = name.map(|(_, signature)| signature);
                }
                out.name("error");
                failure.write(&mut out);
            }
        }
        let mut answer = out.finish();
        if let Ok(Some(job)) = self.changed(vm) {
            answer.push_str(", \"changed\": ");
            answer.push_str(&job);
        }
        answer.push('}');
        answer
    }

    /// Takes over the job that hooks are called for.
    fn begin(&mut self, document: &Json, vm: &VirtualMachine) -> PyResult<()> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let mut values = transfer::decode(document).map_err(|error| vm.new_value_error(error))?;
        let job = values.pop().ok_or_else(|| vm.new_value_error("there is no job".to_owned()))?;
        let helpers = interpreter::start_hooks(vm)?;
        let hooks = vm.ctx.new_list(self.objects.clone());
        helpers.get_item("begin", vm)?.call((wrap(job, vm)?, hooks), vm)?;
        self.helpers = Some(helpers);
        Ok(())
    }

    /// Calls a hook: whether it is content, and what it returned. Nothing if it has no such method.
    fn call(
        &self,
        request: &Json,
        name: &mut Option<(String, String)>,
        vm: &VirtualMachine,
    ) -> PyResult<Option<(bool, String)>> {
        let strange = |what: &str| vm.new_value_error(format!("the client did not say {what}"));
        let part = |name: &str| -> PyResult {
            let part = find(request, name).ok_or_else(|| strange(name))?;
            convert::from_json(part, vm)
        };
        let hook = match find(request, "call") {
            Some(Json::Integer(Integer::Small(number))) => usize::try_from(*number).ok(),
            _ => None,
        };
        let hook = hook.and_then(|hook| self.objects.get(hook)).ok_or_else(|| strange("which"))?;
        let helpers = self.helpers.as_ref().ok_or_else(|| strange("about which job"))?;
        let call = Call {
            hook: hook.clone(),
            key: part("key")?,
            event: part("event")?,
            method: part("method")?,
            arguments: part("arguments")?,
            keywords: part("keywords")?,
            extra: part("extra")?,
        };
        let Call { hook, key, event, method, arguments, keywords, extra } = call;
        let all = vec![hook, key, event, method, arguments, keywords, extra];
        let found = helpers.get_item("find", vm)?.call(FuncArgs::from(all), vm)?;
        if vm.is_none(&found) {
            return Ok(None);
        }
        let [method, run, signature] = parts(&found, vm)?;
        *name = Some((text_argument(&method, vm)?, text_argument(&signature, vm)?));
        let returned = run.call((), vm)?;
        let [passed, value] = parts(&returned, vm)?;
        Ok(Some((passed.try_to_bool(vm)?, text_argument(&value, vm)?)))
    }

    /// The job as JSON, if hooks have changed it since this was last asked.
    fn changed(&self, vm: &VirtualMachine) -> PyResult<Option<String>> {
        let Some(helpers) = &self.helpers else { return Ok(None) };
        let changed = helpers.get_item("changed", vm)?.call((), vm)?;
        if vm.is_none(&changed) {
            return Ok(None);
        }
        let [job, metadata] = parts(&changed, vm)?;
        Ok(Some(format!("{{{}}}", job_and_metadata(&job, &metadata, vm)?)))
    }
}

/// The elements of a tuple of ours.
fn parts<const N: usize>(tuple: &PyObject, vm: &VirtualMachine) -> PyResult<[PyObjectRef; N]> {
    let elements = tuple.downcast_ref::<PyTuple>().map(|tuple| tuple.as_slice().to_vec());
    elements
        .and_then(|elements| elements.try_into().ok())
        .ok_or_else(|| vm.new_runtime_error("a tuple of another size".to_owned()))
}

/// The members of an object that has a job with its metadata.
fn job_and_metadata(job: &PyObject, metadata: &PyObject, vm: &VirtualMachine) -> PyResult<String> {
    let Some(value) = value_of(job) else {
        return Err(vm.new_type_error("the job is none".to_owned()));
    };
    let pairs: Vec<PyObjectRef> = vm.extract_elements_with(metadata, Ok)?;
    let mut out = Writer::new();
    out.begin_array();
    for pair in &pairs {
        let [key, value] = parts(pair, vm)?;
        out.begin_array();
        out.text(&text_argument(&key, vm)?);
        out.text(&text_argument(&value, vm)?);
        out.end_array();
    }
    out.end_array();
    let job = transfer::encode(std::slice::from_ref(value));
    Ok(format!("\"job\": {job}, \"metadata\": {}", out.finish()))
}

fn find<'j>(json: &'j Json, name: &str) -> Option<&'j Json> {
    match json {
        Json::Object(members) => {
            members.iter().find(|(known, _)| **known == *name).map(|(_, json)| json)
        }
        _ => None,
    }
}

/// The next line of the client; nothing if it has gone.
fn receive() -> Option<Json> {
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => json::parse(line.as_bytes()).ok(),
    }
}

/// Says a line to the client. Whether it is still there.
fn send(line: &str) -> bool {
    let mut out = std::io::stdout().lock();
    let sent = out.write_all(line.as_bytes()).and_then(|()| out.write_all(b"\n"));
    sent.and_then(|()| out.flush()).is_ok()
}

/// Has the client print something.
pub(crate) fn print(stream: &str, text: &str) {
    let mut out = Writer::new();
    out.begin_object();
    out.name("print");
    out.text(stream);
    out.name("text");
    out.text(text);
    out.end_object();
    if !send(&out.finish()) {
        // Nobody wants to know any more.
        std::process::exit(0);
    }
}

fn question(question: &str, vm: &VirtualMachine) -> PyResult<Json> {
    let gone = || -> PyBaseExceptionRef { vm.new_eof_error("the client has gone".to_owned()) };
    if !send(question) {
        return Err(gone());
    }
    receive().ok_or_else(gone)
}

/// Asks the user for a line: a list of it, empty at the end of the input. None while nobody is there.
pub(crate) fn ask(prompt: PyObjectRef, vm: &VirtualMachine) -> PyResult {
    let prompt = text_argument(&prompt, vm)?;
    if !host::has_client() {
        return Ok(vm.ctx.none());
    }
    let mut out = Writer::new();
    out.begin_object();
    out.name("ask");
    out.text("line");
    out.name("prompt");
    out.text(&prompt);
    out.end_object();
    let answer = question(&out.finish(), vm)?;
    match find(&answer, "line") {
        Some(line @ Json::Array(_)) => convert::from_json(line, vm),
        _ => Ok(vm.ctx.new_list(Vec::new()).into()),
    }
}

/// Asks what the scheduler would get for a job.
pub(crate) fn sent(job: PyObjectRef, metadata: PyListRef, vm: &VirtualMachine) -> PyResult {
    let members = job_and_metadata(&job, metadata.as_object(), vm)?;
    let answer = question(&format!("{{\"ask\": \"sent\", {members}}}"), vm)?;
    convert::from_json(&answer, vm)
}
