//! Kinds of targets, and a target's settings besides its URL.

use std::{collections::BTreeMap, fmt};

use serde_json::{Map, Value};

use crate::{
    InvalidField,
    base::{
        secret::{HIDDEN, Secret},
        text::got,
    },
};

/// Kind of target: the `type` of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TargetKind {
    /// HTTP receiver.
    #[default]
    Http,
    /// Exchange of a RabbitMQ broker.
    RabbitMq,
    /// Receiver inside of the server, which responds as it is told.
    TestReceiver,
    /// Incoming webhook of Slack.
    Slack,
    /// Webhook of a Discord channel.
    Discord,
    /// Incoming webhook of Microsoft Teams.
    Teams,
    /// Service of PagerDuty.
    PagerDuty,
    /// Chat of Telegram.
    Telegram,
    /// Addresses of e-mail.
    Email,
}

impl TargetKind {
    /// Kinds of endpoints.
    pub const ALL: [Self; 3] = [Self::Http, Self::RabbitMq, Self::TestReceiver];
    /// Kinds of notification channels besides [`Self::Http`]. They render notifications in the form of a service.
    pub const SERVICES: [Self; 6] = [Self::Slack, Self::Discord, Self::Teams, Self::PagerDuty, Self::Telegram, Self::Email];

    /// Word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::RabbitMq => "rabbitmq",
            Self::TestReceiver => "test_receiver",
            Self::Slack => "slack",
            Self::Discord => "discord",
            Self::Teams => "teams",
            Self::PagerDuty => "pagerduty",
            Self::Telegram => "telegram",
            Self::Email => "email",
        }
    }

    /// Parses the stored word of any kind.
    pub fn of_stored(word: &str) -> Option<Self> {
        Self::ALL.into_iter().chain(Self::SERVICES).find(|kind| kind.as_str() == word)
    }

    /// Parses the word.
    ///
    /// # Errors
    /// If the word is unknown; lists the allowed ones.
    pub fn parse(word: &str) -> Result<Self, InvalidField> {
        let unknown = || InvalidField::new("type", format!("must be `http`, `rabbitmq` or `test_receiver`{}", got(word)));
        Self::ALL.into_iter().find(|kind| kind.as_str() == word).ok_or_else(unknown)
    }

    /// Fields of `config` that no response, log or audit entry shows.
    const fn secret_fields(self) -> &'static [&'static str] {
        match self {
            Self::Http | Self::TestReceiver | Self::Email => &[],
            Self::RabbitMq => &["password"],
            // Who knows the URL of such a webhook may write to its channel.
            Self::Slack | Self::Discord | Self::Teams => &["url"],
            Self::PagerDuty => &["routing_key"],
            Self::Telegram => &["bot_token"],
        }
    }
}

/// Settings of a target besides its URL: the `config` of an endpoint. The kind checks them.
#[derive(Clone, PartialEq, Eq)]
pub struct TargetConfig {
    kind: TargetKind,
    values: BTreeMap<String, String>,
}

impl TargetConfig {
    /// Wraps the fields of a kind.
    pub const fn new(kind: TargetKind, values: BTreeMap<String, String>) -> Self {
        Self { kind, values }
    }

    /// Returns the value of a field.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.values.get(field).map(String::as_str)
    }

    /// Names of the fields that are set.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// Returns the configuration with changed fields; `None` removes a field.
    #[must_use]
    pub fn with(&self, changes: &BTreeMap<String, Option<String>>) -> Self {
        let mut values = self.values.clone();
        for (field, value) in changes {
            match value {
                Some(value) => values.insert(field.clone(), value.clone()),
                None => values.remove(field),
            };
        }
        Self { kind: self.kind, values }
    }

    /// Returns the fields as everyone may see them: secrets are replaced by `***`.
    pub fn shown(&self) -> Map<String, Value> {
        let secret = self.kind.secret_fields();
        let shown = |(field, value): (&String, &String)| {
            let value = if secret.contains(&field.as_str()) { HIDDEN } else { value };
            (field.clone(), Value::from(value))
        };
        self.values.iter().map(shown).collect()
    }

    /// Returns the text that the store seals.
    pub fn to_stored(&self) -> Secret {
        Secret::new(serde_json::to_string(&self.values).expect("a map of text is JSON"))
    }

    /// Reads the text of [`Self::to_stored`].
    pub fn from_stored(kind: TargetKind, text: &str) -> Option<Self> {
        Some(Self { kind, values: serde_json::from_str(text).ok()? })
    }
}

impl fmt::Debug for TargetConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TargetConfig").field(&self.shown()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(values: &[(&str, &str)]) -> TargetConfig {
        let values = values.iter().map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect();
        TargetConfig::new(TargetKind::RabbitMq, values)
    }

    #[test]
    fn unknown_kind_is_refused_with_the_allowed_ones() {
        for kind in TargetKind::ALL {
            assert_eq!(TargetKind::parse(kind.as_str()), Ok(kind));
        }
        for kind in TargetKind::ALL.into_iter().chain(TargetKind::SERVICES) {
            assert_eq!(TargetKind::of_stored(kind.as_str()), Some(kind));
        }
        assert!(TargetKind::parse("slack").is_err());
        let error = TargetKind::parse("kafka").expect_err("unknown").to_string();
        assert!(error.starts_with("`type` must be `http`, `rabbitmq` or `test_receiver`") && error.contains("kafka"), "{error}");
    }

    #[test]
    fn password_is_stored_and_never_shown() {
        let config = config(&[("exchange", "events"), ("password", "sesame")]);
        assert_eq!(serde_json::Value::Object(config.shown()), serde_json::json!({ "exchange": "events", "password": "***" }));
        assert!(!format!("{config:?}").contains("sesame"));
        assert_eq!(TargetConfig::from_stored(TargetKind::RabbitMq, config.to_stored().expose()), Some(config));
    }

    #[test]
    fn change_replaces_and_removes_single_fields() {
        let changes = BTreeMap::from([("vhost".to_owned(), None), ("exchange".to_owned(), Some("b".to_owned()))]);
        let changed = config(&[("vhost", "v"), ("exchange", "a"), ("password", "sesame")]).with(&changes);
        assert_eq!(changed, config(&[("exchange", "b"), ("password", "sesame")]));
    }
}
