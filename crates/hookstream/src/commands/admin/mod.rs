//! `hookstream admin`: work on an installation that goes on meanwhile, one file a command.

mod create_owner;
mod password_link;
mod rotate_key;
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
    /// Make somebody an owner of an organization, with a password or a link to set one
    CreateOwner(create_owner::CreateOwnerArgs),
    /// Make a link with which somebody sets their password
    PasswordLink(password_link::PasswordLinkArgs),
    /// Seal all secrets under the current encryption key, so that earlier ones may go
    RotateKey(rotate_key::RotateKeyArgs),
    /// Send a mail, to see whether mail is set up rightly
    TestMail(test_mail::TestMailArgs),
}

/// Does it.
pub(crate) async fn run(arguments: AdminArgs) -> anyhow::Result<()> {
    match arguments.command {
        AdminCommand::CreateOwner(arguments) => create_owner::run(arguments).await,
        AdminCommand::PasswordLink(arguments) => password_link::run(arguments).await,
        AdminCommand::RotateKey(arguments) => rotate_key::run(arguments).await,
        AdminCommand::TestMail(arguments) => test_mail::run(arguments).await,
    }
}
