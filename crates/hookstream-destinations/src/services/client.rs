//! HTTP client for servers of the operator: any address, the public authorities and those that the operator names.

use std::{
    sync::{Arc, RwLock},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::{
    client::legacy::{self, Client},
    rt::{TokioExecutor, TokioTimer},
};
use tokio_rustls::TlsConnector;

use crate::{
    AddressPolicy, Instruments,
    net::{
        connect::{Connector, Shared},
        error::Error,
        resolve::SystemResolver,
        trust::{self, Trust},
    },
};

/// Time limit of a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// Time for which an idle connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of idle connections.
const IDLE_MAX: usize = 4;

pub(super) type OperatorClient = Client<Connector, Full<Bytes>>;

/// Builds a client.
pub(super) fn build(trust: Trust) -> Result<OperatorClient, Error> {
    let anywhere = ["0.0.0.0/0", "::/0"].map(|network| network.parse().expect("a network"));
    let shared = Shared {
        policy: RwLock::new(Arc::new(AddressPolicy::allowing(anywhere.into()))),
        resolver: Box::new(SystemResolver::new().map_err(|cause| Error::Resolver(cause.into()))?),
        tls: RwLock::new(TlsConnector::from(Arc::new(trust::client(trust)?))),
        connect_timeout: CONNECT_TIMEOUT,
        instruments: Instruments::default(),
    };
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE_TIMEOUT).pool_max_idle_per_host(IDLE_MAX);
    Ok(builder.build(Connector(Arc::new(shared))))
}

/// Returns the innermost cause of a failed request.
pub(super) fn cause(error: &legacy::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}
