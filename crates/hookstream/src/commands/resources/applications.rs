//! `hookstream applications`.

use clap::{Args, Subcommand};
use hookstream_cli::api::path_segment;

use super::{Listing, Query, list, show, table::Columns};
use crate::commands::access::Access;

const COLUMNS: Columns = &[("ID", "id"), ("UID", "uid"), ("NAME", "name"), ("STATUS", "status"), ("CREATED", "created_at")];

/// Command on applications.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream applications list --search acme")]
pub(crate) struct ApplicationsArgs {
    #[command(subcommand)]
    command: ApplicationsCommand,
}

#[derive(Debug, Subcommand)]
enum ApplicationsCommand {
    /// List applications, newest first
    List {
        /// Only those with this in the name or the uid
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,

        #[command(flatten)]
        listing: Listing,

        #[command(flatten)]
        access: Access,
    },
    /// Show an application
    Show {
        /// The application's id or uid
        #[arg(value_name = "APP")]
        app: String,

        /// Print the API's object as JSON
        #[arg(long)]
        json: bool,

        #[command(flatten)]
        access: Access,
    },
}

/// Runs the command.
pub(crate) async fn run(arguments: ApplicationsArgs) -> anyhow::Result<()> {
    match arguments.command {
        ApplicationsCommand::List { search, listing, access } => {
            list(&access.client()?, "/applications", "applications", Query::default().with("search", search), &listing, COLUMNS).await
        }
        ApplicationsCommand::Show { app, json, access } => {
            let answer = access.client()?.get(&format!("/applications/{}", path_segment(&app))).await?.accepted()?;
            show(&answer["application"], json);
            Ok(())
        }
    }
}
