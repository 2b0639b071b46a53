//! The life of an executor, event by event.

use super::*;
use crate::assignment::Isolation;

const SECOND: Micros = 1_000_000;

fn assignment(task_id: &str) -> Box<Assignment> {
    Box::new(Assignment {
        task_id: task_id.to_owned(),
        host: "host".to_owned(),
        role: None,
        isolation: Isolation::Directory,
        task_json: String::new(),
        ports: Default::default(),
        finalization_wait: 30,
        disk: 1,
    })
}

struct Life {
    core: Executor,
    now: Micros,
}

impl Life {
    fn new() -> Life {
        Life { core: Executor::new(0, 120 * SECOND), now: 0 }
    }

    fn tell(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.core.handle(self.now, event, &mut effects);
        effects
    }

    fn launched() -> Life {
        let mut life = Life::new();
        let effects = life.tell(launch("t"));
        assert_eq!(updates(&effects), [TaskState::Starting]);
        assert!(matches!(effects.last(), Some(Effect::Start(_))));
        life
    }

    fn running() -> Life {
        let mut life = Life::launched();
        let effects = life.tell(Event::Stage(Stage::Active));
        assert_eq!(updates(&effects), [TaskState::Running]);
        life
    }
}

fn launch(task_id: &str) -> Event {
    Event::Launch { task_id: task_id.to_owned(), assignment: Ok(assignment(task_id)), grace: None }
}

fn kill(grace: Option<Micros>) -> Event {
    Event::Kill { task_id: "t".to_owned(), grace }
}

fn updates(effects: &[Effect]) -> Vec<TaskState> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Update { status, .. } => Some(status.state),
            _ => None,
        })
        .collect()
}

fn graces(effects: &[Effect]) -> Vec<Micros> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Stop { grace, .. } => Some(*grace),
            _ => None,
        })
        .collect()
}

#[test]
fn every_end_of_a_task_is_reported_at_once_and_once() {
    for (stage, state) in [
        (Stage::Success, TaskState::Finished),
        (Stage::Failed, TaskState::Failed),
        (Stage::Killed, TaskState::Killed),
        (Stage::Lost, TaskState::Lost),
    ] {
        let mut life = Life::running();
        assert_eq!(updates(&life.tell(Event::Stage(stage))), [state]);
        assert_eq!(life.core.phase(), Phase::Leaving);
        let exited = Event::RunnerExited { code: 0, stage: Some(stage) };
        assert!(updates(&life.tell(exited)).is_empty());
        assert_eq!(life.core.phase(), Phase::Leaving, "not acknowledged yet");
        life.tell(Event::Flushed);
        assert_eq!(life.core.phase(), Phase::Done);
    }
}

#[test]
fn a_short_task_is_reported_running_first() {
    let mut life = Life::launched();
    let exited = Event::RunnerExited { code: 0, stage: Some(Stage::Success) };
    assert_eq!(updates(&life.tell(exited)), [TaskState::Running, TaskState::Finished]);
}

#[test]
fn without_a_launch_it_leaves() {
    let mut life = Life::new();
    assert_eq!(life.core.wakeup(), Some(LAUNCH_TIMEOUT));
    life.now = LAUNCH_TIMEOUT;
    assert!(life.tell(Event::Tick).is_empty());
    assert_eq!(life.core.phase(), Phase::Done);
}

#[test]
fn shutdown_as_the_very_first_event() {
    let mut life = Life::new();
    life.tell(Event::Shutdown { grace: 5 * SECOND });
    assert_eq!(life.core.phase(), Phase::Done);
}

#[test]
fn a_bad_task_is_failed() {
    let mut life = Life::new();
    let assignment = Err("broken".to_owned());
    let event = Event::Launch { task_id: "t".to_owned(), assignment, grace: None };
    let effects = life.tell(event);
    assert_eq!(updates(&effects), [TaskState::Failed]);
    life.tell(Event::Flushed);
    assert_eq!(life.core.phase(), Phase::Done);
}

