//! The stream of events: when it is opened, what the events mean, and when it is lost or given up.

use std::time::Duration;

use crate::answer::text;
use crate::codec::Records;
use crate::event::{self, Event, GiveUp, Parsed};
use crate::v1::executor::{Call, call};
use crate::v1::{FrameworkId, TaskInfo};

use super::{
    Link, MIN_PAUSE, Now, Output, STABLE, Session, Stage, StreamId, Update, is_passing, is_unknown,
};

/// Whose doing the end of a stream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Loss {
    /// The agent's, which closed it in order.
    Closed,
    /// The agent's, which died, or the network's.
    Cut,
    /// The session's; the agent may well be there.
    Ours,
}

impl Session {
    /// Subscribes, with everything that the agent may not know.
    pub(super) fn open(&mut self, now: Now, out: &mut Vec<Output>) {
        // The fate of a call that is out would be unknown; the SUBSCRIBE has its update too.
        self.abandon(out);
        self.call_retry_at = None;
        self.call_failures = 0;
        let stream = StreamId(self.next_id());
        for update in &mut self.updates {
            update.stage = Stage::Listed;
        }
        let updates = self.updates.iter().map(|u| call::Update { status: u.status.clone() });
        let subscribe = call::Subscribe {
            unacknowledged_tasks: self.tasks.clone(),
            unacknowledged_updates: updates.collect(),
        };
        let mut request =
            self.request(&Call { subscribe: Some(subscribe), ..self.call(call::Type::Subscribe) });
        let accept = self.options.format.content_type().to_owned();
        request.headers.push(("accept", accept));
        let until = now.mono + self.options.subscribe_timeout;
        self.link = Link::Opening { stream, until, reader: None };
        out.push(Output::OpenSubscription(stream, request));
    }

    pub(super) fn response(
        &mut self,
        now: Now,
        stream: StreamId,
        status: u16,
        content_type: Option<&str>,
        body: &[u8],
        out: &mut Vec<Output>,
    ) {
        let Link::Opening { stream: current, reader, .. } = &mut self.link else { return };
        if *current != stream || reader.is_some() {
            return;
        }
        if status == 200 {
            let (asked, max) = (self.options.format, self.options.max_record);
            match Records::new(content_type, asked, max) {
                Some(records) => *reader = Some(records),
                None => {
                    let name = content_type.unwrap_or_default();
                    let reason = format!("the agent answered with {}", text(name.as_bytes()));
                    self.lose(now, Loss::Ours, reason, out);
                }
            }
            return;
        }
        let text = text(body);
        match status {
            401 => self.give_up(GiveUp::Unauthorized(text), out),
            400 if is_unknown(&text) => self.give_up(GiveUp::Unknown(text), out),
            400..=499 if !is_passing(status) => {
                self.give_up(GiveUp::Rejected(status, text), out);
            }
            _ => {
                // The agent is there, so this is not its loss.
                let reason = format!("the agent answered HTTP {status}: {text}");
                self.lose(now, Loss::Ours, reason, out);
            }
        }
    }

    pub(super) fn bytes(
        &mut self,
        now: Now,
        stream: StreamId,
        mut bytes: &[u8],
        out: &mut Vec<Output>,
    ) {
        // An event can end the stream, so it is looked up for each.
        while self.stream() == Some(stream) {
            let (Link::Up { reader, .. } | Link::Opening { reader: Some(reader), .. }) =
                &mut self.link
            else {
                return;
            };
            let result = match reader.next(&mut bytes) {
                Ok(None) => return,
                Ok(Some(record)) => event::parse(record).map_err(str::to_owned),
                Err(error) => Err(error),
            };
            let result = result.and_then(|event| self.event(now, event, out));
            if let Err(reason) = result {
                self.lose(now, Loss::Ours, reason, out);
            }
        }
    }

    /// `Err`: the stream makes no sense.
    fn event(&mut self, now: Now, event: Parsed, out: &mut Vec<Output>) -> Result<(), String> {
        let event = match event {
            Parsed::Event(event) => event,
            Parsed::Heartbeat => return Ok(()),
            Parsed::Unknown(number) => {
                let text = format!("ignored an event of the unknown type {number}");
                out.push(Output::Deliver(Event::Trouble(text)));
                return Ok(());
            }
        };
        let first = matches!(self.link, Link::Opening { .. });
        match &event {
            Event::Subscribed(subscribed) => {
                let ours = subscribed.executor_info.executor_id == self.executor_id
                    && self.is_our_framework(subscribed.executor_info.framework_id.as_ref())
                    && self.is_our_framework(subscribed.framework_info.id.as_ref());
                if !ours {
                    return Err("SUBSCRIBED is for another executor".to_owned());
                }
                if !first {
                    let text = "ignored another SUBSCRIBED on the same stream".to_owned();
                    out.push(Output::Deliver(Event::Trouble(text)));
                    return Ok(());
                }
                self.attach(now, Stage::Accepted);
            }
            // In place of SUBSCRIBED; then the agent did not look at the updates in the SUBSCRIBE.
            Event::Shutdown | Event::Error(_) if first => {
                self.attach(now, Stage::Queued { sent: true })
            }
            _ if first => return Err("the first event is not SUBSCRIBED".to_owned()),
            Event::Launch(task) => self.launch(std::slice::from_ref(task))?,
            Event::LaunchGroup(tasks) => self.launch(tasks)?,
            Event::Acknowledged { task_id, uuid } => {
                let acknowledged = |u: &Update| {
                    u.uuid == *uuid
                        && u.status.task_id.value == *task_id
                        && u.stage != Stage::Queued { sent: false }
                };
                let Some(place) = self.updates.iter().position(acknowledged) else {
                    // A repeated update is acknowledged again.
                    return Ok(());
                };
                self.updates.remove(place);
                self.tasks.retain(|t| t.task_id.value != *task_id);
            }
            _ => {}
        }
        if matches!(event, Event::Shutdown | Event::Error(_)) {
            if self.ending && event == Event::Shutdown {
                return Ok(());
            }
            self.ending = true;
            self.quiet_since = now.mono;
        }
        out.push(Output::Deliver(event));
        Ok(())
    }

