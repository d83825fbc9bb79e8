//! `hookstream explain`: the reason why a message was or was not delivered.

mod show;

use anyhow::Context;
use clap::Args;
use hookstream_cli::{api::path_segment, say, say_part};

use super::{access::Access, resources::application_of};

/// Message to explain.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream explain 019dc1e2a3b47c5d8e9f001122334455")]
pub(crate) struct ExplainArgs {
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

/// Asks the server and prints its response.
pub(crate) async fn run(arguments: ExplainArgs) -> anyhow::Result<()> {
    let client = arguments.access.client()?;
    let app = match &arguments.app {
        Some(app) => app.clone(),
        None => application_of(&client, &arguments.message).await?,
    };
    let path = format!("/applications/{}/messages/{}/explain", path_segment(&app), path_segment(&arguments.message));
    let answer = client.get(&path).await?.accepted()?;
    if arguments.json {
        say!("{answer}");
        return Ok(());
    }
    let answer: show::ExplainResponse =
        serde_json::from_value(answer).context("the server's answer has another form: is it of another version?")?;
    let explanation = answer.explanation;
    say_part!("{}", show::as_text(&explanation));
    Ok(())
}
