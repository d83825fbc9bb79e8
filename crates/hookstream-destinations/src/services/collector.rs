//! OpenTelemetry collector: takes traces, metrics and logs by OTLP over HTTP.

use std::{fmt, time::Duration};

use ::http::{HeaderMap, Method, Request, StatusCode, Uri, header};
use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

use super::client::{self, OperatorClient};
use crate::{
    http::render::AGENT,
    net::{error::Error, trust::Trust},
};

/// Maximum size of a response that is read, in bytes: a few numbers and a message.
const RESPONSE_MAX: usize = 64 * 1024;

/// Client of one collector.
pub struct Collector {
    client: OperatorClient,
    uri: Uri,
    headers: HeaderMap,
}

/// Response of a collector.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Wait that it asks for before a repetition.
    pub retry_after: Option<Duration>,
    /// Body, or its beginning.
    pub body: Bytes,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The headers may contain credentials.
        f.debug_struct("Collector").field("uri", &self.uri).finish_non_exhaustive()
    }
}

impl Collector {
    /// Builds a client; opens no connection. `headers` are sent with each request.
    ///
    /// # Errors
    /// If a certificate cannot be used.
    pub fn new(uri: Uri, headers: HeaderMap, trust: Trust) -> Result<Self, Error> {
        Ok(Self { client: client::build(trust)?, uri, headers })
    }

    /// Sends a body, already encoded as its headers say, within `timeout`.
    ///
    /// # Errors
    /// With the cause if there is no response.
    pub async fn post(&self, body: Bytes, headers: HeaderMap, timeout: Duration) -> Result<Answer, String> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().extend(headers);
        request.headers_mut().insert(header::USER_AGENT, ::http::HeaderValue::from_static(AGENT));
        let exchange = async {
            let response = self.client.request(request).await.map_err(|error| client::cause(&error))?;
            let (head, body) = response.into_parts();
            let retry_after = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
            Ok(Answer { status: head.status, retry_after: retry_after.map(Duration::from_secs), body: read(body).await })
        };
        tokio::time::timeout(timeout, exchange).await.unwrap_or_else(|_| Err("no response in time".to_owned()))
    }
}

/// Reads the beginning of a body; the status decides, so a body that ends early is no error.
async fn read(mut body: Incoming) -> Bytes {
    let mut kept = BytesMut::new();
    while kept.len() < RESPONSE_MAX
        && let Some(Ok(frame)) = body.frame().await
    {
        if let Ok(data) = frame.into_data() {
            kept.extend_from_slice(&data[..data.len().min(RESPONSE_MAX - kept.len())]);
        }
    }
    kept.freeze()
}
