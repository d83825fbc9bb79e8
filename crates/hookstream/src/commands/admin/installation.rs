//! Store that an administrative command works on, with the settings that it needs.

use anyhow::bail;
use hookstream_model::operations::quota::Quotas;
use hookstream_store::Store;

use crate::server::reload::Reloader;

/// Unlocked store and further facts for a command.
pub(crate) struct Installation<'a> {
    pub(crate) store: &'a dyn Store,
    /// Public URL, for links.
    pub(crate) public_url: String,
    /// Quotas of organizations that have none of their own.
    pub(crate) quotas: Quotas,
    /// True if no other process uses the store.
    pub(crate) is_alone: bool,
    /// True if progress is reported on standard error.
    pub(crate) is_watched: bool,
    /// Reloader of the server that performs the command; `None` if no server does.
    pub(crate) reloader: Option<&'a Reloader>,
}

/// Returns the public URL for links: the command's own or that of the settings. Refuses an invalid URL.
pub(crate) fn public_url_of(given: Option<String>, on: &Installation<'_>) -> anyhow::Result<String> {
    match given {
        None => Ok(on.public_url.clone()),
        Some(url) if url.starts_with("http://") || url.starts_with("https://") => Ok(url.trim_end_matches('/').to_owned()),
        Some(url) => bail!("--public-url is {url:?}; it must be an http or https address such as https://hooks.example.com"),
    }
}
