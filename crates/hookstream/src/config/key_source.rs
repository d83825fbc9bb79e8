//! Source of the encryption keys, by the settings.

use std::path::PathBuf;

use hookstream_model::base::vault::Keys;

/// Where the keys come from, by the settings.
#[derive(Debug, Clone)]
pub(crate) enum KeySource {
    /// The setting `encryption_key`.
    Given(Keys),
    /// The setting `encryption_key_file`.
    File(PathBuf),
    /// Neither: the installation has a key of its own.
    Own,
}
