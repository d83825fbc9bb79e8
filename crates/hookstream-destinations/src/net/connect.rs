//! Connecting: resolve, check every address, connect to an allowed one, check the peer again, TLS.

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
    time::Duration,
};

use ::http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use rustls::pki_types::ServerName;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tower_service::Service;

use super::{
    guard::AddressPolicy,
    resolve::{self, DnsError, Resolve},
    steps::{self, Phase},
};
use crate::{AddressRefused, Instruments};

/// Maximum number of a name's addresses that are used, so that each has at least a second of the usual limit.
const ADDRESSES_MAX: usize = 8;

/// Reason why a connection failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("no connection can be made to the URL")]
    Url,
    #[error(transparent)]
    Dns(#[from] DnsError),
    #[error("the URL {0}")]
    Refused(#[from] AddressRefused),
    #[error("no connection")]
    Tcp(#[source] io::Error),
    #[error("no connection in time")]
    TimedOut,
    #[error("no TLS")]
    Tls(#[source] io::Error),
}

/// Connector for hyper's pool.
#[derive(Clone)]
pub(crate) struct Connector(pub(crate) Arc<Shared>);

pub(crate) struct Shared {
    /// Policy, which the operator may change while the server runs.
    pub(crate) policy: RwLock<Arc<AddressPolicy>>,
    pub(crate) resolver: Box<dyn Resolve>,
    pub(crate) tls: RwLock<TlsConnector>,
    /// Time limit for the whole connection: the name, its addresses one after another, TLS.
    pub(crate) connect_timeout: Duration,
    pub(crate) instruments: Instruments,
}

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move { shared.connect(&uri).await })
    }
}

impl Shared {
    /// Returns the current policy.
    pub(crate) fn policy(&self) -> Arc<AddressPolicy> {
        Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Checks all addresses of a host, and counts a refusal.
    pub(crate) fn judge(&self, host: &str, addresses: &[IpAddr]) -> Result<(), AddressRefused> {
        self.policy().judge_all(host, addresses).inspect_err(|refused| self.instruments.refused(refused.rule))
    }

    /// Opens a connection. Each step has its own limit besides that of the exchange: if another connection becomes
    /// free first, the pool finishes this one in the background, which must end.
    async fn connect(&self, uri: &Uri) -> Result<Stream, ConnectError> {
        let host = uri.host().ok_or(ConnectError::Url)?;
        let is_https = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let tls = is_https.then(|| self.tls.read().unwrap_or_else(PoisonError::into_inner).clone());
        self.connect_host(host, port, tls).await
    }

    /// Opens a connection for a protocol other than HTTP, with TLS if asked for.
    #[cfg(feature = "rabbitmq")]
    pub(crate) async fn connect_to_host(&self, host: &str, port: u16, with_tls: bool) -> Result<Stream, ConnectError> {
        let tls = with_tls.then(|| {
            let mut config = rustls::ClientConfig::clone(self.tls.read().unwrap_or_else(PoisonError::into_inner).config());
            // The protocols that HTTP offers.
            config.alpn_protocols.clear();
            TlsConnector::from(Arc::new(config))
        });
        self.connect_host(host, port, tls).await
    }

    async fn connect_host(&self, host: &str, port: u16, tls: Option<TlsConnector>) -> Result<Stream, ConnectError> {
        let deadline = Instant::now() + self.connect_timeout;
        let resolving = resolve::addresses(&*self.resolver, host);
        let addresses = timeout_at(deadline, resolving).await.unwrap_or(Err(DnsError::TimedOut))?;
        if resolve::literal(host).is_none() {
            steps::done(Phase::Dns);
        }
        self.judge(host, &addresses)?;
        let tcp = self.connect_to(&addresses, port, deadline).await?;
        steps::done(Phase::Connect);
        let Some(connector) = tls else {
            steps::connected();
            return Ok(Stream::Plain(TokioIo::new(tcp)));
        };
        let handshake = connector.connect(server_name(host)?, tcp);
        let tls = timeout_at(deadline, handshake).await.map_err(|_| ConnectError::TimedOut)?.map_err(ConnectError::Tls)?;
        steps::done(Phase::Tls);
        steps::connected();
        Ok(Stream::Tls(Box::new(TokioIo::new(tls))))
    }

    /// Connects to the first few addresses in turn; each has an equal share of the remaining time.
    async fn connect_to(&self, addresses: &[IpAddr], port: u16, deadline: Instant) -> Result<TcpStream, ConnectError> {
        let addresses = &addresses[..addresses.len().min(ADDRESSES_MAX)];
        let mut last = ConnectError::TimedOut;
        for (index, address) in addresses.iter().enumerate() {
            let share = deadline.saturating_duration_since(Instant::now()) / u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
            match timeout(share, TcpStream::connect(SocketAddr::new(*address, port))).await {
                Ok(Ok(stream)) => {
                    // Defense in depth: the connected peer must be an allowed address.
                    self.policy().judge(stream.peer_addr().map_err(ConnectError::Tcp)?.ip())?;
                    stream.set_nodelay(true).map_err(ConnectError::Tcp)?;
                    return Ok(stream);
                }
                Ok(Err(error)) => last = ConnectError::Tcp(error),
                Err(_) => last = ConnectError::TimedOut,
            }
        }
        Err(last)
    }
}

fn server_name(host: &str) -> Result<ServerName<'static>, ConnectError> {
    if let Some(address) = resolve::literal(host) {
        return Ok(ServerName::IpAddress(address.into()));
    }
    ServerName::try_from(host.trim_end_matches('.').to_owned()).map_err(|_| ConnectError::Url)
}

/// Connection with or without TLS.
pub(crate) enum Stream {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        match self {
            Self::Plain(_) => Connected::new(),
            Self::Tls(stream) if stream.inner().get_ref().1.alpn_protocol() == Some(b"h2") => Connected::new().negotiated_h2(),
            Self::Tls(_) => Connected::new(),
        }
    }
}

impl Read for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(context, parts),
        }
    }
}
