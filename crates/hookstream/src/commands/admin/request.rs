//! What the commands of `admin` ask of a store. Each is done on the store itself, or, where a server has the data directory, by that
//! server ([`crate::server::control`]), so that no command needs a stop.

use anyhow::bail;
use hookstream_model::operations::quota::Quotas;
use hookstream_store::Store;
use rand::{SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

use super::{create_api_key, create_owner, password_link, quotas, rotate_key, rotate_portal_key};
use crate::{
    commands::existing::{ExistingStore, Opened},
    config::{Config, Settings},
    output::say,
    server::{control, keys},
};

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

/// A store that is unlocked, and what else a command needs to know.
pub(crate) struct Installation<'a> {
    pub(crate) store: &'a dyn Store,
    /// The address for links.
    pub(crate) public_url: String,
    /// What organizations may have that have no quotas of their own.
    pub(crate) quotas: Quotas,
    /// Whether no other process uses the store.
    pub(crate) is_alone: bool,
    /// Whether somebody watches standard error.
    pub(crate) is_watched: bool,
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
    const fn needs_encryption_key(&self) -> bool {
        match self {
            Self::CreateOwner(_) | Self::PasswordLink(_) | Self::RotateKey(_) | Self::RotatePortalKey(_) => true,
            Self::CreateApiKey(_) | Self::Quotas(_) => false,
        }
    }
}

/// Does it on a store, or has the server do it that uses the data directory, and prints what that says.
pub(crate) async fn run(place: ExistingStore, settings: Settings, mut request: Request) -> anyhow::Result<()> {
    let config = place.config(settings)?;
    if let Request::RotateKey(rotation) = &mut request {
        rotation.current = keys::given(&config)?.map(|keys| keys.current().id().to_string());
    }
    let text = match place.open(&config).await? {
        Opened::Store(store) => {
            let done = directly(&*store, &config, request).await;
            store.close().await;
            done?
        }
        Opened::InUse => control::ask(&config.data_dir, &request).await?,
    };
    say!("{}", text.trim_end());
    Ok(())
}

async fn directly(store: &dyn Store, config: &Config, request: Request) -> anyhow::Result<String> {
    if request.needs_encryption_key() {
        let mut rng = StdRng::try_from_rng(&mut rand::rngs::SysRng)?;
        keys::unlock(store, config, &mut rng).await?;
    }
    let public_url = config.public_url.clone().unwrap_or_else(|| format!("http://{}", config.listen));
    let is_alone = config.database.is_none();
    request.perform(&Installation { store, public_url, quotas: config.quotas, is_alone, is_watched: true }).await
}

/// Refuses an address for links that is none; a command's own goes before the setting.
pub(super) fn public_url_of(given: Option<String>, on: &Installation<'_>) -> anyhow::Result<String> {
    match given {
        None => Ok(on.public_url.clone()),
        Some(url) if url.starts_with("http://") || url.starts_with("https://") => Ok(url.trim_end_matches('/').to_owned()),
        Some(url) => bail!("--public-url is {url:?}; it must be an http or https address such as https://hooks.example.com"),
    }
}
