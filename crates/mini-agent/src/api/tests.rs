use super::*;

const IDS: &str = r#""executor_id": {"value": "e"}, "framework_id": {"value": "f"}"#;

fn json(body: &str) -> Result<Request, Refusal> {
    parse(Some("application/json"), None, body.as_bytes())
}

fn update(status: &str) -> Result<Request, Refusal> {
    json(&format!(
        r#"{{{IDS}, "type": "UPDATE", "update": {{"status": {{"task_id": {{"value": "t"}}, {status}}}}}}}"#
    ))
}

#[test]
fn refusals_are_those_of_an_agent() {
    let bad = "Failed to validate Executor::Call: ";
    let source = format!(
        "{bad}Received Call from executor e of framework f with invalid source, expecting \
         'SOURCE_EXECUTOR'"
    );
    let uuid = r#""uuid": "yFivtiQIQoimz1na5cqwqw==""#;
    let cases = [
        (parse(None, None, b"{}"), 400, "Expecting 'Content-Type' to be present".to_owned()),
        (
            parse(Some("text/plain"), None, b"{}"),
            415,
            "Expecting 'Content-Type' of application/json or application/x-protobuf".to_owned(),
        ),
        (json(""), 400, "Failed to parse body into JSON: syntax error at line 1 near: ".to_owned()),
        (
            json(r#"{"type": "SUBSCRIBE", "subscribe": {}}"#),
            400,
            "Failed to convert JSON into Call protobuf: Missing required fields: executor_id, \
             framework_id"
                .to_owned(),
        ),
        (
            parse(Some("application/x-protobuf"), None, b"\xff"),
            400,
            "Failed to parse body into Call protobuf".to_owned(),
        ),
        (
            json(&format!(r#"{{{IDS}, "type": "SUBSCRIBE"}}"#)),
            400,
            format!("{bad}Expecting 'subscribe' to be present"),
        ),
        (
            json(&format!(r#"{{{IDS}, "type": "MESSAGE"}}"#)),
            400,
            format!("{bad}Expecting 'message' to be present"),
        ),
        (json(&format!("{{{IDS}}}")), 400, format!("{bad}Expecting 'type' to be present")),
        (update(r#""state": "TASK_RUNNING""#), 400, format!("{bad}Expecting 'uuid' to be present")),
        (
            update(r#""state": "TASK_RUNNING", "uuid": "YWJj""#),
            400,
            format!("{bad}Not a valid UUID"),
        ),
        (update(&format!(r#""state": "TASK_RUNNING", {uuid}"#)), 400, source.clone()),
        (
            update(&format!(r#""state": "TASK_RUNNING", "source": "SOURCE_MASTER", {uuid}"#)),
            400,
            source,
        ),
        (
            update(&format!(r#""state": "TASK_STAGING", "source": "SOURCE_EXECUTOR", {uuid}"#)),
            400,
            format!(
                "{bad}Received TASK_STAGING from executor e of framework f which is not allowed"
            ),
        ),
        (
            parse(
                Some("application/json"),
                Some("text/html"),
                format!(r#"{{{IDS}, "type": "SUBSCRIBE", "subscribe": {{}}}}"#).as_bytes(),
            ),
            406,
            "Expecting 'Accept' to allow 'application/x-protobuf' or 'application/json'".to_owned(),
        ),
    ];
    for (result, status, text) in cases {
        assert_eq!(result, Err(Refusal { status, text }));
    }
}

#[test]
fn calls() {
    let uuid = r#""uuid": "yFivtiQIQoimz1na5cqwqw==""#;
    let request =
        update(&format!(r#""state": "TASK_RUNNING", "source": "SOURCE_EXECUTOR", {uuid}"#));
    let Ok(Request { wish: Wish::Update(status), .. }) = request else { panic!("{request:?}") };
    assert_eq!(status.state(), TaskState::TaskRunning);
    let wish = json(&format!(r#"{{{IDS}, "type": "HEARTBEAT"}}"#)).unwrap().wish;
    assert_eq!(wish, Wish::Heartbeat);
    for (accept, format) in [
        (None, Format::Json),
        (Some("*/*"), Format::Json),
        (Some("application/x-protobuf"), Format::Protobuf),
        (Some("text/html, application/x-protobuf;q=0.5"), Format::Protobuf),
    ] {
        let body = format!(r#"{{{IDS}, "type": "SUBSCRIBE", "subscribe": {{}}}}"#);
        let request = parse(Some("application/json"), accept, body.as_bytes()).unwrap();
        assert!(matches!(request.wish, Wish::Subscribe(_, f) if f == format), "{accept:?}");
    }
}
