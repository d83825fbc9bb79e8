//! Text of an explanation: a block per endpoint, a bar per part of an attempt.

use std::fmt::Write;

use serde::Deserialize;

/// Response of the API, with the fields that are shown.
#[derive(Debug, Deserialize)]
pub(super) struct ExplainResponse {
    pub(super) explanation: Explanation,
}

#[derive(Debug, Deserialize)]
pub(super) struct Explanation {
    message: Message,
    summary: String,
    as_of: String,
    endpoints: Vec<Endpoint>,
    unmatched_left_out: usize,
}

#[derive(Debug, Deserialize)]
struct Message {
    id: String,
    event_type: String,
    event_id: Option<String>,
    size_bytes: Option<usize>,
    content_type: Option<String>,
    status: String,
    accepted_at: String,
}

#[derive(Debug, Deserialize)]
struct Endpoint {
    endpoint_id: String,
    endpoint_url: Option<String>,
    endpoint_status: String,
    status: String,
    reason: Option<String>,
    why: String,
    next_step: Option<String>,
    attempts: Vec<Attempt>,
}

#[derive(Debug, Deserialize)]
struct Attempt {
    attempt_number: u32,
    trigger_type: String,
    created_at: String,
    status: String,
    response_status: Option<u16>,
    error: Option<String>,
    duration_ms: u64,
    waterfall: Option<Waterfall>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
struct Waterfall {
    queue_ms: f64,
    dns_ms: Option<f64>,
    connect_ms: Option<f64>,
    tls_ms: Option<f64>,
    write_ms: Option<f64>,
    first_byte_ms: Option<f64>,
    read_ms: Option<f64>,
}

/// Number of characters that stand for a whole attempt.
const WIDTH: usize = 40;

/// Returns an explanation as text.
pub(super) fn as_text(explanation: &Explanation) -> String {
    let Explanation { message, summary, as_of, endpoints, unmatched_left_out } = explanation;
    let mut text = String::new();
    let event_id = message.event_id.as_ref().map_or_else(String::new, |id| format!(", event_id {id}"));
    let payload = match (message.size_bytes, &message.content_type) {
        (Some(size), Some(content_type)) => format!("{size} bytes of {content_type}"),
        _ => "payload expired".to_owned(),
    };
    line(&mut text, "", &format!("message   {}  {}, {payload}", message.id, message.event_type));
    line(&mut text, "", &format!("accepted  {}{event_id}", message.accepted_at));
    line(&mut text, "", &format!("status    {} as of {as_of}", message.status));
    line(&mut text, "", summary);
    for endpoint in endpoints {
        text.push('\n');
        show_endpoint(&mut text, endpoint);
    }
    if *unmatched_left_out > 0 {
        let _ = writeln!(text, "\n… and {unmatched_left_out} more endpoints that did not match");
    }
    text
}

fn show_endpoint(text: &mut String, endpoint: &Endpoint) {
    let url = endpoint.endpoint_url.as_deref().unwrap_or("(deleted endpoint)");
    line(text, "", &format!("{url}  ({}, {})", endpoint.endpoint_id, endpoint.endpoint_status));
    let reason = endpoint.reason.as_ref().map_or_else(String::new, |reason| format!(", {reason}"));
    line(text, "  ", &format!("{}{reason}: {}", endpoint.status, endpoint.why));
    if let Some(next) = &endpoint.next_step {
        line(text, "  ", &format!("next: {next}"));
    }
    for attempt in &endpoint.attempts {
        show_attempt(text, attempt);
    }
}

fn show_attempt(text: &mut String, attempt: &Attempt) {
    let Attempt { attempt_number, trigger_type, created_at, status, response_status, error, duration_ms, waterfall } = attempt;
    let answered = response_status.map_or_else(|| "no answer".to_owned(), |status| format!("answered {status}"));
    line(text, "  ", &format!("attempt {attempt_number}  {created_at}  {trigger_type}, {status}, {answered}, {duration_ms} ms"));
    if let Some(error) = error {
        line(text, "    ", error);
    }
    if let Some(waterfall) = waterfall {
        for bar in bars(*waterfall, *duration_ms) {
            line(text, "    ", &bar);
        }
    }
}

/// Returns a waterfall as lines: name, duration, and a bar at its position in the attempt. An incomplete phase is a
/// bar of its own. The wait in the queue precedes the attempt and has no bar.
fn bars(waterfall: Waterfall, duration_ms: u64) -> Vec<String> {
    let Waterfall { queue_ms, dns_ms, connect_ms, tls_ms, write_ms, first_byte_ms, read_ms } = waterfall;
    let parts =
        [("dns", dns_ms), ("connect", connect_ms), ("tls", tls_ms), ("write", write_ms), ("first byte", first_byte_ms), ("read", read_ms)];
    let mut parts: Vec<_> = parts.into_iter().filter_map(|(name, took)| took.map(|took| (name, took, '█'))).collect();
    let sum: f64 = parts.iter().map(|(_, took, _)| took).sum();
    let rest = duration_ms as f64 - sum;
    if read_ms.is_none() && rest >= 0.0 {
        parts.push(("failed", rest, '░'));
    }
    let total: f64 = parts.iter().map(|(_, took, _)| took).sum();
    let mut lines = vec![format!("{:<10}{queue_ms:>12.3} ms", "queue")];
    let mut begins = 0.0;
    for (name, took, mark) in parts {
        lines.push(format!("{name:<10}{took:>12.3} ms  {}", bar(begins, took, total, mark)));
        begins += took;
    }
    lines
}

/// Returns a bar that starts at `begins` and lasts `took`, where [`WIDTH`] characters are `total`; at least one
/// character.
fn bar(begins: f64, took: f64, total: f64, mark: char) -> String {
    let (mut before, mut until) = (0, 0);
    for column in 1..=WIDTH {
        // The middle of the column decides.
        let at = (column as f64 - 0.5) / WIDTH as f64 * total;
        before += usize::from(at < begins);
        until += usize::from(at < begins + took);
    }
    let before = before.min(WIDTH - 1);
    " ".repeat(before) + &mark.to_string().repeat(until.saturating_sub(before).max(1))
}

/// Adds a line without control characters, which a terminal would obey: receivers control some of the text.
fn line(text: &mut String, indent: &str, content: &str) {
    text.push_str(indent);
    text.extend(content.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }));
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn text(explanation: Value) -> String {
        as_text(&serde_json::from_value(explanation).expect("an explanation"))
    }

    fn explanation(endpoints: &[Value]) -> Value {
        json!({
            "message": {
                "id": "019dc1e2a3b47c5d8e9f001122334455", "application_id": "a", "event_type": "invoice.paid", "event_id": "order-1",
                "size_bytes": 1234, "content_type": "application/json", "status": "pending", "accepted_at": "2026-11-24T08:00:00.000Z",
            },
            "summary": "It is for 1 endpoint: 1 pending.",
            "as_of": "2026-11-24T08:01:00.000Z",
            "endpoints": endpoints,
            "unmatched_left_out": 0,
        })
    }

    #[test]
    fn message_is_shown_with_endpoints_and_attempts() {
        let waterfall = json!({
            "queue_ms": 1.0, "dns_ms": 10.0, "connect_ms": 20.0, "tls_ms": 30.0, "write_ms": 0.05, "first_byte_ms": 100.25, "read_ms": 0.002,
        });
        let broke_off = json!({
            "queue_ms": 0.0, "dns_ms": null, "connect_ms": null, "tls_ms": null, "write_ms": 0.1, "first_byte_ms": null, "read_ms": null,
        });
        let try_of = |number: u32, status: Option<u16>, error: &str, duration: u64, waterfall: &Value| {
            json!({
                "attempt_number": number, "trigger_type": "initial", "created_at": "2026-11-24T08:00:00.001Z", "status": "failed",
                "response_status": status, "error": error, "duration_ms": duration, "waterfall": waterfall,
            })
        };
        let matched = json!({
            "endpoint_id": "019d", "endpoint_url": "https://acme.example/hooks", "endpoint_status": "active", "status": "pending",
            "reason": null, "why": "Try 3 of 10 is due at 2026-11-24T08:05:00.000Z.", "next_step": "It is tried again by itself.",
            "attempts": [
                try_of(1, Some(503), "http_status: the receiver responded with 503", 160, &waterfall),
                try_of(2, None, "timeout: no response within 20000 ms", 20_000, &broke_off),
                try_of(3, None, "dns_failed: no such name", 4, &Value::Null),
            ],
        });
        let unmatched = json!({
            "endpoint_id": "019e", "endpoint_url": null, "endpoint_status": "deleted", "status": "unmatched", "reason": "type_not_wanted",
            "why": "The endpoint wants user.created, and not invoice.paid.", "next_step": null, "attempts": [],
        });
        let expected = "\
message   019dc1e2a3b47c5d8e9f001122334455  invoice.paid, 1234 bytes of application/json
accepted  2026-11-24T08:00:00.000Z, event_id order-1
status    pending as of 2026-11-24T08:01:00.000Z
It is for 1 endpoint: 1 pending.

https://acme.example/hooks  (019d, active)
  pending: Try 3 of 10 is due at 2026-11-24T08:05:00.000Z.
  next: It is tried again by itself.
  attempt 1  2026-11-24T08:00:00.001Z  initial, failed, answered 503, 160 ms
    http_status: the receiver responded with 503
    queue            1.000 ms
    dns             10.000 ms  ██
    connect         20.000 ms    █████
    tls             30.000 ms         ████████
    write            0.050 ms                 █
    first byte     100.250 ms                 █████████████████████████
    read             0.002 ms                                         █
  attempt 2  2026-11-24T08:00:00.001Z  initial, failed, no answer, 20000 ms
    timeout: no response within 20000 ms
    queue            0.000 ms
    write            0.100 ms  █
    failed       19999.900 ms  ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░
  attempt 3  2026-11-24T08:00:00.001Z  initial, failed, no answer, 4 ms
    dns_failed: no such name

(deleted endpoint)  (019e, deleted)
  unmatched, type_not_wanted: The endpoint wants user.created, and not invoice.paid.
";
        assert_eq!(text(explanation(&[matched, unmatched])), expected);
    }

    #[test]
    fn bar_is_proportional_and_in_bounds() {
        let check = |begins, took, total, expected: (usize, usize)| {
            let bar = bar(begins, took, total, '█');
            let blanks = bar.chars().take_while(|char| *char == ' ').count();
            assert_eq!((blanks, bar.chars().count() - blanks), expected, "{begins} {took} {total}");
        };
        check(0.0, 40.0, 40.0, (0, 40));
        check(10.0, 20.0, 40.0, (10, 20));
        check(40.0, 0.0, 40.0, (39, 1));
        check(0.0, 0.0, 0.0, (0, 1));
        check(0.0, 0.000_1, 60_000.0, (0, 1));
        check(f64::NAN, f64::INFINITY, 40.0, (0, 1));
    }

    #[test]
    fn control_characters_are_not_shown() {
        let mut hostile = explanation(&[]);
        hostile["summary"] = "a\u{1b}[2Jb\u{9b}31mc\rd\ne".into();
        assert!(text(hostile).contains("\na\u{fffd}[2Jb\u{fffd}31mc\u{fffd}d\u{fffd}e\n"));
    }

    #[test]
    fn expired_payload_is_reported() {
        let mut expired = explanation(&[]);
        expired["message"]["size_bytes"] = Value::Null;
        expired["message"]["content_type"] = Value::Null;
        assert!(text(expired).starts_with("message   019dc1e2a3b47c5d8e9f001122334455  invoice.paid, payload expired\n"));
    }

    #[test]
    fn left_out_endpoints_are_counted() {
        let mut many = explanation(&[]);
        many["unmatched_left_out"] = 7.into();
        assert!(text(many).ends_with("\n\n… and 7 more endpoints that did not match\n"));
    }
}
