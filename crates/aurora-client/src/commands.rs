//! What the commands print.

mod dump;
mod inspect;
mod list;

pub use dump::{Dump, Wanted, dump};
pub use inspect::{Inspect, inspect};
pub use list::list;

use std::path::{Path, PathBuf};

use aurora_schema::Bindings;
use aurora_schema::value::Value;

use crate::evaluate::{Defined, Evaluator, Kind, read_json};
use crate::problem::Problem;
use crate::select::{self, Parts};

/// A configuration file and how to read it.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file.
    pub file: PathBuf,
    /// It is JSON.
    pub json: bool,
    /// What `--bind` says.
    pub bindings: Bindings,
    /// How Python syntax is evaluated.
    pub evaluator: Evaluator,
}

impl Source {
    /// Reads the file. What it printed is printed by `print`.
    fn load(&self) -> Result<Defined, Problem> {
        match self.json {
            true => read_json(&self.file),
            false => self.evaluator.run(&self.file, Kind::Aurora),
        }
    }

    /// The jobs of the file, with bindings and keys.
    fn jobs(&self) -> Result<(Vec<(Value, Parts)>, String), Problem> {
        let Defined { values, output } = self.load()?;
        Ok((select::keys(&values, &self.bindings)?, output))
    }
}

/// Who runs this: the environment's word, else that of the user database.
pub fn login() -> String {
    let set = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    if let Some(name) = ["LOGNAME", "USER", "LNAME", "USERNAME"].into_iter().find_map(set) {
        return name;
    }
    let own = rustix::process::getuid().as_raw().to_string();
    let users = std::fs::read_to_string(Path::new("/etc/passwd")).unwrap_or_default();
    let mut fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let entry = fields.find(|fields| fields.get(2) == Some(&&*own));
    entry.and_then(|fields| fields.first().map(|name| (*name).to_owned())).unwrap_or(own)
}
