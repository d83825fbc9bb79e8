//! Several nodes on one database.

use std::{collections::BTreeSet, time::Duration};

use hookstream_testkit::{
    eventually,
    receiver::{CannedResponse, Receiver},
};
use http::Method;
use serde_json::{Value, json};

use crate::support::{Server, scratch};

/// Closes all other connections to the database.
pub(crate) const BREAK_CONNECTIONS: &str = "do $$ begin
    perform pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid();
end $$";

#[tokio::test(flavor = "multi_thread")]
async fn change_on_one_node_applies_on_every_node_at_once() {
    let scratch = scratch();
    let (one, two) = (Server::start(&scratch, &[]), Server::start(&scratch, &[]));
    let receiver = Receiver::start().await;
    one.client.acme(json!({ "filter_types": ["other"] }), &receiver.url()).await;
    // Both nodes cache the application without the endpoint that is created next.
    for server in [&one, &two] {
        let id = server.client.message(json!({})).await;
        server.client.until(&id, "skipped").await;
    }
    for round in 0..20 {
        let (changes, sends) = if round % 2 == 0 { (&one, &two) } else { (&two, &one) };
        let (status, response) = changes.client.post("/v1/applications/acme/endpoints", json!({ "url": receiver.url() })).await;
        assert_eq!(status, 201, "{response}");
        let id = sends.client.message(json!({ "round": round })).await;
        sends.client.until(&id, "delivered").await;
        let path = format!("/v1/applications/acme/endpoints/{}", response["endpoint"]["id"].as_str().expect("an id"));
        let (status, _) = changes.client.patch(&path, json!({ "status": "disabled" })).await;
        assert_eq!(status, 200);
        let (_, response) =
            sends.client.post("/v1/applications/acme/messages", json!({ "event_type": "invoice.paid", "payload": {} })).await;
        assert_eq!(response["message"]["status"], "skipped", "round {round}");
        assert_eq!(changes.client.delete(&path).await.0, 200);
        let (status, _) = sends.client.get(&path).await;
        assert_eq!(status, 404);
    }
    assert_eq!(receiver.received().len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn node_shows_the_latest_change_of_another_node() {
    let scratch = scratch();
    let (one, two) = (Server::start(&scratch, &[]), Server::start(&scratch, &[]));
    let endpoint = one.client.acme(json!({}), "http://127.0.0.1:9/0").await;
    let path = format!("/v1/applications/acme/endpoints/{}", endpoint["id"].as_str().expect("an id"));
    let id = two.client.message(json!({})).await;
    two.client.post("/v1/applications", json!({ "name": "Other", "uid": "other" })).await;
    for round in 1..=20 {
        // The second node caches the application, but no longer by its uid.
        two.client.patch("/v1/applications/other", json!({ "name": format!("Other {round}") })).await;
        let url = format!("http://127.0.0.1:9/{round}");
        assert_eq!(one.client.patch(&path, json!({ "url": url })).await.0, 200);
        let (_, seen) = two.client.get(&format!("/v1/applications/acme/messages/{id}")).await;
        assert_eq!(seen["deliveries"][0]["endpoint_url"], url.as_str(), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn schema_or_disabled_application_applies_on_every_node_at_once() {
    let scratch = scratch();
    let (one, two) = (Server::start(&scratch, &[]), Server::start(&scratch, &[]));
    one.client.acme(json!({}), "http://127.0.0.1:9/").await;
    let send = async |server: &Server| {
        server.client.post("/v1/applications/acme/messages", json!({ "event_type": "a.b", "payload": { "n": "x" } })).await.0
    };
    assert_eq!([send(&one).await, send(&two).await], [201, 201]);
    let schema = json!({ "properties": { "n": { "type": "integer" } } }).to_string();
    let (status, response) = one.client.post("/v1/event-types", json!({ "name": "a.b", "json_schema": schema })).await;
    assert_eq!(status, 201, "{response}");
    assert_eq!([send(&two).await, send(&one).await], [422, 422]);
    let path = format!("/v1/event-types/{}", response["event_type"]["id"].as_str().expect("an id"));
    two.client.patch(&path, json!({ "status": "archived" })).await;
    assert_eq!([send(&one).await, send(&two).await], [201, 201]);
    two.client.patch("/v1/applications/acme", json!({ "status": "disabled" })).await;
    assert_eq!([send(&one).await, send(&two).await], [400, 400]);
    one.client.patch("/v1/applications/acme", json!({ "status": "active" })).await;
    assert_eq!([send(&two).await, send(&one).await], [201, 201]);
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_of_a_dead_node_are_taken_over_within_its_lease() {
    let scratch = scratch();
    let (dying, surviving) = (Server::start(&scratch, &[]), Server::start(&scratch, &[]));
    let receiver = Receiver::responding(|_| CannedResponse::status(200).after(Duration::from_secs(60))).await;
    dying.client.acme(json!({}), &receiver.url()).await;
    let mut ids = BTreeSet::new();
    for _ in 0..5 {
        ids.insert(dying.client.message(json!({})).await);
    }
    receiver.wait_for(5).await;
    receiver.respond(|_| CannedResponse::status(200));
    dying.kill();
    for id in &ids {
        surviving.client.until(id, "delivered").await;
    }
    let (_, response) = surviving.client.get("/v1/nodes").await;
    let states: Vec<_> = response["nodes"].as_array().expect("nodes").iter().map(|node| node["state"].clone()).collect();
    assert_eq!(states.iter().filter(|state| **state == "alive").count(), 1, "{response}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_node_is_told_to_operational_endpoints() {
    let scratch = scratch();
    let lost = ["--node-name", "lost"];
    let (surviving, dying) = (Server::start(&scratch, &[]), Server::start(&scratch, &lost));
    let operator = Receiver::start().await;
    let endpoint = json!({ "url": operator.url(), "filter_types": ["node.lost"] });
    let (status, created) = surviving.client.post("/v1/operational-webhooks/endpoints", endpoint).await;
    assert_eq!(status, 201, "{created}");
    dying.kill();
    let end = tokio::time::Instant::now() + Duration::from_secs(40);
    let told = loop {
        if let Some(request) = operator.received().first() {
            break serde_json::from_slice::<Value>(&request.body).expect("JSON");
        }
        assert!(tokio::time::Instant::now() < end, "no event");
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(
        (&told["type"], &told["data"]["name"], &told["data"]["role"]),
        (&json!("node.lost"), &json!("lost"), &json!("all")),
        "{told}"
    );
    assert!(told["data"]["last_seen_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_node_raises_an_alert_until_it_is_started_again() {
    let scratch = scratch();
    let often = ["--alert-interval-s", "1"];
    let named = ["--alert-interval-s", "1", "--node-name", "hooks-2"];
    let (surviving, dying) = (Server::start(&scratch, &often), Server::start(&scratch, &named));
    let client = &surviving.client;
    let webhook = Receiver::start().await;
    let channel = json!({ "name": "On call", "channel_type": "webhook", "config": { "url": webhook.url() } });
    let (_, channel) = client.post("/v1/notification-channels", channel).await;
    let rule = json!({ "name": "Problems", "rule_type": "problem", "channel_ids": [channel["channel"]["id"]], "cooldown_minutes": 0 });
    assert_eq!(client.post("/v1/alert-rules", rule).await.0, 201);
    let told = async |kind: &str| {
        let end = tokio::time::Instant::now() + Duration::from_secs(40);
        loop {
            let bodies = webhook.received().into_iter().map(|request| serde_json::from_slice::<Value>(&request.body).expect("JSON"));
            if let Some(body) = bodies.into_iter().find(|body| body["type"] == kind) {
                return body["data"].clone();
            }
            assert!(tokio::time::Instant::now() < end, "no {kind}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    dying.kill();
    let fired = told("alert.firing").await;
    assert_eq!(fired["alerts"][0]["subject"], "Node hooks-2", "{fired}");
    let lost = async |number: &str| {
        let end = tokio::time::Instant::now() + Duration::from_secs(40);
        let line = format!("hookstream_nodes{{state=\"lost\"}} {number}");
        loop {
            let metrics = client.try_send(Method::GET, "/metrics", &[], "").await.expect("an answer");
            let metrics = String::from_utf8_lossy(metrics.body()).into_owned();
            if metrics.lines().any(|known| known == line) {
                return;
            }
            assert!(tokio::time::Instant::now() < end, "not {line}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    lost("1").await;
    let _again = Server::start(&scratch, &named);
    told("alert.resolved").await;
    lost("0").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn job_runs_on_one_node_and_another_continues_after_its_death() {
    let scratch = scratch();
    let (dying, surviving) = (Server::start(&scratch, &[]), Server::start(&scratch, &[]));
    let receiver = Receiver::start().await;
    let endpoint = dying.client.acme(json!({}), &receiver.url()).await;
    let mut ids = BTreeSet::new();
    for _ in 0..100 {
        ids.insert(dying.client.message(json!({})).await);
    }
    for id in &ids {
        dying.client.until(id, "delivered").await;
    }
    let path = format!("/v1/applications/acme/endpoints/{}/replay", endpoint["id"].as_str().expect("an id"));
    let (status, response) = dying.client.post(&path, json!({ "since": "2020-01-01T00:00:00Z", "rate_limit": 50 })).await;
    assert_eq!(status, 201, "{response}");
    receiver.wait_for(130).await;
    dying.kill();
    let path = format!("/v1/jobs/{}", response["job"]["id"].as_str().expect("an id"));
    let job = eventually("the job is done", async || {
        let (_, response) = surviving.client.get(&path).await;
        (response["job"]["status"] == "completed").then(|| response["job"].clone())
    })
    .await;
    assert_eq!((&job["requeued"], &job["skipped"]), (&json!(100), &json!(0)));
    for id in &ids {
        let seen = surviving.client.until(id, "delivered").await;
        assert_eq!(seen["attempts"].as_array().map(Vec::len), Some(2), "{seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn node_stopped_past_its_lease_settles_nothing_it_lost() {
    let scratch = scratch();
    let (stopped, surviving) = (Server::start(&scratch, &[]), Server::start(&scratch, &[]));
    let receiver = Receiver::responding(|_| CannedResponse::status(200).after(Duration::from_secs(3))).await;
    stopped.client.acme(json!({}), &receiver.url()).await;
    let id = stopped.client.message(json!({})).await;
    receiver.wait_for(1).await;
    stopped.signal("STOP");
    receiver.respond(|_| CannedResponse::status(200));
    let seen = surviving.client.until(&id, "delivered").await;
    assert_eq!(seen["attempts"].as_array().map(Vec::len), Some(1), "only the other node's attempt");
    stopped.signal("CONT");
    // The node takes part again with a new owner id, and its late outcome is not recorded.
    eventually("both nodes are listed", async || {
        let (_, response) = surviving.client.get("/v1/nodes").await;
        response["nodes"].as_array().is_some_and(|nodes| nodes.len() == 2).then_some(())
    })
    .await;
    let next = stopped.client.message(json!({})).await;
    stopped.client.until(&next, "delivered").await;
    let (_, seen) = surviving.client.get(&format!("/v1/applications/acme/messages/{id}")).await;
    assert_eq!(seen["attempts"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_may_only_accept_or_only_deliver() {
    let scratch = scratch();
    let accepts = Server::start(&scratch, &["--role", "api", "--node-name", "front"]);
    let delivers = Server::start(&scratch, &["--role", "worker", "--node-name", "back"]);
    let receiver = Receiver::start().await;
    accepts.client.acme(json!({}), &receiver.url()).await;
    let id = accepts.client.message(json!({})).await;
    accepts.client.until(&id, "delivered").await;
    assert_eq!(delivers.client.get("/v1/health/ready").await.0, 200);
    assert_eq!(delivers.client.get("/v1/applications").await.0, 404);
    let (_, response) = accepts.client.get("/v1/nodes").await;
    let nodes: Vec<_> =
        response["nodes"].as_array().expect("nodes").iter().map(|node| (node["name"].clone(), node["role"].clone())).collect();
    assert_eq!(nodes, [("front".into(), "api".into()), ("back".into(), "worker".into())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn idempotency_key_applies_on_all_nodes() {
    let scratch = scratch();
    let (one, two) = (Server::start(&scratch, &[]), Server::start(&scratch, &[]));
    one.client.acme(json!({}), "http://127.0.0.1:9/").await;
    let mut running = tokio::task::JoinSet::new();
    for number in 0..50 {
        let client = if number % 2 == 0 { one.client.clone() } else { two.client.clone() };
        let body = json!({ "event_type": "a.b", "payload": { "n": 1 } }).to_string();
        running.spawn(
            async move { client.send(http::Method::POST, "/v1/applications/acme/messages", &[("idempotency-key", "k")], body).await },
        );
    }
    let responses: Vec<(u16, Value)> = running.join_all().await;
    assert_eq!(responses[0].0, 201, "{}", responses[0].1);
    assert!(responses.iter().all(|response| *response == responses[0]), "the responses differ");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_first_starts_create_one_installation() {
    let scratch = std::sync::Arc::new(scratch());
    let starting: Vec<_> = (0..3)
        .map(|_| {
            let scratch = std::sync::Arc::clone(&scratch);
            std::thread::spawn(move || Server::start(&scratch, &[]))
        })
        .collect();
    let servers: Vec<_> = starting.into_iter().map(|server| server.join().expect("the process starts")).collect();
    servers[0].client.acme(json!({}), "http://127.0.0.1:9/").await;
    for server in &servers {
        let (status, response) = server.client.get("/v1/applications/acme").await;
        assert_eq!(status, 200, "{response}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn node_recovers_from_a_broken_database_connection() {
    let scratch = scratch();
    let server = Server::start(&scratch, &["--retry-schedule", "0,1,1,1,1,1"]);
    let receiver = Receiver::start().await;
    server.client.acme(json!({}), &receiver.url()).await;
    for round in 0..3 {
        let database = scratch.database.as_ref().expect("these tests are on PostgreSQL");
        database.execute(BREAK_CONNECTIONS).await;
        let id = eventually("a message is accepted", async || {
            let body = json!({ "event_type": "invoice.paid", "payload": { "round": round } }).to_string();
            let response = server.client.try_send(http::Method::POST, "/v1/applications/acme/messages", &[], body).await?;
            let response: Value = serde_json::from_slice(response.body()).ok()?;
            response["message"]["id"].as_str().map(str::to_owned)
        })
        .await;
        server.client.until(&id, "delivered").await;
    }
}

/// Sends messages to `acme`, one after another, to the nodes in turn.
async fn send_numbers(servers: &[&Server], numbers: std::ops::Range<u64>) {
    for number in numbers {
        let server = servers[usize::try_from(number).expect("small") % servers.len()];
        server.client.message(json!({ "number": number })).await;
    }
}

/// Reads the times at which nodes permitted attempts from their logs, in milliseconds.
fn permits(logs: &[std::path::PathBuf]) -> Vec<i64> {
    let lines = logs.iter().flat_map(|log| {
        let text = String::from_utf8_lossy(&std::fs::read(log).expect("a log")).into_owned();
        text.lines().filter(|line| line.contains("attempt may begin")).map(str::to_owned).collect::<Vec<_>>()
    });
    let moment = |line: String| {
        let (_, value) = line.split_once("permitted_at=").unwrap_or_else(|| panic!("{line}"));
        let digits: String = value.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().unwrap_or_else(|_| panic!("{line}"))
    };
    let mut permits: Vec<i64> = lines.map(moment).collect();
    permits.sort_unstable();
    permits
}

/// On a busy machine a receiver measures its own scheduling, so this test reads the nodes' logs.
#[tokio::test(flavor = "multi_thread")]
async fn rate_is_exact_while_nodes_die_and_join() {
    let scratch = scratch();
    let receiver = Receiver::start().await;
    let mut logs = Vec::new();
    let mut start = || {
        let log = scratch.files.path().join(format!("node-{}.log", logs.len()));
        let server = Server::start_with(
            &scratch,
            &["--allow-targets", "127.0.0.1/32", "--log", "info,hookstream_engine::queues::schedule=trace"],
            &[("NO_COLOR", "1")],
            Some(&log),
        );
        logs.push(log);
        server
    };
    let mut servers = vec![start(), start()];
    servers[0].client.acme(json!({ "rate_limit_per_second": 25 }), &receiver.url()).await;
    send_numbers(&servers.iter().collect::<Vec<_>>(), 0..60).await;
    receiver.wait_for(10).await;
    // A third node takes a share of the backlogs. Then both others leave, one by a kill, one by a shutdown.
    servers.push(start());
    send_numbers(&servers.iter().collect::<Vec<_>>(), 60..90).await;
    receiver.wait_for(40).await;
    servers.remove(0).kill();
    send_numbers(&servers.iter().collect::<Vec<_>>(), 90..120).await;
    receiver.wait_for(70).await;
    let mut leaving = servers.remove(0);
    leaving.terminate();
    assert_eq!(leaving.ended(Duration::from_secs(30)).await, Some(0));
    send_numbers(&servers.iter().collect::<Vec<_>>(), 120..140).await;
    eventually("all messages", async || {
        let ids: BTreeSet<_> = receiver.received().iter().map(hookstream_testkit::receiver::Received::id).collect();
        (ids.len() == 140).then_some(())
    })
    .await;
    let permits = permits(&logs);
    assert!(permits.len() >= 140, "only {} permits are in the logs", permits.len());
    let within = |from: usize| permits[from..].iter().take_while(|at| **at < permits[from] + 1_000).count();
    let most = (0..permits.len()).map(within).max().unwrap_or(0);
    assert!(most <= 25, "{most} in a second: {permits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn order_holds_while_nodes_die_and_join() {
    let scratch = scratch();
    let number_of = |received: &hookstream_testkit::receiver::Received| {
        let payload: Value = serde_json::from_slice(&received.body).expect("JSON");
        payload["number"].as_u64().expect("a number")
    };
    let receiver = Receiver::responding(|_| CannedResponse::status(204).after(Duration::from_millis(3))).await;
    let mut servers = vec![Server::start(&scratch, &[]), Server::start(&scratch, &[])];
    servers[0].client.acme(json!({ "ordering": "strict" }), &receiver.url()).await;
    send_numbers(&servers.iter().collect::<Vec<_>>(), 0..50).await;
    servers.push(Server::start(&scratch, &[]));
    send_numbers(&servers.iter().collect::<Vec<_>>(), 50..100).await;
    for round in 1..=2_u64 {
        servers.remove(0).kill();
        servers.push(Server::start(&scratch, &[]));
        send_numbers(&servers.iter().collect::<Vec<_>>(), round * 50 + 50..round * 50 + 100).await;
    }
    let received = eventually("all messages", async || {
        let received = receiver.received();
        received.iter().any(|received| number_of(received) == 199).then_some(received)
    })
    .await;
    let mut latest = 0;
    for (index, number) in received.iter().map(number_of).enumerate() {
        let around: Vec<_> =
            received.iter().skip(index.saturating_sub(5)).take(12).map(|it| (number_of(it), it.at - received[0].at)).collect();
        assert!(number == latest || number == latest + 1, "only deliveries in flight are repeated: {around:?}");
        latest = number;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_revoked_on_one_node_is_rejected_on_all_at_once() {
    let scratch = scratch();
    let (one, two) = (Server::start(&scratch, &[]), Server::start(&scratch, &[]));
    for round in 0..3 {
        let (status, created) = one.client.post("/v1/auth/api-keys", json!({ "name": format!("round {round}") })).await;
        assert_eq!(status, 201, "{created}");
        let at_two = two.client.with_key(created["key"].as_str().expect("a key"));
        // The second node caches the key.
        for _ in 0..5 {
            assert_eq!(at_two.get("/v1/usage").await.0, 200);
        }
        let path = format!("/v1/auth/api-keys/{}", created["id"].as_str().expect("an id"));
        assert_eq!(one.client.delete(&path).await.0, 200);
        assert_eq!(at_two.get("/v1/usage").await.0, 401);
    }
    // Also if the other node misses the announcement: it was stopped, and continues with its cache.
    let (_, created) = one.client.post("/v1/auth/api-keys", json!({ "name": "missed" })).await;
    let at_two = two.client.with_key(created["key"].as_str().expect("a key"));
    assert_eq!(at_two.get("/v1/usage").await.0, 200);
    two.signal("STOP");
    assert_eq!(one.client.delete(&format!("/v1/auth/api-keys/{}", created["id"].as_str().expect("an id"))).await.0, 200);
    two.signal("CONT");
    assert_eq!(at_two.get("/v1/usage").await.0, 401);
}
