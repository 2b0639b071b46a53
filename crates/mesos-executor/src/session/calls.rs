//! Calls: what the executor may say, whose turn it is, and what an answer means.

use crate::answer::text;
use crate::event::Event;
use crate::v1::executor::{Call, call};
use crate::v1::{TaskState, TaskStatus, task_status};

use super::subscription::Loss;
use super::{
    CallId, Command, Content, Flush, InFlight, Link, MAX_CALL_FAILURES, MAX_MESSAGES, Now, Output,
    Request, Session, Stage, Update, is_passing, is_terminal, is_unknown,
};

impl Session {
    pub(super) fn command(&mut self, now: Now, command: Command, out: &mut Vec<Output>) {
        match command {
            Command::Update(mut status) => match self.complete(now, &mut status) {
                Ok(uuid) => {
                    if is_terminal(status.state()) {
                        self.terminated.insert(status.task_id.value.clone());
                    }
                    let stage = Stage::Queued { sent: false };
                    self.updates.push_back(Update { uuid, stage, status: *status });
                }
                Err(reason) => {
                    let reason = reason.to_owned();
                    out.push(Output::Deliver(Event::Refused { status, reason }));
                }
            },
            Command::Message(data) => {
                if self.messages.len() < MAX_MESSAGES {
                    self.messages.push_back(data);
                } else {
                    let text = "dropped a message: too many wait for the agent".to_owned();
                    out.push(Output::Deliver(Event::Trouble(text)));
                }
            }
            Command::Flush { within } => {
                self.flush = Some(Flush { until: now.mono.saturating_add(within) });
            }
        }
    }

    /// Fills in what every update must have. `Err`: an agent would refuse it, or worse, pass it on.
    fn complete(&mut self, now: Now, status: &mut TaskStatus) -> Result<[u8; 16], &'static str> {
        let state = TaskState::try_from(status.state).map_err(|_| "its state is not known")?;
        if state == TaskState::TaskStaging {
            return Err("TASK_STAGING is not an executor's to send");
        }
        if status.task_id.value.is_empty() {
            return Err("it has no task id");
        }
        if self.terminated.contains(&status.task_id.value) {
            return Err("the task has a terminal update already");
        }
        let uuid = match status.uuid.as_deref() {
            None => self.random.uuid(),
            Some(bytes) => bytes.try_into().map_err(|_| "its uuid is not 16 bytes")?,
        };
        if self.updates.iter().any(|u| u.uuid == uuid) {
            return Err("its uuid is that of another update");
        }
        status.uuid = Some(uuid.to_vec());
        status.set_source(task_status::Source::Executor);
        status.timestamp.get_or_insert(now.wall.as_secs_f64());
        Ok(uuid)
    }

    pub(super) fn may_post(&self) -> bool {
        match self.link {
            Link::Up { .. } => true,
            Link::Down { retry_at: None } => self.ending,
            _ => false,
        }
    }

    /// Makes the next call, if it is time.
    pub(super) fn post(&mut self, now: Now, out: &mut Vec<Output>) {
        if self.in_flight.is_some() || self.call_retry_at.is_some() || !self.may_post() {
            return;
        }
        let queued = |u: &&mut Update| matches!(u.stage, Stage::Queued { .. });
        let (content, call) = if let Some(update) = self.updates.iter_mut().find(queued) {
            update.stage = Stage::Queued { sent: true };
            let (uuid, status) = (update.uuid, update.status.clone());
            let update = Some(call::Update { status });
            (Content::Update(uuid), Call { update, ..self.call(call::Type::Update) })
        } else if let Some(data) = self.messages.pop_front() {
            let message = Some(call::Message { data });
            (Content::Message, Call { message, ..self.call(call::Type::Message) })
        } else {
            return;
        };
        let request = self.request(&call);
        let call = CallId(self.next_id());
        let until = now.mono + self.options.call_timeout;
        self.in_flight = Some(InFlight { call, content, until });
        out.push(Output::PostCall(call, request));
    }

    pub(super) fn abandon(&mut self, out: &mut Vec<Output>) {
        if let Some(in_flight) = self.in_flight.take() {
            out.push(Output::AbandonCall(in_flight.call));
        }
    }

    pub(super) fn answer(
        &mut self,
        now: Now,
        content: Content,
        status: u16,
        body: &[u8],
        out: &mut Vec<Output>,
    ) {
        if (200..=299).contains(&status) {
            self.call_failures = 0;
            self.quiet_since = now.mono;
            if let Content::Update(uuid) = content
                && let Some(update) = self.updates.iter_mut().find(|u| u.uuid == uuid)
            {
                update.stage = Stage::Accepted;
            }
            return;
        }
        let text = text(body);
        let reason = format!("the agent answered a call with HTTP {status}: {text}");
        // It does not take this executor for one that is subscribed; a SUBSCRIBE will show.
        if status == 401 || status == 403 || status == 400 && is_unknown(&text) {
            self.resubscribe(now, reason, out);
        } else if (400..=499).contains(&status) && !is_passing(status) {
            if let Content::Update(uuid) = content
                && let Some(place) = self.updates.iter().position(|u| u.uuid == uuid)
                && let Some(update) = self.updates.remove(place)
            {
                // Another one may please the agent better.
                self.terminated.remove(&update.status.task_id.value);
                let status = Box::new(update.status);
                out.push(Output::Deliver(Event::Refused { status, reason }));
            } else {
                out.push(Output::Deliver(Event::Trouble(reason)));
            }
        } else {
            self.call_failed(now, &reason, out);
        }
    }

    /// A call failed in a way that says nothing about its content.
    pub(super) fn call_failed(&mut self, now: Now, reason: &str, out: &mut Vec<Output>) {
        self.call_failures = self.call_failures.saturating_add(1);
        if self.call_failures == 1 {
            out.push(Output::Deliver(Event::Trouble(format!("a call failed: {reason}"))));
        }
        if self.call_failures >= MAX_CALL_FAILURES && !self.ending {
            self.resubscribe(now, format!("calls do not get through: {reason}"), out);
            return;
        }
        let pause = self.jitter(self.call_failures.saturating_sub(1));
        self.call_retry_at = Some(now.mono + pause);
    }

    fn resubscribe(&mut self, now: Now, reason: String, out: &mut Vec<Output>) {
        if self.ending {
            if let Some(stream) = self.stream() {
                out.push(Output::CloseSubscription(stream));
            }
            self.link = Link::Down { retry_at: Some(now.mono + self.pause()) };
        } else {
            self.lose(now, Loss::Ours, reason, out);
        }
    }

    pub(super) fn call(&self, kind: call::Type) -> Call {
        Call {
            executor_id: self.executor_id.clone(),
            framework_id: self.framework_id.clone(),
            r#type: Some(kind.into()),
            subscribe: None,
            update: None,
            message: None,
        }
    }

    pub(super) fn request(&self, call: &Call) -> Request {
        let format = self.options.format;
        let mut headers =
            vec![("host", self.host.clone()), ("content-type", format.content_type().to_owned())];
        if let Some(token) = &self.token {
            headers.push(("authorization", format!("Bearer {}", token.expose())));
        }
        Request { headers, body: format.encode(call) }
    }
}
