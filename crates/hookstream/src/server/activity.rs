//! Watchdog of one connection: its next deadline for progress, and a stream that fails if the peer does not read.
//!
//! A connection must send its first complete request head in time, may be idle between requests for a while, and must
//! make progress while requests are open. HTTP/1.1 and HTTP/2 have the same limits.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::body::Body;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep},
};

/// Maximum time from accepting a connection to its first complete request head, TLS included.
const FIRST_HEAD: Duration = Duration::from_secs(30);
/// Maximum time between two requests. Load balancers keep idle connections for 60 s, and should close them first.
pub(crate) const IDLE: Duration = Duration::from_secs(75);
/// Maximum time without progress while a request is open: no part of its body arrived and no part of a response was
/// sent. Longer than any operation takes.
const STALLED: Duration = Duration::from_secs(150);
/// Maximum time for which a peer may read nothing that is written to it.
const UNREAD: Duration = Duration::from_secs(60);

/// Activity on a connection.
#[derive(Debug, Clone)]
pub(crate) struct Activity(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    has_request: bool,
    open: usize,
    last: Instant,
}

impl Activity {
    /// Starts the activity of a connection that was accepted now.
    pub(crate) fn begin() -> Self {
        Self(Arc::new(Mutex::new(State { has_request: false, open: 0, last: Instant::now() })))
    }

    /// Returns the time by which the connection must have made progress.
    pub(crate) fn deadline(&self) -> Instant {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.last
            + match (state.has_request, state.open) {
                (false, _) => FIRST_HEAD,
                (true, 0) => IDLE,
                (true, _) => STALLED,
            }
    }

    /// Returns true if no request is open.
    pub(crate) fn is_idle(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).open == 0
    }

    /// Opens a request whose head has arrived; it stays open until the response body is dropped.
    pub(crate) fn request(&self) -> OpenRequest {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.has_request = true;
        state.open += 1;
        state.last = Instant::now();
        OpenRequest(self.clone())
    }

    fn note_progress(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).last = Instant::now();
    }
}

/// Request in progress.
#[derive(Debug)]
pub(crate) struct OpenRequest(Activity);

impl Drop for OpenRequest {
    fn drop(&mut self) {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.open -= 1;
        state.last = Instant::now();
    }
}

/// Body whose frames count as progress. The body of a response keeps its request open.
pub(crate) struct WatchedBody<B> {
    body: B,
    activity: Activity,
    /// True if the body was polled before. A frame that is ready at the first poll arrived with the head.
    has_begun: bool,
    _open: Option<OpenRequest>,
}

impl WatchedBody<Incoming> {
    pub(crate) fn of_request(body: Incoming, activity: &Activity) -> Self {
        Self { body, activity: activity.clone(), has_begun: false, _open: None }
    }
}

impl WatchedBody<Body> {
    pub(crate) fn of_answer(body: Body, open: OpenRequest) -> Self {
        Self { body, activity: open.0.clone(), has_begun: false, _open: Some(open) }
    }
}

impl<B: hyper::body::Body + Unpin> hyper::body::Body for WatchedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_ready() && self.has_begun {
            self.activity.note_progress();
        }
        self.has_begun = true;
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Stream that fails if its peer reads nothing for a while. `C` counts the connection and is dropped with the stream.
#[derive(Debug)]
pub(crate) struct WatchedStream<S, C> {
    stream: S,
    /// Timer, set while a write waits for the peer.
    unread: Option<Pin<Box<Sleep>>>,
    _counted: C,
}

impl<S, C> WatchedStream<S, C> {
    pub(crate) const fn new(stream: S, counted: C) -> Self {
        Self { stream, unread: None, _counted: counted }
    }

    /// Returns the result of a write, or an error if the write has waited too long.
    fn limit<T>(&mut self, polled: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.unread = None;
            return polled;
        }
        let unread = self.unread.get_or_insert_with(|| Box::pin(tokio::time::sleep(UNREAD)));
        match unread.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the peer reads nothing"))),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<S: AsyncRead + Unpin, C: Unpin> AsyncRead for WatchedStream<S, C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin, C: Unpin> AsyncWrite for WatchedStream<S, C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.limit(polled, cx)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, cx: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.limit(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.limit(polled, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.limit(polled, cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn connection_must_make_progress_in_each_state() {
        let activity = Activity::begin();
        assert_eq!(activity.deadline(), Instant::now() + FIRST_HEAD);
        let request = activity.request();
        assert_eq!((activity.deadline(), activity.is_idle()), (Instant::now() + STALLED, false));
        tokio::time::advance(Duration::from_secs(10)).await;
        assert_eq!(activity.deadline(), Instant::now() + STALLED - Duration::from_secs(10));
        activity.note_progress();
        assert_eq!(activity.deadline(), Instant::now() + STALLED);
        drop(request);
        assert_eq!((activity.deadline(), activity.is_idle()), (Instant::now() + IDLE, true));
    }

    #[tokio::test(start_paused = true)]
    async fn unread_write_fails_and_read_write_succeeds() {
        let (ours, mut peer) = tokio::io::duplex(4);
        let mut stream = WatchedStream::new(ours, ());
        stream.write_all(b"1234").await.expect("there is room");
        let begun = Instant::now();
        let refused = stream.write_all(b"5").await.expect_err("the peer does not read");
        assert_eq!((refused.kind(), begun.elapsed()), (io::ErrorKind::TimedOut, UNREAD));
        let mut read = [0; 4];
        peer.read_exact(&mut read).await.expect("four bytes");
        stream.write_all(b"5").await.expect("there is room again");
    }
}
