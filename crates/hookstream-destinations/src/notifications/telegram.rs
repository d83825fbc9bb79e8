//! Telegram: a message of a bot, in its HTML notation.

use hookstream_model::operations::{alerts::notification::State, problems::Severity};
use serde_json::{Value, json};

use super::{
    Told,
    text::{attribute, escaped, short},
};

/// Limit of a message is 4,096 characters after its entities are read.
const TITLE_MAX: usize = 250;
const SUMMARY_MAX: usize = 1_000;
const FACT_NAME_MAX: usize = 60;
const FACT_VALUE_MAX: usize = 160;
/// Characters of all facts.
const FACTS_MAX: usize = 2_200;

pub(super) fn render(told: &Told, chat_id: &str) -> Value {
    let notification = &told.notification;
    let mark = match (notification.state, notification.severity) {
        (State::Resolved, _) => '✅',
        (State::Firing, Severity::Critical) => '🔴',
        (State::Firing, Severity::Warning) => '🟠',
        (State::Firing, Severity::Notice) => '🔵',
    };
    let mut parts = vec![
        format!("{mark} <b>{}</b>", escaped(&short(&notification.title, TITLE_MAX))),
        escaped(&short(&notification.summary, SUMMARY_MAX)),
    ];
    if notification.facts.len() > 1 {
        let (mut lines, mut used) = (Vec::new(), 0);
        for (name, value) in &notification.facts {
            let (name, value) = (short(name, FACT_NAME_MAX), short(value, FACT_VALUE_MAX));
            used += name.chars().count() + value.chars().count() + 3;
            if used > FACTS_MAX {
                break;
            }
            lines.push(format!("<b>{}</b>: {}", escaped(&name), escaped(&value)));
        }
        parts.push(lines.join("\n"));
    }
    let link = |(text, url): &(String, String)| format!("<a href=\"{}\">{}</a>", attribute(url), escaped(text));
    let links = notification.links.iter().map(link).collect::<Vec<_>>().join(" · ");
    if !links.is_empty() {
        parts.push(links);
    }
    json!({ "chat_id": chat_id, "text": parts.join("\n\n"), "parse_mode": "HTML", "link_preview_options": { "is_disabled": true } })
}
