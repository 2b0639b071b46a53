//! A peer for interoperability tests: converts, calls and serves on standard input and output, with
//! the test definitions.
//!
//! ```text
//! thrift_peer convert FROM TO          an Everything
//! thrift_peer serve IN OUT             one call of Calculator
//! thrift_peer call FORM METHOD JSON    a call; arguments in readable form
//! thrift_peer reply FORM METHOD        a reply, as `ok VALUE` or `fault TEXT`
//! ```
//!
//! Forms are `binary`, `non-strict`, `tjson` and, to convert only, `readable`.

#[path = "../tests/support/mod.rs"]
mod support;

use std::error::Error;
use std::io::{Read as _, Write as _};

use support::everything::{Everything, NotFound, calculator};
use support::shared_types::{Exhausted, base};
use thrift_wire::{
    ApplicationError, Method, Wire, binary, read_reply, readable, tjson, write_call,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// The sequence number of every call.
const SEQ: i32 = 7;

struct Server;

impl base::Handler<()> for Server {
    fn ping(&self, (): &(), _: base::PingArgs) -> Result<(), base::PingFault> {
        Ok(())
    }

    fn poke(&self, (): &(), _: base::PokeArgs) -> Result<(), base::PokeFault> {
        Ok(())
    }
}

impl calculator::Handler<()> for Server {
    fn add(&self, (): &(), args: calculator::AddArgs) -> Result<i32, calculator::AddFault> {
        let (a, b) = (args.a.unwrap_or(0), args.b.unwrap_or(0));
        a.checked_add(b).ok_or_else(|| {
            let message = Some(format!("{a} + {b}"));
            Exhausted { message, code: Some(32), ..Default::default() }.into()
        })
    }

    fn echo(
        &self,
        (): &(),
        args: calculator::EchoArgs,
    ) -> Result<Everything, calculator::EchoFault> {
        args.value.ok_or_else(|| {
            ApplicationError::new(ApplicationError::INTERNAL_ERROR, "nothing to echo").into()
        })
    }

    fn store(&self, (): &(), args: calculator::StoreArgs) -> Result<(), calculator::StoreFault> {
        match args.name {
            Some(_) => Ok(()),
            None => Err(NotFound { what: Some("name".to_owned()), ..Default::default() }.into()),
        }
    }

    fn forget(&self, (): &(), _: calculator::ForgetArgs) -> Result<(), calculator::ForgetFault> {
        Ok(())
    }

    fn names(
        &self,
        (): &(),
        _: calculator::NamesArgs,
    ) -> Result<Vec<String>, calculator::NamesFault> {
        Ok(vec!["one".to_owned(), String::new()])
    }
}

fn convert(from: &str, to: &str, input: &[u8]) -> Outcome<Vec<u8>> {
    let value: Everything = match from {
        "tjson" => tjson::from_slice(input)?,
        "readable" => readable::from_slice(input)?,
        _ => binary::from_slice(input)?,
    };
    Ok(match to {
        "tjson" => tjson::to_string(&value).into_bytes(),
        "readable" => readable::to_string(&value).into_bytes(),
        _ => binary::to_vec(&value),
    })
}

fn serve(from: &str, to: &str, input: &[u8]) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut text = String::new();
    match (from, to) {
        ("tjson", "tjson") => calculator::dispatch(
            &Server,
            &(),
            &mut tjson::Reader::new(input),
            &mut tjson::Writer::new(&mut text),
        ),
        ("tjson", _) => calculator::dispatch(
            &Server,
            &(),
            &mut tjson::Reader::new(input),
            &mut binary::Writer::new(&mut bytes),
        ),
        (_, "tjson") => calculator::dispatch(
            &Server,
            &(),
            &mut binary::Reader::new(input),
            &mut tjson::Writer::new(&mut text),
        ),
        (_, "non-strict") => calculator::dispatch(
            &Server,
            &(),
            &mut binary::Reader::new(input),
            &mut binary::Writer::non_strict(&mut bytes),
        ),
        _ => calculator::dispatch(
            &Server,
            &(),
            &mut binary::Reader::new(input),
            &mut binary::Writer::new(&mut bytes),
        ),
    }?;
    bytes.extend(text.into_bytes());
    Ok(bytes)
}

fn call<M: Method>(form: &str, args: &str) -> Outcome<Vec<u8>> {
    let args: M::Args = readable::from_str(args)?;
    let mut bytes = Vec::new();
    let mut text = String::new();
    match form {
        "tjson" => write_call::<M, _>(&mut tjson::Writer::new(&mut text), SEQ, &args),
        "non-strict" => {
            write_call::<M, _>(&mut binary::Writer::non_strict(&mut bytes), SEQ, &args);
        }
        _ => write_call::<M, _>(&mut binary::Writer::new(&mut bytes), SEQ, &args),
    }
    bytes.extend(text.into_bytes());
    Ok(bytes)
}

fn reply<M: Method<Fault: std::fmt::Display>>(
    form: &str,
    input: &[u8],
    show: impl FnOnce(&M::Output) -> String,
) -> Vec<u8> {
    let outcome = match form {
        "tjson" => read_reply::<M, _>(&mut tjson::Reader::new(input), SEQ),
        _ => read_reply::<M, _>(&mut binary::Reader::new(input), SEQ),
    };
    match outcome {
        Ok(value) => format!("ok {}", show(&value)),
        Err(error) => format!("fault {error}"),
    }
    .into_bytes()
}

fn show<T: Wire>(value: &T) -> String {
    readable::to_string(value)
}

fn run(args: &[&str]) -> Outcome<Vec<u8>> {
    let mut input = Vec::new();
    if args.first() != Some(&"call") {
        std::io::stdin().read_to_end(&mut input)?;
    }
    match args {
        ["convert", from, to] => convert(from, to, &input),
        ["serve", from, to] => serve(from, to, &input),
        ["call", form, "ping", args] => call::<base::Ping>(form, args),
        ["call", form, "add", args] => call::<calculator::Add>(form, args),
        ["call", form, "echo", args] => call::<calculator::Echo>(form, args),
        ["call", form, "store", args] => call::<calculator::Store>(form, args),
        ["call", form, "forget", args] => call::<calculator::Forget>(form, args),
        ["reply", form, "ping"] => Ok(reply::<base::Ping>(form, &input, |()| String::new())),
        ["reply", form, "add"] => Ok(reply::<calculator::Add>(form, &input, show)),
        ["reply", form, "echo"] => Ok(reply::<calculator::Echo>(form, &input, show)),
        ["reply", form, "store"] => {
            Ok(reply::<calculator::Store>(form, &input, |()| String::new()))
        }
        _ => Err("see the documentation at the top of this example".into()),
    }
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args) {
        Ok(output) => {
            if let Err(error) = std::io::stdout().write_all(&output) {
                eprintln!("standard output: {error}");
                std::process::exit(1);
            }
        }
        Err(error) => {
            eprintln!("{error}");
            std::process::exit(1);
        }
    }
}
