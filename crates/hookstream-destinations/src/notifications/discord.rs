//! Discord: one embed. Mentions are off, so that no text of a user calls a whole server.

use serde_json::{Value, json};

use super::{
    Told, color,
    text::{plain_markdown, short},
};

/// Limits of an embed, in characters. Together they stay below its 6,000.
const TITLE_MAX: usize = 250;
const SUMMARY_MAX: usize = 1_000;
const FACTS_MAX: usize = 20;
const FACT_NAME_MAX: usize = 60;
const FACT_VALUE_MAX: usize = 120;
const LINKS_MAX: usize = 500;

pub(super) fn render(told: &Told) -> Value {
    let Told { notification, at } = told;
    let mut description = short(&plain_markdown(&notification.summary), SUMMARY_MAX);
    let link = |(text, url): &(String, String)| format!("[{}]({})", plain_markdown(text), url.replace([')', ' '], ""));
    let links = notification.links.iter().map(link).collect::<Vec<_>>().join(" · ");
    if !links.is_empty() && links.chars().count() <= LINKS_MAX {
        description = format!("{description}\n\n{links}");
    }
    let is_worth_listing = notification.facts.len() > 1;
    let field = |(name, value): &(String, String)| json!({ "name": short(&plain_markdown(name), FACT_NAME_MAX), "value": short(&plain_markdown(value), FACT_VALUE_MAX) });
    let fields: Vec<_> = notification.facts.iter().filter(|_| is_worth_listing).take(FACTS_MAX).map(field).collect();
    json!({
        "username": "Hookstream",
        "allowed_mentions": { "parse": [] },
        "embeds": [{
            "title": short(&notification.title, TITLE_MAX),
            "description": description,
            "color": color(notification),
            "fields": fields,
            "footer": { "text": format!("{} · {}", notification.state.as_str(), notification.severity.as_str()) },
            "timestamp": at.to_string(),
        }],
    })
}
