//! Form of a notification in each service, and what hostile texts and many facts become there.

use std::borrow::Cow;

use bytes::Bytes;
use hookstream_model::{
    base::{ids::TargetId, secret::Secret},
    delivery::outcome::FailureKind,
    outbound::{
        message::ContentType,
        signature::{SigningKey, SigningKeys},
    },
};
use serde_json::json;

use super::*;
use crate::services::mail::MailError;

fn told(state: State, severity: Severity, facts: usize, text: &str) -> Told {
    let fact = |number: usize| (format!("{text} {number}"), text.repeat(20));
    let notification = Notification {
        state,
        severity,
        title: format!("Failures: {text}"),
        summary: format!("It fails: {text}"),
        facts: (0..facts).map(fact).collect(),
        links: vec![("Open alerts".to_owned(), "https://hooks.example.com/dashboard/alerts?org=1&env=2".to_owned())],
        dedup_key: "hookstream-rule-1".to_owned(),
        is_ongoing: false,
    };
    Told { notification, at: "2026-11-24T08:30:00Z".parse().expect("a time") }
}

fn firing() -> Told {
    told(State::Firing, Severity::Critical, 2, "a")
}

#[test]
fn colors_tell_state_and_severity() {
    let colors = [
        (State::Firing, Severity::Critical, "#d63333"),
        (State::Firing, Severity::Warning, "#e08a00"),
        (State::Firing, Severity::Notice, "#3b7dd8"),
        (State::Resolved, Severity::Critical, "#2e9e5b"),
    ];
    for (state, severity, color) in colors {
        assert_eq!(slack::render(&told(state, severity, 0, "a"))["attachments"][0]["color"], color);
    }
}

#[test]
fn pagerduty_resolves_an_incident_once_nothing_of_it_lasts() {
    let event = |state, is_ongoing| {
        let mut told = told(state, Severity::Warning, 1, "a");
        told.notification.is_ongoing = is_ongoing;
        pagerduty::render(&told, &Secret::new("R0"))
    };
    let fired = event(State::Firing, true);
    assert_eq!((&fired["event_action"], &fired["payload"]["severity"]), (&json!("trigger"), &json!("warning")));
    assert_eq!(fired["payload"]["summary"], "Failures: a: It fails: a");
    assert_eq!(event(State::Resolved, true)["event_action"], "trigger");
    let resolved = event(State::Resolved, false);
    assert_eq!((&resolved["event_action"], &resolved["dedup_key"]), (&json!("resolve"), &fired["dedup_key"]));
    assert_eq!(fired["links"], json!([{ "href": "https://hooks.example.com/dashboard/alerts?org=1&env=2", "text": "Open alerts" }]));
}

#[test]
fn texts_of_users_have_no_meaning_in_a_service() {
    let hostile = "<!channel> @everyone *b* [x](http://evil.example) <script>&\"";
    let told = told(State::Firing, Severity::Critical, 2, hostile);
    let slack = slack::render(&told);
    assert!(!slack["attachments"][0]["blocks"][1].to_string().contains("<!channel>"), "{slack}");
    let discord = discord::render(&told);
    assert_eq!(discord["allowed_mentions"], json!({ "parse": [] }));
    assert!(discord["embeds"][0]["description"].as_str().expect("text").contains("\\[x\\]"), "{discord}");
    assert!(teams::render(&told).to_string().contains("\\\\[x\\\\]"));
    let telegram = telegram::render(&told, "-1");
    let text = telegram["text"].as_str().expect("text");
    assert!(text.contains("&lt;script&gt;&amp;") && !text.contains("<script>"), "{text}");
    let html = email::html(&told.notification);
    assert!(!html.contains("<script>") && html.contains("&lt;script&gt;"), "{html}");
}

#[test]
fn longest_notification_keeps_the_limits_of_every_service() {
    // Characters of four bytes are the worst case of a limit in bytes.
    let told = told(State::Firing, Severity::Critical, 30, &"😀".repeat(500));
    let characters = |value: &Value| value.as_str().map_or(0, |text| text.chars().count());
    let slack = slack::render(&told);
    let blocks = slack["attachments"][0]["blocks"].as_array().expect("blocks");
    assert!(blocks.len() <= 50 && characters(&blocks[0]["text"]["text"]) <= 150);
    for block in blocks {
        assert!(characters(&block["text"]["text"]) <= 3_000);
        let fields = block["fields"].as_array().map_or(&[][..], Vec::as_slice);
        assert!(fields.len() <= 10 && fields.iter().all(|field| characters(&field["text"]) <= 2_000));
    }
    let discord = discord::render(&told);
    let embed = &discord["embeds"][0];
    let fields = embed["fields"].as_array().expect("fields");
    let all = characters(&embed["title"])
        + characters(&embed["description"])
        + characters(&embed["footer"]["text"])
        + fields.iter().map(|field| characters(&field["name"]) + characters(&field["value"])).sum::<usize>();
    assert!(all <= 6_000 && fields.len() <= 25 && characters(&embed["title"]) <= 256, "{all}");
    let teams = teams::render(&told).to_string();
    assert!(teams.len() <= 28 * 1024, "{}", teams.len());
    assert!(characters(&pagerduty::render(&told, &Secret::new("R0"))["payload"]["summary"]) <= 1_024);
    assert!(characters(&telegram::render(&told, "-1")["text"]) <= 4_096);
}

#[test]
fn single_fact_is_the_summary_and_is_not_repeated() {
    let told = told(State::Firing, Severity::Warning, 1, "a");
    assert_eq!(discord::render(&told)["embeds"][0]["fields"], json!([]));
    assert!(!slack::render(&told).to_string().contains("fields"));
    assert!(slack::render(&firing()).to_string().contains("fields"));
}

#[test]
fn payload_without_a_notification_is_shown_as_it_is() {
    let key = SigningKey::parse(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).expect("a key");
    let keys = SigningKeys::new(key, vec![]);
    let envelope = |body: &'static str| Envelope {
        id: Cow::Borrowed("019dc1e2a3b47c5d8e9f001122334455"),
        target_id: TargetId::from_bytes([1; 16]),
        event_type: Some("invoice.paid"),
        body: Bytes::from_static(body.as_bytes()),
        content_type: ContentType::Json,
        attempt: 1,
        hops: 1,
        batch_size: None,
        keys: &keys,
        signed_at: Timestamp::EPOCH,
        trace: None,
    };
    for body in ["not JSON", "{\"data\":{\"state\":\"firing\"}}", "[]"] {
        let told = Told::read(&envelope(body));
        assert_eq!((told.notification.title.as_str(), told.notification.summary.as_str()), ("invoice.paid", body));
    }
    let mut data = firing().notification.to_json();
    data.insert("rule".to_owned(), json!({}));
    let body = json!({ "type": "alert.firing", "timestamp": "2026-11-24T08:30:00Z", "data": data }).to_string();
    let told = Told::read(&envelope(body.leak()));
    assert_eq!((told.notification, told.at), (firing().notification, firing().at));
}

#[test]
fn failure_of_a_mail_has_the_word_of_its_cause() {
    for (error, kind) in [
        (MailError::TimedOut, FailureKind::Timeout),
        (MailError::NoStartTls, FailureKind::TlsFailed),
        (MailError::SignIn(Some(535)), FailureKind::AccessRefused),
        (MailError::Refused(Some(550)), FailureKind::MessageRefused),
        (MailError::Broken, FailureKind::ConnectionReset),
    ] {
        assert_eq!(email::kind(&error), kind);
    }
}
