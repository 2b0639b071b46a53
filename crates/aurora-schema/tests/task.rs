//! Tasks: coercion, scopes, and every validation rule, by table.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use aurora_schema::Bindings;
use aurora_schema::task::{
    self, ErrorKind, LoadError, Loaded, LoggerDestination, LoggerMode, MAX_PROCESS_NAME, Resources,
    RotatePolicy, WarningKind,
};
use rstest::rstest;
use serde_json::{Value, json};

fn bindings() -> Bindings {
    let mut bindings = Bindings::new();
    bindings.bind("thermos.task_id", "id-1").unwrap();
    bindings.bind("thermos.user", "someone").unwrap();
    bindings
}

fn load_text(source: &str) -> Result<Loaded, LoadError> {
    task::load(source.as_bytes(), "task.json", &bindings())
}

fn load(source: &Value) -> Result<Loaded, LoadError> {
    load_text(&source.to_string())
}

/// A task `t` with one process `a` that has one more attribute.
fn with_process(attribute: &str, value: Value) -> Result<Loaded, LoadError> {
    let mut process = json!({"name": "a", "cmdline": "c"});
    process[attribute] = value;
    load(&json!({"name": "t", "processes": [process]}))
}

fn refused(result: Result<Loaded, LoadError>) -> String {
    match result {
        Ok(loaded) => panic!("accepted: {}", loaded.json),
        Err(error) => error.to_string(),
    }
}

#[test]
fn defaults() {
    let loaded = load(&json!({"processes": [{"name": "a", "cmdline": "c"}]})).unwrap();
    assert_eq!(
        loaded.json,
        "{\"name\": \"a\", \"processes\": [{\"name\": \"a\", \"cmdline\": \"c\", \
         \"max_failures\": 1, \"daemon\": false, \"ephemeral\": false, \"min_duration\": 5, \
         \"final\": false}], \"constraints\": [], \"max_failures\": 1, \"max_concurrency\": 0, \
         \"finalization_wait\": 30}"
    );
    let task = loaded.task;
    assert_eq!((task.max_failures, task.max_concurrency, task.finalization_wait), (1, 0, 30));
    assert_eq!((task.user, task.resources), (None, None));
    let process = &task.processes[0];
    assert_eq!((process.max_failures, process.min_duration), (1, 5));
    assert!(!process.daemon && !process.ephemeral && !process.is_final);
    assert_eq!((process.logger, process.resources), (None, None));
}

#[test]
fn nested_structs_have_their_defaults() {
    let logger = |logger: Value| with_process("logger", logger).unwrap();
    let loaded = logger(json!({}));
    let plain = loaded.task.processes[0].logger.unwrap();
    assert_eq!(plain.destination, LoggerDestination::File);
    assert_eq!((plain.mode, plain.rotate), (LoggerMode::Standard, None));
    assert!(
        loaded.json.contains("\"logger\": {\"destination\": \"file\", \"mode\": \"standard\"}")
    );

    let loaded = logger(json!({"destination": "both", "mode": "rotate", "rotate": {}}));
    let rotating = loaded.task.processes[0].logger.unwrap();
    assert_eq!(
        (rotating.destination, rotating.mode),
        (LoggerDestination::Both, LoggerMode::Rotate)
    );
    assert_eq!(rotating.rotate, Some(RotatePolicy { log_size: 104_857_600, backups: 5 }));
    assert!(loaded.json.contains("\"rotate\": {\"log_size\": 104857600, \"backups\": 5}"));

    let loaded = with_process("resources", json!({"cpu": 1, "ram": 2, "disk": 3})).unwrap();
    let resources = Resources { cpu: 1.0, ram: 2, disk: 3, gpu: 0 };
    assert_eq!(loaded.task.processes[0].resources, Some(resources));
    assert!(loaded.json.contains("{\"cpu\": 1.0, \"ram\": 2, \"disk\": 3, \"gpu\": 0}"));
}

#[rstest]
#[case::text(json!("x"), "x")]
#[case::integer(json!(5), "5")]
#[case::float(json!(1.5), "1.5")]
#[case::whole_float(json!(1.0), "1.0")]
#[case::truth(json!(true), "True")]
#[case::falsehood(json!(false), "False")]
fn strings(#[case] given: Value, #[case] expected: &str) {
    assert_eq!(with_process("cmdline", given).unwrap().task.processes[0].cmdline, expected);
}

