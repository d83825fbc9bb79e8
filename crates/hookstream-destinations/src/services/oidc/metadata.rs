//! What a provider says of itself (OpenID Connect Discovery 1.0, section 3).

use serde::Deserialize;
use url::{Host, Url};

/// Where it is asked for what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Metadata {
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    pub(super) userinfo_endpoint: Option<Url>,
    pub(super) jwks_uri: Url,
    /// Whether its token endpoint takes the client's secret in a header; otherwise it stands in the body.
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
    /// Reads what it publishes under its issuer's address.
    pub(super) fn read(json: &[u8], issuer: &str) -> Result<Self, String> {
        let published: Published = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        // Otherwise somebody could speak for somebody else (section 4.3).
        if published.issuer != issuer {
            return Err(format!("it says that its issuer is {:?}, and the setting says {issuer:?}", published.issuer));
        }
        // Where it says nothing, it takes the header.
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
    let url = Url::parse(text).map_err(|_| format!("{text:?} is no URL"))?;
    if is_safe(&url) { Ok(url) } else { Err(format!("{text} is not https")) }
}

/// Whether nobody on the way can read or change what goes there: TLS, or this machine.
pub(super) fn is_safe(url: &Url) -> bool {
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || (url.scheme() == "http" && is_here)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_speaks_for_itself_and_over_tls() {
        let text = r#"{"issuer":"https://p.example/a","authorization_endpoint":"https://p.example/authorize?a=1",
            "token_endpoint":"https://p.example/token","jwks_uri":"https://p.example/keys","other":[1]}"#;
        let read = |text: &str, issuer: &str| Metadata::read(text.as_bytes(), issuer);
        let metadata = read(text, "https://p.example/a").expect("it is good");
        assert!(metadata.takes_header && metadata.userinfo_endpoint.is_none());
        let check = |text: &str, said: &str| {
            let error = read(text, "https://p.example/a").expect_err(text);
            assert!(error.contains(said), "{error}");
        };
        assert!(read(text, "https://p.example").expect_err("another").contains("the setting says"));
        check(&text.replace("https://p.example/token", "http://p.example/token"), "is not https");
        check(&text.replace("https://p.example/keys", "ftp://p.example/keys"), "is not https");
        check(&text.replace("https://p.example/keys", "keys"), "\"keys\" is no URL");
        check(&text.replace("token_endpoint", "endpoint"), "missing field `token_endpoint`");
        let post = text.replace("\"other\":[1]", r#""token_endpoint_auth_methods_supported":["client_secret_post"]"#);
        assert!(!read(&post, "https://p.example/a").expect("it is good").takes_header);
        let local = text.replace("https://p.example", "http://127.0.0.1:1");
        assert!(read(&local, "http://127.0.0.1:1/a").is_ok());
    }
}
