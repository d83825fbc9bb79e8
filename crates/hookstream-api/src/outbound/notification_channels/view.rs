//! Notification channel as the API shows it, and its `config` as the API takes it.

use std::collections::BTreeMap;

use hookstream_destinations::notifications;
use hookstream_model::{
    base::{secret::Secret, text::got},
    identity::tenancy::Tenant,
    operations::operational_event::SystemApplication,
    outbound::{
        endpoint::{Endpoint, EndpointStatus, EndpointUrl},
        target::{TargetConfig, TargetKind},
    },
};
use hookstream_store::delivery::finding::{AttemptFilter, AttemptSearch, Direction, Range};
use serde::Serialize;
use serde_json::{Map, Value, value::RawValue};
use utoipa::ToSchema;

use crate::{
    http::{body::json_fields, error::ApiError, portal_settings::json_of},
    state::Api,
};

/// Word of a webhook as `channel_type`; its endpoint is of the kind `http`.
const WEBHOOK: &str = "webhook";
/// Number of attempts that are looked at for the state of a channel.
const ATTEMPTS: usize = 20;

/// Notification channel.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Channel {
    #[schema(example = "019dc1e2a3b47c5d8e9f001122334456")]
    id: String,
    org_id: String,
    env_id: String,
    /// Name.
    #[schema(example = "On call")]
    name: String,
    /// `webhook`, `slack`, `discord`, `teams`, `pagerduty`, `telegram` or `email`.
    #[schema(example = "slack")]
    channel_type: &'static str,
    /// JSON text of an object. Values that are secrets are `***`.
    #[schema(example = "{\"url\":\"***\"}")]
    config: String,
    /// 1 if the channel is told, 0 if not. Hookstream disables a channel that fails for days.
    #[schema(example = 1)]
    enabled: u8,
    /// Time of the last notification that arrived.
    last_sent_at: Option<String>,
    /// Failed attempts since the last notification that arrived; of the last 20 attempts.
    #[schema(example = 0)]
    error_count: usize,
    /// Error of the last failed attempt, unless a notification has arrived since.
    last_error: Option<String>,
    #[schema(example = "2026-11-24T08:30:00.000Z")]
    created_at: String,
    updated_at: String,
}

/// State of a channel, from its last attempts.
#[derive(Debug, Default)]
pub(super) struct LastAttempts {
    last_sent_at: Option<String>,
    errors: usize,
    last_error: Option<String>,
}

impl LastAttempts {
    pub(super) async fn read(api: &Api, tenant: Tenant, endpoint: &Endpoint) -> Result<Self, ApiError> {
        let system = tenant.of_system();
        let origin = Some(SystemApplication::Channels.id(system).into());
        let range = Range { tenant: system, origin, lowest: [0; 16], below: [0xff; 16], direction: Direction::Older };
        let filter = AttemptFilter {
            route: Some(endpoint.id.into()),
            succeeded: None,
            class: None,
            event_types: Vec::new(),
            since: Some(endpoint.created_at),
            until: None,
        };
        let mut found = api.store.find_attempts(AttemptSearch { range, from: None, filter, limit: ATTEMPTS }).await?.items;
        found.sort_by_key(|found| std::cmp::Reverse(found.attempt.id));
        let failed: Vec<_> = found.iter().take_while(|found| !found.attempt.succeeded).collect();
        let sent = found.iter().find(|found| found.attempt.succeeded);
        Ok(Self {
            last_sent_at: sent.map(|found| found.attempt.created_at.to_string()),
            errors: failed.len(),
            last_error: failed.first().and_then(|found| found.attempt.error.clone()),
        })
    }
}

impl Channel {
    pub(super) fn shown(tenant: Tenant, endpoint: Endpoint, last: LastAttempts) -> Self {
        let config = match endpoint.kind {
            TargetKind::Http => Map::from_iter([("url".to_owned(), Value::from(endpoint.url.as_str()))]),
            _ => endpoint.config.as_ref().map(TargetConfig::shown).unwrap_or_default(),
        };
        Self {
            id: endpoint.id.to_string(),
            org_id: tenant.organization.to_string(),
            env_id: tenant.environment.to_string(),
            name: endpoint.description.unwrap_or_default(),
            channel_type: word(endpoint.kind),
            config: json_of(&config),
            enabled: u8::from(endpoint.status == EndpointStatus::Active),
            last_sent_at: last.last_sent_at,
            error_count: last.errors,
            last_error: last.last_error,
            created_at: endpoint.created_at.to_string(),
            updated_at: endpoint.updated_at.to_string(),
        }
    }
}

