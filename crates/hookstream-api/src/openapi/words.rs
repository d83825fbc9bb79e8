//! Closed sets of words in the API, and the JSON inside its text fields, for the OpenAPI document.

use serde_json::{Value, json};

/// Set of words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Set {
    words: &'static [&'static str],
    /// True if later versions may add words, so that clients must accept others.
    is_open: bool,
}

impl Set {
    const fn closed(words: &'static [&'static str]) -> Self {
        Self { words, is_open: false }
    }

    const fn open(words: &'static [&'static str]) -> Self {
        Self { words, is_open: true }
    }

    /// Writes the words into a schema: a closed set as `enum`, an open set as `x-extensible-enum`, which generators
    /// either know or ignore.
    pub(super) fn write(self, schema: &mut Value) {
        if self.is_open {
            schema["x-extensible-enum"] = json!(self.words);
            return;
        }
        let mut words: Vec<Value> = self.words.iter().map(|word| (*word).into()).collect();
        if schema["type"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "null")) {
            words.push(Value::Null);
        }
        schema["enum"] = Value::Array(words);
    }
}

const ROLES: Set = Set::closed(&["owner", "admin", "developer", "viewer"]);
const KINDS: [&str; 3] = ["http", "rabbitmq", "test_receiver"];
const RULE_TYPES: [&str; 7] = ["failure_rate", "latency", "volume_drop", "dlq", "backlog_age", "disk_forecast", "problem"];
const CHANNEL_TYPES: [&str; 7] = ["webhook", "slack", "discord", "teams", "pagerduty", "telegram", "email"];
const CIRCUIT: Set = Set::closed(&["closed", "open", "half_open"]);
const HOLD: Set = Set::open(&["failing", "retry_after"]);
const ORDERING: Set = Set::closed(&["none", "strict", "key"]);
const ON_FAILURE: Set = Set::closed(&["block", "skip", "park"]);
const ALGORITHM: Set = Set::closed(&["hmac-sha256", "ed25519"]);
const SWITCH: Set = Set::closed(&["active", "disabled"]);
const CATALOGUE: Set = Set::closed(&["active", "archived"]);
const LEVEL: Set = Set::closed(&["environment", "organization"]);
const MESSAGE: Set = Set::closed(&["pending", "delivered", "failed", "skipped"]);
const ATTEMPT: Set = Set::closed(&["success", "failed"]);
const TRIGGER: Set = Set::open(&["initial", "automatic", "manual", "recover", "replay", "test"]);
const PROBLEM: Set = Set::open(&[
    "endpoint_disabled",
    "circuit_open",
    "endpoint_failing",
    "backlog_growing",
    "deliveries_missed",
    "storage_budget",
    "disk_full",
    "quota",
    "node_lapsed",
]);
const REMEDY: Set = Set::open(&[
    "probe_now",
    "notify_customer",
    "raise_limit",
    "recover",
    "enable_and_recover",
    "change_retention",
    "raise_quota",
    "free_disk",
    "restart_node",
]);
const GRANULARITY: Set = Set::closed(&["minute", "half_hour", "hour", "day"]);
const VIEW_PAGE: Set = Set::open(&["messages", "attempts", "endpoints", "applications", "event_types", "jobs", "audit_log"]);
const DELIVERY: Set = Set::closed(&["pending", "succeeded", "exhausted", "skipped", "cancelled"]);

