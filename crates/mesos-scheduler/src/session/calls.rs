//! Calls: which may be made, whose turn it is, what an answer means, and what becomes of those
//! whose fate is not known.

use std::time::Duration;

use mesos_executor::environment::Endpoint;

use crate::answer::{Rejection, Verdict, verdict};
use crate::call::{Fate, Type, fate};
use crate::event::{CallError, Event, GiveUp};
use crate::v1::scheduler::Call;
use crate::v1::scheduler::call::UpdateFramework;
use crate::v1::{FrameworkId, FrameworkInfo};

use super::{
    ACKNOWLEDGEMENTS, CALL_PAUSE, CallId, Command, InFlight, Lane, Link, MAX_CALL_FAILURES,
    MAX_CALLS, Output, Pending, Request, Response, Session, Waiting,
};

impl Session {
    pub(super) fn command(&mut self, command: Command, out: &mut Vec<Output>) {
        match command {
            Command::Durable(receipt) => {
                if let Some(Waiting(Some(call))) = self.waiting.remove(&receipt) {
                    let pending = Pending { call, kind: Type::Acknowledge };
                    self.acknowledgements.push_back(pending);
                }
            }
            Command::Call(call) => self.call(*call, out),
        }
    }

    fn call(&mut self, call: Call, out: &mut Vec<Output>) {
        let kind = call.r#type();
        let refused = |call: Call, reason: &str| {
            let error = CallError::NotSent(reason.to_owned());
            Output::Deliver(Event::Refused { call: Box::new(call), error })
        };
        if matches!(kind, Type::Subscribe | Type::Unknown) {
            out.push(refused(call, "it is not a scheduler's to make"));
            return;
        }
        if self.queue.len() >= MAX_CALLS {
            out.push(refused(call, "too many calls wait for the master"));
            return;
        }
        if !self.is_connected() && fate(kind) != Fate::Repeat {
            // An offer is void without its stream, and nobody misses a DECLINE.
            if fate(kind) == Fate::Once {
                out.push(refused(call, "there is no master at the moment"));
            }
            return;
        }
        self.note(kind, &call);
        self.queue.push_back(Pending { call, kind });
    }

    /// What a call changes for later subscriptions.
    fn note(&mut self, kind: Type, call: &Call) {
        let roles = match self.framework.roles.is_empty() {
            true => vec![self.framework.role().to_owned()],
            false => self.framework.roles.clone(),
        };
        match (kind, &call.suppress, &call.revive, &call.update_framework) {
            (Type::Suppress, suppress, ..) => {
                let named = suppress.as_ref().map(|s| s.roles.clone()).unwrap_or_default();
                let all = named.is_empty();
                self.suppressed
                    .extend(roles.into_iter().filter(|role| all || named.contains(role)));
            }
            (Type::Revive, _, revive, _) => {
                let named = revive.as_ref().map(|r| r.roles.clone()).unwrap_or_default();
                self.suppressed.retain(|role| !named.is_empty() && !named.contains(role));
            }
            (Type::UpdateFramework, _, _, Some(update)) => {
                let UpdateFramework { framework_info, suppressed_roles, offer_constraints } =
                    update;
                let id = self.framework.id.take();
                self.framework = FrameworkInfo { id, ..framework_info.clone() };
                self.suppressed = suppressed_roles.iter().cloned().collect();
                self.constraints = offer_constraints.clone();
            }
            _ => {}
        }
    }

    /// Makes the calls whose turn it is.
    pub(super) fn post(&mut self, now: Duration, out: &mut Vec<Output>) {
        let Link::Up { master, reader, .. } = &self.link else { return };
        if self.call_retry_at.is_some() {
            return;
        }
        let (master, stream_id) = (master.clone(), reader.id.clone());
        loop {
            let pending = if self.flying(Lane::Acknowledgements) < ACKNOWLEDGEMENTS
                && let Some(pending) = self.acknowledgements.pop_front()
            {
                pending
            } else if self.flying(Lane::Ordered) == 0
                && let Some(pending) = self.queue.pop_front()
            {
                pending
            } else {
                return;
            };
            self.tearing_down |= pending.kind == Type::Teardown;
            let mut call = pending.call.clone();
            call.framework_id = self.framework.id.clone();
            if let (Some(update), Some(id)) = (&mut call.update_framework, &self.framework.id) {
                update.framework_info.id = Some(FrameworkId { value: id.value.clone() });
            }
            let mut request = self.request(master.clone(), &call);
            request.headers.push(("mesos-stream-id", stream_id.clone()));
            let id = CallId(self.next_id());
            let until = now + self.options.call_timeout;
            self.in_flight.push(InFlight { id, pending, until });
            out.push(Output::PostCall(id, request));
        }
    }

    pub(super) fn request(&self, master: Endpoint, call: &Call) -> Request {
        let format = self.options.format;
        let mut headers =
            vec![("host", master.to_string()), ("content-type", format.content_type().to_owned())];
        if let Some(credentials) = &self.options.credentials {
            headers.push(("authorization", credentials.authorization()));
        }
        Request { master, headers, body: format.encode(call) }
    }

