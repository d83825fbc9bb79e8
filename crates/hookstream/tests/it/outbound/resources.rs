//! Endpoint features: expiring secrets, uids, channels, pausing; and searching messages and attempts.

use hookstream_testkit::{
    eventually,
    receiver::{CannedResponse, Received, Receiver},
};
use http::Method;
use serde_json::{Value, json};

use crate::support::{Server, TestClient, scratch, visitor::Visitor};

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no text {name} in {value}"))
}

fn verifies(secret: &str, delivery: &Received) -> bool {
    standardwebhooks::Webhook::new(secret).expect("a secret").verify(&delivery.body, &delivery.headers).is_ok()
}

async fn endpoint(client: &TestClient, body: Value) -> Value {
    let (status, response) = client.post("/v1/applications/acme/endpoints", body).await;
    assert_eq!(status, 201, "{response}");
    response["endpoint"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn rotated_secret_signs_until_its_grace_period_ends() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let client = &server.client;
    let receiver = Receiver::start().await;
    let endpoint = client.acme(json!({ "uid": "main" }), &receiver.url()).await;
    let path = "/v1/applications/acme/endpoints/main";
    let first = text(&endpoint, "signing_secret").to_owned();
    let rotate = async |body: Value| client.post(&format!("{path}/rotate-secret"), body).await;

    // A duplicate rotation: the customer's secret continues to sign.
    let (_, second) = rotate(json!({})).await;
    let (status, third) = rotate(json!({ "grace_seconds": 600 })).await;
    assert_eq!(status, 200, "{third}");
    client.message(json!({})).await;
    let delivery = receiver.wait_for(1).await.remove(0);
    let (second, third) = (text(&second, "signing_secret"), text(&third, "signing_secret"));
    for secret in [&first, second, third] {
        assert!(verifies(secret, &delivery), "{secret}");
    }
    let (status, revealed) = client.get(&format!("{path}/secret")).await;
    assert_eq!((status, text(&revealed, "signing_secret")), (200, third));
    let previous: Vec<_> = revealed["previous_secrets"].as_array().expect("a list").iter().map(|one| text(one, "signing_secret")).collect();
    assert_eq!(previous, [second, &first], "sorted by end of grace, earliest first");

    // The same request again is the same rotation, addressed by id or uid.
    let by_id = format!("/v1/applications/{}/endpoints/{}/rotate-secret", text(&endpoint, "application_id"), text(&endpoint, "id"));
    let key = [("idempotency-key", "rot-1")];
    let once = client.send(Method::POST, &format!("{path}/rotate-secret"), &key, "{}").await;
    assert_eq!(client.send(Method::POST, &by_id, &key, "{}").await, once);
    assert_eq!(client.send(Method::POST, &by_id, &key, "{\"grace_seconds\":0}").await.0, 422);

    // A supplied secret, in another system's form; without grace the previous secret ends at once.
    let own = "raw:correct horse battery";
    let (status, response) = rotate(json!({ "signing_secret": format!(" {own}\n"), "grace_seconds": 0 })).await;
    assert_eq!((status, text(&response, "signing_secret")), (200, own), "{response}");
    let (status, response) = rotate(json!({ "signing_secret": own })).await;
    assert_eq!((status, &response["details"]["field"]), (400, &json!("signing_secret")), "{response}");
    client.message(json!({})).await;
    let delivery = receiver.wait_for(2).await.remove(1);
    assert!(!verifies(text(&once.1, "signing_secret"), &delivery));
    assert!(verifies("whsec_Y29ycmVjdCBob3JzZSBiYXR0ZXJ5", &delivery) && verifies(&first, &delivery));

    for body in [json!({ "grace_seconds": 604_801 }), json!({ "signing_secret": "whsec_AAAA" }), json!({ "signing_secret": "whsk_AAAA" })] {
        assert_eq!(rotate(body.clone()).await.0, 400, "{body}");
    }
    let differs = client.post(&format!("{path}/rotate-secret?grace_seconds=5"), json!({ "grace_seconds": 6 })).await;
    assert_eq!((differs.0, &differs.1["details"]["field"]), (400, &json!("grace_seconds")), "{}", differs.1);
    // Ten rotated secrets at once are the maximum.
    for _ in 3..10 {
        assert_eq!(rotate(json!({})).await.0, 200);
    }
    let (status, response) = rotate(json!({})).await;
    assert_eq!((status, &response["code"]), (409, &json!("too_many_secrets")), "{response}");
    assert!(text(&response, "error").contains(text(&response["details"], "oldest_ends_at")), "{response}");
    assert_eq!(rotate(json!({ "grace_seconds": 0 })).await.0, 200);

    // Each reveal leaves an audit log entry.
    let (_, log) = client.get("/v1/audit-log?action=endpoint.reveal_secret").await;
    let entries = log["entries"].as_array().or_else(|| log["audit_log"].as_array()).expect("entries");
    assert_eq!(entries.len(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_accept_prefixes_and_warn_about_unknown_types() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let client = &server.client;
    let receiver = Receiver::start().await;
    client.acme(json!({ "filter_types": ["invoice.*"] }), &receiver.url()).await;
    client.post("/v1/event-types", json!({ "name": "invoice.paid" })).await;
    let filter = json!({ "url": receiver.url(), "filter_types": ["invoice.piad", "invoice.*", "user.*", "*"], "uid": "second" });
    let (status, response) = client.post("/v1/applications/acme/endpoints", filter).await;
    let warnings = json!([
        "filter_types contains invoice.piad, but no event type has that name.",
        "filter_types contains user.*, but no event type has a name that begins with user."
    ]);
    assert_eq!((status, &response["warnings"]), (201, &warnings), "{response}");
    let (_, response) = client.patch("/v1/applications/acme/endpoints/second", json!({ "filter_types": ["invoice.paid"] })).await;
    assert_eq!(response["warnings"], Value::Null, "{response}");
    client.delete("/v1/applications/acme/endpoints/second").await;
    let send = async |event_type: &str| {
        let (_, sent) = client.post("/v1/applications/acme/messages", json!({ "event_type": event_type, "payload": 1 })).await;
        text(&sent["message"], "id").to_owned()
    };
    client.until(&send("invoice.paid.late").await, "delivered").await;
    client.until(&send("invoices.paid").await, "skipped").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn channels_select_endpoints() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let client = &server.client;
    let receivers = [Receiver::start().await, Receiver::start().await, Receiver::start().await];
    let all = client.acme(json!({}), &receivers[0].url()).await;
    let one = endpoint(client, json!({ "url": receivers[1].url(), "channels": ["p1"] })).await;
    let both = endpoint(client, json!({ "url": receivers[2].url(), "channels": "[\"p1\",\"p2\"]" })).await;
    assert_eq!(text(&both, "channels"), "[\"p1\",\"p2\"]");
    let matched = async |channels: Value| {
        let body = json!({ "event_type": "a.b", "payload": 1, "channels": channels });
        let (status, sent) = client.post("/v1/applications/acme/messages", body).await;
        assert_eq!(status, 201, "{sent}");
        let seen = client.until(text(&sent["message"], "id"), "delivered").await;
        let mut ids: Vec<_> =
            seen["deliveries"].as_array().expect("a list").iter().map(|one| text(one, "endpoint_id").to_owned()).collect();
        ids.sort_unstable();
        (text(&sent["message"], "id").to_owned(), ids)
    };
    let ids = |of: &[&Value]| {
        let mut ids: Vec<_> = of.iter().map(|endpoint| text(endpoint, "id").to_owned()).collect();
        ids.sort_unstable();
        ids
    };
    let (without, got) = matched(json!(null)).await;
    assert_eq!(got, ids(&[&all]));
    assert_eq!(matched(json!(["p1"])).await.1, ids(&[&all, &one, &both]));
    assert_eq!(matched(json!(["p2", "p3"])).await.1, ids(&[&all, &both]));
    let (_, explained) = client.get(&format!("/v1/messages/{without}/explain")).await;
    let of_one = explained["explanation"]["endpoints"].as_array().expect("a list").iter().find(|about| about["endpoint_id"] == one["id"]);
    let of_one = of_one.expect("an explanation of the endpoint");
    assert_eq!((&of_one["reason"], &of_one["statements"][0]["code"]), (&json!("other_channels"), &json!("other_channels")), "{of_one}");
    let (_, listed) = client.get("/v1/messages?channel=p2").await;
    assert_eq!(listed["messages"].as_array().map(Vec::len), Some(1), "{listed}");
    for channels in [json!([""]), json!(["a", "a"]), json!("x"), json!([1])] {
        let body = json!({ "event_type": "a.b", "payload": 1, "channels": channels });
        let (status, response) = client.post("/v1/applications/acme/messages", body).await;
        assert_eq!((status, &response["details"]["field"]), (400, &json!("channels")), "{response}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_endpoint_receives_its_messages_once_active_again() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let client = &server.client;
    let receiver = Receiver::start().await;
    for ordering in ["none", "strict"] {
        let endpoint = endpoint_of(client, ordering, &receiver).await;
        let path = format!("/v1/applications/{ordering}/endpoints/{endpoint}");
        let (status, response) = client.patch(&path, json!({ "status": "paused" })).await;
        assert_eq!((status, text(&response["endpoint"], "status")), (200, "paused"), "{response}");
        let before = receiver.received().len();
        let mut ids = Vec::new();
        for number in 0..20 {
            let body = json!({ "event_type": "a.b", "payload": number });
            let (_, sent) = client.post(&format!("/v1/applications/{ordering}/messages"), body).await;
            assert_eq!(sent["message"]["status"], "pending", "{sent}");
            ids.push(text(&sent["message"], "id").to_owned());
        }
        let (_, explained) = client.get(&format!("/v1/messages/{}/explain", ids[0])).await;
        let about = &explained["explanation"]["endpoints"][0];
        assert_eq!((&about["status"], &about["endpoint_status"]), (&json!("pending"), &json!("paused")), "{about}");
        assert!(text(about, "why").contains("The endpoint is paused"), "{about}");
        assert_eq!(client.post(&format!("{path}/test"), json!({})).await.1["code"], "endpoint_paused");
        assert_eq!(receiver.received().len(), before, "nothing was sent");
        let (status, response) = client.patch(&path, json!({ "status": "active" })).await;
        assert_eq!(status, 200, "{response}");
        let received = receiver.wait_for(before + 20).await;
        let got: Vec<_> = received[before..].iter().map(Received::id).collect();
        if ordering == "strict" {
            assert_eq!(got, ids);
        }
        assert!(ids.iter().all(|id| got.contains(id)));
    }
}

async fn endpoint_of(client: &TestClient, application: &str, receiver: &Receiver) -> String {
    client.post("/v1/applications", json!({ "name": application, "uid": application })).await;
    let body = json!({ "url": receiver.url(), "ordering": application });
    let (status, response) = client.post(&format!("/v1/applications/{application}/endpoints"), body).await;
    assert_eq!(status, 201, "{response}");
    text(&response["endpoint"], "id").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_and_attempts_are_searchable() {
    let directory = scratch();
    let server = Server::start(&directory, &["--retry-schedule", ""]);
    let client = &server.client;
    let (healthy, broken) = (Receiver::start().await, Receiver::responding(|_| CannedResponse::status(500)).await);
    let good = client.acme(json!({ "uid": "good" }), &healthy.url()).await;
    let bad = endpoint(client, json!({ "url": broken.url(), "uid": "bad", "filter_types": ["invoice.failed"] })).await;
    client.post("/v1/applications", json!({ "name": "Other", "uid": "other" })).await;
    let send = async |application: &str, event_type: &str, event_id: &str| {
        let body = json!({ "event_type": event_type, "payload": 1, "event_id": event_id });
        let (status, sent) = client.post(&format!("/v1/applications/{application}/messages"), body).await;
        assert_eq!(status, 201, "{sent}");
        sent["message"].clone()
    };
    let paid = send("acme", "invoice.paid", "Order-1").await;
    let failed = send("acme", "invoice.failed", "Order-2").await;
    let unmatched = send("other", "user.created", "User-1").await;
    client.until(text(&paid, "id"), "delivered").await;
    client.until(text(&failed, "id"), "failed").await;

    let found = async |query: &str| {
        let (status, response) = client.get(&format!("/v1/{query}")).await;
        assert_eq!(status, 200, "{query}: {response}");
        let ids: Vec<_> = response["messages"].as_array().expect("messages").iter().map(|message| text(message, "id").to_owned()).collect();
        ids
    };
    let ids = |messages: &[&Value]| messages.iter().map(|message| text(message, "id").to_owned()).collect::<Vec<_>>();
    let (good_id, bad_id) = (text(&good, "id"), text(&bad, "id"));
    let since = text(&failed, "created_at");
    for (query, expected) in [
        ("messages".to_owned(), ids(&[&unmatched, &failed, &paid])),
        ("applications/acme/messages".to_owned(), ids(&[&failed, &paid])),
        ("messages?status=failed".to_owned(), ids(&[&failed])),
        ("messages?status=failed,skipped".to_owned(), ids(&[&unmatched, &failed])),
        ("messages?status=delivered&status=skipped".to_owned(), ids(&[&unmatched, &paid])),
        ("messages?event_type=invoice.paid&event_type=user.created".to_owned(), ids(&[&unmatched, &paid])),
        ("applications/acme/messages?event_type=invoice.paid,invoice.failed".to_owned(), ids(&[&failed, &paid])),
        (format!("messages?endpoint_id={bad_id}"), ids(&[&failed])),
        ("applications/acme/messages?endpoint_id=good".to_owned(), ids(&[&failed, &paid])),
        ("messages?event_id=Order-2".to_owned(), ids(&[&failed])),
        ("messages?search=order-".to_owned(), ids(&[&failed, &paid])),
        (format!("messages?search={}", &text(&paid, "id")[20..]), ids(&[&paid])),
        (format!("messages?since={since}"), ids(&[&unmatched, &failed])),
        (format!("messages?until={since}"), ids(&[&paid])),
        ("messages?since=2999-01-01T00:00:00Z".to_owned(), ids(&[])),
    ] {
        // Neighbouring messages may have the same millisecond.
        let mut found = found(&query).await;
        if query.contains("since=2") || query.contains("until=2") {
            found.retain(|id| expected.contains(id));
        }
        assert_eq!(found, expected, "{query}");
    }
    for query in [
        "messages?status=lost",
        "messages?direction=up",
        "messages?since=x",
        "messages?cursor=x",
        "messages?event_type=a%20b",
        "attempts?status_code_class=6xx",
        "attempts?status=lost",
        "messages?status=",
        "messages?status=failed,",
        "messages?event_type=",
        "messages?direction=",
        "attempts?status=",
        "attempts?status_code_class=",
        "jobs?status=",
    ] {
        assert_eq!(client.get(&format!("/v1/{query}")).await.0, 400, "{query}");
    }
    let (status, by_id) = client.get(&format!("/v1/messages/{}", text(&failed, "id"))).await;
    assert_eq!((status, by_id["attempts"].as_array().map(Vec::len)), (200, Some(2)), "{by_id}");

    let attempts = async |query: &str| {
        let (status, response) = client.get(&format!("/v1/{query}")).await;
        assert_eq!(status, 200, "{query}: {response}");
        let of = |one: &Value| (text(one, "message_id").to_owned(), text(one, "endpoint_id").to_owned());
        let mut found: Vec<_> = response["attempts"].as_array().expect("attempts").iter().map(of).collect();
        found.sort_unstable();
        found
    };
    let expected = |of: &[(&Value, &str)]| {
        let mut expected: Vec<_> = of.iter().map(|(message, endpoint)| (text(message, "id").to_owned(), (*endpoint).to_owned())).collect();
        expected.sort_unstable();
        expected
    };
    let all = expected(&[(&paid, good_id), (&failed, good_id), (&failed, bad_id)]);
    for (query, expected) in [
        ("attempts".to_owned(), all.clone()),
        ("attempts?status=failed".to_owned(), expected(&[(&failed, bad_id)])),
        ("attempts?status_code_class=5xx".to_owned(), expected(&[(&failed, bad_id)])),
        ("attempts?status_code_class=none".to_owned(), vec![]),
        ("attempts?event_type=invoice.paid".to_owned(), expected(&[(&paid, good_id)])),
        (format!("attempts?endpoint_id={bad_id}"), expected(&[(&failed, bad_id)])),
        ("attempts?application_id=acme&endpoint_id=bad".to_owned(), expected(&[(&failed, bad_id)])),
        ("attempts?application_id=other".to_owned(), vec![]),
        ("attempts?until=2020-01-01T00:00:00Z".to_owned(), vec![]),
        ("attempts?since=2020-01-01T00:00:00Z".to_owned(), all),
        ("applications/acme/endpoints/bad/attempts".to_owned(), expected(&[(&failed, bad_id)])),
        ("applications/acme/endpoints/good/attempts?status=success".to_owned(), expected(&[(&paid, good_id), (&failed, good_id)])),
    ] {
        assert_eq!(attempts(&query).await, expected, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_stable_in_both_directions_while_rows_are_added() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let client = &server.client;
    let receiver = Receiver::start().await;
    client.acme(json!({}), &receiver.url()).await;
    endpoint(client, json!({ "url": receiver.url() })).await;
    client.post("/v1/applications", json!({ "name": "Other", "uid": "other" })).await;
    let mut sent = Vec::new();
    for number in 0..30 {
        let application = if number % 3 == 0 { "other" } else { "acme" };
        let body = json!({ "event_type": "a.b", "payload": number });
        let (_, response) = client.post(&format!("/v1/applications/{application}/messages"), body).await;
        sent.push(text(&response["message"], "id").to_owned());
    }
    receiver.wait_for(40).await;
    eventually("all attempts are recorded", async || {
        let (_, response) = client.get("/v1/attempts?limit=100").await;
        (response["attempts"].as_array().map(Vec::len) == Some(40)).then_some(())
    })
    .await;
    for list in ["attempts", "messages"] {
        let (of, expected) = ("id", if list == "attempts" { 40 } else { sent.len() });
        let before = sent.clone();
        let (mut older, mut cursor) = (Vec::new(), String::new());
        let last = loop {
            let (status, page) = client.get(&format!("/v1/{list}?limit=7&cursor={cursor}")).await;
            assert_eq!(status, 200, "{page}");
            older.extend(page[list].as_array().expect("rows").iter().map(|row| text(row, of).to_owned()));
            sent.push(client.message(json!("added")).await);
            if page["has_more"] == false {
                break page["prev_cursor"].clone();
            }
            cursor = text(&page, "cursor").to_owned();
        };
        let distinct: std::collections::BTreeSet<_> = older.iter().collect();
        assert_eq!((older.len(), distinct.len()), (expected, expected), "{list}");
        if list == "messages" {
            assert_eq!(older.iter().rev().cloned().collect::<Vec<_>>(), before);
        }
        // Backwards: everything newer than the last page, in pages sorted newest first.
        let mut cursor = last.as_str().expect("a cursor").to_owned();
        let mut newer = Vec::new();
        loop {
            let (status, page) = client.get(&format!("/v1/{list}?limit=7&direction=prev&cursor={cursor}")).await;
            assert_eq!(status, 200, "{page}");
            let mut rows: Vec<_> = page[list].as_array().expect("rows").iter().map(|row| text(row, of).to_owned()).collect();
            rows.reverse();
            newer.extend(rows);
            if page["has_more"] == false {
                break;
            }
            cursor = text(&page, "cursor").to_owned();
        }
        let on_last_page = if expected % 7 == 0 { 7 } else { expected % 7 };
        let back: std::collections::BTreeSet<_> = newer.iter().cloned().collect();
        assert_eq!(back.len(), newer.len(), "{list}: nothing is repeated");
        assert!(older[..expected - on_last_page].iter().all(|row| back.contains(row)), "{list}: nothing is skipped");
        assert!(older[expected - on_last_page..].iter().all(|row| !back.contains(row)), "{list}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_may_target_one_endpoint_or_the_failed_ones() {
    let directory = scratch();
    let server = Server::start(&directory, &["--retry-schedule", ""]);
    let client = &server.client;
    let (healthy, broken) = (Receiver::start().await, Receiver::responding(|_| CannedResponse::status(500)).await);
    client.acme(json!({ "uid": "good" }), &healthy.url()).await;
    endpoint(client, json!({ "url": broken.url(), "uid": "bad" })).await;
    let id = client.message(json!({})).await;
    client.until(&id, "failed").await;
    let retry = format!("/v1/applications/acme/messages/{id}/retry");
    assert_eq!(client.post(&retry, json!({ "only": "failed" })).await.1["retried"], true);
    eventually("the retry is recorded", async || {
        let (_, seen) = client.get(&format!("/v1/messages/{id}")).await;
        (seen["attempts"].as_array().map(Vec::len) == Some(3)).then_some(())
    })
    .await;
    assert_eq!(client.post(&format!("{retry}?endpoint_id=bad"), json!({})).await.1["retried"], true);
    broken.wait_for(3).await;
    assert_eq!(healthy.received().len(), 1, "a delivered message is not resent");
    assert_eq!(client.post(&format!("{retry}?endpoint_id=good&only=failed"), json!({})).await.1["retried"], false);
    for (query, body, expected) in [
        ("?endpoint_id=nobody", json!({}), 404),
        ("?only=all", json!({}), 400),
        ("?endpoint_id=good", json!({ "endpoint_id": "bad" }), 400),
    ] {
        assert_eq!(client.post(&format!("{retry}{query}"), body).await.0, expected, "{query}");
    }
    assert_eq!(client.post(&retry, json!({})).await.1["retried"], true);
    healthy.wait_for(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quota_of_a_new_organization_applies_from_its_first_message() {
    let directory = scratch();
    let server = Server::start(&directory, &["--quota-events-per-month", "5"]);
    let owner = Visitor::owner(&server).await;
    for name in ["Second", "Third"] {
        let (status, created) = owner.post("/v1/organizations", json!({ "name": name })).await;
        assert_eq!(status, 201, "{created}");
        let organization = text(&created["organization"], "id").to_owned();
        let application = json!({ "name": "A", "uid": "a", "org_id": organization });
        assert_eq!(owner.post("/v1/applications", application).await.0, 201);
        let mut accepted = 0;
        for number in 0..12 {
            let body = json!({ "event_type": "a.b", "payload": number, "org_id": organization });
            let (status, response) = owner.post("/v1/applications/a/messages", body).await;
            match status {
                201 => accepted += 1,
                429 => assert_eq!(response["code"], "quota_reached", "{response}"),
                _ => panic!("{status}: {response}"),
            }
        }
        assert_eq!(accepted, 5, "{name}");
    }
}
