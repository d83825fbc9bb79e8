//! Connection of a sender, with one request in flight at a time, as cheap as possible.

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

/// Open connection. After an error or an abandoned request, it is unusable.
pub(crate) struct Connection(SendRequest<Full<Bytes>>);

/// Returns the headers of each request to a server.
pub(crate) fn headers(authority: &str, api_key: &str) -> anyhow::Result<HeaderMap> {
    let mut key = HeaderValue::from_str(api_key).context("the API key has characters that no key has")?;
    key.set_sensitive(true);
    let host = HeaderValue::from_str(authority)?;
    Ok(HeaderMap::from_iter([(header::HOST, host), (HeaderName::from_static("x-api-key"), key)]))
}

impl Connection {
    pub(crate) async fn open(authority: &str, tasks: &TaskTracker) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(authority).await.with_context(|| format!("could not reach {authority}"))?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // The sender reports the connection's end, so the result is not needed.
        tasks.spawn(async move { connection.await.is_ok() });
        Ok(Self(sender))
    }

    /// Posts a body and returns the response with any status.
    pub(crate) async fn post(&mut self, path: Uri, headers: HeaderMap, body: Bytes) -> anyhow::Result<(StatusCode, Bytes)> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = path;
        *request.headers_mut() = headers;
        let response = self.0.send_request(request).await?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        self.0.ready().await?;
        Ok((status, body))
    }
}
