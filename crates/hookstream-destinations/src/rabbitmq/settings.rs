//! Settings of a RabbitMQ target: what a user enters as `config`, checked once.

use std::collections::BTreeMap;

use hookstream_model::{
    InvalidField,
    base::{secret::Secret, text::got},
    outbound::{endpoint::EndpointUrl, target::TargetConfig},
};
use url::Url;

use crate::Settings;

/// Maximum length of names in AMQP, which are short strings, in bytes.
const NAME_MAX: usize = 255;
/// Maximum length of a password, in bytes.
const PASSWORD_MAX: usize = 1024;
/// Maximum size of all custom headers, in bytes: AMQP sends the headers of a message in one frame.
const HEADERS_MAX: usize = 24 * 1024;
/// Virtual host that every broker has.
const VHOST_DEFAULT: &str = "/";
const FIELDS: [&str; 6] = ["url", "vhost", "exchange", "routing_key", "username", "password"];

/// Way to the broker, by the scheme of its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Protocol {
    /// AMQP 0-9-1, with or without TLS.
    Amqp {
        /// True for `amqps`.
        with_tls: bool,
    },
    /// Management API.
    Management {
        /// URL of the API, with the path of a proxy if it has one.
        base: Url,
    },
}

/// Checked settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RabbitMqSettings {
    pub(super) protocol: Protocol,
    /// Host as written in a URL: a name, or an address literal.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) vhost: String,
    pub(super) exchange: String,
    pub(super) routing_key: String,
    pub(super) username: String,
    pub(super) password: Secret,
    /// Custom headers of the endpoint.
    pub(super) headers: Box<[(String, String)]>,
}

impl RabbitMqSettings {
    /// Checks the settings.
    ///
    /// # Errors
    /// Names the field of `config` and the rule that it breaks.
    pub(super) fn read(settings: &Settings<'_>) -> Result<Self, InvalidField> {
        let Some(config) = settings.config else {
            return Err(InvalidField::new(
                "config",
                "is required for type `rabbitmq`. Send url, exchange, routing_key, username and password",
            ));
        };
        if let Some(unknown) = config.fields().find(|field| !FIELDS.contains(field)) {
            let problem = format!("contains an unknown field{}; the fields of type `rabbitmq` are {}", got(unknown), FIELDS.join(", "));
            return Err(InvalidField::new("config", problem));
        }
        let (protocol, host, port) = address(settings)?;
        let is_management = matches!(protocol, Protocol::Management { .. });
        Ok(Self {
            protocol,
            host,
            port,
            vhost: name(config, "vhost", "config.vhost", Some(VHOST_DEFAULT))?,
            exchange: exchange(config, is_management)?,
            routing_key: routing_key(config)?,
            username: name(config, "username", "config.username", None)?,
            password: password(config)?,
            headers: own_headers(settings.headers)?,
        })
    }
}

/// Returns protocol, host and port of the URL.
fn address(settings: &Settings<'_>) -> Result<(Protocol, String, u16), InvalidField> {
    let url = settings.url.to_url();
    let (protocol, default_port) = match url.scheme() {
        "amqp" => (Protocol::Amqp { with_tls: false }, 5672),
        "amqps" => (Protocol::Amqp { with_tls: true }, 5671),
        "https" => (Protocol::Management { base: url.clone() }, 443),
        _ => (Protocol::Management { base: url.clone() }, 80),
    };
    let host = host(settings.url).ok_or_else(|| InvalidField::new("config.url", "must contain a host name or address"))?;
    Ok((protocol, host, url.port().unwrap_or(default_port)))
}

/// Returns the host of a broker's URL. Only for the schemes of the Web does the URL standard define host names and every
/// notation of an address.
pub(crate) fn host(url: &EndpointUrl) -> Option<String> {
    let (_, rest) = url.as_str().split_once(':')?;
    Url::parse(&format!("http:{rest}")).ok()?.host_str().map(str::to_owned)
}

