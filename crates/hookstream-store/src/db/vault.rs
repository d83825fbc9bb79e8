//! Vault of the store, the only place where secrets are sealed before they enter a row and opened after they leave it.
//!
//! The functions of [`crate::outbound::endpoints`], [`crate::outbound::idempotency`], [`crate::db::settings`] and
//! [`crate::identity::users`] seal and open. Their callers see plain secrets, their rows hold sealed ones. A store is
//! [unlocked](crate::db::vault_keys::unlock) once, before any secret is written or read.
//!
//! Each key under which rows may be sealed has a **mark** in `settings` (`encryption_key.<id>`). A start compares the
//! marks with the given keys. A write of a sealed value checks the mark of its key in the same transaction: a
//! [retired](crate::db::vault_keys::rotate) key seals nothing more.

use std::sync::{Mutex, OnceLock, PoisonError};

use hookstream_model::base::{
    ids::{EndpointId, EnvironmentId, UserId},
    vault::{Keys, NONCE_BYTES, SealContext},
};
use rand::{Rng, rngs::StdRng};

use crate::db::error::Error;

// Each statement changes its row only if the row is unchanged since it was read.

/// Keys of a store, once it is unlocked.
#[derive(Debug, Default)]
pub struct Vault(pub(crate) OnceLock<Unlocked>);

#[derive(Debug)]
pub(crate) struct Unlocked {
    pub(crate) keys: Keys,
    pub(crate) nonces: Mutex<StdRng>,
}

impl Vault {
    pub(crate) fn seal(&self, context: &SealContext, text: &str) -> Result<String, Error> {
        let unlocked = self.unlocked()?;
        let mut nonce = [0; NONCE_BYTES];
        unlocked.nonces.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut nonce);
        Ok(unlocked.keys.seal(context, text, nonce))
    }

    pub(crate) fn open(&self, context: &SealContext, text: &str) -> Result<String, Error> {
        self.unlocked()?.keys.open(context, text).map_err(|cause| Error::Unopened { what: context.column, cause })
    }

    pub(crate) fn keys(&self) -> Result<&Keys, Error> {
        self.unlocked().map(|unlocked| &unlocked.keys)
    }

    pub(crate) fn unlocked(&self) -> Result<&Unlocked, Error> {
        self.0.get().ok_or(Error::Locked)
    }
}

/// Returns the context of an endpoint's current secret.
pub(crate) fn secret_of(id: EndpointId) -> SealContext {
    SealContext { column: "endpoints.secret", row: id.as_bytes().to_vec() }
}

/// Returns the context of an endpoint's previous secret.
pub(crate) fn previous_secrets_of(id: EndpointId) -> SealContext {
    SealContext { column: "endpoints.previous_secrets", row: id.as_bytes().to_vec() }
}

/// Returns the context of the settings of an endpoint's target.
pub(crate) fn config_of(id: EndpointId) -> SealContext {
    SealContext { column: "endpoints.config", row: id.as_bytes().to_vec() }
}

/// Returns the context of the response stored for an idempotency key.
pub(crate) fn response_of(environment: EnvironmentId, key: &str) -> SealContext {
    SealContext { column: "idempotency_keys.body", row: [environment.as_bytes(), key.as_bytes()].concat() }
}

/// Returns the context of the secret of a user's second factor.
pub(crate) fn totp_secret_of(id: UserId) -> SealContext {
    SealContext { column: "users.totp_secret", row: id.as_bytes().to_vec() }
}

/// Returns the context of a setting's value.
pub(crate) fn setting_of(name: &str) -> SealContext {
    SealContext { column: "settings.value", row: name.as_bytes().to_vec() }
}
