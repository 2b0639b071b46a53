//! Python 2 in files that are run as Python 3.
//!
//! Most files are valid in both and mean the same. What would silently mean something else is refused
//! here, with the replacement: `/` between whole numbers, and `except A, b:`. What is no longer valid
//! gets the replacement as advice.

use rustpython_vm as vm;
use vm::builtins::PyInt;
use vm::compiler::ast::{self, ExceptHandler, Stmt, visitor};
use vm::compiler::{CompileError, parser};
use vm::{PyObject, PyResult, VirtualMachine};

use crate::report::Finding;

/// Nesting of brackets, and runs of prefix operators, that a source may have.
const MAX_NESTING: usize = 200;

/// Makes `/` between two whole numbers an error.
pub(crate) fn restrict_division(vm: &VirtualMachine) {
    for class in [vm.ctx.types.int_type, vm.ctx.types.bool_type] {
        let slots = &class.slots.as_number;
        slots.true_divide.store(Some(divide));
        slots.right_true_divide.store(Some(divide));
    }
}

fn divide(a: &PyObject, b: &PyObject, vm: &VirtualMachine) -> PyResult {
    let (Some(_), Some(_)) = (a.downcast_ref::<PyInt>(), b.downcast_ref::<PyInt>()) else {
        return Ok(vm.ctx.not_implemented());
    };
    let (a, b) = (a.repr(vm)?, b.repr(vm)?);
    let (a, b) = (a.as_wtf8(), b.as_wtf8());
    Err(vm.new_type_error(format!(
        "{a} / {b} divides whole numbers, which Python 2 and Python 3 do differently: write {a} // {b} \
         for a whole number, or {a} / {b}.0 for a fraction"
    )))
}

/// What compiles but would mean something else, or is nested too deeply to be compiled at all.
pub(crate) fn check(source: &str) -> Option<Finding> {
    if let Some(finding) = too_deep(source) {
        return Some(finding);
    }
    if !source.contains("except") {
        return None;
    }
    let parsed = parser::parse_module(source).ok()?;
    let mut handlers = Handlers { found: None };
    for statement in &parsed.syntax().body {
        visitor::Visitor::visit_stmt(&mut handlers, statement);
    }
    let offset = handlers.found?;
    let (line, column) = position(source, offset);
    Some(Finding {
        line,
        column,
        message: "`except A, b:` catches A in Python 2, but both A and b in Python 3".to_owned(),
        help: Some("write `except A as b:`, or `except (A, b):` for both".to_owned()),
    })
}

/// Finds the first handler with several classes and no parentheses.
struct Handlers {
    found: Option<usize>,
}

impl<'a> visitor::Visitor<'a> for Handlers {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        if let Stmt::Try(statement) = statement {
            for ExceptHandler::ExceptHandler(handler) in &statement.handlers {
                if let Some(ast::Expr::Tuple(classes)) = handler.type_.as_deref()
                    && !classes.parenthesized
                {
                    self.found.get_or_insert(usize::from(classes.range.start()));
                }
            }
        }
        visitor::walk_stmt(self, statement);
    }
}

/// Brackets are counted roughly, without regard for strings: a text with that many is unusual enough.
fn too_deep(source: &str) -> Option<Finding> {
    let mut prefixes = 0usize;
    for (line, text) in source.lines().enumerate() {
        let mut depth = 0usize;
        let finding = |column: usize, what: &str| {
            Some(Finding {
                line: line + 1,
                column: column + 1,
                message: format!("{what} are nested more than {MAX_NESTING} deep"),
                help: None,
            })
        };
        for (column, c) in text.chars().enumerate() {
            match c {
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' => depth = depth.saturating_sub(1),
                '-' | '+' | '~' => prefixes += 1,
                ' ' | '\t' => {}
                _ => prefixes = 0,
            }
            if depth > MAX_NESTING {
                return finding(column, "brackets");
            }
            if prefixes > MAX_NESTING && !text.trim_start().starts_with('#') {
                return finding(column, "operators");
            }
        }
    }
    None
}

fn position(source: &str, offset: usize) -> (usize, usize) {
    let before = source.get(..offset).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    (line, before[start..].chars().count() + 1)
}

/// What the compiler refuses, with advice if it looks like Python 2.
pub(crate) fn explain(source: &str, error: &CompileError) -> Finding {
    let (line, column) = error.python_location();
    let line = line.max(1);
    let text = source.lines().nth(line - 1).unwrap_or_default();
    let before = source.lines().nth(line.saturating_sub(2)).unwrap_or_default();
    let message = format!("invalid syntax: {error}");
    let help = old_form(text).or_else(|| {
        // A comma that is missing is noticed at what comes next.
        let continues = line > 1 && !before.trim_end().ends_with([',', '(', '[', '{', ':', '=']);
        let missing_comma =
            message.contains("xpected") && message.contains(',') || message.contains("comma");
        if text.contains("...") {
            Some("`...` stands for something that was left out; write it or remove it")
        } else if missing_comma && continues {
            Some("perhaps a comma is missing before this")
        } else if missing_comma {
            Some("perhaps a comma is missing")
        } else {
            None
        }
    });
    Finding { line, column: column.max(1), message, help: help.map(str::to_owned) }
}

