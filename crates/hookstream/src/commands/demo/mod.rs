//! `hookstream demo`: a server with a day of believable data, for people who evaluate the product.
//!
//! Nothing is invented in the store: the server's clock begins a day ago and catches up while messages are sent through the
//! public API to test receivers. Attempts, metrics, holds and the audit log are the server's own.

mod clock;
mod content;
mod history;

use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
    sync::Arc,
};

use anyhow::Context;
use clap::Args;
use hookstream_cli::{api::ApiClient, say};
use serde_json::json;
use tokio::net::TcpListener;

use self::{clock::DemoClock, history::Sender};
use crate::{
    config::{Config, ServerSettings, Settings, Sources, StorageSettings, TelemetrySettings, key_source::KeySource, listen_address},
    server::{keys, lifecycle, wire::Server},
};

/// E-mail address of the demonstration's user.
const EMAIL: &str = "demo@example.com";
/// Requests per second of the sender.
const RATE: NonZeroU32 = NonZeroU32::new(100_000).expect("not 0");

/// Settings of the demonstration. Without a data directory everything is deleted at the end.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream demo")]
pub(crate) struct DemoArgs {
    /// Where to listen [default: 127.0.0.1:8484, or a free port]
    #[arg(long, value_name = "ADDR", env = "HOOKSTREAM_LISTEN", value_parser = listen_address)]
    listen: Option<SocketAddr>,

    /// Where to store data: a directory that does not exist or is empty [default: a scratch directory, deleted at the end]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Hours of history
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=168))]
    hours: u16,

    /// Log level or filter [default: error]
    #[arg(long, value_name = "FILTER", env = "HOOKSTREAM_LOG", default_value = "error")]
    log: String,
}

/// Starts a server, fills it, and serves with traffic until the process is asked to stop.
pub(crate) async fn run(arguments: DemoArgs) -> anyhow::Result<()> {
    let DemoArgs { listen, data_dir, hours, log } = arguments;
    let scratch = tempfile::tempdir().context("could not create a scratch directory")?;
    let keeps_data = data_dir.is_some();
    let directory = data_dir.unwrap_or_else(|| scratch.path().to_owned());
    let is_empty = std::fs::read_dir(&directory).map_or(true, |mut entries| entries.next().is_none());
    anyhow::ensure!(is_empty, "{} is not empty; a demonstration needs a directory of its own (--data-dir)", directory.display());
    let settings = Settings {
        server: ServerSettings { listen, ..ServerSettings::default() },
        telemetry: TelemetrySettings { log: Some(log), ..TelemetrySettings::default() },
        ..StorageSettings { data_dir: Some(directory), ..StorageSettings::default() }.into()
    };
    let mut config = Config::load(Sources { config: None, restored: false, forget: false, settings }, &[])?;
    lifecycle::start_logging(&config.telemetry)?;
    if !keeps_data {
        config.storage.encryption = KeySource::Given(keys::temporary()?);
    }
    if listen.is_none() && TcpListener::bind(config.server.listen).await.is_err() {
        config.server.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    }
    config.limits.rate_limits.per_key = RATE;
    let minutes = i64::from(hours) * 60;
    let clock = Arc::new(DemoClock::behind(minutes * 60_000));
    let server = Server::start_at(&config, clock.clone()).await?;
    let key = server.new_key("demo").await?;
    let client = Arc::new(ApiClient::new(&server.url(), key.expose())?);
    let mut sender = Sender::new(Arc::clone(&client), Arc::clone(&clock));
    say!("hookstream {} sends the messages of {hours} hours; that takes a minute …", env!("CARGO_PKG_VERSION"));
    sender.set_up().await?;
    sender.play(minutes).await?;
    let password = set_up_owner(&server).await?;
    let portal = client.post("/applications/saltmarsh/portal-access", "", None).await?.accepted()?;
    say!(
        "
Dashboard       {url}/dashboard
  sign in with  {EMAIL}
  password      {password}
A customer's portal (for an hour)
  {portal}
API key         {key}

Messages go on. Ctrl-C stops.{rest}",
        url = server.url(),
        portal = portal["url"].as_str().unwrap_or_default(),
        key = key.expose(),
        rest = if keeps_data { "" } else { " All data is deleted then." }
    );
    tokio::select! {
        stopped = hookstream_cli::signals::until_stop_signal() => stopped?,
        ended = sender.go_on() => ended?,
    }
    server.stop().await;
    Ok(())
}

/// Creates the owner account through the set-up link, as a person would, and returns its password.
async fn set_up_owner(server: &Server) -> anyhow::Result<String> {
    let link = server.setup_link().await?.context("the demonstration has a user already")?;
    let token = link.rsplit_once("token=").map(|(_, token)| token.to_owned()).context("the set-up link has a token")?;
    let password = format!("demo {}", token.chars().filter(char::is_ascii_alphanumeric).take(12).collect::<String>());
    let body = json!({ "token": token, "email": EMAIL, "name": "Demo", "password": password });
    ApiClient::anonymous(&server.url())?.post("/auth/setup", body.to_string(), None).await?.accepted()?;
    Ok(password)
}