/// Reads a name: 1 to 255 bytes without control characters.
fn name(config: &TargetConfig, field: &str, path: &'static str, default: Option<&str>) -> Result<String, InvalidField> {
    let Some(value) = config.get(field).or(default) else { return Err(InvalidField::new(path, "is required")) };
    if value.is_empty() || value.len() > NAME_MAX || value.chars().any(char::is_control) {
        return Err(InvalidField::new(path, format!("must have 1 to {NAME_MAX} bytes, without control characters")));
    }
    Ok(value.to_owned())
}

/// Reads the exchange. AMQP knows the default exchange by an empty name, the management API by `amq.default`.
fn exchange(config: &TargetConfig, is_management: bool) -> Result<String, InvalidField> {
    const PATH: &str = "config.exchange";
    match config.get("exchange") {
        Some("") => Err(InvalidField::new(PATH, "must not be empty. The default exchange is `amq.default`")),
        Some("amq.default") if !is_management => Ok(String::new()),
        Some(_) | None => name(config, "exchange", PATH, None),
    }
}

/// Reads the routing key. A fanout exchange ignores it, so it may be empty.
fn routing_key(config: &TargetConfig) -> Result<String, InvalidField> {
    const PATH: &str = "config.routing_key";
    let Some(value) = config.get("routing_key") else {
        return Err(InvalidField::new(PATH, "is required. Send an empty text for an exchange that ignores it"));
    };
    if value.len() > NAME_MAX || value.chars().any(char::is_control) {
        return Err(InvalidField::new(PATH, format!("must have at most {NAME_MAX} bytes, without control characters")));
    }
    Ok(value.to_owned())
}

fn password(config: &TargetConfig) -> Result<Secret, InvalidField> {
    const PATH: &str = "config.password";
    let Some(value) = config.get("password") else { return Err(InvalidField::new(PATH, "is required")) };
    if value.is_empty() || value.len() > PASSWORD_MAX || value.contains('\0') {
        return Err(InvalidField::new(PATH, format!("must have 1 to {PASSWORD_MAX} bytes")));
    }
    if value == "***" {
        return Err(InvalidField::new(PATH, "is `***`, which stands for the hidden password. Send the password, or leave the field out"));
    }
    Ok(Secret::new(value))
}

