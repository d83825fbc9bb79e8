//! `hookstream bench lists`: time of each list and search with many messages.

use std::time::Duration;

use anyhow::Context;
use clap::Args;
use hookstream_cli::{api::ApiClient, say};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    Fleet, Plan,
    stream::{Behaviour, Stream},
};

/// Requests of each list.
const REQUESTS: usize = 20;
/// Applications whose endpoint responds, and applications whose endpoint refuses connections.
const APPLICATIONS: [u32; 2] = [100, 10];
/// One message of this number goes to an endpoint that refuses connections.
const FAILING_SHARE: u32 = 50;

/// Time limit of indexing.
const INDEXED_WITHIN: Duration = Duration::from_secs(1_800);

/// Arguments of `hookstream bench lists`.
#[derive(Debug, Clone, Args)]
pub(super) struct ListsArgs {
    /// Number of messages
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    messages: u32,

    /// More arguments for the server
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true, default_value = "")]
    server_args: String,
}

/// Sends the messages, waits until they are indexed, and measures each list.
pub(super) async fn run(arguments: &ListsArgs) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let fleet = Fleet::start(scratch.path(), &arguments.server_args).await?;
    let server = fleet.servers.first().context("there is a server")?;
    let client = ApiClient::new(&server.url, &server.api_key)?;
    let plan = Plan { connections: 64, rate: None, payload_bytes: 500, duration: Duration::from_secs(36_000), warmup: Duration::ZERO };
    let failing = arguments.messages / FAILING_SHARE;
    let room = |messages: u32| usize::try_from(messages).unwrap_or(usize::MAX);
    // A failed attempt exhausts its delivery, so that lists of failed messages have something to show.
    let gone = json!({ "retry_schedule": [] });
    let gone = Stream::make(&fleet, "gone", [APPLICATIONS[1], 1], gone, Behaviour::Gone, room(failing)).await?;
    let takes = Behaviour::Takes(Duration::ZERO);
    let well = Stream::make(&fleet, "well", [APPLICATIONS[0], 1], json!({}), takes, room(arguments.messages - failing)).await?;
    gone.send(&plan, &fleet).await?;
    well.send(&plan, &fleet).await?;
    well.run.until_all_arrived(Duration::from_secs(60)).await;
    let sent = Instant::now();
    until_indexed(&client).await?;
    say!("{} messages; indexed {} s after the last; {REQUESTS} requests each, times in ms", arguments.messages, sent.elapsed().as_secs());
    for (name, path) in lists(&client).await? {
        let mut times = Vec::new();
        let mut rows = 0;
        for _ in 0..REQUESTS {
            let begun = Instant::now();
            let answer = client.get(&path).await?.accepted().with_context(|| path.clone())?;
            times.push(begun.elapsed().as_secs_f64() * 1e3);
            rows = answer
                .as_object()
                .into_iter()
                .flat_map(|fields| fields.values())
                .filter_map(|value| value.as_array().map(Vec::len))
                .max()
                .unwrap_or(0);
        }
        times.sort_by(f64::total_cmp);
        say!("  {name:<50} {rows:>4} rows  median {:>7.1}  slowest {:>7.1}", times[REQUESTS / 2], times[REQUESTS - 1]);
    }
    fleet.stop().await;
    Ok(())
}

/// Waits until the index has reached the newest message.
async fn until_indexed(client: &ApiClient) -> anyhow::Result<()> {
    let newest = client.get("/messages?limit=1").await?.accepted()?;
    let at = newest["messages"][0]["created_at"].as_str().context("the newest message has a time")?.to_owned();
    let deadline = Instant::now() + INDEXED_WITHIN;
    loop {
        anyhow::ensure!(
            Instant::now() < deadline,
            "the text index has not reached the newest message within {} s",
            INDEXED_WITHIN.as_secs()
        );
        let answer = client.get("/messages?limit=1&search=load.message").await?.accepted()?;
        match answer["search"]["indexed_until"].as_str() {
            Some(until) if until >= at.as_str() => return Ok(()),
            Some(_) => sleep(Duration::from_secs(1)).await,
            None => anyhow::bail!("the server has no text index"),
        }
    }
}

