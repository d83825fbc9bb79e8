//! Alert rules and notification channels of a running server: each trouble fires and resolves, each channel gets its form, and nothing is
//! lost when the process is killed between cause and notice.

use hookstream_testkit::{
    eventually,
    receiver::{CannedResponse, Receiver},
    services::MailServer,
};
use serde_json::{Value, json};
use standardwebhooks::Webhook;

use crate::support::{Server, TestClient, scratch};

/// Rules are evaluated each second.
const OFTEN: [&str; 2] = ["--alert-interval-s", "1"];

/// Creates a channel, and returns its id.
async fn channel(client: &TestClient, kind: &str, config: Value) -> String {
    let (status, created) = client.post("/v1/notification-channels", json!({ "name": kind, "channel_type": kind, "config": config })).await;
    assert_eq!(status, 201, "{created}");
    created["channel"]["id"].as_str().expect("an id").to_owned()
}

/// Creates a rule that tells these channels, and returns its id.
async fn rule(client: &TestClient, kind: &str, config: Value, channels: &[&str]) -> String {
    let body = json!({ "name": format!("Watch {kind}"), "rule_type": kind, "rule_config": config, "channel_ids": channels, "cooldown_minutes": 0 });
    let (status, created) = client.post("/v1/alert-rules", body).await;
    assert_eq!(status, 201, "{created}");
    created["alert_rule"]["id"].as_str().expect("an id").to_owned()
}

fn bodies(receiver: &Receiver) -> Vec<Value> {
    receiver.received().iter().map(|request| serde_json::from_slice(&request.body).expect("JSON")).collect()
}

/// Waits for a notification that a webhook got: of this state, and about this subject or any. Returns its data.
async fn told(receiver: &Receiver, state: &str, subject: &str) -> Value {
    let kind = format!("alert.{state}");
    eventually(&format!("{kind} of {subject}"), async || {
        let found = bodies(receiver).into_iter().find(|body| {
            let is_about = |alert: &Value| alert["subject"].as_str().is_some_and(|name| name.contains(subject));
            body["type"] == kind.as_str() && body["data"]["alerts"].as_array().is_some_and(|alerts| alerts.iter().any(is_about))
        });
        found.map(|body| body["data"].clone())
    })
    .await
}

async fn failing_endpoint(client: &TestClient) -> (Receiver, std::sync::Arc<std::sync::atomic::AtomicBool>) {
    let fails = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let flag = fails.clone();
    let receiver =
        Receiver::responding(move |_| CannedResponse::status(if flag.load(std::sync::atomic::Ordering::Relaxed) { 500 } else { 200 }))
            .await;
    client.acme(json!({ "uid": "main", "description": "Orders", "retry_schedule": [1] }), &receiver.url()).await;
    (receiver, fails)
}

