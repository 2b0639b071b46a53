//! Mistakes in configurations: when they were found, what they are, and where.

use std::fmt;
use std::path::Path;

use aurora_schema::error::{Cause, Error, Fault, Path as Place, Segment};
use aurora_schema::value::{Origin, Value};
use aurora_schema::wording;

/// When a mistake is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The file is run.
    Load,
    /// The keys of its jobs are read.
    Select,
    /// A job is picked and made ready.
    Config,
    /// A job is checked against its type.
    Check,
    /// A job is turned into what the scheduler gets.
    Convert,
    /// The settings of an update are made of it.
    Update,
}

impl Stage {
    /// As it is printed.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Load => "load",
            Stage::Select => "select",
            Stage::Config => "config",
            Stage::Check => "check",
            Stage::Convert => "convert",
            Stage::Update => "update",
        }
    }
}

/// A mistake.
#[derive(Clone, Debug)]
pub struct Problem {
    /// When it was found.
    pub stage: Stage,
    /// What kind it is, by the name of the exception that the language has for it.
    pub class: String,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
    /// Where: the mistake itself, or what made the object that has it.
    pub origin: Option<Box<Origin>>,
    /// The lines that led there, outermost first.
    pub trace: Vec<(String, usize)>,
}

impl Problem {
    /// A mistake of this kind.
    pub fn new(stage: Stage, class: &str, message: impl Into<String>) -> Problem {
        Problem {
            stage,
            class: class.to_owned(),
            message: message.into(),
            help: None,
            origin: None,
            trace: Vec::new(),
        }
    }

    /// A configuration that the client refuses.
    pub fn invalid(stage: Stage, message: impl fmt::Display) -> Problem {
        Problem::new(stage, "InvalidConfig", format!("The configuration was invalid: {message}"))
    }

    /// A mistake that the schema found in a value. The object that has it says where it was made.
    pub fn of_value(stage: Stage, value: &Value, error: &Error) -> Problem {
        let (class, advice) = match error.cause() {
            Some(Cause::Coercion { .. } | Cause::NoAlternative { .. }) => ("CoercionError", None),
            Some(Cause::UnknownAttribute(_)) => ("AttributeError", Some(error.message())),
            Some(Cause::BadReference(_)) => ("InvalidRefError", Some(error.message())),
            Some(Cause::Endless(_)) => {
                ("Uninterpolatable", Some("do the references refer to themselves?"))
            }
            Some(Cause::Index) => ("IndexError", None),
            Some(Cause::Overflow) => ("OverflowError", None),
            _ => match error.fault() {
                Fault::Interpolation => ("Uninterpolatable", None),
                Fault::Schema => ("ValueError", None),
            },
        };
        let mut problem = Problem::new(stage, class, wording::message(error));
        if !error.path().is_root() {
            problem.message.push_str(&format!(" (in {})", error.path()));
        }
        problem.help = advice.map(str::to_owned);
        problem.origin = origin_of(value, error.path()).cloned().map(Box::new);
        problem
    }

    /// With what to do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Problem {
        self.help = Some(help.into());
        self
    }

    /// With where it is.
    #[must_use]
    pub fn at(mut self, origin: Option<&Origin>) -> Problem {
        self.origin = origin.cloned().map(Box::new);
        self
    }

    /// For people: the message, the place with its line and a caret under it, and advice.
    pub fn report(&self) -> String {
        let mut diagnostic = miette::MietteDiagnostic::new(self.message.trim().to_owned());
        if let Some(help) = &self.help {
            diagnostic = diagnostic.with_help(help.clone());
        }
        let mut out = String::new();
        let handler = miette::GraphicalReportHandler::new_themed(miette::GraphicalTheme {
            characters: miette::ThemeCharacters::ascii(),
            styles: miette::ThemeStyles::none(),
        })
        .with_context_lines(1);
        let source = self.origin.as_ref().and_then(|origin| {
            let text = std::fs::read_to_string(Path::new(&*origin.file)).ok()?;
            Some((origin, text))
        });
        let rendered = match source {
            Some((origin, text)) => {
                let offset = offset(&text, origin);
                let label = match self.class.as_str() {
                    "SyntaxError" | "IndentationError" => "here",
                    _ if self.stage == Stage::Load => "raised here",
                    _ => "made here",
                };
                let diagnostic =
                    diagnostic.with_label(miette::LabeledSpan::at_offset(offset, label));
                let source = miette::NamedSource::new(&*origin.file, text);
                let report = miette::Report::new(diagnostic).with_source_code(source);
                handler.render_report(&mut out, report.as_ref())
            }
            None => handler.render_report(&mut out, &diagnostic),
        };
        if rendered.is_err() {
            return self.to_string();
        }
        if let Some(((file, line), rest)) = self.trace.split_last()
            && !rest.is_empty()
        {
            out.push_str(&format!("  reached from {file}:{line} through"));
            for (file, line) in rest.iter().rev() {
                out.push_str(&format!(" {file}:{line}"));
            }
            out.push('\n');
        }
        out
    }
}

/// `web.aurora:3: message`
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// The byte at which a place starts.
fn offset(text: &str, origin: &Origin) -> usize {
    let line = origin.line.saturating_sub(1) as usize;
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(start..).unwrap_or_default();
    let column = origin.column.saturating_sub(1) as usize;
    start + rest.chars().take(column).map(char::len_utf8).sum::<usize>()
}

/// Where the innermost object on a path was made, as far as that is known.
pub fn origin_of<'v>(value: &'v Value, path: &Place) -> Option<&'v Origin> {
    let mut found = value.as_struct().and_then(|value| value.origin());
    let mut at = value;
    for segment in path.segments() {
        let next = match segment {
            Segment::Field(name) => at.attribute(name),
            Segment::Index(index) => at.items().and_then(|items| items.get(*index)),
            Segment::Key(key) => at.entries().and_then(|entries| {
                let entry = entries.iter().find(|(known, _)| known.as_text() == Some(key));
                entry.map(|(_, value)| value)
            }),
        };
        let Some(next) = next else { break };
        at = next;
        if let Some(origin) = at.as_struct().and_then(|value| value.origin()) {
            found = Some(origin);
        }
    }
    found
}
