//! `hookstream quickstart`: a server, a receiver, and one webhook delivered between them.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use hookstream_cli::{api::ApiClient, say};
use hookstream_model::{base::secret::Secret, outbound::signature::VerificationKey};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Notify};

use super::sink::{self, SinkOptions};
use crate::{
    config::{Config, ServerSettings, Settings, Sources, StorageSettings, TelemetrySettings, key_source::KeySource, listen_address},
    server::{keys, lifecycle, wire::Server},
};

/// Time limit of the first delivery, after which a problem is reported.
const FIRST_DELIVERY: Duration = Duration::from_secs(10);
/// `uid` of the application.
const UID: &str = "quickstart";

/// Settings of the server. Without a data directory everything is deleted at the end.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream quickstart")]
pub(crate) struct QuickstartArgs {
    /// Where to listen [default: 127.0.0.1:8484, or a free port]
    #[arg(long, value_name = "ADDR", env = "HOOKSTREAM_LISTEN", value_parser = listen_address)]
    listen: Option<SocketAddr>,

    /// Where to store data [default: a scratch directory, deleted at the end]
    #[arg(long, value_name = "DIR", env = "HOOKSTREAM_DATA_DIR")]
    data_dir: Option<PathBuf>,

    /// Log level or filter [default: warn]
    #[arg(long, value_name = "FILTER", env = "HOOKSTREAM_LOG", default_value = "warn")]
    log: String,
}

/// Delivers one webhook, prints it and continues to serve.
pub(crate) async fn run(arguments: QuickstartArgs) -> anyhow::Result<()> {
    let QuickstartArgs { listen, data_dir, log } = arguments;
    let (keeps_data, wants_address) = (data_dir.is_some(), listen.is_some());
    let settings = Settings {
        server: ServerSettings { listen, ..ServerSettings::default() },
        telemetry: TelemetrySettings { log: Some(log), ..TelemetrySettings::default() },
        ..StorageSettings { data_dir, ..StorageSettings::default() }.into()
    };
    // Variables of a server do not apply here; those of this command were read.
    let mut config = Config::load(Sources { config: None, restored: false, forget: false, settings }, &[])?;
    lifecycle::start_logging(&config.telemetry)?;
    let scratch = tempfile::tempdir().context("could not create a scratch directory")?;
    if !keeps_data {
        config.storage.data_dir = scratch.path().to_owned();
        if config.storage.database.is_none() && matches!(config.storage.encryption, KeySource::Own) {
            // The secrets are deleted at the end like everything else, so no key needs to be kept.
            config.storage.encryption = KeySource::Given(keys::temporary()?);
        }
    }
    if !wants_address && TcpListener::bind(config.server.listen).await.is_err() {
        config.server.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    }
    // The receiver is on this machine, which is not an allowed target by default.
    config.delivery.allow_targets.0.push("127.0.0.0/8".parse()?);
    let server = Server::start(&config).await?;
    let key = server.new_key(UID).await?;
    let receiver = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("could not listen for the receiver")?;
    let receiver_url = format!("http://{}/webhooks", receiver.local_addr()?);

    say!("hookstream {} is ready at {}", env!("CARGO_PKG_VERSION"), server.url());
    say!("A receiver is listening at {receiver_url}\n");
    let client = ApiClient::new(&server.url(), key.expose())?;
    let secret = make_endpoint(&client, &receiver_url).await?;
    let verification = VerificationKey::parse(&Secret::new(&secret))?;
    let arrived = Arc::new(Notify::new());
    let tell = Arc::clone(&arrived);
    let show = move |delivery: &sink::Delivery| {
        say!("Received:\n\n{}", sink::as_text(delivery));
        tell.notify_one();
    };
    let options = SinkOptions { key: Some(verification), ..SinkOptions::default() };
    let receiving = sink::serve(receiver, options, Arc::new(show));
    tokio::pin!(receiving);

    let message = json!({ "event_type": "invoice.paid", "payload": { "invoice_id": 42, "amount": "99.00", "currency": "EUR" } });
    say!("Sent:\n\n  POST {}/v1/applications/{UID}/messages\n  X-API-Key: {}…\n\n  {message}\n", server.url(), key.prefix());
    let answer = client.post(&format!("/applications/{UID}/messages"), message.to_string(), None).await?.accepted()?;
    say!("Answered 201: stored durably as {}.\n", text(&answer, &["message", "id"]));
    tokio::select! {
        () = arrived.notified() => {}
        ended = &mut receiving => return ended,
        () = tokio::time::sleep(FIRST_DELIVERY) => anyhow::bail!("the delivery did not arrive within {} s", FIRST_DELIVERY.as_secs()),
    }
    print_next(&server.url(), key.expose(), keeps_data);
    tokio::select! {
        stopped = hookstream_cli::signals::until_stop_signal() => stopped?,
        ended = &mut receiving => ended?,
    }
    server.stop().await;
    Ok(())
}

/// Creates the application, if it is missing, and an endpoint. Returns the endpoint's secret.
async fn make_endpoint(client: &ApiClient, url: &str) -> anyhow::Result<String> {
    let application = json!({ "name": "Quickstart", "uid": UID });
    let made = client.post("/applications", application.to_string(), None).await?;
    if made.status != http::StatusCode::CONFLICT {
        made.accepted()?;
    }
    let endpoint = json!({ "url": url, "description": "the receiver of the quickstart" });
    let answer = client.post(&format!("/applications/{UID}/endpoints"), endpoint.to_string(), None).await?.accepted()?;
    Ok(text(&answer, &["endpoint", "signing_secret"]).to_owned())
}

fn text<'a>(value: &'a Value, path: &[&str]) -> &'a str {
    path.iter().fold(value, |value, name| &value[*name]).as_str().unwrap_or("?")
}

fn print_next(url: &str, key: &str, keeps_data: bool) {
    // The program's name as typed, because it may not be on the path.
    let program = std::env::args().next().unwrap_or_else(|| "hookstream".to_owned());
    say!(
        "Next, in another terminal:

  export HOOKSTREAM_URL={url} HOOKSTREAM_API_KEY={key}
  {program} send --app {UID} --type invoice.paid --data '{{\"invoice_id\":43}}'
  curl -H \"X-API-Key: $HOOKSTREAM_API_KEY\" $HOOKSTREAM_URL/v1/applications/{UID}/messages

The API reference is at {url}/docs. Ctrl-C stops.{}",
        if keeps_data { "" } else { " All data is deleted then; `hookstream serve` keeps data." }
    );
}
