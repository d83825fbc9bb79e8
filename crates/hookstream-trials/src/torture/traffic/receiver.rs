//! Receiver: a little slow, so that attempts are always in flight; unreliable on some first attempts, and misbehaving
//! on request.

use std::{
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{Poll, ready},
    time::Duration,
};

use anyhow::Context;
use bytes::Bytes;
use hookstream_cli::clock::SystemClock;
use hookstream_model::base::time::Clock;
use http::{HeaderValue, Response, StatusCode, header::RETRY_AFTER, request::Parts};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::body::{Body, Frame};
use rand::{RngExt, rngs::StdRng};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    time::{Interval, interval, sleep},
};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::ledger::Ledger;
use crate::{
    torture::{faults::clocks::Clocks, knobs::PROBES_FROM},
    traffic::{
        listener::{Receive, converse, fails_first, header, plain},
        payload,
    },
};

/// Response time.
const DELAY: Duration = Duration::from_millis(15);
/// Interval between bytes of a trickling response.
const BYTE_EVERY: Duration = Duration::from_millis(200);
/// Pause before the next try to bind the address.
const REBIND_PAUSE: Duration = Duration::from_millis(10);

/// Behaviour of the receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// Accepts every request.
    Accepts,
    /// Responds with a status, and a `Retry-After` of this many seconds if any.
    Refuses(StatusCode, Option<u16>),
    /// Reads a request and resets the connection.
    Resets,
    /// Reads a request and never responds.
    Hangs,
    /// Responds with a status and an endless body, byte by byte. The status counts.
    Trickles(StatusCode),
    /// Resets its connections and refuses new ones.
    Away,
}

/// Listening receiver, closed on drop.
pub(crate) struct Receiver {
    address: SocketAddr,
    behaviour: watch::Sender<Behaviour>,
    _listening: AbortOnDropHandle<()>,
}

impl Behaviour {
    /// Returns a random misbehaviour.
    pub(crate) fn bad(rng: &mut StdRng) -> Self {
        match rng.random_range(0..8) {
            0 => Self::Refuses(StatusCode::INTERNAL_SERVER_ERROR, None),
            1 => Self::Refuses(StatusCode::SERVICE_UNAVAILABLE, Some(rng.random_range(1..=2))),
            2 => Self::Refuses(StatusCode::TOO_MANY_REQUESTS, Some(1)),
            3 => Self::Resets,
            4 => Self::Hangs,
            5 => Self::Trickles(StatusCode::OK),
            6 => Self::Trickles(StatusCode::INTERNAL_SERVER_ERROR),
            _ => Self::Away,
        }
    }
}

impl Receiver {
    /// Listens on loopback, and notes arrivals.
    pub(crate) async fn start(state: ReceiverState, tasks: &TaskTracker) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("could not listen for the receiver")?;
        let address = listener.local_addr()?;
        let behaviour = state.behaviour.clone();
        let listening = tasks.spawn(listen(listener, address, Arc::new(state), tasks.clone()));
        Ok(Self { address, behaviour, _listening: AbortOnDropHandle::new(listening) })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub(crate) fn set(&self, behaviour: Behaviour) {
        self.behaviour.send_replace(behaviour);
    }
}

async fn listen(mut listener: TcpListener, address: SocketAddr, state: Arc<ReceiverState>, tasks: TaskTracker) {
    let mut behaviours = state.behaviour.subscribe();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { continue };
                tasks.spawn(serve(stream, Arc::clone(&state)));
            }
            () = until(&mut behaviours, |behaviour| behaviour == Behaviour::Away) => {
                drop(listener);
                listener = listen_again(address, &mut behaviours).await;
            }
        }
    }
}

/// Stays away for the requested time, then listens again.
async fn listen_again(address: SocketAddr, behaviours: &mut watch::Receiver<Behaviour>) -> TcpListener {
    loop {
        // Bound without listening: no other process gets the address, and connections are refused.
        let place = TcpSocket::new_v4().and_then(|socket| {
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            Ok(socket)
        });
        until(behaviours, |behaviour| behaviour != Behaviour::Away).await;
        match place.and_then(|socket| socket.listen(1024)) {
            Ok(listener) => return listener,
            Err(_) => sleep(REBIND_PAUSE).await,
        }
    }
}

async fn serve(stream: TcpStream, state: Arc<ReceiverState>) {
    // With this option, closing the connection resets it.
    let _ = stream.set_zero_linger();
    let mut behaviours = state.behaviour.subscribe();
    tokio::select! {
        () = converse(stream, state) => {}
        () = until(&mut behaviours, |behaviour| behaviour == Behaviour::Away) => {}
    }
}

async fn until(behaviours: &mut watch::Receiver<Behaviour>, is_met: impl Fn(Behaviour) -> bool) {
    let _ = behaviours.wait_for(|behaviour| is_met(*behaviour)).await;
}

/// State of the receiver, shared by its connections.
pub(crate) struct ReceiverState {
    ledger: Arc<Ledger>,
    clocks: Arc<Clocks>,
    /// Share of messages whose first attempt gets a 500 response.
    fail_share: f64,
    behaviour: watch::Sender<Behaviour>,
}

impl ReceiverState {
    pub(crate) fn new(ledger: Arc<Ledger>, clocks: Arc<Clocks>, fail_share: f64) -> Self {
        Self { ledger, clocks, fail_share, behaviour: watch::Sender::new(Behaviour::Accepts) }
    }
}