fn word(kind: TargetKind) -> &'static str {
    if kind == TargetKind::Http { WEBHOOK } else { kind.as_str() }
}

/// Parses `channel_type`.
pub(super) fn kind(word: &str) -> Result<TargetKind, ApiError> {
    if word == WEBHOOK {
        return Ok(TargetKind::Http);
    }
    TargetKind::SERVICES.into_iter().find(|kind| kind.as_str() == word).ok_or_else(|| {
        let services = TargetKind::SERVICES.map(TargetKind::as_str).join(", ");
        ApiError::invalid("channel_type", &format!("must be one of {WEBHOOK}, {services}{}", got(word)))
    })
}

/// Changes of `config`, by field; `None` removes one.
pub(super) struct ConfigChange {
    fields: BTreeMap<String, Option<String>>,
    /// Secret of a webhook.
    pub(super) secret: Option<String>,
}

impl ConfigChange {
    /// Reads `config`: an object, or its JSON text. The addresses of an e-mail may be a list, and the id of a chat a number.
    pub(super) fn read(kind: TargetKind, raw: &RawValue) -> Result<Self, ApiError> {
        let given: BTreeMap<String, Value> = json_fields("config", raw, "an object")?;
        let mut fields = BTreeMap::new();
        for (name, value) in given {
            let text = match value {
                Value::Null => None,
                Value::String(text) => Some(text),
                Value::Number(number) => Some(number.to_string()),
                Value::Array(texts) if name == "to" && texts.iter().all(Value::is_string) => {
                    Some(texts.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","))
                }
                Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect();
                    return Err(ApiError::invalid("config", &format!("has a value for `{name}` that is not a text")));
                }
            };
            let is_webhook = matches!(kind, TargetKind::Slack | TargetKind::Discord | TargetKind::Teams);
            let name = if is_webhook && name == "webhook_url" { "url".to_owned() } else { name };
            fields.insert(name, text);
        }
        let secret = if kind == TargetKind::Http { fields.remove("secret").flatten() } else { None };
        Ok(Self { fields, secret })
    }

    /// Applies the change to a channel's target.
    pub(super) fn apply(&self, endpoint: &mut Endpoint) -> Result<(), ApiError> {
        if endpoint.kind == TargetKind::Http {
            if let Some(unknown) = self.fields.keys().find(|name| *name != "url") {
                let problem = format!("contains an unknown field{}; the fields of `{WEBHOOK}` are url, secret", got(unknown));
                return Err(ApiError::invalid("config", &problem));
            }
            if let Some(url) = self.fields.get("url") {
                let url = url.as_deref().ok_or_else(|| ApiError::invalid("config.url", "must not be null"))?;
                endpoint.url = EndpointUrl::parse(url).map_err(|error| ApiError::invalid("config.url", &error.problem))?;
            }
            return Ok(());
        }
        let before = endpoint.config.take().unwrap_or_else(|| TargetConfig::new(endpoint.kind, BTreeMap::new()));
        let after = before.with(&self.fields);
        // Nobody who may not know a secret may have it sent to another server.
        for secret in ["routing_key", "bot_token"] {
            let keeps = before.get(secret).is_some() && !self.fields.contains_key(secret);
            if keeps && before.get("url") != after.get("url") {
                return Err(ApiError::invalid("config", &format!("must contain `{secret}` again, because `url` names another server")));
            }
        }
        endpoint.url = notifications::address(endpoint.kind, &after)?.0;
        endpoint.config = Some(after);
        Ok(())
    }
}

/// Returns a webhook's secret in the form that endpoints have: a text without a prefix is used as it is.
pub(super) fn secret_text(given: &str) -> Secret {
    let is_prefixed = ["whsec_", "whsk_", "raw:"].iter().any(|prefix| given.starts_with(prefix));
    Secret::new(if is_prefixed { given.to_owned() } else { format!("raw:{given}") })
}
