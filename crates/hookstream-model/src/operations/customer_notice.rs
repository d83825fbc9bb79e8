//! Mail to customers about their endpoints: what they may choose, and what each operational event becomes for them.
//!
//! A customer does not run the installation, so a notice names the endpoint and what to do, and nothing else of the sender.

use serde_json::Value;

use crate::{
    InvalidField,
    base::text::got,
    operations::{
        alerts::notification::{Notification, State},
        operational_event::{OperationalEvent, OperationalType},
        problems::Severity,
    },
};

/// Event that a customer may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CustomerEvent {
    /// An endpoint fails, fails for long, or works again.
    EndpointFailing,
    /// An endpoint was disabled.
    EndpointDisabled,
}

impl CustomerEvent {
    /// All events.
    pub const ALL: [Self; 2] = [Self::EndpointFailing, Self::EndpointDisabled];

    /// Word in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EndpointFailing => "endpoint_failing",
            Self::EndpointDisabled => "endpoint_disabled",
        }
    }

    /// Parses the word.
    ///
    /// # Errors
    /// Lists the allowed words.
    pub fn parse(word: &str) -> Result<Self, InvalidField> {
        let found = Self::ALL.into_iter().find(|event| event.as_str() == word);
        found.ok_or_else(|| {
            InvalidField::new("events", format!("must be a list of `endpoint_failing` and `endpoint_disabled`{}", got(word)))
        })
    }

    /// Operational events that are told.
    pub const fn types(self) -> &'static [OperationalType] {
        match self {
            Self::EndpointFailing => {
                &[OperationalType::CircuitOpened, OperationalType::EndpointFailing, OperationalType::EndpointRecovered]
            }
            Self::EndpointDisabled => &[OperationalType::EndpointDisabled],
        }
    }
}

/// Returns whether customers may be told of a type.
pub fn is_for_customers(kind: OperationalType) -> bool {
    CustomerEvent::ALL.iter().any(|event| event.types().contains(&kind))
}

/// Returns the `event_id` of the notice. A circuit may open often, which is told once a day for each endpoint.
pub fn event_id(event: &OperationalEvent) -> String {
    match (event.kind, event.endpoint) {
        (OperationalType::CircuitOpened, Some(endpoint)) => format!("{endpoint}.{}.{}", event.kind.as_str(), event.at.day()),
        _ => event.event_id(),
    }
}

/// Builds the notice of an event about an endpoint with this name. `link` leads to the endpoint.
pub fn notice(event: &OperationalEvent, endpoint: &str, link: String) -> Notification {
    let text = |name: &str| event.data.get(name).and_then(Value::as_str).unwrap_or_default();
    let (title, summary) = match event.kind {
        OperationalType::EndpointRecovered => {
            ("Your webhook endpoint works again", "The endpoint accepts messages again. What failed in the meantime is delivered by itself while it is retried.".to_owned())
        }
        OperationalType::EndpointDisabled => ("Your webhook endpoint is disabled", disabled(text("reason"))),
        OperationalType::EndpointFailing => {
            let (since, until) = (minute(text("failing_since")), minute(text("disabled_at_if_nothing_changes")));
            let summary = format!("Every attempt has failed since {since}. If nothing changes, the endpoint is disabled at {until}, and gets no further messages.");
            ("Your webhook endpoint keeps failing", summary)
        }
        _ => {
            ("Your webhook endpoint fails", "The last attempts failed, so the next ones wait longer. Messages are kept and retried. Check that the endpoint answers with a 2xx status in time.".to_owned())
        }
    };
    let is_good = event.kind == OperationalType::EndpointRecovered;
    let is_over = event.kind == OperationalType::EndpointDisabled;
    Notification {
        state: if is_good { State::Resolved } else { State::Firing },
        severity: if is_over { Severity::Critical } else { Severity::Warning },
        title: title.to_owned(),
        summary,
        facts: vec![("Endpoint".to_owned(), endpoint.to_owned())],
        links: vec![("Open the endpoint".to_owned(), link)],
        dedup_key: format!("endpoint-{}", event.endpoint.map_or_else(String::new, |id| id.to_string())),
        is_ongoing: !is_good,
    }
}

fn disabled(reason: &str) -> String {
    let why = match reason {
        "gone" => "The endpoint answered 410 (gone).",
        "asked_to_stop" => "The endpoint asked for no further messages (`webhook-delivery: disable`).",
        "" => "It was disabled by hand.",
        _ => "Every attempt failed for days.",
    };
    format!("{why} It gets no further messages. Once it works, enable it and recover what it missed.")
}

/// Returns a time to the minute, for people.
fn minute(text: &str) -> String {
    format!("{} UTC", text.get(..16).unwrap_or(text).replace('T', " "))
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;
    use crate::{
        base::{
            ids::{EndpointId, EnvironmentId, OrganizationId, ResourceId},
            time::Timestamp,
        },
        identity::tenancy::Tenant,
    };

    fn event(kind: OperationalType, data: &Value) -> OperationalEvent {
        OperationalEvent {
            id: ResourceId::from_bytes([1; 16]),
            tenant: Tenant { organization: OrganizationId::from_bytes([2; 16]), environment: EnvironmentId::from_bytes([3; 16]) },
            kind,
            at: "2026-11-24T08:30:00Z".parse::<Timestamp>().expect("a time"),
            application: None,
            endpoint: Some(EndpointId::from_bytes([4; 16])),
            data: data.as_object().cloned().unwrap_or_else(Map::new),
        }
    }

    #[test]
    fn each_event_has_a_notice_that_says_what_to_do() {
        let check = |kind, data: Value, title: &str, part: &str| {
            let notice = notice(&event(kind, &data), "https://example.com/hook", "https://app.example.com/".to_owned());
            assert_eq!(notice.title, title);
            assert!(notice.summary.contains(part), "{}", notice.summary);
            assert_eq!(notice.facts[0].1, "https://example.com/hook");
        };
        check(OperationalType::CircuitOpened, json!({}), "Your webhook endpoint fails", "2xx");
        let times = json!({ "failing_since": "2026-11-22T08:30:00.000Z", "disabled_at_if_nothing_changes": "2026-11-27T08:30:00.000Z" });
        check(OperationalType::EndpointFailing, times, "Your webhook endpoint keeps failing", "disabled at 2026-11-27 08:30 UTC");
        check(OperationalType::EndpointRecovered, json!({}), "Your webhook endpoint works again", "accepts messages");
        check(OperationalType::EndpointDisabled, json!({ "reason": "gone" }), "Your webhook endpoint is disabled", "410");
        check(OperationalType::EndpointDisabled, json!({ "reason": null }), "Your webhook endpoint is disabled", "by hand");
    }

    #[test]
    fn circuit_is_told_once_a_day() {
        let opened = event(OperationalType::CircuitOpened, &json!({}));
        assert_eq!(event_id(&opened), format!("{}.circuit.opened.2026-11-24", EndpointId::from_bytes([4; 16])));
        let disabled = event(OperationalType::EndpointDisabled, &json!({}));
        assert_eq!(event_id(&disabled), disabled.event_id());
        assert!(is_for_customers(OperationalType::CircuitOpened) && !is_for_customers(OperationalType::NodeLost));
    }

    #[test]
    fn words_are_parsed_and_unknown_ones_refused() {
        for event in CustomerEvent::ALL {
            assert_eq!(CustomerEvent::parse(event.as_str()), Ok(event));
        }
        assert!(CustomerEvent::parse("endpoint_created").is_err());
    }
}
