//! Asking a provider of OpenID Connect, which the operator names: its metadata and keys (OpenID Connect Discovery 1.0), and
//! what a code is good for (Core 1.0, section 3.1.3).
//!
//! What it publishes is kept for an hour, and read again where a token names a key that is not among those kept: keys
//! rotate. Whatever happens, an answer comes within [`WITHIN`]; redirects are not followed. A provider may be anywhere, in
//! the operator's own network too, since it is no tenant who names it.

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
    ask::{Asker, Authentication},
    metadata::Metadata,
};
use crate::http::{Error as SetUpError, Trust};

/// How long asking a provider may take in all.
pub const WITHIN: Duration = Duration::from_secs(15);
/// For how long what it publishes is kept.
const KEPT_FOR: Duration = Duration::from_secs(3600);
/// How soon its keys are read again, at the earliest, for a token that names one that is not known.
const KEYS_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// For how long nobody asks again, once it could not be reached: those who come then are told at once.
const REST: Duration = Duration::from_secs(3);

/// A provider, as the operator has set it up.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its issuer, exactly as it calls itself.
    pub issuer: String,
    /// What it calls this installation.
    pub client_id: String,
    /// What this installation proves itself with.
    pub client_secret: Secret,
}

/// Whether an issuer's address can be one (OpenID Connect Core 1.0, section 2): https, or http on this machine.
pub fn is_issuer(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| {
        metadata::is_safe(&url)
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    })
}

/// Where somebody is sent to sign in.
#[derive(Debug, Clone, Copy)]
pub struct SignIn<'a> {
    /// Where they come back to.
    pub redirect_uri: &'a str,
    /// What they bring back, so that it is known to be them.
    pub state: &'a str,
    /// What the token has to repeat.
    pub nonce: &'a str,
    /// The SHA-256 of the verifier, in base64url (RFC 7636).
    pub challenge: &'a str,
}

/// What somebody brings back.
#[derive(Debug, Clone, Copy)]
pub struct Return<'a> {
    /// The code.
    pub code: &'a str,
    /// Where they came back to.
    pub redirect_uri: &'a str,
    /// What the challenge is the SHA-256 of.
    pub verifier: &'a str,
    /// What the token has to repeat.
    pub nonce: &'a str,
    /// When it is, by the machine's clock.
    pub wall: Timestamp,
}

/// Why a provider gave no answer that is good for anything. Nothing of what it said is in it, but for its own word for an
/// error.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProviderError {
    /// It cannot be reached.
    #[error("the provider cannot be reached: {0}")]
    Unreachable(String),
    /// It takes too long.
    #[error("the provider did not answer in time")]
    TimedOut,
    /// It answers something else than what the standard says.
    #[error("the provider's {what} is invalid: {problem}")]
    Unusable {
        /// What it was asked for.
        what: &'static str,
        /// What is wrong with the answer.
        problem: String,
    },
    /// It does not take the code, or does not take us for its client.
    #[error("the provider refused the code: {0}")]
    Refused(String),
    /// What it says of somebody is not to be believed.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// A provider.
pub struct Provider {
    settings: Settings,
    asker: Asker,
    /// One asks, the others wait for what that brings.
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    metadata: Option<(Instant, Arc<Metadata>)>,
    keys: Option<(Instant, Arc<KeySet>)>,
    failed: Option<(Instant, ProviderError)>,
}

/// What the token endpoint answers.
#[derive(Deserialize)]
struct Tokens {
    id_token: String,
    access_token: Option<String>,
}

impl Provider {
    /// A provider that is asked when somebody comes.
    ///
    /// # Errors
    /// Where TLS or name resolution cannot be set up.
    pub fn new(settings: Settings, trust: Trust) -> Result<Self, SetUpError> {
        Ok(Self { settings, asker: Asker::new(trust)?, kept: Mutex::default() })
    }

