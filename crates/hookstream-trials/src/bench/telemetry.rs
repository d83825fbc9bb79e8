//! `hookstream bench telemetry`: CPU that telemetry costs, as the difference between servers that run side by side.
//!
//! Each round sends the same load to each server, one after the other and in another order. Other work on the machine then
//! affects all servers alike, and the differences within a round are what counts. One server is a second one of the first
//! kind: its difference is the precision of the measurement.

use std::{ffi::OsString, io, net::Ipv4Addr, process::Stdio, sync::Arc, time::Duration};

use anyhow::Context;
use bytes::Bytes;
use clap::Args;
use hookstream_cli::{duration::parse_duration, say};
use http::{Response, StatusCode, request::Parts};
use http_body_util::Empty;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::{
    Fleet, Plan,
    stream::{Behaviour, Stream},
};
use crate::traffic::{
    listener::{self, Receive, plain},
    process::ServerProcess,
};

/// Interval between scrapes.
const SCRAPES: Duration = Duration::from_secs(1);

/// Arguments of `hookstream bench telemetry`.
#[derive(Debug, Clone, Args)]
pub(super) struct TelemetryArgs {
    /// Rounds; each sends the load to each server once
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(2..=1_000))]
    rounds: u32,

    /// Time to send to each server in a round
    #[arg(long, value_name = "D", default_value = "4s", value_parser = parse_duration)]
    duration: Duration,

    /// Messages per second
    #[arg(long, value_name = "R", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,

    /// Endpoints that receive each message
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    endpoints: u32,

    /// More arguments for the servers
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true, default_value = "")]
    server_args: String,
}

/// Telemetry that a server has on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Off,
    OffAgain,
    Scraped,
    Lines,
    SomeTraces,
    AllTraces,
}

impl Kind {
    const ALL: [Self; 6] = [Self::Off, Self::OffAgain, Self::Scraped, Self::Lines, Self::SomeTraces, Self::AllTraces];

    const fn name(self) -> &'static str {
        match self {
            Self::Off => "nothing",
            Self::OffAgain => "nothing, a second server",
            Self::Scraped => "metrics, scraped each second",
            Self::Lines => "all attempt lines and access lines, JSON",
            Self::SomeTraces => "traces, 10 %",
            Self::AllTraces => "traces, all",
        }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Lines => &["--log-format", "json", "--log-lines-per-second", "0"],
            Self::Off | Self::OffAgain | Self::Scraped | Self::SomeTraces | Self::AllTraces => &[],
        }
    }

    fn variables(self, collector: &str) -> Vec<(OsString, OsString)> {
        let of = |variables: &[(&str, &str)]| variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        match self {
            Self::Off | Self::OffAgain | Self::Scraped => Vec::new(),
            Self::Lines => of(&[("HOOKSTREAM_LOG", "info")]),
            Self::SomeTraces | Self::AllTraces => of(&[
                ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", collector),
                ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
                ("OTEL_TRACES_SAMPLER_ARG", if self == Self::AllTraces { "1" } else { "0.1" }),
            ]),
        }
    }
}

/// Server with its CPU by round, in microseconds an attempt.
struct Subject {
    kind: Kind,
    fleet: Fleet,
    _directory: tempfile::TempDir,
    micros: Vec<f64>,
}

/// Measures all kinds.
pub(super) async fn run(arguments: &TelemetryArgs) -> anyhow::Result<()> {
    let tasks = TaskTracker::new();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("could not listen for a collector")?;
    let collector = format!("http://{}/v1/traces", listener.local_addr()?);
    let _collecting = AbortOnDropHandle::new(tasks.spawn(listener::serve(listener, Arc::new(Collector), tasks.clone())));
    let mut subjects = Vec::new();
    for kind in Kind::ALL {
        subjects.push(start(kind, &collector, &arguments.server_args).await?);
    }
    let scraped = subjects.iter().find(|subject| subject.kind == Kind::Scraped).context("it was started")?;
    let server = scraped.fleet.servers.first().context("there is a server")?;
    let host = server.url.trim_start_matches("http://").to_owned();
    let _scraping = AbortOnDropHandle::new(tasks.spawn(scrape(host, server.api_key.clone())));
    let number = subjects.len();
    for round in 0..arguments.rounds as usize {
        for place in 0..number {
            let subject = &mut subjects[(round + place) % number];
            let micros = measure(&subject.fleet, arguments, round).await?;
            subject.micros.push(micros);
        }
    }
    let base = subjects[0].micros.clone();
    let (rate, endpoints) = (arguments.rate, arguments.endpoints);
    say!(
        "{} rounds of {} s, {rate} messages/s, {endpoints} endpoints a message; CPU of the server an attempt",
        arguments.rounds,
        arguments.duration.as_secs_f64()
    );
    for subject in &subjects {
        let differences: Vec<f64> = subject.micros.iter().zip(&base).map(|(one, base)| one - base).collect();
        let (mean, _) = mean_and_error(&subject.micros);
        let (difference, error) = mean_and_error(&differences);
        say!("  {:<42} {mean:>7.1} µs  {difference:>+6.1} µs (standard error {error:.1})", subject.kind.name());
    }
    for subject in subjects {
        subject.fleet.stop().await;
    }
    Ok(())
}

