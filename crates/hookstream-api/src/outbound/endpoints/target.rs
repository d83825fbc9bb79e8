//! Target of an endpoint: its `type`, `url` and `config`, checked by the kind of destination.

use std::collections::BTreeMap;

use hookstream_destinations::{AddressRefused, Registry, Settings, Target};
use hookstream_model::outbound::{
    endpoint::{Endpoint as Model, EndpointUrl},
    target::{TargetConfig, TargetKind},
};
use serde_json::{Value, json, value::RawValue};

use crate::{
    http::{
        body::json_value,
        error::{ApiError, ErrorCode},
    },
    state::Api,
};

/// URL of test receivers, which nothing can reach (RFC 6761 section 6.4).
const TEST_RECEIVER: &str = "https://test-receiver.invalid/";

/// Changes of `config`: fields with their values, `None` to remove one.
pub(super) type ConfigChange = BTreeMap<String, Option<String>>;

/// Kind, URL and settings of a new endpoint.
#[derive(Debug)]
pub(super) struct NewTarget {
    pub(super) kind: TargetKind,
    pub(super) url: EndpointUrl,
    pub(super) config: Option<TargetConfig>,
}

impl NewTarget {
    /// Reads the fields of a new endpoint. HTTP has a `url`, a test receiver needs none, and every other kind has its URL in
    /// `config`.
    pub(super) fn read(kind: Option<&str>, url: Option<&str>, config: Option<&RawValue>) -> Result<Self, ApiError> {
        let kind = kind.map_or(Ok(TargetKind::default()), TargetKind::parse)?;
        let config = config.filter(|raw| raw.get() != "null").map(config_change).transpose()?;
        match (kind, url, config) {
            (TargetKind::Http, Some(url), None) => Ok(Self { kind, url: EndpointUrl::parse(url)?, config: None }),
            (TargetKind::Http, None, None) => Err(ApiError::invalid("url", "is missing")),
            (TargetKind::Http, _, Some(_)) => Err(no_config()),
            (TargetKind::TestReceiver, Some(_), _) => Err(no_url()),
            (TargetKind::TestReceiver, None, change) => {
                let config = change.map(|change| TargetConfig::new(kind, BTreeMap::new()).with(&change));
                Ok(Self { kind, url: EndpointUrl::parse(TEST_RECEIVER)?, config })
            }
            (TargetKind::RabbitMq, Some(_), _) => Err(url_in_config(kind)),
            (TargetKind::RabbitMq, None, None) => {
                Err(ApiError::invalid("config", "is required for type `rabbitmq`. Send url, exchange, routing_key, username and password"))
            }
            (TargetKind::RabbitMq, None, Some(change)) => {
                let config = TargetConfig::new(kind, BTreeMap::new()).with(&change);
                Ok(Self { kind, url: url_of(&config)?, config: Some(config) })
            }
            // Kinds of notification channels only, which `TargetKind::parse` does not know.
            (service, _, _) => Err(ApiError::invalid("type", &format!("`{}` is a kind of notification channel", service.as_str()))),
        }
    }
}

/// Change of an endpoint's target.
#[derive(Debug)]
pub(super) struct TargetChange<'a> {
    pub(super) kind: Option<TargetKind>,
    pub(super) url: Option<&'a EndpointUrl>,
    pub(super) config: Option<&'a ConfigChange>,
}

