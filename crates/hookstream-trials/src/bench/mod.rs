//! `hookstream bench`: puts load on a server and reports the result.
//!
//! The server is the real binary in a separate process. Sender and receiver run here and cost little, because they
//! share the machine with it.

mod fairness;
mod lists;
mod load;
mod receiver;
mod report;
mod run;
mod scale;
mod stream;
mod telemetry;

use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use clap::{Args, Subcommand};
use hookstream_cli::{api::ApiClient, duration::parse_duration, say};
use hookstream_model::{base::secret::Secret, outbound::signature::VerificationKey};
use serde_json::json;
use tokio::net::TcpListener;

use self::{load::Plan, receiver::Receiver, run::Run};
use super::traffic::{
    listener,
    process::{Cpu, ServerProcess},
};

/// Measurements of one question each, on servers of their own.
#[derive(Debug, Clone, Subcommand)]
enum Question {
    /// Measure whether failing endpoints or busy applications slow down the others
    Fairness(fairness::FairnessArgs),
    /// Measure the cost of many pending deliveries, many endpoints, and many endpoints per message
    Scale(scale::ScaleArgs),
    /// Measure how long each list and search takes with many messages
    Lists(lists::ListsArgs),
    /// Measure the CPU that attempt lines, scrapes and traces cost
    Telemetry(telemetry::TelemetryArgs),
}

/// Arguments of `hookstream bench`: the load and the server.
#[derive(Debug, Clone, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_help_heading = "Benchmarks",
    subcommand_value_name = "BENCHMARK",
    after_help = "Example: hookstream bench --duration 10s --connections 64 --payload-bytes 500\n         \
    hookstream bench --rate 2000 --receiver-delay 50ms --endpoints 5\n         \
    hookstream bench --nodes 2 --server-args '--database-url postgres://localhost/scratch'\n\n\
    Without --url, bench starts a server on a temporary directory."
)]
pub struct BenchArgs {
    #[command(subcommand)]
    question: Option<Question>,

    /// Time to send and count
    #[arg(long, value_name = "D", default_value = "10s", value_parser = parse_duration)]
    duration: Duration,

    /// Time to send before counting
    #[arg(long, value_name = "D", default_value = "1s", value_parser = parse_duration)]
    warmup: Duration,

    /// Client connections
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,

    /// Messages per second (open loop); without it, each connection sends its next message after the response to the last one
    #[arg(long, value_name = "R", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,

    /// Size of each payload in bytes
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(64..=1_048_576))]
    payload_bytes: u32,

    /// Endpoints that receive each message
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    endpoints: u32,

    /// Applications; messages go to them in turn
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    applications: u32,

    /// Time that the receiver takes to respond
    #[arg(long, value_name = "D", default_value = "0ms", value_parser = parse_duration)]
    receiver_delay: Duration,

    /// Share of messages whose first attempt gets a 500 response (retried after 5 s)
    #[arg(long, value_name = "0..1", default_value_t = 0.0)]
    fail_share: f64,

    /// Verify each signature
    #[arg(long)]
    verify: bool,

    /// Time to wait for pending deliveries after the last message
    #[arg(long, value_name = "D", default_value = "30s", value_parser = parse_duration)]
    drain_timeout: Duration,

    /// Test this running server instead of a new one; HOOKSTREAM_URL is not read (add --pid to measure its process)
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// API key for the server of --url
    #[arg(long, value_name = "KEY", env = "HOOKSTREAM_API_KEY", hide_env_values = true)]
    api_key: Option<String>,

    /// Process id of the server of --url
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,

    /// Data directory of the new server, kept afterwards [default: a temporary directory]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Number of new servers; they share the database of --server-args, and connections go to them in turn
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    nodes: u32,

    /// Process id of the database server, to measure it as well
    #[arg(long, value_name = "PID")]
    database_pid: Option<u32>,

    /// Store no messages: measures the program without durability
    #[arg(long)]
    forget: bool,

    /// More arguments for the new server
    #[arg(long, value_name = "ARGS", allow_hyphen_values = true, default_value = "")]
    server_args: String,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl BenchArgs {
    /// Returns the default load with this number of endpoints per message.
    fn fan_out(endpoints: u32) -> Self {
        #[derive(clap::Parser)]
        struct Usual {
            #[command(flatten)]
            arguments: BenchArgs,
        }
        let Usual { arguments } = clap::Parser::parse_from(["bench"]);
        Self { endpoints, connections: (64 / endpoints).max(4), ..arguments }
    }
}