#[rstest]
#[case::integer(json!(5), 5)]
#[case::negative(json!(-5), -5)]
#[case::float(json!(5.7), 5)]
#[case::negative_float(json!(-5.7), -5)]
#[case::truth(json!(true), 1)]
#[case::text(json!("5"), 5)]
#[case::text_with_blanks(json!(" +5 "), 5)]
#[case::leading_zero(json!("010"), 10)]
#[case::reference(json!("{{min_duration}}0"), 50)]
fn integers(#[case] given: Value, #[case] expected: i64) {
    assert_eq!(
        with_process("max_failures", given).unwrap().task.processes[0].max_failures,
        expected
    );
}

#[rstest]
#[case(json!("5.7"), "\"5.7\"")]
#[case(json!("abc"), "\"abc\"")]
#[case(json!(""), "\"\"")]
#[case(json!("0x10"), "\"0x10\"")]
#[case(json!("1_000"), "\"1_000\"")]
#[case(json!(null), "null")]
#[case(json!([1]), "a list")]
#[case(json!({}), "an object")]
#[case(json!("{{name}}"), "\"a\"")]
fn no_integers(#[case] given: Value, #[case] got: &str) {
    assert_eq!(
        refused(with_process("max_failures", given)),
        format!("task.json: processes[0].max_failures: expected an integer, got {got}")
    );
}

#[rstest]
#[case(json!(1), 1.0)]
#[case(json!(0.25), 0.25)]
#[case(json!("5"), 5.0)]
#[case(json!(".5"), 0.5)]
#[case(json!("1e3"), 1000.0)]
#[case(json!(true), 1.0)]
fn floats(#[case] given: Value, #[case] expected: f64) {
    let resources = json!({"cpu": given, "ram": 1, "disk": 1});
    let loaded = with_process("resources", resources).unwrap();
    assert_eq!(loaded.task.processes[0].resources.unwrap().cpu, expected);
}

#[rstest]
#[case(json!("1,5"))]
#[case(json!("x"))]
#[case(json!(null))]
fn no_floats(#[case] given: Value) {
    let resources = json!({"cpu": given, "ram": 1, "disk": 1});
    let message = refused(with_process("resources", resources));
    assert!(message.contains("processes[0].resources.cpu: expected a number, got"), "{message}");
}

#[rstest]
#[case(json!(true), true)]
#[case(json!(false), false)]
#[case(json!("true"), true)]
#[case(json!("True"), true)]
#[case(json!("FALSE"), false)]
#[case(json!("1"), true)]
#[case(json!("0"), false)]
#[case(json!(0), false)]
#[case(json!(2), true)]
#[case(json!(0.0), false)]
#[case(json!(0.1), true)]
#[case(json!("{{ephemeral}}"), false)]
fn booleans(#[case] given: Value, #[case] expected: bool) {
    assert_eq!(with_process("daemon", given).unwrap().task.processes[0].daemon, expected);
}

#[rstest]
#[case(json!("yes"))]
#[case(json!(" true"))]
#[case(json!(""))]
#[case(json!(null))]
#[case(json!([]))]
fn no_booleans(#[case] given: Value) {
    let message = refused(with_process("daemon", given));
    assert!(message.contains("processes[0].daemon: expected true or false, got"), "{message}");
}

#[rstest]
#[case(json!({"destination": "File"}), "got \"File\"; did you mean \"file\"?")]
#[case(json!({"destination": 5}), "got 5")]
#[case(json!({"mode": "rotates"}), "got \"rotates\"; did you mean \"rotate\"?")]
fn enumerations(#[case] logger: Value, #[case] end: &str) {
    let message = refused(with_process("logger", logger));
    assert!(message.contains("expected one of \""), "{message}");
    assert!(message.ends_with(end), "{message}");
}

