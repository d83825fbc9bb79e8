//! Listener with or without TLS. Clients are not trusted: each connection is bounded in time and size, and the number
//! of connections is bounded in total and per address.

use std::{
    collections::HashMap,
    convert::Infallible,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use anyhow::Context;
use axum::{Router, body::Body, extract::ConnectInfo};
use hookstream_api::LiveOptions;
use hookstream_model::identity::sign_in::network;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};
use tower_service::Service;

use crate::server::{
    activity::{Activity, IDLE, WatchedBody, WatchedStream},
    watch::reload_on_change,
};

/// Time limit of a TLS handshake.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// Maximum size of a request head, in bytes.
const HEAD_MAX: usize = 64 * 1024;
/// Maximum number of headers of a request.
const HEADERS_MAX: usize = 100;
/// Maximum number of concurrent requests on an HTTP/2 connection.
const STREAMS_MAX: u32 = 100;
/// Flow control window of an HTTP/2 connection, in bytes.
const WINDOW: u32 = 512 * 1024;
/// Time limit for an HTTP/2 connection to end after it was asked to.
const GOAWAY_WITHIN: Duration = Duration::from_secs(5);
/// Interval of HTTP/2 pings, and time limit of the response.
const PING: Duration = Duration::from_secs(30);
/// Pause after the system refused a further connection.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Files of the server's certificate.
#[derive(Debug, Clone)]
pub(crate) struct TlsFiles {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

/// Settings of the listener.
pub(crate) struct Listen {
    pub(crate) listener: TcpListener,
    pub(crate) router: Router,
    pub(crate) tls: Option<Tls>,
    /// Permits of concurrent connections; further ones wait to be accepted.
    pub(crate) room: Arc<Semaphore>,
    /// Maximum number of connections from one address (or one /64 of IPv6); further ones are closed at once.
    pub(crate) max_connections_per_address: usize,
    /// Options with the trusted proxies. They carry the connections of many clients, so the limit per address does not apply.
    pub(crate) live: LiveOptions,
    /// Signal to begin no further request.
    pub(crate) stop: CancellationToken,
}

impl Listen {
    /// Serves until it is stopped and open requests have been answered.
    pub(crate) async fn run(self) {
        let Self { listener, router, tls, room, max_connections_per_address, live, stop } = self;
        let shares = Arc::new(Shares { most: max_connections_per_address, live, open: Mutex::default() });
        let connections = TaskTracker::new();
        loop {
            let permit = tokio::select! {
                permit = Arc::clone(&room).acquire_owned() => permit,
                () = stop.cancelled() => break,
            };
            let Ok(permit) = permit else { break };
            let (stream, peer) = tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        // The client gave up before the accept, or the process has no more files; pause before the
                        // next accept.
                        tracing::debug!(error = &error as &dyn std::error::Error, "could not accept a connection");
                        tokio::time::sleep(EXHAUSTED).await;
                        continue;
                    }
                },
                () = stop.cancelled() => break,
            };
            let Some(share) = Shares::take(&shares, peer.ip()) else {
                tracing::debug!(%peer, "closed a connection: its address has reached max_connections_per_address");
                continue;
            };
            let (router, acceptor, stop) = (router.clone(), tls.as_ref().map(Tls::acceptor), stop.clone());
            let counted = Counted { _share: share, _permit: permit, _open: connections.token() };
            connections.spawn(serve_connection(stream, peer, router, acceptor, stop, counted));
        }
        drop(listener);
        connections.close();
        connections.wait().await;
    }
}

/// Open connection as far as it is counted. Its stream holds it, because a WebSocket outlives the HTTP connection that it
/// began as.
#[derive(Debug)]
struct Counted {
    _share: Share,
    _permit: OwnedSemaphorePermit,
    _open: TaskTrackerToken,
}

/// Number of open connections per address.
#[derive(Debug)]
struct Shares {
    most: usize,
    live: LiveOptions,
    open: Mutex<HashMap<IpAddr, usize>>,
}

/// Open connection of an address, released on drop.
#[derive(Debug)]
struct Share(Option<(Arc<Shares>, IpAddr)>);

