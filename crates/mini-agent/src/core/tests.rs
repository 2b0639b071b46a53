use super::*;
use mesos_executor::v1::AgentId;

const GRACE: Duration = Duration::from_secs(5);
const REGISTRATION: Duration = Duration::from_secs(60);
const ZERO: Duration = Duration::ZERO;

fn task(id: &str) -> TaskInfo {
    TaskInfo {
        name: id.to_owned(),
        task_id: TaskId { value: id.to_owned() },
        agent_id: AgentId { value: "a".to_owned() },
        ..TaskInfo::default()
    }
}

fn launch_of(id: &str) -> Input {
    Input::Launch(Box::new(task(id)))
}

fn kill_of(id: &str) -> Input {
    Input::Kill { task_id: id.to_owned(), grace: None }
}

fn status(id: &str, state: TaskState, uuid: u8) -> TaskStatus {
    TaskStatus {
        task_id: TaskId { value: id.to_owned() },
        state: state.into(),
        uuid: Some(vec![uuid; 16]),
        source: Some(Source::Executor.into()),
        ..TaskStatus::default()
    }
}

fn update(id: &str, state: TaskState, uuid: u8) -> Input {
    Input::Update(Box::new(status(id, state, uuid)))
}

fn subscribe(tasks: &[&str], updates: &[TaskStatus]) -> Input {
    Input::Subscribe(call::Subscribe {
        unacknowledged_tasks: tasks.iter().map(|id| task(id)).collect(),
        unacknowledged_updates: updates
            .iter()
            .map(|status| call::Update { status: status.clone() })
            .collect(),
    })
}

