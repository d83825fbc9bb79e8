//! What the commands of `admin` ask of a store. Each is done on the store itself, or, where a server has the data directory, by that
//! server ([`crate::server::control`]), so that no command needs a stop.

use serde::{Deserialize, Serialize};

use super::{create_api_key, create_owner, installation::Installation, password_link, quotas, rotate_key, rotate_portal_key};

/// One command, with its arguments.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    CreateApiKey(create_api_key::NewKey),
    CreateOwner(create_owner::NewOwner),
    PasswordLink(password_link::Whose),
    Quotas(quotas::QuotaChange),
    RotateKey(rotate_key::Rotation),
    RotatePortalKey(rotate_portal_key::Rotation),
}

impl Request {
    /// Does it and returns what to tell.
    pub(crate) async fn perform(self, on: &Installation<'_>) -> anyhow::Result<String> {
        match self {
            Self::CreateApiKey(key) => create_api_key::perform(on, key).await,
            Self::CreateOwner(owner) => create_owner::perform(on, owner).await,
            Self::PasswordLink(whose) => password_link::perform(on, whose).await,
            Self::Quotas(change) => quotas::perform(on, change).await,
            Self::RotateKey(rotation) => rotate_key::perform(on, rotation).await,
            Self::RotatePortalKey(rotation) => rotate_portal_key::perform(on, rotation).await,
        }
    }

    /// Whether the store has to be unlocked for it.
    pub(super) const fn needs_encryption_key(&self) -> bool {
        match self {
            Self::CreateOwner(_) | Self::PasswordLink(_) | Self::RotateKey(_) | Self::RotatePortalKey(_) => true,
            Self::CreateApiKey(_) | Self::Quotas(_) => false,
        }
    }
}
