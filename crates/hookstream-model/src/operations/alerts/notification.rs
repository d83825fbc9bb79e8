//! Notification: what a channel is told, in a form that every service can be given.

use serde_json::{Map, Value, json};

use super::{alert::Alert, rule::AlertRule};
use crate::operations::problems::Severity;

/// Number of alerts that a notification lists; it counts the others.
pub const LISTED: usize = 20;
/// Number of facts that a channel shows.
const FACTS_MAX: usize = 25;

/// State that a notification tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Something is wrong.
    Firing,
    /// Everything has passed.
    Resolved,
}

impl State {
    /// Word in the payload.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

/// Notification, as channels render it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// State.
    pub state: State,
    /// How bad it is.
    pub severity: Severity,
    /// Title: one line.
    pub title: String,
    /// Summary: a few sentences.
    pub summary: String,
    /// Names and values, for example an alert's subject and what was found.
    pub facts: Vec<(String, String)>,
    /// Texts and URLs.
    pub links: Vec<(String, String)>,
    /// Key by which a service recognizes the same trouble.
    pub dedup_key: String,
    /// Whether some of the same trouble lasts, although this tells of an end.
    pub is_ongoing: bool,
}

impl Notification {
    /// Returns the form that [`Self::from_json`] reads, to which the sender may add fields.
    pub fn to_json(&self) -> Map<String, Value> {
        let pairs = |pairs: &[(String, String)], names: [&str; 2]| -> Vec<Value> {
            pairs.iter().map(|(one, other)| json!({ names[0]: one, names[1]: other })).collect()
        };
        let value = json!({
            "state": self.state.as_str(),
            "severity": self.severity.as_str(),
            "title": self.title,
            "summary": self.summary,
            "facts": pairs(&self.facts, ["name", "value"]),
            "links": pairs(&self.links, ["text", "url"]),
            "dedup_key": self.dedup_key,
            "is_ongoing": self.is_ongoing,
        });
        value.as_object().cloned().unwrap_or_default()
    }

    /// Reads the `data` of a payload; `None` if it is no notification.
    pub fn from_json(data: &Value) -> Option<Self> {
        let text = |name: &str| data.get(name)?.as_str().map(str::to_owned);
        let pairs = |name: &str, [one, other]: [&str; 2]| -> Vec<(String, String)> {
            let of = |pair: &Value| Some((pair.get(one)?.as_str()?.to_owned(), pair.get(other)?.as_str()?.to_owned()));
            data.get(name).and_then(Value::as_array).map(|pairs| pairs.iter().filter_map(of).take(FACTS_MAX).collect()).unwrap_or_default()
        };
        Some(Self {
            state: if data.get("state")?.as_str()? == State::Resolved.as_str() { State::Resolved } else { State::Firing },
            severity: Severity::parse(data.get("severity")?.as_str()?)?,
            title: text("title")?,
            summary: text("summary")?,
            facts: pairs("facts", ["name", "value"]),
            links: pairs("links", ["text", "url"]),
            dedup_key: text("dedup_key")?,
            is_ongoing: data.get("is_ongoing").and_then(Value::as_bool).unwrap_or(false),
        })
    }

    /// Builds the notification of a rule about alerts, which are at least one. `ongoing` is the number of its alerts that last.
    pub fn of_rule(rule: &AlertRule, state: State, alerts: &[&Alert], ongoing: usize) -> Self {
        let count = alerts.len();
        let severity = alerts.iter().map(|alert| alert.severity).min().unwrap_or(Severity::Warning);
        let name = &rule.name;
        let (title, mut summary) = match (state, alerts) {
            (State::Firing, [alert]) => (format!("{name}: {}", alert.subject.name), alert.summary.clone()),
            (State::Firing, _) => (format!("{name}: {count} alerts"), format!("{count} alerts fire.")),
            (State::Resolved, [alert]) => {
                (format!("Resolved: {name}: {}", alert.subject.name), "The condition is no longer met.".to_owned())
            }
            (State::Resolved, _) => (format!("Resolved: {name}: {count} alerts"), format!("{count} alerts have passed.")),
        };
        let others = match state {
            State::Firing => ongoing.saturating_sub(count),
            State::Resolved => ongoing,
        };
        if others > 0 {
            let verb = if others == 1 { "1 other alert lasts" } else { &format!("{others} other alerts last") };
            summary = format!("{summary} {verb}.");
        }
        let mut facts: Vec<_> = alerts.iter().take(LISTED).map(|alert| (alert.subject.name.clone(), alert.summary.clone())).collect();
        if count > LISTED {
            facts.push(("Further alerts".to_owned(), (count - LISTED).to_string()));
        }
        Self {
            state,
            severity,
            title,
            summary,
            facts,
            links: Vec::new(),
            dedup_key: format!("hookstream-rule-{}", rule.id),
            is_ongoing: ongoing > 0,
        }
    }
}