#[rstest]
#[case(json!({"processes": "a"}), "processes: expected a list of Process, got \"a\"")]
#[case(json!({"processes": null}), "processes: expected a list of Process, got null")]
#[case(json!({"processes": {}}), "processes: expected a list of Process, got an object")]
#[case(json!({"processes": ["a"]}), "processes[0]: expected an object (Process), got \"a\"")]
#[case(json!({"processes": [], "resources": null}), "resources: expected an object (Resources), got null")]
#[case(json!({"processes": [], "resources": {"cpu": 1}}), "resources.ram: required by Resources, but missing")]
#[case(json!({"name": "x"}), "processes: required by Task, but missing")]
#[case(json!([]), "expected an object (Task), got a list")]
#[case(json!({"processes": [], "proceses": []}), "Task has no attribute \"proceses\"; did you mean \"processes\"?")]
#[case(
    json!({"processes": [{"name": "a", "cmd": "c"}]}),
    "processes[0]: Process has no attribute \"cmd\""
)]
#[case(
    json!({"processes": [{"name": "a", "cmdline": "c", "max_failure": 1}]}),
    "processes[0]: Process has no attribute \"max_failure\"; did you mean \"max_failures\"?"
)]
#[case(
    json!({"processes": [], "resources": {"cpus": 1}}),
    "resources: Resources has no attribute \"cpus\"; did you mean \"cpu\"?"
)]
#[case(json!({"processes": [{"cmdline": "c"}]}), "processes[0].name: required by Process, but missing")]
#[case(json!({"processes": [], "constraints": [{"order": "a"}]}), "constraints[0].order: expected a list of String, got \"a\"")]
fn shapes(#[case] source: Value, #[case] expected: &str) {
    let error = load(&source).unwrap_err();
    assert_eq!(error.to_string(), format!("task.json: {expected}"));
    assert_eq!(*error.kind(), ErrorKind::Schema);
}

/// The example of the reference: what a process of task `nm` sees.
#[rstest]
#[case("{{name}}", "second")]
#[case("{{self.name}}", "second")]
#[case("{{super.name}}", "nm")]
#[case("{{processes[0].name}}", "first")]
#[case("{{processes[-1].name}}", "second")]
#[case("{{max_failures}}", "7")]
#[case("{{super.max_failures}}", "3")]
#[case("{{finalization_wait}}", "30")]
#[case("{{user}}", "root")]
#[case("{{thermos.task_id}} {{thermos.user}}", "id-1 someone")]
#[case("{{constraints[0].order[1]}}", "second")]
#[case("{{super.thermos.task_id}}", "id-1")]
#[case("{{a{{thermos.user}}}}{{b}}", "xy")]
#[case("{{processes[{{zero}}].name}}", "first")]
#[case("{{} {x} }} {{", "{{} {x} }} {{")]
#[case("{{}}", "{{}}")]
#[case("{{{user}}}", "{root}")]
#[case("{{constraints}}", "ConstraintList(Constraint(order=StringList(first, second)))")]
fn scopes(#[case] cmdline: &str, #[case] expected: &str) {
    let mut bindings = bindings();
    for (address, value) in [("asomeone", "x"), ("b", "{{c}}"), ("c", "y"), ("zero", "0")] {
        bindings.bind(address, value).unwrap();
    }
    let source = json!({
        "name": "nm", "max_failures": 3, "user": "root",
        "processes": [
            {"name": "first", "cmdline": "c"},
            {"name": "second", "cmdline": cmdline, "max_failures": 7},
        ],
        "constraints": [{"order": ["first", "{{processes[1].name}}"]}],
    });
    let loaded = task::load(source.to_string().as_bytes(), "task.json", &bindings).unwrap();
    assert_eq!(loaded.task.processes[1].cmdline, expected);
    assert_eq!(loaded.task.constraints[0].order, ["first", "second"]);
}

#[rstest]
#[case("{{nosuch}}", "nosuch")]
#[case("{{processes[5].name}}", "processes[5].name")]
#[case("{{processes[x].name}}", "processes[x].name")]
#[case("{{processes.name}}", "processes.name")]
#[case("{{name.x}}", "name.x")]
#[case("{{thermos}}", "thermos")]
#[case("{{self}}", "self")]
#[case("{{&x}}", "x")]
#[case("{{&x&}}", "x")]
#[case("{{&&&x}}", "x")]
#[case("{{thermos.ports}}", "thermos.ports")]
#[case("{{thermos.ports.http}}", "thermos.ports.http")]
#[case("{{thermos.ports[a][b]}}", "thermos.ports[a][b]")]
fn unbound(#[case] cmdline: &str, #[case] reference: &str) {
    let error = with_process("cmdline", json!(cmdline)).unwrap_err();
    let ErrorKind::UnboundRefs(refs) = error.kind() else { panic!("{error}") };
    assert_eq!(refs.iter().map(ToString::to_string).collect::<Vec<_>>(), [reference]);
    assert_eq!(error.path().to_string(), "processes[0].cmdline");
    let hint = error.message().contains("{{thermos.ports[name]}}");
    assert_eq!(hint, reference.starts_with("thermos.ports"), "{error}");
}

