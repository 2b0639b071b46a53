//! The conformance list of the original's planner (L1–L4, T1–T17), and properties.

use super::*;
use proptest::prelude::*;

const SECOND: Micros = 1_000_000;

fn spec() -> Spec {
    Spec { max_failures: 1, min_duration: 0, ..Spec::default() }
}

fn after(before: &[u32]) -> Spec {
    Spec { after: before.to_vec(), ..spec() }
}

fn daemon() -> Spec {
    Spec { daemon: true, ..spec() }
}

fn ephemeral() -> Spec {
    Spec { ephemeral: true, ..spec() }
}

fn run(plan: &mut Plan, process: u32, ending: Ending) -> Fate {
    plan.start(process).unwrap();
    plan.end(process, ending, 0).unwrap()
}

#[test]
fn l1_t1_empty_plan_is_complete() {
    let mut plan = Plan::new(&[], 0);
    assert!(plan.startable(0, 0).is_empty());
    assert!(plan.is_complete() && !plan.is_deadlocked() && plan.is_healthy(1));
    assert!(!Plan::new(&[spec(), spec()], 0).is_complete());
    assert!(!Plan::new(&[spec(), after(&[0])], 0).is_complete());
}

#[test]
fn l2_unordered() {
    let mut plan = Plan::new(&[spec(), spec()], 0);
    assert_eq!(plan.startable(0, 0), [0, 1]);
    plan.start(1).unwrap();
    assert_eq!(plan.startable(0, 0), [0]);
    assert_eq!(plan.end(0, Ending::Success, 0), Err(PlanError::NotRunning(0)));
    assert_eq!(plan.start(1), Err(PlanError::NotRunnable(1)));
    assert_eq!(plan.end(1, Ending::Success, 0), Ok(Fate::Finished));
    assert_eq!(plan.start(1), Err(PlanError::NotRunnable(1)));
    assert!(!plan.is_complete());
    run(&mut plan, 0, Ending::Success);
    assert!(plan.is_complete());
}

#[test]
fn l3_chain_releases_one_by_one() {
    let mut plan = Plan::new(&[spec(), after(&[0]), after(&[1])], 0);
    for i in 0..3 {
        assert_eq!(plan.startable(0, 0), [i]);
        for blocked in i + 1..3 {
            assert_eq!(plan.start(blocked), Err(PlanError::NotRunnable(blocked)));
        }
        run(&mut plan, i, Ending::Success);
    }
    assert!(plan.is_complete());
}

#[test]
fn l4_heads_and_independents() {
    let mut plan = Plan::new(&[after(&[1]), spec(), spec(), after(&[2])], 0);
    assert_eq!(plan.startable(0, 0), [1, 2]);
}

#[test]
fn t2_only_ephemeral_is_complete_from_the_start() {
    let mut plan = Plan::new(&[ephemeral()], 0);
    assert!(plan.is_complete());
    plan.start(0).unwrap();
    assert!(plan.is_complete());
    assert_eq!(plan.end(0, Ending::Failure, 0), Ok(Fate::Finished));
    assert!(plan.is_complete() && plan.is_healthy(1));
}

#[test]
fn t3_ephemeral_does_not_hold_up_completion() {
    let mut plan = Plan::new(&[spec(), ephemeral()], 0);
    assert_eq!(run(&mut plan, 0, Ending::Failure), Fate::Failed);
    assert!(plan.is_complete());
    run(&mut plan, 1, Ending::Failure);
    assert!(plan.is_complete());
}

#[test]
fn t4_t5_daemon_failures() {
    let mut plan = Plan::new(&[daemon()], 0);
    assert_eq!(run(&mut plan, 0, Ending::Failure), Fate::Failed);
    assert!(plan.is_complete());
    let mut plan = Plan::new(&[Spec { max_failures: 2, ..daemon() }], 0);
    assert_eq!(run(&mut plan, 0, Ending::Failure), Fate::Again);
    assert_eq!(run(&mut plan, 0, Ending::Success), Fate::Again);
    assert_eq!(run(&mut plan, 0, Ending::Failure), Fate::Failed);
    assert!(plan.is_complete());
}

#[test]
fn t6_ephemeral_daemon() {
    let mut plan = Plan::new(&[spec(), Spec { ephemeral: true, ..daemon() }], 0);
    plan.start(1).unwrap();
    run(&mut plan, 0, Ending::Success);
    assert!(plan.is_complete());
}

