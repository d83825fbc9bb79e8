//! Settings of a TOML file.

use anyhow::{Context, bail};
use clap::Args;

use super::{
    Settings,
    without_flag::{self, WITHOUT_FLAG, Written, without_text},
};
use crate::arguments::{nearest, problem_of, sentence};

/// Reads the settings of a file.
///
/// # Errors
/// Names the first key that is unknown or value that is not allowed.
pub(super) fn read(path: &std::path::Path) -> anyhow::Result<Settings> {
    let text = std::fs::read_to_string(path).with_context(|| format!("could not read the configuration file {}", path.display()))?;
    parse(&text).with_context(|| format!("the configuration file {} is not valid", path.display()))
}

/// Returns each key of a file with its line, from 1, and its value. Nothing is checked.
pub(super) fn entries(text: &str) -> Vec<(String, usize, toml::Value)> {
    let table: toml::Table = toml::from_str(text).unwrap_or_default();
    let line = |key: &str| SettingPlace { text, key }.line().unwrap_or(0);
    table.into_iter().map(|(key, value)| (key.clone(), line(&key), value)).collect()
}

/// Settings that may be lists in a file.
const LISTS: [&str; 3] = ["trusted_proxies", "allow_targets", "retry_schedule"];

/// Maximum length of a string that errors show. A longer one may be a secret under the wrong name.
const SHOWN_MAX: usize = 16;

/// Parses the settings of a file. Values have the same form as on the command line; lists are joined with commas. An
/// error names the line, the key, the allowed values and, if it is short, the value.
pub(super) fn parse(text: &str) -> anyhow::Result<Settings> {
    let table: toml::Table = toml::from_str(text).map_err(|mut error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = 1 + text.bytes().take(start).filter(|byte| *byte == b'\n').count();
        // With the input, the error would show the line.
        error.set_input(None);
        anyhow::anyhow!("line {line} is not TOML: {}", without_text(&error.to_string()).trim_end().replace('\n', " "))
    })?;
    let command = Settings::augment_args(clap::Command::new("settings").no_binary_name(true).disable_help_flag(true));
    let keys: Vec<String> = command.get_arguments().map(|argument| argument.get_id().to_string()).collect();
    let mut flags: Vec<std::ffi::OsString> = Vec::new();
    let mut special = toml::Table::new();
    for (key, value) in table {
        let at = SettingPlace { text, key: &key };
        if WITHOUT_FLAG.contains(&key.as_str()) {
            special.insert(key, value);
            continue;
        }
        if !keys.contains(&key) {
            let known = keys.iter().map(String::as_str).chain(WITHOUT_FLAG);
            let nearest = nearest(&key, known).map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
            bail!("{at}: unknown key `{key}`{nearest}");
        }
        let flag = key.replace('_', "-");
        if value.is_array() && !LISTS.contains(&key.as_str()) {
            bail!("{at}: {key} must be one value, not a list");
        }
        let text = as_text(&value).with_context(|| format!("{at}: {key} must be text, a number, true or false, or a list of those"))?;
        if !text.trim().is_empty() || matches!(value, toml::Value::Array(_)) {
            let text = if text.trim().is_empty() { "none" } else { text.trim() };
            // Parsed one at a time, so that the error is known to be about this key.
            let argument = std::ffi::OsString::from(format!("--{flag}={text}"));
            let parsed = without_environment(command.clone()).try_get_matches_from([&argument]);
            if let Err(error) = parsed {
                let is_shown = !matches!(value, toml::Value::String(_)) || text.len() <= SHOWN_MAX;
                let subject = if is_shown { format!("{key} is {text:?}") } else { key.clone() };
                bail!("{at}: {}", sentence(&subject, &problem_of(&error)));
            }
            flags.push(argument);
        }
    }
    let matches = without_environment(command).try_get_matches_from(flags).context("each flag was read by itself")?;
    let mut settings = <Settings as clap::FromArgMatches>::from_arg_matches(&matches).context("each flag was read by itself")?;
    for (key, value) in special {
        let at = SettingPlace { text, key: &key };
        without_flag::set(&mut settings, &key, Written::File(value)).map_err(|problem| anyhow::anyhow!("{at}: {key} {problem}"))?;
    }
    Ok(settings)
}

/// Returns the command without environment variables, which were read before.
fn without_environment(command: clap::Command) -> clap::Command {
    command.mut_args(|argument| argument.env(clap::builder::Resettable::Reset))
}

/// Position of a key in a file.
struct SettingPlace<'a> {
    text: &'a str,
    key: &'a str,
}

impl SettingPlace<'_> {
    /// Returns the line of the key, from 1.
    fn line(&self) -> Option<usize> {
        let is_of_key = |line: &str| {
            let name = line.split_once('=').map_or(line, |(name, _)| name);
            name.trim().trim_matches(['"', '\'', '[', ']']) == self.key
        };
        self.text.lines().position(is_of_key).map(|line| line + 1)
    }
}

impl std::fmt::Display for SettingPlace<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line() {
            Some(line) => write!(f, "line {line}"),
            None => f.write_str(self.key),
        }
    }
}

/// Returns a value as it would be typed; `None` if that is not possible.
pub(super) fn as_text(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Float(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Array(values) => {
            let texts = values.iter().map(|value| if value.is_array() { None } else { as_text(value) });
            texts.collect::<Option<Vec<_>>>().map(|texts| texts.join(","))
        }
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}