#[rstest]
#[case(
    "{{ name }}",
    "malformed reference \" name \": a reference may not contain blanks; write {{name}}"
)]
#[case("{{1x}}", "malformed reference \"1x\": a reference may not start with '1'")]
#[case("{{x|y}}", "malformed reference \"x|y\": expected \".name\" or \"[index]\"")]
#[case("{{a[]}}", "malformed reference \"a[]\": an index is")]
#[case("{{cmdline}}", "\"{{cmdline}}\" still has references after 100 replacements")]
#[case("{{self.cmdline}}x", "still has references after 100 replacements")]
#[case("{{processes[-9].name}}", "[-9] reaches before the start of a list of 1")]
#[case("{{&a b}}", "malformed reference \"a b\"")]
fn bad_references(#[case] cmdline: &str, #[case] expected: &str) {
    let error = with_process("cmdline", json!(cmdline)).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Interpolation);
    assert_eq!(error.path().to_string(), "processes[0].cmdline");
    assert!(error.message().contains(expected), "{error}");
}

/// An escape is looked up by the next interpolation, which a load includes.
#[test]
fn escapes_last_for_one_interpolation() {
    let loaded = with_process("cmdline", json!("{{&name}} {{name}} {{&thermos.user}}")).unwrap();
    assert_eq!(loaded.task.processes[0].cmdline, "a a someone");
}

#[rstest]
#[case::empty("", "may not be empty")]
#[case::dot(".a", "may not start with \".\"")]
#[case::dots("..", "may not start with \".\"")]
#[case::slash("a/b", "may not contain \"/\"")]
#[case::leading_slash("/a", "may not contain \"/\"")]
#[case::nul("a\0b", "may not contain a NUL character")]
#[case::long(&"x".repeat(MAX_PROCESS_NAME + 1), "may not be longer than 243 bytes (it has 244)")]
#[case::long_in_bytes(&"é".repeat(122), "may not be longer than 243 bytes (it has 244)")]
fn bad_names(#[case] name: &str, #[case] expected: &str) {
    let error = with_process("name", json!(name)).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Name);
    assert_eq!(error.path().to_string(), "processes[0].name");
    assert!(error.message().ends_with(expected), "{error}");
}

#[rstest]
#[case("with space")]
#[case("-dash")]
#[case("a.b")]
#[case("a:b;'\"*%s%(run)s")]
#[case("größe 😀")]
#[case("line\n")]
#[case(&"x".repeat(100))]
#[case(&"x".repeat(MAX_PROCESS_NAME))]
fn good_names(#[case] name: &str) {
    let loaded = with_process("name", json!(name)).unwrap();
    assert_eq!(loaded.task.processes[0].name, name);
    assert!(loaded.json.is_ascii());
}

/// Orders like `r1 r2; f1 f2` (or `-` for none) on the
/// processes `r1`, `r2`, `r3` (regular), `f1`, `f2` (final), `d` (daemon), `e1`, `e2` (ephemeral).
fn with_orders(orders: &str) -> Result<Loaded, LoadError> {
    let process = |name: &str| {
        json!({
            "name": name, "cmdline": "c",
            "final": name.starts_with('f'),
            "daemon": name.starts_with('d'),
            "ephemeral": name.starts_with('e'),
        })
    };
    let processes: Vec<Value> =
        ["r1", "r2", "r3", "f1", "f2", "d", "e1", "e2"].into_iter().map(process).collect();
    let orders = orders.split(';').filter(|order| *order != "-");
    let constraints: Vec<Value> = orders
        .map(|order| json!({"order": order.split_whitespace().collect::<Vec<_>>()}))
        .collect();
    load(&json!({"name": "t", "processes": processes, "constraints": constraints}))
}

