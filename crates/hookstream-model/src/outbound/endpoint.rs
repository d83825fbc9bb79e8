//! Endpoints: the targets of an application's messages, with their filter and settings.

use std::collections::BTreeMap;

use url::Url;

use crate::{
    InvalidField,
    base::{
        ids::{ApplicationId, EndpointId},
        text::got,
        time::Timestamp,
    },
    delivery::{
        batch::BatchPolicy,
        hold::Hold,
        ordering::{OnFailure, Ordering},
        retry::RetrySchedule,
        state::{DisabledReason, SkipReason},
    },
    identity::tenancy::Tenant,
    outbound::{
        event_type,
        signature::SigningAlgorithm,
        target::{TargetConfig, TargetKind},
    },
};

/// Maximum length of `url`, in characters (CONTRACT: Messages).
pub const URL_MAX: usize = 2048;
/// Maximum number of names in `filter_types`.
pub const FILTER_TYPES_MAX: usize = 1000;
/// Maximum number of `channels` of an endpoint or a message.
pub const CHANNELS_MAX: usize = 20;
/// Maximum length of a channel, in characters.
pub const CHANNEL_MAX: usize = 128;
/// Maximum number of custom `headers` of an endpoint.
pub const HEADERS_MAX: usize = 32;
/// Maximum length of a custom header's value, in bytes.
pub const HEADER_VALUE_MAX: usize = 4096;
/// Allowed range of `timeout_ms`.
pub const TIMEOUT_MS: std::ops::RangeInclusive<u32> = 1_000..=60_000;

/// Target that an application's messages are delivered to.
///
/// The signing keys are not part of it; they are loaded only for signing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Unique id.
    pub id: EndpointId,
    /// Tenant that owns it.
    pub tenant: Tenant,
    /// Application that it belongs to.
    pub application_id: ApplicationId,
    /// Id in the sending product, unique in the application.
    pub uid: Option<String>,
    /// Kind of target.
    pub kind: TargetKind,
    /// URL of the receiver or broker.
    pub url: EndpointUrl,
    /// Settings of the target besides its URL; `None` for kinds that have none.
    pub config: Option<TargetConfig>,
    /// Free text for people.
    pub description: Option<String>,
    /// Signature algorithm of deliveries.
    pub signing_algorithm: SigningAlgorithm,
    /// State set by its owner; see [`Endpoint::skips`] for other reasons not to deliver.
    pub status: EndpointStatus,
    /// Reason why Hookstream disabled it; `None` if a user did.
    pub disabled_reason: Option<DisabledReason>,
    /// Time since which it is disabled; `None` unless it is.
    pub disabled_at: Option<Timestamp>,
    /// JSON text of an object; Hookstream stores it for the product and does not interpret it.
    pub metadata: Option<String>,
    /// Event types that it receives: names, `prefix.*` and `*`; `None` or empty means all.
    pub filter_types: Option<Vec<String>>,
    /// Channels that it listens to; `None` or empty means that a message's channels are ignored.
    pub channels: Option<Vec<String>>,
    /// Limit in deliveries per second; `None` and `0` mean no limit.
    pub rate_limit_per_second: Option<u32>,
    /// Time from which it no longer receives.
    pub expires_at: Option<Timestamp>,
    /// Custom headers, sent with each delivery.
    pub headers: Option<BTreeMap<String, String>>,
    /// Retry schedule that replaces the installation's.
    pub retry_schedule: Option<RetrySchedule>,
    /// Time limit for one attempt, in milliseconds; replaces the installation's.
    pub timeout_ms: Option<u32>,
    /// Order of its messages.
    pub ordering: Ordering,
    /// Effect of a failure on the messages behind it, if an order is kept.
    pub on_failure: OnFailure,
    /// Batching of its messages; `None` sends each message by itself.
    pub batch: Option<BatchPolicy>,
    /// Time of the first failure since the last success; `None` while it is healthy.
    pub failing_since: Option<Timestamp>,
    /// Reason why nothing is sent for now.
    pub hold: Option<Hold>,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Time of the last change.
    pub updated_at: Timestamp,
}

