//! What is due at a moment, and when the next moment is.

use std::time::Duration;

use crate::event::{Event, GiveUp};

use super::subscription::Loss;
use super::{Link, Now, Output, SHUTDOWN_PATIENCE, Session, Stage, Update};

impl Session {
    pub(super) fn elapse(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.in_flight.as_ref().is_some_and(|c| c.until <= now.mono) {
            self.abandon(out);
            self.call_failed(now, "no answer in time", out);
        }
        if self.call_retry_at.is_some_and(|at| at <= now.mono) {
            self.call_retry_at = None;
        }
        if let Link::Opening { until, .. } = self.link
            && until <= now.mono
        {
            self.lose(now, Loss::Ours, "the agent did not answer in time".to_owned(), out);
        }
        if self.give_up_at().is_some_and(|at| at <= now.mono) {
            let reason = self.lost.take().map(|(_, reason)| reason).unwrap_or_default();
            let timeout = self.patience();
            let reason = match self.ever_subscribed {
                true => GiveUp::RecoveryTimeout { timeout, reason },
                false => GiveUp::NeverSubscribed { timeout, reason },
            };
            self.give_up(reason, out);
        }
        if let Link::Down { retry_at: Some(at) } = self.link
            && at <= now.mono
        {
            self.open(now, out);
        }
    }

    /// When waiting for an agent comes to an end.
    fn give_up_at(&self) -> Option<Duration> {
        let (since, _) = self.lost.as_ref()?;
        (!self.ending).then(|| *since + self.patience())
    }

    fn patience(&self) -> Duration {
        let registration = self.options.registration_timeout;
        match (self.ever_subscribed, self.checkpoint) {
            (true, _) => self.recovery_timeout,
            (false, true) => self.recovery_timeout.max(registration),
            (false, false) => registration,
        }
    }

    pub(super) fn flushed(&self) -> Event {
        let unsent = |u: &&Update| u.stage != Stage::Accepted;
        Event::Flushed {
            unsent: self.updates.iter().filter(unsent).count(),
            unacknowledged: self.updates.len(),
        }
    }

    /// When waiting for acknowledgements has no sense any more.
    fn patience_ends(&self) -> Option<Duration> {
        let idle = self.in_flight.is_none() && self.messages.is_empty();
        let accepted = self.updates.iter().all(|u| u.stage == Stage::Accepted);
        (self.ending && idle && accepted).then(|| self.quiet_since + SHUTDOWN_PATIENCE)
    }

    pub(super) fn check_flush(&mut self, now: Now, out: &mut Vec<Output>) {
        let Some(flush) = &self.flush else { return };
        let all = self.updates.is_empty() && self.messages.is_empty() && self.in_flight.is_none();
        if all || flush.until <= now.mono || self.patience_ends().is_some_and(|at| at <= now.mono) {
            self.flush = None;
            out.push(Output::Deliver(self.flushed()));
        }
    }

    pub(super) fn set_timer(&mut self, out: &mut Vec<Output>) {
        let link = match self.link {
            Link::Down { retry_at } => retry_at,
            Link::Opening { until, .. } => Some(until),
            Link::New | Link::Up { .. } | Link::Closed => None,
        };
        let flush = self.flush.as_ref();
        let timer = match self.link {
            Link::Closed => None,
            _ => [
                link,
                self.give_up_at(),
                self.in_flight.as_ref().map(|c| c.until),
                self.call_retry_at.filter(|_| self.may_post()),
                flush.map(|f| f.until),
                flush.and(self.patience_ends()),
            ]
            .into_iter()
            .flatten()
            .min(),
        };
        if timer != self.timer {
            self.timer = timer;
            out.push(Output::SetTimer(timer));
        }
    }
}
