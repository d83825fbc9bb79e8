//! Receivers on loopback: one that speaks HTTP and answers as told, one that does to its connections
//! whatever a test wants.

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

/// A request that arrived.
#[derive(Debug, Clone)]
pub struct Received {
    /// Its method.
    pub method: Method,
    /// The version of HTTP that it came by.
    pub version: Version,
    /// Its path and query.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, byte for byte.
    pub body: Bytes,
    /// When it arrived.
    pub at: Instant,
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
pub struct CannedResponse {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
    delay: Duration,
}

impl CannedResponse {
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

type Script = dyn Fn(&Received) -> CannedResponse + Send + Sync;

struct Shared {
    script: Mutex<Arc<Script>>,
    received: Mutex<Vec<Received>>,
    connections: AtomicUsize,
}

/// A receiver that speaks HTTP/1.1, or by TLS what its certificate's configuration offers, keeps what
/// arrives, and answers as told. It ends when dropped.
pub struct Receiver {
    scheme: &'static str,
    address: SocketAddr,
    shared: Arc<Shared>,
    _serving: AbortOnDropHandle<()>,
}

impl Receiver {
    /// One that answers everything with 204.
    pub async fn start() -> Self {
        Self::answering(|_| CannedResponse::status(204)).await
    }

    /// One that answers as `script` says.
    pub async fn answering(script: impl Fn(&Received) -> CannedResponse + Send + Sync + 'static) -> Self {
        Self::listening(None, script).await
    }

    /// One that is spoken to by TLS.
    pub async fn secure(tls: Arc<ServerConfig>, script: impl Fn(&Received) -> CannedResponse + Send + Sync + 'static) -> Self {
        Self::listening(Some(tls.into()), script).await
    }

    async fn listening(tls: Option<TlsAcceptor>, script: impl Fn(&Received) -> CannedResponse + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
        let address = listener.local_addr().expect("it is bound");
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared =
            Arc::new(Shared { script: Mutex::new(Arc::new(script)), received: Mutex::default(), connections: AtomicUsize::default() });
        let serving = TaskTracker::new().spawn(serve(listener, tls, Arc::clone(&shared)));
        Self { scheme, address, shared, _serving: AbortOnDropHandle::new(serving) }
    }

    /// From now on answers as `script` says.
    pub fn answer(&self, script: impl Fn(&Received) -> CannedResponse + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(script);
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("{}://{}/hook", self.scheme, self.address)
    }

    /// Its URL by a name of its address.
    pub fn url_at(&self, host: &str) -> String {
        format!("{}://{host}:{}/hook", self.scheme, self.address.port())
    }

    /// How many connections have been made to it so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
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
    // How a connection ends is the test's affair.
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

/// Reads a request of HTTP/1.1, its head and as much body as it announces; `None` where the connection
/// ends before.
pub async fn read_request(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let head = read_head(stream).await?;
    let announced = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; announced.map_or(0, |length| length.parse().expect("a length"))];
    stream.read_exact(&mut body).await.ok()?;
    Some(head + &String::from_utf8_lossy(&body))
}

/// Reads the head of a request and nothing of its body; `None` where the connection ends before.
pub async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}
