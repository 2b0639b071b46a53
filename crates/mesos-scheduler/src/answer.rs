//! What a master's answer to a call means. Pure.
//!
//! | status                              | meaning                                                |
//! |-------------------------------------|--------------------------------------------------------|
//! | 200, 202                            | taken; for SUBSCRIBE, 200: a stream follows            |
//! | 307, `Location`                     | another master leads                                   |
//! | 404, 408, 425, 429, 503             | not now: the master starts, recovers, or is busy       |
//! | 500 and above                       | something broke; nobody knows what was done            |
//! | 400 or 403 about the subscription   | this is not (or no longer) the framework's stream      |
//! | 401                                 | the credentials are missing or wrong                   |
//! | other 4xx                           | the call is wrong, and always will be                  |

use std::fmt;

use mesos_executor::answer::text;
use mesos_executor::environment::Endpoint;

/// What a master makes of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was taken. Whether it has an effect is told by events.
    Accepted,
    /// Another master leads; this one, if the answer says which.
    Elsewhere(Option<Endpoint>),
    /// It was not looked at, and may be later.
    Later(String),
    /// Something broke on the other side; it may have been taken.
    Broken(String),
    /// The master does not take this stream for that of the framework: subscribe again.
    Unsubscribed(String),
    /// The master does not know who is calling.
    Unauthorized(String),
    /// It is wrong.
    Refused(Rejection),
}

/// A call that a master calls wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Status of HTTP.
    pub status: u16,
    /// The master's text.
    pub text: String,
}

/// What is wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It cannot be read, or lacks or contradicts something: 400.
    Invalid,
    /// The framework must not do that: 403.
    Forbidden,
    /// The path knows no POST: 405.
    Method,
    /// The encoding that was asked for is not spoken: 406.
    Accept,
    /// It is too long: 413.
    TooLong,
    /// Its encoding is not spoken: 415.
    Encoding,
    /// Something else.
    Other,
}

impl Rejection {
    /// What is wrong.
    pub fn fault(&self) -> Fault {
        match self.status {
            400 => Fault::Invalid,
            403 => Fault::Forbidden,
            405 => Fault::Method,
            406 => Fault::Accept,
            413 => Fault::TooLong,
            415 => Fault::Encoding,
            _ => Fault::Other,
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the master refused it with HTTP {}: {}", self.status, self.text)
    }
}

impl std::error::Error for Rejection {}

/// What an answer means. `location`: the header of this name.
pub fn verdict(status: u16, location: Option<&str>, body: &[u8]) -> Verdict {
    let said = text(body);
    match status {
        200..=299 => Verdict::Accepted,
        300..=399 => Verdict::Elsewhere(location.and_then(endpoint)),
        401 => Verdict::Unauthorized(said),
        404 | 408 | 425 | 429 | 503 => {
            Verdict::Later(format!("the master answered HTTP {status}: {said}"))
        }
        400 | 403 if is_about_the_subscription(&said) => Verdict::Unsubscribed(said),
        400..=499 => Verdict::Refused(Rejection { status, text: said }),
        _ => Verdict::Broken(format!("the master answered HTTP {status}: {said}")),
    }
}

/// The master of a `Location`, which Mesos writes without a scheme: `//host:port/path`.
pub fn endpoint(location: &str) -> Option<Endpoint> {
    let rest = location.strip_prefix("http:").unwrap_or(location).strip_prefix("//")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    Endpoint::parse(authority)
}

fn is_about_the_subscription(text: &str) -> bool {
    [
        "Framework cannot be found",
        "Framework is not subscribed",
        "didn't match the stream ID",
        "should include the 'Mesos-Stream-Id' header",
    ]
    .iter()
    .any(|said| text.contains(said))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn at(text: &str) -> Endpoint {
        Endpoint::parse(text).unwrap()
    }

    fn refused(status: u16, text: &str) -> Verdict {
        Verdict::Refused(Rejection { status, text: text.to_owned() })
    }

    #[rstest]
    #[case(202, "", Verdict::Accepted)]
    #[case(200, "", Verdict::Accepted)]
    #[case(307, "", Verdict::Elsewhere(None))]
    #[case(401, "401 Unauthorized.", Verdict::Unauthorized("401 Unauthorized.".into()))]
    #[case(404, "404 Not Found.", Verdict::Later("the master answered HTTP 404: 404 Not Found.".into()))]
    #[case(503, "Master has not finished recovery",
        Verdict::Later("the master answered HTTP 503: Master has not finished recovery".into()))]
    #[case(500, "oh\nno", Verdict::Broken("the master answered HTTP 500: oh no".into()))]
    #[case(400, "Framework cannot be found", Verdict::Unsubscribed("Framework cannot be found".into()))]
    #[case(403, "Framework is not subscribed", Verdict::Unsubscribed("Framework is not subscribed".into()))]
    #[case(400, "All non-subscribe calls should include the 'Mesos-Stream-Id' header",
        Verdict::Unsubscribed("All non-subscribe calls should include the 'Mesos-Stream-Id' header".into()))]
    #[case(400, "The stream ID 'a' included in this request didn't match the stream ID currently associated with framework ID b",
        Verdict::Unsubscribed("The stream ID 'a' included in this request didn't match the stream ID currently associated with framework ID b".into()))]
    #[case(400, "Not a valid UUID", refused(400, "Not a valid UUID"))]
    #[case(403, "", refused(403, ""))]
    #[case(406, "", refused(406, ""))]
    #[case(413, "", refused(413, ""))]
    #[case(415, "x", refused(415, "x"))]
    #[case(418, "", refused(418, ""))]
    #[case(100, "", Verdict::Broken("the master answered HTTP 100: ".into()))]
    fn verdicts(#[case] status: u16, #[case] body: &str, #[case] expected: Verdict) {
        assert_eq!(verdict(status, None, body.as_bytes()), expected);
    }

    #[rstest]
    #[case("//127.0.0.1:5050/master/api/v1/scheduler", Some("127.0.0.1:5050"))]
    #[case("//h:1", Some("h:1"))]
    #[case("http://h:1/x", Some("h:1"))]
    #[case("//[::1]:5050/", Some("[::1]:5050"))]
    #[case("//h/x", None)]
    #[case("/x", None)]
    #[case("https://h:1/", None)]
    #[case("//user@h:1/", None)]
    #[case("", None)]
    fn locations(#[case] location: &str, #[case] expected: Option<&str>) {
        assert_eq!(endpoint(location), expected.map(at));
        assert_eq!(verdict(307, Some(location), b""), Verdict::Elsewhere(expected.map(at)));
    }

    #[rstest]
    #[case(400, Fault::Invalid)]
    #[case(403, Fault::Forbidden)]
    #[case(405, Fault::Method)]
    #[case(406, Fault::Accept)]
    #[case(413, Fault::TooLong)]
    #[case(415, Fault::Encoding)]
    #[case(422, Fault::Other)]
    fn faults(#[case] status: u16, #[case] fault: Fault) {
        assert_eq!(Rejection { status, text: String::new() }.fault(), fault);
    }
}
