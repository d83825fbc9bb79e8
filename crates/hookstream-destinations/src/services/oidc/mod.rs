//! OpenID Connect providers of the operator: fetches their metadata and keys (OpenID Connect Discovery 1.0) and
//! redeems authorization codes (Core 1.0, section 3.1.3).
//!
//! Metadata and keys are cached for an hour. Keys are fetched again if a token names an unknown key, because keys
//! rotate. Every call returns within [`TIME_LIMIT`]; redirects are not followed. A provider may have any address,
//! including the operator's own network, because no tenant can name one.

mod ask;
mod metadata;

use std::{sync::Arc, time::Duration};

use hookstream_model::{
    base::{secret::Secret, time::Timestamp},
    identity::oidc::{
        Claims,
        keys::KeySet,
        token::{self, Expected, TokenError},
    },
};
use serde::Deserialize;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};
use url::Url;

use self::{
    ask::{Authentication, ProviderClient},
    metadata::Metadata,
};
use crate::net::{Trust, error::Error as SetUpError};

/// Time limit of one call.
pub const TIME_LIMIT: Duration = Duration::from_secs(15);
/// Time for which metadata and keys are cached.
const CACHED_FOR: Duration = Duration::from_secs(3600);
/// Minimum age at which keys are fetched again for an unknown key id.
const KEYS_REFRESH_AFTER: Duration = Duration::from_secs(1);
/// Pause after a failure, during which calls fail at once.
const FAILURE_PAUSE: Duration = Duration::from_secs(3);

/// Settings of a provider, made by the operator.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Issuer, exactly as the provider names itself.
    pub issuer: String,
    /// Client id of this installation at the provider.
    pub client_id: String,
    /// Client secret of this installation.
    pub client_secret: Secret,
}

/// Returns true if a text is a valid issuer (OpenID Connect Core 1.0, section 2): https, or http on this machine.
pub fn is_issuer(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        metadata::is_safe(&url)
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    })
}

/// Parameters of the redirect to the provider.
#[derive(Debug, Clone, Copy)]
pub struct SignIn<'a> {
    /// URL to which the provider redirects callback.
    pub redirect_uri: &'a str,
    /// Value that the provider returns, which binds the callback to the browser.
    pub state: &'a str,
    /// Value that the ID token must repeat.
    pub nonce: &'a str,
    /// SHA-256 of the verifier, in base64url (RFC 7636).
    pub challenge: &'a str,
}

/// Parameters of the callback from the provider.
#[derive(Debug, Clone, Copy)]
pub struct Callback<'a> {
    /// Authorization code.
    pub code: &'a str,
    /// Redirect URI that was sent with the sign-in.
    pub redirect_uri: &'a str,
    /// Preimage of the challenge.
    pub verifier: &'a str,
    /// Value that the ID token must repeat.
    pub nonce: &'a str,
    /// Current time by the machine's clock.
    pub wall: Timestamp,
}

/// Reason why a provider request failed. It contains no part of the response except the provider's error code.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProviderError {
    /// The provider cannot be reached.
    #[error("the provider cannot be reached: {0}")]
    Unreachable(String),
    /// The time limit was exceeded.
    #[error("the provider did not respond in time")]
    TimedOut,
    /// The response does not conform to the standard.
    #[error("the provider's {what} is invalid: {problem}")]
    Unusable {
        /// Document that was requested.
        what: &'static str,
        /// Problem of the document.
        problem: String,
    },
    /// The provider rejected the code or our client credentials.
    #[error("the provider refused the code: {0}")]
    Refused(String),
    /// The ID token failed verification.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// OpenID Connect provider.
pub struct Provider {
    settings: Settings,
    client: ProviderClient,
    /// Cache. The lock is held during a request, so that concurrent callers share its result.
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    metadata: Option<(Instant, Arc<Metadata>)>,
    keys: Option<(Instant, Arc<KeySet>)>,
    failed: Option<(Instant, ProviderError)>,
}

/// Response of the token endpoint.
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: Option<String>,
}

impl Provider {
    /// Builds a provider; it is contacted only on demand.
    ///
    /// # Errors
    /// If TLS or name resolution cannot be set up.
    pub fn new(settings: Settings, trust: Trust) -> Result<Self, SetUpError> {
        Ok(Self { settings, client: ProviderClient::new(trust)?, cache: Mutex::default() })
    }

