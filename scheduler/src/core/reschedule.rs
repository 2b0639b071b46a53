//! How long a task waits that ended too often too soon.
//!
//! Source: scheduler's `RescheduleCalculator` and its tests.

use super::dice::Dice;
use super::name::Millis;
use super::settings::Settings;
use super::state::State;
use super::status::Status;
use super::task::Task;

/// The penalty of a task, by the chain of its ancestors: one step of back-off for each that flapped,
/// up to the first that did not or is forgotten. 0 is no penalty.
///
/// It is computed for the task that ended, not for the one that replaces it, so that the first
/// crash costs nothing.
pub fn penalty(state: &State, task: &Task, settings: &Settings, dice: &mut Dice) -> Millis {
    let mut penalty = 0;
    let mut next = task.ancestor.as_ref();
    while let Some(ancestor) = next.and_then(|id| state.task(id)) {
        if !flapped(ancestor, settings.flapping_threshold) {
            break;
        }
        let more = dice.back_off(settings.flapping_penalty, penalty);
        if more == penalty {
            break;
        }
        penalty = more;
        next = ancestor.ancestor.as_ref();
    }
    penalty
}

/// Did this task end by itself, and too soon? What counts is the time in its last active state.
pub fn flapped(task: &Task, threshold: Millis) -> bool {
    let asked_to_end = [Status::Restarting, Status::Killing, Status::Draining];
    let Some(last) = task.events.last() else { return false };
    if !task.status.is_terminal() || asked_to_end.into_iter().any(|status| task.has_been(status)) {
        return false;
    }
    let active = task.events.iter().rev().find(|event| event.status.is_active());
    active.is_some_and(|active| last.at.saturating_sub(active.at) < threshold)
}
