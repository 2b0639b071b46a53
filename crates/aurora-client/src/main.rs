//! The `aurora` command line tool.

fn main() -> std::process::ExitCode {
    aurora_client::cli::main()
}
