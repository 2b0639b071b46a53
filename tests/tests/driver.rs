//! The scheduler's driver against a real Mesos master and agent, and the same against the master of
//! `mini-agent`: both must be the same for a scheduler. The tasks are Aurora's, run by the real
//! executor.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use aurora_api::api::{AssignedTask, Resource};
use aurora_scheduler::taskinfo::executor::{Executors, Thermos};
use aurora_scheduler::taskinfo::{Settings, Tier, task_info};
use mesos_scheduler::v1::scheduler::call as calls;
use mesos_scheduler::v1::task_status::{Reason, Source};
use mesos_scheduler::v1::{Offer, TaskInfo, TaskState, TaskStatus};
use mesos_scheduler::{
    CallError, Client, Event, Format, Framework, GiveUp, Masters, Options, Receipt, call,
};
use thermos_tests::masters::{Mini, Real};
use thermos_tests::mesos::{self, executor_binary, process};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(60);

/// A scheduler that answers nothing by itself.
struct Scheduler {
    client: Client,
    framework_id: String,
    /// That came and were not used.
    offers: VecDeque<Offer>,
    settings: Settings,
    format: Format,
}

fn framework(id: Option<&str>) -> Framework {
    Framework {
        id: id.map(str::to_owned),
        name: "driver-test".to_owned(),
        failover_timeout: Duration::from_secs(60),
        partition_aware: true,
        ..Framework::default()
    }
}

impl Scheduler {
    fn client(address: SocketAddr, id: Option<&str>, format: Format) -> Client {
        let masters = Masters::parse(&address.to_string()).unwrap().watch().unwrap();
        let options = Options { format, ..Options::default() };
        Client::start(masters, framework(id).info(), options)
    }

    /// One that has subscribed.
    async fn start(address: SocketAddr, id: Option<&str>, format: Format) -> Scheduler {
        let thermos = Thermos {
            path: executor_binary().display().to_string(),
            cpus: 0.01,
            ram_mb: 32.0,
            ..Thermos::default()
        };
        let settings = Settings {
            executors: Executors::new(thermos.executor().unwrap(), None).unwrap(),
            cluster: "test".to_owned(),
            discovery: true,
            revocable_cpus: true,
            revocable_ram: false,
        };
        let client = Self::client(address, id, format);
        let (framework_id, offers) = (String::new(), VecDeque::new());
        let mut scheduler = Scheduler { client, framework_id, offers, settings, format };
        scheduler.subscribed().await;
        scheduler
    }

    async fn next(&mut self) -> Event {
        let event = match timeout(LONG, self.client.next()).await {
            Ok(Some(event)) => event,
            Ok(None) => panic!("the client has ended"),
            Err(_) => panic!("no event within {LONG:?}"),
        };
        match &event {
            Event::Offers(offers) => self.offers.extend(offers.iter().cloned()),
            Event::Rescind { offer_id } => {
                self.offers.retain(|offer| offer.id.value != *offer_id);
            }
            Event::Disconnected { .. } => self.offers.clear(),
            _ => {}
        }
        event
    }

