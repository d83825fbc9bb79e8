//! Slack: blocks (Block Kit) in an attachment with the color, and a text for the notification on a phone.

use serde_json::{Value, json};

use super::{
    Told, color,
    text::{escaped, short},
};

/// Limits of Block Kit, in characters, with room for escapes.
const HEADER_MAX: usize = 150;
const SECTION_MAX: usize = 2_500;
/// Facts in a message: each is a field of a section, of which a section has ten at most.
const FACTS_MAX: usize = 20;
const FACT_MAX: usize = 600;

pub(super) fn render(told: &Told) -> Value {
    let Told { notification, at } = told;
    let mut blocks = vec![
        json!({ "type": "header", "text": { "type": "plain_text", "text": short(&notification.title, HEADER_MAX) } }),
        json!({ "type": "section", "text": { "type": "mrkdwn", "text": escaped(&short(&notification.summary, SECTION_MAX)) } }),
    ];
    // One fact says what the summary says.
    if notification.facts.len() > 1 {
        for facts in notification.facts[..notification.facts.len().min(FACTS_MAX)].chunks(10) {
            let field = |(name, value): &(String, String)| {
                let text = format!("*{}*\n{}", escaped(&short(name, FACT_MAX)), escaped(&short(value, FACT_MAX)));
                json!({ "type": "mrkdwn", "text": text })
            };
            blocks.push(json!({ "type": "section", "fields": facts.iter().map(field).collect::<Vec<_>>() }));
        }
    }
    if !notification.links.is_empty() {
        let link = |(text, url): &(String, String)| format!("<{}|{}>", url.replace(['<', '>', '|'], ""), escaped(text));
        let links = notification.links.iter().map(link).collect::<Vec<_>>().join(" · ");
        blocks.push(json!({ "type": "section", "text": { "type": "mrkdwn", "text": short(&links, SECTION_MAX) } }));
    }
    let seconds = at.as_seconds();
    let footer = format!(
        "{} · {} · <!date^{seconds}^{{date_short_pretty}} {{time_secs}}|{at}>",
        notification.state.as_str(),
        notification.severity.as_str()
    );
    blocks.push(json!({ "type": "context", "elements": [{ "type": "mrkdwn", "text": footer }] }));
    let fallback = escaped(&short(&format!("{}: {}", notification.title, notification.summary), SECTION_MAX));
    json!({
        "text": fallback,
        "attachments": [{ "color": format!("#{:06x}", color(notification)), "blocks": blocks }],
    })
}
