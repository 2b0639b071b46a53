//! What is wrong with a definition, where, and what to do about it.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::io;
use std::path::Path;

use proptest::prelude::*;

/// Compiles files given as name and text; the first one is the root.
fn compile(files: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
    let mut read = |path: &Path| match files.iter().find(|(name, _)| Path::new(name) == path) {
        Some((_, text)) => Ok((*text).to_owned()),
        None => Err(io::Error::new(io::ErrorKind::NotFound, "no such file")),
    };
    thrift_idl::generate_all(&[Path::new(files[0].0)], &mut read).map_err(|e| e.to_string())
}

#[test]
fn errors_say_what_and_where() {
    for (text, expected) in [
        ("strct A {}", "a:1:1: `strct` begins no definition\n  hint: did you mean `struct`?"),
        (
            "widget A {}",
            "a:1:1: `widget` begins no definition\n  hint: definitions begin with const, typedef, \
             enum, struct, union, exception, service, include, namespace",
        ),
        ("struct {", "a:1:8: expected the name of the struct, found `{`"),
        ("struct A.b {}", "a:1:8: `A.b` cannot have a dot"),
        ("struct A {", "a:1:11: expected a field id, found the end of the file"),
        (
            "struct A {\n  string x\n}",
            "a:2:3: this field has no id\n  hint: write `1: string name`; fields go by their ids \
             on the wire, so each needs one",
        ),
        ("struct A { 0: string x }", "a:1:12: 0 is no field id\n  hint: ids go from 1 to 32767"),
        ("struct A { 1 string x }", "a:1:14: expected `:`, found `string`"),
        ("struct A { 1: void x }", "a:1:15: only a function can be `void`"),
        ("struct A { 1: uuid x }", "a:1:15: `uuid` is not supported"),
        ("struct A { 1: list<i32 x }", "a:1:24: expected `>`, found `x`"),
        ("struct A { 1: map<i32> x }", "a:1:22: expected `,`, found `>`"),
        (
            "struct A { 1: sting x }",
            "a:1:15: there is no type `sting`\n  hint: did you mean `string`?",
        ),
        (
            "struct A { 1: b.C x }",
            "a:1:15: there is no type `b.C`\n  hint: no file called `b` is included here",
        ),
        ("const i32 A = 1 struct B { 1: A x }", "a:1:31: `A` is no type"),
        ("struct A { 1: i32 x 1: i32 y }", "a:1:28: `y` has the id 1, as `x`"),
        ("struct A { 1: i32 x 2: i32 x }", "a:1:28: `x` is there already"),
        (
            "struct A { 1: i32 fooBar 2: i32 foo_bar }",
            "a:1:33: `foo_bar` and `fooBar` are both `foo_bar` in Rust",
        ),
        ("struct A {}\nstruct A {}", "a:2:8: `A` is defined already, on line 1"),
        ("struct Foo {} enum foo {}", "a:1:20: `foo` and `Foo` are both `Foo` in Rust"),
        ("union A {}", "a:1:7: the union `A` has no fields"),
        ("union A { 1: i32 x = 1 }", "a:1:22: a field of a union cannot have a default value"),
        ("union A { 1: required i32 x }", "a:1:27: a field of a union cannot be required"),
        (
            "struct A { 1: required B b } struct B { 1: required A a }",
            "a:1:8: every `A` would contain another one\n  hint: make a field `optional`, or take \
             away its default value",
        ),
        ("typedef A B typedef B A", "a:1:21: the typedef `B` stands for itself"),
        ("enum A { X = 1, Y = 1 }", "a:1:17: `Y` is 1, and so is `X`"),
        ("enum A { X = 2147483647, Y }", "a:1:26: `Y` does not fit 32 bits"),
        ("enum A { X = y }", "a:1:12: expected a number after `=`"),
        ("const i8 A = 200", "a:1:14: this value is no i8"),
        ("const list<i32> A = [1, \"2\"]", "a:1:25: this value is no i32"),
        ("const map<i32, i8> A = [1]", "a:1:24: this value is no map from i32 to i8"),
        ("const i32 A = B", "a:1:15: there is no constant `B`"),
        ("const i32 A = A", "a:1:15: this constant stands for itself, or is nested too deep"),
        ("enum E { RED } const E A = E.RDE", "a:1:28: `E` has no value `RDE`"),
        (
            "enum E { GREEN } const E A = E.GREEM",
            "a:1:30: `E` has no value `GREEM`\n  hint: did you mean `GREEN`?",
        ),
        ("enum E { X } enum F { X } const E A = F.X", "a:1:39: `F.X` is no `E`"),
        (
            "struct S { 1: i32 xyz } const S A = {\"xyy\": 1}",
            "a:1:38: `S` has no `xyy`\n  hint: did you mean `xyz`?",
        ),
        ("struct S { 1: i32 x } const S A = {\"x\": 1, \"x\": 2}", "a:1:44: `x` is given twice"),
        (
            "struct S { 1: required i32 x } const S A = {}",
            "a:1:44: `S` lacks its required field `x`",
        ),
        ("union U { 1: i32 x } const U A = {}", "a:1:34: the union `U` needs exactly one field"),
        ("service A extends B {}", "a:1:19: there is no service `B`"),
        ("service A extends A {}", "a:1:9: the service `A` extends itself"),
        (
            "service A { void x() } service B extends A { void x() }",
            "a:1:51: `x` is inherited already",
        ),
        (
            "service A { oneway i32 x() }",
            "a:1:24: `x` is oneway but answers\n  hint: a oneway function returns `void` and throws \
             nothing",
        ),
        (
            "struct S {} service A { void x() throws (1: S s) }",
            "a:1:47: `s` is no plain exception\n  hint: a function throws types defined with \
             `exception`",
        ),
        ("include \"b.thrift\"", "b.thrift: cannot be read: no such file\n  included at a:1:9"),
        ("namespace", "a:1:10: expected a language, found the end of the file"),
        (
            "struct A {} (x = 1)",
            "a:1:18: expected the value of the annotation, in quotes, found `1`",
        ),
    ] {
        assert_eq!(compile(&[("a", text)]).unwrap_err(), expected, "{text}");
    }
}