    /// Its issuer.
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// The address at which somebody signs in.
    ///
    /// # Errors
    /// Where the provider does not say where that is.
    pub async fn address(&self, sign_in: &SignIn<'_>) -> Result<Url, ProviderError> {
        let metadata = timeout(WITHIN, self.metadata()).await.map_err(|_| ProviderError::TimedOut)??;
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

    /// Who somebody is, by the code that they bring back.
    ///
    /// # Errors
    /// Where the provider does not say, or is not to be believed.
    pub async fn redeem(&self, back: &Return<'_>) -> Result<Claims, ProviderError> {
        timeout(WITHIN, self.ask_who(back)).await.map_err(|_| ProviderError::TimedOut)?
    }

    async fn ask_who(&self, back: &Return<'_>) -> Result<Claims, ProviderError> {
        let metadata = self.metadata().await?;
        let Settings { issuer, client_id, client_secret } = &self.settings;
        let authentication = Authentication { client_id, client_secret, in_header: metadata.takes_header };
        let form = [
            ("grant_type", "authorization_code"),
            ("code", back.code),
            ("redirect_uri", back.redirect_uri),
            ("code_verifier", back.verifier),
        ];
        let tokens: Tokens = self.asker.redeem(&metadata.token_endpoint, &form, authentication).await?;
        let expected = Expected { issuer, client_id, nonce: back.nonce, wall: back.wall };
        let keys = self.keys(&metadata, KEPT_FOR).await?;
        let claims = match token::verify(&tokens.id_token, &keys, &expected) {
            // It may have other keys by now.
            Err(TokenError::UnknownKey) => {
                let keys = self.keys(&metadata, KEYS_AGAIN_AFTER).await?;
                token::verify(&tokens.id_token, &keys, &expected)?
            }
            verified => verified?,
        };
        match (&claims.email, &metadata.userinfo_endpoint, &tokens.access_token) {
            (None, Some(endpoint), Some(access_token)) => {
                let answer = self.asker.get("userinfo", endpoint, Some(access_token)).await?;
                let problem = "it is about somebody else, or no JSON".to_owned();
                claims.completed(&answer).ok_or(ProviderError::Unusable { what: "userinfo", problem })
            }
            (_, _, _) => Ok(claims),
        }
    }

    async fn metadata(&self) -> Result<Arc<Metadata>, ProviderError> {
        let mut kept = self.kept.lock().await;
        if let Some((at, metadata)) = &kept.metadata
            && at.elapsed() < KEPT_FOR
        {
            return Ok(Arc::clone(metadata));
        }
        kept.rests()?;
        match self.read_metadata().await {
            Ok(metadata) => {
                let metadata = Arc::new(metadata);
                kept.metadata = Some((Instant::now(), Arc::clone(&metadata)));
                Ok(metadata)
            }
            Err(error) => kept.fails(error),
        }
    }

    async fn read_metadata(&self) -> Result<Metadata, ProviderError> {
        let issuer = &self.settings.issuer;
        let unusable = |problem: String| ProviderError::Unusable { what: "configuration", problem };
        let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let address = Url::parse(&address).map_err(|error| unusable(error.to_string()))?;
        let answer = self.asker.get("configuration", &address, None).await?;
        Metadata::read(&answer, issuer).map_err(unusable)
    }

    /// Its keys, no older than `most`.
    async fn keys(&self, metadata: &Metadata, most: Duration) -> Result<Arc<KeySet>, ProviderError> {
        let mut kept = self.kept.lock().await;
        if let Some((at, keys)) = &kept.keys
            && at.elapsed() < most
        {
            return Ok(Arc::clone(keys));
        }
        kept.rests()?;
        let problem = || ProviderError::Unusable { what: "keys", problem: "they are no JSON Web Key Set".to_owned() };
        let read = self.asker.get("keys", &metadata.jwks_uri, None).await.and_then(|answer| KeySet::parse(&answer).ok_or_else(problem));
        match read {
            Ok(keys) => {
                let keys = Arc::new(keys);
                kept.keys = Some((Instant::now(), Arc::clone(&keys)));
                Ok(keys)
            }
            Err(error) => kept.fails(error),
        }
    }
}

impl Kept {
    fn rests(&self) -> Result<(), ProviderError> {
        match &self.failed {
            Some((at, error)) if at.elapsed() < REST => Err(error.clone()),
            Some(_) | None => Ok(()),
        }
    }

    fn fails<T>(&mut self, error: ProviderError) -> Result<T, ProviderError> {
        self.failed = Some((Instant::now(), error.clone()));
        Err(error)
    }
}
