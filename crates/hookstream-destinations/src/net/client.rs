//! HTTP client of all kinds that speak HTTP: one pool, one exchange, limits for what a response may cost.
//!
//! Connections are kept and reused, by scheme, host and port. Redirects are not followed, and no proxy is used.

use std::sync::Arc;

use ::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use bytes::{Bytes, BytesMut};
use hookstream_model::delivery::outcome::{BODY_KEPT, BODY_READ};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};

use super::{
    connect::{Connector, Shared},
    options::Options,
    steps::{self, Outgoing, Phase, Phases},
};

/// Maximum size of a response head, in bytes. A head that ends in the read that exceeds the limit is still accepted.
pub(crate) const HEAD_MAX: u32 = 64 * 1024;
/// Maximum number of header lines that fit into [`HEAD_MAX`]: the shortest has three bytes, `a:` and a line feed. So
/// only the size in bytes limits a head.
const HEADERS_MAX: usize = HEAD_MAX as usize / 3 + 1;

pub(crate) type HttpClient = Client<Connector, Full<Outgoing>>;

/// POST request.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) uri: Uri,
    /// Headers besides `host` and `content-length`.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Builds the client.
pub(super) fn build(shared: &Arc<Shared>, options: &Options) -> HttpClient {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .pool_idle_timeout(options.idle_timeout)
        .pool_max_idle_per_host(options.max_idle_per_host)
        .http1_max_buf_size(HEAD_MAX as usize)
        .http1_max_headers(HEADERS_MAX)
        // Harmless flaws of header lines: RFC 9112 sections 5.1 and 5.2 let a user agent accept the first two,
        // and browsers ignore the third.
        .http1_allow_spaces_after_header_name_in_responses(true)
        .http1_allow_obsolete_multiline_headers_in_responses(true)
        .http1_ignore_invalid_headers_in_responses(true)
        .http2_keep_alive_interval(options.ping_interval)
        .http2_keep_alive_timeout(options.ping_interval)
        .http2_max_header_list_size(HEAD_MAX)
        .build(Connector(Arc::clone(shared)))
}

/// Part of a response that has arrived so far. It is still available if the exchange is aborted.
#[derive(Default)]
pub(crate) struct Received {
    head: Option<(StatusCode, HeaderMap)>,
    body: BytesMut,
}

impl Received {
    /// Returns the response if its head arrived, with as much of the body as did.
    pub(crate) fn into_parts(self) -> Option<(StatusCode, HeaderMap, Bytes)> {
        let Self { head, body } = self;
        head.map(|(status, headers)| (status, headers, body.freeze()))
    }

    /// Reads the body and keeps its first 16 KiB. After 64 KiB reading stops, and the connection is closed.
    async fn read(&mut self, mut body: Incoming) -> Result<(), hyper::Error> {
        let mut read = 0;
        while read < BODY_READ
            && let Some(frame) = body.frame().await
        {
            let Ok(data) = frame?.into_data() else { continue };
            read += data.len();
            let room = BODY_KEPT - self.body.len();
            self.body.extend_from_slice(&data[..data.len().min(room)]);
        }
        Ok(())
    }
}

/// Sends a request and reads its response into `received`; `phases` records the progress. An incomplete body is no error,
/// because the head decides.
///
/// # Errors
/// If no response head arrived.
pub(crate) async fn exchange(
    client: &HttpClient,
    post: Post,
    phases: &Arc<Phases>,
    received: &mut Received,
) -> Result<(), hyper_util::client::legacy::Error> {
    let is_empty = post.body.is_empty();
    let mut outgoing = Request::new(Full::new(Outgoing::new(post.body, phases)));
    *outgoing.method_mut() = Method::POST;
    *outgoing.uri_mut() = post.uri;
    *outgoing.headers_mut() = post.headers;
    if is_empty {
        // RFC 9110 section 8.6: a POST without content must say so. Hyper omits the header in HTTP/1.1, and some
        // receivers then respond 411.
        outgoing.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    let response = steps::within(phases, client.request(outgoing)).await?;
    phases.done(Phase::FirstByte);
    let (head, body) = response.into_parts();
    received.head = Some((head.status, head.headers));
    match received.read(body).await {
        Ok(()) => phases.done(Phase::Read),
        Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "could not read the whole body of a response"),
    }
    Ok(())
}
