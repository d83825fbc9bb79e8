//! Source of the encryption keys, by the settings.

use std::path::PathBuf;

use hookstream_model::base::vault::Keys;

/// Source of the encryption keys.
#[derive(Debug, Clone)]
pub(crate) enum KeySource {
    /// Keys of the setting `encryption_key`.
    Given(Keys),
    /// File of the setting `encryption_key_file`.
    File(PathBuf),
    /// Neither setting is given: the installation generates a key.
    Own,
}