    /// A call that is not out any more.
    pub(super) fn land(&mut self, id: CallId) -> Option<Pending> {
        let place = self.in_flight.iter().position(|call| call.id == id)?;
        Some(self.in_flight.remove(place).pending)
    }

    /// Puts a call back to where it was taken from.
    fn put_back(&mut self, pending: Pending) {
        match lane_of(pending.kind) {
            Lane::Ordered => self.queue.push_front(pending),
            Lane::Acknowledgements => self.acknowledgements.push_front(pending),
        }
    }

    /// Without the stream: takes back what is out, and gives up what the next stream has no use
    /// for.
    pub(super) fn give_back_calls(&mut self, reason: &str, out: &mut Vec<Output>) {
        self.call_failures = 0;
        self.call_retry_at = None;
        let unknown = |pending: &Pending| fate(pending.kind) == Fate::Once;
        for InFlight { id, pending, .. } in std::mem::take(&mut self.in_flight).into_iter().rev() {
            out.push(Output::AbandonCall(id));
            if unknown(&pending) {
                refuse(pending, CallError::Unknown(reason.to_owned()), out);
            } else {
                self.put_back(pending);
            }
        }
        for pending in std::mem::take(&mut self.queue) {
            match fate(pending.kind) {
                Fate::Repeat => self.queue.push_back(pending),
                Fate::WithStream => {}
                Fate::Once => refuse(pending, CallError::NotSent(reason.to_owned()), out),
            }
        }
    }

    pub(super) fn answer(
        &mut self,
        now: Duration,
        pending: Pending,
        response: Response<'_>,
        out: &mut Vec<Output>,
    ) {
        match verdict(response.status, response.location, response.body) {
            Verdict::Accepted => {
                self.call_failures = 0;
                if pending.kind == Type::Teardown {
                    self.give_up(GiveUp::TornDown, out);
                }
            }
            // Nobody has looked at the call, so any can be made again.
            Verdict::Later(reason) => self.fail(now, pending, reason, out),
            Verdict::Broken(reason) => self.call_failed(now, pending, false, reason, out),
            Verdict::Elsewhere(leader) => {
                let leader_text = leader.as_ref().map(|l| format!(": {l} does"));
                let reason = format!("the master does not lead{}", leader_text.unwrap_or_default());
                self.put_back_or_refuse(pending, &reason, out);
                self.lose(now, true, reason, out);
                self.redirect = leader;
            }
            Verdict::Unsubscribed(text) => {
                self.put_back_or_refuse(pending, &text, out);
                self.lose(now, true, format!("the master does not know the stream: {text}"), out);
            }
            Verdict::Unauthorized(text) => {
                let rejection = Rejection { status: response.status, text: text.clone() };
                refuse(pending, CallError::Rejected(rejection), out);
                self.give_up(GiveUp::Unauthorized(text), out);
            }
            Verdict::Refused(rejection) => {
                self.call_failures = 0;
                refuse(pending, CallError::Rejected(rejection), out);
            }
        }
    }

    /// The master did not look at this call, and the stream is about to be given up.
    fn put_back_or_refuse(&mut self, pending: Pending, reason: &str, out: &mut Vec<Output>) {
        match fate(pending.kind) {
            Fate::Once => refuse(pending, CallError::NotSent(reason.to_owned()), out),
            Fate::Repeat | Fate::WithStream => self.put_back(pending),
        }
    }

    /// A call failed in a way that says nothing about its content.
    pub(super) fn call_failed(
        &mut self,
        now: Duration,
        pending: Pending,
        unsent: bool,
        reason: String,
        out: &mut Vec<Output>,
    ) {
        if fate(pending.kind) == Fate::Once && !unsent {
            refuse(pending, CallError::Unknown(reason.clone()), out);
            self.count_failure(now, reason, out);
        } else {
            self.fail(now, pending, reason, out);
        }
    }

    fn fail(&mut self, now: Duration, pending: Pending, reason: String, out: &mut Vec<Output>) {
        self.put_back(pending);
        self.count_failure(now, reason, out);
    }

    fn count_failure(&mut self, now: Duration, reason: String, out: &mut Vec<Output>) {
        self.call_failures = self.call_failures.saturating_add(1);
        if self.call_failures == 1 {
            out.push(Output::Deliver(Event::Trouble(format!("a call failed: {reason}"))));
        }
        if self.call_failures >= MAX_CALL_FAILURES {
            self.lose(now, true, format!("calls do not get through: {reason}"), out);
            return;
        }
        let doublings = self.call_failures.saturating_sub(1).min(16);
        let longest = (CALL_PAUSE * (1 << doublings)).min(self.options.max_pause);
        self.call_retry_at = Some(now + self.random.half_to_whole(longest));
    }
}

pub(super) fn lane_of(kind: Type) -> Lane {
    match kind {
        Type::Acknowledge => Lane::Acknowledgements,
        _ => Lane::Ordered,
    }
}

fn refuse(pending: Pending, error: CallError, out: &mut Vec<Output>) {
    let call = Box::new(pending.call);
    out.push(Output::Deliver(Event::Refused { call, error }));
}
