//! `thermos launch` in a build that leaves it out.

use crate::cli::{Global, Launch};
use crate::failure::{Failure, Outcome};

/// Says how to get it.
pub(crate) fn run(_: &Global, _: &Launch) -> Outcome {
    Err(Failure::usage(
        "this program was built without `launch`; build it with `cargo build --release -p \
         thermos-cli`",
    ))
}