/// Returns the number and id of each message in a request.
fn messages<'a>(head: &'a Parts, body: &'a [u8]) -> Option<Vec<(usize, &'a str)>> {
    let id = header(&head.headers, "webhook-id");
    let size = header(&head.headers, "x-hookstream-batch-size");
    if size.is_empty() {
        return Some(vec![(payload::number(body)?, id)]);
    }
    let batch = payload::batch(body)?;
    let is_consistent = id.starts_with("batch_") && size.parse() == Ok(batch.len()) && !batch.is_empty();
    is_consistent.then(|| batch.iter().map(|one| Some((one.number()?, one.id))).collect())?
}

impl Receive for ReceiverState {
    type Body = UnsyncBoxBody<Bytes, Infallible>;

    async fn receive(&self, head: Parts, body: Bytes) -> io::Result<Response<Self::Body>> {
        let Some(messages) = messages(&head, &body) else { return Ok(boxed(plain(StatusCode::BAD_REQUEST))) };
        let behaviour = *self.behaviour.borrow();
        match behaviour {
            Behaviour::Accepts | Behaviour::Trickles(StatusCode::OK) => {}
            Behaviour::Refuses(status, retry_after) => {
                let mut response = plain(status);
                response.headers_mut().extend(retry_after.map(|seconds| (RETRY_AFTER, HeaderValue::from(seconds))));
                return Ok(boxed(response));
            }
            Behaviour::Resets | Behaviour::Away => return Err(io::ErrorKind::ConnectionReset.into()),
            Behaviour::Hangs => std::future::pending().await,
            Behaviour::Trickles(status) => return Ok(trickle(status)),
        }
        let signed_at = header(&head.headers, "webhook-timestamp").parse();
        if !signed_at.is_ok_and(|seconds| self.clocks.recently_showed(seconds, SystemClock.now())) {
            self.ledger.wrongly_timed();
        }
        sleep(DELAY).await;
        // A probe measures a time that must not include the wait for a retry.
        let fails = |number: usize| number < PROBES_FROM && fails_first(number, self.fail_share);
        if header(&head.headers, "x-hookstream-delivery-attempt") == "1" && messages.iter().any(|(number, _)| fails(*number)) {
            messages.iter().for_each(|(number, _)| self.ledger.failed_first(*number));
            return Ok(boxed(plain(StatusCode::INTERNAL_SERVER_ERROR)));
        }
        messages.iter().for_each(|(number, id)| self.ledger.arrived(*number, id));
        Ok(if behaviour == Behaviour::Accepts { boxed(plain(StatusCode::NO_CONTENT)) } else { trickle(StatusCode::OK) })
    }
}

fn trickle(status: StatusCode) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    let mut response = Response::new(Trickle(interval(BYTE_EVERY)));
    *response.status_mut() = status;
    boxed(response)
}

fn boxed(response: Response<impl Body<Data = Bytes, Error = Infallible> + Send + 'static>) -> Response<UnsyncBoxBody<Bytes, Infallible>> {
    response.map(BodyExt::boxed_unsync)
}

/// Endless body with a byte per interval.
struct Trickle(Interval);

impl Body for Trickle {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut std::task::Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        ready!(self.0.poll_tick(context));
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b".")))))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Returns the response within half a second, as far as received, or the error.
    async fn response(receiver: &Receiver) -> Result<String, io::ErrorKind> {
        let mut stream = TcpStream::connect(receiver.address).await.map_err(|error| error.kind())?;
        let body = r#"{"n":"0000000000000001"}"#;
        let request = format!("POST / HTTP/1.1\r\nhost: x\r\nwebhook-id: a\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).await.map_err(|error| error.kind())?;
        let mut read = Vec::new();
        let reading = stream.read_to_end(&mut read);
        match tokio::time::timeout(Duration::from_millis(500), reading).await {
            Ok(Err(error)) => Err(error.kind()),
            Ok(Ok(_)) | Err(_) => Ok(String::from_utf8_lossy(&read).into_owned()),
        }
    }

    #[tokio::test]
    async fn each_mood_behaves_as_named_and_ends() {
        let ledger = Arc::new(Ledger::default());
        let state = ReceiverState::new(Arc::clone(&ledger), Arc::new(Clocks::new(1)), 0.0);
        let receiver = Receiver::start(state, &TaskTracker::new()).await.expect("it listens");
        let check = async |behaviour, expected: Result<&str, io::ErrorKind>| {
            receiver.set(behaviour);
            // The receiver changes its behaviour soon, but not at once.
            sleep(Duration::from_millis(50)).await;
            let response = response(&receiver).await;
            match expected {
                Ok(part) => assert!(response.as_ref().is_ok_and(|text| text.contains(part)), "{behaviour:?}: {response:?}"),
                Err(kind) => assert_eq!(response, Err(kind), "{behaviour:?}"),
            }
        };
        check(Behaviour::Refuses(StatusCode::SERVICE_UNAVAILABLE, Some(2)), Ok("retry-after: 2\r\n")).await;
        check(Behaviour::Resets, Err(io::ErrorKind::ConnectionReset)).await;
        check(Behaviour::Hangs, Ok("")).await;
        check(Behaviour::Trickles(StatusCode::INTERNAL_SERVER_ERROR), Ok("1\r\n.\r\n1\r\n.\r\n")).await;
        check(Behaviour::Away, Err(io::ErrorKind::ConnectionRefused)).await;
        assert!(!ledger.has_arrived("a"));
        check(Behaviour::Trickles(StatusCode::OK), Ok("1\r\n.\r\n1\r\n.\r\n")).await;
        assert!(ledger.has_arrived("a"), "a complete head decides");
        check(Behaviour::Accepts, Ok("HTTP/1.1 204")).await;
        assert!(ledger.has_arrived("a"));
    }
}
