//! Calls, from the caller through the encodings to the handler and back.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::cell::RefCell;

use support::everything::{Everything, NotFound, Shape, calculator, nothing, quiet};
use support::shared_types::{Exhausted, base};
use thrift_wire::{
    ApplicationError, CallError, InMessage, Method, OutMessage, Served, Wire, binary, read_reply,
    tjson, write_call,
};

/// Counts the calls that return nothing.
#[derive(Default)]
struct Server {
    log: RefCell<Vec<String>>,
}

impl base::Handler<str> for Server {
    fn ping(&self, user: &str, _: base::PingArgs) -> Result<(), base::PingFault> {
        self.log.borrow_mut().push(format!("{user} pings"));
        Ok(())
    }

    fn poke(&self, user: &str, args: base::PokeArgs) -> Result<(), base::PokeFault> {
        self.log.borrow_mut().push(format!("{user} pokes {:?}", args.who));
        Ok(())
    }
}

impl calculator::Handler<str> for Server {
    fn add(&self, _: &str, args: calculator::AddArgs) -> Result<i32, calculator::AddFault> {
        let (a, b) = (args.a.unwrap_or(0), args.b.unwrap_or(0));
        a.checked_add(b).ok_or_else(|| Exhausted { code: Some(32), ..Default::default() }.into())
    }

    fn echo(
        &self,
        _: &str,
        args: calculator::EchoArgs,
    ) -> Result<Everything, calculator::EchoFault> {
        args.value.ok_or_else(|| {
            ApplicationError::new(ApplicationError::INTERNAL_ERROR, "nothing to echo").into()
        })
    }

    fn store(&self, _: &str, args: calculator::StoreArgs) -> Result<(), calculator::StoreFault> {
        match args.name {
            Some(_) => Ok(()),
            None => Err(NotFound { what: Some("name".to_owned()), ..Default::default() }.into()),
        }
    }

    fn forget(&self, _: &str, _: calculator::ForgetArgs) -> Result<(), calculator::ForgetFault> {
        Ok(())
    }

    fn names(
        &self,
        _: &str,
        _: calculator::NamesArgs,
    ) -> Result<Vec<String>, calculator::NamesFault> {
        Err(calculator::NamesFault::B(NotFound::default()))
    }
}

impl quiet::Handler<str> for Server {}
impl nothing::Handler<str> for Server {}

/// Calls `M` in TBinary, and again in TJSON; both must come out alike.
fn call<M>(args: &M::Args) -> Result<M::Output, CallError<M::Fault>>
where
    M: Method<Output: PartialEq + std::fmt::Debug, Fault: PartialEq + std::fmt::Debug>,
{
    let server = Server::default();
    let (mut sent, mut answered) = (Vec::new(), Vec::new());
    write_call::<M, _>(&mut binary::Writer::non_strict(&mut sent), 5, args);
    let mut input = binary::Reader::new(&sent);
    let out = &mut binary::Writer::new(&mut answered);
    assert_eq!(calculator::dispatch(&server, "me", &mut input, out), Ok(Served::Replied));
    assert_eq!(input.finish(), Ok(()));
    let first = read_reply::<M, _>(&mut binary::Reader::new(&answered), 5);

    let (mut sent, mut answered) = (String::new(), String::new());
    write_call::<M, _>(&mut tjson::Writer::new(&mut sent), 6, args);
    let mut input = tjson::Reader::new(sent.as_bytes());
    let out = &mut tjson::Writer::new(&mut answered);
    assert_eq!(quiet::dispatch(&server, "me", &mut input, out), Ok(Served::Replied));
    assert_eq!(input.finish(), Ok(()));
    let second = read_reply::<M, _>(&mut tjson::Reader::new(answered.as_bytes()), 6);
    assert_eq!(first, second);
    first
}

#[test]
fn results_and_exceptions() {
    let args = |a, b| calculator::AddArgs { a, b, ..Default::default() };
    assert_eq!(call::<calculator::Add>(&args(Some(1), Some(2))), Ok(3));
    assert_eq!(call::<calculator::Add>(&args(None, Some(2))), Ok(2));
    assert_eq!(
        call::<calculator::Add>(&args(Some(i32::MAX), Some(1))),
        Err(CallError::Fault(calculator::AddFault::Exhausted(Exhausted {
            code: Some(32),
            ..Default::default()
        })))
    );
    assert_eq!(call::<base::Ping>(&Default::default()), Ok(()));
    let value = Everything { shape: Some(Shape::Names(Default::default())), ..Default::default() };
    let echo = calculator::EchoArgs { value: Some(value.clone()), ..Default::default() };
    assert_eq!(call::<calculator::Echo>(&echo), Ok(value));
    assert!(matches!(
        call::<calculator::Echo>(&Default::default()),
        Err(CallError::Fault(calculator::EchoFault::Application(ApplicationError {
            kind: ApplicationError::INTERNAL_ERROR,
            ..
        })))
    ));
    assert!(matches!(
        call::<calculator::Store>(&Default::default()),
        Err(CallError::Fault(calculator::StoreFault::Missing(_)))
    ));
    assert!(matches!(
        call::<calculator::Names>(&Default::default()),
        Err(CallError::Fault(calculator::NamesFault::B(_)))
    ));
}

