//! Compiles the interface definitions.

fn main() {
    let files = [
        "idl/api.thrift",
        "idl/storage.thrift",
        "idl/thermos_internal.thrift",
        // For tests and examples only.
        "tests/idl/everything.thrift",
    ];
    let out = std::env::var_os("OUT_DIR").unwrap_or_default();
    if let Err(error) = thrift_idl::compile(&files, out) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
