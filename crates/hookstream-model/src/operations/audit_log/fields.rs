//! Fields of a resource in the audit log, named as in the API and without secrets.
//!
//! Signing secrets, keys and tokens are not fields at all. An endpoint's custom header values and the password of its
//! `config` are compared but not shown; they have their own kinds of field, so that they cannot be shown by mistake.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::{
    base::{secret::HIDDEN, time::Timestamp},
    delivery::hold::Hold,
    identity::{environment::Environment, organization::Organization, portal::PortalTheme, tenancy::ApiKey},
    operations::{
        alerts::rule::AlertRule,
        job::Job,
        quota::{Quota, QuotaLimit, QuotaLimits},
        view::View,
    },
    outbound::{application::Application, endpoint::Endpoint, event_type::EventType, target::TargetConfig},
};

/// Resource with audit log entries.
pub trait Audited {
    /// Returns the fields of the resource for an entry.
    fn fields(&self) -> Fields;
}

/// Fields by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields(BTreeMap<&'static str, Field>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    /// Value that is shown.
    Shown(Value),
    /// Map whose names are shown and whose values are hidden.
    Names(BTreeMap<String, String>),
    /// Settings of a target, of which secrets are hidden.
    Config(TargetConfig),
}

impl Field {
    fn shown(&self) -> Value {
        match self {
            Self::Shown(value) => value.clone(),
            Self::Config(config) => config.shown().into(),
            Self::Names(values) => values.keys().map(|name| (name.clone(), Value::from(HIDDEN))).collect::<Map<_, _>>().into(),
        }
    }
}

impl Fields {
    /// Adds a field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.insert(name, Field::Shown(value.into()));
        self
    }

    /// Adds a map of which only the names are shown.
    #[must_use]
    fn with_names(mut self, name: &'static str, values: Option<&BTreeMap<String, String>>) -> Self {
        self.0.insert(name, values.map_or(Field::Shown(Value::Null), |values| Field::Names(values.clone())));
        self
    }

    /// Adds the settings of a target without their secrets.
    #[must_use]
    fn with_config(mut self, name: &'static str, config: Option<&TargetConfig>) -> Self {
        self.0.insert(name, config.map_or(Field::Shown(Value::Null), |config| Field::Config(config.clone())));
        self
    }

    /// Returns the names of the fields, with or without a value.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// Returns the visible values; fields without a value are omitted.
    pub fn shown(&self) -> Map<String, Value> {
        let shown = self.0.iter().map(|(name, field)| ((*name).to_owned(), field.shown()));
        shown.filter(|(_, value)| !value.is_null()).collect()
    }
}

/// Returns the differing fields of both sides, as an entry shows them. A hidden value may differ and look the same.
pub(super) fn differing(before: &Fields, after: &Fields) -> (Map<String, Value>, Map<String, Value>) {
    let none = Field::Shown(Value::Null);
    let mut differing = (Map::new(), Map::new());
    for name in before.0.keys().chain(after.0.keys()) {
        let (was, is) = (before.0.get(name).unwrap_or(&none), after.0.get(name).unwrap_or(&none));
        if was != is {
            differing.0.insert((*name).to_owned(), was.shown());
            differing.1.insert((*name).to_owned(), is.shown());
        }
    }
    differing
}

/// Parses text that holds JSON; invalid JSON stays text.
fn json_of(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |text| serde_json::from_str(text).unwrap_or_else(|_| text.into()))
}

fn theme(theme: Option<&PortalTheme>) -> Value {
    theme.map_or(Value::Null, |theme| serde_json::to_value(theme).expect("texts are JSON"))
}

fn time(at: Option<Timestamp>) -> Option<String> {
    at.map(|at| at.to_string())
}

impl Audited for Application {
    fn fields(&self) -> Fields {
        Fields::default()
            .with("name", self.name.as_str())
            .with("uid", self.uid.as_deref())
            .with("description", self.description.as_deref())
            .with("metadata", json_of(self.metadata.as_deref()))
            .with("status", self.status.as_str())
            .with("rate_limit", self.rate_limit)
            .with("portal_theme", theme(self.portal_theme.as_ref()))
    }
}