impl Shares {
    /// Counts a connection; returns `None` if its address has reached the limit.
    fn take(shares: &Arc<Self>, peer: IpAddr) -> Option<Share> {
        let peer = peer.to_canonical();
        if shares.live.get().trusted_proxies.iter().any(|proxies| proxies.contains(&peer)) {
            return Some(Share(None));
        }
        let address = network(peer);
        let mut open = shares.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(address).or_default();
        if *count >= shares.most {
            return None;
        }
        *count += 1;
        Some(Share(Some((Arc::clone(shares), address))))
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Some((shares, address)) = self.0.take() else { return };
        let mut open = shares.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&address);
            }
        }
    }
}

/// Serves one connection. Its errors are ignored, because they are the client's.
async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    acceptor: Option<TlsAcceptor>,
    stop: CancellationToken,
    counted: Counted,
) {
    let activity = Activity::begin();
    // Small responses must not wait for further data.
    let _ = stream.set_nodelay(true);
    let stream = WatchedStream::new(stream, counted);
    let Some(acceptor) = acceptor else { return serve(stream, peer, router, activity, stop).await };
    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)).await {
        serve(stream, peer, router, activity, stop).await;
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    router: Router,
    activity: Activity,
    stop: CancellationToken,
) {
    let watched = activity.clone();
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        let open = watched.request();
        request.extensions_mut().insert(ConnectInfo(peer));
        let request = request.map(|body| Body::new(WatchedBody::of_request(body, &watched)));
        let mut router = router.clone();
        async move {
            let response = router.call(request).await.unwrap_or_else(|never| match never {});
            Ok::<_, Infallible>(response.map(|body| WatchedBody::of_answer(body, open)))
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(IDLE).max_buf_size(HEAD_MAX).max_headers(HEADERS_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_connection_window_size(WINDOW)
        .max_header_list_size(u32::try_from(HEAD_MAX).unwrap_or(u32::MAX))
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let mut is_stopping = false;
    // Requests extend the deadline; the timer checks it again when it fires.
    let timer = tokio::time::sleep_until(activity.deadline());
    tokio::pin!(timer);
    loop {
        tokio::select! {
            _ = connection.as_mut() => return,
            () = timer.as_mut() => {
                let deadline = activity.deadline();
                if deadline > Instant::now() {
                    timer.as_mut().reset(deadline);
                    continue;
                }
                if activity.is_idle() {
                    // HTTP/2 clients get a GOAWAY; a request that crosses it is answered in the remaining time.
                    connection.as_mut().graceful_shutdown();
                    let _ = tokio::time::timeout(GOAWAY_WITHIN, connection.as_mut()).await;
                }
                return;
            }
            () = stop.cancelled(), if !is_stopping => {
                is_stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Current certificate of the server, as read from its files.
#[derive(Clone)]
pub(crate) struct Tls {
    files: TlsFiles,
    config: Arc<RwLock<Arc<ServerConfig>>>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// Names the setting and the file that cannot be read or has other content.
    pub(crate) fn read(files: TlsFiles) -> anyhow::Result<Self> {
        let config = Arc::new(RwLock::new(configure(&files)?));
        Ok(Self { files, config })
    }

    /// Reads the files again when one of them changes; new connections use the new content.
    pub(crate) async fn watch(self, stop: CancellationToken) {
        let files = vec![self.files.cert.clone(), self.files.key.clone()];
        let read = || {
            *self.config.write().unwrap_or_else(PoisonError::into_inner) = configure(&self.files)?;
            Ok(())
        };
        reload_on_change("the server's certificate", files, stop, read).await;
    }

    fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

fn configure(files: &TlsFiles) -> anyhow::Result<Arc<ServerConfig>> {
    let read = |setting: &str, path: &Path| std::fs::read(path).with_context(|| format!("could not read {setting} {}", path.display()));
    let chain = CertificateDer::pem_slice_iter(&read("tls_cert_file", &files.cert)?).collect::<Result<Vec<_>, _>>();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    let chain = chain.with_context(|| format!("tls_cert_file {} holds no certificates in PEM", files.cert.display()))?;
    let key = PrivateKeyDer::from_pem_slice(&read("tls_key_file", &files.key)?)
        .ok()
        .with_context(|| format!("tls_key_file {} holds no private key in PEM", files.key.display()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?.with_no_client_auth();
    let mut config =
        builder.with_single_cert(chain, key).context("tls_key_file is not the key of the first certificate in tls_cert_file")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use axum::routing;
    use hookstream_api::{Live, RateLimits};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    use super::*;

    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

    fn router() -> Router {
        Router::new()
            .route("/quick", routing::get(|| async { "done" }))
            .route("/large", routing::get(|| async { "x".repeat(1024 * 1024) }))
            .route("/stuck", routing::get(std::future::pending::<&'static str>))
    }

    /// Serves one connection in paused time. Returns the client's end, and the lifetime of the connection once it is
    /// over.
    fn connection() -> (DuplexStream, tokio::task::JoinHandle<Duration>) {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let peer = SocketAddr::from(([203, 0, 113, 7], 40_000));
        #[expect(clippy::disallowed_methods, reason = "the test awaits it")]
        let serving = tokio::spawn(async move {
            let begun = Instant::now();
            serve(WatchedStream::new(ours, ()), peer, router(), Activity::begin(), CancellationToken::new()).await;
            begun.elapsed()
        });
        (theirs, serving)
    }

    /// Returns the lifetime of a connection on which a client sends this and, if `reads`, reads the response.
    async fn lasts(sent: &[u8], reads: bool) -> Duration {
        let (mut client, serving) = connection();
        client.write_all(sent).await.expect("there is room");
        let reading = async {
            let mut read = [0; 4096];
            while reads && matches!(client.read(&mut read).await, Ok(1..)) {}
            std::future::pending::<()>().await;
        };
        tokio::select! {
            lasted = serving => lasted.expect("no panic"),
            () = reading => unreachable!("the client waits"),
        }
    }

    fn about(seconds: u64, lasted: Duration) -> bool {
        (seconds..=seconds + 6).contains(&lasted.as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn connection_without_request_is_closed() {
        for sent in [&b""[..], b"P", b"PRI * HT", b"GET /quick HTTP/1.1\r\nhost: a", PREFACE] {
            let lasted = lasts(sent, true).await;
            assert!(about(30, lasted), "{}: {lasted:?}", sent.escape_ascii());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn idle_connection_is_closed() {
        let lasted = lasts(b"GET /quick HTTP/1.1\r\nhost: a\r\n\r\n", true).await;
        assert!(about(75, lasted), "{lasted:?}");
        let lasted = lasts(b"GET /quick HTTP/1.1\r\nhost: a\r\n\r\nGET /quick HTTP/1.1\r\nhos", true).await;
        assert!(about(75, lasted), "{lasted:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn connection_that_reads_no_response_is_closed() {
        let lasted = lasts(b"GET /large HTTP/1.1\r\nhost: a\r\n\r\n", false).await;
        assert!(about(60, lasted), "{lasted:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn request_without_progress_ends_its_connection() {
        let lasted = lasts(b"GET /stuck HTTP/1.1\r\nhost: a\r\n\r\n", true).await;
        assert!(about(150, lasted), "{lasted:?}");
    }

    #[test]
    fn limit_per_address_exempts_proxies() {
        let one = NonZeroU32::new(1).expect("not 0");
        let rate_limits = RateLimits { per_key: one, per_address: one };
        let live = LiveOptions::new(Live { trusted_proxies: vec!["10.0.0.0/8".parse().expect("a network")], rate_limits });
        let shares = Arc::new(Shares { most: 2, live, open: Mutex::default() });
        let take = |address: &str| Shares::take(&shares, address.parse().expect("an address"));
        let held = [take("192.0.2.1"), take("::ffff:192.0.2.1")];
        assert!(held.iter().all(Option::is_some) && take("192.0.2.1").is_none());
        assert!(take("192.0.2.2").is_some(), "another address has its own limit");
        let of_network = [take("2001:db8::1"), take("2001:db8::2")];
        assert!(of_network.iter().all(Option::is_some) && take("2001:db8::3").is_none() && take("2001:db8:0:1::1").is_some());
        let of_proxy: Vec<_> = (0..5).map(|_| take("10.1.2.3")).collect();
        assert!(of_proxy.iter().all(Option::is_some));
        drop(held);
        assert!(take("192.0.2.1").is_some(), "a closed connection is free again");
    }
}