impl Endpoint {
    /// Builds an active endpoint with the default of every setting.
    pub fn new(id: EndpointId, tenant: Tenant, application_id: ApplicationId, kind: TargetKind, url: EndpointUrl, now: Timestamp) -> Self {
        Self {
            id,
            tenant,
            application_id,
            uid: None,
            kind,
            url,
            config: None,
            description: None,
            signing_algorithm: SigningAlgorithm::HmacSha256,
            status: EndpointStatus::Active,
            disabled_reason: None,
            disabled_at: None,
            metadata: None,
            filter_types: None,
            channels: None,
            rate_limit_per_second: None,
            expires_at: None,
            headers: None,
            retry_schedule: None,
            timeout_ms: None,
            ordering: Ordering::None,
            on_failure: OnFailure::default(),
            batch: None,
            failing_since: None,
            hold: None,
            created_at: now,
            updated_at: now,
        }
    }

    /// Returns true if the endpoint receives messages of this type on these channels.
    pub fn wants(&self, event_type: &str, channels: &[String]) -> bool {
        self.wants_type(event_type) && self.listens_to(channels)
    }

    /// Returns true if the filter contains this event type.
    pub fn wants_type(&self, event_type: &str) -> bool {
        match &self.filter_types {
            Some(types) if !types.is_empty() => types.iter().any(|wanted| event_type::matches(wanted, event_type)),
            Some(_) | None => true,
        }
    }

    /// Returns true if the endpoint listens to one of a message's channels. An endpoint without channels listens to
    /// all messages; an endpoint with channels ignores messages that have none.
    pub fn listens_to(&self, channels: &[String]) -> bool {
        match &self.channels {
            Some(own) if !own.is_empty() => own.iter().any(|channel| channels.contains(channel)),
            Some(_) | None => true,
        }
    }

    /// Returns true if deliveries stay pending until the endpoint is active again.
    pub fn is_paused(&self) -> bool {
        self.status == EndpointStatus::Paused
    }

    /// Returns the reason to skip a delivery that is due now, or `None` if it is to be sent.
    pub fn skips(&self, now: Timestamp) -> Option<SkipReason> {
        if self.status == EndpointStatus::Disabled {
            return Some(SkipReason::EndpointDisabled);
        }
        if self.is_expired(now) {
            return Some(SkipReason::EndpointExpired);
        }
        None
    }

    /// Returns true if `expires_at` has passed.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Word of the API's `status`: the status that the owner set, or `expired`.
    pub fn shown_status(&self, now: Timestamp) -> &'static str {
        if self.is_expired(now) { "expired" } else { self.status.as_str() }
    }
}

/// State of an endpoint, set by its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointStatus {
    /// The endpoint receives.
    Active,
    /// Deliveries stay pending, and are sent once the endpoint is active again.
    Paused,
    /// The endpoint does not receive; its deliveries are recorded as skipped.
    Disabled,
}

impl EndpointStatus {
    /// Word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        }
    }

    /// Parses the word.
    ///
    /// # Errors
    /// If the word is unknown.
    pub fn parse(word: &str) -> Result<Self, InvalidField> {
        match word {
            "active" => Ok(Self::Active),
            "paused" => Ok(Self::Paused),
            "disabled" => Ok(Self::Disabled),
            _ => Err(InvalidField::new("status", format!("must be `active`, `paused` or `disabled`{}", got(word)))),
        }
    }
}

/// URL of an endpoint: of a receiver (`https`, `http`) or of a broker (also `amqps`, `amqp`), with a host, without
/// credentials or fragment.
///
/// The text stays as its owner wrote it. The destinations crate decides whether its address may be reached, on save
/// and on every connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointUrl(String);

impl EndpointUrl {
    /// Checks the syntax of a receiver's URL and keeps its text.
    ///
    /// # Errors
    /// Names the rule that is broken.
    pub fn parse(text: &str) -> Result<Self, InvalidField> {
        Self::check(text, &RECEIVER)
    }

    /// Checks the syntax of a RabbitMQ broker's URL and keeps its text.
    ///
    /// # Errors
    /// Names the rule that is broken.
    pub fn parse_broker(text: &str) -> Result<Self, InvalidField> {
        let broker = Self::check(text, &BROKER)?;
        let url = broker.to_url();
        let refuse = |problem: &str| Err(InvalidField::new(BROKER.field, problem));
        if url.query().is_some() {
            return refuse("must not contain a query (?…). Remove it");
        }
        if url.scheme().starts_with("amqp") && !matches!(url.path(), "" | "/") {
            return refuse("must not contain a path. Send the virtual host as `config.vhost`");
        }
        Ok(broker)
    }