#[tokio::test(flavor = "multi_thread")]
async fn failure_rate_fires_and_resolves_at_every_channel() {
    let scratch = scratch();
    let mail = MailServer::start(&json!({}));
    let smtp = format!("smtp://127.0.0.1:{}?tls=none", mail.port());
    let of_mail = [("HOOKSTREAM_SMTP_URL", smtp.as_str()), ("HOOKSTREAM_MAIL_FROM", "hooks@example.com")];
    let server = Server::start_with(&scratch, &[OFTEN[0], OFTEN[1], "--allow-targets", "127.0.0.0/8"], &of_mail, None);
    let client = &server.client;
    let service = Receiver::start().await;
    let url = |path: &str| format!("{}{path}", service.url().trim_end_matches('/'));
    let webhook = Receiver::start().await;
    let channels = [
        channel(client, "webhook", json!({ "url": webhook.url(), "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" })).await,
        channel(client, "slack", json!({ "url": url("/slack/T0/B0/secret-of-slack") })).await,
        channel(client, "discord", json!({ "url": url("/discord/secret-of-discord") })).await,
        channel(client, "teams", json!({ "url": url("/teams/secret-of-teams") })).await,
        channel(client, "pagerduty", json!({ "url": url("/pagerduty"), "routing_key": "R015SECRET" })).await,
        channel(client, "telegram", json!({ "url": url("/telegram"), "bot_token": "123:TOKEN", "chat_id": -100_123 })).await,
        channel(client, "email", json!({ "to": ["ada@example.com", "grace@example.com"] })).await,
    ];
    let ids: Vec<_> = channels.iter().map(String::as_str).collect();
    let rule_id =
        rule(client, "failure_rate", json!({ "threshold": 50, "window_minutes": 1, "min_attempts": 2, "per": "endpoint" }), &ids).await;
    let (_receiver, fails) = failing_endpoint(client).await;
    for number in 0..3 {
        client.message(json!({ "n": number })).await;
    }

    let fired = told(&webhook, "firing", "Orders").await;
    assert_eq!((&fired["severity"], &fired["rule"]["id"]), (&json!("critical"), &json!(rule_id)), "{fired}");
    assert!(fired["summary"].as_str().is_some_and(|text| text.contains("attempts failed in the last 1 min (100 %")), "{fired}");
    assert!(fired["channel_ids"].is_null(), "{fired}");
    let link = fired["links"][1]["url"].as_str().expect("a link");
    assert!(link.contains("/dashboard/applications/") && link.contains("/endpoints/"), "{link}");
    let signed = &webhook.received()[0];
    Webhook::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("a secret").verify(&signed.body, &signed.headers).expect("signed");
    let to = |path: &'static str| {
        let service = &service;
        async move {
            eventually(path, async || {
                service.received().into_iter().find(|request| request.path.contains(path)).map(|request| {
                    assert!(request.headers.get("webhook-signature").is_none(), "{path} is not signed");
                    serde_json::from_slice::<Value>(&request.body).expect("JSON")
                })
            })
            .await
        }
    };
    let slack = to("/slack/").await;
    assert_eq!(slack["attachments"][0]["blocks"][0]["text"]["text"], "Watch failure_rate: Orders", "{slack}");
    assert_eq!(slack["attachments"][0]["color"], "#d63333", "{slack}");
    let discord = to("/discord/").await;
    assert_eq!((&discord["embeds"][0]["title"], &discord["allowed_mentions"]["parse"]), (&json!("Watch failure_rate: Orders"), &json!([])));
    let teams = to("/teams/").await;
    assert_eq!(teams["attachments"][0]["contentType"], "application/vnd.microsoft.card.adaptive", "{teams}");
    let pager = to("/pagerduty").await;
    assert_eq!((&pager["event_action"], &pager["routing_key"]), (&json!("trigger"), &json!("R015SECRET")), "{pager}");
    let telegram = to("/telegram/bot123:TOKEN/sendMessage").await;
    assert_eq!((&telegram["chat_id"], &telegram["parse_mode"]), (&json!("-100123"), &json!("HTML")), "{telegram}");
    let mails = mail.wait_for(1).await;
    assert_eq!(mails[0].to, ["ada@example.com", "grace@example.com"]);
    assert_eq!(mails[0].header("Subject"), Some("Watch failure_rate: Orders"));
    assert!(mails[0].text.contains("text/html") && mails[0].text.contains("Open the endpoint"), "{}", mails[0].text);

    let alerts = client.get("/v1/alerts?state=firing").await.1;
    assert_eq!((&alerts["alerts"][0]["subject"], &alerts["alerts"][0]["state"]), (&json!("Orders"), &json!("firing")), "{alerts}");
    let listed = client.get("/v1/notification-channels").await.1;
    let shown = listed.to_string();
    for secret in ["secret-of", "R015SECRET", "TOKEN", "MfKQ9"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }

    fails.store(false, std::sync::atomic::Ordering::Relaxed);
    client.post("/v1/applications/acme/endpoints/main/reset-circuit", json!({})).await;
    for number in 0..10 {
        client.message(json!({ "again": number })).await;
    }
    let resolved = told(&webhook, "resolved", "Orders").await;
    assert_eq!((&resolved["state"], &resolved["is_ongoing"]), (&json!("resolved"), &json!(false)), "{resolved}");
    let closed = eventually("the incident is resolved", async || {
        let of_pager = service.received().into_iter().filter(|request| request.path.ends_with("/pagerduty"));
        of_pager
            .map(|request| serde_json::from_slice::<Value>(&request.body).expect("JSON"))
            .find(|event| event["event_action"] == "resolve")
    })
    .await;
    assert_eq!(closed["dedup_key"], pager["dedup_key"], "{closed}");
    mail.wait_for(2).await;
    let rules = client.get(&format!("/v1/alert-rules/{rule_id}")).await.1;
    assert_eq!(rules["alert_rule"]["trigger_count"], 1, "{rules}");
    assert_eq!(client.get("/v1/alerts?state=firing").await.1["alerts"], json!([]));
    let channel = client.get(&format!("/v1/notification-channels/{}", channels[0])).await.1;
    assert_eq!((&channel["channel"]["error_count"], &channel["channel"]["last_error"]), (&json!(0), &Value::Null), "{channel}");
    assert!(channel["channel"]["last_sent_at"].is_string(), "{channel}");
}