impl Audited for Endpoint {
    fn fields(&self) -> Fields {
        let batch = self.batch.map(|batch| json!({ "max_size": batch.max_size(), "max_wait_ms": batch.max_wait_ms() }));
        Fields::default()
            .with("application_id", self.application_id.to_string())
            .with("uid", self.uid.as_deref())
            .with("metadata", json_of(self.metadata.as_deref()))
            .with("channels", self.channels.clone())
            .with("type", self.kind.as_str())
            .with("url", self.url.as_str())
            .with_config("config", self.config.as_ref())
            .with("description", self.description.as_deref())
            .with("signing_algorithm", self.signing_algorithm.as_str())
            .with("status", self.status.as_str())
            .with("disabled_reason", self.disabled_reason.map(crate::delivery::state::DisabledReason::as_str))
            .with("filter_types", self.filter_types.clone())
            .with("rate_limit_per_second", self.rate_limit_per_second)
            .with("expires_at", time(self.expires_at))
            .with_names("headers", self.headers.as_ref())
            .with("retry_schedule", self.retry_schedule.as_ref().map(|schedule| schedule.as_seconds().to_vec()))
            .with("timeout_ms", self.timeout_ms)
            .with("ordering", self.ordering.as_str())
            .with("ordering_key", self.ordering.key_path().map(ToString::to_string))
            .with("on_failure", self.on_failure.as_str())
            .with("batch", batch)
    }
}

/// Hold of an endpoint, which is separate from its configuration.
impl Audited for Option<Hold> {
    fn fields(&self) -> Fields {
        Fields::default().with("held_until", time(self.map(|hold| hold.until))).with("hold_reason", self.map(|hold| hold.reason.as_str()))
    }
}

impl Audited for EventType {
    fn fields(&self) -> Fields {
        Fields::default()
            .with("name", self.name.as_str())
            .with("description", self.description.as_deref())
            .with("json_schema", json_of(self.json_schema.as_deref()))
            .with("status", self.status.as_str())
    }
}

impl Audited for Organization {
    fn fields(&self) -> Fields {
        Fields::default().with("name", self.name.as_str())
    }
}

impl Audited for Environment {
    fn fields(&self) -> Fields {
        Fields::default()
            .with("name", self.name.as_str())
            .with("slug", self.slug.as_str())
            .with("retention_days", self.retention_days)
            .with("payload_retention_days", self.payload_retention_days)
            .with("max_payload_bytes", self.max_payload_bytes)
            .with("weight", self.weight)
            .with("portal_reveal_secrets", self.portal_reveal_secrets)
            .with("is_production", self.is_production)
            .with("forward_trace_context", self.forward_trace_context)
            .with("portal_frame_origins", self.portal_frame_origins.clone())
            .with("portal_url", self.portal_url.clone())
            .with("portal_theme", theme(self.portal_theme.as_ref()))
    }
}

impl Audited for ApiKey {
    fn fields(&self) -> Fields {
        let networks: Vec<_> = self.networks.iter().map(ToString::to_string).collect();
        Fields::default()
            .with("name", self.name.as_str())
            .with("level", self.level.as_str())
            .with("scopes", self.scopes.to_string())
            .with("networks", (!networks.is_empty()).then_some(networks))
            .with("expires_at", time(self.expires_at))
    }
}

impl Audited for Job {
    fn fields(&self) -> Fields {
        let statuses: Vec<_> = self.selection.statuses.iter().map(|status| status.as_str()).collect();
        Fields::default()
            .with("application_id", self.application_id.to_string())
            .with("endpoint_id", self.endpoint_id.to_string())
            .with("since", self.selection.since.to_string())
            .with("until", self.selection.until.to_string())
            .with("statuses", statuses)
            .with("event_types", self.selection.event_types.clone())
            .with("max_messages", self.selection.max_messages)
            .with("rate_limit", self.rate_limit)
    }
}

impl Audited for View {
    fn fields(&self) -> Fields {
        Fields::default()
            .with("name", self.name.as_str())
            .with("page", self.page.as_str())
            .with("filters", json!(self.filters))
            .with("shared", self.shared)
            .with("owner_id", self.owner_id.map(|owner| owner.to_string()))
    }
}

impl Audited for AlertRule {
    fn fields(&self) -> Fields {
        let ids: Vec<_> = self.channel_ids.iter().map(ToString::to_string).collect();
        Fields::default()
            .with("name", self.name.as_str())
            .with("description", self.description.clone())
            .with("enabled", self.enabled)
            .with("rule_type", self.condition.kind().as_str())
            .with("rule_config", self.condition.to_json())
            .with("application_id", self.application_id.map(|id| id.to_string()))
            .with("endpoint_id", self.endpoint_id.map(|id| id.to_string()))
            .with("channel_ids", ids)
            .with("cooldown_minutes", self.cooldown_minutes)
    }
}

