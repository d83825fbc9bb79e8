//! PagerDuty: an event of the Events API v2. The key of the trouble makes all its events one incident, which an end resolves.

use hookstream_model::{
    base::secret::Secret,
    operations::{alerts::notification::State, problems::Severity},
};
use serde_json::{Map, Value, json};

use super::{Told, text::short};

/// Limit of `summary`, in characters.
const SUMMARY_MAX: usize = 1_024;
/// Limit of a detail, in characters: an event may have 512 KB.
const DETAIL_MAX: usize = 1_000;

pub(super) fn render(told: &Told, routing_key: &Secret) -> Value {
    let Told { notification, at } = told;
    let action = match notification.state {
        State::Resolved if !notification.is_ongoing => "resolve",
        // Some of the trouble lasts: the incident stays open, with what is known now.
        State::Resolved | State::Firing => "trigger",
    };
    let severity = match notification.severity {
        Severity::Critical => "critical",
        Severity::Warning => "warning",
        Severity::Notice => "info",
    };
    let details: Map<_, _> = notification.facts.iter().map(|(name, value)| (name.clone(), short(value, DETAIL_MAX).into())).collect();
    let link = |(text, url): &(String, String)| json!({ "href": url, "text": text });
    json!({
        "routing_key": routing_key.expose(),
        "event_action": action,
        "dedup_key": notification.dedup_key,
        "client": "Hookstream",
        "payload": {
            "summary": short(&format!("{}: {}", notification.title, notification.summary), SUMMARY_MAX),
            "source": "hookstream",
            "severity": severity,
            "timestamp": at.to_string(),
            "custom_details": details,
        },
        "links": notification.links.iter().map(link).collect::<Vec<_>>(),
    })
}
