//! Settings without a flag, because their values are secret or too large. They come from a variable or the file.

use hookstream_model::base::secret::Secret;
use serde::de::DeserializeOwned;

use super::{
    Settings,
    values::{KeysText, SecretText},
};

/// Names of the settings.
pub(super) const WITHOUT_FLAG: [&str; 4] = ["bootstrap_api_key", "encryption_key", "smtp_url", "oidc_providers"];

/// Value as it was written.
pub(super) enum Written<'a> {
    /// Text of a variable; tables are JSON.
    Variable(&'a str),
    /// Value in a file.
    File(toml::Value),
}

/// Returns the variable of a setting.
pub(super) fn variable(key: &str) -> String {
    format!("HOOKSTREAM_{}", key.to_ascii_uppercase())
}

/// Sets one of the settings. An error follows the name of the setting and does not show the value.
pub(super) fn set(settings: &mut Settings, key: &str, written: Written<'_>) -> Result<(), String> {
    match key {
        "bootstrap_api_key" => settings.identity.bootstrap_api_key = Some(written.text()?.parse()?),
        "encryption_key" => settings.storage.encryption_key = Some(KeysText(Secret::new(written.list()?))),
        "smtp_url" => settings.mail.smtp_url = Some(SecretText(Secret::new(written.text()?))),
        _ => settings.identity.oidc_providers = Some(written.tables()?),
    }
    Ok(())
}

impl Written<'_> {
    fn text(self) -> Result<String, String> {
        match self {
            Written::Variable(text) => Ok(text.trim().to_owned()),
            Written::File(toml::Value::String(text)) => Ok(text.trim().to_owned()),
            Written::File(_) => Err("must be text".to_owned()),
        }
    }

    /// Returns texts joined by commas.
    fn list(self) -> Result<String, String> {
        match self {
            Written::File(toml::Value::Array(values)) => {
                let texts = values.into_iter().map(|value| Written::File(value).text());
                Ok(texts.collect::<Result<Vec<_>, _>>()?.join(","))
            }
            Written::Variable(_) | Written::File(_) => self.text(),
        }
    }

    /// Returns tables, of JSON or TOML.
    pub(super) fn tables<T: DeserializeOwned>(self) -> Result<T, String> {
        let read = match self {
            Written::Variable(text) => serde_json::from_str(text).map_err(|error| error.to_string()),
            Written::File(value) => value.try_into().map_err(|error: toml::de::Error| error.to_string()),
        };
        read.map_err(|problem| format!("is refused: {}", without_text(&problem).trim_end().replace('\n', " ")))
    }
}

/// Returns serde's message without the value if that is a string, because a secret may be under the wrong name.
pub(super) fn without_text(problem: &str) -> std::borrow::Cow<'_, str> {
    let kind = ["invalid type: string", "invalid value: string"].into_iter().find(|kind| problem.starts_with(kind));
    // The expected part is our own text, so the last separator is the one before it.
    match kind.zip(problem.rsplit_once(", expected ")) {
        Some((kind, (_, expected))) => format!("{kind}, expected {expected}").into(),
        None => problem.into(),
    }
}