    /// The next event of a kind; others are of no interest, but what ends or refuses something is.
    async fn find<T>(&mut self, what: &str, mut is: impl FnMut(&Event) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            let event = self.next().await;
            if let Some(found) = is(&event) {
                return found;
            }
            let bad = matches!(event, Event::Refused { .. } | Event::GaveUp(_));
            assert!(!bad, "while waiting for {what}: {event:?}");
            assert!(begun.elapsed() < LONG, "no {what} within {LONG:?}, but {event:?}");
        }
    }

    async fn subscribed(&mut self) {
        let id = self.find("SUBSCRIBED", |event| match event {
            Event::Subscribed { framework_id, master, .. } => {
                assert!(master.is_some());
                Some(framework_id.clone())
            }
            _ => None,
        });
        self.framework_id = id.await;
    }

    fn call(&self, call: mesos_scheduler::v1::scheduler::Call) {
        self.client.handle().call(call);
    }

    fn durable(&self, receipt: Receipt) {
        self.client.handle().durable(receipt);
    }

    /// An offer with something in it. Smaller ones are declined, so that they come together.
    async fn offer(&mut self) -> Offer {
        loop {
            while let Some(offer) = self.offers.pop_front() {
                let cpus = offer.resources.iter().find(|entry| entry.name == "cpus");
                if cpus.is_some_and(|cpus| cpus.scalar.unwrap_or_default().value >= 0.5) {
                    return offer;
                }
                self.call(call::decline(&[&offer.id.value], Duration::ZERO));
            }
            let offers = |event: &Event| matches!(event, Event::Offers(_)).then_some(());
            self.find("an offer", offers).await;
        }
    }

    /// What Mesos is told to run: processes that run until they are killed.
    fn task(&self, id: &str, offer: &Offer) -> TaskInfo {
        let job = mesos::job("nobody", &[process("p", "echo here > there; sleep 1000")]);
        let mut assigned = mesos::assigned(id, "nobody", &job);
        assigned.slave_id = Some(offer.agent_id.value.clone());
        let task = assigned.task.as_mut().unwrap();
        let resources = [Resource::NumCpus(0.1.into()), Resource::RamMb(32), Resource::DiskMb(64)];
        task.resources = Some(resources.into());
        let tier = Tier { name: "preemptible", revocable: false };
        let info = task_info(&self.settings, tier, &assigned, offer).unwrap();
        let data = aurora_api::binary::from_slice::<AssignedTask>(info.data());
        assert_eq!(data, Ok(assigned));
        info
    }

    fn launch(&self, offer: &str, tasks: Vec<TaskInfo>) {
        let filter = Duration::from_millis(100);
        self.call(call::accept(&[offer], vec![call::launch(tasks)], filter));
    }

    /// Launches a task as it is wanted; its first state, not acknowledged.
    async fn launched(&mut self, id: &str) -> (TaskStatus, Receipt, Offer) {
        let offer = self.offer().await;
        self.launch(&offer.id.value, vec![self.task(id, &offer)]);
        let (status, receipt) = self.update(id).await;
        assert_eq!(status.state(), TaskState::TaskStarting, "{status:?}");
        (status, receipt, offer)
    }

    /// Launches a task and waits until it runs.
    async fn running(&mut self, id: &str) -> Offer {
        let (_, receipt, offer) = self.launched(id).await;
        self.durable(receipt);
        let status = self.state(id, TaskState::TaskRunning).await;
        assert_eq!(status.source(), Source::Executor);
        offer
    }

    /// The next update of a task.
    async fn update(&mut self, id: &str) -> (TaskStatus, Receipt) {
        let update = self.find(id, |event| match event {
            Event::Update { receipt, status } if status.task_id.value == id => {
                Some(((**status).clone(), *receipt))
            }
            _ => None,
        });
        update.await
    }

    /// Waits for a state, and acknowledges everything on the way.
    async fn state(&mut self, id: &str, state: TaskState) -> TaskStatus {
        loop {
            let (status, receipt) = self.update(id).await;
            self.durable(receipt);
            if status.state() == state {
                return status;
            }
        }
    }

    /// What the master itself says of a task.
    async fn said(&mut self, id: &str) -> (TaskState, Reason, String) {
        let (status, receipt) = self.update(id).await;
        assert_eq!((status.source(), status.uuid.is_some()), (Source::Master, false), "{status:?}");
        self.durable(receipt);
        (status.state(), status.reason(), status.message().to_owned())
    }

    async fn refused(&mut self) -> CallError {
        loop {
            if let Event::Refused { error, .. } = self.next().await {
                return error;
            }
        }
    }

    async fn gave_up(&mut self) -> GiveUp {
        loop {
            if let Event::GaveUp(reason) = self.next().await {
                return reason;
            }
        }
    }

    async fn killed(&mut self, id: &str) {
        self.call(call::kill(id, None, Some(Duration::from_secs(5))));
        let status = self.state(id, TaskState::TaskKilled).await;
        assert_eq!(status.source(), Source::Executor, "{status:?}");
    }
}

