//! The state machine of a task.

use aurora_api::api;
use aurora_scheduler::core::machine::{Action, Facts, Outcome, Phase, decide};
use aurora_scheduler::core::status::Status;

use Status::*;

use crate::support::{Steps, job_key, ledger, service, whole};

/// The original's table, as documented, but that a service which finished while its agent was out of
/// reach is started anew. S saves, K kills, R starts anew, F counts a failure, L gives
/// up, D deletes. `svc`: R for a service only. `fail`: F, and R if the instance may fail again.
/// `not killing`: R unless it was being killed. A star in front: not allowed, but done.
const TRANSITIONS: &str = "
INIT        | PENDING S; THROTTLED S
THROTTLED   | PENDING S; KILLING D
PENDING     | ASSIGNED S; KILLING D
ASSIGNED    | STARTING S; RUNNING S; FINISHED S svc; FAILED S fail; KILLED S R; LOST S R K; KILLING S K; RESTARTING S K; DRAINING S K; PREEMPTING S K
STARTING    | RUNNING S; FINISHED S svc; FAILED S fail; KILLED S R; LOST S R; KILLING S K; RESTARTING S K; DRAINING S K; PREEMPTING S K; PARTITIONED S
RUNNING     | FINISHED S svc; FAILED S fail; KILLED S R; LOST S R; KILLING S K; RESTARTING S K; DRAINING S K; PREEMPTING S K; PARTITIONED S
PARTITIONED | ASSIGNED S; STARTING S; RUNNING S; FINISHED S svc; FAILED S fail; LOST S K not-killing; KILLING S L; RESTARTING S L; DRAINING S L; PREEMPTING S L
PREEMPTING  | FINISHED S R; FAILED S R; KILLED S R; LOST S R K; KILLING S; PARTITIONED S L; *ASSIGNED K; *STARTING K; *RUNNING K
RESTARTING  | FINISHED S R; FAILED S R; KILLED S R; LOST S R K; KILLING S; PARTITIONED S L; *ASSIGNED K; *STARTING K; *RUNNING K
DRAINING    | FINISHED S R; FAILED S R; KILLED S R; LOST S R K; KILLING S; PARTITIONED S L; *ASSIGNED K; *STARTING K; *RUNNING K
KILLING     | FINISHED S; FAILED S; KILLED S; LOST S; PARTITIONED S L; DELETED D; *ASSIGNED K; *STARTING K; *RUNNING K
FINISHED    | DELETED D; *ASSIGNED K; *STARTING K; *RUNNING K
FAILED      | DELETED D; *ASSIGNED K; *STARTING K; *RUNNING K
KILLED      | DELETED D; *ASSIGNED K; *STARTING K; *RUNNING K
LOST        | DELETED D; *ASSIGNED K; *STARTING K; *RUNNING K
DELETED     | *ASSIGNED K; *STARTING K; *RUNNING K
";

fn phases() -> Vec<(String, Phase)> {
    let stored = Status::ALL.map(|status| (status.name().to_owned(), Phase::Stored(status)));
    let ends = [("INIT".to_owned(), Phase::Init), ("DELETED".to_owned(), Phase::Deleted)];
    stored.into_iter().chain(ends).collect()
}

fn expected(from: &str, to: &str, facts: Facts) -> (Outcome, Vec<Action>) {
    if from == to {
        return (Outcome::Noop, vec![]);
    }
    let row = TRANSITIONS.lines().find(|line| line.split_whitespace().next() == Some(from));
    let cells = row.unwrap().split_once('|').unwrap().1.split(';');
    let cell = cells
        .map(str::trim)
        .find(|cell| cell.split(' ').next().unwrap().trim_start_matches('*') == to);
    let Some(cell) = cell else { return (Outcome::Illegal, vec![]) };
    let mut actions = vec![];
    for word in cell.split(' ').skip(1) {
        let may_fail =
            facts.service || facts.max_failures == -1 || facts.failures + 1 < facts.max_failures;
        match word {
            "S" => actions.push(Action::Save),
            "K" => actions.push(Action::Kill),
            "R" => actions.push(Action::Reschedule),
            "L" => actions.push(Action::GiveUp),
            "D" => actions.push(Action::Delete),
            "svc" => actions.extend(facts.service.then_some(Action::Reschedule)),
            "fail" => {
                actions.push(Action::CountFailure);
                actions.extend(may_fail.then_some(Action::Reschedule));
            }
            "not-killing" => actions.extend((!facts.was_killing).then_some(Action::Reschedule)),
            other => panic!("{other}"),
        }
    }
    actions.sort();
    let illegal = cell.starts_with('*');
    (if illegal { Outcome::IllegalWithKill } else { Outcome::Success }, actions)
}