/// Fields and their words: schema, field, words. The schema `*` matches all.
const FIELDS: [(&str, &str, Set); 60] = [
    ("*", "signing_algorithm", ALGORITHM),
    ("*", "ordering", ORDERING),
    ("*", "on_failure", ON_FAILURE),
    ("*", "circuit_state", CIRCUIT),
    ("*", "hold_reason", HOLD),
    ("*", "trigger_type", TRIGGER),
    ("*", "level", LEVEL),
    ("*", "granularity", GRANULARITY),
    ("Application", "status", SWITCH),
    ("UpdateApplication", "status", SWITCH),
    ("Endpoint", "type", Set::open(&KINDS)),
    ("CreateEndpoint", "type", Set::closed(&KINDS)),
    ("UpdateEndpoint", "type", Set::closed(&KINDS)),
    ("Endpoint", "status", Set::open(&["active", "paused", "disabled", "expired"])),
    ("EndpointHealth", "status", Set::open(&["active", "paused", "disabled", "expired"])),
    ("EndpointHealth", "disabled_reason", Set::open(&["gone", "asked_to_stop", "kept_failing"])),
    ("UpdateEndpoint", "status", Set::closed(&["active", "paused", "disabled"])),
    ("Endpoint", "disabled_reason", Set::open(&["gone", "asked_to_stop", "kept_failing"])),
    ("EventType", "status", CATALOGUE),
    ("UpdateEventType", "status", CATALOGUE),
    ("Message", "status", MESSAGE),
    ("ExplainedMessage", "status", MESSAGE),
    ("Attempt", "status", ATTEMPT),
    ("Delivery", "status", DELIVERY),
    ("ExplainedEndpoint", "status", Set::closed(&["pending", "succeeded", "exhausted", "skipped", "cancelled", "unmatched"])),
    ("ExplainedEndpoint", "endpoint_status", Set::open(&["active", "paused", "disabled", "expired", "deleted"])),
    ("RetryMessage", "only", Set::closed(&["failed"])),
    ("Sample", "status", Set::closed(&["delivered", "exhausted", "skipped", "missing"])),
    ("Job", "kind", Set::open(&["recover", "replay"])),
    ("Job", "status", Set::closed(&["running", "completed", "cancelled", "failed"])),
    ("CreateApiKey", "mode", Set::closed(&["live", "test"])),
    ("Activity", "by", Set::closed(&["portal", "sender", "system"])),
    ("Activity", "status", Set::open(&["active", "paused", "disabled"])),
    ("Activity", "disabled_reason", Set::open(&["gone", "asked_to_stop", "kept_failing"])),
    ("AuditActor", "kind", Set::open(&["api_key", "person", "portal", "operator", "system"])),
    ("BillingUsage", "plan", Set::closed(&["self_hosted"])),
    ("Storage", "forecast", Set::closed(&["levels_out", "budget_reached", "unknown"])),
    ("Node", "role", Set::closed(&["all", "api", "worker"])),
    ("Problem", "severity", Set::closed(&["critical", "warning", "notice"])),
    ("Problem", "kind", PROBLEM),
    ("Alert", "state", Set::closed(&["firing", "resolved"])),
    ("Alert", "severity", Set::closed(&["critical", "warning", "notice"])),
    ("AlertRule", "rule_type", Set::open(&RULE_TYPES)),
    ("CreateAlertRule", "rule_type", Set::closed(&RULE_TYPES)),
    ("Channel", "channel_type", Set::open(&CHANNEL_TYPES)),
    ("CreateChannel", "channel_type", Set::closed(&CHANNEL_TYPES)),
    ("PortalNotifications", "state", Set::closed(&["off", "unconfirmed", "on"])),
    ("Node", "state", Set::closed(&["alive", "lost"])),
    ("ProblemSubject", "kind", Set::open(&["endpoint", "environment", "organization", "installation", "node"])),
    ("ProblemRemedy", "action", REMEDY),
    ("Session", "method", Set::open(&["password", "second_factor", "link", "oidc:google"])),
    ("Member", "role", ROLES),
    ("UpdateMember", "role", ROLES),
    ("Membership", "role", ROLES),
    ("Organization", "role", ROLES),
    ("Invitation", "role", ROLES),
    ("CreateInvitation", "role", ROLES),
    ("PortalTheme", "color_scheme", Set::closed(&["auto", "light", "dark"])),
    ("View", "page", VIEW_PAGE),
    ("CreateView", "page", VIEW_PAGE),
];

/// Returns the words of a field.
pub(super) fn of_field(schema: &str, field: &str) -> Option<Set> {
    FIELDS.into_iter().find(|(of, name, _)| *name == field && (*of == schema || *of == "*")).map(|(_, _, set)| set)
}

/// Returns the words of a query parameter.
pub(super) fn of_parameter(path: &str, name: &str) -> Option<Set> {
    match name {
        "direction" => Some(Set::closed(&["next", "prev"])),
        "status_code_class" => Some(Set::closed(&["1xx", "2xx", "3xx", "4xx", "5xx", "none"])),
        "only" => Some(Set::closed(&["failed"])),
        "granularity" => Some(GRANULARITY),
        "status" if path == "/v1/endpoints" => Some(Set::closed(&["active", "paused", "disabled", "expired"])),
        "page" if path == "/v1/views" => Some(VIEW_PAGE),
        "failing" => Some(Set::closed(&["0", "1"])),
        "status" if path.ends_with("/attempts") => Some(ATTEMPT),
        "status" if path.ends_with("/messages") => Some(MESSAGE),
        _ => None,
    }
}