/// Runs the load and prints the result. Fails if an accepted message is lost.
pub async fn run(arguments: BenchArgs) -> anyhow::Result<()> {
    match &arguments.question {
        Some(Question::Fairness(arguments)) => return fairness::run(arguments).await,
        Some(Question::Scale(arguments)) => return scale::run(arguments).await,
        Some(Question::Lists(arguments)) => return lists::run(arguments).await,
        Some(Question::Telemetry(arguments)) => return telemetry::run(arguments).await,
        None => {}
    }
    let scratch = tempfile::tempdir().context("could not make a scratch directory")?;
    let mut servers = Vec::new();
    match &arguments.url {
        Some(url) => {
            let key = arguments.api_key.clone().context("no API key: set --api-key or HOOKSTREAM_API_KEY")?;
            servers.push(ServerProcess::running(url, &key, arguments.pid));
        }
        None => {
            let data_dir = arguments.data_dir.as_deref().unwrap_or(scratch.path());
            let mut settings = vec!["--data-dir".into(), data_dir.into()];
            if arguments.fail_share > 0.0 && !arguments.server_args.contains("--circuit-breaker-threshold") {
                // Requested failures must not open the circuit breaker.
                settings.extend(["--circuit-breaker-threshold", "0"].map(Into::into));
            }
            if arguments.forget {
                settings.push("--forget".into());
            }
            settings.extend(arguments.server_args.split_whitespace().map(Into::into));
            // A throwaway key for data that is deleted at the end; otherwise the server would generate one and warn.
            let key = arguments.data_dir.is_none().then(|| ("HOOKSTREAM_ENCRYPTION_KEY".into(), "0b".repeat(32).into()));
            let variables: Vec<_> = key.into_iter().collect();
            for _ in 0..arguments.nodes {
                servers.push(ServerProcess::start(&settings, &variables, Stdio::inherit()).await?);
            }
        }
    }
    let fleet = Fleet { servers, database_pid: arguments.database_pid };
    let mut created = Vec::new();
    let result = measure(&arguments, &fleet, &mut created).await;
    // A server started here is gone with its data; another one must keep none of it, in success or failure.
    let cleaned = if arguments.url.is_some() { remove(&fleet, &created).await } else { Ok(()) };
    fleet.stop().await;
    let report = result?;
    cleaned.context("could not delete the applications named Bench")?;
    say!("{}", if arguments.json { report.as_json().to_string() } else { report.as_text() });
    // Messages without room in memory are stored, which a server with `--forget` does not do.
    anyhow::ensure!(report.lost == 0 || arguments.forget, "{} accepted messages did not arrive", report.lost);
    Ok(())
}

/// Servers under load, and their database.
struct Fleet {
    servers: Vec<ServerProcess>,
    database_pid: Option<u32>,
}

impl Fleet {
    /// Starts one server on a directory, with further arguments.
    async fn start(data_dir: &Path, arguments: &str) -> anyhow::Result<Self> {
        let mut settings = vec!["--data-dir".into(), data_dir.into()];
        settings.extend(arguments.split_whitespace().map(Into::into));
        Ok(Self { servers: vec![ServerProcess::start(&settings, &[], Stdio::inherit()).await?], database_pid: None })
    }

