//! Setting `oidc_providers`: OpenID Connect providers for signing in. A list of tables in the file; the same as JSON
//! in the environment (`HOOKSTREAM_OIDC_PROVIDERS`). Errors do not contain secrets.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, bail};
use hookstream_api::IdentityProvider;
use hookstream_destinations::{
    net::{Trust, certificates},
    services::oidc::{self, Provider},
};
use hookstream_model::{base::secret::Secret, identity::user::check_name};
use serde::Deserialize;

use super::values::SecretText;

/// Maximum number of providers, which fits on a page.
const PROVIDERS_MAX: usize = 20;

/// Provider as given.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderSettings {
    name: String,
    title: Option<String>,
    issuer: String,
    client_id: String,
    client_secret: Option<SecretText>,
    client_secret_file: Option<PathBuf>,
    #[serde(default)]
    email_domains: Vec<String>,
    ca_file: Option<PathBuf>,
}

/// Complete and checked provider; its files are read at the start.
#[derive(Debug, Clone)]
pub(crate) struct ProviderConfig {
    pub(crate) name: String,
    title: String,
    issuer: String,
    client_id: String,
    client_secret: ClientSecret,
    email_domains: Vec<String>,
    ca_file: Option<PathBuf>,
}

#[derive(Debug, Clone)]
enum ClientSecret {
    Given(Secret),
    File(PathBuf),
}

/// Checks all providers.
pub(crate) fn check(given: Vec<ProviderSettings>) -> anyhow::Result<Vec<ProviderConfig>> {
    if given.len() > PROVIDERS_MAX {
        bail!("oidc_providers has {} providers; {PROVIDERS_MAX} are allowed", given.len());
    }
    let mut checked: Vec<ProviderConfig> = Vec::with_capacity(given.len());
    for (number, settings) in (1..).zip(given) {
        let provider = settings.check().with_context(|| format!("oidc_providers: provider {number} is refused"))?;
        if checked.iter().any(|other| other.name == provider.name || other.issuer == provider.issuer) {
            bail!("oidc_providers: provider {number} has the name or the issuer of another");
        }
        checked.push(provider);
    }
    Ok(checked)
}

impl ProviderSettings {
    fn check(self) -> anyhow::Result<ProviderConfig> {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty() || self.name.len() > 32 || !self.name.chars().all(is_plain) {
            bail!("name must have 1 to 32 characters: small letters, digits and dashes; it stands in addresses");
        }
        let title = self.title.unwrap_or_else(|| self.name.clone());
        if check_name(&title).is_err() {
            bail!("title must have 1 to 255 characters, none of them control characters");
        }
        if !oidc::is_issuer(&self.issuer) {
            bail!("issuer must be an https URL without query or fragment, exactly as the provider writes it (http for this machine only)");
        }
        if self.client_id.is_empty() {
            bail!("client_id must not be empty");
        }
        let client_secret = match (self.client_secret, self.client_secret_file) {
            (Some(secret), None) if !secret.0.expose().is_empty() => ClientSecret::Given(secret.0),
            (None, Some(file)) => ClientSecret::File(file),
            (_, _) => bail!("client_secret or client_secret_file must be there, and one of them only"),
        };
        let email_domains: Vec<_> = self.email_domains.iter().map(|domain| domain.trim().to_lowercase()).collect();
        if email_domains.iter().any(|domain| domain.is_empty() || domain.contains('@')) {
            bail!("email_domains must be domains such as example.com");
        }
        let Self { name, issuer, client_id, ca_file, .. } = self;
        Ok(ProviderConfig { name, title, issuer, client_id, client_secret, email_domains, ca_file })
    }
}

impl ProviderConfig {
    /// Returns the identity provider for signing in.
    pub(crate) fn provider(&self) -> anyhow::Result<IdentityProvider> {
        let named = || format!("oidc_providers: {}", self.name);
        let client_secret = match &self.client_secret {
            ClientSecret::Given(secret) => secret.clone(),
            ClientSecret::File(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("{}: could not read client_secret_file {}", named(), path.display()))?;
                Secret::new(text.trim())
            }
        };
        let mut trust = Trust::default();
        if let Some(path) = &self.ca_file {
            let pem = std::fs::read(path).with_context(|| format!("{}: could not read ca_file {}", named(), path.display()))?;
            trust.extra_roots = certificates(&pem).with_context(|| format!("{}: ca_file {}", named(), path.display()))?;
        }
        let settings = oidc::Settings { issuer: self.issuer.clone(), client_id: self.client_id.clone(), client_secret };
        Ok(IdentityProvider {
            name: self.name.clone(),
            title: self.title.clone(),
            email_domains: self.email_domains.clone(),
            client: Arc::new(Provider::new(settings, trust).with_context(named)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{super::without_flag::Written, *};

    const GOOD: &str =
        r#"{"name": "google", "title": "Google", "issuer": "https://accounts.google.com", "client_id": "1", "client_secret": "hunter2"}"#;

    #[test]
    fn providers_are_checked_without_showing_secrets() {
        let read = |text: &str| check(Written::Variable(text).tables().map_err(anyhow::Error::msg)?);
        let checked = read(&format!("[{GOOD}]")).expect("the provider is valid");
        assert!(!format!("{checked:?}").contains("hunter2"));
        let other = GOOD.replace("google", "other");
        assert_eq!(read(&format!("[{GOOD},{other}]")).expect("the providers are valid").len(), 2);
        let check = |text: &str, said: &str| {
            let error = format!("{:?}", read(&format!("[{text}]")).expect_err(text));
            assert!(error.contains(said) && !error.contains("hunter2"), "{text}: {error}");
        };
        check(&GOOD.replace("\"google\"", "\"Google\""), "provider 1 is refused");
        check(&GOOD.replace("\"google\"", "\"a/b\""), "small letters");
        check(&GOOD.replace("https://accounts", "http://accounts"), "issuer must be");
        check(&GOOD.replace("google.com", "google.com?a=1"), "issuer must be");
        check(&GOOD.replace("\"client_secret\"", "\"client_secrets\""), "unknown field `client_secrets`");
        check(&GOOD.replace(r#""hunter2""#, r#"["hunter2"]"#), "invalid type");
        check(&GOOD.replace(r#", "client_secret": "hunter2""#, ""), "client_secret or client_secret_file");
        check(&GOOD.replace('}', r#", "client_secret_file": "f"}"#), "one of them only");
        check(&GOOD.replace('}', r#", "email_domains": ["a@example.com"]}"#), "email_domains must be");
        check(&GOOD.replace('}', r#", "email_domains": "hunter2"}"#), "invalid type: string, expected a sequence");
        check(&format!("{GOOD},{GOOD}"), "provider 2 has the name or the issuer of another");
        check("\"hunter2\"", "invalid type: string, expected struct ProviderSettings");
        let local = GOOD.replace("https://accounts.google.com", "http://127.0.0.1:8080");
        assert!(read(&format!("[{local}]")).is_ok());
    }
}
