//! `hookstream admin reload`: has a running server read its settings again, as SIGHUP does, and prints the result.

use anyhow::Context;
use clap::Args;

use super::installation::Installation;
use crate::commands::existing::ExistingStore;

/// Data directory of the server.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream admin reload --data-dir /var/lib/hookstream\n\n\
    The server reads its file again. Flags and variables that it was started with keep their precedence. It applies the\n\
    log level, trusted proxies, rate limits and allowed targets; other changed settings are named and need a restart. An\n\
    invalid file changes nothing. A server on PostgreSQL reloads on SIGHUP: kill -HUP <pid>.")]
pub(crate) struct ReloadArgs {
    #[command(flatten)]
    pub(super) existing: ExistingStore,
}

/// Reloads the server that performs the request.
pub(crate) fn perform(on: &Installation<'_>) -> anyhow::Result<String> {
    let lines = on.reloader.context("no server runs; settings are read at its start")?.reload()?;
    Ok(if lines.is_empty() { "No setting has changed.".to_owned() } else { lines.join("\n") })
}