impl Audited for QuotaLimits {
    fn fields(&self) -> Fields {
        let shown = |quota| match self.get(quota) {
            QuotaLimit::Default => serde_json::Value::Null,
            QuotaLimit::Unlimited => "none".into(),
            QuotaLimit::Most(most) => most.into(),
        };
        Quota::ALL.into_iter().fold(Fields::default(), |fields, quota| fields.with(quota.as_str(), shown(quota)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        base::ids::{ApplicationId, EndpointId, EnvironmentId, OrganizationId},
        identity::tenancy::Tenant,
        operations::audit_log::Change,
        outbound::{application::ApplicationStatus, endpoint::EndpointUrl, target::TargetKind},
    };

    const TENANT: Tenant = Tenant { organization: OrganizationId::from_bytes([1; 16]), environment: EnvironmentId::from_bytes([2; 16]) };
    const NOW: Timestamp = Timestamp::from_millis(1_795_521_600_000);

    fn application() -> Application {
        Application {
            id: ApplicationId::from_bytes([3; 16]),
            tenant: TENANT,
            name: "Acme".to_owned(),
            uid: Some("acme".to_owned()),
            description: None,
            metadata: Some(r#"{"plan":"pro"}"#.to_owned()),
            status: ApplicationStatus::Active,
            rate_limit: None,
            portal_theme: None,
            created_at: NOW,
            updated_at: NOW,
        }
    }

    fn endpoint(headers: &[(&str, &str)]) -> Endpoint {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (id, application_id) = (EndpointId::from_bytes([4; 16]), ApplicationId::from_bytes([3; 16]));
        let url = EndpointUrl::parse("https://example.com/").expect("a URL");
        Endpoint { headers: Some(headers), ..Endpoint::new(id, TENANT, application_id, TargetKind::Http, url, NOW) }
    }

    fn text(change: &Change) -> (Value, Value) {
        let shown = |fields: &Option<Map<String, Value>>| fields.clone().map_or(Value::Null, Value::Object);
        (shown(&change.before), shown(&change.after))
    }

    #[test]
    fn created_or_removed_resource_is_shown_without_empty_fields() {
        let expected = json!({ "name": "Acme", "uid": "acme", "metadata": { "plan": "pro" }, "status": "active" });
        assert_eq!(text(&Change::created(&application())), (Value::Null, expected.clone()));
        assert_eq!(text(&Change::removed(&application())), (expected, Value::Null));
    }

    #[test]
    fn change_shows_only_differing_fields() {
        let mut after = application();
        after.updated_at = Timestamp::from_millis(0);
        assert_eq!(Change::between(&application(), &after), None);
        (after.rate_limit, after.metadata) = (Some(7), None);
        let change = Change::between(&application(), &after).expect("the rate limit differs");
        let expected = (json!({ "rate_limit": null, "metadata": { "plan": "pro" } }), json!({ "rate_limit": 7, "metadata": null }));
        assert_eq!(text(&change), expected);
    }

    #[test]
    fn header_values_are_hidden_but_their_change_is_recorded() {
        let made = Change::created(&endpoint(&[("authorization", "Bearer sesame")]));
        assert_eq!(made.after.as_ref().and_then(|after| after.get("headers")), Some(&json!({ "authorization": "***" })));
        let changed = Change::between(&endpoint(&[("authorization", "Bearer sesame")]), &endpoint(&[("authorization", "Bearer basil")]));
        let same = json!({ "headers": { "authorization": "***" } });
        let changed = changed.expect("a value differs");
        assert_eq!(text(&changed), (same.clone(), same));
        let renamed = Change::between(&endpoint(&[("a", "sesame")]), &endpoint(&[("b", "sesame")])).expect("a name differs");
        assert_eq!(text(&renamed), (json!({ "headers": { "a": "***" } }), json!({ "headers": { "b": "***" } })));
        let debugged = format!("{made:?}{changed:?}{renamed:?}");
        assert!(!debugged.contains("sesame") && !debugged.contains("basil"), "{debugged}");
    }

    #[test]
    fn password_of_a_broker_is_hidden_but_its_change_is_recorded() {
        let with_password = |password: &str| {
            let values = [("exchange", "events"), ("password", password)].map(|(name, value)| (name.to_owned(), value.to_owned()));
            Endpoint { config: Some(TargetConfig::new(TargetKind::RabbitMq, values.into())), ..endpoint(&[]) }
        };
        let changed = Change::between(&with_password("sesame"), &with_password("basil")).expect("the password differs");
        let same = json!({ "config": { "exchange": "events", "password": "***" } });
        assert_eq!(text(&changed), (same.clone(), same));
        assert!(!format!("{changed:?}").contains("sesame"));
    }
}
