//! The `aurora_admin` command line tool.

fn main() -> std::process::ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let mut world = aurora_client::real::Real::new();
    std::process::ExitCode::from(aurora_client::admin::run(arguments, &mut world))
}
