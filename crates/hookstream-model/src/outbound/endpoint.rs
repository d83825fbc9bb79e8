//! Endpoints: where an application's messages go, and what an endpoint wants.

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
    outbound::{event_type, signature::SigningAlgorithm},
};

/// The longest `url`, in characters (CONTRACT: Messages).
pub const URL_MAX: usize = 2048;
/// The most names in `filter_types`.
pub const FILTER_TYPES_MAX: usize = 1000;
/// The most `channels` of an endpoint or a message.
pub const CHANNELS_MAX: usize = 20;
/// The longest channel, in characters.
pub const CHANNEL_MAX: usize = 128;
/// The most `headers` of an endpoint's own.
pub const HEADERS_MAX: usize = 32;
/// The longest value of one of them, in bytes.
pub const HEADER_VALUE_MAX: usize = 4096;
/// The shortest and the longest `timeout_ms`.
pub const TIMEOUT_MS: std::ops::RangeInclusive<u32> = 1_000..=60_000;

/// A URL that messages of an application are delivered to.
///
/// Its signing keys are not part of it; they are read only to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub id: EndpointId,
    /// Whose it is.
    pub tenant: Tenant,
    /// The application it belongs to.
    pub application_id: ApplicationId,
    /// The product's own id of it, unique in the application.
    pub uid: Option<String>,
    /// Where deliveries go.
    pub url: EndpointUrl,
    /// A note for people.
    pub description: Option<String>,
    /// How deliveries are signed.
    pub signing_algorithm: SigningAlgorithm,
    /// Whether it is on; see [`Endpoint::skips`] for what else keeps deliveries away.
    pub status: EndpointStatus,
    /// Why it was disabled, where it was not by hand.
    pub disabled_reason: Option<DisabledReason>,
    /// JSON text of an object, kept for the product and not read here.
    pub metadata: Option<String>,
    /// The event types it wants: names, `prefix.*` and `*`; `None` or empty means all.
    pub filter_types: Option<Vec<String>>,
    /// The channels it listens to; `None` or empty means that messages' channels do not matter.
    pub channels: Option<Vec<String>>,
    /// Deliveries per second; `None` and `0` mean no limit.
    pub rate_limit_per_second: Option<u32>,
    /// When it stops to receive.
    pub expires_at: Option<Timestamp>,
    /// Headers of its own, sent with each delivery.
    pub headers: Option<BTreeMap<String, String>>,
    /// Its own schedule in place of the installation's.
    pub retry_schedule: Option<RetrySchedule>,
    /// Its own limit for one try, in milliseconds.
    pub timeout_ms: Option<u32>,
    /// In which order it receives.
    pub ordering: Ordering,
    /// What a failure does to those behind it, where an order is kept.
    pub on_failure: OnFailure,
    /// How its messages gather into one request; `None` sends each by itself.
    pub batch: Option<BatchPolicy>,
    /// The first failure since the last success; `None` while it is well.
    pub failing_since: Option<Timestamp>,
    /// Why nothing is sent for now.
    pub hold: Option<Hold>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Endpoint {
    /// Whether it wants messages of this type on these channels.
    pub fn wants(&self, event_type: &str, channels: &[String]) -> bool {
        self.wants_type(event_type) && self.listens_to(channels)
    }

    /// Whether its filter has this event type.
    pub fn wants_type(&self, event_type: &str) -> bool {
        match &self.filter_types {
            Some(types) if !types.is_empty() => types.iter().any(|wanted| event_type::matches(wanted, event_type)),
            Some(_) | None => true,
        }
    }

    /// Whether it listens to one of a message's channels. An endpoint without channels listens to all messages; one
    /// with channels to none that has no channel.
    pub fn listens_to(&self, channels: &[String]) -> bool {
        match &self.channels {
            Some(own) if !own.is_empty() => own.iter().any(|channel| channels.contains(channel)),
            Some(_) | None => true,
        }
    }

    /// Whether deliveries to it are kept until it is active again.
    pub fn is_paused(&self) -> bool {
        self.status == EndpointStatus::Paused
    }

    /// Why a delivery that is due now is not to be sent, where it is not.
    pub fn skips(&self, now: Timestamp) -> Option<SkipReason> {
        if self.status == EndpointStatus::Disabled {
            return Some(SkipReason::EndpointDisabled);
        }
        if self.is_expired(now) {
            return Some(SkipReason::EndpointExpired);
        }
        None
    }

    /// Whether `expires_at` has come.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// The word of the API's `status`: what its owner set, or `expired`.
    pub fn shown_status(&self, now: Timestamp) -> &'static str {
        if self.is_expired(now) { "expired" } else { self.status.as_str() }
    }
}

/// Whether an endpoint is switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndpointStatus {
    /// It receives.
    Active,
    /// Its deliveries stay pending, and go once it is active again.
    Paused,
    /// It does not receive; what it would have received is kept as skipped.
    Disabled,
}

impl EndpointStatus {
    /// Its word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        }
    }

    /// Reads the word.
    ///
    /// # Errors
    /// For any other word.
    pub fn parse(word: &str) -> Result<Self, InvalidField> {
        match word {
            "active" => Ok(Self::Active),
            "paused" => Ok(Self::Paused),
            "disabled" => Ok(Self::Disabled),
            _ => Err(InvalidField::new("status", format!("must be `active`, `paused` or `disabled`{}", got(word)))),
        }
    }
}

/// Where deliveries go: `https` or `http`, with a host, without credentials or fragment.
///
/// Kept as its owner wrote it. Whether its address may be reached is decided by the destinations,
/// on save and on every connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointUrl(String);

impl EndpointUrl {
    /// Checks a URL's form.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, InvalidField> {
        let refuse = |problem: &str| Err(InvalidField::new("url", problem));
        if text.chars().count() > URL_MAX {
            return refuse("must have at most 2,048 characters");
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control() || c == '\\') {
            return refuse("must not contain white space, control characters or backslashes");
        }
        let Ok(url) = Url::parse(text) else {
            return refuse("must be an absolute URL such as https://example.com/webhooks");
        };
        if !matches!(url.scheme(), "https" | "http") {
            return refuse("must start with https:// or http://");
        }
        if !url.username().is_empty() || url.password().is_some() || authority(text).contains('@') {
            return refuse("must not contain credentials. Send them as an Authorization header in `headers`");
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

    /// The URL taken apart.
    pub fn to_url(&self) -> Url {
        Url::parse(&self.0).expect("the constructor parsed it")
    }
}

/// What stands between `//` and the path, the query or the end.
fn authority(text: &str) -> &str {
    let rest = text.split_once("//").map_or(text, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or(rest)
}

/// Checks `filter_types`: event type names, `prefix.*` and `*`, at most 1,000.
///
/// # Errors
/// Names the first that is none of these.
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
/// Names the first that breaks a rule.
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

/// Checks an endpoint's own headers: at most 32, with names that are tokens (RFC 9110 section 5.6.2)
/// and not set by Hookstream or HTTP, and values of visible ASCII, spaces and tabs.
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
        // Servers that hand headers on as variables take `_` for `-` (RFC 3875 section 4.1.18).
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
/// Where it is outside.
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
    fn a_url_is_kept_as_it_was_written() {
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
    fn what_is_no_endpoint_url_is_refused() {
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
    fn a_filter_has_names_prefixes_and_everything() {
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
    fn channels_are_bounded_words() {
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
    fn headers_that_hookstream_sets_are_refused() {
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