impl TargetChange<'_> {
    pub(super) const fn is_empty(&self) -> bool {
        self.kind.is_none() && self.url.is_none() && self.config.is_none()
    }

    /// Applies the change, after the kind has checked the result.
    pub(super) fn apply(&self, destinations: &Registry, endpoint: &mut Model) -> Result<(), ApiError> {
        if self.kind.is_some_and(|kind| kind != endpoint.kind) {
            let problem = format!("can't be changed; it is `{}`. Create another endpoint", endpoint.kind.as_str());
            return Err(ApiError::invalid("type", &problem));
        }
        match endpoint.kind {
            TargetKind::Http if self.config.is_some() => return Err(no_config()),
            TargetKind::Http => {}
            TargetKind::TestReceiver if self.url.is_some() => return Err(no_url()),
            TargetKind::RabbitMq if self.url.is_some() => return Err(url_in_config(endpoint.kind)),
            TargetKind::RabbitMq | TargetKind::TestReceiver => {}
            service => return Err(ApiError::invalid("type", &format!("`{}` is a kind of notification channel", service.as_str()))),
        }
        if let Some(url) = self.url {
            endpoint.url.clone_from(url);
        }
        if let Some(change) = self.config {
            let before = endpoint.config.take().unwrap_or_else(|| TargetConfig::new(endpoint.kind, BTreeMap::new()));
            let config = before.with(change);
            let url = if endpoint.kind == TargetKind::TestReceiver { endpoint.url.clone() } else { url_of(&config)? };
            // Nobody who may not know the password may have it sent to another server.
            if is_elsewhere(&url, &endpoint.url) && !change.contains_key("password") {
                let problem = "must be sent again, because `config.url` names another server or protocol";
                return Err(ApiError::invalid("config.password", problem));
            }
            (endpoint.url, endpoint.config) = (url, Some(config));
        }
        target(destinations, endpoint).map(|_| ())
    }
}

/// Lets the kind check an endpoint's settings.
fn target(destinations: &Registry, endpoint: &Model) -> Result<std::sync::Arc<dyn Target>, ApiError> {
    let settings =
        Settings { kind: endpoint.kind, url: &endpoint.url, config: endpoint.config.as_ref(), headers: endpoint.headers.as_ref() };
    Ok(destinations.check(&settings)?)
}

/// Checks an endpoint's settings and the address of its target.
pub(in crate::outbound) async fn check(api: &Api, endpoint: &Model) -> Result<(), ApiError> {
    let target = target(&api.destinations, endpoint)?;
    target.check_address().await.map_err(|refused| address_refused(endpoint.kind, &refused))
}

/// Reads `config`: an object of text values; `null` removes a field.
pub(super) fn config_change(raw: &RawValue) -> Result<ConfigChange, ApiError> {
    let values: BTreeMap<String, Value> = json_value("config", raw, "an object of names and text values")?;
    let text = |(name, value): (String, Value)| match value {
        Value::String(text) => Ok((name, Some(text))),
        Value::Null => Ok((name, None)),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
            Err(ApiError::invalid("config", &format!("has a value for `{name}` that is not a text. Send each field of `config` as a text")))
        }
    };
    values.into_iter().map(text).collect()
}

fn url_of(config: &TargetConfig) -> Result<EndpointUrl, ApiError> {
    let url = config.get("url").ok_or_else(|| ApiError::invalid("config.url", "is required"))?;
    Ok(EndpointUrl::parse_broker(url)?)
}

/// Returns true if two URLs differ in protocol, host or port.
fn is_elsewhere(one: &EndpointUrl, other: &EndpointUrl) -> bool {
    let place = |url: &EndpointUrl| {
        let url = url.to_url();
        (url.scheme().to_owned(), url.host_str().map(str::to_ascii_lowercase), url.port_or_known_default())
    };
    place(one) != place(other)
}

fn address_refused(kind: TargetKind, refused: &AddressRefused) -> ApiError {
    let field = match kind {
        TargetKind::Http | TargetKind::TestReceiver => "url",
        _ => "config.url",
    };
    ApiError::new(ErrorCode::AddressNotAllowed, format!("`{field}` {refused}.")).with_details(json!({ "field": field }))
}

fn no_config() -> ApiError {
    ApiError::invalid("config", "is not a setting of type `http`. Send `type` for another kind, or leave `config` out")
}

fn no_url() -> ApiError {
    ApiError::invalid("url", "is not a setting of type `test_receiver`, which is inside of the server. Leave it out")
}

fn url_in_config(kind: TargetKind) -> ApiError {
    ApiError::invalid("url", &format!("is not set directly for type `{}`. Send `config.url`", kind.as_str()))
}