#[test]
fn t9_successor_after_success_only() {
    let mut plan = Plan::new(&[Spec { max_failures: 2, ..spec() }, after(&[0])], 0);
    run(&mut plan, 0, Ending::Failure);
    assert_eq!(plan.startable(0, 0), [0]);
    run(&mut plan, 0, Ending::Success);
    assert_eq!(plan.startable(0, 0), [1]);
    assert!(!plan.is_complete());

    let mut plan = Plan::new(&[spec(), after(&[0])], 0);
    run(&mut plan, 0, Ending::Failure);
    assert!(plan.startable(0, 0).is_empty());
    assert!(!plan.is_complete() && plan.is_deadlocked());
    assert!(!plan.is_healthy(0), "a failed process with dependents fails the task");
}

#[test]
fn t10_min_duration() {
    let mut plan = Plan::new(&[Spec { min_duration: 10, max_failures: 2, ..daemon() }], 0);
    let end = |plan: &mut Plan, ending, at: Micros| {
        plan.start(0).unwrap();
        plan.end(0, ending, at * SECOND).unwrap()
    };
    end(&mut plan, Ending::Success, 5);
    for (at, runnable) in [(5, false), (10, false), (15, true), (20, true)] {
        assert_eq!(!plan.clone().startable(at * SECOND, 0).is_empty(), runnable, "at {at}");
    }
    end(&mut plan, Ending::Failure, 10);
    for (at, runnable) in [(10, false), (15, false), (20, true), (25, true)] {
        assert_eq!(!plan.clone().startable(at * SECOND, 0).is_empty(), runnable, "at {at}");
    }
    assert_eq!(end(&mut plan, Ending::Failure, 15), Fate::Failed);
    assert!(plan.startable(100 * SECOND, 0).is_empty());
}

#[test]
fn t11_three_daemons() {
    let d = |min_duration| Spec { min_duration, ..daemon() };
    let mut plan = Plan::new(&[d(3), d(5), d(7)], 0);
    assert_eq!(plan.next_ready_at(), None, "all are ready");
    plan.start(0).unwrap();
    plan.end(0, Ending::Success, 0).unwrap();
    assert_eq!(plan.startable(0, 0), [1, 2]);
    plan.start(1).unwrap();
    plan.start(2).unwrap();
    plan.end(2, Ending::Success, SECOND).unwrap();
    // d3 is ready at 3, d7 at 8.
    assert_eq!(plan.next_ready_at(), Some(3 * SECOND));
    plan.end(1, Ending::Success, 2 * SECOND).unwrap();
    for (at, expected) in [(2, vec![]), (5, vec![0]), (7, vec![0, 1]), (8, vec![0, 1, 2])] {
        assert_eq!(plan.startable(at * SECOND, 0), expected, "at {at}");
    }
}

#[test]
fn t12_two_failing() {
    let mut plan = Plan::new(&[spec(), spec()], 0);
    run(&mut plan, 0, Ending::Failure);
    assert_eq!(plan.startable(0, 0), [1]);
    run(&mut plan, 1, Ending::Failure);
    assert!(plan.startable(0, 0).is_empty());
    assert_eq!(plan.next_ready_at(), None);
    assert!(!plan.is_healthy(1) && !plan.is_healthy(2) && plan.is_healthy(3) && plan.is_healthy(0));
}

#[test]
fn t13_t14_unlimited_failures() {
    let mut plan = Plan::new(&[Spec { max_failures: 0, ..daemon() }], 0);
    for _ in 0..10 {
        assert_eq!(run(&mut plan, 0, Ending::Failure), Fate::Again);
        assert_eq!(run(&mut plan, 0, Ending::Success), Fate::Again);
    }
    let mut plan = Plan::new(&[Spec { max_failures: 0, ..spec() }], 0);
    assert_eq!(run(&mut plan, 0, Ending::Failure), Fate::Again);
    assert_eq!(run(&mut plan, 0, Ending::Success), Fate::Finished);
}

#[test]
fn t15_loss_is_no_failure() {
    let mut plan = Plan::new(&[Spec { max_failures: 2, min_duration: 1, ..spec() }], 0);
    plan.start(0).unwrap();
    plan.end(0, Ending::Failure, SECOND).unwrap();
    plan.start(0).unwrap();
    assert_eq!(plan.end(0, Ending::Loss, 2 * SECOND), Ok(Fate::Again));
    assert_eq!(plan.next_ready_at(), Some(3 * SECOND));
    assert_eq!(plan.failures(0), 1);
    plan.start(0).unwrap();
    assert_eq!(plan.end(0, Ending::Failure, 4 * SECOND), Ok(Fate::Failed));
}

#[test]
fn t17_run_limit() {
    let many = Spec { max_failures: 100, ..spec() };
    let mut plan = Plan::new(std::slice::from_ref(&many), 3);
    assert_eq!(run(&mut plan, 0, Ending::Failure), Fate::Again);
    assert_eq!(run(&mut plan, 0, Ending::Loss), Fate::Again);
    assert_eq!(run(&mut plan, 0, Ending::Failure), Fate::Failed);
    let mut plan = Plan::new(&[Spec { daemon: true, ..many }], 3);
    assert_eq!(run(&mut plan, 0, Ending::Failure), Fate::Again);
    assert_eq!(run(&mut plan, 0, Ending::Success), Fate::Again);
    assert_eq!(run(&mut plan, 0, Ending::Loss), Fate::Failed);
}

