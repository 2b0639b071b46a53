//! What is due at a moment, and when the next moment is.

use std::time::Duration;

use super::{Link, Output, Session};

impl Session {
    pub(super) fn elapse(&mut self, now: Duration, out: &mut Vec<Output>) {
        while let Some(late) = self.in_flight.iter().find(|call| call.until <= now) {
            let id = late.id;
            out.push(Output::AbandonCall(id));
            if let Some(pending) = self.land(id) {
                self.call_failed(now, pending, false, "no answer in time".to_owned(), out);
            }
        }
        if self.call_retry_at.is_some_and(|at| at <= now) {
            self.call_retry_at = None;
        }
        match &self.link {
            Link::Opening { until, master, .. } if *until <= now => {
                let reason = format!("{master} did not answer in time");
                self.lose(now, true, reason, out);
            }
            Link::Up { silence, .. } if self.listens() && silence.until <= now => {
                let reason = format!("no heartbeat for {:?}", silence.limit);
                self.lose(now, true, reason, out);
            }
            _ => {}
        }
        if let Link::Down { retry_at: Some(at) } = self.link
            && at <= now
        {
            self.open(now, out);
        }
    }

    /// Would a heartbeat be noticed?
    pub(super) fn listens(&self) -> bool {
        self.reading && self.has_room()
    }

    pub(super) fn set_timer(&mut self, out: &mut Vec<Output>) {
        let link = match &self.link {
            Link::Down { retry_at } => *retry_at,
            Link::Opening { until, .. } => Some(*until),
            Link::Up { silence, .. } => Some(silence.until).filter(|_| self.listens()),
            Link::Closed => return,
        };
        let calls = self.in_flight.iter().map(|call| call.until).min();
        let retry = self.call_retry_at.filter(|_| self.is_connected());
        let timer = [link, calls, retry].into_iter().flatten().min();
        if timer != self.timer {
            self.timer = timer;
            out.push(Output::SetTimer(timer));
        }
    }
}
