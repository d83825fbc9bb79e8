//! Output of a received delivery: text, or JSON.

use std::fmt::Write;

use http::HeaderMap;
use serde_json::{Value, json};

use super::{Delivery, Signature, header};

/// Maximum number of characters of a body in the text.
const BODY_SHOWN: usize = 4_000;

/// Returns a delivery as text.
pub(crate) fn as_text(delivery: &Delivery) -> String {
    let Delivery { at, method, path, headers, body, signature, answered } = delivery;
    let mut text = format!("{at}  {method} {path}\n");
    for (name, value) in shown_headers(headers) {
        let _ = writeln!(text, "  {name}: {value}");
    }
    let shown: String = body_text(body).chars().take(BODY_SHOWN).collect();
    let _ = writeln!(text, "\n  {}\n", shown.replace('\n', "\n  "));
    if body.len() > shown.len() {
        let _ = writeln!(text, "  … {} bytes in all", body.len());
    }
    let signature = match signature {
        Signature::Unchecked => "not checked (no --secret was given)".to_owned(),
        Signature::Verified => "verified".to_owned(),
        Signature::Refused(problem) => format!("REFUSED: {problem}"),
    };
    let _ = writeln!(text, "  {} bytes, signature {signature}, answered {}", body.len(), answered.as_u16());
    text
}

/// Returns a delivery as one JSON object.
pub(crate) fn as_json(delivery: &Delivery) -> String {
    let Delivery { at, method, path, headers, body, signature, answered } = delivery;
    let headers: serde_json::Map<String, Value> = headers
        .iter()
        .map(|(name, value)| (name.to_string(), Value::String(String::from_utf8_lossy(value.as_bytes()).into_owned())))
        .collect();
    let (verified, problem) = match signature {
        Signature::Unchecked => (None, None),
        Signature::Verified => (Some(true), None),
        Signature::Refused(problem) => (Some(false), Some(problem)),
    };
    json!({
        "received_at": at.to_string(),
        "method": method.as_str(),
        "path": path,
        "headers": headers,
        "body": body_text(body),
        "verified": verified,
        "problem": problem,
        "answered": answered.as_u16(),
    })
    .to_string()
}

fn body_text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}

/// Returns the headers that are relevant to a webhook.
fn shown_headers(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let is_shown = |name: &str| name.starts_with("webhook-") || name.starts_with("x-") || name == "content-type" || name == "user-agent";
    headers.keys().map(http::HeaderName::as_str).filter(move |name| is_shown(name)).map(|name| (name, header(headers, name)))
}
