//! Evaluation in process, with a clock that is set: what fires, resolves and waits, from the numbers of real deliveries.

use std::time::Duration;

use hookstream_model::operations::quota::Quota;
use hookstream_testkit::receiver::{CannedResponse, Receiver};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::tests::{Client, Installation, invalid_field, refused, text};

const MINUTE: Duration = Duration::from_secs(60);

async fn rule(client: &Client, kind: &str, config: Value) -> String {
    let body = json!({ "name": kind, "rule_type": kind, "rule_config": config, "cooldown_minutes": 0 });
    let (status, created) = client.post("/v1/alert-rules", body).await;
    assert_eq!(status, 201, "{created}");
    text(&created["alert_rule"], "id").to_owned()
}

impl Installation {
    /// Evaluates the rules, and returns the subjects and summaries of what fires.
    async fn firing(&self) -> Vec<String> {
        self.api.evaluate_rules(&CancellationToken::new()).await.expect("evaluated");
        let (status, alerts) = self.client.get("/v1/alerts?state=firing").await;
        assert_eq!(status, 200, "{alerts}");
        let line = |alert: &Value| format!("{}: {}", text(alert, "subject"), text(alert, "summary"));
        let mut firing: Vec<_> = alerts["alerts"].as_array().expect("alerts").iter().map(line).collect();
        firing.sort();
        firing
    }
}

/// Creates two endpoints of `acme`, of which one fails once and is tried again after an hour.
async fn one_fails(client: &Client) -> [Receiver; 2] {
    let receivers = [Receiver::start().await, Receiver::responding(|_| CannedResponse::status(503)).await];
    client.acme(json!({ "description": "Good" }), &receivers[0].url()).await;
    let bad = json!({ "url": receivers[1].url(), "uid": "bad", "description": "Bad", "retry_schedule": [3600] });
    let (status, created) = client.post("/v1/applications/acme/endpoints", bad).await;
    assert_eq!(status, 201, "{created}");
    receivers
}

