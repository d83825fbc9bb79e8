//! Receivers on loopback: an HTTP server with scripted responses, and a TCP server whose connections run a script.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::eventually;

/// Received request.
#[derive(Debug, Clone)]
pub struct Received {
    /// HTTP method.
    pub method: Method,
    /// HTTP version.
    pub version: Version,
    /// Path and query.
    pub path: String,
    /// Request headers.
    pub headers: HeaderMap,
    /// Request body, byte for byte.
    pub body: Bytes,
    /// Time of arrival.
    pub at: Instant,
}

impl Received {
    /// Returns a header as text; empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Value of `webhook-id`.
    pub fn id(&self) -> String {
        self.header("webhook-id").to_owned()
    }
}

/// Scripted response.
#[derive(Debug, Clone)]
pub struct CannedResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    delay: Duration,
}

impl CannedResponse {
    /// Builds a response without headers and body.
    pub fn status(status: u16) -> Self {
        let status = StatusCode::from_u16(status).expect("a status");
        Self { status, headers: HeaderMap::new(), body: Bytes::new(), delay: Duration::ZERO }
    }

    /// Adds a header.
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().expect("a header's value"));
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Delays the response.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

type Script = dyn Fn(&Received) -> CannedResponse + Send + Sync;

struct Shared {
    script: Mutex<Arc<Script>>,
    received: Mutex<Vec<Received>>,
    connections: AtomicUsize,
}

/// Receiver that records requests and sends scripted responses. It speaks HTTP/1.1, or over TLS the protocols of its
/// configuration. It stops when dropped.
pub struct Receiver {
    scheme: &'static str,
    address: SocketAddr,
    shared: Arc<Shared>,
    _serving: AbortOnDropHandle<()>,
}

impl Receiver {
    /// Starts a receiver that responds 204 to everything.
    pub async fn start() -> Self {
        Self::responding(|_| CannedResponse::status(204)).await
    }

    /// Starts a receiver that responds according to `script`.
    pub async fn responding(script: impl Fn(&Received) -> CannedResponse + Send + Sync + 'static) -> Self {
        Self::listening(None, script).await
    }

    /// Starts a receiver with TLS.
    pub async fn secure(tls: Arc<ServerConfig>, script: impl Fn(&Received) -> CannedResponse + Send + Sync + 'static) -> Self {
        Self::listening(Some(tls.into()), script).await
    }

    async fn listening(tls: Option<TlsAcceptor>, script: impl Fn(&Received) -> CannedResponse + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
        let address = listener.local_addr().expect("the listener is bound");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared =
            Arc::new(Shared { script: Mutex::new(Arc::new(script)), received: Mutex::default(), connections: AtomicUsize::default() });
        let serving = TaskTracker::new().spawn(serve(listener, tls, Arc::clone(&shared)));
        Self { scheme, address, shared, _serving: AbortOnDropHandle::new(serving) }
    }

    /// Replaces the script.
    pub fn respond(&self, script: impl Fn(&Received) -> CannedResponse + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(script);
    }

    /// URL of the receiver.
    pub fn url(&self) -> String {
        format!("{}://{}/hook", self.scheme, self.address)
    }

    /// URL of the receiver with another host name.
    pub fn url_at(&self, host: &str) -> String {
        format!("{}://{host}:{}/hook", self.scheme, self.address.port())
    }

    /// Number of connections so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `count` requests have arrived.
    pub async fn wait_for(&self, count: usize) -> Vec<Received> {
        eventually(&format!("{count} deliveries"), async || Some(self.received()).filter(|received| received.len() >= count)).await
    }
}

async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let connections = TaskTracker::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let _ = stream.set_nodelay(true);
        connections.spawn(speak(stream, tls.clone(), Arc::clone(&shared)));
    }
}

async fn speak(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let service = service_fn(move |request| receive(Arc::clone(&shared), request));
    // Connection errors are left to the test.
    let _ = match tls {
        None => http1::Builder::new().serve_connection(TokioIo::new(stream), service).await,
        Some(tls) => {
            let Ok(stream) = tls.accept(stream).await else { return };
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await
            } else {
                http1::Builder::new().serve_connection(TokioIo::new(stream), service).await
            }
        }
    };
}

async fn receive(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let at = Instant::now();
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let received = Received { method: head.method, version: head.version, path: head.uri.to_string(), headers: head.headers, body, at };
    let script = Arc::clone(&shared.script.lock().unwrap_or_else(PoisonError::into_inner));
    let canned = script(&received);
    shared.received.lock().unwrap_or_else(PoisonError::into_inner).push(received);
    tokio::time::sleep(canned.delay).await;
    let mut response = Response::new(Full::new(canned.body));
    *response.status_mut() = canned.status;
    *response.headers_mut() = canned.headers;
    Ok(response)
}

/// Receiver that hands each TCP connection to `script`. It stops when dropped.
pub struct RawReceiver {
    address: SocketAddr,
    _serving: AbortOnDropHandle<()>,
}

impl RawReceiver {
    /// Starts the receiver.
    pub async fn start<F: Future<Output = ()> + Send + 'static>(script: impl Fn(TcpStream) -> F + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
        let address = listener.local_addr().expect("the listener is bound");
        let serving = TaskTracker::new().spawn(async move {
            let connections = TaskTracker::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                connections.spawn(script(stream));
            }
        });
        Self { address, _serving: AbortOnDropHandle::new(serving) }
    }

    /// Address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// URL of the receiver.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }
}

/// Reads an HTTP/1.1 request: the head, and the body if `content-length` announces one. Returns `None` if the
/// connection ends early.
pub async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let head = read_head(stream).await?;
    let announced = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; announced.map_or(0, |length| length.parse().expect("a length"))];
    stream.read_exact(&mut body).await.ok()?;
    Some(head + &String::from_utf8_lossy(&body))
}

/// Reads the head of a request without the body. Returns `None` if the connection ends early.
pub async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}