/// 11.1.1
#[test]
fn every_transition_is_that_of_the_table() {
    let mut legal = 0;
    for (from_name, from) in phases() {
        for (to_name, to) in phases() {
            for bits in 0..4 {
                for (max_failures, failures) in [(-1, 9), (0, 0), (1, 0), (3, 1), (3, 2), (3, 3)] {
                    let (service, was_killing) = (bits & 1 != 0, bits & 2 != 0);
                    let facts = Facts { service, was_killing, max_failures, failures };
                    let (outcome, actions) = decide(from, to, facts);
                    let got = (outcome, actions.iter().collect());
                    let place = format!("{from_name} to {to_name}, {facts:?}");
                    assert_eq!(got, expected(&from_name, &to_name, facts), "{place}");
                    legal +=
                        u32::from(bits == 0 && max_failures == -1 && outcome == Outcome::Success);
                }
            }
        }
    }
    assert_eq!(legal, 73);
}

/// 11.1.2
#[test]
fn the_usual_way_saves_each_step_and_ends_there() {
    let mut ledger = ledger();
    let id = ledger.insert(whole());
    ledger.walk(&id, &[Assigned, Starting, Running, Finished]);
    let states: Vec<_> = ledger.row(&id).events.iter().map(|event| event.status).collect();
    assert_eq!(states, [Pending, Assigned, Starting, Running, Finished]);
    assert_eq!(ledger.state.task_count(), 1);
}

/// 11.1.3
#[test]
fn who_is_started_anew() {
    let mut cases = vec![];
    for max in [-1, 0, 1, 2, 3] {
        let mut config = whole();
        config.max_task_failures = Some(max);
        cases.push((config.clone(), Finished, 0));
        cases.push((config.clone(), Failed, if max == -1 { 5 } else { (max - 1).max(0) }));
        config.is_service = Some(true);
        cases.push((config.clone(), Finished, 5));
        cases.push((config, Failed, 5));
    }
    for (config, end, replacements) in cases {
        let place = format!("{:?} {:?} {end}", config.is_service, config.max_task_failures);
        let mut ledger = ledger();
        let mut id = ledger.insert(config);
        for run in 0..5 {
            // Long enough not to flap.
            ledger.walk(&id, &[Assigned, Running]);
            ledger.now += 1_000_000;
            ledger.walk(&id, &[end]);
            match ledger.replacement(&id) {
                Some(task) => id = task.id.clone(),
                None => {
                    assert_eq!(run, replacements, "{place}");
                    break;
                }
            }
            assert!(run < replacements, "{place}");
        }
    }
}

/// 11.1.4
#[test]
fn a_failure_is_counted_and_handed_on() {
    let mut ledger = ledger();
    let id = ledger.insert(service());
    ledger.walk(&id, &[Assigned, Running, Failed]);
    assert_eq!(ledger.row(&id).failures, 1);
    let next = ledger.replacement(&id).unwrap();
    assert_eq!((next.failures, next.ancestor.as_ref()), (1, Some(&id)));
}

/// 11.1.5
#[test]
fn nothing_follows_an_end_but_removal() {
    for end in [Finished, Failed, Killed, Lost] {
        for to in Status::ALL {
            let mut ledger = ledger();
            let id = ledger.insert(whole());
            ledger.walk(&id, &[Assigned, Running, end]);
            let before = ledger.row(&id);
            assert_ne!(ledger.go(&id, to), Outcome::Success, "{end} to {to}");
            assert_eq!(ledger.row(&id), before);
            ledger.remove(std::slice::from_ref(&id));
            assert!(ledger.state.task(&id).is_none());
        }
    }
}

/// 11.1.6
#[test]
fn lost_is_started_anew_unless_it_was_being_killed() {
    for (path, replaced) in [
        (&[Assigned, Lost][..], true),
        (&[Assigned, Running, Lost], true),
        (&[Assigned, Running, Killing, Lost], false),
        (&[Assigned, Running, Restarting, Lost], true),
        (&[Assigned, Running, Restarting, Killing, Lost], false),
    ] {
        let mut ledger = ledger();
        let id = ledger.insert(whole());
        ledger.walk(&id, path);
        assert_eq!(ledger.replacement(&id).is_some(), replaced, "{path:?}");
    }
}

/// Otherwise the job would be an instance short for good.
#[test]
fn a_service_that_finishes_out_of_reach_is_started_anew() {
    let mut ledger = ledger();
    let id = ledger.insert(service());
    ledger.walk(&id, &[Assigned, Running, Partitioned, Finished]);
    let next = ledger.replacement(&id).unwrap();
    assert_eq!((next.instance, next.ancestor.as_ref()), (0, Some(&id)));
    // What is no service is done.
    let id =
        ledger.insert(api::TaskConfig { job: Some(job_key("role", "env", "once")), ..whole() });
    ledger.walk(&id, &[Assigned, Running, Partitioned, Finished]);
    assert!(ledger.replacement(&id).is_none());
}

/// 11.1.7
#[test]
fn lost_after_partitioned_kills_and_starts_anew_unless_killing() {
    let mut ledger = ledger();
    let id = ledger.insert(whole());
    ledger.walk(&id, &[Assigned, Running, Partitioned, Lost]);
    assert_eq!(ledger.take_kills(), std::slice::from_ref(&id));
    assert!(ledger.replacement(&id).is_some());

    let mut ledger = self::ledger();
    let id = ledger.insert(whole());
    ledger.walk(&id, &[Assigned, Running, Partitioned, Killing]);
    assert_eq!(ledger.row(&id).status, Lost);
    assert!(ledger.take_kills().is_empty() && ledger.replacement(&id).is_none());
}

