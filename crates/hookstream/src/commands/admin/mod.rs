//! `hookstream admin`: administrative commands, which work while servers run; each has a file.

mod create_api_key;
mod create_owner;
mod forget_secrets;
pub(crate) mod installation;
mod password_link;
mod quotas;
mod reload;
pub(crate) mod request;
mod rotate_key;
mod rotate_portal_key;
mod test_mail;

use anyhow::bail;
use clap::{Args, Subcommand};
use hookstream_cli::say;
use hookstream_store::Store;
use rand::{SeedableRng, rngs::StdRng};

use self::{installation::Installation, request::Request};
use crate::{
    commands::existing::{ExistingStore, Opened},
    config::{Config, StorageSettings},
    server::{control, keys},
};

/// Command and its arguments.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream admin create-api-key --data-dir /var/lib/hookstream\n\n\
    Commands on a store work while servers run. On a data directory they ask the running server through the socket\n\
    admin.sock in that directory, which only its owner and root may use.")]
pub(crate) struct AdminArgs {
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Debug, Subcommand)]
enum AdminCommand {
    /// Create an API key, also if the last one is lost
    CreateApiKey(create_api_key::CreateApiKeyArgs),
    /// Make a user an owner of an organization, with a password or a link to set one
    CreateOwner(create_owner::CreateOwnerArgs),
    /// Replace all secrets whose encryption key is lost, so that a server starts again
    ForgetSecrets(forget_secrets::ForgetSecretsArgs),
    /// Create a link with which a user sets a password
    PasswordLink(password_link::PasswordLinkArgs),
    /// Show and set an organization's quotas
    Quotas(quotas::QuotasArgs),
    /// Have the server on a data directory read its settings again
    Reload(reload::ReloadArgs),
    /// Encrypt all secrets with the current encryption key, so that earlier keys can be removed
    RotateKey(rotate_key::RotateKeyArgs),
    /// Replace the key that signs portal tokens, and revoke existing tokens if asked
    RotatePortalKey(rotate_portal_key::RotatePortalKeyArgs),
    /// Send a test mail
    TestMail(test_mail::TestMailArgs),
}

/// Runs the command.
pub(crate) async fn run(arguments: AdminArgs) -> anyhow::Result<()> {
    let (store, settings, request) = match arguments.command {
        AdminCommand::ForgetSecrets(arguments) => return forget_secrets::run(arguments).await,
        AdminCommand::TestMail(arguments) => return test_mail::run(arguments).await,
        AdminCommand::CreateApiKey(arguments) => {
            let (store, settings, request) = create_api_key::read(arguments)?;
            (store, settings, Request::CreateApiKey(request))
        }
        AdminCommand::CreateOwner(arguments) => {
            let (store, settings, request) = create_owner::read(arguments)?;
            (store, settings, Request::CreateOwner(request))
        }
        AdminCommand::PasswordLink(arguments) => {
            let (store, settings, request) = password_link::read(arguments)?;
            (store, settings, Request::PasswordLink(request))
        }
        AdminCommand::Quotas(arguments) => {
            let (store, settings, request) = quotas::read(arguments)?;
            (store, settings, Request::Quotas(request))
        }
        AdminCommand::Reload(arguments) => return ask_to_reload(arguments.existing).await,
        AdminCommand::RotateKey(arguments) => {
            let (store, settings, request) = rotate_key::read(arguments)?;
            (store, settings, Request::RotateKey(request))
        }
        AdminCommand::RotatePortalKey(arguments) => {
            let (store, settings, request) = rotate_portal_key::read(arguments)?;
            (store, settings, Request::RotatePortalKey(request))
        }
    };
    perform(store, settings, request).await
}

/// Performs a request on a store, or through the server that uses the data directory, and prints the result.
async fn perform(existing: ExistingStore, settings: StorageSettings, mut request: Request) -> anyhow::Result<()> {
    let config = existing.config(settings)?;
    if let Request::RotateKey(rotation) = &mut request {
        rotation.current = keys::given(&config)?.map(|keys| keys.current().id().to_string());
    }
    let text = match existing.open(&config).await? {
        Opened::Store(store) => {
            let done = directly(&*store, &config, request).await;
            store.close().await;
            done?
        }
        Opened::InUse => control::ask(&config.storage.data_dir, &request).await?,
    };
    say!("{}", text.trim_end());
    Ok(())
}

/// Has the server on a data directory read its settings again.
async fn ask_to_reload(existing: ExistingStore) -> anyhow::Result<()> {
    let config = existing.config(StorageSettings::default())?;
    if config.storage.database.is_some() {
        bail!("a server on PostgreSQL has no control socket; send it SIGHUP instead: kill -HUP <pid>");
    }
    let directory = &config.storage.data_dir;
    if !directory.join("admin.sock").exists() {
        bail!("no server runs on {}; settings are read at its start", directory.display());
    }
    say!("{}", control::ask(directory, &Request::Reload).await?);
    Ok(())
}

async fn directly(store: &dyn Store, config: &Config, request: Request) -> anyhow::Result<String> {
    if request.needs_encryption_key() {
        let mut rng = StdRng::try_from_rng(&mut rand::rngs::SysRng)?;
        keys::unlock(store, config, &mut rng).await?;
    }
    let public_url = config.server.public_url.clone().unwrap_or_else(|| format!("http://{}", config.server.listen));
    let is_alone = config.storage.database.is_none();
    request.perform(&Installation { store, public_url, quotas: config.limits.quotas, is_alone, is_watched: true, reloader: None }).await
}