/// Returns the schema of the JSON inside a text field.
pub(super) fn inside(schema: &str, field: &str) -> Option<Value> {
    let texts = || json!({ "type": "array", "items": { "type": "string" } });
    Some(match (schema, field) {
        ("Application" | "Endpoint", "metadata") => json!({ "type": "object" }),
        ("Endpoint", "filter_types" | "channels")
        | ("Message", "channels")
        | ("Job", "statuses" | "event_types")
        | ("ApiKey" | "NewApiKey", "networks") => texts(),
        ("Application" | "Environment", "portal_theme") => json!({ "$ref": "#/components/schemas/PortalTheme" }),
        ("View", "filters") | ("Endpoint", "headers") => json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        ("Endpoint", "retry_schedule") => json!({ "type": "array", "items": { "type": "integer", "minimum": 0 } }),
        ("AlertRule", "rule_config") | ("Channel", "config") => json!({ "type": "object" }),
        ("AlertRule", "channel_ids") => texts(),
        ("EventType", "json_schema") => json!({ "type": ["object", "boolean"], "description": "A JSON Schema." }),
        _ => return None,
    })
}

/// Returns the example of a field that holds any JSON; the derived document has none.
pub(super) fn example(schema: &str, field: &str) -> Option<Value> {
    Some(match (schema, field) {
        ("CreateApplication" | "UpdateApplication", "metadata") => json!({ "plan": "pro" }),
        ("CreateEndpoint", "metadata") => json!({ "team": "billing" }),
        ("CreateEndpoint" | "UpdateEndpoint", "filter_types") | ("Replay", "event_types") => json!(["invoice.paid"]),
        ("CreateEndpoint", "headers") => json!({ "x-tenant": "acme" }),
        ("CreateEndpoint", "retry_schedule") => json!([5, 300, 1800, 7200]),
        ("CreateEventType" | "UpdateEventType", "json_schema") => json!({ "type": "object", "required": ["invoice_id"] }),
        ("CreateApplication" | "UpdateApplication" | "UpdateEnvironment", "portal_theme") => {
            json!({ "primary_color": "2f55e0", "color_scheme": "auto" })
        }
        ("CreateAlertRule" | "UpdateAlertRule", "rule_config") => json!({ "threshold": 0.1, "per": "endpoint" }),
        ("CreateChannel" | "UpdateChannel", "config") => json!({ "url": "https://hooks.slack.com/services/T000/B000/token" }),
        ("CreateView" | "UpdateView", "filters") => json!({ "status": "failed", "event_type": "invoice.paid" }),
        ("SendMessage" | "TestEndpoint", "payload") => json!({ "invoice_id": 42 }),
        ("SendMessage", "channels") => json!(["project_42"]),
        ("CreateApiKey", "scopes") => json!("messages:write"),
        ("CreateApiKey", "networks") => json!(["10.0.0.0/8"]),
        ("Recover", "statuses") => json!(["exhausted", "skipped"]),
        ("Replay", "statuses") => json!(["delivered"]),
        ("AuditEntry", "before") => json!({ "rate_limit_per_second": null }),
        ("AuditEntry", "after") => json!({ "rate_limit_per_second": 10 }),
        ("Statement", "params") => json!({ "due_at": "2026-11-24T08:05:00.000Z", "step": 2, "steps": 10 }),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_with_words_are_in_the_document() {
        let document = crate::document_json();
        let schemas = document["components"]["schemas"].as_object().expect("schemas");
        for (schema, field, set) in FIELDS {
            let found = schemas
                .iter()
                .filter(|(name, _)| schema == "*" || *name == schema)
                .any(|(_, schema)| !schema["properties"][field].is_null());
            assert!(found, "there is no {schema}.{field}");
            assert!(!set.words.is_empty());
        }
    }

    #[test]
    fn words_in_a_description_are_an_enum() {
        let document = crate::document_json();
        let mut missing = Vec::new();
        for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
            for (field, property) in schema["properties"].as_object().into_iter().flatten() {
                let description = property["description"].as_str().unwrap_or_default();
                let lists_words = description.starts_with('`') && description.contains("` or `");
                let is_text = property["type"] == "string" || property["type"][0] == "string";
                if lists_words
                    && is_text
                    && property["enum"].is_null()
                    && property["x-extensible-enum"].is_null()
                    && property["format"].is_null()
                {
                    missing.push(format!("{name}.{field}: {description}"));
                }
            }
        }
        assert!(missing.is_empty(), "{missing:#?}");
    }
}
