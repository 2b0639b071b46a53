//! Compiles the protocol files, without `protoc`: to structs, and to a table of messages and fields
//! for what the structs do not know (which fields are required, names in JSON).

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::{env, fs};

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorSet};

const FILES: [&str; 2] = ["proto/mesos.proto", "proto/executor.proto"];

/// Also compiled for schedulers. Executors, of which a host has many, go without.
const SCHEDULER: &str = "proto/scheduler.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let scheduler = env::var_os("CARGO_FEATURE_SCHEDULER").map(|_| SCHEDULER);
    let set = protox::compile(FILES.into_iter().chain(scheduler), ["proto"])?;
    fs::write(out.join("schema.rs"), schema(&set)?)?;
    prost_build::Config::new().btree_map(["."]).enable_type_names().compile_fds(set)?;
    Ok(())
}

/// Every message and enum by its full name, in the order of the names.
#[derive(Default)]
struct Index<'a> {
    messages: BTreeMap<String, &'a DescriptorProto>,
    enums: BTreeMap<String, &'a EnumDescriptorProto>,
}

impl<'a> Index<'a> {
    fn add(&mut self, scope: &str, message: &'a DescriptorProto) {
        let name = format!("{scope}.{}", message.name());
        for nested in &message.nested_type {
            self.add(&name, nested);
        }
        for nested in &message.enum_type {
            self.enums.insert(format!("{name}.{}", nested.name()), nested);
        }
        self.messages.insert(name, message);
    }
}

fn schema(set: &FileDescriptorSet) -> Result<String, Box<dyn Error>> {
    let mut index = Index::default();
    for file in &set.file {
        let scope = format!(".{}", file.package());
        for message in &file.message_type {
            index.add(&scope, message);
        }
        for item in &file.enum_type {
            index.enums.insert(format!("{scope}.{}", item.name()), item);
        }
    }
    let mut text =
        String::from("/// All messages, by name.\npub static MESSAGES: &[Message] = &[\n");
    for (name, message) in &index.messages {
        let map_entry = message.options.as_ref().is_some_and(|o| o.map_entry());
        let name = name.trim_start_matches('.');
        writeln!(text, "Message {{ name: {name:?}, map_entry: {map_entry}, fields: &[")?;
        for field in &message.field {
            let kind = match field.r#type() {
                Type::Double => "Kind::Double".to_string(),
                Type::Int32 => "Kind::Int32".to_string(),
                Type::Int64 => "Kind::Int64".to_string(),
                Type::Uint32 => "Kind::Uint32".to_string(),
                Type::Uint64 => "Kind::Uint64".to_string(),
                Type::Bool => "Kind::Bool".to_string(),
                Type::String => "Kind::String".to_string(),
                Type::Bytes => "Kind::Bytes".to_string(),
                Type::Enum => {
                    let place = index.enums.keys().position(|n| n == field.type_name());
                    format!("Kind::Enum({})", place.ok_or("unknown enum")?)
                }
                Type::Message => {
                    let place = index.messages.keys().position(|n| n == field.type_name());
                    format!("Kind::Message({})", place.ok_or("unknown message")?)
                }
                other => return Err(format!("{name}: no support for {other:?}").into()),
            };
            let rule = match field.label() {
                Label::Required => "Required",
                Label::Optional => "Optional",
                Label::Repeated => "Repeated",
            };
            writeln!(
                text,
                "Field {{ name: {:?}, number: {}, rule: Rule::{rule}, kind: {kind} }},",
                field.name(),
                field.number()
            )?;
        }
        text.push_str("] },\n");
    }
    text.push_str("];\n/// All enums.\npub static ENUMS: &[Enum] = &[\n");
    for item in index.enums.values() {
        text.push_str("Enum { values: &[");
        for value in &item.value {
            write!(text, "({:?}, {}), ", value.name(), value.number())?;
        }
        text.push_str("] },\n");
    }
    text.push_str("];\n");
    Ok(text)
}
