//! What the servers for executors and for schedulers have in common, on hyper.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::api::Refusal;

/// Pause after a connection that could not be accepted: descriptors may be short.
const PAUSE: Duration = Duration::from_millis(100);

/// Where connections come from.
pub(crate) trait Listener {
    /// One of them.
    type Io: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// Waits for the next.
    fn next(&self) -> impl Future<Output = io::Result<Self::Io>> + Send;
}

impl Listener for TcpListener {
    type Io = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.accept().await?;
        // Records are small, and each is waited for.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }
}

impl Listener for UnixListener {
    type Io = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        Ok(self.accept().await?.0)
    }
}

/// Answers the requests of all connections until it is aborted; connections end with this future.
pub(crate) async fn serve<L, F, A, G>(listener: L, answer: F)
where
    L: Listener,
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Response<Reply<G>>> + Send + 'static,
    G: Send + Unpin + 'static,
{
    let mut connections = tokio::task::JoinSet::new();
    loop {
        match listener.next().await {
            Ok(stream) => {
                let answer = answer.clone();
                connections.spawn(async move {
                    let service = service_fn(move |request| {
                        let answered = answer(request);
                        async move { Ok::<_, Infallible>(answered.await) }
                    });
                    // Errors are those of a connection that is gone.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .title_case_headers(true)
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

/// An answer.
pub(crate) fn response<G>(status: StatusCode, body: Reply<G>) -> Response<Reply<G>> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

/// The answer that says why a request is refused.
pub(crate) fn refused<G>(refusal: Refusal) -> Response<Reply<G>> {
    let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = response(status, Reply::Whole(Some(Bytes::from(refusal.text))));
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}

/// The body of an answer.
pub(crate) enum Reply<G> {
    /// All that there is to say.
    Whole(Option<Bytes>),
    /// Records, as they come; the guard acts when this is dropped.
    Records(UnboundedReceiver<Bytes>, #[allow(dead_code, reason = "it acts when dropped")] G),
}

impl<G: Unpin> Body for Reply<G> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Reply::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Reply::Records(records, _) => {
                records.poll_recv(context).map(|record| record.map(|bytes| Ok(Frame::data(bytes))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Reply::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Reply::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Reply::Records(..) => SizeHint::default(),
        }
    }
}
