//! Microsoft Teams: an adaptive card, as incoming webhooks of workflows take it. A card may have 28 KB.

use hookstream_model::operations::{alerts::notification::State, problems::Severity};
use serde_json::{Value, json};

use super::{
    Told,
    text::{plain_markdown, short},
};

/// Limits in characters, so that a card of characters of four bytes still has less than 28 KB.
const TITLE_MAX: usize = 250;
const SUMMARY_MAX: usize = 1_000;
const FACTS_MAX: usize = 20;
const FACT_NAME_MAX: usize = 60;
const FACT_VALUE_MAX: usize = 160;

pub(super) fn render(told: &Told) -> Value {
    let Told { notification, at } = told;
    let style = match (notification.state, notification.severity) {
        (State::Resolved, _) => "good",
        (State::Firing, Severity::Critical) => "attention",
        (State::Firing, Severity::Warning) => "warning",
        (State::Firing, Severity::Notice) => "accent",
    };
    let block = |text: String| json!({ "type": "TextBlock", "text": text, "wrap": true });
    let mut title = block(plain_markdown(&short(&notification.title, TITLE_MAX)));
    (title["size"], title["weight"]) = ("Large".into(), "Bolder".into());
    let mut body = vec![
        json!({ "type": "Container", "style": style, "bleed": true, "items": [title] }),
        block(plain_markdown(&short(&notification.summary, SUMMARY_MAX))),
    ];
    if notification.facts.len() > 1 {
        let fact = |(name, value): &(String, String)| json!({ "title": plain_markdown(&short(name, FACT_NAME_MAX)), "value": plain_markdown(&short(value, FACT_VALUE_MAX)) });
        let facts: Vec<_> = notification.facts.iter().take(FACTS_MAX).map(fact).collect();
        body.push(json!({ "type": "FactSet", "facts": facts }));
    }
    let mut footer = block(format!("{} · {} · {at}", notification.state.as_str(), notification.severity.as_str()));
    (footer["isSubtle"], footer["size"]) = (true.into(), "Small".into());
    body.push(footer);
    let action = |(text, url): &(String, String)| json!({ "type": "Action.OpenUrl", "title": text, "url": url });
    let actions: Vec<_> = notification.links.iter().map(action).collect();
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "msteams": { "width": "Full" },
                "body": body,
                "actions": actions,
            },
        }],
    })
}
