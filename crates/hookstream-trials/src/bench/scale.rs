//! `hookstream bench scale`: cost of large quantities.

use std::{net::Ipv4Addr, sync::Arc, time::Duration};

use anyhow::Context;
use clap::{Args, ValueEnum};
use hookstream_cli::{api::ApiClient, say};
use serde_json::json;
use tokio::{net::TcpListener, time::Instant};

use super::{
    BenchArgs, Fleet, Plan, load,
    receiver::Receiver,
    report::percentiles,
    run::Run,
    stream::{Behaviour, Stream},
};
use crate::traffic::listener;

/// Number of steps in which the pending deliveries grow.
const STEPS: u32 = 8;

/// Endpoints of an application.
const PER_APPLICATION: u32 = 10;

/// Arguments of `hookstream bench scale`.
#[derive(Debug, Clone, Args)]
pub(super) struct ScaleArgs {
    /// Quantity to grow [default: each in turn]
    #[arg(value_enum)]
    of: Vec<Much>,

    /// Number of pending deliveries at the end
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    pending: u32,

    /// Number of endpoints at the end
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    endpoints: u32,

    /// More arguments for the server
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true, default_value = "")]
    server_args: String,
}

/// Quantity to grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Much {
    /// Pending deliveries: response time, memory, start time
    Pending,
    /// Endpoints, ten per application: memory
    Endpoints,
    /// Endpoints per message: CPU per delivery
    FanOut,
}

/// Measures the chosen quantities.
pub(super) async fn run(arguments: &ScaleArgs) -> anyhow::Result<()> {
    let chosen = if arguments.of.is_empty() { Much::value_variants() } else { &arguments.of };
    for of in chosen {
        match of {
            Much::Pending => pending(arguments).await?,
            Much::Endpoints => endpoints(arguments).await?,
            Much::FanOut => fan_out(arguments).await?,
        }
    }
    Ok(())
}

async fn pending(arguments: &ScaleArgs) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let (fleet, _) = start(arguments, &scratch).await?;
    let room = usize::try_from(arguments.pending).unwrap_or(usize::MAX);
    let hour = Duration::from_secs(3_600);
    let all = Plan { connections: 64, rate: None, payload_bytes: 500, duration: hour, warmup: Duration::ZERO };
    say!("pending deliveries at an endpoint on hold: 200 messages/s, times in ms, resident memory");
    for step in 0..=STEPS {
        if step > 0 {
            let held = Stream::make(&fleet, "held", [1, 1], json!({}), Behaviour::Busy, room / usize::try_from(STEPS)?).await?;
            held.send(&all, &fleet).await?;
        }
        let steady = Plan { connections: 8, rate: Some(200), duration: Duration::from_secs(5), ..all };
        let well = Stream::make(&fleet, "well", [1, 1], json!({}), Behaviour::Takes(Duration::ZERO), steady.room()).await?;
        let from = well.send(&steady, &fleet).await?;
        well.run.until_all_arrived(Duration::from_secs(10)).await;
        let counted = well.run.counted(from);
        let ([p50, p99, ..], [arrived, arrived_p99, ..]) = (percentiles(&counted.responses), percentiles(&counted.arrivals));
        let memory = fleet.memory_kib().map_or(0, |(now, _)| now / 1024);
        say!(
            "  {:>9} pending  response p50 {p50:.2} p99 {p99:.2}  arrival p50 {arrived:.2} p99 {arrived_p99:.2}  {memory} MiB",
            arguments.pending / STEPS * step
        );
    }
    for server in fleet.servers {
        server.kill();
    }
    let (fleet, took) = start(arguments, &scratch).await?;
    say!("  ready again {} ms after a kill", took.as_millis());
    fleet.stop().await;
    Ok(())
}

async fn endpoints(arguments: &ScaleArgs) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let (fleet, _) = start(arguments, &scratch).await?;
    let memory = |fleet: &Fleet| fleet.memory_kib().map_or(0, |(now, _)| now / 1024);
    let before = memory(&fleet);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    let applications = (arguments.endpoints / PER_APPLICATION).max(1);
    let run = Arc::new(Run::new(usize::try_from(applications)?, usize::try_from(PER_APPLICATION)?));
    let receiver = Receiver { run: Arc::clone(&run), keys: Vec::new(), delay: Duration::ZERO, fail_share: 0.0 };
    let tasks = tokio_util::task::TaskTracker::new();
    let receiving = tasks.spawn(listener::serve(listener, Arc::new(receiver), tasks.clone()));
    let server = fleet.servers.first().context("there is a server")?;
    let makers = (0..16).map(|maker| {
        let client = ApiClient::new(&server.url, &server.api_key);
        let url = url.clone();
        tasks.spawn(async move { make(&client?, &url, (maker..applications).step_by(16)).await })
    });
    let mut ids = Vec::new();
    for maker in makers.collect::<Vec<_>>() {
        ids.extend(maker.await??);
    }
    let made = memory(&fleet);
    // One message to each, so that all are in memory.
    let plan = Plan { connections: 16, rate: None, payload_bytes: 500, duration: Duration::from_secs(3_600), warmup: Duration::ZERO };
    load::send(&plan, &fleet, &ids, &run, &tasks).await?;
    run.until_all_arrived(Duration::from_secs(60)).await;
    receiving.abort();
    say!("{} endpoints, {PER_APPLICATION} per application", applications * PER_APPLICATION);
    say!("  {before} MiB before, {made} MiB after their creation, {} MiB after a delivery to each; lost {}", memory(&fleet), run.lost());
    fleet.stop().await;
    Ok(())
}

/// Creates applications with their endpoints. Returns the applications' ids.
async fn make(client: &ApiClient, url: &str, numbers: impl Iterator<Item = u32>) -> anyhow::Result<Vec<String>> {
    let mut ids = Vec::new();
    for number in numbers {
        let body = json!({ "name": "Scale", "uid": format!("scale-{number}") });
        let made = client.post("/applications", body.to_string(), None).await?.accepted()?;
        let id = made["application"]["id"].as_str().context("an application has an id")?.to_owned();
        for endpoint in 0..PER_APPLICATION {
            let body = json!({ "url": format!("{url}/{endpoint}") });
            client.post(&format!("/applications/{id}/endpoints"), body.to_string(), None).await?.accepted()?;
        }
        ids.push(id);
    }
    Ok(ids)
}

async fn fan_out(arguments: &ScaleArgs) -> anyhow::Result<()> {
    say!("endpoints per message");
    for endpoints in [1, 10, 100] {
        let scratch = tempfile::tempdir()?;
        let (fleet, _) = start(arguments, &scratch).await?;
        let load = BenchArgs::fan_out(endpoints);
        let figures = super::measure(&load, &fleet, &mut Vec::new()).await?.as_json();
        let number = |name: &str| figures[name].as_f64().unwrap_or_default();
        say!(
            "  {endpoints:>3}: {:.0} deliveries/s, {:.1} µs of server CPU per delivery, arrival p99 {:.1} ms, lost {}",
            number("delivered_per_second"),
            number("server_cpu_us_per_message") / f64::from(endpoints),
            figures["arrival_ms"]["p99"].as_f64().unwrap_or_default(),
            number("lost"),
        );
        fleet.stop().await;
    }
    Ok(())
}

/// Starts a server. Returns the time until it was ready.
async fn start(arguments: &ScaleArgs, scratch: &tempfile::TempDir) -> anyhow::Result<(Fleet, Duration)> {
    let begun = Instant::now();
    Ok((Fleet::start(scratch.path(), &arguments.server_args).await?, begun.elapsed()))
}
