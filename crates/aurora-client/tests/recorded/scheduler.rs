//! A scheduler that plays back what was recorded, and minds what it is asked.

use std::collections::VecDeque;
use std::rc::Rc;

use crate::case::{Answer, Bodies, Call};
use crate::message::{Meaning, differences, meaning};

/// Headers that may say what they want: each program has its own name.
const UNCOMPARED: [&str; 5] =
    ["host", "content-length", "connection", "accept-encoding", "user-agent"];

/// So many times more than recorded may a client that waits look in all.
const MAX_AGAIN: usize = 4;

/// The answers of one step, in order.
pub(crate) struct Scheduler {
    bodies: Rc<Bodies>,
    calls: VecDeque<Call>,
    last: Option<Call>,
    again_left: usize,
    /// What was not as recorded.
    pub(crate) differences: Vec<String>,
    /// How many calls came.
    pub(crate) made: usize,
}

impl Scheduler {
    pub(crate) fn new(bodies: Rc<Bodies>, calls: Vec<Call>) -> Self {
        Self {
            bodies,
            calls: calls.into(),
            last: None,
            again_left: MAX_AGAIN,
            differences: Vec::new(),
            made: 0,
        }
    }

    /// How long the request at the start of `data` is, once all of it is there.
    pub(crate) fn request_length(data: &[u8]) -> Option<usize> {
        let head = data.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let text = String::from_utf8_lossy(&data[..head]).to_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length = length.map_or(0, |length| length.trim().parse().unwrap());
        (data.len() >= head + length).then_some(head + length)
    }

    /// The answer to a whole request; nothing if the connection is closed instead.
    pub(crate) fn answer(&mut self, request: &[u8]) -> Option<Vec<u8>> {
        self.made += 1;
        let made = self.made;
        if let Some(again) = self.again(request) {
            self.differ(format!("call {made}: {} again", again.method));
            return again.answer.map(|answer| self.play(&answer));
        }
        let Some(call) = self.next(request) else {
            let method = body_of(request).and_then(|body| Ok(meaning(body)?.method));
            self.differ(format!("call {made}: {}, recorded none", method.unwrap_or_default()));
            // Nobody asks again after this.
            return Some(
                b"HTTP/1.1 403 Beyond The Recording\r\nContent-Length: 0\r\n\r\n".to_vec(),
            );
        };
        self.mind(made, request, &call);
        let answer = call.answer.as_ref().map(|answer| self.play(answer));
        self.last = Some(call);
        answer
    }

    /// The call before, if a request is that one again though another one should come: who waits may
    /// look more often, but not for ever.
    fn again(&mut self, request: &[u8]) -> Option<Call> {
        let found = body_of(request).and_then(meaning).ok()?;
        let is_found = |call: &&Call| self.recorded(call) == found;
        let again = self.last.as_ref().filter(|call| call.method.starts_with("get"));
        let again = again.filter(is_found).filter(|_| self.again_left > 0)?.clone();
        if self.calls.iter().next().as_ref().is_some_and(is_found) {
            return None;
        }
        self.again_left -= 1;
        Some(again)
    }

    /// The call that a request is. The original asks about the elements of a set in the order of a
    /// hash, so of several calls of one method the one that fits is meant.
    fn next(&mut self, request: &[u8]) -> Option<Call> {
        let found = body_of(request).and_then(meaning).ok();
        let meant = self.calls.iter().map(|call| self.recorded(call));
        let same = |meaning: &Meaning| found.as_ref().is_some_and(|it| it.method == meaning.method);
        let position = meant.take_while(same).position(|meaning| Some(meaning) == found);
        self.calls.remove(position.unwrap_or(0))
    }

    fn recorded(&self, call: &Call) -> Meaning {
        meaning(self.bodies.get(&call.request.body)).unwrap()
    }

    /// Takes down how a request differs from the recorded one.
    fn mind(&mut self, made: usize, request: &[u8], call: &Call) {
        let recorded = self.recorded(call);
        let head_end = request.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&request[..head_end]).into_owned();
        let (line, rest) = head.split_once("\r\n").unwrap_or((&head, ""));
        if line != call.request.line {
            self.differ(format!("call {made}: {line}, recorded {}", call.request.line));
        }
        let headers: Vec<_> = rest.lines().map(split_header).collect();
        let binary = "application/vnd.apache.thrift.binary".to_owned();
        let mut wanted =
            vec![("content-type".to_owned(), binary.clone()), ("accept".to_owned(), binary)];
        // A host has its port in it; the original forgot that.
        let special = call.request.headers.iter().map(|line| split_header(line));
        wanted.extend(special.filter(|(name, _)| name != "host"));
        for header in &wanted {
            if !headers.contains(header) {
                self.differ(format!("call {made}: lacks {}: {}", header.0, header.1));
            }
        }
        for (name, value) in &headers {
            let known =
                wanted.iter().any(|(wanted, _)| wanted == name) || UNCOMPARED.contains(&&**name);
            if !known {
                self.differ(format!("call {made}: has {name}: {value}"));
            }
        }
        match body_of(request).and_then(meaning) {
            Err(error) => self.differ(format!("call {made}: {error}")),
            Ok(found) if found.method != recorded.method => {
                self.differ(format!("call {made}: {}, recorded {}", found.method, recorded.method))
            }
            Ok(found) => {
                for line in differences(&found.args, &recorded.args) {
                    self.differ(format!("call {made}: {}{line}", found.method));
                }
            }
        }
    }

    fn play(&self, answer: &Answer) -> Vec<u8> {
        let body = self.bodies.get(&answer.body);
        let mut head = format!("HTTP/1.1 {}\r\n", answer.status);
        for header in &answer.headers {
            head.push_str(&format!("{header}\r\n"));
        }
        if !head.contains("Transfer-Encoding") {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        [head.as_bytes(), body].concat()
    }

    fn differ(&mut self, line: String) {
        self.differences.push(line);
    }

    /// Recorded calls that did not come.
    pub(crate) fn finish(&mut self) -> Vec<String> {
        for call in std::mem::take(&mut self.calls) {
            self.made += 1;
            self.differences.push(format!("call {}: none, recorded {}", self.made, call.method));
        }
        std::mem::take(&mut self.differences)
    }
}

/// A header, with its name in small letters.
fn split_header(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    (name.to_lowercase(), value.trim().to_owned())
}

fn body_of(request: &[u8]) -> Result<&[u8], String> {
    let start = request.windows(4).position(|window| window == b"\r\n\r\n");
    start.map(|start| &request[start + 4..]).ok_or_else(|| "no end of the head".to_owned())
}
