//! The forms that settings have on the command line and in the environment, and in the file.

use std::{fmt, str::FromStr};

use hookstream_engine::Role;
use hookstream_model::{retry::RetrySchedule, secret::Secret, tenancy::ApiKeyText};
use ipnet::IpNet;
use serde::{Deserialize, Deserializer, de::Error};

/// Networks: comma-separated, or a list in the file. A single address is a network of one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Networks(pub(crate) Vec<IpNet>);

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(network).collect::<Result<_, _>>().map(Self)
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let parsed = text.parse::<IpNet>().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from));
    parsed.ok_or_else(|| format!("{text:?} is not a network such as 10.0.0.0/8, fd00::/8 or 192.168.1.7"))
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join(","))
    }
}

/// Waits between tries in seconds: comma-separated, or a list in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schedule(pub(crate) RetrySchedule);

impl FromStr for Schedule {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let seconds = parts.map(|part| part.parse::<u32>().map_err(|_| format!("{part:?} is not a whole number of seconds")));
        RetrySchedule::from_seconds(seconds.collect::<Result<_, _>>()?).map(Self).map_err(|error| error.problem)
    }
}

/// What a node does, by its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RoleName(pub(crate) Role);

impl FromStr for RoleName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let role = [Role::All, Role::Api, Role::Worker].into_iter().find(|role| role.as_str() == text);
        role.map(Self).ok_or_else(|| format!("{text:?} is not a role; there are all, api and worker"))
    }
}

/// An API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyText(pub(crate) ApiKeyText);

impl FromStr for KeyText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        ApiKeyText::parse(text).map(Self).map_err(|error| error.to_string())
    }
}

/// Encryption keys as they were given. They are read once all settings are there, so that no error shows their text.
#[derive(Debug, Clone)]
pub(crate) struct KeysText(pub(crate) Secret);

/// A text that no log and no error may show.
#[derive(Debug, Clone)]
pub(crate) struct SecretText(pub(crate) Secret);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Secret::new(String::deserialize(deserializer)?)))
    }
}

/// In the file: the same text, or a list of texts or numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum TextOrList {
    Text(String),
    Texts(Vec<String>),
    Numbers(Vec<u32>),
}

fn from_text_or_list<'de, T: FromStr<Err = String>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    let text = match TextOrList::deserialize(deserializer)? {
        TextOrList::Text(text) => text,
        TextOrList::Texts(texts) => texts.join(","),
        TextOrList::Numbers(numbers) => numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
    };
    text.parse().map_err(D::Error::custom)
}

impl<'de> Deserialize<'de> for Networks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text_or_list(deserializer)
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text_or_list(deserializer)
    }
}

impl<'de> Deserialize<'de> for RoleName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for KeyText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for KeysText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match TextOrList::deserialize(deserializer)? {
            TextOrList::Text(text) => text,
            TextOrList::Texts(texts) => texts.join(","),
            TextOrList::Numbers(_) => return Err(D::Error::custom("a key is a text")),
        };
        Ok(Self(Secret::new(text)))
    }
}