#[tokio::test(flavor = "multi_thread")]
async fn problems_and_exhausted_deliveries_fire_and_resolve_and_survive_a_crash() {
    let scratch = scratch();
    let server = Server::start(&scratch, &OFTEN);
    let client = &server.client;
    let webhook = Receiver::start().await;
    let to = channel(client, "webhook", json!({ "url": webhook.url() })).await;
    let (_receiver, fails) = failing_endpoint(client).await;
    rule(client, "problem", json!({}), &[&to]).await;
    rule(client, "dlq", json!({ "threshold": 2 }), &[&to]).await;
    for number in 0..2 {
        client.message(json!({ "n": number })).await;
    }
    told(&webhook, "firing", "Orders").await;
    let environment = client.get("/v1/environments").await.1["environments"][0]["name"].as_str().expect("a name").to_owned();
    let exhausted = told(&webhook, "firing", &environment).await;
    assert!(
        exhausted["summary"].as_str().is_some_and(|text| text.starts_with("2 deliveries of the last 7 days are exhausted")),
        "{exhausted}"
    );

    // What is found is stored with the event that tells of it, so a kill in between loses nothing.
    let told_before = bodies(&webhook).len();
    fails.store(false, std::sync::atomic::Ordering::Relaxed);
    let path = "/v1/applications/acme/endpoints/main";
    client.post(&format!("{path}/reset-circuit"), json!({})).await;
    let (status, job) = client.post(&format!("{path}/recover"), json!({ "since": "2020-01-01T00:00:00Z" })).await;
    assert_eq!(status, 201, "{job}");
    server.kill();
    let server = Server::start(&scratch, &OFTEN);
    told(&webhook, "resolved", &environment).await;
    told(&webhook, "resolved", "Orders").await;
    let ids: Vec<_> = webhook.received().iter().map(|request| request.headers["webhook-id"].clone()).collect();
    let unique: std::collections::BTreeSet<_> = ids.iter().map(|id| id.to_str().expect("text").to_owned()).collect();
    assert!(unique.len() >= told_before + 2, "{unique:?}");

    // A rule that is deleted while its alert fires tells of the end.
    let client = &server.client;
    fails.store(true, std::sync::atomic::Ordering::Relaxed);
    let last = rule(client, "dlq", json!({ "threshold": 1 }), &[&to]).await;
    client.message(json!({ "n": "late" })).await;
    let is_told = async |kind: &str| {
        let is_of_rule = |body: &Value| body["type"] == kind && body["data"]["rule"]["id"] == last.as_str();
        eventually(kind, async || bodies(&webhook).iter().any(is_of_rule).then_some(())).await;
    };
    is_told("alert.firing").await;
    assert_eq!(client.delete(&format!("/v1/alert-rules/{last}")).await.0, 200);
    is_told("alert.resolved").await;
    assert_eq!(client.get(&format!("/v1/alerts?rule_id={last}")).await.1["alerts"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn channel_is_tested_and_mistakes_are_named() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let client = &server.client;
    let good = Receiver::start().await;
    let id = channel(client, "slack", json!({ "webhook_url": good.url() })).await;
    let (status, tested) = client.post(&format!("/v1/notification-channels/{id}/test"), json!({})).await;
    assert_eq!((status, tested), (200, json!({ "success": true })));
    assert!(String::from_utf8_lossy(&good.received()[0].body).contains("Nothing is wrong"));
    let bad = Receiver::responding(|_| CannedResponse::status(404)).await;
    let id = channel(client, "teams", json!({ "url": bad.url() })).await;
    let (_, tested) = client.post(&format!("/v1/notification-channels/{id}/test"), json!({})).await;
    assert_eq!(tested["success"], false, "{tested}");
    assert!(tested["error"].as_str().is_some_and(|error| error.contains("404")), "{tested}");
    let seen = client.get(&format!("/v1/notification-channels/{id}")).await.1;
    assert_eq!((&seen["channel"]["error_count"], &seen["channel"]["last_sent_at"]), (&json!(1), &Value::Null), "{seen}");

    // An open circuit does not hold back a test.
    for _ in 0..7 {
        let (_, tested) = client.post(&format!("/v1/notification-channels/{id}/test"), json!({})).await;
        assert!(tested["error"].as_str().is_some_and(|error| error.contains("404")), "{tested}");
    }

    let path = "/v1/notification-channels";
    for (kind, config, field) in [
        ("sms", json!({}), "channel_type"),
        ("slack", json!({}), "config.url"),
        ("slack", json!({ "url": "ftp://example.com/" }), "config.url"),
        ("slack", json!({ "url": good.url(), "token": "x" }), "config"),
        ("pagerduty", json!({}), "config.routing_key"),
        ("telegram", json!({ "bot_token": "1:a" }), "config.chat_id"),
        ("webhook", json!({}), "config.url"),
        ("webhook", json!({ "url": good.url(), "secret": "short" }), "config.secret"),
        ("email", json!({ "to": "ada@example.com" }), "channel_type"),
    ] {
        let (status, refused) = client.post(path, json!({ "name": "n", "channel_type": kind, "config": config })).await;
        assert_eq!((status, &refused["details"]["field"]), (400, &json!(field)), "{kind}: {refused}");
    }
    // The key of a service goes to no other server than it was given for.
    let id = channel(client, "pagerduty", json!({ "routing_key": "R0SECRET" })).await;
    let (status, refused) = client.patch(&format!("{path}/{id}"), json!({ "config": { "url": good.url() } })).await;
    assert_eq!(status, 400, "{refused}");
    let (status, changed) =
        client.patch(&format!("{path}/{id}"), json!({ "config": { "url": good.url(), "routing_key": "R1" }, "enabled": 0 })).await;
    assert_eq!((status, &changed["channel"]["enabled"]), (200, &json!(0)), "{changed}");
    let (_, tested) = client.post(&format!("{path}/{id}/test"), json!({})).await;
    assert!(tested["error"].as_str().is_some_and(|error| error.contains("disabled")), "{tested}");
    assert_eq!(client.delete(&format!("{path}/{id}")).await.0, 200);
    assert_eq!(client.delete(&format!("{path}/{id}")).await.0, 404);
    for (config, expected) in [
        (json!({ "rule_type": "rain" }), "rule_type"),
        (json!({ "rule_type": "latency" }), "rule_config"),
        (json!({ "rule_type": "dlq", "application_id": "acme" }), "application_id"),
        (json!({ "rule_type": "problem", "channel_ids": ["019dc1e2a3b47c5d8e9f001122334455"] }), "channel_ids"),
        (json!({ "rule_type": "problem", "source_id": "019dc1e2a3b47c5d8e9f001122334455" }), "source_id"),
        (json!({ "rule_type": "problem", "cooldown_minutes": 100_000 }), "cooldown_minutes"),
    ] {
        let mut body = config.clone();
        body["name"] = "n".into();
        let (status, refused) = client.post("/v1/alert-rules", body).await;
        let is_expected = status == 400 && refused["details"]["field"] == expected || status == 404 && expected == "application_id";
        assert!(is_expected, "{config}: {refused}");
    }
}
