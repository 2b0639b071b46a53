//! `/logconfig`: what is logged, and how to change that while the process runs.
//!
//! Source: the original's page. Its loggers are classes; here they are modules, by their paths, and
//! what is around them: `aurora_scheduler::core` is a part of `aurora_scheduler`, which is a part of
//! `ROOT`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use tracing::level_filters::LevelFilter;
use tracing::warn;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::{Registry, reload};

use super::pages::{escape, html};
use super::{Peer, Shared, own_form};

/// The logger that all others are a part of.
const ROOT: &str = "ROOT";

/// Its level, unless somebody changes it.
const DEFAULT: LevelFilter = LevelFilter::INFO;

/// Loggers that have a level of their own from the start. What raft has to say is its own affair.
const QUIET: [(&str, LevelFilter); 1] = [("openraft", LevelFilter::WARN)];

/// Loggers that are shown in any case.
const KNOWN: [&str; 9] = [
    "aurora_scheduler",
    "aurora_scheduler::api",
    "aurora_scheduler::core",
    "aurora_scheduler::driver",
    "aurora_scheduler::http",
    "aurora_scheduler::shell",
    "mini_agent",
    "openraft",
    "replicated_log",
];

/// Loggers that may have a level of their own at the same time.
const MAX_LOGGERS: usize = 100;

/// Longest name of a logger.
const MAX_NAME: usize = 200;

/// Levels by their names, in the order of the original. `ALL` is `TRACE`; what is not here takes a
/// logger's own level away.
const LEVELS: [(&str, LevelFilter); 7] = [
    ("OFF", LevelFilter::OFF),
    ("ERROR", LevelFilter::ERROR),
    ("WARN", LevelFilter::WARN),
    ("INFO", LevelFilter::INFO),
    ("DEBUG", LevelFilter::DEBUG),
    ("TRACE", LevelFilter::TRACE),
    ("ALL", LevelFilter::TRACE),
];

/// The name of having no level of one's own.
const INHERIT: &str = "INHERIT";

/// What is logged.
#[derive(Debug, Default)]
pub struct Levels {
    filter: Option<reload::Handle<Targets, Registry>>,
    own: Mutex<BTreeMap<String, LevelFilter>>,
}

impl Levels {
    /// As the process begins, with the filter that obeys.
    pub fn new() -> (Levels, reload::Layer<Targets, Registry>) {
        let own = QUIET.map(|(logger, level)| (logger.to_owned(), level)).into();
        let (layer, handle) = reload::Layer::new(targets(&own));
        (Levels { filter: Some(handle), own: Mutex::new(own) }, layer)
    }

    fn own(&self) -> MutexGuard<'_, BTreeMap<String, LevelFilter>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a logger a level, or with `None` that of what it is a part of. `Err`: why not.
    pub fn set(&self, logger: &str, level: Option<LevelFilter>) -> Result<(), String> {
        let Some(filter) = &self.filter else {
            return Err("this process does not log".to_owned());
        };
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
        if logger.is_empty() || logger.len() > MAX_NAME || !logger.chars().all(legal) {
            return Err("a logger is ROOT or the path of a module".to_owned());
        }
        let mut own = self.own();
        let mut changed = own.clone();
        match level {
            Some(level) => _ = changed.insert(logger.to_owned(), level),
            None => _ = changed.remove(logger),
        }
        if changed.len() > MAX_LOGGERS {
            return Err(format!("at most {MAX_LOGGERS} loggers have a level of their own"));
        }
        filter.reload(targets(&changed)).map_err(|error| error.to_string())?;
        *own = changed;
        Ok(())
    }
}

/// The filter for these levels.
fn targets(own: &BTreeMap<String, LevelFilter>) -> Targets {
    let root = own.get(ROOT).copied().unwrap_or(DEFAULT);
    let others = own.iter().filter(|(logger, _)| *logger != ROOT);
    Targets::new().with_default(root).with_targets(others.map(|(name, level)| (name, *level)))
}

fn name_of(level: LevelFilter) -> &'static str {
    LEVELS.iter().find(|(_, known)| *known == level).map_or(INHERIT, |(name, _)| name)
}

/// `GET /logconfig`: loggers and their levels.
pub(super) async fn show(State(site): Shared) -> Response {
    html(page(&site.levels, None))
}

