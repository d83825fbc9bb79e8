//! Minimal HTTP receiver.

use std::{convert::Infallible, io, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, request::Parts};
use http_body_util::{BodyExt, Empty};
use hyper::{
    body::{Body, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

/// Handler that decides the response to each delivery.
pub(crate) trait Receive: Send + Sync + 'static {
    type Body: Body<Data = Bytes, Error = Infallible> + Send + 'static;

    /// Returns the response; an error ends the connection without one.
    fn receive(&self, head: Parts, body: Bytes) -> impl Future<Output = io::Result<Response<Self::Body>>> + Send;
}

/// Accepts connections until dropped.
pub(crate) async fn serve(listener: TcpListener, receiver: Arc<impl Receive>, tasks: TaskTracker) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        tasks.spawn(converse(stream, Arc::clone(&receiver)));
    }
}

/// Serves one connection until it ends; the reason is the server's concern.
pub(crate) async fn converse(stream: TcpStream, receiver: Arc<impl Receive>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| respond(Arc::clone(&receiver), request));
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Returns a response that consists of its status.
pub(crate) fn plain(status: StatusCode) -> Response<Empty<Bytes>> {
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    response
}

async fn respond<R: Receive>(receiver: Arc<R>, request: Request<Incoming>) -> io::Result<Response<R::Body>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?;
    receiver.receive(head, body.to_bytes()).await
}

/// Returns a header as text; empty if it is missing or not text.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Returns whether a message belongs to the `share` that fails first. Decided by its number, so that a run repeats.
pub(crate) fn fails_first(number: usize, share: f64) -> bool {
    // The golden ratio's multiples are spread evenly (Knuth, volume 3, section 6.4).
    share > 0.0 && (number as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) as f64 / u64::MAX as f64 <= share
}

#[cfg(test)]
mod tests {
    use super::fails_first;

    #[test]
    fn failing_share_is_exact() {
        let count = |share| (0..10_000).filter(|number| fails_first(*number, share)).count();
        assert_eq!(count(0.0), 0);
        assert!((290..=310).contains(&count(0.03)), "{}", count(0.03));
        assert_eq!(count(1.0), 10_000);
    }
}