#[rstest]
#[case::empty("", "constraints[0].order: an order must name at least one process")]
#[case::regular_final("r1 f1", "constraints[0].order: an order may not mix")]
#[case::known_unknown("r1 x", "there is no process \"x\"")]
#[case::unknown_known("r1; x f1", "constraints[1].order: an order may not mix")]
#[case::on_daemon("d r1", "process \"r1\" may not depend on daemon process \"d\"")]
#[case::on_ephemeral(
    "e1 r1",
    "non-ephemeral process \"r1\" may not depend on ephemeral process \"e1\""
)]
#[case::cycle("r1 r2 r3; r3 r1", "constraints: the orders form a cycle: ")]
#[case::itself("r1 r1", "the orders form a cycle: \"r1\" before \"r1\"")]
#[case::final_cycle("r1 r2; f1 f2 f1", "cycle: \"f2\" before \"f1\" before \"f2\"")]
#[case::behind_a_cycle("r2 r3 r2; r2 r1", "cycle: \"r3\" before \"r2\" before \"r3\"")]
fn bad_plans(#[case] orders: &str, #[case] expected: &str) {
    let error = with_orders(orders).unwrap_err();
    assert_eq!(*error.kind(), ErrorKind::Plan);
    assert!(error.to_string().contains(expected), "{error}");
}

#[rstest]
#[case("-", "")]
#[case("r1", "")]
#[case("r1 r2 r3", "0<1 1<2")]
#[case("r1 r3; r2 r3; r1 r3", "0<2 1<2")]
#[case("f2 f1", "4<3")]
#[case("r1 d", "0<5")]
#[case("e1 e2; r1 e1", "0<6 6<7")]
#[case("x y", "")]
fn good_plans(#[case] orders: &str, #[case] expected: &str) {
    let dependencies = with_orders(orders).unwrap().task.dependencies();
    assert_eq!(dependencies.len(), 8);
    let mut edges = Vec::new();
    for (after, before) in dependencies.iter().enumerate() {
        edges.extend(before.iter().map(|before| format!("{before}<{after}")));
    }
    assert_eq!(edges.join(" "), expected);
}

#[test]
fn unknown_orders_are_ignored_with_a_warning() {
    let loaded = with_orders("r1 r2; x y").unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    assert_eq!(loaded.warnings[0].kind, WarningKind::UnknownOrder);
    assert_eq!(
        loaded.warnings[0].to_string(),
        "constraints[1].order: none of these names belongs to a process (\"x\", …); the order is \
         ignored"
    );
    assert_eq!(loaded.task.constraints.len(), 2);
}

#[test]
fn of_equal_names_the_last_counts() {
    let loaded = load(&json!({
        "name": "t",
        "processes": [
            {"name": "a", "cmdline": "1", "daemon": true},
            {"name": "b", "cmdline": "2"},
            {"name": "a", "cmdline": "3"},
        ],
        "constraints": [{"order": ["a", "b"]}],
    }))
    .unwrap();
    assert_eq!(loaded.task.counts(), [false, true, true]);
    assert_eq!(loaded.task.dependencies(), [vec![], vec![2], vec![]]);
    assert_eq!(loaded.task.processes.len(), 3);
    assert_eq!(loaded.warnings[0].kind, WarningKind::DuplicateProcess);
    assert_eq!(
        loaded.warnings[0].to_string(),
        "processes[0]: there is a later process \"a\"; this one is not run"
    );
}

#[rstest]
#[case("max_failures", json!(5.7), "5.7 is not whole; its fraction is cut off")]
#[case("max_failures", json!(true), "true counts as 1")]
#[case("cmdline", json!(false), "false becomes the text False")]
#[case("daemon", json!(2), "a number counts as true unless it is 0")]
#[case("daemon", json!(0.0), "a number counts as true unless it is 0")]
fn surprising_coercions_are_warned_of(
    #[case] attribute: &str,
    #[case] value: Value,
    #[case] message: &str,
) {
    let warnings = with_process(attribute, value).unwrap().warnings;
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].kind, WarningKind::Coercion);
    assert_eq!(warnings[0].to_string(), format!("processes[0].{attribute}: {message}"));
}

#[rstest]
#[case("max_failures", json!(5.0))]
#[case("max_failures", json!("5"))]
#[case("cmdline", json!(5))]
#[case("daemon", json!(1))]
#[case("daemon", json!("true"))]
fn usual_coercions_are_not(#[case] attribute: &str, #[case] value: Value) {
    assert_eq!(with_process(attribute, value).unwrap().warnings, []);
}