/// Serves a TJSON message.
fn serve(message: &str) -> (Result<Served, String>, String, Vec<String>) {
    let server = Server::default();
    let mut answer = String::new();
    let out = &mut tjson::Writer::new(&mut answer);
    let served =
        calculator::dispatch(&server, "me", &mut tjson::Reader::new(message.as_bytes()), out);
    (served.map_err(|e| e.to_string()), answer, server.log.into_inner())
}

#[test]
fn answers_on_the_wire() {
    for (message, answer) in [
        (r#"[1,"add",1,9,{"1":{"i32":1},"7":{"str":"x"}}]"#, r#"[1,"add",2,9,{"0":{"i32":1}}]"#),
        (r#"[1,"ping",1,0,{}]"#, r#"[1,"ping",2,0,{}]"#),
        (
            r#"[1,"nope",1,3,{"1":{"i32":1}}]"#,
            r#"[1,"nope",3,3,{"1":{"str":"there is no method nope"},"2":{"i32":1}}]"#,
        ),
        (
            r#"[1,"add",1,4,{"1":{"i32":"x"}}]"#,
            r#"[1,"add",3,4,{"1":{"str":"the arguments of add cannot be decoded: byte 25, in a: expected an i32, found `x`"},"2":{"i32":7}}]"#,
        ),
        (
            r#"[1,"add",1,4,{"#,
            r#"[1,"add",3,4,{"1":{"str":"the arguments of add cannot be decoded: byte 14: expected a field id in quotes, found the end of the input"},"2":{"i32":7}}]"#,
        ),
        (
            r#"[1,"add",2,4,{}]"#,
            r#"[1,"add",3,4,{"1":{"str":"expected a call of add, found a reply"},"2":{"i32":2}}]"#,
        ),
    ] {
        let (served, found, _) = serve(message);
        assert_eq!((served, found.as_str()), (Ok(Served::Replied), answer), "{message}");
    }
    let (served, found, log) = serve(r#"[1,"poke",4,0,{"1":{"str":"you"}}]"#);
    assert_eq!((served, found.as_str()), (Ok(Served::NoReply), ""));
    assert_eq!(log, [r#"me pokes Some("you")"#]);
    let (served, found, _) = serve(r#"[1,"gone",4,0,{}]"#);
    assert_eq!((served, found.as_str()), (Ok(Served::NoReply), ""));
    let (served, found, _) = serve("[2");
    assert_eq!(served, Err("byte 2: a message of version 2; expected 1".to_owned()));
    assert_eq!(found, "");
}

#[test]
fn a_service_without_methods() {
    let mut answer = String::new();
    let mut input = tjson::Reader::new(br#"[1,"add",1,4,{}]"#);
    let out = &mut tjson::Writer::new(&mut answer);
    assert_eq!(nothing::dispatch(&Server::default(), "me", &mut input, out), Ok(Served::Replied));
    assert!(answer.contains("there is no method add"));
}

#[test]
fn replies_that_are_none() {
    let fault = |reply: &str| {
        let mut input = tjson::Reader::new(reply.as_bytes());
        match read_reply::<calculator::Add, _>(&mut input, 5) {
            Err(CallError::Fault(calculator::AddFault::Application(e))) => e.kind,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(fault(r#"[1,"add",2,5,{}]"#), ApplicationError::MISSING_RESULT);
    assert_eq!(fault(r#"[1,"add",2,6,{}]"#), ApplicationError::BAD_SEQUENCE_ID);
    assert_eq!(fault(r#"[1,"sub",2,5,{}]"#), ApplicationError::WRONG_METHOD_NAME);
    assert_eq!(fault(r#"[1,"add",1,5,{}]"#), ApplicationError::INVALID_MESSAGE_TYPE);
    assert_eq!(fault(r#"[1,"add",3,5,{"1":{"str":"x"},"2":{"i32":1}}]"#), 1);
    let error = read_reply::<calculator::Add, _>(&mut tjson::Reader::new(b"<html>"), 5);
    assert_eq!(
        error.unwrap_err().to_string(),
        "the reply cannot be decoded: byte 0: expected `[`, found `<`"
    );
}

#[test]
fn arguments_can_be_read_without_dispatch() {
    let mut sent = Vec::new();
    let args = calculator::AddArgs { a: Some(1), ..Default::default() };
    write_call::<calculator::Add, _>(&mut binary::Writer::new(&mut sent), 1, &args);
    let mut input = binary::Reader::new(&sent);
    assert_eq!(input.message_begin().unwrap().name, "add");
    assert_eq!(calculator::AddArgs::read(&mut input), Ok(args));
    let mut out = Vec::new();
    binary::Writer::new(&mut out).message_end();
    assert!(out.is_empty());
}
