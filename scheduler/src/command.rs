//! The program: flags, log, faces and core put together.
//!
//! Exit status: 0 after it was asked to end, 1 for wrong flags and for everything that failed.

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing::{error, info, warn};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::api::Api;
use crate::counters::Counters;
use crate::driver::Mesos;
use crate::flags::{self, FlagError, Flags, Value};
use crate::http::graph::History;
use crate::http::logconfig::Levels;
use crate::http::{self, Quit, Site};
use crate::local;
use crate::options::Options;
use crate::shell::{self, Plan};

/// How long open connections may take to be answered at the end.
const LAST_ANSWERS: Duration = Duration::from_millis(200);

/// Runs the program with these arguments, its name left out.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut arguments = arguments.into_iter().peekable();
    if arguments.peek().is_some_and(|first| first == mini_agent::LAUNCHER_ROLE) {
        return ExitCode::from(mini_agent::launcher::main(arguments.skip(1)));
    }
    let text = |argument: OsString| argument.to_string_lossy().into_owned();
    let mut flags = match Flags::parse(arguments.map(text)) {
        Ok(flags) => flags,
        Err(error) => {
            eprint!("{}", flags::usage());
            eprintln!("\naurora-scheduler: {error}");
            return ExitCode::FAILURE;
        }
    };
    let levels = log_to_stderr();
    match run(&mut flags, levels) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            error!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// One line for each thing that happens.
fn log_to_stderr() -> Levels {
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false);
    let (levels, filter) = Levels::new();
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
    levels
}

fn run(flags: &mut Flags, levels: Levels) -> Result<(), String> {
    // Two threads for everything that waits; the core has the main one to itself.
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| format!("failed to start threads: {error}"))?;
    let text = |error: FlagError| error.to_string();
    let local = match flags.is_on("local") {
        true => {
            let directory = local::prepare(flags).map_err(text)?;
            let cluster = runtime.block_on(local::start(&directory));
            let cluster = cluster.map_err(|error| format!("failed to start -local: {error}"))?;
            let master = cluster.address().to_string();
            flags.set_default("mesos_master_address", Value::Text(master));
            Some((directory, cluster))
        }
        false => None,
    };
    let options = Options::new(flags).map_err(text)?;
    for (name, value) in flags.iter() {
        info!("-{name}={value}");
    }
    for name in flags.without_effect() {
        warn!("-{name} has no effect in this version");
    }
    let served = serve(&runtime, flags, options, levels, |url| {
        if let Some((directory, cluster)) = &local {
            let master = cluster.address().to_string();
            // To whoever started it; the rest goes to the log.
            println!("{}", local::welcome(url, &master, directory));
        }
    });
    if let Some((_, cluster)) = local {
        drop(cluster);
        // What runs gets a moment to end.
        std::thread::sleep(LAST_ANSWERS);
    }
    served
}

fn serve(
    runtime: &Runtime,
    flags: &Flags,
    options: Options,
    levels: Levels,
    begun: impl FnOnce(&str),
) -> Result<(), String> {
    let listener = runtime
        .block_on(TcpListener::bind(options.listen))
        .map_err(|error| format!("failed to listen on {}: {error}", options.listen))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let (handle, door) = shell::door();
    let (quit, asked) = watch::channel(None);
    let counters = Arc::new(Counters::default());
    let api = Api {
        identity: options.identity.clone(),
        rules: options.rules,
        handle,
        counters: counters.clone(),
    };
    let mut site = Site::new(api, flags.iter().collect(), options.cors, quit.clone());
    site.history = History::new(options.sampling_interval, options.sampling_period);
    site.levels = levels;
    let site = Arc::new(site);
    let (closed, close) = watch::channel(false);
    runtime.spawn(http::serve(listener, site, close));
    let url = format!("http://{address}");
    info!("serving {url}");
    begun(&url);
    let (stop, stopped) = watch::channel(false);
    runtime.spawn(listen_for_the_end(quit, asked, stop));

    let plan = Plan {
        settings: options.settings.clone(),
        log: options.log,
        snapshot_interval: options.snapshot_interval,
        max_registration_delay: options.max_registration_delay,
    };
    let (scheme, host) = (options.identity.scheme, options.identity.host);
    let (masters, mut framework) = (options.masters, options.framework);
    framework.webui_url = Some(format!("{scheme}://{host}:{}", address.port()));
    let (driver, tasks, tiers) = (options.driver, options.tasks, options.settings.tiers);
    let connect = |id: Option<String>| {
        framework.id = id;
        let mut info = framework.info();
        // Agents of this process never come back, so executors need not wait for them.
        info.checkpoint = Some(!flags.is_on("local"));
        Mesos::connect(&masters, info, driver, tasks, tiers, counters)
    };
    let result = runtime.handle().block_on(shell::run(plan, door, connect, stopped));
    closed.send_replace(true);
    std::thread::sleep(LAST_ANSWERS);
    result.map_err(|failure| failure.to_string())
}

/// Waits for a signal or a page that asks for the end.
async fn listen_for_the_end(
    quit: watch::Sender<Option<Quit>>,
    mut asked: watch::Receiver<Option<Quit>>,
    stop: watch::Sender<bool>,
) {
    let mut signals = match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(terminate), Ok(interrupt)) => (terminate, interrupt),
        (Err(error), _) | (_, Err(error)) => {
            error!("failed to listen for signals: {error}");
            return;
        }
    };
    let how = tokio::select! {
        _ = signals.0.recv() => Quit::Soon,
        _ = signals.1.recv() => Quit::Soon,
        how = asked.wait_for(Option::is_some) => how.ok().and_then(|how| *how).unwrap_or(Quit::Soon),
    };
    if how == Quit::Now {
        error!("asked to end at once");
        std::process::exit(1);
    }
    stop.send_replace(true);
    // A second signal, or the other page, does not wait.
    tokio::select! {
        _ = signals.0.recv() => {}
        _ = signals.1.recv() => {}
        _ = asked.wait_for(|how| *how == Some(Quit::Now)) => {}
    }
    drop(quit);
    std::process::exit(1);
}
