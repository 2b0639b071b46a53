//! Compiler from Thrift interface definitions to Rust, meant for build scripts.
//!
//! ```no_run
//! // In build.rs:
//! let out = std::env::var_os("OUT_DIR").unwrap_or_default();
//! if let Err(error) = thrift_idl::compile(&["idl/example.thrift"], out) {
//!     eprintln!("{error}");
//!     std::process::exit(1);
//! }
//! ```
//!
//! Every file, included ones too, becomes `OUT_DIR/MODULE.rs`, where `MODULE` is its `namespace rs`
//! or else its name. The crate includes each as a module of that name; modules of files that include
//! each other must be siblings. Generated code needs the `thrift-wire` crate and nothing else.
//!
//! # Mapping
//!
//! | definition | Rust |
//! |---|---|
//! | `string`, `binary`, `double` | `String`, `thrift_wire::Bytes`, `thrift_wire::Double` |
//! | `list`, `set`, `map` | `Vec`, `BTreeSet`, `BTreeMap` |
//! | enum | `struct E(pub i32)` with a constant per value, `name`, `from_name`, `VALUES` |
//! | typedef | type alias |
//! | struct | struct with public fields and `unknown: UnknownFields` |
//! | exception | the same, and `std::error::Error` |
//! | union | enum with a variant per field and `Unknown(i16, Value)` |
//! | const | `const`; lists, sets and maps as slices; a function if there is a struct inside |
//! | service | module with `Handler`, `dispatch`, and a `thrift_wire::Method` per function |
//!
//! A field is `Option<T>`, and `None` if it is not on the wire, except:
//!
//! * a field with a default value is a plain `T`, always written, and has that value when it is not
//!   on the wire. This is what every peer's generated code makes of it, too;
//! * a `required` field is a plain `T`, and an error when it is not on the wire. A struct has
//!   `Default` only if its required fields have.
//!
//! Fields that would make a type contain itself are boxed. Names become Rust's (`taskId` is
//! `task_id`, `numCpus` in a union is `NumCpus`); the readable form keeps the original ones.
//! Comments of the form `/** ... */` become documentation.
//!
//! Not supported, and refused: fields without ids, `senum`, `slist`, `uuid`, the XSD extensions.
//! Annotations and namespaces of other languages are skipped.

mod ast;
mod check;
mod error;
mod generate;
mod lexer;
mod names;
mod parser;

use std::path::{Path, PathBuf};
use std::{fs, io};

use ast::Program;
pub use error::Error;

/// Deepest nesting of types and constants.
pub(crate) const MAX_NESTING: usize = 64;

/// Compiles interface definitions, and those they include, to `OUT_DIR/MODULE.rs`. Prints
/// `cargo:rerun-if-changed` for each file read.
///
/// # Errors
/// A file cannot be read or written, or its content is wrong: with file, line, column and a hint.
pub fn compile<P: AsRef<Path>>(paths: &[P], out_dir: impl AsRef<Path>) -> Result<(), Error> {
    let roots: Vec<&Path> = paths.iter().map(AsRef::as_ref).collect();
    let mut read = |path: &Path| {
        println!("cargo:rerun-if-changed={}", path.display());
        fs::read_to_string(path)
    };
    for (module, code) in generate_all(&roots, &mut read)? {
        let path = out_dir.as_ref().join(format!("{module}.rs"));
        fs::write(&path, code)
            .map_err(|e| Error::file(&path, format!("cannot be written: {e}")))?;
    }
    Ok(())
}

/// The generated code of each module, by name, for the definitions at `roots` and all they include.
/// Files come from `read`, so they need not exist on disk.
///
/// # Errors
/// `read` fails, or the content of a file is wrong.
pub fn generate_all(
    roots: &[&Path],
    read: &mut dyn FnMut(&Path) -> io::Result<String>,
) -> Result<Vec<(String, String)>, Error> {
    let mut loader = Loader { read, programs: Vec::new(), open: Vec::new() };
    for root in roots {
        loader.load(root)?;
    }
    let world = check::World::new(loader.programs)?;
    world.check()?;
    generate::all(&world)
}

struct Loader<'a> {
    read: &'a mut dyn FnMut(&Path) -> io::Result<String>,
    programs: Vec<Program>,
    /// The files whose includes are being loaded.
    open: Vec<PathBuf>,
}

impl Loader<'_> {
    /// Loads a file unless it is loaded, and returns its index.
    fn load(&mut self, path: &Path) -> Result<usize, Error> {
        if let Some(index) = self.programs.iter().position(|p| p.path == path) {
            return Ok(index);
        }
        let text =
            (self.read)(path).map_err(|e| Error::file(path, format!("cannot be read: {e}")))?;
        let mut program = parser::parse(path, &text)?;
        self.open.push(path.to_path_buf());
        for include in &mut program.includes {
            let wanted = path.parent().unwrap_or(Path::new("")).join(&include.path);
            if self.open.contains(&wanted) {
                return Err(Error::at(path, include.pos, "this file includes itself".to_owned())
                    .hint("files may include each other in one direction only"));
            }
            include.program = self.load(&wanted).map_err(|e| e.included(path, include.pos))?;
        }
        self.open.pop();
        self.programs.push(program);
        Ok(self.programs.len() - 1)
    }
}