/// Effects in a few words.
fn words(effects: Vec<Effect>) -> Vec<String> {
    effects
        .into_iter()
        .map(|effect| match effect {
            Effect::Send(event) => {
                let launch = event.launch.as_ref().map(|launch| &launch.task.task_id.value);
                let kill = event.kill.as_ref().map(|kill| &kill.task_id.value);
                let acknowledged =
                    event.acknowledged.as_ref().map(|acknowledged| &acknowledged.task_id.value);
                let id = launch.or(kill).or(acknowledged).cloned().unwrap_or_default();
                format!("{} {id}", event.r#type().as_str_name()).trim_end().to_owned()
            }
            Effect::Report(status) => {
                let by = if status.source == Some(Source::Agent.into()) {
                    format!(" {}", status.reason().as_str_name())
                } else {
                    String::new()
                };
                format!("{} {}{by}", status.task_id.value, status.state().as_str_name())
            }
            Effect::Close => "close".to_owned(),
            Effect::Destroy => "destroy".to_owned(),
        })
        .collect()
}

struct Test(Executor);

impl Test {
    fn new() -> Test {
        Test(Executor::new(ZERO, GRACE, REGISTRATION))
    }

    #[track_caller]
    fn at(&mut self, now: Duration, input: Input, expected: &[&str]) {
        assert_eq!(words(self.0.handle(now, input)), expected);
    }

    #[track_caller]
    fn on(&mut self, input: Input, expected: &[&str]) {
        self.at(ZERO, input, expected);
    }

    /// One that has subscribed and got a task.
    fn running() -> Test {
        let mut test = Test::new();
        test.on(launch_of("t"), &[]);
        test.on(subscribe(&[], &[]), &["SUBSCRIBED", "LAUNCH t"]);
        test
    }
}

#[test]
fn a_life() {
    let mut test = Test::running();
    assert_eq!((test.0.phase(), test.0.wakeup()), (Phase::Registered, None));
    test.on(update("t", TaskState::TaskRunning, 1), &["t TASK_RUNNING", "ACKNOWLEDGED t"]);
    test.on(kill_of("t"), &["KILL t"]);
    test.on(kill_of("t"), &["KILL t"]);
    test.on(update("t", TaskState::TaskKilled, 2), &["t TASK_KILLED", "ACKNOWLEDGED t"]);
    test.on(Input::StreamLost, &[]);
    test.on(Input::Exited, &["close"]);
    test.on(Input::Exited, &[]);
    assert_eq!(test.0.phase(), Phase::Terminated);
}

#[test]
fn a_repeated_update_is_acknowledged_and_told_once() {
    let mut test = Test::running();
    test.on(update("t", TaskState::TaskFinished, 1), &["t TASK_FINISHED", "ACKNOWLEDGED t"]);
    test.on(update("t", TaskState::TaskFinished, 1), &["ACKNOWLEDGED t"]);
}

#[test]
fn bugs_of_executors_pass_without_acknowledgement() {
    let mut test = Test::running();
    test.on(update("other", TaskState::TaskRunning, 1), &["other TASK_RUNNING"]);
    test.on(update("t", TaskState::TaskFinished, 2), &["t TASK_FINISHED", "ACKNOWLEDGED t"]);
    test.on(update("t", TaskState::TaskRunning, 3), &["t TASK_RUNNING"]);
}

#[test]
fn what_was_sent_while_away_is_repeated() {
    let mut test = Test::running();
    test.on(Input::StreamLost, &[]);
    // Taken, but the acknowledgement is lost.
    test.on(update("t", TaskState::TaskRunning, 1), &["t TASK_RUNNING"]);
    test.on(kill_of("t"), &[]);
    let updates = [status("t", TaskState::TaskRunning, 1), status("t", TaskState::TaskFinished, 2)];
    test.on(
        subscribe(&["t"], &updates),
        &["SUBSCRIBED", "ACKNOWLEDGED t", "t TASK_FINISHED", "ACKNOWLEDGED t"],
    );
}

#[test]
fn a_task_that_the_executor_does_not_list_is_dropped() {
    let mut test = Test::running();
    test.on(Input::StreamLost, &[]);
    test.on(subscribe(&["t"], &[]), &["SUBSCRIBED"]);
    test.on(launch_of("u"), &["LAUNCH u"]);
    test.on(Input::StreamLost, &[]);
    test.on(launch_of("v"), &[]);
    test.on(subscribe(&["t", "u"], &[]), &["SUBSCRIBED", "v TASK_DROPPED REASON_AGENT_RESTARTED"]);
    test.on(update("v", TaskState::TaskRunning, 1), &["v TASK_RUNNING"]);
}

#[test]
fn killed_before_it_was_delivered() {
    let mut test = Test::new();
    test.on(launch_of("t"), &[]);
    test.on(kill_of("t"), &["t TASK_KILLED REASON_TASK_KILLED_DURING_LAUNCH"]);
    assert_eq!((test.0.phase(), test.0.wakeup()), (Phase::Stopping, Some(GRACE)));
    // The first and only event.
    test.on(subscribe(&[], &[]), &["SHUTDOWN", "close"]);
    test.on(Input::Exited, &["close"]);
}

#[test]
fn shutdown_ends_with_destruction() {
    let mut test = Test::running();
    test.on(Input::Shutdown, &["SHUTDOWN"]);
    test.on(Input::Shutdown, &[]);
    test.at(GRACE / 2, Input::Tick, &[]);
    test.on(launch_of("u"), &["u TASK_FAILED REASON_EXECUTOR_TERMINATED"]);
    test.at(GRACE, Input::Tick, &["destroy"]);
    test.at(GRACE, Input::Tick, &[]);
    test.on(Input::Exited, &["t TASK_FAILED REASON_EXECUTOR_TERMINATED", "close"]);
}

#[test]
fn never_subscribed() {
    let mut test = Test::new();
    test.on(launch_of("t"), &[]);
    assert_eq!(test.0.wakeup(), Some(REGISTRATION));
    test.at(REGISTRATION, Input::Tick, &["destroy"]);
    let effects = test.0.handle(REGISTRATION, Input::Exited);
    let Some(Effect::Report(status)) = effects.first() else { panic!("{effects:?}") };
    assert_eq!(status.message(), "Executor did not register within 1mins");
    assert_eq!(status.reason(), Reason::ExecutorRegistrationTimeout);
}
