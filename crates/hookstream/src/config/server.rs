//! Settings of the server: where it listens, and what this node does.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::bail;
use hookstream_api::StreamLimits;
use hookstream_engine::Options as EngineOptions;

use super::{
    section::section,
    values::{Networks, RoleName, listen_address, whole},
};
use crate::server::listen::TlsFiles;

section! {
    /// Settings of the server as given.
    #[command(next_help_heading = "Server")]
    pub(crate) struct ServerSettings {
        /// The address to listen on, such as 0.0.0.0:8484 or :8484 [default: 127.0.0.1:8484]
        #[arg(long, value_name = "ADDR", env = "HOOKSTREAM_LISTEN", value_parser = listen_address)]
        pub(crate) listen: Option<SocketAddr>,

        /// The port, in place of the one of --listen
        #[arg(long, value_name = "N", env = "HOOKSTREAM_PORT")]
        pub(crate) port: Option<u16>,

        /// The address of this server for users, for links; without a path [default: where it listens]
        #[arg(long, value_name = "URL", env = "HOOKSTREAM_PUBLIC_URL")]
        pub(crate) public_url: Option<String>,

        /// The server's certificate (PEM, with its chain), to serve HTTPS; without it, HTTP
        #[arg(long, value_name = "FILE", env = "HOOKSTREAM_TLS_CERT_FILE")]
        pub(crate) tls_cert_file: Option<PathBuf>,

        /// The private key of the server's certificate (PEM)
        #[arg(long, value_name = "FILE", env = "HOOKSTREAM_TLS_KEY_FILE")]
        pub(crate) tls_key_file: Option<PathBuf>,

        /// Concurrent connections, at most; others wait to be accepted [default: 10000]
        #[arg(long, value_name = "N", env = "HOOKSTREAM_MAX_CONNECTIONS", value_parser = whole(1_usize, 1_000_000))]
        pub(crate) max_connections: Option<usize>,

        /// Connections at once from one address, or one /64 network of IPv6 [default: a tenth of max_connections, at least 100]
        #[arg(long, value_name = "N", env = "HOOKSTREAM_MAX_CONNECTIONS_PER_ADDRESS", value_parser = whole(1_usize, 1_000_000))]
        pub(crate) max_connections_per_address: Option<usize>,

        /// Live streams (WebSockets and server-sent events) open at once, at most [default: a tenth of max_connections, at least 100]
        #[arg(long, value_name = "N", env = "HOOKSTREAM_MAX_STREAMS", value_parser = whole(0_usize, 1_000_000))]
        pub(crate) max_streams: Option<usize>,

        /// Live streams open at once of one API key, user or portal [default: 50]
        #[arg(long, value_name = "N", env = "HOOKSTREAM_MAX_STREAMS_PER_CALLER", value_parser = whole(0_usize, 1_000_000))]
        pub(crate) max_streams_per_caller: Option<usize>,

        /// Networks of proxies whose X-Forwarded-For is trusted, comma-separated [default: none]
        #[arg(long, value_name = "CIDR[,CIDR…]", env = "HOOKSTREAM_TRUSTED_PROXIES")]
        pub(crate) trusted_proxies: Option<Networks>,

        /// Role of this node: all, api (accept only) or worker (deliver only) [default: all]
        #[arg(long, value_name = "ROLE", env = "HOOKSTREAM_ROLE")]
        pub(crate) role: Option<RoleName>,

        /// This node's name [default: the host's name]
        #[arg(long, value_name = "NAME", env = "HOOKSTREAM_NODE_NAME")]
        pub(crate) node_name: Option<String>,

        /// How long a stop waits for requests and attempts in flight, in seconds [default: 20]
        #[arg(long, value_name = "S", env = "HOOKSTREAM_SHUTDOWN_GRACE_S", value_parser = whole(0_u32, 600))]
        pub(crate) shutdown_grace_s: Option<u32>,

        /// How long a stop answers requests while readiness is false, before it closes the listener, in seconds [default: 0]
        #[arg(long, value_name = "S", env = "HOOKSTREAM_SHUTDOWN_DRAIN_S", value_parser = whole(0_u32, 600))]
        pub(crate) shutdown_drain_s: Option<u32>,
    }
}

/// Complete and checked settings of the server.
#[derive(Debug, Clone)]
pub(crate) struct ServerConfig {
    pub(crate) listen: SocketAddr,
    pub(crate) public_url: Option<String>,
    pub(crate) tls: Option<TlsFiles>,
    pub(crate) max_connections: usize,
    pub(crate) max_connections_per_address: usize,
    pub(crate) streams: StreamLimits,
    pub(crate) trusted_proxies: Networks,
    pub(crate) shutdown_grace: Duration,
    /// Time for which a stop serves requests while readiness is false.
    pub(crate) shutdown_drain: Duration,
}

impl ServerSettings {
    /// Completes and checks the settings; sets those of the engine.
    pub(super) fn complete(self, engine: &mut EngineOptions) -> anyhow::Result<ServerConfig> {
        engine.role = self.role.map_or(engine.role, |role| role.0);
        engine.node_name = self.node_name.unwrap_or_else(host_name);
        let mut listen = self.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8484)));
        self.port.into_iter().for_each(|port| listen.set_port(port));
        let max_connections = self.max_connections.unwrap_or(10_000);
        Ok(ServerConfig {
            listen,
            public_url: self.public_url.map(|url| check_public_url(&url)).transpose()?,
            tls: match (self.tls_cert_file, self.tls_key_file) {
                (None, None) => None,
                (Some(cert), Some(key)) => Some(TlsFiles { cert, key }),
                (Some(_), None) | (None, Some(_)) => bail!("tls_cert_file and tls_key_file belong together: set both or neither"),
            },
            max_connections,
            max_connections_per_address: self.max_connections_per_address.unwrap_or((max_connections / 10).max(100)),
            // Each has a connection; the others remain for requests.
            streams: StreamLimits {
                total: self.max_streams.unwrap_or((max_connections / 10).max(100)),
                per_caller: self.max_streams_per_caller.unwrap_or(50),
            },
            trusted_proxies: self.trusted_proxies.unwrap_or_default(),
            shutdown_grace: Duration::from_secs(u64::from(self.shutdown_grace_s.unwrap_or(20))),
            shutdown_drain: Duration::from_secs(u64::from(self.shutdown_drain_s.unwrap_or(0))),
        })
    }
}

fn check_public_url(text: &str) -> anyhow::Result<String> {
    let is_address =
        |url: &url::Url| matches!(url.scheme(), "https" | "http") && url.has_host() && url.query().is_none() && url.fragment().is_none();
    let Some(url) = url::Url::parse(text).ok().filter(is_address) else {
        bail!("public_url is {text:?}; it must be an http or https address such as https://hooks.example.com");
    };
    if !url.username().is_empty() || url.password().is_some() {
        bail!("public_url must not contain a user or a password; write it as https://hooks.example.com");
    }
    if url.path() != "/" {
        bail!(
            "public_url is {text:?}, which has a path; Hookstream is served at the root of a host. Give it a host name of its own, such as \
             https://hooks.example.com"
        );
    }
    // The parsed form, because links are built from it.
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Returns the name of the host, or `hookstream` if the host has none.
pub(crate) fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "hookstream".to_owned() } else { name.trim().to_owned() }
}
