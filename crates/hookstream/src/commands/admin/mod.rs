//! `hookstream admin`: work on an installation that goes on meanwhile, one file a command.

mod rotate_key;

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
    /// Seal all secrets under the current encryption key, so that earlier ones may go
    RotateKey(rotate_key::RotateKeyArgs),
}

/// Does it.
pub(crate) async fn run(arguments: AdminArgs) -> anyhow::Result<()> {
    match arguments.command {
        AdminCommand::RotateKey(arguments) => rotate_key::run(arguments).await,
    }
}
