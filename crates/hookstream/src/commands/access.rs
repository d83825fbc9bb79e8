//! Server and key of a client command: the given ones, else those that `hookstream login` saved.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use clap::Args;
use hookstream_cli::api::ApiClient;
use serde::{Deserialize, Serialize};

/// Default server.
const DEFAULT_URL: &str = "http://127.0.0.1:8484";

/// Server and key.
#[derive(Debug, Args)]
pub(crate) struct Access {
    /// The server [default: the one of `hookstream login`, else http://127.0.0.1:8484]
    #[arg(long, value_name = "URL", env = "HOOKSTREAM_URL")]
    pub(crate) url: Option<String>,

    /// The API key [default: the one of `hookstream login`]
    #[arg(long, value_name = "KEY", env = "HOOKSTREAM_API_KEY", hide_env_values = true)]
    pub(crate) api_key: Option<String>,
}

/// Settings saved between commands.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Saved {
    /// URL of the server.
    pub(crate) url: Option<String>,
    /// Key of the server.
    pub(crate) api_key: Option<String>,
}

impl Access {
    /// Returns a client for the given or saved server. A saved key is used for the saved server only.
    ///
    /// # Errors
    /// There is no key.
    pub(crate) fn client(&self) -> anyhow::Result<ApiClient> {
        let (url, key) = self.resolve()?;
        ApiClient::new(&url, &key)
    }

    /// Returns the server and the key.
    ///
    /// # Errors
    /// There is no key.
    pub(crate) fn resolve(&self) -> anyhow::Result<(String, String)> {
        let saved = if self.url.is_none() || self.api_key.is_none() { Saved::read()? } else { Saved::default() };
        let is_saved_server = self.url.is_none() || self.url == saved.url;
        let url = self.url.clone().or(saved.url).unwrap_or_else(|| DEFAULT_URL.to_owned());
        let key = self.api_key.clone().or_else(|| saved.api_key.filter(|_| is_saved_server));
        let key = key.context("no API key: run `hookstream login`, or set HOOKSTREAM_API_KEY or --api-key")?;
        Ok((url, key))
    }
}

/// Returns the given or saved server.
///
/// # Errors
/// The saved settings cannot be read.
pub(crate) fn url(given: Option<&str>) -> anyhow::Result<String> {
    match given {
        Some(url) => Ok(url.to_owned()),
        None => Ok(Saved::read()?.url.unwrap_or_else(|| DEFAULT_URL.to_owned())),
    }
}

impl Saved {
    /// Reads what was saved. A user without a home, as in a container, has saved nothing.
    fn read() -> anyhow::Result<Self> {
        let Ok(path) = saved_at() else { return Ok(Self::default()) };
        match std::fs::read(&path) {
            Ok(text) => {
                serde_json::from_slice(&text).with_context(|| format!("{} cannot be read; remove it and log in again", path.display()))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).with_context(|| format!("could not read {}", path.display())),
        }
    }

    /// Deletes the saved settings. Returns their path.
    ///
    /// # Errors
    /// The file cannot be deleted.
    pub(crate) fn remove() -> anyhow::Result<Option<PathBuf>> {
        let path = saved_at()?;
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(Some(path)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("could not delete {}", path.display())),
        }
    }

    /// Saves the settings, readable by their owner only. Returns their path.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn write(&self) -> anyhow::Result<PathBuf> {
        let path = saved_at()?;
        let directory = path.parent().context("a file in a directory")?;
        std::fs::create_dir_all(directory).with_context(|| format!("could not make {}", directory.display()))?;
        // Written to a second file and then renamed, so that a concurrent reader finds one or the other complete.
        let mut file = tempfile(directory)?;
        serde_json::to_writer_pretty(&mut file.1, self)?;
        file.1.write_all(b"\n")?;
        std::fs::rename(&file.0, &path).with_context(|| format!("could not write {}", path.display()))?;
        Ok(path)
    }
}

/// Creates a file that only its owner can read.
fn tempfile(directory: &Path) -> anyhow::Result<(PathBuf, std::fs::File)> {
    let path = directory.join(format!("config.json.{}", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path).with_context(|| format!("could not write {}", path.display()))?;
    Ok((path, file))
}

/// Returns the path of `hookstream/config.json` in the user's configuration directory (XDG Base Directory
/// Specification).
fn saved_at() -> anyhow::Result<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = match (variable("XDG_CONFIG_HOME"), variable("HOME").or_else(|| variable("USERPROFILE"))) {
        (Some(directory), _) => directory,
        (None, Some(home)) => home.join(".config"),
        (None, None) => bail!("neither XDG_CONFIG_HOME nor HOME is set: set one of them, to name where the settings are saved"),
    };
    Ok(base.join("hookstream").join("config.json"))
}