#[test]
fn no_processes_are_fine() {
    let loaded = load(&json!({"name": "t", "processes": []})).unwrap();
    assert_eq!(loaded.task.processes, []);
    let error = load(&json!({"processes": []})).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::UnboundRefs(_)), "{error}");
    assert_eq!(error.path().to_string(), "name");
}

/// Mistakes are looked for in a fixed order: shape, references' syntax, ports, names, plan, refs.
#[test]
fn order_of_checks() {
    let mut source = json!({
        "name": "{{nosuch}}",
        "processes": [{"name": ".a", "cmdline": "{{thermos.ports[http]}} {{x y}}", "daemon": "no"}],
        "constraints": [{"order": []}],
    });
    let kind = |source: &Value| load(source).unwrap_err().kind().clone();
    assert!(matches!(load_text("{").unwrap_err().kind(), ErrorKind::Syntax { line: 1, column: 2 }));
    source["processes"][0]["daemon"] = json!(false);
    assert_eq!(kind(&source), ErrorKind::Interpolation);
    source["processes"][0]["cmdline"] = json!("{{thermos.ports[http]}} {{thermos.ports[admin]}}");
    assert_eq!(kind(&source), ErrorKind::UnboundPorts(vec!["admin".into(), "http".into()]));
    source["processes"][0]["cmdline"] = json!("c");
    assert_eq!(kind(&source), ErrorKind::Name);
    source["processes"][0]["name"] = json!("a");
    assert_eq!(kind(&source), ErrorKind::Plan);
    source["constraints"] = json!([]);
    assert!(matches!(kind(&source), ErrorKind::UnboundRefs(_)));
    source["name"] = json!("t");
    load(&source).unwrap();
    // What is missing or no number is reported before ports that are not bound.
    source["processes"][0] = json!({"name": "{{thermos.ports[http]}}"});
    assert_eq!(kind(&source), ErrorKind::Schema);
    source["processes"][0] = json!({"name": "a", "cmdline": "c"});
    source["max_failures"] = json!("{{thermos.ports[http]}}");
    assert_eq!(
        refused(load(&source)),
        "task.json: max_failures: expected an integer, got \"{{thermos.ports[http]}}\", in which \
         references have no value"
    );
}

#[test]
fn numbers_must_fit() {
    for number in ["100000000000000000000", "1e300", "\"9223372036854775808\""] {
        let source = format!("{{\"name\": \"t\", \"processes\": [], \"max_failures\": {number}}}");
        let message = refused(load_text(&source));
        assert!(message.contains("max_failures: expected an integer from -92"), "{message}");
    }
    for (number, expected) in [
        ("1e999", "max_failures: cannot convert float infinity to integer"),
        ("NaN", "max_failures: expected an integer, got"),
        ("-Infinity", "max_failures: cannot convert float infinity to integer"),
    ] {
        let source = format!("{{\"name\": \"t\", \"processes\": [], \"max_failures\": {number}}}");
        let message = refused(load_text(&source));
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn tasks_compare_by_value() {
    let source = json!({"name": "t", "processes": [{"name": "a", "cmdline": "é"}]});
    let json = load(&source).unwrap().json;
    let reordered = serde_json::from_str::<Value>(&json).unwrap().to_string();
    assert_ne!(json, reordered);
    assert!(task::same_task(&json, &reordered));
    assert!(task::same_task(&json, &json.replace("\"max_failures\": 1", "\"max_failures\": 1.0")));
    assert!(!task::same_task(&json, &json.replace("\"t\"", "\"u\"")));
    assert!(!task::same_task("{", "{"));
}

#[test]
fn bindings_are_checked() {
    let mut bindings = Bindings::new();
    for address in ["", "a b", "{{a}}", "a[", "1"] {
        let error = bindings.bind(address, "x").unwrap_err();
        assert!(error.to_string().starts_with("cannot bind: malformed reference"), "{error}");
    }
    bindings.bind("a", "1").unwrap();
    bindings.bind("a", "2").unwrap();
    let source = json!({"name": "{{a}}", "processes": []});
    let loaded = task::load(source.to_string().as_bytes(), "x", &bindings).unwrap();
    assert_eq!(loaded.task.name, "2");
}