    async fn stop(self) {
        for server in self.servers {
            server.stop().await;
        }
    }

    /// Returns the CPU time so far: servers, this process, database.
    fn cpu(&self) -> [Option<Cpu>; 3] {
        let servers = Cpu::sum(self.servers.iter().map(ServerProcess::cpu));
        [servers, Cpu::of(std::process::id()), self.database_pid.and_then(Cpu::of_family)]
    }

    /// Returns the current and the maximum memory of the servers, in KiB.
    fn memory_kib(&self) -> Option<(u64, u64)> {
        self.servers.iter().try_fold((0, 0), |(now, most), server| {
            let (more_now, more_most) = server.memory_kib()?;
            Some((now + more_now, most + more_most))
        })
    }
}

/// Deletes the applications of the benchmark.
async fn remove(fleet: &Fleet, applications: &[String]) -> anyhow::Result<()> {
    let server = fleet.servers.first().context("there is a server")?;
    let client = ApiClient::new(&server.url, &server.api_key)?;
    for id in applications {
        client.delete(&format!("/applications/{id}")).await?.accepted()?;
    }
    Ok(())
}

/// Puts the load on. The ids of created applications go into `created`.
async fn measure(arguments: &BenchArgs, fleet: &Fleet, created: &mut Vec<String>) -> anyhow::Result<report::Report> {
    let server = fleet.servers.first().context("there is a server")?;
    let BenchArgs { connections, rate, payload_bytes, duration, warmup, .. } = *arguments;
    let plan = Plan { connections, rate, payload_bytes, duration, warmup };
    let run = Arc::new(Run::new(plan.room(), usize::try_from(arguments.endpoints).unwrap_or(1)));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("could not listen for the receiver")?;
    let url = format!("http://{}", listener.local_addr()?);
    let client = ApiClient::new(&server.url, &server.api_key)?;
    let keys = make_applications(arguments, &client, &url, created).await?;
    let applications = created.clone();
    let receiver = Receiver { run: Arc::clone(&run), keys, delay: arguments.receiver_delay, fail_share: arguments.fail_share };
    let tasks = tokio_util::task::TaskTracker::new();
    let receiving = tasks.spawn(listener::serve(listener, Arc::new(receiver), tasks.clone()));
    let begun = load::send(&plan, fleet, &applications, &run, &tasks).await?;
    run.until_all_arrived(arguments.drain_timeout).await;
    let mut report = report::Report::new(&run, &begun, fleet);
    report.verifies = arguments.verify;
    receiving.abort();
    Ok(report)
}

/// Creates the applications with their endpoints. Their ids go into `ids`. Returns the keys of all endpoints in the
/// order of their numbers.
async fn make_applications(
    arguments: &BenchArgs,
    client: &ApiClient,
    url: &str,
    ids: &mut Vec<String>,
) -> anyhow::Result<Vec<VerificationKey>> {
    anyhow::ensure!(!arguments.verify || arguments.applications == 1, "--verify works with one application only; leave --applications out");
    let mut keys = Vec::new();
    for number in 0..arguments.applications {
        let uid = format!("bench-{}-{number}", std::process::id());
        let created = client.post("/applications", json!({ "name": "Bench", "uid": uid }).to_string(), None).await?.accepted()?;
        let id = created["application"]["id"].as_str().context("an application has an id")?.to_owned();
        ids.push(id.clone());
        for endpoint in 0..arguments.endpoints {
            // The receiver distinguishes the endpoints of an application by their paths.
            let body = json!({ "url": format!("{url}/{endpoint}") });
            let created = client.post(&format!("/applications/{id}/endpoints"), body.to_string(), None).await?.accepted()?;
            let secret = created["endpoint"]["signing_secret"].as_str().context("an endpoint has a secret")?;
            if arguments.verify && number == 0 {
                keys.push(VerificationKey::parse(&Secret::new(secret))?);
            }
        }
    }
    Ok(keys)
}