/// `POST /logconfig`, with the fields `logger` and `level`: changes a level.
pub(super) async fn change(
    State(site): Shared,
    Extension(peer): Peer,
    headers: HeaderMap,
    content: Body,
) -> Response {
    let form = match own_form(&headers, content).await {
        Ok(form) => form,
        Err(response) => return response,
    };
    let field = |name: &str| form.get(name).map(|value| value.trim()).unwrap_or_default();
    let (logger, wanted) = (field("logger"), field("level").to_ascii_uppercase());
    let level = LEVELS.iter().find(|(name, _)| *name == wanted);
    let said = level.map_or(INHERIT, |(name, _)| name);
    // Before: afterwards it may be silent.
    let shown: String = logger.escape_debug().take(MAX_NAME).collect();
    warn!("the level of the logger {shown} is to be {said}, says {}", peer.0.ip());
    match site.levels.set(logger, level.map(|(_, level)| *level)) {
        Ok(()) => html(page(&site.levels, Some(&format!("{logger} level changed to {said}")))),
        Err(problem) => {
            (StatusCode::BAD_REQUEST, html(page(&site.levels, Some(&problem)))).into_response()
        }
    }
}

fn page(levels: &Levels, news: Option<&str>) -> String {
    let own = levels.own();
    let mut page = "<!doctype html><title>Log levels</title><h1>Log levels</h1>".to_owned();
    if let Some(news) = news {
        // Writing to a text cannot fail, also below.
        let _ = write!(page, "<p><strong>{}</strong>", escape(news));
    }
    page += "<form method=post action=\"/logconfig\"><p><input name=logger size=50 required \
             value=\"ROOT\"> <select name=level>";
    for name in LEVELS.iter().map(|(name, _)| *name).chain([INHERIT]) {
        let selected = if name == name_of(DEFAULT) { " selected" } else { "" };
        let _ = write!(page, "<option{selected}>{name}");
    }
    page += "</select> <button>Change</button></form><table><tr><th>Logger<th>Level";
    let mut names: Vec<&str> =
        KNOWN.iter().copied().chain(own.keys().map(String::as_str)).collect();
    names.retain(|name| *name != ROOT);
    names.sort_unstable();
    names.dedup();
    for name in [ROOT].into_iter().chain(names) {
        let level = match own.get(name) {
            Some(level) => name_of(*level),
            None if name == ROOT => name_of(DEFAULT),
            None => INHERIT,
        };
        let _ = write!(page, "<tr><td>{}<td>{level}", escape(name));
    }
    page + "</table>"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tracing::Subscriber;
    use tracing_subscriber::Layer;
    use tracing_subscriber::layer::{Context, SubscriberExt};

    struct Count(Arc<AtomicUsize>);

    impl<S: Subscriber> Layer<S> for Count {
        fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many of these come through: an error, a warning, an information, a detail of a module,
    /// and the same of raft.
    fn heard(count: &AtomicUsize) -> usize {
        count.store(0, Ordering::Relaxed);
        tracing::error!(target: "aurora_scheduler::shell", "1");
        tracing::warn!(target: "aurora_scheduler::shell", "2");
        tracing::info!(target: "aurora_scheduler::shell", "3");
        tracing::debug!(target: "aurora_scheduler::shell", "4");
        tracing::error!(target: "openraft", "5");
        tracing::warn!(target: "openraft", "6");
        tracing::info!(target: "openraft", "7");
        tracing::debug!(target: "openraft", "8");
        count.load(Ordering::Relaxed)
    }

    #[test]
    fn levels_hold_at_once() {
        let (levels, filter) = Levels::new();
        let count = Arc::new(AtomicUsize::new(0));
        let subscriber =
            tracing_subscriber::registry().with(Count(count.clone()).with_filter(filter));
        tracing::subscriber::with_default(subscriber, || {
            assert_eq!(heard(&count), 3 + 2);
            for (logger, level, expected) in [
                ("aurora_scheduler", Some(LevelFilter::DEBUG), 4 + 2),
                ("aurora_scheduler::shell", Some(LevelFilter::OFF), 2),
                ("aurora_scheduler::shell", None, 4 + 2),
                ("openraft", None, 4 + 3),
                ("ROOT", Some(LevelFilter::TRACE), 4 + 4),
                ("aurora_scheduler", None, 4 + 4),
                ("ROOT", None, 3 + 3),
            ] {
                assert_eq!(levels.set(logger, level), Ok(()));
                assert_eq!(heard(&count), expected, "{logger} {level:?}");
            }
        });
    }

    #[test]
    fn not_any_logger() {
        let (levels, _filter) = Levels::new();
        for logger in ["", "a b", "<a>", "a\n", &"a".repeat(MAX_NAME + 1)] {
            assert!(levels.set(logger, Some(LevelFilter::OFF)).is_err(), "{logger}");
        }
        for n in 0..MAX_LOGGERS - QUIET.len() {
            levels.set(&format!("a{n}"), Some(LevelFilter::OFF)).unwrap();
        }
        assert!(levels.set("one_more", Some(LevelFilter::OFF)).is_err());
        levels.set("a0", Some(LevelFilter::INFO)).unwrap();
        levels.set("one_less", None).unwrap();
        assert!(Levels::default().set(ROOT, None).is_err());
    }
}
