//! `hookstream endpoints`.

use clap::{Args, Subcommand};
use hookstream_cli::{api::path_segment, say};
use hookstream_model::base::time::Timestamp;
use serde_json::json;

use super::{Listing, Query, list, moment, show, table::Columns};
use crate::commands::access::Access;

const COLUMNS: Columns =
    &[("ID", "id"), ("STATUS", "status"), ("CIRCUIT", "circuit_state"), ("URL", "url"), ("EVENT TYPES", "filter_types")];

/// Command on endpoints.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream endpoints recover 019dc1e2a3b47c5d8e9f001122334455 --app acme --since 24h")]
pub(crate) struct EndpointsArgs {
    #[command(subcommand)]
    command: EndpointsCommand,
}

/// Application of the endpoints.
#[derive(Debug, Args)]
struct Of {
    /// The application's id or uid
    #[arg(long, value_name = "APP", visible_alias = "application")]
    app: String,

    /// Print the API's object as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    access: Access,
}

#[derive(Debug, Subcommand)]
enum EndpointsCommand {
    /// List an application's endpoints, newest first
    List {
        /// The application's id or uid
        #[arg(long, value_name = "APP", visible_alias = "application")]
        app: String,

        #[command(flatten)]
        listing: Listing,

        #[command(flatten)]
        access: Access,
    },
    /// Show an endpoint
    Show {
        /// The endpoint's id
        #[arg(value_name = "ENDPOINT")]
        endpoint: String,

        #[command(flatten)]
        of: Of,
    },
    /// Resend what an endpoint has missed: failed and skipped deliveries
    Recover {
        /// The endpoint's id
        #[arg(value_name = "ENDPOINT")]
        endpoint: String,

        #[command(flatten)]
        which: Which,

        /// Only deliveries of these statuses [default: those that failed or were skipped]
        #[arg(long, value_name = "STATUS[,STATUS…]", value_delimiter = ',')]
        statuses: Vec<String>,

        #[command(flatten)]
        of: Of,
    },
    /// Send messages to an endpoint again, delivered ones included
    Replay {
        /// The endpoint's id
        #[arg(value_name = "ENDPOINT")]
        endpoint: String,

        #[command(flatten)]
        which: Which,

        /// Only messages of these event types
        #[arg(long = "event-type", visible_alias = "type", value_name = "TYPE[,TYPE…]", value_delimiter = ',')]
        event_types: Vec<String>,

        /// At most so many messages
        #[arg(long, value_name = "N")]
        max_messages: Option<u32>,

        /// At most so many a second
        #[arg(long, value_name = "N")]
        rate_limit: Option<u32>,

        #[command(flatten)]
        of: Of,
    },
}

/// Filter of messages.
#[derive(Debug, Args)]
struct Which {
    /// Messages accepted since then: a time, or how long ago (30m, 24h, 7d)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Timestamp,

    /// Messages accepted before then [default: now]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,

    /// Only count them
    #[arg(long)]
    dry_run: bool,
}

/// Runs the command.
pub(crate) async fn run(arguments: EndpointsArgs) -> anyhow::Result<()> {
    match arguments.command {
        EndpointsCommand::List { app, listing, access } => {
            let path = format!("/applications/{}/endpoints", path_segment(&app));
            list(&access.client()?, &path, "endpoints", Query::default(), &listing, COLUMNS).await
        }
        EndpointsCommand::Show { endpoint, of } => {
            let path = format!("/applications/{}/endpoints/{}", path_segment(&of.app), path_segment(&endpoint));
            let answer = of.access.client()?.get(&path).await?.accepted()?;
            show(&answer["endpoint"], of.json);
            Ok(())
        }
        EndpointsCommand::Recover { endpoint, which, statuses, of } => {
            let mut body = serde_json::Map::new();
            if !statuses.is_empty() {
                body.insert("statuses".to_owned(), json!(statuses));
            }
            start("recover", &endpoint, &which, body, of).await
        }
        EndpointsCommand::Replay { endpoint, which, event_types, max_messages, rate_limit, of } => {
            let mut body = serde_json::Map::new();
            if !event_types.is_empty() {
                body.insert("event_types".to_owned(), json!(event_types));
            }
            body.extend(max_messages.map(|most| ("max_messages".to_owned(), json!(most))));
            body.extend(rate_limit.map(|limit| ("rate_limit".to_owned(), json!(limit))));
            start("replay", &endpoint, &which, body, of).await
        }
    }
}

/// Starts a job, or counts its deliveries.
async fn start(
    kind: &str,
    endpoint: &str,
    which: &Which,
    mut body: serde_json::Map<String, serde_json::Value>,
    of: Of,
) -> anyhow::Result<()> {
    body.insert("since".to_owned(), json!(which.since.to_string()));
    body.extend(which.until.map(|until| ("until".to_owned(), json!(until.to_string()))));
    let path = format!("/applications/{}/endpoints/{}/{kind}", path_segment(&of.app), path_segment(endpoint));
    let query = Query::default().with("dry_run", which.dry_run.then_some(true));
    let body = serde_json::Value::Object(body).to_string();
    let answer = of.access.client()?.post(&query.of(&path), body, None).await?.accepted()?;
    if of.json {
        say!("{answer}");
    } else if let Some(id) = answer["job"]["id"].as_str() {
        say!("started the job {id}; see its progress with: hookstream jobs show {id}");
    } else {
        show(&answer, false);
    }
    Ok(())
}
