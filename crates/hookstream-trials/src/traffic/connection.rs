//! One connection of a sender, with one request under way at a time: as little as a request can cost here.

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

/// An open connection. After an error, or a request that was not waited for, it is of no more use.
pub(crate) struct Connection(SendRequest<Full<Bytes>>);

/// What each request to a server carries.
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
        // Its end shows in the sender, which is all that is asked of it.
        tasks.spawn(async move { connection.await.is_ok() });
        Ok(Self(sender))
    }

    /// Posts a body and returns what was answered, whatever its status.
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
