//! Compiles the interface definitions.

fn main() {
    // The second one is for tests and examples only.
    let files = ["idl/thermos_internal.thrift", "tests/idl/everything.thrift"];
    let out = std::env::var_os("OUT_DIR").unwrap_or_default();
    if let Err(error) = thrift_idl::compile(&files, out) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