#[test]
fn includes() {
    let files = [
        ("dir/a.thrift", "include \"sub/b.thrift\" struct A { 1: b.B b 2: b.Nope c }"),
        ("dir/sub/b.thrift", "namespace rs x.y.type struct B {}"),
    ];
    assert_eq!(compile(&files).unwrap_err(), "dir/a.thrift:1:47: there is no type `b.Nope`");
    let files = [("dir/a.thrift", "include \"sub/b.thrift\" struct A { 1: b.B b }"), files[1]];
    let modules = compile(&files).unwrap();
    assert_eq!(modules.iter().map(|m| m.0.as_str()).collect::<Vec<_>>(), ["type_", "a"]);
    assert!(modules[1].1.contains("super::type_::B"));

    let files = [("a", "include \"b\""), ("b", "include \"a\"")];
    assert_eq!(
        compile(&files).unwrap_err(),
        "b:1:9: this file includes itself\n  hint: files may include each other in one direction \
         only\n  included at a:1:9"
    );
    let files = [("x/a", "include \"../a\""), ("x/../a", "")];
    assert_eq!(
        compile(&files).unwrap_err(),
        "x/a: its module `a` is that of x/../a too\n  hint: set another one with `namespace rs NAME`"
    );
    let broken = [("a", "include \"b\""), ("b", "struct")];
    assert_eq!(
        compile(&broken).unwrap_err(),
        "b:1:7: expected the name of the struct, found the end of the file\n  included at a:1:9"
    );
}

#[test]
fn nesting_is_bounded() {
    let deep = format!("struct A {{ 1: {} x }}", "list<".repeat(100_000));
    assert!(compile(&[("a", &deep)]).unwrap_err().contains("nested more than 64 deep"));
    let deep = format!("const i32 A = {}", "[".repeat(100_000));
    assert!(compile(&[("a", &deep)]).unwrap_err().contains("nested more than 64 deep"));
}

#[test]
fn documentation_is_passed_on() {
    let modules =
        compile(&[("a", "/** Says \"hi\".\n * Twice. */ struct A { /** One. */ 1: i32 x }")]);
    let code = &modules.unwrap()[0].1;
    assert!(code.contains(r#"#[doc = "Says \"hi\".\nTwice."]"#), "{code}");
    assert!(code.contains(r#"#[doc = "One."]"#), "{code}");
}

const SAMPLE: &str = r#"
include "b.thrift"
namespace rs sample
enum E { A = 1, B (x = "y") }
const map<string, list<E>> C = {"k": [E.A, B]}
struct S { 1: required i32 a = 0x1f, 2: optional set<S> b; 3: double c = -1.5e3 }
exception X { 1: string message }
service T { oneway void f(1: i32 a), S g(1: E e = E.A) throws (1: X x) }
"#;

proptest! {
    /// Pieces of a definition, cut out, doubled and moved, never panic.
    #[test]
    fn mangled_definitions_do_not_panic(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 1..4)
    ) {
        let mut text: Vec<char> = SAMPLE.chars().collect();
        for (a, b) in cuts {
            let (a, b) = (a.index(text.len()), b.index(text.len()));
            let piece: Vec<char> = text[a.min(b)..a.max(b)].to_vec();
            if a < b {
                text.drain(a..b);
            } else {
                text.splice(b..b, piece.into_iter().take(40));
            }
            if text.is_empty() {
                text.push('x');
            }
        }
        let text: String = text.into_iter().collect();
        _ = compile(&[("a.thrift", &text), ("b.thrift", "")]);
    }

    #[test]
    fn any_text_does_not_panic(text in ".{0,60}") {
        _ = compile(&[("a.thrift", &text)]);
    }
}
