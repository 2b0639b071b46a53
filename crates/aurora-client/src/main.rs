//! The `aurora` command line tool.

fn main() -> std::process::ExitCode {
    let mut world = aurora_client::real::Real::new();
    std::process::ExitCode::from(aurora_client::run(std::env::args_os(), &mut world))
}
