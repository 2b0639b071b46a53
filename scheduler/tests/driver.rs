//! The driver, against the master of `mini-agent`: what the core is told, and what is counted.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aurora_scheduler::core::engine::{Effect, Event};
use aurora_scheduler::core::jobs::Request;
use aurora_scheduler::counters::Counters;
use aurora_scheduler::driver::Mesos;
use aurora_scheduler::flags::Flags;
use aurora_scheduler::options::Options;
use aurora_scheduler::shell::{Driver, Happened};
use mini_agent::master::{self, Cluster};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(60);

/// A master without agents.
async fn master(root: &Path) -> Cluster {
    Cluster::start(master::Options::new(root, "/no/launcher")).await.unwrap()
}

fn connect(master: &Cluster, id: Option<&str>, counters: &Arc<Counters>) -> Mesos {
    let flags = Flags::parse([
        "-cluster_name=test".to_owned(),
        format!("-mesos_master_address={}", master.address()),
        "-thermos_executor_path=/thermos_executor".to_owned(),
        "-native_log_file_path=/no/log".to_owned(),
    ]);
    let Options { masters, mut framework, driver, tasks, settings, .. } =
        Options::new(&flags.unwrap()).unwrap();
    framework.id = id.map(str::to_owned);
    let info = framework.info();
    Mesos::connect(&masters, info, driver, tasks, settings.tiers, counters.clone()).unwrap()
}

/// The next thing that the core is told.
async fn next(driver: &mut Mesos) -> Vec<Event> {
    loop {
        match timeout(LONG, driver.next()).await.unwrap() {
            Happened::Events(events) if events.is_empty() => {}
            Happened::Events(events) => return events,
            Happened::Over(reason) => panic!("{reason}"),
        }
    }
}

fn asks_for_all(events: &[Event]) -> bool {
    let all = Request::ReconcileExplicit { batch: None };
    events.iter().any(|event| matches!(event, Event::Request(_, request) if *request == all))
}

/// What the master said while nobody listened it does not say again, so it is asked.
#[tokio::test]
async fn a_scheduler_that_comes_back_asks_what_became_of_its_tasks() {
    let root = tempfile::tempdir().unwrap();
    let cluster = master(root.path()).await;
    let counters = Arc::default();
    let mut fresh = connect(&cluster, None, &counters);
    let events = next(&mut fresh).await;
    let id = events.iter().find_map(|event| match event {
        Event::Registered(id) => Some(id.to_string()),
        _ => None,
    });
    assert!(!asks_for_all(&events), "it has no tasks");
    drop(fresh);
    let mut again = connect(&cluster, id.as_deref(), &counters);
    let events = next(&mut again).await;
    assert!(matches!(&*events, [Event::Disconnected, Event::Registered(_), _]), "{events:?}");
    assert!(asks_for_all(&events), "{events:?}");
}

#[tokio::test]
async fn what_is_counted() {
    let root = tempfile::tempdir().unwrap();
    let cluster = master(root.path()).await;
    let counters = Arc::new(Counters::default());
    let mut driver = connect(&cluster, None, &counters);
    let count = |name: &str| counters.all().get(name).copied();
    for name in ["SUBSCRIBED", "UPDATE", "HEARTBEAT", "ERROR", "UNKNOWN"] {
        assert_eq!(count(&format!("mesos_scheduler_event_{name}")), Some(0), "{name}");
    }
    assert_eq!(count("task_delivery_delay_SOURCE_MASTER_requests_events"), None);
    next(&mut driver).await;
    // The master knows nothing of them, and says so.
    let ids = ["a", "b", "c"];
    driver.act(Effect::Reconcile(ids.map(|id| (id.into(), None)).into()));
    let mut told = 0;
    while told < ids.len() {
        told +=
            next(&mut driver).await.iter().filter(|it| matches!(it, Event::Statuses(_))).count();
    }
    // The first comes with the subscription. It tells the core nothing.
    while count("mesos_scheduler_event_HEARTBEAT") == Some(0) {
        let happened = timeout(LONG, driver.next()).await.unwrap();
        assert!(matches!(&happened, Happened::Events(events) if events.is_empty()), "{happened:?}");
    }
    let all: BTreeMap<String, u64> = counters.all();
    assert_eq!(all["mesos_scheduler_event_SUBSCRIBED"], 1);
    assert_eq!(all["mesos_scheduler_event_UPDATE"], 3);
    let delay = |what: &str| all[&format!("task_delivery_delay_SOURCE_MASTER_{what}")];
    assert_eq!(delay("requests_events"), 3);
    let (low, high) = (delay("10_0_percentile"), delay("99_99_percentile"));
    assert!(low <= high && high <= delay("requests_micros_total"), "{all:?}");
    // Some time passes between the master's look at the clock and ours.
    assert!(delay("requests_micros_total") > 0);
}