#[test]
fn a_second_task_is_lost() {
    let mut life = Life::running();
    let effects = life.tell(launch("other"));
    assert!(matches!(&effects[..], [Effect::Update { task_id, status }]
            if task_id == "other" && status.state == TaskState::Lost));
    assert_eq!(life.core.phase(), Phase::Running);
}

#[test]
fn a_task_that_is_launched_twice_runs_once() {
    let mut life = Life::running();
    assert!(life.tell(launch("t")).is_empty());
    assert_eq!(updates(&life.tell(Event::Stage(Stage::Success))), [TaskState::Finished]);
    assert!(life.tell(launch("t")).is_empty());
}

#[test]
fn kills() {
    let mut life = Life::running();
    let other = Event::Kill { task_id: "other".to_owned(), grace: None };
    assert!(life.tell(other).is_empty());
    assert_eq!(graces(&life.tell(kill(None))), [60 * SECOND]);
    assert!(graces(&life.tell(kill(None))).is_empty(), "a second kill changes nothing");
    assert_eq!(graces(&life.tell(kill(Some(SECOND)))), [SECOND], "but a shorter grace does");
    // Whatever the processes make of it, it was killed.
    assert_eq!(updates(&life.tell(Event::Stage(Stage::Success))), [TaskState::Killed]);
}

#[test]
fn a_kill_without_a_grace_has_that_of_the_task() {
    for (own, asked, grace) in
        [(None, None, 60), (Some(7), None, 7), (Some(7), Some(9), 9), (Some(700), None, 120)]
    {
        let mut life = Life::new();
        let seconds = |grace: Option<Micros>| grace.map(|grace| grace * SECOND);
        life.tell(Event::Launch {
            task_id: "t".to_owned(),
            assignment: Ok(assignment("t")),
            grace: seconds(own),
        });
        assert_eq!(graces(&life.tell(kill(seconds(asked)))), [grace * SECOND]);
    }
}

#[test]
fn graces_are_bounded() {
    let mut life = Life::running();
    assert_eq!(graces(&life.tell(kill(Some(1000 * SECOND)))), [120 * SECOND]);
    let mut life = Life::running();
    let shutdown = Event::Shutdown { grace: 5 * SECOND };
    assert_eq!(graces(&life.tell(shutdown)), [5 * SECOND - MARGIN], "SIGKILL before the agent's");
    assert_eq!(life.core.wakeup(), Some(5 * SECOND));
    life.now = 5 * SECOND;
    let effects = life.tell(Event::Tick);
    assert_eq!(effects[0], Effect::KillEverything, "dead first, reported then");
    assert_eq!(updates(&effects), [TaskState::Killed]);
}

#[test]
fn a_kill_while_starting() {
    let mut life = Life::launched();
    assert_eq!(graces(&life.tell(kill(None))), [60 * SECOND]);
    let effects = life.tell(Event::Stage(Stage::Killed));
    assert_eq!(updates(&effects), [TaskState::Killed]);
    let mut life = Life::launched();
    life.tell(kill(None));
    let effects = life.tell(Event::NotStarted("no sandbox".to_owned()));
    assert_eq!(updates(&effects), [TaskState::Killed]);
}

#[test]
fn a_sandbox_that_cannot_be_made() {
    let mut life = Life::launched();
    let effects = life.tell(Event::NotStarted("no sandbox".to_owned()));
    assert_eq!(updates(&effects), [TaskState::Failed]);
    life.tell(Event::Flushed);
    assert_eq!(life.core.phase(), Phase::Done, "no runner is waited for");
}

#[test]
fn a_runner_that_dies_is_started_again_a_few_times() {
    let mut life = Life::running();
    for _ in 0..RUNNER_RESTARTS {
        let exited = Event::RunnerExited { code: -9, stage: Some(Stage::Active) };
        assert_eq!(life.tell(exited), [Effect::Restart]);
    }
    let exited = Event::RunnerExited { code: -9, stage: Some(Stage::Active) };
    let effects = life.tell(exited);
    assert_eq!(effects[0], Effect::KillEverything);
    assert_eq!(updates(&effects), [TaskState::Killed]);
}

