//! What lies between session and agent, and loses, delays and cuts what passes.

use mesos_executor::session::{CallId, Input, MAX_PAUSE, Now, Output};

use super::later::Later;
use super::{MS, World};

impl World {
    /// Tells the session, and does what it wants.
    pub(super) fn handle(&mut self, input: Input<'_>) {
        let now = Now { wall: self.now, mono: self.now };
        for output in self.session.handle(now, input) {
            match output {
                Output::OpenSubscription(stream, request) => {
                    assert!(self.open.is_empty(), "one stream at a time");
                    if let Some(since) = self.idle_since.take() {
                        assert!(self.now - since <= MAX_PAUSE, "{:?}", self.now - since);
                    }
                    self.tries += 1;
                    self.open.insert(stream);
                    let after = self.random.ms(20);
                    self.later(after, Later::Subscribe { stream, body: request.body });
                }
                Output::CloseSubscription(stream) => {
                    assert!(self.open.remove(&stream));
                    if self.shut_down.is_none() {
                        self.idle_since = Some(self.now);
                    }
                    self.agent.closed(stream);
                }
                Output::PostCall(call, request) => {
                    assert!(self.call.is_none(), "one call at a time");
                    self.call = Some(call);
                    self.send(call, request.body);
                }
                Output::AbandonCall(call) => {
                    assert_eq!(self.call.take(), Some(call));
                }
                Output::Deliver(event) => self.executor(event),
                Output::SetTimer(at) => self.timer = at,
            }
        }
    }

    /// The network takes a call.
    fn send(&mut self, call: CallId, body: Vec<u8>) {
        let after = self.random.ms(10);
        if self.bad(5) {
            // Lost on the way.
            let after = self.random.ms(50);
            return self.later(after, Later::CallFailed { call });
        }
        if self.bad(5) {
            // It arrives, perhaps very late, but the connection breaks.
            let failed = self.random.ms(50);
            let after = self.random.ms(700);
            self.later(failed, Later::CallFailed { call });
            return self.later(after, Later::Call { call, body, answered: false });
        }
        if self.bad(2) {
            // Silence.
            if self.random.chance(50) {
                self.later(after, Later::Call { call, body, answered: false });
            }
            return;
        }
        if self.bad(6) {
            let status = [500, 503, 404, 502, 429, 302][self.random.below(6) as usize];
            if self.random.chance(30) {
                // It did its work before it failed.
                self.later(after, Later::Call { call, body, answered: false });
            }
            return self.later(after + MS, Later::Answer { call, status });
        }
        self.later(after, Later::Call { call, body, answered: true });
    }
}