/// Sends messages, and waits until each was attempted.
async fn send(client: &Client, number: usize) {
    for n in 0..number {
        let id = client.message(json!({ "n": n })).await;
        hookstream_testkit::eventually("two attempts", async || {
            let (_, seen) = client.get(&format!("/v1/messages/{id}")).await;
            (seen["attempts"].as_array().map(Vec::len) == Some(2)).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn failure_rate_looks_at_all_as_one_or_at_each() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let _receivers = one_fails(client).await;
    send(client, 3).await;
    rule(client, "failure_rate", json!({ "threshold": 60, "min_attempts": 1 })).await;
    assert_eq!(installation.firing().await, [""; 0]);
    rule(client, "failure_rate", json!({ "threshold": 50, "min_attempts": 7 })).await;
    assert_eq!(installation.firing().await, [""; 0]);
    rule(client, "failure_rate", json!({ "threshold": 50, "min_attempts": 1 })).await;
    let of_all = "production: 3 of 6 attempts failed in the last 15 min (50 %; threshold 50 %).";
    assert_eq!(installation.firing().await, [of_all]);
    let each = rule(client, "failure_rate", json!({ "threshold": 50, "min_attempts": 1, "per": "endpoint" })).await;
    let of_one = "Bad: 3 of 3 attempts failed in the last 15 min (100 %; threshold 50 %).";
    assert_eq!(installation.firing().await, [of_one, of_all]);
    let (_, alerts) = client.get(&format!("/v1/alerts?rule_id={each}")).await;
    let alert = &alerts["alerts"][0];
    assert_eq!(
        (&alert["severity"], &alert["state"], alerts["alerts"].as_array().map(Vec::len)),
        (&json!("critical"), &json!("firing"), Some(1))
    );
    rule(client, "failure_rate", json!({ "threshold": 50, "min_attempts": 1, "per": "application" })).await;
    assert!(installation.firing().await.iter().any(|line| line.starts_with("Acme: 3 of 6")));
    installation.advance(MINUTE * 16);
    assert_eq!(installation.firing().await, [""; 0]);
    let (_, alerts) = client.get(&format!("/v1/alerts?rule_id={each}")).await;
    assert_eq!(alerts["alerts"][0]["state"], "resolved", "{alerts}");
    refused(&client.get("/v1/alerts?rule_id=x").await, 404, "not_found");
    invalid_field(&client.get("/v1/alerts?state=over").await, "state");
}

#[tokio::test]
async fn rule_of_an_endpoint_looks_at_it_alone() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let _receivers = one_fails(client).await;
    send(client, 2).await;
    let made = |subject: Value| {
        let config = json!({ "threshold": 50, "min_attempts": 1 });
        let mut body = json!({ "name": "one", "rule_type": "failure_rate", "rule_config": config });
        body.as_object_mut().expect("an object").extend(subject.as_object().expect("an object").clone());
        async move { client.post("/v1/alert-rules", body).await }
    };
    let (status, created) = made(json!({ "application_id": "acme", "endpoint_id": "bad" })).await;
    assert_eq!(status, 201, "{created}");
    assert_eq!(installation.firing().await, ["Bad: 2 of 2 attempts failed in the last 15 min (100 %; threshold 50 %)."]);
    invalid_field(&made(json!({ "endpoint_id": "bad" })).await, "application_id");
    refused(&made(json!({ "application_id": "nobody" })).await, 404, "not_found");
    refused(&made(json!({ "application_id": "acme", "endpoint_id": "nobody" })).await, 404, "not_found");
}

#[tokio::test]
async fn backlog_fires_once_its_oldest_delivery_is_old_and_resolves_once_it_arrives() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let _receivers = one_fails(client).await;
    rule(client, "backlog_age", json!({ "threshold_minutes": 30 })).await;
    rule(client, "backlog_age", json!({ "threshold_minutes": 40, "per": "endpoint" })).await;
    send(client, 2).await;
    assert_eq!(installation.firing().await, [""; 0]);
    installation.advance(MINUTE * 31);
    let firing = installation.firing().await;
    let [line] = &firing[..] else { panic!("{firing:?}") };
    assert!(line.starts_with("production: The oldest of 2 pending deliveries fell due 31 min ago"), "{line}");
    installation.advance(MINUTE * 10);
    let firing = installation.firing().await;
    assert!(firing.len() == 2 && firing[0].starts_with("Bad: The oldest of 2 pending"), "{firing:?}");
    client.patch("/v1/applications/acme/endpoints/bad", json!({ "status": "disabled" })).await;
    // The next attempt of each is skipped.
    installation.advance(MINUTE * 30);
    let end = tokio::time::Instant::now() + Duration::from_secs(10);
    while !installation.firing().await.is_empty() {
        assert!(tokio::time::Instant::now() < end, "{:?}", installation.firing().await);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn drop_is_measured_against_the_day_before() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let _receivers = one_fails(client).await;
    rule(client, "volume_drop", json!({ "threshold": 0.5, "window_minutes": 10, "min_messages": 4 })).await;
    send(client, 5).await;
    installation.advance(MINUTE * 5);
    assert_eq!(installation.firing().await, [""; 0]);
    installation.advance(MINUTE * 60 * 24);
    let firing = installation.firing().await;
    assert_eq!(firing, ["production: 0 in the last 10 min, 5 at the same time a day before (100 % less; threshold 50 %)."]);
    installation.advance(MINUTE * 20);
    assert_eq!(installation.firing().await, [""; 0]);
}

#[tokio::test]
async fn quota_is_a_problem_until_the_month_ends() {
    let installation = Installation::start().await;
    let client = &installation.client;
    let _receivers = one_fails(client).await;
    rule(client, "problem", json!({ "kinds": ["quota"], "severity": "notice" })).await;
    installation.limit(Quota::EventsPerMonth, 4);
    send(client, 3).await;
    assert_eq!(installation.firing().await, [""; 0]);
    send(client, 1).await;
    let firing = installation.firing().await;
    assert!(firing.len() == 1 && firing[0].starts_with("Organization: Quota:"), "{firing:?}");
    // Another month.
    installation.advance(MINUTE * 60 * 24 * 31);
    assert_eq!(installation.firing().await, [""; 0]);
}

#[tokio::test]
async fn rule_is_changed_disabled_and_bounded() {
    let mut installation = Installation::start().await;
    let stranger = installation.another_tenant().await;
    let client = installation.client.clone();
    let _receivers = one_fails(&client).await;
    send(&client, 2).await;
    let id = rule(&client, "failure_rate", json!({ "threshold": 0.1, "min_attempts": 1 })).await;
    let path = format!("/v1/alert-rules/{id}");
    assert_eq!(installation.firing().await.len(), 1);
    refused(&stranger.get(&path).await, 404, "not_found");
    refused(&stranger.delete(&path).await, 404, "not_found");
    assert_eq!(stranger.get("/v1/alerts").await.1["alerts"], json!([]));
    let quiet = json!({ "from": "22:00", "to": "07:00", "time_zone": "Europe/Berlin" });
    let change = json!({ "enabled": false, "description": "off", "rule_config": { "threshold": 0.2, "quiet_hours": quiet } });
    let (status, changed) = client.patch(&path, change).await;
    let changed = &changed["alert_rule"];
    assert_eq!((status, &changed["enabled"], &changed["description"]), (200, &json!(0), &json!("off")), "{changed}");
    let config: Value = serde_json::from_str(text(changed, "rule_config")).expect("JSON");
    assert_eq!((&config["threshold"], &config["min_attempts"], &config["quiet_hours"]), (&json!(0.2), &json!(10), &quiet));
    assert_eq!(installation.firing().await, [""; 0]);
    invalid_field(&client.patch(&path, json!({ "rule_config": { "threshold": 0 } })).await, "rule_config");
    invalid_field(&client.patch(&path, json!({ "name": "" })).await, "name");
    assert_eq!(client.patch(&path, json!({})).await.0, 400);
    for number in 1..100 {
        rule(&client, "dlq", json!({ "threshold": number })).await;
    }
    let (status, full) = client.post("/v1/alert-rules", json!({ "name": "one more", "rule_type": "dlq" })).await;
    assert_eq!((status, &full["code"]), (409, &json!("too_many_alert_rules")), "{full}");
    let (_, page) = client.get("/v1/alert-rules?limit=60").await;
    assert_eq!((page["alert_rules"].as_array().map(Vec::len), &page["has_more"]), (Some(60), &json!(true)));
    let cursor = text(&page, "cursor");
    let (_, page) = client.get(&format!("/v1/alert-rules?limit=60&cursor={cursor}")).await;
    assert_eq!((page["alert_rules"].as_array().map(Vec::len), &page["has_more"]), (Some(40), &json!(false)));
    assert_eq!(client.delete(&path).await.0, 200);
    refused(&client.get(&path).await, 404, "not_found");
}