#[test]
fn a_runner_that_refuses_is_not_started_again() {
    for (code, state) in [
        (101, TaskState::Lost),
        (102, TaskState::Failed),
        (103, TaskState::Lost),
        (104, TaskState::Failed),
    ] {
        let mut life = Life::launched();
        let effects = life.tell(Event::RunnerExited { code, stage: None });
        assert_eq!(updates(&effects), [state], "{code}");
        life.tell(Event::Flushed);
        assert_eq!(life.core.phase(), Phase::Done);
    }
}

#[test]
fn a_runner_that_dies_while_stopping_is_told_again() {
    let mut life = Life::running();
    life.tell(kill(Some(10 * SECOND)));
    life.now = 4 * SECOND;
    let effects = life.tell(Event::RunnerExited { code: -9, stage: Some(Stage::Cleaning) });
    assert_eq!(effects[0], Effect::Restart);
    assert_eq!(graces(&effects), [6 * SECOND]);
}

#[test]
fn a_runner_that_does_not_start() {
    let mut life = Life::launched();
    life.now = RUNNER_START_TIMEOUT;
    assert_eq!(updates(&life.tell(Event::Tick)), [TaskState::Lost]);
}

#[test]
fn too_much_disk_fails_the_task() {
    let mut life = Life::running();
    let effects = life.tell(Event::DiskExceeded { used: 2, limit: 1 });
    assert_eq!(graces(&effects).len(), 1);
    assert_eq!(updates(&life.tell(Event::Stage(Stage::Killed))), [TaskState::Failed]);
}

#[test]
fn nobody_waits_for_an_agent_that_is_gone() {
    let mut life = Life::running();
    let effects = life.tell(Event::AgentGone("gone".to_owned()));
    assert_eq!(graces(&effects), [30 * SECOND]);
    life.tell(Event::Stage(Stage::Killed));
    life.tell(Event::RunnerExited { code: 0, stage: Some(Stage::Killed) });
    life.now += LEAVE_TIMEOUT;
    life.tell(Event::Tick);
    assert_eq!(life.core.phase(), Phase::Done);
}

#[test]
fn an_agent_that_does_not_acknowledge_is_not_waited_for_for_ever() {
    let mut life = Life::running();
    life.tell(Event::Stage(Stage::Success));
    life.tell(Event::RunnerExited { code: 0, stage: Some(Stage::Success) });
    assert_eq!(life.core.phase(), Phase::Leaving);
    life.now += LEAVE_TIMEOUT;
    life.tell(Event::Tick);
    assert_eq!(life.core.phase(), Phase::Done);
}

#[test]
fn the_last_update_waits_for_an_agent_that_is_away() {
    let mut life = Life::running();
    life.tell(Event::Disconnected);
    life.tell(Event::Stage(Stage::Success));
    life.tell(Event::RunnerExited { code: 0, stage: Some(Stage::Success) });
    life.now += LEAVE_TIMEOUT;
    life.tell(Event::Flushed);
    life.tell(Event::Tick);
    assert_eq!(life.core.phase(), Phase::Leaving);
    assert_eq!(life.core.wakeup(), None);
    assert_eq!(life.tell(Event::Connected), [Effect::Flush(LEAVE_TIMEOUT)]);
    life.tell(Event::Flushed);
    assert_eq!(life.core.phase(), Phase::Done);

    let mut life = Life::running();
    life.tell(Event::Disconnected);
    life.tell(Event::Stage(Stage::Success));
    life.tell(Event::RunnerExited { code: 0, stage: Some(Stage::Success) });
    life.tell(Event::AgentGone("for good".to_owned()));
    assert_eq!(life.core.phase(), Phase::Done);
}
