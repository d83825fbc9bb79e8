//! Metadata of a provider (OpenID Connect Discovery 1.0, section 3).

use serde::Deserialize;
use url::{Host, Url};

/// Endpoints of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    pub(super) userinfo_endpoint: Option<Url>,
    pub(super) jwks_uri: Url,
    /// True if the token endpoint accepts the client secret in a header; otherwise it is sent in the body.
    pub(super) takes_header: bool,
}

#[derive(Deserialize)]
struct Published {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    userinfo_endpoint: Option<String>,
    jwks_uri: String,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

impl Metadata {
    /// Parses the metadata that is published at the issuer's URL.
    pub(super) fn read(json: &[u8], issuer: &str) -> Result<Self, String> {
        let published: Published = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        // Otherwise one issuer could impersonate another (section 4.3).
        if published.issuer != issuer {
            return Err(format!("its issuer is {:?}, but the setting says {issuer:?}", published.issuer));
        }
        // The header is the default if the metadata names no methods.
        let methods = published.token_endpoint_auth_methods_supported;
        Ok(Self {
            authorization_endpoint: endpoint(&published.authorization_endpoint)?,
            token_endpoint: endpoint(&published.token_endpoint)?,
            userinfo_endpoint: published.userinfo_endpoint.as_deref().map(endpoint).transpose()?,
            jwks_uri: endpoint(&published.jwks_uri)?,
            takes_header: methods.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic")),
        })
    }
}

fn endpoint(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| format!("{text:?} is not a URL"))?;
    if is_safe(&url) { Ok(url) } else { Err(format!("{text} is not https")) }
}

/// Returns true if nobody can read or change the traffic to this URL: TLS, or this machine.
pub(super) fn is_safe(url: &Url) -> bool {
    let is_local = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_names_its_own_issuer_and_uses_tls() {
        let text = r#"{"issuer":"https://p.example/a","authorization_endpoint":"https://p.example/authorize?a=1",
            "token_endpoint":"https://p.example/token","jwks_uri":"https://p.example/keys","other":[1]}"#;
        let read = |text: &str, issuer: &str| Metadata::read(text.as_bytes(), issuer);
        let metadata = read(text, "https://p.example/a").expect("the metadata is valid");
        assert!(metadata.takes_header && metadata.userinfo_endpoint.is_none());
        let check = |text: &str, expected: &str| {
            let error = read(text, "https://p.example/a").expect_err(text);
            assert!(error.contains(expected), "{error}");
        };
        assert!(read(text, "https://p.example").expect_err("another").contains("the setting says"));
        check(&text.replace("https://p.example/token", "http://p.example/token"), "is not https");
        check(&text.replace("https://p.example/keys", "ftp://p.example/keys"), "is not https");
        check(&text.replace("https://p.example/keys", "keys"), "\"keys\" is not a URL");
        check(&text.replace("token_endpoint", "endpoint"), "missing field `token_endpoint`");
        let post = text.replace("\"other\":[1]", r#""token_endpoint_auth_methods_supported":["client_secret_post"]"#);
        assert!(!read(&post, "https://p.example/a").expect("the metadata is valid").takes_header);
        let local = text.replace("https://p.example", "http://127.0.0.1:1");
        assert!(read(&local, "http://127.0.0.1:1/a").is_ok());
    }
}
