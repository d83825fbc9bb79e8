//! Settings of notification channels: the `config` of each kind, checked once.

use hookstream_model::{
    InvalidField,
    base::{
        secret::{HIDDEN, Secret},
        text::got,
    },
    identity::user::Email,
    outbound::{
        endpoint::EndpointUrl,
        target::{TargetConfig, TargetKind},
    },
};
use http::Uri;

/// Events API of PagerDuty; `url` replaces it, for example by that of the EU.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";
/// Bot API of Telegram; `url` replaces it by an own server of that API.
const TELEGRAM: &str = "https://api.telegram.org";
/// URL that is shown for e-mail, which has none (RFC 6761 section 6.4).
const EMAIL: &str = "https://email.invalid/";
/// Maximum number of addresses of a channel.
const RECIPIENTS_MAX: usize = 20;

/// Channel of a service, checked.
pub(super) enum Service {
    Slack { uri: Uri },
    Discord { uri: Uri },
    Teams { uri: Uri },
    PagerDuty { uri: Uri, routing_key: Secret },
    Telegram { uri: Uri, base: String, chat_id: String },
}

impl Service {
    /// Reads the settings of a kind.
    ///
    /// # Errors
    /// Names the field of `config` and the rule that it breaks.
    pub(super) fn read(kind: TargetKind, config: Option<&TargetConfig>) -> Result<Self, InvalidField> {
        let config = known(kind, config)?;
        match kind {
            TargetKind::PagerDuty => {
                let key = required(config, "routing_key", "config.routing_key")?;
                if key.len() > 100 || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                    return Err(InvalidField::new(
                        "config.routing_key",
                        "must be the integration key of a PagerDuty service: letters and digits",
                    ));
                }
                Ok(Self::PagerDuty { uri: uri(config.get("url").unwrap_or(PAGERDUTY))?, routing_key: Secret::new(key) })
            }
            TargetKind::Telegram => {
                let token = required(config, "bot_token", "config.bot_token")?;
                if token.len() > 200 || !token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b":_-".contains(&byte)) {
                    return Err(InvalidField::new("config.bot_token", "must be the token of a Telegram bot, such as 123456:ABC-DEF"));
                }
                let chat_id = required(config, "chat_id", "config.chat_id")?.to_owned();
                if chat_id.len() > 100 || chat_id.chars().any(char::is_whitespace) {
                    return Err(InvalidField::new("config.chat_id", "must be the id of a chat, or @ and the name of a channel"));
                }
                let base = config.get("url").unwrap_or(TELEGRAM).trim_end_matches('/').to_owned();
                Ok(Self::Telegram { uri: uri(&format!("{base}/bot{token}/sendMessage"))?, base, chat_id })
            }
            TargetKind::Discord => Ok(Self::Discord { uri: webhook(config)? }),
            TargetKind::Teams => Ok(Self::Teams { uri: webhook(config)? }),
            _ => Ok(Self::Slack { uri: webhook(config)? }),
        }
    }

    /// URI of the request. It may be a secret.
    pub(super) const fn uri(&self) -> &Uri {
        match self {
            Self::Slack { uri }
            | Self::Discord { uri }
            | Self::Teams { uri }
            | Self::PagerDuty { uri, .. }
            | Self::Telegram { uri, .. } => uri,
        }
    }

    /// URL of the request for people.
    pub(super) fn shown_url(&self) -> String {
        match self {
            Self::PagerDuty { uri, .. } => uri.to_string(),
            Self::Telegram { base, .. } => format!("{base}/bot{HIDDEN}/sendMessage"),
            Self::Slack { uri } | Self::Discord { uri } | Self::Teams { uri } => {
                let part = |text: Option<&str>| text.unwrap_or_default().to_owned();
                let authority = part(uri.authority().map(http::uri::Authority::as_str));
                format!("{}://{authority}/{HIDDEN}", part(uri.scheme_str()))
            }
        }
    }
}

/// Public address of a channel, for lists and errors.
pub struct Address(pub EndpointUrl);

/// Returns the public address of a channel: its origin, because the rest may be a secret.
///
/// # Errors
/// Names the field of `config` and the rule that it breaks.
pub fn address(kind: TargetKind, config: &TargetConfig) -> Result<Address, InvalidField> {
    let url = match kind {
        TargetKind::Email => EMAIL,
        TargetKind::PagerDuty => config.get("url").unwrap_or(PAGERDUTY),
        TargetKind::Telegram => config.get("url").unwrap_or(TELEGRAM),
        _ => required(config, "url", "config.url")?,
    };
    let of_config = |error: InvalidField| InvalidField::new("config.url", error.problem);
    let mut url = EndpointUrl::parse(url).map_err(of_config)?.to_url();
    url.set_path("/");
    url.set_query(None);
    EndpointUrl::parse(url.as_str()).map(Address).map_err(of_config)
}

/// Reads the addresses of an e-mail channel: `to`, separated by commas.
///
/// # Errors
/// Names the field of `config` and the rule that it breaks.
pub(super) fn recipients(config: Option<&TargetConfig>) -> Result<Vec<Email>, InvalidField> {
    const PATH: &str = "config.to";
    let config = known(TargetKind::Email, config)?;
    let to = required(config, "to", PATH)?;
    let parse = |address: &str| {
        Email::parse(address).map_err(|_| InvalidField::new(PATH, "must be e-mail addresses such as ada@example.com, separated by commas"))
    };
    let to = to.split(',').map(parse).collect::<Result<Vec<_>, _>>()?;
    if to.len() > RECIPIENTS_MAX {
        return Err(InvalidField::new(PATH, format!("must have at most {RECIPIENTS_MAX} addresses; got {}", to.len())));
    }
    Ok(to)
}

/// Returns `config`, if its fields are those of the kind.
fn known(kind: TargetKind, config: Option<&TargetConfig>) -> Result<&TargetConfig, InvalidField> {
    let fields: &[&str] = match kind {
        TargetKind::PagerDuty => &["routing_key", "url"],
        TargetKind::Telegram => &["bot_token", "chat_id", "url"],
        TargetKind::Email => &["to"],
        _ => &["url"],
    };
    let (kind, list) = (kind.as_str(), fields.join(", "));
    let Some(config) = config else { return Err(InvalidField::new("config", format!("is required. The fields of `{kind}` are {list}"))) };
    match config.fields().find(|field| !fields.contains(field)) {
        Some(unknown) => {
            Err(InvalidField::new("config", format!("contains an unknown field{}; the fields of `{kind}` are {list}", got(unknown))))
        }
        None => Ok(config),
    }
}

fn required<'a>(config: &'a TargetConfig, field: &str, path: &'static str) -> Result<&'a str, InvalidField> {
    match config.get(field) {
        None | Some("") => Err(InvalidField::new(path, "is required")),
        Some(HIDDEN) => Err(InvalidField::new(
            path,
            format!("is `{HIDDEN}`, which stands for the hidden value. Send the value, or leave the field out"),
        )),
        Some(value) => Ok(value),
    }
}

/// Returns the URI of a service's webhook.
fn webhook(config: &TargetConfig) -> Result<Uri, InvalidField> {
    uri(required(config, "url", "config.url")?)
}

fn uri(text: &str) -> Result<Uri, InvalidField> {
    let url = EndpointUrl::parse(text).map_err(|error| InvalidField::new("config.url", error.problem))?;
    crate::http::settings::uri(&url).ok_or_else(|| InvalidField::new("config.url", "must be a URL to which HTTP can send"))
}