async fn start(kind: Kind, collector: &str, server_args: &str) -> anyhow::Result<Subject> {
    let directory = tempfile::tempdir()?;
    let mut settings: Vec<OsString> = vec!["--data-dir".into(), directory.path().into()];
    settings.extend(kind.arguments().iter().map(Into::into));
    settings.extend(server_args.split_whitespace().map(Into::into));
    let server = ServerProcess::start(&settings, &kind.variables(collector), Stdio::null()).await?;
    let fleet = Fleet { servers: vec![server], database_pid: None };
    Ok(Subject { kind, fleet, _directory: directory, micros: Vec::new() })
}

/// Sends the load of a round to a server. Returns its CPU, in microseconds an attempt.
async fn measure(fleet: &Fleet, arguments: &TelemetryArgs, round: usize) -> anyhow::Result<f64> {
    let TelemetryArgs { duration, rate, endpoints, .. } = *arguments;
    let plan = Plan { connections: 16, rate: Some(rate), payload_bytes: 500, duration, warmup: Duration::ZERO };
    let name = format!("telemetry-{round}");
    let stream = Stream::make(fleet, &name, [1, endpoints], json!({}), Behaviour::Takes(Duration::ZERO), plan.room()).await?;
    let [before, ..] = fleet.cpu();
    stream.send(&plan, fleet).await?;
    let expected = stream.run.accepted() * u64::from(endpoints);
    let end = tokio::time::Instant::now() + Duration::from_secs(30);
    while u64::try_from(stream.seen_at().len()).unwrap_or(u64::MAX) < expected {
        anyhow::ensure!(tokio::time::Instant::now() < end, "accepted messages did not arrive");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Spans and lines are written in the background.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let [after, ..] = fleet.cpu();
    let (before, after) = (before.context("no CPU time")?, after.context("no CPU time")?);
    Ok(after.micros_since(before) / expected as f64)
}

/// Scrapes a server until it is dropped. A failed scrape would show as a cost of nothing, so it is logged.
async fn scrape(host: String, key: String) {
    loop {
        tokio::time::sleep(SCRAPES).await;
        match scrape_once(&host, &key).await {
            Ok(text) if text.starts_with("HTTP/1.1 200") => {}
            Ok(text) => tracing::warn!(response = text.lines().next(), "could not scrape"),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "could not scrape"),
        }
    }
}

async fn scrape_once(host: &str, key: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(host).await?;
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {host}\r\nx-api-key: {key}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await?;
    Ok(String::from_utf8_lossy(&response).into_owned())
}

/// Returns the mean and its standard error.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, (squares / (count - 1.0) / count).sqrt())
}

/// Collector that takes everything.
struct Collector;

impl Receive for Collector {
    type Body = Empty<Bytes>;

    async fn receive(&self, _: Parts, _: Bytes) -> io::Result<Response<Self::Body>> {
        Ok(plain(StatusCode::OK))
    }
}

#[cfg(test)]
mod tests {
    use super::mean_and_error;

    #[test]
    fn error_shrinks_with_the_number_of_values() {
        assert_eq!(mean_and_error(&[1.0, 3.0]), (2.0, 1.0));
        let (mean, error) = mean_and_error(&[1.0, 3.0, 1.0, 3.0]);
        assert!((mean - 2.0).abs() < 1e-9 && (error - 0.577).abs() < 1e-3, "{mean} {error}");
    }
}