fn own_headers(headers: Option<&BTreeMap<String, String>>) -> Result<Box<[(String, String)]>, InvalidField> {
    let headers: Box<[_]> = headers.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())).collect();
    let size: usize = headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size > HEADERS_MAX {
        return Err(InvalidField::new("headers", format!("has {size} bytes; at most {HEADERS_MAX} are allowed for type `rabbitmq`")));
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use hookstream_model::outbound::target::TargetKind;

    use super::*;

    const GOOD: [(&str, &str); 4] = [("exchange", "events"), ("routing_key", "a.b"), ("username", "u"), ("password", "sesame")];

    fn read(url: &str, values: &[(&str, &str)]) -> Result<RabbitMqSettings, InvalidField> {
        let values = GOOD.iter().chain(values).map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect();
        let config = TargetConfig::new(TargetKind::RabbitMq, values);
        let url = EndpointUrl::parse_broker(url).expect("a URL");
        RabbitMqSettings::read(&Settings { kind: TargetKind::RabbitMq, url: &url, config: Some(&config), headers: None })
    }

    fn refused(values: &[(&str, &str)]) -> String {
        read("amqp://broker.example", values).expect_err("refused").to_string()
    }

    #[test]
    fn scheme_decides_protocol_and_port() {
        let check = |url: &str, with_tls: Option<bool>, host: &str, port: u16| {
            let found = read(url, &[]).expect("good settings");
            let found_tls = match found.protocol {
                Protocol::Amqp { with_tls } => Some(with_tls),
                Protocol::Management { .. } => None,
            };
            assert_eq!((found_tls, found.host.as_str(), found.port), (with_tls, host, port), "{url}");
        };
        check("amqp://broker.example", Some(false), "broker.example", 5672);
        check("amqps://broker.example", Some(true), "broker.example", 5671);
        check("amqp://broker.example:80", Some(false), "broker.example", 80);
        check("https://broker.example/rabbit", None, "broker.example", 443);
        check("http://broker.example:15672", None, "broker.example", 15672);
        // Every notation of an address is judged as that address.
        check("amqp://0x7f.1", Some(false), "127.0.0.1", 5672);
        check("amqp://BROKER.example", Some(false), "broker.example", 5672);
        check("amqp://[::ffff:127.0.0.1]", Some(false), "[::ffff:7f00:1]", 5672);
    }

    #[test]
    fn default_virtual_host_and_default_exchange_are_known() {
        let found = read("amqp://broker.example", &[("exchange", "amq.default")]).expect("good settings");
        assert_eq!((found.vhost.as_str(), found.exchange.as_str()), ("/", ""));
        let found = read("https://broker.example", &[("exchange", "amq.default"), ("vhost", "shop")]).expect("good settings");
        assert_eq!((found.vhost.as_str(), found.exchange.as_str()), ("shop", "amq.default"));
    }

    #[test]
    fn invalid_field_is_named() {
        let check = |values: &[(&str, &str)], expected: &str| {
            let error = refused(values);
            assert!(error.starts_with(expected), "{error}");
        };
        check(&[("exchange", "")], "`config.exchange` must not be empty");
        check(&[("exchange", &"x".repeat(256))], "`config.exchange` must have 1 to 255 bytes");
        check(&[("vhost", "")], "`config.vhost` must have 1 to 255 bytes");
        check(&[("routing_key", "a\nb")], "`config.routing_key` must have at most 255 bytes");
        check(&[("username", "")], "`config.username` must have 1 to 255 bytes");
        check(&[("password", "")], "`config.password` must have 1 to 1024 bytes");
        check(&[("password", "***")], "`config.password` is `***`");
        check(&[("queue", "x")], "`config` contains an unknown field; got \"queue\"; the fields of type `rabbitmq` are url, vhost");
    }

    #[test]
    fn headers_that_fit_no_frame_are_refused() {
        let url = EndpointUrl::parse_broker("amqp://broker.example").expect("a URL");
        let config = TargetConfig::new(TargetKind::RabbitMq, GOOD.map(|(field, value)| (field.to_owned(), value.to_owned())).into());
        let check = |count: usize| {
            let headers = (0..count).map(|number| (format!("x-{number:03}"), "x".repeat(4_091))).collect();
            let settings = Settings { kind: TargetKind::RabbitMq, url: &url, config: Some(&config), headers: Some(&headers) };
            RabbitMqSettings::read(&settings).map(|found| found.headers.len()).map_err(|error| error.to_string())
        };
        assert_eq!(check(6), Ok(6));
        assert_eq!(check(7), Err("`headers` has 28672 bytes; at most 24576 are allowed for type `rabbitmq`".to_owned()));
    }

    #[test]
    fn missing_field_is_named_and_no_error_shows_the_password() {
        let url = EndpointUrl::parse_broker("amqp://broker.example").expect("a URL");
        for missing in ["exchange", "routing_key", "username", "password"] {
            let values = GOOD.iter().filter(|(field, _)| *field != missing);
            let config =
                TargetConfig::new(TargetKind::RabbitMq, values.map(|(field, value)| ((*field).to_owned(), (*value).to_owned())).collect());
            let settings = Settings { kind: TargetKind::RabbitMq, url: &url, config: Some(&config), headers: None };
            let error = RabbitMqSettings::read(&settings).expect_err(missing).to_string();
            assert!(error.starts_with(&format!("`config.{missing}` is required")) && !error.contains("sesame"), "{error}");
        }
        assert!(!format!("{:?}", read("amqp://broker.example", &[])).contains("sesame"));
    }
}
