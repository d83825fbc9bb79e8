//! First access to an installation: the API key and the set-up link that a server shows while there is no other access.

use std::{
    io::{IsTerminal, Write},
    path::Path,
};

use anyhow::Context;
use hookstream_cli::output;

use crate::{config::Config, server::wire::Server};

/// Shows the first API key and the set-up link while there is no other access. The key is stored after it was shown,
/// so a key that could not be read is never valid: the next start offers another.
pub(super) async fn offer(server: &Server, config: &Config) -> anyhow::Result<()> {
    let key = server.first_key().await?;
    let link = if config.identity.setup_link { server.setup_link().await? } else { None };
    let key_text = key.as_ref().map(|key| key_text(server.public_url(), key.expose()));
    let link_text = link
        .map(|link| format!("No users yet. Create the owner account with this link (single use, expires in 24 hours):\n\n    {link}\n"));
    let text: Vec<_> = [key_text, link_text].into_iter().flatten().collect();
    if text.is_empty() {
        return Ok(());
    }
    if show(&text.join("\n"), config.identity.first_access_file.as_deref())?
        && let Some(key) = key
    {
        server.keep_first_key(&key).await?;
    }
    Ok(())
}

/// Writes the text to the file of the setting `first_access_file`, else to standard output, else to standard error.
/// Returns true if it was shown.
fn show(text: &str, file: Option<&Path>) -> anyhow::Result<bool> {
    if let Some(path) = file {
        write_private(path, text).with_context(|| format!("could not write first_access_file {}", path.display()))?;
        tracing::info!(path = %path.display(), "wrote the first access to the installation to a file; delete it after use");
        return Ok(true);
    }
    if output::try_standard(format_args!("{text}\n")).is_ok() {
        if !std::io::stdout().is_terminal() {
            tracing::warn!(
                "an API key or a set-up link was printed to standard output, which is not a terminal and may be kept as a log; \
                 set first_access_file to write them to a private file"
            );
        }
        return Ok(true);
    }
    if output::try_error(format_args!("{text}\n")).is_ok() {
        return Ok(true);
    }
    tracing::warn!("the first API key could not be shown and was not stored; the next start creates another");
    Ok(false)
}

/// Writes a file that only its owner can read.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    // An existing file would keep its mode, so it is replaced.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut options = std::fs::File::options();
    options.create_new(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn key_text(url: &str, key: &str) -> String {
    format!(
        "This is the first start. The API key of organization `default`, environment `production`:

    {key}

Save it now; it won't be shown again. Create an application with it:

    curl -X POST {url}/v1/applications -H 'X-API-Key: {key}' \\
         -H 'content-type: application/json' -d '{{\"name\":\"Acme\",\"uid\":\"acme\"}}'

The API reference is at {url}/docs.
"
    )
}
