//! Quotas: limits of an organization, from the settings or the operator, are never exceeded.

use hookstream_model::operations::quota::Month;
use hookstream_testkit::{eventually, receiver::Receiver};
use http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    outbound::expiry::{now, stop},
    support::{Scratch, Server, TestClient, hookstream, scratch},
};

/// Runs `hookstream admin quotas` on a store. Returns whether it succeeded, and its output.
fn admin(scratch: &Scratch, arguments: &[&str]) -> (bool, String) {
    let mut command = hookstream();
    command.args(["admin", "quotas"]).args(arguments);
    match &scratch.database {
        None => command.arg("--data-dir").arg(scratch.path()),
        Some(database) => command.args(["--database-url", &database.url()]),
    };
    let output = command.output().expect("the command runs");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

async fn usage(client: &TestClient) -> Value {
    let (status, response) = client.get("/v1/billing/usage").await;
    assert_eq!(status, 200, "{response}");
    response
}

/// Sends `number` requests at once. Returns how many responses were 201; the others must report this quota.
async fn at_once(client: &TestClient, number: usize, path: &str, body: impl Fn(usize) -> Value, quota: (u16, &str, u64)) -> usize {
    let mut requests = JoinSet::new();
    for index in 0..number {
        let (client, path, body) = (client.clone(), path.to_owned(), body(index));
        requests.spawn(async move { client.post(&path, body).await });
    }
    let mut created = 0;
    while let Some(response) = requests.join_next().await {
        let (status, response) = response.expect("no panic");
        if status == 201 {
            created += 1;
            continue;
        }
        assert_eq!((status, &response["code"]), (quota.0, &json!("quota_reached")), "{response}");
        assert_eq!((&response["details"]["quota"], &response["details"]["limit"]), (&json!(quota.1), &json!(quota.2)), "{response}");
    }
    created
}

#[tokio::test(flavor = "multi_thread")]
async fn creation_stops_exactly_at_the_quota() {
    let scratch = scratch();
    let arguments = ["--quota-applications", "2", "--quota-endpoints-per-application", "3", "--quota-event-types", "1"];
    let server = Server::start(&scratch, &[&arguments[..], &["--quota-environments", "2"]].concat());
    let client = &server.client;
    let named = |index: usize| json!({ "name": "A customer", "uid": format!("customer-{index}") });
    assert_eq!(at_once(client, 8, "/v1/applications", named, (403, "applications", 2)).await, 2);
    let (_, page) = client.get("/v1/applications").await;
    let uids: Vec<_> = page["applications"].as_array().expect("a page").iter().filter_map(|it| it["uid"].as_str()).collect();
    assert_eq!(uids.len(), 2);
    for uid in &uids {
        let url = |_| json!({ "url": "http://127.0.0.1:9/" });
        assert_eq!(at_once(client, 6, &format!("/v1/applications/{uid}/endpoints"), url, (403, "endpoints_per_application", 3)).await, 3);
    }
    let typed = |index: usize| json!({ "name": format!("type.number-{index}") });
    assert_eq!(at_once(client, 4, "/v1/event-types", typed, (403, "event_types", 1)).await, 1);
    let staged = |index: usize| json!({ "name": "Another", "slug": format!("another-{index}") });
    assert_eq!(at_once(client, 4, "/v1/environments", staged, (403, "environments", 2)).await, 1);

    let shown = usage(client).await;
    assert_eq!(shown["plan"], "self_hosted");
    assert_eq!(shown["applications"], json!({ "used": 2, "limit": 2 }));
    assert_eq!(shown["event_types"], json!({ "used": 1, "limit": 1 }));
    assert_eq!(shown["environments"], json!({ "used": 2, "limit": 2 }));
    assert_eq!(shown["endpoints_per_application"], 3);
    assert_eq!(shown["sources"], json!({ "used": 0, "limit": null }));
    assert_eq!(shown["destinations"], json!({ "used": 0, "limit": null }));
    assert_eq!((&shown["events"]["limit"], &shown["events"]["percentage"]), (&Value::Null, &json!(0.0)));
    assert_eq!(shown["retention_days"], 30);

    // A deletion frees quota, and a repeated idempotency key gets its response even if the quota is used up.
    let path = format!("/v1/applications/{}", uids[0]);
    assert_eq!(client.delete(&path).await.0, 200);
    let body = json!({ "name": "The last", "uid": "last" }).to_string();
    let create = async || client.send(Method::POST, "/v1/applications", &[("idempotency-key", "once")], body.clone()).await;
    let first = create().await;
    assert_eq!(first.0, 201, "{}", first.1);
    assert_eq!(create().await, first);
    let (status, refused) = client.post("/v1/applications", named(99)).await;
    assert_eq!((status, &refused["code"]), (403, &json!("quota_reached")));
    let error = refused["error"].as_str().expect("a sentence");
    assert!(error.contains("2 applications") && error.contains("quota applications"), "{error}");

    // A deleted environment frees quota, and can be restored only if there is some.
    let (_, page) = client.get("/v1/environments").await;
    let other = page["environments"].as_array().expect("both").iter().find(|it| it["slug"] != "production").expect("the other");
    let other = format!("/v1/environments/{}", other["id"].as_str().expect("an id"));
    assert_eq!(client.delete(&other).await.0, 200);
    assert_eq!(client.post("/v1/environments", staged(99)).await.0, 201);
    let (status, refused) = client.post(&format!("{other}/restore"), json!({})).await;
    assert_eq!((status, &refused["details"]["quota"]), (403, &json!("environments")), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_stop_at_the_quota_until_the_month_ends() {
    let scratch = scratch();
    let receiver = Receiver::start().await;
    let server = Server::start(&scratch, &["--quota-events-per-month", "6"]);
    let client = &server.client;
    let endpoint = client.acme(json!({}), &receiver.url()).await;
    // A test counts as a message too.
    let test = format!("/v1/applications/acme/endpoints/{}/test", endpoint["id"].as_str().expect("an id"));
    assert_eq!(client.post(&test, json!({})).await.0, 201);
    let body = json!({ "event_type": "invoice.paid", "payload": 1 });
    let send = async |key: &str, body: &Value| {
        client.send(Method::POST, "/v1/applications/acme/messages", &[("idempotency-key", key)], body.to_string()).await
    };
    let first = send("first", &body).await;
    assert_eq!(first.0, 201, "{}", first.1);
    // Neither a repetition nor a rejected request uses quota.
    assert_eq!(send("first", &body).await, first);
    assert_eq!(client.post("/v1/applications/acme/messages", json!({ "event_type": "no words", "payload": 1 })).await.0, 400);
    assert_eq!(at_once(client, 20, "/v1/applications/acme/messages", |_| body.clone(), (429, "events_per_month", 6)).await, 4);

    let refused = client.try_send(Method::POST, "/v1/applications/acme/messages", &[], body.to_string()).await.expect("a response");
    let month = Month::of(now());
    let wait: u64 = refused.headers()["retry-after"].to_str().expect("text").parse().expect("seconds");
    let until = month.end().start().since(now()).as_secs();
    assert!(wait.abs_diff(until) <= 5, "{wait} {until}");
    let rejection: Value = serde_json::from_slice(refused.body()).expect("JSON");
    assert_eq!(rejection["details"]["resets_at"], month.end().start().to_string());
    assert_eq!(client.post(&test, json!({})).await.0, 429);
    // A repeated idempotency key gets its response, and a key with another request is rejected as before.
    assert_eq!(send("first", &body).await, first);
    assert_eq!(send("first", &json!({ "event_type": "invoice.paid", "payload": 2 })).await.0, 422);
    assert_eq!(send("new", &body).await.0, 429);

    let shown = usage(client).await;
    assert_eq!((&shown["events"]["used"], &shown["events"]["limit"]), (&json!(6), &json!(6)));
    assert_eq!(shown["events"]["percentage"], json!(100.0));
    assert_eq!(shown["events"]["since"], month.first().start().to_string());
    // Accepted messages are delivered, and may be retried.
    let id = first.1["message"]["id"].as_str().expect("an id");
    client.until(id, "delivered").await;
    assert_eq!(client.post(&format!("/v1/applications/acme/messages/{id}/retry"), json!({})).await.0, 200);

    // Another process knows the count too.
    stop(server).await;
    let server = Server::start(&scratch, &["--quota-events-per-month", "7"]);
    eventually("the month's count is known", async || {
        let (status, _) = server.client.post("/v1/applications/acme/messages", body.clone()).await;
        (status == 429).then_some(())
    })
    .await;
    let used = usage(&server.client).await["events"]["used"].as_u64().expect("a number");
    assert!(used >= 7, "{used}");
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_sets_quotas_of_one_organization() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--quota-applications", "1"]);
    let named = |uid: &str| json!({ "name": "A customer", "uid": uid });
    assert_eq!(server.client.post("/v1/applications", named("one")).await.0, 201);
    assert_eq!(server.client.post("/v1/applications", named("two")).await.0, 403);
    let (_, environments) = server.client.get("/v1/environments").await;
    let organization = environments["environments"][0]["org_id"].as_str().expect("an id").to_owned();

    let set = ["set", "applications=2", "events_per_month=0", "retention_days=7", "--organization", &organization];
    let (is_done, output) = admin(&scratch, &set);
    assert!(is_done && output.contains("applications") && output.contains("set for it"), "{output}");
    let client = &server.client;
    // The limit applies on a running server within about a second.
    let path = "/v1/applications/one/messages";
    let message = json!({ "event_type": "invoice.paid", "payload": 1 });
    eventually("the message quota applies", async || (client.post(path, message.clone()).await.0 == 429).then_some(())).await;
    assert_eq!(client.post("/v1/applications", named("two")).await.0, 201);
    assert_eq!(client.post("/v1/applications", named("three")).await.0, 403);
    assert_eq!(usage(client).await["retention_days"], 7);
    let environment = format!("/v1/environments/{}", environments["environments"][0]["id"].as_str().expect("an id"));
    let (status, refused) = client.patch(&environment, json!({ "retention_days": 8 })).await;
    assert_eq!((status, &refused["code"], &refused["details"]["limit"]), (403, &json!("quota_reached"), &json!(7)), "{refused}");
    assert_eq!(client.patch(&environment, json!({ "retention_days": 6 })).await.0, 200);
    let (_, kept) = client.get("/v1/usage").await;
    assert_eq!(kept["usage"]["storage"]["retention_days"], 6);
    assert_eq!(client.patch(&environment, json!({ "retention_days": null })).await.0, 200);
    let (_, kept) = client.get("/v1/usage").await;
    assert_eq!(kept["usage"]["storage"]["retention_days"], 7);

    // A limit below the current number deletes nothing; after `clear`, the settings apply again.
    assert!(admin(&scratch, &["set", "applications=0", "events_per_month=none", "--organization", &organization]).0);
    eventually("the message quota is removed", async || (client.post(path, message.clone()).await.0 == 201).then_some(())).await;
    assert_eq!(client.get("/v1/applications/two").await.0, 200);
    assert_eq!(client.delete("/v1/applications/two").await.0, 200);
    assert_eq!(client.post("/v1/applications", named("two")).await.0, 403);
    let (is_done, output) = admin(&scratch, &["clear", "--organization", &organization]);
    assert!(is_done && !output.contains("set for it"), "{output}");
    stop(server).await;
    let (is_done, output) = admin(&scratch, &["show"]);
    assert!(is_done && output.contains(&organization), "{output}");
    for wrong in [&["set", "sources=1"][..], &["set", "applications"], &["set", "applications=-1"], &["set", "environments=0"], &["set"]] {
        let (is_done, output) = admin(&scratch, wrong);
        assert!(!is_done, "{wrong:?}: {output}");
    }
    let (is_done, output) = admin(&scratch, &["show", "--organization", &"9".repeat(32)]);
    assert!(!is_done && output.contains("there is no organization"), "{output}");
}