    /// Parses a stored URL.
    ///
    /// # Errors
    /// Names the rule that is broken.
    pub fn parse_as(kind: TargetKind, text: &str) -> Result<Self, InvalidField> {
        match kind {
            TargetKind::Http
            | TargetKind::TestReceiver
            | TargetKind::Slack
            | TargetKind::Discord
            | TargetKind::Teams
            | TargetKind::PagerDuty
            | TargetKind::Telegram
            | TargetKind::Email => Self::parse(text),
            TargetKind::RabbitMq => Self::parse_broker(text),
        }
    }

    fn check(text: &str, form: &UrlForm) -> Result<Self, InvalidField> {
        let refuse = |problem: &str| Err(InvalidField::new(form.field, problem));
        if text.chars().count() > URL_MAX {
            return refuse("must have at most 2,048 characters");
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
            return refuse("must not contain white space, control characters or backslashes");
        }
        let Ok(url) = Url::parse(text) else {
            return refuse(form.example);
        };
        if !form.schemes.contains(&url.scheme()) {
            return refuse(form.scheme_rule);
        }
        if !url.username().is_empty() || url.password().is_some() || authority(text).contains('@') {
            return refuse(form.credentials_rule);
        }
        if url.fragment().is_some() {
            return refuse("must not contain a fragment (#…). Remove it");
        }
        if url.host_str().is_none_or(|host| host.is_empty() || host == ".") {
            return refuse("must contain a host name or address");
        }
        if url.port() == Some(0) {
            return refuse("must not use port 0. Use a port from 1 to 65535");
        }
        Ok(Self(text.to_owned()))
    }

    /// The URL as its owner wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parsed URL.
    pub fn to_url(&self) -> Url {
        Url::parse(&self.0).expect("the constructor parsed it")
    }
}

/// Form of the URLs of a kind of target, with the texts that state its rules.
struct UrlForm {
    field: &'static str,
    schemes: &'static [&'static str],
    example: &'static str,
    scheme_rule: &'static str,
    credentials_rule: &'static str,
}

const RECEIVER: UrlForm = UrlForm {
    field: "url",
    schemes: &["https", "http"],
    example: "must be an absolute URL such as https://example.com/webhooks",
    scheme_rule: "must start with https:// or http://",
    credentials_rule: "must not contain credentials. Send them as an Authorization header in `headers`",
};

const BROKER: UrlForm = UrlForm {
    field: "config.url",
    schemes: &["amqps", "amqp", "https", "http"],
    example: "must be an absolute URL such as amqps://broker.example.com:5671",
    scheme_rule: "must start with amqps:// or amqp:// (AMQP), or with https:// or http:// (management API)",
    credentials_rule: "must not contain credentials. Send them as `config.username` and `config.password`",
};