/// What every master does.
async fn conformance(address: SocketAddr, format: Format) {
    let mut scheduler = Scheduler::start(address, None, format).await;
    let id = scheduler.framework_id.clone();

    // Offers come, go back, and come again as others.
    let first = scheduler.offer().await;
    assert_eq!(
        (first.framework_id.value.as_str(), first.hostname.as_str()),
        (id.as_str(), "127.0.0.1")
    );
    assert!(
        first.resources.iter().all(|entry| entry.role() == "*" && entry.allocation_info.is_none())
    );
    scheduler.call(call::decline(&[&first.id.value], Duration::ZERO));
    let second = scheduler.offer().await;
    assert_ne!(first.id, second.id);
    assert_eq!(first.agent_id, second.agent_id);
    scheduler.call(call::suppress(&[]));
    scheduler.call(call::decline(&[&second.id.value], Duration::from_secs(1000)));
    scheduler.call(call::revive(&[]));
    let third = scheduler.offer().await;

    // Launches that cannot be.
    let task = scheduler.task("bad", &third);
    scheduler.launch("no-such-offer", vec![task.clone()]);
    let (state, reason, text) = scheduler.said("bad").await;
    assert_eq!((state, reason), (TaskState::TaskDropped, Reason::InvalidOffers));
    assert_eq!(text, "Task launched with invalid offers: Offer no-such-offer is no longer valid");
    let mut greedy = task.clone();
    greedy.resources[0].scalar.as_mut().unwrap().value = 1000.0;
    scheduler.launch(&third.id.value, vec![greedy]);
    let (state, reason, _) = scheduler.said("bad").await;
    assert_eq!((state, reason), (TaskState::TaskError, Reason::TaskInvalid));

    // A task: one update at a time, each until it is acknowledged.
    let (starting, receipt, _) = scheduler.launched("one").await;
    assert!(starting.uuid.is_some() && starting.agent_id.is_some());
    scheduler.durable(receipt);
    let running = scheduler.state("one", TaskState::TaskRunning).await;
    assert_eq!(running.source(), Source::Executor);
    let again = scheduler.offer().await;
    assert_eq!(again.executor_ids[0].value, "thermos-one");
    scheduler.launch(&again.id.value, vec![scheduler.task("one", &again)]);
    let (state, reason, text) = scheduler.said("one").await;
    assert_eq!((state, reason), (TaskState::TaskError, Reason::TaskInvalid));
    assert_eq!(text, "Task has duplicate ID: one");

    // What is known of tasks.
    let agent = first.agent_id.value.as_str();
    let asked = [
        ("one", Some(agent)),
        ("ghost-1", Some(agent)),
        ("ghost-2", None),
        ("ghost-3", Some("zz")),
    ];
    scheduler.call(call::reconcile(asked));
    let known = Reason::Reconciliation;
    let latest = (TaskState::TaskRunning, known, "Reconciliation: Latest task state".to_owned());
    assert_eq!(scheduler.said("one").await, latest);
    let gone =
        (TaskState::TaskGone, known, "Reconciliation: Task is unknown to the agent".to_owned());
    let unknown = (TaskState::TaskUnknown, known, "Reconciliation: Task is unknown".to_owned());
    assert_eq!(scheduler.said("ghost-1").await, gone);
    assert_eq!(scheduler.said("ghost-2").await, unknown);
    assert_eq!(scheduler.said("ghost-3").await, unknown);
    scheduler.call(call::reconcile([]));
    assert_eq!(scheduler.said("one").await, latest);
    scheduler.call(call::kill("ghost-4", None, None));
    assert_eq!(scheduler.said("ghost-4").await, unknown);

    // Calls without an effect, and a wrong one.
    scheduler.call(call::message(agent, "no-such-executor", vec![1]));
    scheduler.call(call::shutdown("no-such-executor", agent));
    scheduler.call(call::request(Vec::new()));
    scheduler.call(call::acknowledge(agent, "one", &[0x47; 16]));
    let info = Framework { name: "renamed".into(), ..framework(Some(&id)) }.info();
    let update = calls::UpdateFramework { framework_info: info, ..Default::default() };
    scheduler.call(call::update_framework(update));
    for wrong in [vec![0x47; 2], vec![7; 16]] {
        scheduler.call(call::acknowledge(agent, "one", &wrong));
        let CallError::Rejected(rejection) = scheduler.refused().await else { panic!() };
        let text = "Failed to validate scheduler::Call: Not a valid UUID";
        assert_eq!((rejection.status, rejection.text.as_str()), (400, text));
    }

    // Another scheduler takes over, and gets what was not acknowledged.
    let (starting, _, _) = scheduler.launched("two").await;
    let mut successor = Scheduler::start(address, Some(&id), format).await;
    assert_eq!(successor.framework_id, id);
    let text = "Framework failed over".to_owned();
    assert_eq!(scheduler.gave_up().await, GiveUp::FailedOver(text));
    let (repeated, receipt) = successor.update("two").await;
    assert_eq!(repeated.uuid, starting.uuid);
    successor.durable(receipt);
    successor.state("two", TaskState::TaskRunning).await;

    // Ends.
    successor.killed("one").await;
    let ended = successor.find("FAILURE", |event| match event {
        Event::Failure { executor_id, agent_id, status } => {
            Some((executor_id.clone(), agent_id.clone(), *status))
        }
        _ => None,
    });
    let ended = ended.await;
    assert_eq!(ended, (Some("thermos-one".into()), Some(agent.into()), Some(0)));
    successor.killed("two").await;
    successor.call(call::teardown());
    assert_eq!(successor.gave_up().await, GiveUp::TornDown);
    successor.client = Scheduler::client(address, Some(&id), successor.format);
    let text = "Framework has been removed".to_owned();
    assert_eq!(successor.gave_up().await, GiveUp::Removed(text));
}

