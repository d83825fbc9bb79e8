//! `hookstream send`: sends a message.

use std::io::Read;

use anyhow::Context;
use clap::Args;
use hookstream_cli::{api::path_segment, say};
use serde::Serialize;
use serde_json::value::RawValue;

use super::access::Access;

/// Message, application and server.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream send --app acme --type invoice.paid --data '{\"invoice_id\":42}'\n         \
    jq .invoice order.json | hookstream send --app acme --type invoice.paid --data @-")]
pub(crate) struct SendArgs {
    /// The application's id or uid
    #[arg(long, value_name = "APP", visible_alias = "application")]
    app: String,

    /// The event type, such as invoice.paid
    #[arg(long = "type", visible_alias = "event-type", value_name = "TYPE")]
    event_type: String,

    /// The payload: JSON, @FILE, or @- (or -) for standard input. An object or a list is delivered byte for byte, a string as its text
    #[arg(long, value_name = "DATA", required = true)]
    data: String,

    /// Your own id of the message; a second message with the same id is refused
    #[arg(long, value_name = "ID")]
    event_id: Option<String>,

    /// Makes it safe to repeat the command: the same key sends one message
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,

    /// Print the API's answer as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    access: Access,
}

#[derive(Serialize)]
struct Body<'a> {
    event_type: &'a str,
    payload: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<&'a str>,
}

/// Sends the message and prints its id.
pub(crate) async fn run(arguments: SendArgs) -> anyhow::Result<()> {
    let data = read_data(&arguments.data)?;
    let payload: &RawValue = serde_json::from_str(&data).map_err(|error| anyhow::anyhow!("--data is not JSON: {error}"))?;
    let body = Body { event_type: &arguments.event_type, payload, event_id: arguments.event_id.as_deref() };
    let path = format!("/applications/{}/messages", path_segment(&arguments.app));
    let client = arguments.access.client()?;
    let answer = client.post(&path, serde_json::to_vec(&body)?, arguments.idempotency_key.as_deref()).await?.accepted()?;
    if arguments.json {
        say!("{answer}");
        return Ok(());
    }
    let text = |name: &str| answer["message"][name].as_str().unwrap_or("?");
    say!("accepted {} ({})", text("id"), text("status"));
    say!("see the outcome with: hookstream explain {}", text("id"));
    Ok(())
}

fn read_data(data: &str) -> anyhow::Result<String> {
    match data.strip_prefix('@').or(if data == "-" { Some("-") } else { None }) {
        None => Ok(data.to_owned()),
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("could not read standard input")?;
            Ok(text)
        }
        Some(path) => std::fs::read_to_string(path).with_context(|| format!("could not read {path}")),
    }
}
