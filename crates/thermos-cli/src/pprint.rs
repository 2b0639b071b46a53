//! A JSON document as Python 2's `pprint` prints it with an indentation of 4 and a width of 80.
//!
//! Lists are tuples, text is Unicode, names are sorted and plain: the form in which the original
//! prints an evaluated task.

use aurora_schema::json::Json;
use aurora_schema::number::{Integer, float_exact};

const INDENT: usize = 4;
const WIDTH: usize = 80;

/// The printed form, without a line end.
pub(crate) fn pformat(document: &Json) -> String {
    let mut out = String::new();
    format(document, 0, 0, &mut out);
    out
}

/// The members of an object, sorted; of repeated names the last one counts.
fn members(object: &[(std::sync::Arc<str>, Json)]) -> Vec<(&str, &Json)> {
    let mut sorted: Vec<(&str, &Json)> = Vec::new();
    for (name, value) in object {
        match sorted.binary_search_by(|(other, _)| (*other).cmp(name)) {
            Ok(at) => sorted[at].1 = value,
            Err(at) => sorted.insert(at, (name, value)),
        }
    }
    sorted
}

fn format(value: &Json, indent: usize, allowance: usize, out: &mut String) {
    let one_line = repr(value);
    let fits = one_line.chars().count() + 1 + indent + allowance <= WIDTH;
    let separate = |out: &mut String| {
        if fits {
            out.push_str(", ");
        } else {
            out.push_str(",\n");
            out.push_str(&" ".repeat(indent + INDENT));
        }
    };
    match value {
        Json::Object(object) => {
            out.push('{');
            out.push_str(&" ".repeat(INDENT - 1));
            for (i, (name, value)) in members(object).into_iter().enumerate() {
                if i > 0 {
                    separate(out);
                }
                let name = quote(name);
                out.push_str(&name);
                out.push_str(": ");
                format(value, indent + INDENT + name.chars().count() + 2, allowance + 1, out);
            }
            out.push('}');
        }
        Json::Array(items) => {
            out.push('(');
            if !fits {
                out.push_str(&" ".repeat(INDENT - 1));
            }
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    separate(out);
                }
                format(item, indent + INDENT, allowance + 1, out);
            }
            out.push_str(if items.len() == 1 { ",)" } else { ")" });
        }
        _ => out.push_str(&one_line),
    }
}

/// The value on one line.
fn repr(value: &Json) -> String {
    match value {
        Json::Null => "None".to_owned(),
        Json::Bool(true) => "True".to_owned(),
        Json::Bool(false) => "False".to_owned(),
        Json::Integer(Integer::Small(small)) => small.to_string(),
        Json::Integer(Integer::Big(digits)) => format!("{digits}L"),
        Json::Float(float) if float.is_nan() => "nan".to_owned(),
        Json::Float(float) if float.is_infinite() => {
            if *float > 0.0 { "inf" } else { "-inf" }.to_owned()
        }
        Json::Float(float) => float_exact(*float),
        Json::Text(text) => format!("u{}", quote(text)),
        Json::Array(items) => {
            let comma = if items.len() == 1 { "," } else { "" };
            let items: Vec<String> = items.iter().map(repr).collect();
            format!("({}{comma})", items.join(", "))
        }
        Json::Object(object) => {
            let members: Vec<String> = members(object)
                .into_iter()
                .map(|(name, value)| format!("{}: {}", quote(name), repr(value)))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
    }
}

/// A string literal, without the `u` in front.
pub(crate) fn quote(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            ' '..='~' => out.push(c),
            '\0'..='\u{ff}' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            '\u{100}'..='\u{ffff}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push_str(&format!("\\U{:08x}", u32::from(c))),
        }
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use aurora_schema::json::parse;
    use rstest::rstest;

    #[rstest]
    #[case("{}", "{   }")]
    #[case("[]", "()")]
    #[case("[1]", "(1,)")]
    #[case(
        "[1.5, true, false, null, 100000000000000000000]",
        "(1.5, True, False, None, 100000000000000000000L)"
    )]
    #[case(r#"{"b": "x", "a": {"c": []}}"#, "{   'a': {   'c': ()}, 'b': u'x'}")]
    #[case(r#""it's""#, r#"u"it's""#)]
    #[case(r#""it's \"so\"""#, r#"u'it\'s "so"'"#)]
    #[case(r#""\u00fc\u0101\ud83d\ude00\u0000\u007f\\""#, r"u'\xfc\u0101\U0001f600\x00\x7f\\'")]
    fn literals(#[case] json: &str, #[case] expected: &str) {
        assert_eq!(pformat(&parse(json.as_bytes()).unwrap()), expected);
    }

    /// Recorded: the evaluated task of a configuration with several processes.
    #[test]
    fn a_recorded_task() {
        let json = r#"{"constraints": [{"order": ["a", "b"]}], "finalization_wait": 30,
            "max_concurrency": 1, "max_failures": 1, "name": "second", "processes": [
            {"cmdline": "echo a", "daemon": false, "ephemeral": false, "final": false,
             "max_failures": 1, "min_duration": 5, "name": "a"},
            {"cmdline": "echo c on {{thermos.ports[http]}} as {{who}}", "daemon": false,
             "ephemeral": false, "final": true, "max_failures": 1, "min_duration": 5, "name": "c"}],
            "resources": {"cpu": 1.5, "disk": 1073741824, "gpu": 0, "ram": 67108864}}"#;
        let expected = "\
{   'constraints': ({   'order': (u'a', u'b')},),
    'finalization_wait': 30,
    'max_concurrency': 1,
    'max_failures': 1,
    'name': u'second',
    'processes': (   {   'cmdline': u'echo a',
                         'daemon': False,
                         'ephemeral': False,
                         'final': False,
                         'max_failures': 1,
                         'min_duration': 5,
                         'name': u'a'},
                     {   'cmdline': u'echo c on {{thermos.ports[http]}} as {{who}}',
                         'daemon': False,
                         'ephemeral': False,
                         'final': True,
                         'max_failures': 1,
                         'min_duration': 5,
                         'name': u'c'}),
    'resources': {   'cpu': 1.5, 'disk': 1073741824, 'gpu': 0, 'ram': 67108864}}";
        assert_eq!(pformat(&parse(json.as_bytes()).unwrap()), expected);
    }
}
