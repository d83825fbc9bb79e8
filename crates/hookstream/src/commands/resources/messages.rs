//! `hookstream messages`.

use clap::{Args, Subcommand};
use hookstream_cli::{api::path_segment, say};
use hookstream_model::base::time::Timestamp;

use super::{
    Listing, Query, application_of, list, moment, show,
    table::{self, Columns},
    tail,
};
use crate::commands::access::Access;

const COLUMNS: Columns =
    &[("CREATED", "created_at"), ("ID", "id"), ("APPLICATION", "application_id"), ("EVENT TYPE", "event_type"), ("STATUS", "status")];
const DELIVERIES: Columns = &[
    ("ENDPOINT", "endpoint_id"),
    ("STATUS", "status"),
    ("REASON", "reason"),
    ("ATTEMPTS", "attempt_count"),
    ("NEXT ATTEMPT", "next_attempt_at"),
];
const ATTEMPTS: Columns = &[
    ("ATTEMPT", "attempt_number"),
    ("CREATED", "created_at"),
    ("ENDPOINT", "endpoint_id"),
    ("STATUS", "status"),
    ("ANSWER", "response_status"),
    ("ERROR", "error"),
];

/// Command on messages.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream messages list --status failed --since 24h")]
pub(crate) struct MessagesArgs {
    #[command(subcommand)]
    command: MessagesCommand,
}

/// Filter of messages.
#[derive(Debug, Args)]
struct Filter {
    /// Only of this application: its id or uid
    #[arg(long, value_name = "APP", visible_alias = "application")]
    app: Option<String>,

    /// Only pending, delivered, failed or skipped ones
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,

    /// Only of these event types
    #[arg(long = "event-type", visible_alias = "type", value_name = "TYPE[,TYPE…]", value_delimiter = ',')]
    event_types: Vec<String>,

    /// Only those for this endpoint: its id
    #[arg(long, value_name = "ENDPOINT")]
    endpoint: Option<String>,

    /// Only the one with this id of the sender's
    #[arg(long, value_name = "ID")]
    event_id: Option<String>,

    /// Only those accepted since then: a time, or how long ago (30m, 24h, 7d)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,

    /// Only those accepted before then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,

    /// Only those with these words in the id, the sender's id, the event type or the payload; `inv*` begins a word
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
}

impl Filter {
    fn path(&self) -> String {
        self.app.as_ref().map_or_else(|| "/messages".to_owned(), |app| format!("/applications/{}/messages", path_segment(app)))
    }

    fn query(&self) -> Query {
        Query::default()
            .with("status", self.status.as_ref())
            .all("event_type", &self.event_types)
            .with("endpoint_id", self.endpoint.as_ref())
            .with("event_id", self.event_id.as_ref())
            .with("since", self.since)
            .with("until", self.until)
            .with("search", self.search.as_ref())
    }
}

/// Message of a command.
#[derive(Debug, Args)]
struct One {
    /// The message's id, which is the webhook-id that receivers see
    #[arg(value_name = "MESSAGE")]
    message: String,

    /// The application's id or uid [default: found by the message]
    #[arg(long, value_name = "APP", visible_alias = "application")]
    app: Option<String>,

    /// Print the API's answer as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    access: Access,
}

#[derive(Debug, Subcommand)]
enum MessagesCommand {
    /// List messages, newest first
    List {
        #[command(flatten)]
        filter: Filter,

        #[command(flatten)]
        listing: Listing,

        #[command(flatten)]
        access: Access,
    },
    /// Show a message with its deliveries and attempts
    Show {
        #[command(flatten)]
        one: One,
    },
    /// Send a message again
    Retry {
        #[command(flatten)]
        one: One,

        /// Only to this endpoint: its id
        #[arg(long, value_name = "ENDPOINT")]
        endpoint: Option<String>,
    },
    /// Print messages as they are accepted
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
pub(crate) async fn run(arguments: MessagesArgs) -> anyhow::Result<()> {
    match arguments.command {
        MessagesCommand::List { filter, listing, access } => {
            list(&access.client()?, &filter.path(), "messages", filter.query(), &listing, COLUMNS).await
        }
        MessagesCommand::Tail { filter, json, access } => {
            tail(&access.client()?, &filter.path(), "messages", filter.query(), json, COLUMNS).await
        }
        MessagesCommand::Show { one } => {
            let client = one.access.client()?;
            let app = match one.app {
                Some(app) => app,
                None => application_of(&client, &one.message).await?,
            };
            let path = format!("/applications/{}/messages/{}", path_segment(&app), path_segment(&one.message));
            let answer = client.get(&path).await?.accepted()?;
            if one.json {
                say!("{answer}");
                return Ok(());
            }
            show(&answer["message"], false);
            for (name, columns) in [("deliveries", DELIVERIES), ("attempts", ATTEMPTS)] {
                if let Some(rows) = answer[name].as_array().filter(|rows| !rows.is_empty()) {
                    hookstream_cli::say_part!("\n{}", table::as_text(rows, columns, true));
                }
            }
            Ok(())
        }
        MessagesCommand::Retry { one, endpoint } => {
            let client = one.access.client()?;
            let app = match one.app {
                Some(app) => app,
                None => application_of(&client, &one.message).await?,
            };
            let path = format!("/applications/{}/messages/{}/retry", path_segment(&app), path_segment(&one.message));
            let query = Query::default().with("endpoint_id", endpoint);
            let answer = client.post(&query.of(&path), "{}", None).await?.accepted()?;
            if one.json {
                say!("{answer}");
                return Ok(());
            }
            show(&answer, false);
            say!("see the outcome with: hookstream explain {}", one.message);
            Ok(())
        }
    }
}