    /// The first event of a stream has come.
    fn attach(&mut self, now: Now, listed: Stage) {
        for update in self.updates.iter_mut().filter(|u| u.stage == Stage::Listed) {
            update.stage = listed;
        }
        self.quiet_since = now.mono;
        self.lost = None;
        self.ever_subscribed = true;
        if let Link::Opening { stream, reader: Some(reader), .. } =
            std::mem::replace(&mut self.link, Link::Down { retry_at: None })
        {
            self.link = Link::Up { stream, since: now.mono, reader };
        }
    }

    fn is_our_framework(&self, id: Option<&FrameworkId>) -> bool {
        id.is_none_or(|id| *id == self.framework_id)
    }

    fn launch(&mut self, tasks: &[TaskInfo]) -> Result<(), String> {
        for executor in tasks.iter().filter_map(|t| t.executor.as_ref()) {
            if executor.executor_id != self.executor_id
                || !self.is_our_framework(executor.framework_id.as_ref())
            {
                return Err("LAUNCH is for another executor".to_owned());
            }
        }
        for task in tasks {
            self.terminated.remove(&task.task_id.value);
            if !self.tasks.iter().any(|t| t.task_id == task.task_id) {
                self.tasks.push(task.clone());
            }
        }
        Ok(())
    }

    /// The stream is lost, or could not be opened.
    pub(super) fn lose(&mut self, now: Now, loss: Loss, reason: String, out: &mut Vec<Output>) {
        let Some(stream) = self.stream() else { return };
        if loss == Loss::Ours {
            out.push(Output::CloseSubscription(stream));
        }
        let since = match self.link {
            Link::Up { since, .. } => Some(since),
            _ => None,
        };
        for update in &mut self.updates {
            if update.stage == Stage::Listed {
                update.stage = Stage::Queued { sent: true };
            }
        }
        if self.ending {
            // Nothing that is still to come is worth a stream: calls are taken without. But an agent
            // that died may have forgotten what it had accepted.
            let again = since.is_none() || loss == Loss::Cut && !self.updates.is_empty();
            let retry_at = again.then(|| now.mono + self.pause());
            self.link = Link::Down { retry_at };
            return;
        }
        self.abandon(out);
        if since.is_some() {
            out.push(Output::Deliver(Event::Disconnected { reason: reason.clone() }));
        }
        if !self.checkpoint && self.ever_subscribed && loss != Loss::Ours {
            self.link = Link::Down { retry_at: None };
            self.give_up(GiveUp::NotCheckpointing(reason), out);
            return;
        }
        if since.is_some_and(|since| now.mono >= since + STABLE) {
            self.failures = 0;
        }
        let lost_at = self.lost.take().map_or(now.mono, |(at, _)| at);
        self.lost = Some((lost_at, reason));
        self.link = Link::Down { retry_at: Some(now.mono + self.pause()) };
    }

    /// The pause after a failure: random, so that executors do not come all at once, and longer
    /// after each.
    pub(super) fn pause(&mut self) -> Duration {
        let failures = self.failures;
        self.failures = self.failures.saturating_add(1);
        self.jitter(failures)
    }

    pub(super) fn jitter(&mut self, failures: u32) -> Duration {
        let longest = (MIN_PAUSE * (1 << failures.min(10))).min(self.max_pause);
        let half = longest / 2;
        half + half.mul_f64(self.random.fraction())
    }

    pub(super) fn give_up(&mut self, reason: GiveUp, out: &mut Vec<Output>) {
        if let Some(stream) = self.stream() {
            out.push(Output::CloseSubscription(stream));
        }
        self.abandon(out);
        self.link = Link::Closed;
        for update in &mut self.updates {
            if update.stage == Stage::Listed {
                update.stage = Stage::Queued { sent: true };
            }
        }
        if self.flush.take().is_some() {
            out.push(Output::Deliver(self.flushed()));
        }
        out.push(Output::Deliver(Event::GaveUp(reason)));
    }
}
