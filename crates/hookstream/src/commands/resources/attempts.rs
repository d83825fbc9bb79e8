//! `hookstream attempts`.

use anyhow::Context;
use clap::{Args, Subcommand};
use hookstream_cli::api::path_segment;
use hookstream_model::base::time::Timestamp;

use super::{Listing, Query, list, moment, table::Columns, tail};
use crate::commands::access::Access;

const COLUMNS: Columns = &[
    ("CREATED", "created_at"),
    ("MESSAGE", "message_id"),
    ("ENDPOINT", "endpoint_id"),
    ("N", "attempt_number"),
    ("STATUS", "status"),
    ("ANSWER", "response_status"),
    ("MS", "duration_ms"),
    ("ERROR", "error"),
];

/// Command on attempts.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream attempts list --status failed --since 2h")]
pub(crate) struct AttemptsArgs {
    #[command(subcommand)]
    command: AttemptsCommand,
}

/// Filter of attempts.
#[derive(Debug, Args)]
struct Filter {
    /// Only to this endpoint: its id; needs --app
    #[arg(long, value_name = "ENDPOINT", requires = "app")]
    endpoint: Option<String>,

    /// The endpoint's application: its id or uid
    #[arg(long, value_name = "APP", visible_alias = "application", requires = "endpoint")]
    app: Option<String>,

    /// Only those with success, or failed ones
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,

    /// Only those answered with this class of status, such as 5xx
    #[arg(long, value_name = "CLASS")]
    status_code_class: Option<String>,

    /// Only of these event types
    #[arg(long = "event-type", visible_alias = "type", value_name = "TYPE[,TYPE…]", value_delimiter = ',')]
    event_types: Vec<String>,

    /// Only those since then: a time, or how long ago (30m, 24h, 7d)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,

    /// Only those before then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
}

impl Filter {
    fn path(&self) -> anyhow::Result<String> {
        let Some(endpoint) = &self.endpoint else { return Ok("/attempts".to_owned()) };
        let app = self.app.as_ref().context("--endpoint needs --app")?;
        Ok(format!("/applications/{}/endpoints/{}/attempts", path_segment(app), path_segment(endpoint)))
    }

    fn query(&self) -> Query {
        Query::default()
            .with("status", self.status.as_ref())
            .with("status_code_class", self.status_code_class.as_ref())
            .all("event_type", &self.event_types)
            .with("since", self.since)
            .with("until", self.until)
    }
}

#[derive(Debug, Subcommand)]
enum AttemptsCommand {
    /// List attempts, newest first
    List {
        #[command(flatten)]
        filter: Filter,

        #[command(flatten)]
        listing: Listing,

        #[command(flatten)]
        access: Access,
    },
    /// Print attempts as they are made
    Tail {
        #[command(flatten)]
        filter: Filter,

        /// Print one JSON object a line
        #[arg(long)]
        json: bool,

        #[command(flatten)]
        access: Access,
    },
}

/// Runs the command.
pub(crate) async fn run(arguments: AttemptsArgs) -> anyhow::Result<()> {
    match arguments.command {
        AttemptsCommand::List { filter, listing, access } => {
            list(&access.client()?, &filter.path()?, "attempts", filter.query(), &listing, COLUMNS).await
        }
        AttemptsCommand::Tail { filter, json, access } => {
            tail(&access.client()?, &filter.path()?, "attempts", filter.query(), json, COLUMNS).await
        }
    }
}
