//! `hookstream health`: whether a server is ready, for the health checks of containers.

use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use hookstream_cli::{api::ApiClient, duration::parse_duration, say};

use super::access;

/// Command that asks a server whether it is ready.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream health || echo 'not ready'\n\n\
    The exit code is 0 if the server is ready, else 1. No key is needed.")]
pub(crate) struct HealthArgs {
    /// The server [default: the one of `hookstream login`, else http://127.0.0.1:8484]
    #[arg(long, value_name = "URL", env = "HOOKSTREAM_URL")]
    url: Option<String>,

    /// Time to wait for the answer
    #[arg(long, value_name = "D", default_value = "5s", value_parser = parse_duration)]
    timeout: Duration,
}

/// Asks the server and prints its answer.
pub(crate) async fn run(arguments: HealthArgs) -> anyhow::Result<()> {
    let url = access::url(arguments.url.as_deref())?;
    let client = ApiClient::anonymous(&url)?;
    let answer = tokio::time::timeout(arguments.timeout, client.get("/health/ready"));
    let answer = answer.await.with_context(|| format!("{url} did not answer in time"))??;
    if !answer.status.is_success() {
        bail!("{url} is not ready: {}", answer.body["error"].as_str().unwrap_or(answer.status.as_str()));
    }
    say!("{url} is ready");
    Ok(())
}
