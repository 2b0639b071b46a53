//! Which master is asked next.

use std::time::Duration;

use mesos_executor::environment::Endpoint;

use super::{Link, Output, Session};

impl Session {
    pub(super) fn set_masters(
        &mut self,
        now: Duration,
        masters: Vec<Endpoint>,
        out: &mut Vec<Output>,
    ) {
        if masters == self.masters {
            return;
        }
        self.masters = masters;
        self.next_master = 0;
        self.tried = 0;
        self.redirect = None;
        let current = match &self.link {
            Link::Opening { master, .. } | Link::Up { master, .. } => Some(master),
            Link::Down { .. } | Link::Closed => None,
        };
        match current {
            Some(master) if !self.masters.is_empty() && !self.masters.contains(master) => {
                let reason = match self.masters.first() {
                    Some(leader) => format!("{leader} leads in place of {master}"),
                    None => String::new(),
                };
                self.lose(now, true, reason, out);
                // It is another one that failed.
                self.failures = 0;
                self.link = Link::Down { retry_at: Some(now) };
            }
            Some(_) => {}
            None => {
                self.link = Link::Down { retry_at: (!self.masters.is_empty()).then_some(now) };
            }
        }
    }

    pub(super) fn take_master(&mut self) -> Option<Endpoint> {
        if let Some(master) = self.redirect.take() {
            return Some(master);
        }
        let place = self.next_master.checked_rem(self.masters.len())?;
        self.next_master = place + 1;
        self.tried += 1;
        self.masters.get(place).cloned()
    }
}
