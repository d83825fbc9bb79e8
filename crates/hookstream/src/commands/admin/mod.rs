//! `hookstream admin`: work on an installation that goes on meanwhile, one file a command.

mod create_owner;
mod quotas;
mod rotate_key;
mod rotate_portal_key;

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
    /// Make somebody an owner of an organization, with a password or a link to set one
    CreateOwner(create_owner::CreateOwnerArgs),
    /// Show and set what an organization may have
    Quotas(quotas::QuotasArgs),
    /// Seal all secrets under the current encryption key, so that earlier ones may go
    RotateKey(rotate_key::RotateKeyArgs),
    /// Have another key sign portal tokens, and end those there are if asked
    RotatePortalKey(rotate_portal_key::RotatePortalKeyArgs),
}

/// Does it.
pub(crate) async fn run(arguments: AdminArgs) -> anyhow::Result<()> {
    match arguments.command {
        AdminCommand::CreateOwner(arguments) => create_owner::run(arguments).await,
        AdminCommand::Quotas(arguments) => quotas::run(arguments).await,
        AdminCommand::RotateKey(arguments) => rotate_key::run(arguments).await,
        AdminCommand::RotatePortalKey(arguments) => rotate_portal_key::run(arguments).await,
    }
}
