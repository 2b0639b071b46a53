//! Asking Mesos what it knows.
//!
//! Source: the scheduler's task reconciler and its tests. Answers come as status updates.

use std::collections::VecDeque;

use super::engine::{Core, Effect};
use super::name::{Millis, TaskId, Text};
use super::status::PLACED;
use super::timers::Due;

/// Tasks that Mesos is still to be asked about.
#[derive(Debug, Default)]
pub struct Reconciliation {
    waiting: VecDeque<(TaskId, Option<Text>)>,
    batch: usize,
}

impl Core {
    /// Sets the timers of both kinds, when the process begins to lead.
    pub(super) fn reconcile_later(&mut self) {
        let settings = &self.ledger.settings;
        let first = self.ledger.now + settings.reconcile_delay;
        self.timers.set(first, Due::ReconcileExplicit);
        self.timers.set(first + settings.reconcile_spread, Due::ReconcileImplicit);
    }

    pub(super) fn on_reconcile_explicit(&mut self, due: Millis) {
        self.reconcile_explicit(self.ledger.settings.reconcile_batch);
        let interval = self.ledger.settings.reconcile_explicit.max(1);
        self.timers.set(due + interval, Due::ReconcileExplicit);
    }

    pub(super) fn on_reconcile_implicit(&mut self, due: Millis) {
        self.reconcile_implicit();
        let interval = self.ledger.settings.reconcile_implicit.max(1);
        self.timers.set(due + interval, Due::ReconcileImplicit);
    }

    /// Asks about every task that should be somewhere: the first batch now, the others spaced out.
    /// If the last run has not come to its end, this one takes its place.
    pub(super) fn reconcile_explicit(&mut self, batch: usize) {
        self.ledger.stats.reconciliation_explicit_runs += 1;
        let tasks = self.ledger.state.tasks_in(PLACED);
        let waiting =
            tasks.map(|task| (task.id.clone(), task.agent.as_ref().map(|agent| agent.id.clone())));
        let mut waiting: VecDeque<_> = waiting.collect();
        if waiting.len() > batch {
            // A scheduler that dies again and again before the last batch would otherwise never ask
            // about some of them.
            waiting.rotate_left(self.ledger.dice.below(waiting.len() as Millis) as usize);
        }
        let running = !self.reconciliation.waiting.is_empty();
        self.reconciliation = Reconciliation { waiting, batch: batch.max(1) };
        if !running {
            self.on_reconcile_batch();
        }
    }

    pub(super) fn reconcile_implicit(&mut self) {
        self.ledger.stats.reconciliation_implicit_runs += 1;
        self.stage(Effect::Reconcile(Vec::new()));
    }

    pub(super) fn on_reconcile_batch(&mut self) {
        let Reconciliation { waiting, batch } = &mut self.reconciliation;
        let tasks: Vec<_> = waiting.drain(..(*batch).min(waiting.len())).collect();
        if !waiting.is_empty() {
            let at = self.ledger.now + self.ledger.settings.reconcile_batch_interval;
            self.timers.set(at, Due::ReconcileBatch);
        }
        // Without tasks it would ask about all that Mesos knows.
        if !tasks.is_empty() {
            self.stage(Effect::Reconcile(tasks));
        }
    }
}
