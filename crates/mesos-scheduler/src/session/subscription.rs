//! The stream of events: when it is opened, what the events mean, and when it is lost or given up.

use std::time::Duration;

use mesos_executor::answer::text;

use crate::answer::{Rejection, Verdict, verdict};
use crate::call::{self, Type};
use crate::codec::Records;
use crate::event::{self, Event, GiveUp, Parsed, Receipt};
use crate::v1::scheduler::Call;
use crate::v1::scheduler::call::Subscribe;

use super::{
    HEARTBEAT, Link, MAX_REDIRECTS, Output, Reader, Response, STABLE, Session, Silence, StreamId,
    Waiting,
};

impl Session {
    pub(super) fn stream(&self) -> Option<StreamId> {
        match self.link {
            Link::Opening { stream, .. } | Link::Up { stream, .. } => Some(stream),
            Link::Down { .. } | Link::Closed => None,
        }
    }

    pub(super) fn next_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    pub(super) fn open(&mut self, now: Duration, out: &mut Vec<Output>) {
        let Some(master) = self.take_master() else {
            self.link = Link::Down { retry_at: None };
            return;
        };
        let stream = StreamId(self.next_id());
        let subscribe = Subscribe {
            framework_info: self.framework.clone(),
            suppressed_roles: self.suppressed.iter().cloned().collect(),
            offer_constraints: self.constraints.clone(),
        };
        let call = Call {
            framework_id: self.framework.id.clone(),
            r#type: Some(Type::Subscribe.into()),
            subscribe: Some(subscribe),
            ..Call::default()
        };
        let mut request = self.request(master.clone(), &call);
        request.headers.push(("accept", self.options.format.content_type().to_owned()));
        out.push(Output::Deliver(Event::Subscribing { master: master.clone() }));
        let until = now + self.options.subscribe_timeout;
        self.link = Link::Opening { stream, master, until, reader: None };
        out.push(Output::OpenSubscription(stream, request));
    }

    pub(super) fn response(
        &mut self,
        now: Duration,
        stream: StreamId,
        response: Response<'_>,
        out: &mut Vec<Output>,
    ) {
        let Link::Opening { stream: current, reader, master, .. } = &mut self.link else { return };
        if *current != stream || reader.is_some() {
            return;
        }
        if response.status == 200 {
            let (asked, max) = (self.options.format, self.options.max_record);
            let records = Records::new(response.content_type, asked, max);
            match (records, response.stream_id) {
                (Some(records), Some(id)) => {
                    let id = id.to_owned();
                    *reader = Some(Reader { records, id, rest: Vec::new() });
                }
                (Some(_), None) => {
                    let reason = format!("{master} answered without a Mesos-Stream-Id");
                    self.lose(now, true, reason, out);
                }
                (None, _) => {
                    let name = response.content_type.unwrap_or_default();
                    let name = text(name.as_bytes());
                    let reason = format!("{master} answered with {name}");
                    self.lose(now, true, reason, out);
                }
            }
            return;
        }
        let asked = master.clone();
        match verdict(response.status, response.location, response.body) {
            Verdict::Elsewhere(Some(leader)) if self.redirects < MAX_REDIRECTS => {
                self.redirects += 1;
                self.redirect = Some(leader);
                out.push(Output::CloseSubscription(stream));
                self.link = Link::Down { retry_at: Some(now) };
            }
            Verdict::Elsewhere(leader) => {
                let reason = match leader {
                    Some(leader) => format!("{asked} says that {leader} leads, again and again"),
                    None => format!("{asked} does not lead and does not say who does"),
                };
                self.lose(now, true, reason, out);
            }
            Verdict::Accepted => {
                let status = response.status;
                let reason = format!("{asked} answered SUBSCRIBE with HTTP {status}");
                self.lose(now, true, reason, out);
            }
            Verdict::Later(reason) | Verdict::Broken(reason) => {
                self.lose(now, true, reason, out);
            }
            Verdict::Unauthorized(text) => self.give_up(GiveUp::Unauthorized(text), out),
            Verdict::Unsubscribed(text) => {
                let rejection = Rejection { status: response.status, text };
                self.give_up(GiveUp::Rejected(rejection), out);
            }
            Verdict::Refused(rejection) => self.give_up(GiveUp::Rejected(rejection), out),
        }
    }

    /// Something came, or could not have come.
    pub(super) fn heard(&mut self, now: Duration) {
        if let Link::Up { silence, .. } = &mut self.link {
            silence.until = now + silence.limit;
        }
    }

    pub(super) fn bytes(
        &mut self,
        now: Duration,
        stream: StreamId,
        bytes: &[u8],
        out: &mut Vec<Output>,
    ) {
        if self.stream() != Some(stream) {
            return;
        }
        self.heard(now);
        if let Link::Opening { reader: Some(reader), .. } | Link::Up { reader, .. } = &mut self.link
        {
            // Nearly always empty.
            if !reader.rest.is_empty() {
                reader.rest.extend_from_slice(bytes);
                return;
            }
        }
        self.records(now, stream, bytes, out);
    }

    /// Goes on with what came while the scheduler had too much to write down.
    pub(super) fn read_rest(&mut self, now: Duration, out: &mut Vec<Output>) {
        if let Link::Up { stream, reader, .. } = &mut self.link
            && !reader.rest.is_empty()
        {
            let stream = *stream;
            let rest = std::mem::take(&mut reader.rest);
            self.records(now, stream, &rest, out);
        }
    }

