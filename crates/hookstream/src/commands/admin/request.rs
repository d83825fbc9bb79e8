//! Requests of the `admin` commands to a store. A command performs its request on the store itself, or, if a server
//! uses the data directory, through that server ([`crate::server::control`]), so that no command requires a stop.

use serde::{Deserialize, Serialize};

use super::{create_api_key, create_owner, installation::Installation, password_link, quotas, reload, rotate_key, rotate_portal_key};

/// Command with its arguments.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    CreateApiKey(create_api_key::NewKey),
    CreateOwner(create_owner::NewOwner),
    PasswordLink(password_link::LinkedUser),
    Quotas(quotas::QuotaChange),
    /// Pause of the writer, for a backup by the command; see `server::control`.
    PauseWriting,
    Reload,
    RotateKey(rotate_key::Rotation),
    RotatePortalKey(rotate_portal_key::Rotation),
}

impl Request {
    /// Performs the request and returns the text to print.
    pub(crate) async fn perform(self, on: &Installation<'_>) -> anyhow::Result<String> {
        match self {
            Self::CreateApiKey(key) => create_api_key::perform(on, key).await,
            Self::CreateOwner(owner) => create_owner::perform(on, owner).await,
            Self::PasswordLink(whose) => password_link::perform(on, whose).await,
            Self::Quotas(change) => quotas::perform(on, change).await,
            Self::PauseWriting => anyhow::bail!("writing is paused on a connection of the control socket only"),
            Self::Reload => reload::perform(on),
            Self::RotateKey(rotation) => rotate_key::perform(on, rotation).await,
            Self::RotatePortalKey(rotation) => rotate_portal_key::perform(on, rotation).await,
        }
    }

    /// Returns true if the request needs an unlocked store.
    pub(super) const fn needs_encryption_key(&self) -> bool {
        match self {
            Self::CreateOwner(_) | Self::PasswordLink(_) | Self::RotateKey(_) | Self::RotatePortalKey(_) => true,
            Self::CreateApiKey(_) | Self::Quotas(_) | Self::PauseWriting | Self::Reload => false,
        }
    }
}