/// Returns the part between `//` and the path, the query or the end.
fn authority(text: &str) -> &str {
    let rest = text.split_once("//").map_or(text, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

/// Checks `filter_types`: event type names, `prefix.*` and `*`, at most 1,000.
///
/// # Errors
/// Names the first invalid entry.
pub fn check_filter_types(types: &[String]) -> Result<(), InvalidField> {
    if types.len() > FILTER_TYPES_MAX {
        return Err(InvalidField::new("filter_types", format!("has {} entries; at most {FILTER_TYPES_MAX} are allowed", types.len())));
    }
    for pattern in types {
        event_type::check_pattern(pattern)
            .map_err(|problem| InvalidField::new("filter_types", format!("contains {pattern:?}, which {problem}")))?;
    }
    Ok(())
}

/// Checks `channels` of an endpoint or a message: at most 20, each of 1 to 128 ASCII letters, digits and `. _ - : / @ +`,
/// none twice.
///
/// # Errors
/// Names the first entry that breaks a rule.
pub fn check_channels(channels: &[String]) -> Result<(), InvalidField> {
    let refuse = |problem: String| Err(InvalidField::new("channels", problem));
    if channels.len() > CHANNELS_MAX {
        return refuse(format!("has {} entries; at most {CHANNELS_MAX} are allowed", channels.len()));
    }
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-:/@+".contains(&b);
    for (index, channel) in channels.iter().enumerate() {
        if channel.is_empty() || channel.len() > CHANNEL_MAX || !channel.bytes().all(is_allowed) {
            let shown: String = channel.chars().take(40).collect();
            return refuse(format!("contains {shown:?}; a channel has 1 to {CHANNEL_MAX} letters, digits and . _ - : / @ +"));
        }
        if channels[..index].contains(channel) {
            return refuse(format!("contains {channel:?} twice. Send it once"));
        }
    }
    Ok(())
}

/// Headers that Hookstream or HTTP itself sets (RFC 9110 section 7.6.1, RFC 9112).
const RESERVED_HEADERS: [&str; 12] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Checks an endpoint's custom headers. At most 32; names must be tokens (RFC 9110 section 5.6.2) that neither
/// Hookstream nor HTTP sets; values must be visible ASCII, spaces and tabs.
///
/// # Errors
/// Names the first header that breaks a rule, never its value.
pub fn check_headers(headers: &BTreeMap<String, String>) -> Result<(), InvalidField> {
    let refuse = |problem: String| Err(InvalidField::new("headers", problem));
    if headers.len() > HEADERS_MAX {
        return refuse(format!("has {} entries; at most {HEADERS_MAX} are allowed", headers.len()));
    }
    for (name, value) in headers {
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || name.len() > 256 || !name.bytes().all(is_token) {
            return refuse(format!("contains {name:?}, which is not a valid header name"));
        }
        // Servers that pass headers on as variables treat `_` like `-` (RFC 3875 section 4.1.18).
        let lower = name.to_ascii_lowercase().replace('_', "-");
        if RESERVED_HEADERS.contains(&lower.as_str()) || lower.starts_with("webhook-") || lower.starts_with("x-hookstream-") {
            return refuse(format!("contains {name:?}, which Hookstream sets. Remove it"));
        }
        let is_visible = |b: u8| matches!(b, b'\t' | b' '..=b'~');
        if value.len() > HEADER_VALUE_MAX || !value.bytes().all(is_visible) {
            return refuse(format!(
                "has an invalid value for {name:?}: at most {HEADER_VALUE_MAX} bytes of visible ASCII, spaces and tabs are allowed"
            ));
        }
    }
    let mut names: Vec<_> = headers.keys().map(|name| name.to_ascii_lowercase()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => refuse(format!("contains {:?} twice. Send it once", pair[0])),
        None => Ok(()),
    }
}

/// Checks `timeout_ms`: 1,000 to 60,000.
///
/// # Errors
/// If the value is out of range.
pub fn check_timeout_ms(timeout_ms: u32) -> Result<(), InvalidField> {
    if TIMEOUT_MS.contains(&timeout_ms) {
        Ok(())
    } else {
        Err(InvalidField::new("timeout_ms", format!("must be from 1000 to 60000 milliseconds; got {timeout_ms}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_text_is_preserved() {
        for text in [
            "https://example.com",
            "http://example.com:8080/a?b=c",
            "https://EXAMPLE.com/ä",
            "https://[::1]/",
            "http://0x7f.1/",
            "https://example.com./x",
            "https://bücher.example/",
            "https://example.com/a@b",
        ] {
            assert_eq!(EndpointUrl::parse(text).map(|url| url.as_str().to_owned()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn invalid_endpoint_url_is_rejected() {
        let long = format!("https://example.com/{}", "x".repeat(URL_MAX));
        for text in [
            "",
            "string",
            "example.com/x",
            "/x",
            "ftp://example.com",
            "file:///etc/passwd",
            "https://",
            "https://user@example.com/",
            "https://user:pw@example.com/",
            "https://@example.com/",
            "https://example.com/#x",
            "https://example.com:0/",
            "https://example.com:99999/",
            "https://exa mple.com/",
            "https://example.com\\@evil.example/",
            "https://example.com/\n",
            &long,
            "javascript:alert(1)",
            "https://999.1.1.1/",
        ] {
            assert!(EndpointUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn broker_url_has_neither_credentials_nor_virtual_host() {
        for text in ["amqp://broker.example", "amqps://broker.example:5671/", "https://broker.example/rabbit", "http://[::1]:15672"] {
            assert_eq!(EndpointUrl::parse_broker(text).map(|url| url.as_str().to_owned()), Ok(text.to_owned()));
        }
        let check = |text: &str, expected: &str| {
            let error = EndpointUrl::parse_broker(text).expect_err(text).to_string();
            assert!(error.starts_with("`config.url` ") && error.contains(expected), "{text}: {error}");
        };
        check("broker.example", "absolute URL");
        check("mqtt://broker.example", "amqps://");
        check("amqp://guest:guest@broker.example", "`config.username` and `config.password`");
        check("https://guest@broker.example", "`config.username` and `config.password`");
        check("amqp://broker.example/vhost", "`config.vhost`");
        check("amqp://broker.example?heartbeat=1", "query");
        check("amqp:///", "host");
        assert!(EndpointUrl::parse("amqp://broker.example").is_err());
    }

    #[test]
    fn filter_accepts_names_prefixes_and_star() {
        let check = |filter: &[&str], event_type: &str, expected: bool| {
            let types: Vec<String> = filter.iter().map(ToString::to_string).collect();
            assert_eq!(check_filter_types(&types), Ok(()), "{filter:?}");
            let is_wanted = types.is_empty() || types.iter().any(|wanted| event_type::matches(wanted, event_type));
            assert_eq!(is_wanted, expected, "{filter:?} {event_type}");
        };
        check(&[], "invoice.paid", true);
        check(&["*"], "invoice.paid", true);
        check(&["invoice.paid"], "invoice.paid", true);
        check(&["invoice.paid"], "invoice.paid.late", false);
        check(&["invoice.*"], "invoice.paid", true);
        check(&["invoice.*"], "invoice.paid.late", true);
        check(&["invoice.*"], "invoice", false);
        check(&["invoice.*"], "invoices.paid", false);
        check(&["invoice.paid.*", "user.created"], "user.created", true);
        check(&["invoice.paid.*", "user.created"], "invoice.paid", false);
        for pattern in ["", ".*", "**", "*.paid", "invoice*", "invoice.*.paid", "in*oice.paid", "invoice..*", "a b"] {
            assert!(check_filter_types(&[pattern.to_owned()]).is_err(), "{pattern}");
        }
        assert!(check_filter_types(&vec!["a".to_owned(); FILTER_TYPES_MAX + 1]).is_err());
    }

    #[test]
    fn channels_are_limited_in_count_length_and_characters() {
        let check = |channels: &[&str], ok: bool| {
            let channels: Vec<String> = channels.iter().map(ToString::to_string).collect();
            assert_eq!(check_channels(&channels).is_ok(), ok, "{channels:?}");
        };
        check(&[], true);
        check(&["project_42", "org:1/team-2", "a@b.example"], true);
        check(&["a", "a"], false);
        check(&[""], false);
        check(&["a b"], false);
        check(&["\u{e4}"], false);
        check(&[&"x".repeat(CHANNEL_MAX)], true);
        check(&[&"x".repeat(CHANNEL_MAX + 1)], false);
        let many: Vec<String> = (0..=CHANNELS_MAX).map(|number| number.to_string()).collect();
        assert_eq!((check_channels(&many[1..]).is_ok(), check_channels(&many).is_ok()), (true, false));
    }

    #[test]
    fn reserved_headers_are_rejected() {
        let check = |name: &str, value: &str, ok: bool| {
            let headers = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            assert_eq!(check_headers(&headers).is_ok(), ok, "{name}");
        };
        check("Authorization", "Bearer x", true);
        check("X-Env", "", true);
        check("Host", "x", false);
        check("Webhook-Id", "x", false);
        check("webhook_id", "x", false);
        check("Webhook_Signature", "x", false);
        check("content_length", "x", false);
        check("x_hookstream_event_type", "x", false);
        check("x-hookstream-event-type", "x", false);
        check("a b", "x", false);
        check("", "x", false);
        check("x-a", "a\r\nb: c", false);
        check("x-a", "ä", false);
        let twice = BTreeMap::from([("X-A".to_owned(), String::new()), ("x-a".to_owned(), String::new())]);
        assert!(check_headers(&twice).is_err());
    }
}