/// Returns the lists by what they show.
async fn lists(client: &ApiClient) -> anyhow::Result<Vec<(&'static str, String)>> {
    let newest = client.get("/messages?limit=1").await?.accepted()?;
    let failed = client.get("/messages?limit=1&status=failed").await?.accepted()?;
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let (newest, failed) = (&newest["messages"][0], &failed["messages"][0]);
    let well = text(&newest["application_id"]).context("there is a delivered message")?;
    let gone = text(&failed["application_id"]).context("there is a failed message")?;
    let payload: serde_json::Value = serde_json::from_str(newest["payload"].as_str().unwrap_or_default())?;
    let word = text(&payload["n"]).context("the payload has a number")?;
    let at = text(&failed["created_at"]).context("a message has a time")?;
    let mut endpoints = Vec::new();
    for application in [&well, &gone] {
        let list = client.get(&format!("/applications/{application}/endpoints")).await?.accepted()?;
        endpoints.push(text(&list["endpoints"][0]["id"]).context("the application has an endpoint")?);
    }
    let [well_endpoint, gone_endpoint] = [&endpoints[0], &endpoints[1]];
    let prefix = &word[..word.len() - 1];
    Ok(vec![
        ("messages", "/messages?limit=100".to_owned()),
        ("messages, from the oldest", "/messages?limit=100&direction=prev".to_owned()),
        ("messages, delivered", "/messages?limit=100&status=delivered".to_owned()),
        ("messages, failed", "/messages?limit=100&status=failed".to_owned()),
        ("messages, pending", "/messages?limit=100&status=pending".to_owned()),
        ("messages of an event type", "/messages?limit=100&event_type=load.message".to_owned()),
        ("messages of an event type without messages", "/messages?limit=100&event_type=no.message".to_owned()),
        ("messages until a time", format!("/messages?limit=100&until={at}")),
        ("messages of an application", format!("/applications/{well}/messages?limit=100")),
        ("messages of an application, failed", format!("/applications/{well}/messages?limit=100&status=failed")),
        ("messages of an endpoint", format!("/messages?limit=100&endpoint_id={well_endpoint}")),
        ("messages of an endpoint, failed", format!("/messages?limit=100&status=failed&endpoint_id={gone_endpoint}")),
        ("messages of a healthy endpoint, failed", format!("/messages?limit=100&status=failed&endpoint_id={well_endpoint}")),
        ("messages by an event id", "/messages?limit=100&event_id=none".to_owned()),
        ("messages of a channel", "/messages?limit=100&channel=none".to_owned()),
        ("messages with a word of one", format!("/messages?limit=100&search={word}")),
        ("messages with a word of all", "/messages?limit=100&search=load.message".to_owned()),
        ("messages with the beginning of a word", format!("/messages?limit=100&search={prefix}*")),
        ("messages with a word of none", "/messages?limit=100&search=nowhere".to_owned()),
        ("messages with a word of all, failed", "/messages?limit=100&search=load.message&status=failed".to_owned()),
        ("counts", "/messages/counts".to_owned()),
        ("counts of failed", "/messages/counts?status=failed".to_owned()),
        ("counts of an application", format!("/messages/counts?application_id={well}")),
        ("counts of an endpoint", format!("/messages/counts?endpoint_id={gone_endpoint}")),
        ("counts with a word of all", "/messages/counts?search=load.message".to_owned()),
        ("attempts", "/attempts?limit=100".to_owned()),
        ("attempts, failed", "/attempts?limit=100&status=failed".to_owned()),
        ("attempts by a class of status codes", "/attempts?limit=100&status_code_class=5xx".to_owned()),
        ("attempts of an application", format!("/attempts?limit=100&application_id={well}")),
        ("attempts of an endpoint", format!("/applications/{well}/endpoints/{well_endpoint}/attempts?limit=100")),
        ("attempts of an endpoint, failed", format!("/applications/{gone}/endpoints/{gone_endpoint}/attempts?limit=100&status=failed")),
        (
            "attempts of a healthy endpoint, failed",
            format!("/applications/{well}/endpoints/{well_endpoint}/attempts?limit=100&status=failed"),
        ),
        ("endpoints", "/endpoints?limit=100".to_owned()),
        ("endpoints, failing", "/endpoints?limit=100&failing=1".to_owned()),
        ("health of an endpoint", format!("/applications/{gone}/endpoints/{gone_endpoint}/health")),
        ("problems", "/problems".to_owned()),
        ("lanes", "/engine/lanes".to_owned()),
        ("metrics, overview", "/metrics/overview".to_owned()),
        ("metrics, errors", "/metrics/errors".to_owned()),
        ("metrics, latency", "/metrics/latency".to_owned()),
        ("usage", "/usage".to_owned()),
    ])
}
