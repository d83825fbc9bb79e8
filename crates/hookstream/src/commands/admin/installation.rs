//! Store that an administrative command works on, with the settings that it needs.

use anyhow::bail;
use hookstream_model::operations::quota::Quotas;
use hookstream_store::Store;

/// A store that is unlocked, and what else a command needs to know.
pub(crate) struct Installation<'a> {
    pub(crate) store: &'a dyn Store,
    /// The address for links.
    pub(crate) public_url: String,
    /// What organizations may have that have no quotas of their own.
    pub(crate) quotas: Quotas,
    /// Whether no other process uses the store.
    pub(crate) is_alone: bool,
    /// Whether somebody watches standard error.
    pub(crate) is_watched: bool,
}

/// Refuses an address for links that is none; a command's own goes before the setting.
pub(crate) fn public_url_of(given: Option<String>, on: &Installation<'_>) -> anyhow::Result<String> {
    match given {
        None => Ok(on.public_url.clone()),
        Some(url) if url.starts_with("http://") || url.starts_with("https://") => Ok(url.trim_end_matches('/').to_owned()),
        Some(url) => bail!("--public-url is {url:?}; it must be an http or https address such as https://hooks.example.com"),
    }
}
