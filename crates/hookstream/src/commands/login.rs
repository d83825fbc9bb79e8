//! `hookstream login`: gets an API key by the device flow and saves it for other commands.

use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Args;
use hookstream_cli::{api::ApiClient, note, say};
use http::StatusCode;
use serde_json::{Value, json};

use super::access::{self, Access, Saved};

/// Server and mode.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream login --url https://hooks.example.com\n\n\
    It shows a code. Confirm it in the browser where you are signed in; the key is then saved in\n\
    ~/.config/hookstream/config.json for the other commands. With --api-key that key is saved instead. HOOKSTREAM_API_KEY\n\
    plays no part here; the other commands prefer it to the saved key.")]
pub(crate) struct LoginArgs {
    /// The server [default: the one saved before, else http://127.0.0.1:8484]
    #[arg(long, value_name = "URL", env = "HOOKSTREAM_URL")]
    url: Option<String>,

    /// Save this API key instead of asking for one
    #[arg(long, value_name = "KEY", conflicts_with_all = ["no_browser", "name"])]
    api_key: Option<String>,

    /// Print the address only; do not open a browser
    #[arg(long)]
    no_browser: bool,

    /// The key's name [default: hookstream on the host's name]
    #[arg(long)]
    name: Option<String>,
}

/// Runs `login`.
pub(crate) async fn run(arguments: LoginArgs) -> anyhow::Result<()> {
    let url = access::url(arguments.url.as_deref())?;
    let key = match &arguments.api_key {
        Some(key) => {
            ApiClient::new(&url, key)?.get("/environments").await?.accepted().context("the key was not saved")?;
            key.clone()
        }
        None => ask(&ApiClient::anonymous(&url)?, &arguments).await?,
    };
    let path = Saved { url: Some(url.clone()), api_key: Some(key) }.write()?;
    say!("Logged in to {url}; the key is saved in {}", path.display());
    if std::env::var_os("HOOKSTREAM_API_KEY").is_some_and(|key| !key.is_empty()) {
        note!("HOOKSTREAM_API_KEY is set, and the other commands prefer it to the saved key: unset it to use the saved one");
    }
    Ok(())
}

/// `logout` has no arguments.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream logout\n\n\
    The key itself stays valid: revoke it with DELETE /v1/auth/api-keys/{id}.")]
pub(crate) struct LogoutArgs {}

/// Deletes the settings that `login` saved.
pub(crate) fn logout(_: &LogoutArgs) -> anyhow::Result<()> {
    match Saved::remove()? {
        Some(path) => say!("deleted {}; the key stays valid until it is revoked", path.display()),
        None => say!("nothing was saved"),
    }
    Ok(())
}

/// Server and key.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream whoami")]
pub(crate) struct WhoamiArgs {
    /// Print it as JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    access: Access,
}

/// Shows the server and key that commands use, and whether the server accepts the key.
pub(crate) async fn whoami(arguments: WhoamiArgs) -> anyhow::Result<()> {
    let (url, key) = arguments.access.resolve()?;
    let answer = ApiClient::new(&url, &key)?.get("/environments").await?;
    // A key without access to environments is valid all the same.
    let environments = if answer.status == StatusCode::FORBIDDEN {
        Vec::new()
    } else {
        answer.accepted()?["environments"].as_array().cloned().unwrap_or_default()
    };
    // The prefix is long enough to find the key in a list, and far too short to be usable.
    let prefix: String = key.trim().chars().take(12).collect();
    if arguments.json {
        say!("{}", json!({ "url": url, "key_prefix": prefix, "environments": environments }));
        return Ok(());
    }
    say!("server       {url}");
    say!("API key      {prefix}…");
    for environment in environments {
        let text = |name: &str| environment[name].as_str().unwrap_or("?").to_owned();
        say!("environment  {} ({})", text("name"), text("id"));
    }
    Ok(())
}

/// Requests a key, which a user allows in the browser.
async fn ask(client: &ApiClient, arguments: &LoginArgs) -> anyhow::Result<String> {
    let name = arguments.name.clone().unwrap_or_else(|| format!("hookstream on {}", crate::config::host_name()));
    let started = client.post("/auth/device", json!({ "name": name }).to_string(), None).await?.accepted()?;
    let text = |value: &Value, name: &str| value[name].as_str().map(str::to_owned).with_context(|| format!("the answer has no {name}"));
    let seconds = |name: &str| Duration::from_secs(started[name].as_u64().unwrap_or(5));
    let (device_code, link) = (text(&started, "device_code")?, text(&started, "verification_uri_complete")?);
    say!("Open this page and confirm the code {}:\n\n    {link}\n", text(&started, "user_code")?);
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
            // RFC 8628, section 3.5: the interval grows by five seconds.
            Some("slow_down") => interval += Duration::from_secs(5),
            _ => {
                answer.accepted()?;
            }
        }
    }
    bail!("the code was not confirmed in time; run the command again")
}

/// Opens a page if there is a browser; the link is printed as well.
fn open(link: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let _ = Command::new(program).arg(link).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
}
