//! What lies between the session and the masters, and loses, delays and cuts what passes.

use mesos_scheduler::session::{ACKNOWLEDGEMENTS, CallId, Input, Output};
use mesos_scheduler::v1::scheduler::Call;

use super::later::Later;
use super::{MAX_PAUSE, MAX_WAITING, MS, World, address};

impl World {
    /// Tells the session, and does what it wants.
    pub(super) fn handle(&mut self, input: Input<'_>) {
        for output in self.session.handle(self.now, input) {
            match output {
                Output::OpenSubscription(stream, request) => {
                    assert_eq!(self.open, None, "one stream at a time");
                    if let Some(since) = self.idle_since.take() {
                        assert!(self.now - since <= MAX_PAUSE, "{:?}", self.now - since);
                    }
                    self.tries += 1;
                    self.open = Some(stream);
                    let master = usize::from(request.master == address(1));
                    let after = self.random.ms(20);
                    self.later(after, Later::Subscribe { stream, master, body: request.body });
                }
                Output::CloseSubscription(stream) => {
                    assert_eq!(self.open.take(), Some(stream));
                    self.idle_since = Some(self.now);
                    self.closed(stream);
                }
                Output::PostCall(id, request) => {
                    let call: Call = self.format.decode(&request.body).unwrap();
                    let ordered = call.acknowledge.is_none();
                    self.out.insert(id, ordered);
                    assert!(self.out.values().filter(|o| **o).count() <= 1, "order is lost");
                    assert!(self.out.values().filter(|o| !**o).count() <= ACKNOWLEDGEMENTS);
                    let name = request.headers.iter().find(|(n, _)| *n == "mesos-stream-id");
                    let name = name.unwrap().1.clone();
                    let master = usize::from(request.master == address(1));
                    self.send(id, master, name, request.body);
                }
                Output::AbandonCall(id) => assert!(self.out.remove(&id).is_some()),
                Output::Deliver(event) => self.scheduler(event),
                Output::SetTimer(at) => self.timer = at,
            }
            assert!(self.session.waiting() <= MAX_WAITING, "more than can be written down");
        }
        let reading = self.session.wants_bytes();
        if self.reading != reading {
            self.reading = reading;
            self.handle(Input::Reading(reading));
        }
    }

    /// The network takes a call.
    fn send(&mut self, call: CallId, master: usize, name: String, body: Vec<u8>) {
        let after = self.random.ms(10);
        let arrives = |answered| Later::Call { call, master, name, body, answered };
        if self.bad(4) {
            // Lost on the way, and known to be.
            let after = self.random.ms(50);
            return self.later(after, Later::CallFailed { call, unsent: true });
        }
        if self.bad(6) {
            // It arrives, perhaps very late or never, but the connection breaks.
            let failed = self.random.ms(50);
            if self.random.chance(70) {
                let after = self.random.ms(700);
                self.later(after, arrives(false));
            }
            return self.later(failed, Later::CallFailed { call, unsent: false });
        }
        if self.bad(2) {
            // Silence.
            if self.random.chance(50) {
                self.later(after, arrives(false));
            }
            return;
        }
        if self.bad(5) {
            let status = [500, 502, 504][self.random.below(3) as usize];
            if self.random.chance(50) {
                // It did its work before it failed.
                self.later(after, arrives(false));
            }
            let answer = Later::Answer { call, status, location: None, text: "" };
            return self.later(after + MS, answer);
        }
        if self.bad(4) {
            let status = [503, 404, 429][self.random.below(3) as usize];
            let answer = Later::Answer { call, status, location: None, text: "" };
            return self.later(after + MS, answer);
        }
        self.later(after, arrives(true));
    }
}