/// The replacement for what is only valid in Python 2.
fn old_form(line: &str) -> Option<&'static str> {
    let code = line.trim_start();
    let word = |word: &str| {
        code.strip_prefix(word).is_some_and(|rest| rest.starts_with([' ', '\t', '"', '\'']))
    };
    if word("print") {
        return Some("print is a function: write print(...)");
    }
    if word("exec") {
        return Some("exec is a function: write exec(...)");
    }
    if word("raise") && code.contains(',') {
        return Some("write `raise Error('message')` instead of `raise Error, 'message'`");
    }
    if word("except") && code.contains(',') {
        return Some("write `except Error as e:` instead of `except Error, e:`");
    }
    if code.contains("<>") {
        return Some("write != instead of <>");
    }
    if code.contains('`') {
        return Some("write repr(x) instead of `x`");
    }
    if code.contains("ur'") || code.contains("ur\"") {
        return Some("write r'...': all text is Unicode");
    }
    if code.contains("lambda (") {
        return Some("a lambda cannot take a parameter apart: write lambda pair: ... pair[0] ...");
    }
    let bytes = code.as_bytes();
    let long =
        bytes.windows(2).any(|pair| pair[0].is_ascii_digit() && matches!(pair[1], b'L' | b'l'));
    if long {
        return Some("write whole numbers without L");
    }
    let octal = bytes.windows(2).enumerate().any(|(at, pair)| {
        let starts = at == 0 || !(bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'.');
        starts && pair[0] == b'0' && pair[1].is_ascii_digit()
    });
    octal.then_some("write octal numbers as 0o644")
}

/// Advice for exceptions that come from what Python 3 does differently.
pub(crate) fn advice(class: &str, message: &str) -> Option<&'static str> {
    match class {
        "TypeError" => {
            let lazy =
                ["dict_keys", "dict_values", "dict_items", "'map'", "'filter'", "'zip'", "'range'"];
            if lazy.iter().any(|name| message.contains(name)) {
                return Some(
                    "keys(), values(), items(), map, filter, zip and range are not lists in \
                             Python 3: write list(...) around them",
                );
            }
            if message.contains("not supported between instances of") {
                return Some("Python 3 does not order values of different types");
            }
            if message.contains("'cmp'") || message.contains("cmp") && message.contains("keyword") {
                return Some("Python 3 sorts with key=, not cmp=: see functools.cmp_to_key");
            }
            None
        }
        "AttributeError" if message.contains("has no attribute 'iter") => Some(
            "iterkeys(), itervalues() and iteritems() are keys(), values() and items() in Python 3",
        ),
        "AttributeError" if message.contains("has no attribute 'has_key'") => {
            Some("write `key in table` instead of table.has_key(key)")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handlers() {
        let found = check("try:\n  x()\nexcept ValueError, e:\n  pass\n").unwrap();
        assert_eq!((found.line, found.column), (3, 8));
        assert!(found.help.unwrap().contains("except A as b"));
        for fine in [
            "try:\n  x()\nexcept (ValueError, e):\n  pass\n",
            "try:\n  x()\nexcept ValueError as e:\n  pass\n",
            "x = '''\ntry:\n  x()\nexcept ValueError, e:\n'''\n",
        ] {
            assert_eq!(check(fine), None, "{fine}");
        }
        let nested = "def f():\n  if x:\n    try:\n      y()\n    except A, b:\n      pass\n";
        assert_eq!(check(nested).unwrap().line, 5);
    }

    #[test]
    fn nesting() {
        assert!(check(&format!("x = {}1{}", "(".repeat(201), ")".repeat(201))).is_some());
        assert_eq!(check(&format!("x = {}1{}", "(".repeat(150), ")".repeat(150))), None);
        assert!(check(&format!("x = {}1", "-".repeat(1_000))).is_some());
    }

    #[test]
    fn advice_for_old_forms() {
        for (line, word) in [
            ("print 'x'", "print("),
            ("  print \"x\" % y", "print("),
            ("exec 'x = 1'", "exec("),
            ("raise ValueError, 'x'", "raise Error('message')"),
            ("if a <> b:", "!="),
            ("x = `y`", "repr"),
            ("x = 10L", "without L"),
            ("mode = 0644", "0o644"),
            ("x = ur'a'", "r'...'"),
        ] {
            assert!(old_form(line).unwrap_or_default().contains(word), "{line}");
        }
        for line in ["printer = 1", "x = 100", "x = 'a' + 10.05", "x = y[0]", "f(x0644)"] {
            assert_eq!(old_form(line), None, "{line}");
        }
    }
}
