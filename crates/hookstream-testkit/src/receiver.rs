//! Receivers on loopback: one that speaks HTTP and answers as told, one that does to its connections
//! whatever a test wants.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::eventually;

/// A request that arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, byte for byte.
    pub body: Bytes,
}

impl Received {
    /// A header as text; empty where it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The `webhook-id`.
    pub fn id(&self) -> String {
        self.header("webhook-id").to_owned()
    }
}

/// What to answer.
#[derive(Debug, Clone)]
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    delay: Duration,
}

impl Answer {
    /// A status without headers or body, at once.
    pub fn status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).expect("a status");
        Self { status, headers: HeaderMap::new(), body: Bytes::new(), delay: Duration::ZERO }
    }

    /// With a header.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().expect("a header's value"));
        self
    }

    /// With a body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// After so long.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

type Script = dyn Fn(&Received) -> Answer + Send + Sync;

struct Shared {
    script: Mutex<Arc<Script>>,
    received: Mutex<Vec<Received>>,
}

/// A receiver that speaks HTTP/1.1, keeps what arrives, and answers as told. It ends when dropped.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    _serving: AbortOnDropHandle<()>,
}

impl Receiver {
    /// One that answers everything with 204.
    pub async fn start() -> Self {
        Self::answering(|_| Answer::status(204)).await
    }

    /// One that answers as `script` says.
    pub async fn answering(script: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared { script: Mutex::new(Arc::new(script)), received: Mutex::default() });
        let serving = TaskTracker::new().spawn(serve(listener, Arc::clone(&shared)));
        Self { address, shared, _serving: AbortOnDropHandle::new(serving) }
    }

    /// From now on answers as `script` says.
    pub fn answer(&self, script: impl Fn(&Received) -> Answer + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(script);
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// What has arrived so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until so many have arrived.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        eventually(&format!("{count} deliveries"), async || Some(self.received()).filter(|received| received.len() >= count)).await
    }
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let connections = TaskTracker::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| receive(Arc::clone(&shared), request));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        connections.spawn(async move { connection.await.is_ok() });
    }
}

async fn receive(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let received = Received { method: head.method, path: head.uri.to_string(), headers: head.headers, body };
    let script = Arc::clone(&shared.script.lock().unwrap_or_else(PoisonError::into_inner));
    let answer = script(&received);
    shared.received.lock().unwrap_or_else(PoisonError::into_inner).push(received);
    tokio::time::sleep(answer.delay).await;
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    Ok(response)
}

/// A receiver whose every connection is handed to `script`, bytes and all. It ends when dropped.
pub struct RawReceiver {
    address: SocketAddr,
    _serving: AbortOnDropHandle<()>,
}

impl RawReceiver {
    /// Starts it.
    pub async fn start<F: Future<Output = ()> + Send + 'static>(script: impl Fn(TcpStream) -> F + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
        let address = listener.local_addr().expect("it is bound");
        let serving = TaskTracker::new().spawn(async move {
            let connections = TaskTracker::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                connections.spawn(script(stream));
            }
        });
        Self { address, _serving: AbortOnDropHandle::new(serving) }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }
}
