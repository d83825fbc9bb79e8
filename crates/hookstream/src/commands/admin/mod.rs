//! `hookstream admin`: work on an installation that goes on meanwhile, one file a command.

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
#[command(after_help = "Example: hookstream admin rotate-key --database-url postgres://hookstream@db.internal/hookstream")]
pub(crate) struct AdminArgs {
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Debug, Subcommand)]
enum AdminCommand {
    /// Create an API key, also if the last one is lost
    CreateApiKey(create_api_key::CreateApiKeyArgs),
    /// Make somebody an owner of an organization, with a password or a link to set one
    CreateOwner(create_owner::CreateOwnerArgs),
    /// Replace all secrets whose encryption key is lost, so that a server starts again
    ForgetSecrets(forget_secrets::ForgetSecretsArgs),
    /// Make a link with which somebody sets their password
    PasswordLink(password_link::PasswordLinkArgs),
    /// Show and set what an organization may have
    Quotas(quotas::QuotasArgs),
    /// Seal all secrets under the current encryption key, so that earlier ones may go
    RotateKey(rotate_key::RotateKeyArgs),
    /// Have another key sign portal tokens, and end those there are if asked
    RotatePortalKey(rotate_portal_key::RotatePortalKeyArgs),
    /// Send a mail, to see whether mail is set up rightly
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
