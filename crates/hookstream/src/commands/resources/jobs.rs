//! `hookstream jobs`.

use clap::{Args, Subcommand};
use hookstream_cli::api::path_segment;

use super::{Listing, Query, list, show, table::Columns};
use crate::commands::access::Access;

const COLUMNS: Columns = &[
    ("ID", "id"),
    ("KIND", "kind"),
    ("STATUS", "status"),
    ("PROCESSED", "processed"),
    ("TOTAL", "total"),
    ("ENDPOINT", "endpoint_id"),
    ("CREATED", "created_at"),
];

/// Command on jobs.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream jobs list\n\nJobs are started by `hookstream endpoints recover` and `replay`.")]
pub(crate) struct JobsArgs {
    #[command(subcommand)]
    command: JobsCommand,
}

/// Job of a command.
#[derive(Debug, Args)]
struct One {
    /// The job's id
    #[arg(value_name = "JOB")]
    job: String,

    /// Print the API's object as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    access: Access,
}

#[derive(Debug, Subcommand)]
enum JobsCommand {
    /// List jobs, newest first
    List {
        #[command(flatten)]
        listing: Listing,

        #[command(flatten)]
        access: Access,
    },
    /// Show a job and its progress
    Show {
        #[command(flatten)]
        one: One,
    },
    /// Cancel a job; what it has resent stays pending
    Cancel {
        #[command(flatten)]
        one: One,
    },
}

/// Runs the command.
pub(crate) async fn run(arguments: JobsArgs) -> anyhow::Result<()> {
    let (json, answer) = match arguments.command {
        JobsCommand::List { listing, access } => {
            return list(&access.client()?, "/jobs", "jobs", Query::default(), &listing, COLUMNS).await;
        }
        JobsCommand::Show { one } => {
            let One { job, json, access } = one;
            (json, access.client()?.get(&format!("/jobs/{}", path_segment(&job))).await?)
        }
        JobsCommand::Cancel { one } => {
            let One { job, json, access } = one;
            (json, access.client()?.post(&format!("/jobs/{}/cancel", path_segment(&job)), "{}", None).await?)
        }
    };
    show(&answer.accepted()?["job"], json);
    Ok(())
}
