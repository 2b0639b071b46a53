//! An agent for one executor at a time, as thin as can be: what comes is noted with the moment at
//! which it was read from the socket, and answered.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use mesos_executor::v1::executor::event::{Acknowledged, Launch, Subscribed, Type};
use mesos_executor::v1::executor::{Call, Event, call};
use mesos_executor::v1::{
    AgentId, AgentInfo, ExecutorId, ExecutorInfo, FrameworkId, FrameworkInfo, TaskId, TaskInfo,
    TaskState,
};
use mesos_executor::{Format, recordio};

use crate::{Context, Result};

/// How long anything may take before the benchmark fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// The framework of every executor here.
pub(crate) const FRAMEWORK: &str = "bench-framework";

/// The executor.
pub(crate) const EXECUTOR: &str = "bench-executor";

const FORMAT: Format = Format::Protobuf;

/// A call, and when its last byte was read.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) call: Call,
}

/// The agent. Its threads end with the program.
pub(crate) struct Agent {
    address: SocketAddr,
    calls: Receiver<Seen>,
    stream: Stream,
}

/// The executor's stream of events, if it has subscribed.
type Stream = Arc<Mutex<Option<TcpStream>>>;

impl Agent {
    pub(crate) fn start() -> Result<Agent> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("failed to listen")?;
        let address = listener.local_addr()?;
        let (sender, calls) = channel();
        let stream = Stream::default();
        let shared = Arc::clone(&stream);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (sender, stream) = (sender.clone(), Arc::clone(&shared));
                // A connection that breaks is one whose executor has ended.
                thread::spawn(move || serve(connection, &sender, &stream).is_ok());
            }
        });
        Ok(Agent { address, calls, stream })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Forgets calls that nobody has asked for, and the stream.
    pub(crate) fn reset(&self) {
        while self.calls.try_recv().is_ok() {}
        *self.stream.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// The moment at which the executor subscribed.
    pub(crate) fn subscribed(&self) -> Result<Instant> {
        let seen = self.next()?;
        match seen.call.r#type() {
            call::Type::Subscribe => Ok(seen.at),
            other => Err(format!("expected SUBSCRIBE, got {other:?}").into()),
        }
    }

    /// The moment of the next update, which must be this.
    pub(crate) fn update(&self, state: TaskState) -> Result<Instant> {
        let seen = self.next()?;
        let status = seen.call.update.as_ref().map(|update| &update.status);
        match status {
            Some(status) if status.state() == state => Ok(seen.at),
            _ => Err(format!("expected {state:?}, got {status:?}").into()),
        }
    }

    fn next(&self) -> Result<Seen> {
        self.calls.recv_timeout(PATIENCE).map_err(|error| match error {
            RecvTimeoutError::Timeout => format!("no call in {PATIENCE:?}").into(),
            RecvTimeoutError::Disconnected => "the agent has ended".into(),
        })
    }

    /// Launches a task; returns the moment before its first byte was sent.
    pub(crate) fn launch(&self, task_id: &str, data: Vec<u8>) -> Result<Instant> {
        let task = TaskInfo {
            name: "bench".to_owned(),
            task_id: TaskId { value: task_id.to_owned() },
            agent_id: AgentId { value: "bench-agent".to_owned() },
            executor: Some(executor_info()),
            data: Some(data),
            ..TaskInfo::default()
        };
        let event = Event { launch: Some(Launch { task }), ..event(Type::Launch) };
        let chunk = chunk(&event);
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = stream.as_mut().context("the executor has not subscribed")?;
        let at = Instant::now();
        stream.write_all(&chunk).context("failed to launch")?;
        Ok(at)
    }
}

/// The bytes of a subscription, as an executor sends them.
pub(crate) fn subscription() -> Vec<u8> {
    let body = FORMAT.encode(&Call {
        executor_id: ExecutorId { value: EXECUTOR.to_owned() },
        framework_id: FrameworkId { value: FRAMEWORK.to_owned() },
        r#type: Some(call::Type::Subscribe.into()),
        subscribe: Some(call::Subscribe::default()),
        update: None,
        message: None,
    });
    let head = format!(
        "POST /api/v1/executor HTTP/1.1\r\nhost: localhost\r\ncontent-type: {0}\r\naccept: {0}\r\n\
         content-length: {1}\r\n\r\n",
        FORMAT.content_type(),
        body.len()
    );
    [head.into_bytes(), body].concat()
}

/// Answers the calls of one connection until it breaks.
fn serve(mut connection: TcpStream, calls: &Sender<Seen>, stream: &Stream) -> Result<()> {
    connection.set_nodelay(true)?;
    let mut buffer = Vec::new();
    while let Some((body, at)) = request(&mut connection, &mut buffer)? {
        let call: Call = FORMAT.decode(&body)?;
        match call.r#type() {
            call::Type::Subscribe => {
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
                    FORMAT.content_type()
                );
                connection.write_all(&[head.into_bytes(), chunk(&subscribed())].concat())?;
                let events = connection.try_clone()?;
                *stream.lock().unwrap_or_else(PoisonError::into_inner) = Some(events);
            }
            _ => {
                connection.write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")?;
                if let Some(update) = &call.update {
                    let acknowledged = Acknowledged {
                        task_id: update.status.task_id.clone(),
                        uuid: update.status.uuid.clone().unwrap_or_default(),
                    };
                    let event =
                        Event { acknowledged: Some(acknowledged), ..event(Type::Acknowledged) };
                    let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
                    if let Some(stream) = stream.as_mut() {
                        stream.write_all(&chunk(&event))?;
                    }
                }
            }
        }
        calls.send(Seen { at, call })?;
    }
    Ok(())
}

/// The body of the next request, and when it was complete; `None`: there is no further one.
fn request(from: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<Option<(Vec<u8>, Instant)>> {
    let mut piece = [0; 16 << 10];
    loop {
        let read = from.read(&mut piece)?;
        let at = Instant::now();
        if read == 0 {
            return Ok(None);
        }
        buffer.extend_from_slice(&piece[..read]);
        let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
        let head = std::str::from_utf8(&buffer[..end])?.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.context("a request without a length")?.trim().parse()?;
        let (begin, end) = (end + 4, end + 4 + length);
        if buffer.len() >= end {
            let body = buffer[begin..end].to_vec();
            buffer.drain(..end);
            return Ok(Some((body, at)));
        }
    }
}

/// A record in a chunk of HTTP.
fn chunk(event: &Event) -> Vec<u8> {
    let mut record = Vec::new();
    recordio::encode(&FORMAT.encode(event), &mut record);
    let mut chunk = format!("{:x}\r\n", record.len()).into_bytes();
    chunk.extend_from_slice(&record);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

fn event(kind: Type) -> Event {
    Event { r#type: Some(kind.into()), ..Event::default() }
}

fn executor_info() -> ExecutorInfo {
    ExecutorInfo {
        executor_id: ExecutorId { value: EXECUTOR.to_owned() },
        framework_id: Some(FrameworkId { value: FRAMEWORK.to_owned() }),
        ..ExecutorInfo::default()
    }
}

fn subscribed() -> Event {
    let subscribed = Subscribed {
        executor_info: executor_info(),
        framework_info: FrameworkInfo {
            user: "root".to_owned(),
            name: "bench".to_owned(),
            id: Some(FrameworkId { value: FRAMEWORK.to_owned() }),
            ..FrameworkInfo::default()
        },
        agent_info: AgentInfo { hostname: "localhost".to_owned(), ..AgentInfo::default() },
        ..Subscribed::default()
    };
    Event { subscribed: Some(subscribed), ..event(Type::Subscribed) }
}
