//! `hookstream admin`: administrative commands, one file a command. They work while servers run.

mod create_api_key;
mod create_owner;
mod forget_secrets;
mod password_link;
mod quotas;
pub(crate) mod request;
mod rotate_key;
mod rotate_portal_key;
mod test_mail;

use clap::{Args, Subcommand};

/// What to do.
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
    /// Encrypt all secrets with the current encryption key, so that earlier keys can be removed
    RotateKey(rotate_key::RotateKeyArgs),
    /// Replace the key that signs portal tokens, and revoke existing tokens if asked
    RotatePortalKey(rotate_portal_key::RotatePortalKeyArgs),
    /// Send a test mail
    TestMail(test_mail::TestMailArgs),
}

/// Does it.
pub(crate) async fn run(arguments: AdminArgs) -> anyhow::Result<()> {
    match arguments.command {
        AdminCommand::CreateApiKey(arguments) => create_api_key::run(arguments).await,
        AdminCommand::CreateOwner(arguments) => create_owner::run(arguments).await,
        AdminCommand::ForgetSecrets(arguments) => forget_secrets::run(arguments).await,
        AdminCommand::PasswordLink(arguments) => password_link::run(arguments).await,
        AdminCommand::Quotas(arguments) => quotas::run(arguments).await,
        AdminCommand::RotateKey(arguments) => rotate_key::run(arguments).await,
        AdminCommand::RotatePortalKey(arguments) => rotate_portal_key::run(arguments).await,
        AdminCommand::TestMail(arguments) => test_mail::run(arguments).await,
    }
}
