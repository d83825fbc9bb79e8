//! Client of the public API for commands.

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

/// Server and credentials.
pub struct ApiClient {
    base: String,
    key: Option<HeaderValue>,
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// Response of the API.
pub struct ApiResponse {
    /// HTTP status.
    pub status: StatusCode,
    /// JSON body.
    pub body: Value,
}

impl ApiClient {
    /// Builds a client of the server at `url` with this API key.
    ///
    /// # Errors
    /// If the key cannot be sent in a header or TLS cannot be set up.
    pub fn new(url: &str, key: &str) -> anyhow::Result<Self> {
        let mut key = HeaderValue::from_str(key.trim()).context("the API key has characters that no key has")?;
        key.set_sensitive(true);
        Ok(Self { key: Some(key), ..Self::anonymous(url)? })
    }

    /// Builds a client without a key, for public paths.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn anonymous(url: &str) -> anyhow::Result<Self> {
        let provider = rustls::crypto::ring::default_provider();
        let https = HttpsConnectorBuilder::new().with_provider_and_webpki_roots(provider).context("could not set up TLS")?;
        let connector = https.https_or_http().enable_http1().build();
        let http = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { base: url.trim_end_matches('/').to_owned(), key: None, http })
    }

    /// Posts JSON to a path under `/v1` and returns the response with any status.
    ///
    /// # Errors
    /// If there is no response, or one that is not the API's.
    pub async fn post(&self, path: &str, body: impl Into<Bytes>, idempotency_key: Option<&str>) -> anyhow::Result<ApiResponse> {
        let mut request = self.request(Method::POST, path).header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = idempotency_key {
            request = request.header("idempotency-key", key);
        }
        self.send(request, body.into()).await
    }

    /// Patches a path under `/v1` and returns the response with any status.
    ///
    /// # Errors
    /// If there is no response, or one that is not the API's.
    pub async fn patch(&self, path: &str, body: impl Into<Bytes>) -> anyhow::Result<ApiResponse> {
        self.send(self.request(Method::PATCH, path).header(header::CONTENT_TYPE, "application/json"), body.into()).await
    }

    /// Deletes a path under `/v1` and returns the response with any status.
    ///
    /// # Errors
    /// If there is no response, or one that is not the API's.
    pub async fn delete(&self, path: &str) -> anyhow::Result<ApiResponse> {
        self.send(self.request(Method::DELETE, path), Bytes::new()).await
    }

    /// Gets a path under `/v1` and returns the response with any status.
    ///
    /// # Errors
    /// If there is no response, or one that is not the API's.
    pub async fn get(&self, path: &str) -> anyhow::Result<ApiResponse> {
        self.send(self.request(Method::GET, path), Bytes::new()).await
    }

    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let request = Request::builder().method(method).uri(format!("{}/v1{path}", self.base));
        match &self.key {
            Some(key) => request.header("x-api-key", key.clone()),
            None => request,
        }
    }

    async fn send(&self, request: http::request::Builder, body: Bytes) -> anyhow::Result<ApiResponse> {
        let request = request.body(Full::new(body)).with_context(|| format!("{} is not the URL of a server", self.base))?;
        let unreachable = || format!("could not reach {}: is `hookstream serve` running there?", self.base);
        let response = self.http.request(request).await.with_context(unreachable)?;
        let status = response.status();
        let body = response.into_body().collect().await.with_context(unreachable)?.to_bytes();
        let body = serde_json::from_slice(&body)
            .map_err(|_| anyhow!("{} answered {status} and no JSON: is it a Hookstream server?", self.base))?;
        Ok(ApiResponse { status, body })
    }
}

impl ApiResponse {
    /// Returns the body of a successful response.
    ///
    /// # Errors
    /// With the API's own error text.
    pub fn accepted(self) -> anyhow::Result<Value> {
        if self.status.is_success() {
            return Ok(self.body);
        }
        let text = |name: &str| self.body[name].as_str().unwrap_or("?").to_owned();
        bail!("{} ({}, {})", text("error"), self.status, text("request_id"))
    }
}

/// Returns a text as one segment of a path (RFC 3986 section 3.3).
pub fn path_segment(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:@+".contains(&byte);
    text.bytes().fold(String::new(), |path, byte| {
        if is_plain(byte) { path + char::from(byte).encode_utf8(&mut [0; 4]) } else { path + &format!("%{byte:02X}") }
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn path_segment_escapes_reserved_characters() {
        assert_eq!(super::path_segment("my-app_1.2~:@+"), "my-app_1.2~:@+");
        assert_eq!(super::path_segment("a/b ?ü"), "a%2Fb%20%3F%C3%BC");
    }
}