    fn records(
        &mut self,
        now: Duration,
        stream: StreamId,
        mut bytes: &[u8],
        out: &mut Vec<Output>,
    ) {
        // An event can end the stream, so it is looked up for each.
        while self.stream() == Some(stream) {
            let room = self.wants_bytes();
            let (Link::Up { reader, .. } | Link::Opening { reader: Some(reader), .. }) =
                &mut self.link
            else {
                return;
            };
            if !room {
                reader.rest.extend_from_slice(bytes);
                return;
            }
            let result = match reader.records.next(&mut bytes) {
                Ok(None) => return,
                Ok(Some(record)) => event::parse(record).map_err(str::to_owned),
                Err(error) => Err(error),
            };
            let result = result.and_then(|event| self.event(now, event, out));
            if let Err(reason) = result {
                self.lose(now, true, format!("the stream makes no sense: {reason}"), out);
            }
        }
    }

    /// `Err`: the stream makes no sense.
    fn event(&mut self, now: Duration, event: Parsed, out: &mut Vec<Output>) -> Result<(), String> {
        let first = matches!(self.link, Link::Opening { .. });
        let event = match event {
            Parsed::Error(message) => {
                let reason = match GiveUp::of(message) {
                    GiveUp::Removed(_) if self.tearing_down => GiveUp::TornDown,
                    reason => reason,
                };
                self.give_up(reason, out);
                return Ok(());
            }
            Parsed::Subscribed(subscribed) => {
                let id = &subscribed.framework_id;
                if self.framework.id.as_ref().is_some_and(|ours| ours != id) {
                    return Err(format!("SUBSCRIBED is for the framework {}", id.value));
                }
                self.framework.id = Some(id.clone());
                let interval = subscribed.heartbeat_interval_seconds;
                self.attach(now, heartbeat(interval) * self.options.missed_heartbeats.max(1));
                let again = std::mem::replace(&mut self.ever_subscribed, true);
                out.push(Output::Deliver(Event::Subscribed {
                    framework_id: subscribed.framework_id.value.clone(),
                    again,
                    master: subscribed.master_info.map(Box::new),
                }));
                return Ok(());
            }
            // Also before SUBSCRIBED, and of no interest there.
            Parsed::Heartbeat if first => return Ok(()),
            Parsed::Heartbeat => Event::Heartbeat,
            Parsed::Unknown(number) => Event::Unknown(number),
            _ if first => return Err("the first event is not SUBSCRIBED".to_owned()),
            Parsed::Update(status) => {
                let receipt = Receipt(self.next_id());
                let acknowledgement = match (&status.uuid, &status.agent_id) {
                    (Some(uuid), Some(agent)) => {
                        Some(call::acknowledge(&agent.value, &status.task_id.value, uuid))
                    }
                    _ => None,
                };
                self.waiting.insert(receipt, Waiting(acknowledgement));
                Event::Update { receipt, status }
            }
            Parsed::Event(event) => event,
        };
        out.push(Output::Deliver(event));
        Ok(())
    }

    /// The master takes calls.
    fn attach(&mut self, now: Duration, limit: Duration) {
        self.redirects = 0;
        self.tried = 0;
        let link = std::mem::replace(&mut self.link, Link::Closed);
        self.link = match link {
            Link::Opening { stream, master, reader: Some(reader), .. } => {
                let silence = Silence { limit, until: now + limit };
                Link::Up { stream, master, since: now, silence, reader }
            }
            Link::Up { stream, master, since, reader, .. } => {
                let silence = Silence { limit, until: now + limit };
                Link::Up { stream, master, since, silence, reader }
            }
            other => other,
        };
    }

    /// The stream is lost. `close`: its connection is still there.
    pub(super) fn lose(
        &mut self,
        now: Duration,
        close: bool,
        reason: String,
        out: &mut Vec<Output>,
    ) {
        if let Some(stream) = self.stream()
            && close
        {
            out.push(Output::CloseSubscription(stream));
        }
        let since = match self.link {
            Link::Up { since, .. } => Some(since),
            _ => None,
        };
        self.link = Link::Down { retry_at: None };
        if let Some(since) = since {
            self.give_back_calls(&reason, out);
            out.push(Output::Deliver(Event::Disconnected { reason }));
            if now >= since + STABLE {
                self.failures = 0;
            }
            // It may well be there again.
            self.tried = 0;
            self.next_master = self.next_master.saturating_sub(1);
        } else {
            out.push(Output::Deliver(Event::Trouble(format!("failed to subscribe: {reason}"))));
        }
        self.redirects = 0;
        self.redirect = None;
        let retry_at = if since.is_none() && self.tried < self.masters.len() {
            // The next of them, at once.
            now
        } else {
            self.tried = 0;
            now + self.pause()
        };
        let known = !self.masters.is_empty();
        self.link = Link::Down { retry_at: known.then_some(retry_at) };
    }

    /// The pause after a round of failures: random, and longer after each.
    fn pause(&mut self) -> Duration {
        let doublings = self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        let longest = (self.options.min_pause * (1 << doublings)).min(self.options.max_pause);
        self.random.half_to_whole(longest)
    }

    pub(super) fn give_up(&mut self, reason: GiveUp, out: &mut Vec<Output>) {
        if let Some(stream) = self.stream() {
            out.push(Output::CloseSubscription(stream));
        }
        for call in std::mem::take(&mut self.in_flight) {
            out.push(Output::AbandonCall(call.id));
        }
        self.link = Link::Closed;
        if self.timer.take().is_some() {
            out.push(Output::SetTimer(None));
        }
        out.push(Output::Deliver(Event::GaveUp(reason)));
    }
}

/// The interval of heartbeats, by the master's word.
fn heartbeat(seconds: Option<f64>) -> Duration {
    let seconds = seconds.filter(|seconds| *seconds > 0.0 && *seconds < 86_400.0);
    seconds.map_or(HEARTBEAT, Duration::from_secs_f64).max(Duration::from_millis(10))
}
