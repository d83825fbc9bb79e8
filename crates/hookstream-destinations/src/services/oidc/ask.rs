//! Requests to a provider, limited in size and time.

use std::time::Duration;

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use hookstream_model::base::secret::Secret;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde::{Deserialize, de::DeserializeOwned};
use url::{Url, form_urlencoded};

use super::ProviderError;
use crate::{
    net::{error::Error, trust::Trust},
    services::client::{self, OperatorClient},
};

use ::http::{HeaderValue, Method, Request, Response, StatusCode, header};

/// Time limit of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(6);
/// Maximum size of a response, in bytes.
const RESPONSE_MAX: usize = 512 * 1024;
/// Maximum length of a provider's error code that is shown.
const ERROR_CODE_MAX: usize = 60;

/// Client authentication of this installation.
#[derive(Clone, Copy)]
pub(super) struct Authentication<'a> {
    pub(super) client_id: &'a str,
    pub(super) client_secret: &'a Secret,
    pub(super) in_header: bool,
}

/// HTTP client for one provider.
pub(super) struct ProviderClient(OperatorClient);

impl ProviderClient {
    pub(super) fn new(trust: Trust) -> Result<Self, Error> {
        Ok(Self(client::build(trust)?))
    }

    /// Fetches a document, with `access_token` as authorization if given.
    pub(super) async fn get(&self, what: &'static str, url: &Url, access_token: Option<&str>) -> Result<Bytes, ProviderError> {
        let mut request = Request::builder().method(Method::GET).uri(url.as_str());
        if let Some(token) = access_token {
            request = request.header(header::AUTHORIZATION, sensitive(&format!("Bearer {token}"), what)?);
        }
        let (status, body) = self.request(what, request, Bytes::new()).await?;
        if status != StatusCode::OK {
            return Err(ProviderError::Unusable { what, problem: format!("the response has status {status}") });
        }
        Ok(body)
    }

    /// Exchanges an authorization code for tokens.
    pub(super) async fn redeem<T: DeserializeOwned>(
        &self,
        url: &Url,
        form: &[(&str, &str)],
        authentication: Authentication<'_>,
    ) -> Result<T, ProviderError> {
        const WHAT: &str = "token endpoint";
        let Authentication { client_id, client_secret, in_header } = authentication;
        let in_body = [("client_id", client_id), ("client_secret", client_secret.expose())];
        let body = encoded(form.iter().chain(in_body.iter().filter(|_| !in_header)));
        let mut request =
            Request::builder().method(Method::POST).uri(url.as_str()).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        if in_header {
            // Both parts are encoded before they are joined (RFC 6749 section 2.3.1). A space becomes `%20`, which
            // every provider accepts.
            let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20");
            let both = STANDARD.encode(format!("{}:{}", encoded(client_id), encoded(client_secret.expose())));
            request = request.header(header::AUTHORIZATION, sensitive(&format!("Basic {both}"), WHAT)?);
        }
        let (status, response) = self.request(WHAT, request, body.into()).await?;
        if status != StatusCode::OK {
            return Err(refused(status, &response));
        }
        // The response may contain secrets, so only the position of the error is reported.
        serde_json::from_slice(&response).map_err(|error| ProviderError::Unusable {
            what: WHAT,
            problem: format!("the response contains no ID token (column {})", error.column()),
        })
    }

    async fn request(
        &self,
        what: &'static str,
        request: ::http::request::Builder,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), ProviderError> {
        let request = request
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("hookstream/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(body))
            .map_err(|error| ProviderError::Unusable { what, problem: error.to_string() })?;
        let exchange = async {
            let response = self.0.request(request).await.map_err(|error| unreachable(&error))?;
            let status = response.status();
            Ok((status, read(what, response).await?))
        };
        tokio::time::timeout(REQUEST_TIMEOUT, exchange).await.unwrap_or(Err(ProviderError::TimedOut))
    }
}

fn encoded<'a>(pairs: impl Iterator<Item = &'a (&'a str, &'a str)>) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

async fn read(what: &'static str, response: Response<Incoming>) -> Result<Bytes, ProviderError> {
    let mut body = response.into_body();
    let mut kept = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ProviderError::Unreachable(error.to_string()))?;
        let Ok(data) = frame.into_data() else { continue };
        if kept.len() + data.len() > RESPONSE_MAX {
            return Err(ProviderError::Unusable { what, problem: format!("the response is larger than {RESPONSE_MAX} bytes") });
        }
        kept.extend_from_slice(&data);
    }
    Ok(kept.freeze())
}

/// Returns an error with the provider's error code (RFC 6749 section 5.2), if there is one.
fn refused(status: StatusCode, response: &[u8]) -> ProviderError {
    #[derive(Deserialize)]
    struct Refusal {
        error: String,
    }
    let code = serde_json::from_slice::<Refusal>(response).ok().map(|refusal| refusal.error);
    let is_code = |code: &String| code.len() <= ERROR_CODE_MAX && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    ProviderError::Refused(code.filter(is_code).unwrap_or_else(|| status.to_string()))
}

fn unreachable(error: &hyper_util::client::legacy::Error) -> ProviderError {
    ProviderError::Unreachable(client::cause(error))
}

fn sensitive(text: &str, what: &'static str) -> Result<HeaderValue, ProviderError> {
    let problem = "the access token is not a valid header value".to_owned();
    let mut value = HeaderValue::from_str(text).map_err(|_| ProviderError::Unusable { what, problem })?;
    value.set_sensitive(true);
    Ok(value)
}
