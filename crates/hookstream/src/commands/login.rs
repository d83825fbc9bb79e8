//! `hookstream login`: gets an API key by the device flow and saves it for the other commands.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Args;
use http::StatusCode;
use serde_json::{Value, json};

use super::{
    access::{Access, Saved},
    client::ApiClient,
};
use crate::output::say;

/// Which server, and how.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream login --url https://hooks.example.com\n\n\
    It shows a code; whoever is signed in on the server allows it, and the key that comes of that is saved in\n\
    ~/.config/hookstream/config.json, where `send` and `explain` find it. With --api-key that key is saved.")]
pub(crate) struct LoginArgs {
    #[command(flatten)]
    access: Access,

    /// Only show the address; do not open a browser
    #[arg(long)]
    no_browser: bool,

    /// What the key is called [default: hookstream on the host's name]
    #[arg(long)]
    name: Option<String>,
}

/// Logs in.
pub(crate) async fn run(arguments: LoginArgs) -> anyhow::Result<()> {
    let url = arguments.access.url()?;
    let key = match &arguments.access.api_key {
        Some(key) => {
            ApiClient::new(&url, key)?.get("/environments").await?.accepted().context("the key was not saved")?;
            key.clone()
        }
        None => ask(&ApiClient::anonymous(&url)?, &arguments).await?,
    };
    let path = Saved { url: Some(url.clone()), api_key: Some(key) }.write()?;
    say!("Logged in to {url}; the key is in {}", path.display());
    Ok(())
}

/// Has somebody allow it, and returns the key.
async fn ask(client: &ApiClient, arguments: &LoginArgs) -> anyhow::Result<String> {
    let name = arguments.name.clone().unwrap_or_else(|| format!("hookstream on {}", crate::config::host_name()));
    let started = client.post("/auth/device", json!({ "name": name }).to_string(), None).await?.accepted()?;
    let text = |value: &Value, name: &str| value[name].as_str().map(str::to_owned).with_context(|| format!("the answer has no {name}"));
    let seconds = |name: &str| Duration::from_secs(started[name].as_u64().unwrap_or(5));
    let (device_code, link) = (text(&started, "device_code")?, text(&started, "verification_uri_complete")?);
    say!("Allow this device:\n\n    {link}\n\nIt shows the code {}.", text(&started, "user_code")?);
    if !arguments.no_browser {
        open(&link);
    }
    let end = Instant::now() + seconds("expires_in");
    let mut interval = seconds("interval");
    while Instant::now() < end {
        tokio::time::sleep(interval).await;
        let answer = client.post("/auth/device/token", json!({ "device_code": device_code }).to_string(), None).await?;
        if answer.status != StatusCode::BAD_REQUEST {
            return text(&answer.accepted()?["api_key"], "key");
        }
        match answer.body["code"].as_str() {
            Some("authorization_pending") => {}
            // RFC 8628, section 3.5: five seconds more from now on.
            Some("slow_down") => interval += Duration::from_secs(5),
            _ => {
                answer.accepted()?;
            }
        }
    }
    bail!("nobody allowed it in time; run it again")
}

/// Opens a page, where there is a browser: the link is shown as well.
fn open(link: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let _ = Command::new(program).arg(link).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
}