#[test]
fn run_limit_spares_ephemerals_and_the_last_success() {
    let mut plan = Plan::new(&[spec(), Spec { max_failures: 0, ..ephemeral() }], 2);
    run(&mut plan, 1, Ending::Failure);
    assert_eq!(run(&mut plan, 1, Ending::Failure), Fate::Finished);
    assert!(plan.is_healthy(1));
    run(&mut plan, 0, Ending::Loss);
    assert_eq!(run(&mut plan, 0, Ending::Success), Fate::Finished);
}

#[test]
fn negative_limits_are_like_one() {
    let mut plan = Plan::new(&[Spec { max_failures: -1, ..spec() }], 0);
    assert_eq!(run(&mut plan, 0, Ending::Failure), Fate::Failed);
    assert!(!plan.is_healthy(-3));
}

#[test]
fn max_concurrency_counts_what_runs() {
    let mut plan = Plan::new(&vec![spec(); 5], 0);
    assert_eq!(plan.startable(0, 2), [0, 1]);
    plan.start(0).unwrap();
    assert_eq!(plan.startable(0, 2), [1]);
    plan.start(1).unwrap();
    assert!(plan.startable(0, 2).is_empty());
    assert_eq!(plan.startable(0, -1), [2, 3, 4], "a negative limit is no limit");
    plan.end(0, Ending::Success, 0).unwrap();
    assert_eq!(plan.startable(0, 2), [2]);
}

fn specs() -> impl Strategy<Value = Vec<Spec>> {
    // Edges go from lower to higher indices, so there is no cycle.
    proptest::collection::vec((0i64..4, any::<bool>(), any::<bool>(), 0i64..3, any::<u64>()), 0..12)
        .prop_map(|rows| {
            rows.into_iter()
                .enumerate()
                .map(|(i, (max_failures, daemon, ephemeral, min_duration, mask))| Spec {
                    max_failures,
                    daemon,
                    ephemeral,
                    min_duration,
                    after: (0..i as u32).filter(|before| mask >> before & 3 == 3).collect(),
                })
                .collect()
        })
}

proptest! {
    /// Whatever happens, the plan keeps its promises: order, concurrency, waits, and no process is
    /// run again after it is finished or failed.
    #[test]
    fn invariants(
        specs in specs(),
        max_concurrency in 0i64..4,
        run_limit in 0u32..6,
        steps in proptest::collection::vec((any::<u8>(), any::<u8>(), 0i64..3), 0..200),
    ) {
        let mut plan = Plan::new(&specs, run_limit);
        let (mut now, mut running) = (0, Vec::<u32>::new());
        let mut fates = vec![None; specs.len()];
        let mut runs = vec![0u32; specs.len()];
        let mut ended_at = vec![None; specs.len()];
        for (what, which, passed) in steps {
            now += passed * SECOND;
            if what % 2 == 0 {
                for process in plan.startable(now, max_concurrency) {
                    let i = process as usize;
                    prop_assert!(specs[i].after.iter().all(|b| fates[*b as usize] == Some(Fate::Finished)));
                    prop_assert!(!matches!(fates[i], Some(Fate::Finished | Fate::Failed)));
                    if let Some(at) = ended_at[i] {
                        prop_assert!(now - at >= specs[i].min_duration * SECOND);
                    }
                    plan.start(process).unwrap();
                    running.push(process);
                    runs[i] += 1;
                }
                if max_concurrency > 0 {
                    prop_assert!(running.len() <= max_concurrency as usize);
                }
            } else if !running.is_empty() {
                let process = running.swap_remove(which as usize % running.len());
                let ending = [Ending::Success, Ending::Failure, Ending::Loss][what as usize / 2 % 3];
                fates[process as usize] = Some(plan.end(process, ending, now).unwrap());
                ended_at[process as usize] = Some(now);
            }
            prop_assert_eq!(plan.running(), running.len());
            if run_limit > 0 {
                prop_assert!(runs.iter().all(|runs| *runs <= run_limit));
            }
            let open = specs.iter().zip(&fates).any(|(spec, fate)| {
                !spec.ephemeral && !matches!(fate, Some(Fate::Finished | Fate::Failed))
            });
            prop_assert_eq!(plan.is_complete(), !open);
            if plan.is_deadlocked() {
                prop_assert!(plan.startable(Micros::MAX, 0).is_empty());
            }
        }
    }
}