    /// Issuer of the provider.
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// Returns the URL at which a user signs in.
    ///
    /// # Errors
    /// If the provider's metadata is unavailable.
    pub async fn address(&self, sign_in: &SignIn<'_>) -> Result<Url, ProviderError> {
        let metadata = timeout(TIME_LIMIT, self.metadata()).await.map_err(|_| ProviderError::TimedOut)??;
        let mut address = metadata.authorization_endpoint.clone();
        address
            .query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", sign_in.redirect_uri)
            .append_pair("scope", "openid email profile")
            .append_pair("state", sign_in.state)
            .append_pair("nonce", sign_in.nonce)
            .append_pair("code_challenge", sign_in.challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(address)
    }

    /// Fetches the provider's metadata and keys, as a sign-in would.
    ///
    /// # Errors
    /// If the provider cannot be reached, or its answers cannot be used.
    pub async fn check(&self) -> Result<(), ProviderError> {
        let fetched = async { self.keys(&*self.metadata().await?, CACHED_FOR).await };
        timeout(TIME_LIMIT, fetched).await.map_err(|_| ProviderError::TimedOut)?.map(|_| ())
    }

    /// Redeems the code of a callback and returns the verified claims about the user.
    ///
    /// # Errors
    /// If the provider record_failure, or its token is invalid.
    pub async fn redeem(&self, callback: &Callback<'_>) -> Result<Claims, ProviderError> {
        timeout(TIME_LIMIT, self.fetch_claims(callback)).await.map_err(|_| ProviderError::TimedOut)?
    }

    async fn fetch_claims(&self, callback: &Callback<'_>) -> Result<Claims, ProviderError> {
        let metadata = self.metadata().await?;
        let Settings { issuer, client_id, client_secret } = &self.settings;
        let authentication = Authentication { client_id, client_secret, in_header: metadata.takes_header };
        let form = [
            ("grant_type", "authorization_code"),
            ("code", callback.code),
            ("redirect_uri", callback.redirect_uri),
            ("code_verifier", callback.verifier),
        ];
        let tokens: Tokens = self.client.redeem(&metadata.token_endpoint, &form, authentication).await?;
        let expected = Expected { issuer, client_id, nonce: callback.nonce, wall: callback.wall };
        let keys = self.keys(&metadata, CACHED_FOR).await?;
        let claims = match token::verify(&tokens.id_token, &keys, &expected) {
            // The provider may have rotated its keys.
            Err(TokenError::UnknownKey) => {
                let keys = self.keys(&metadata, KEYS_REFRESH_AFTER).await?;
                token::verify(&tokens.id_token, &keys, &expected)?
            }
            verified => verified?,
        };
        match (&claims.email, &metadata.userinfo_endpoint, &tokens.access_token) {
            (None, Some(endpoint), Some(access_token)) => {
                let response = self.client.get("userinfo", endpoint, Some(access_token)).await?;
                let problem = "it is about another user, or not JSON".to_owned();
                claims.completed(&response).ok_or(ProviderError::Unusable { what: "userinfo", problem })
            }
            (_, _, _) => Ok(claims),
        }
    }

    async fn metadata(&self) -> Result<Arc<Metadata>, ProviderError> {
        let mut cache = self.cache.lock().await;
        if let Some((at, metadata)) = &cache.metadata
            && at.elapsed() < CACHED_FOR
        {
            return Ok(Arc::clone(metadata));
        }
        cache.check_pause()?;
        match self.fetch_metadata().await {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                cache.metadata = Some((Instant::now(), Arc::clone(&metadata)));
                Ok(metadata)
            }
            Err(error) => cache.record_failure(error),
        }
    }

    async fn fetch_metadata(&self) -> Result<Metadata, ProviderError> {
        let issuer = &self.settings.issuer;
        let unusable = |problem: String| ProviderError::Unusable { what: "configuration", problem };
        let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let address = Url::parse(&address).map_err(|error| unusable(error.to_string()))?;
        let response = self.client.get("configuration", &address, None).await?;
        Metadata::read(&response, issuer).map_err(unusable)
    }

    /// Returns the provider's keys, no older than `most`.
    async fn keys(&self, metadata: &Metadata, most: Duration) -> Result<Arc<KeySet>, ProviderError> {
        let mut cache = self.cache.lock().await;
        if let Some((at, keys)) = &cache.keys
            && at.elapsed() < most
        {
            return Ok(Arc::clone(keys));
        }
        cache.check_pause()?;
        let problem = || ProviderError::Unusable { what: "keys", problem: "they are not a JSON Web Key Set".to_owned() };
        let fetched =
            self.client.get("keys", &metadata.jwks_uri, None).await.and_then(|response| KeySet::parse(&response).ok_or_else(problem));
        match fetched {
            Ok(keys) => {
                let keys = Arc::new(keys);
                cache.keys = Some((Instant::now(), Arc::clone(&keys)));
                Ok(keys)
            }
            Err(error) => cache.record_failure(error),
        }
    }
}

impl Cache {
    fn check_pause(&self) -> Result<(), ProviderError> {
        match &self.failed {
            Some((at, error)) if at.elapsed() < FAILURE_PAUSE => Err(error.clone()),
            Some(_) | None => Ok(()),
        }
    }

    fn record_failure<T>(&mut self, error: ProviderError) -> Result<T, ProviderError> {
        self.failed = Some((Instant::now(), error.clone()));
        Err(error)
    }
}