#[tokio::test]
async fn a_real_master() {
    let real = Real::start(&[]);
    for format in [Format::Protobuf, Format::Json] {
        conformance(real.address(), format).await;
    }
}

#[tokio::test]
async fn the_master_of_mini_agent() {
    let mini = Mini::start().await;
    for format in [Format::Protobuf, Format::Json] {
        conformance(mini.address(), format).await;
    }
}

/// A task on an agent that is not heard of any more.
async fn agent_lost(scheduler: &mut Scheduler, agent: &str) {
    let (status, receipt) = scheduler.update("lost").await;
    assert_eq!(status.state(), TaskState::TaskUnreachable, "{status:?}");
    assert_eq!((status.source(), status.reason()), (Source::Master, Reason::AgentRemoved));
    assert!(status.unreachable_time.is_some());
    scheduler.durable(receipt);
    let failure = scheduler.find("FAILURE", |event| match event {
        Event::Failure { executor_id: None, agent_id, .. } => agent_id.clone(),
        _ => None,
    });
    assert_eq!(failure.await, agent);
    scheduler.call(call::reconcile([("lost", Some(agent))]));
    let (state, _, text) = scheduler.said("lost").await;
    assert_eq!(state, TaskState::TaskUnreachable);
    assert_eq!(text, "Reconciliation: Task is unreachable");
}

#[tokio::test]
async fn an_agent_of_a_real_master_is_lost() {
    let flags = [("AGENT_PING_TIMEOUT", "1secs"), ("MAX_AGENT_PING_TIMEOUTS", "2")];
    let mut real = Real::start(&flags);
    let mut scheduler = Scheduler::start(real.address(), None, Format::Protobuf).await;
    let offer = scheduler.running("lost").await;
    real.kill_agent(0);
    agent_lost(&mut scheduler, &offer.agent_id.value).await;
}

#[tokio::test]
async fn an_agent_of_mini_agent_is_lost() {
    let mini = Mini::start().await;
    let mut scheduler = Scheduler::start(mini.address(), None, Format::Protobuf).await;
    let offer = scheduler.running("lost").await;
    assert!(mini.root().join("slaves").is_dir());
    mini.lose_agent().await;
    agent_lost(&mut scheduler, &offer.agent_id.value).await;
}

#[tokio::test]
async fn a_real_master_is_restarted() {
    let mut real = Real::start(&[]);
    let mut scheduler = Scheduler::start(real.address(), None, Format::Protobuf).await;
    let id = scheduler.framework_id.clone();
    scheduler.running("lasting").await;
    real.kill_master();
    let disconnected = |event: &Event| matches!(event, Event::Disconnected { .. }).then_some(());
    scheduler.find("the loss", disconnected).await;
    real.start_master();
    scheduler.subscribed().await;
    assert_eq!(scheduler.framework_id, id, "with the id that it had");
    // With a fixed address of its master an agent does not come back by itself.
    real.kill_agent(0);
    real.start_agent(0);
    loop {
        scheduler.call(call::reconcile([("lasting", None)]));
        let (status, receipt) = scheduler.update("lasting").await;
        scheduler.durable(receipt);
        if status.state() == TaskState::TaskRunning {
            break;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    scheduler.killed("lasting").await;
}