/// 11.1.8
#[test]
fn killing_what_waits_deletes_it() {
    let mut ledger = ledger();
    let id = ledger.insert(whole());
    assert_eq!(ledger.go(&id, Killing), Outcome::Success);
    assert!(ledger.state.task(&id).is_none() && ledger.take_kills().is_empty());

    let throttled = throttled(&mut ledger);
    assert_eq!(ledger.go(&throttled, Killing), Outcome::Success);
    assert!(ledger.state.task(&throttled).is_none());
}

/// 11.1.9
#[test]
fn what_is_moved_is_killed_and_started_anew() {
    for moved in [Restarting, Draining, Preempting] {
        for end in [Killed, Finished, Failed, Lost] {
            let mut ledger = ledger();
            let id = ledger.insert(whole());
            ledger.walk(&id, &[Assigned, Running, moved]);
            assert_eq!(ledger.take_kills(), std::slice::from_ref(&id));
            ledger.walk(&id, &[end]);
            assert!(ledger.replacement(&id).is_some(), "{moved} {end}");
            assert_eq!(ledger.row(&id).failures, 0);
        }
    }
}

/// 11.1.10
#[test]
fn what_should_not_live_any_more_is_killed_again() {
    for path in [
        &[Running, Restarting][..],
        &[Running, Draining],
        &[Running, Killing],
        &[Running, Finished],
        &[Running, Killing, Lost],
    ] {
        for report in [Starting, Running] {
            let mut ledger = ledger();
            let id = ledger.insert(whole());
            ledger.walk(&id, &[Assigned]);
            ledger.walk(&id, path);
            ledger.take_kills();
            assert_eq!(ledger.go(&id, report), Outcome::IllegalWithKill);
            assert_eq!(ledger.take_kills(), std::slice::from_ref(&id), "{path:?} {report}");
            assert_eq!(ledger.row(&id).status, *path.last().unwrap());
        }
    }
}

/// 11.1.11
#[test]
fn what_waits_cannot_be_restarted_or_drained() {
    let mut ledger = ledger();
    let id = ledger.insert(whole());
    for to in [Restarting, Draining, Preempting, Lost] {
        assert_eq!(ledger.go(&id, to), Outcome::Illegal);
    }
    assert!(ledger.take_kills().is_empty());
    assert_eq!(ledger.stats.scheduler_illegal_task_state_transitions, 4);
}

/// 11.1.12
#[test]
fn steps_may_be_skipped() {
    for (from, to) in [
        (&[Assigned][..], Finished),
        (&[Assigned], Failed),
        (&[Assigned], Running),
        (&[Assigned, Starting], Finished),
        (&[Assigned, Starting], Failed),
    ] {
        let mut ledger = ledger();
        let id = ledger.insert(whole());
        ledger.walk(&id, from);
        ledger.walk(&id, &[to]);
    }
}

/// 11.1.13
#[test]
fn unknown_tasks_are_killed_if_they_live() {
    let mut ledger = ledger();
    let id = "unknown".into();
    for end in [Finished, Failed, Killed, Lost, Partitioned] {
        assert_eq!(ledger.go(&id, end), Outcome::Illegal);
    }
    assert!(ledger.take_kills().is_empty());
    for report in [Assigned, Starting, Running] {
        assert_eq!(ledger.change(&id, None, report, None), Outcome::IllegalWithKill);
        assert_eq!(ledger.take_kills(), std::slice::from_ref(&id));
    }
    assert!(ledger.take_transaction().is_none());
}

/// 11.1.14
#[test]
fn throttled_goes_to_pending_or_is_killed() {
    for to in Status::ALL {
        let mut ledger = ledger();
        let id = throttled(&mut ledger);
        let outcome = ledger.go(&id, to);
        let legal = matches!(to, Pending | Killing);
        assert_eq!(outcome == Outcome::Success, legal, "{to}");
    }
}

/// 11.1.15
#[test]
fn partitions_come_and_go_and_are_counted() {
    let mut ledger = ledger();
    let id = ledger.insert(whole());
    ledger.walk(&id, &[Assigned, Running]);
    for times in 1..5 {
        ledger.walk(&id, &[Partitioned, Running]);
        assert_eq!(ledger.row(&id).partitions, times);
    }
}

/// A task that waits out a penalty: the third run of a service that ends at once.
fn throttled(
    ledger: &mut aurora_scheduler::core::manager::Ledger,
) -> aurora_scheduler::core::name::TaskId {
    let mut id = ledger.insert(service());
    for _ in 0..2 {
        ledger.walk(&id, &[Assigned, Running, Failed]);
        id = ledger.replacement(&id).unwrap().id.clone();
    }
    assert_eq!(ledger.row(&id).status, Throttled);
    id
}
