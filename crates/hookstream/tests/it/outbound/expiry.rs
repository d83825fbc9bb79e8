//! Expired payloads: messages outlive their payloads, and every view reports the expiry.

use std::{sync::Arc, time::Duration};

use hookstream_model::{
    base::{
        ids::IdSource,
        time::{Clock, Timestamp},
    },
    delivery::state::{SkipReason, Trigger},
    identity::tenancy::Tenant,
    outbound::message::{ContentType, Message, Payload},
};
use hookstream_store::{
    delivery::deliveries::{NewDelivery, NewState, Owner, Publication, Published, Versions},
    identity::organizations,
};
use hookstream_testkit::{eventually, receiver::Receiver};
use rand::{SeedableRng, rngs::StdRng};
use serde_json::{Value, json};

use crate::support::{Scratch, Server, scratch};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Stores a past message of `acme` for its one endpoint, which must be unchanged since creation.
pub(crate) async fn store_old(scratch: &Scratch, endpoint: &Value, at: Timestamp, state: NewState, body: &str) -> String {
    let text = |name: &str| endpoint[name].as_str().expect("an id");
    let tenant = Tenant { organization: text("org_id").parse().expect("an id"), environment: text("env_id").parse().expect("an id") };
    let id = IdSource::new(StdRng::seed_from_u64(at.as_millis().unsigned_abs())).next(at);
    let message = Message {
        id: id.into(),
        origin_id: text("application_id").parse().expect("an id"),
        event_type: "invoice.paid".to_owned(),
        payload: Payload { body: body.to_owned().into(), content_type: ContentType::Json },
        hops: hookstream_model::outbound::hops::Hops::default(),
        trace: None,
    };
    let store = scratch.open_store().await;
    let environment = organizations::version(&*store, tenant.environment).await.expect("read");
    let publication = Publication {
        tenant,
        window_start: at - DAY,
        is_event: true,
        deliveries: vec![NewDelivery { route_id: text("id").parse().expect("an id"), state }],
        owner: Owner::NONE,
        trigger: Trigger::Initial,
        // Version 1 for the application, and one more for the endpoint.
        seen: Versions { origin: 2, environment },
        channels: vec![],
        event_id: None,
        idempotency: None,
        message: Arc::new(message),
    };
    let id = publication.message.id.to_string();
    assert_eq!(store.publish(publication).await.expect("a response"), Published::Stored);
    store.close().await;
    id
}

/// System clock, like the server's.
struct Wall;

impl Clock for Wall {
    #[expect(clippy::disallowed_methods, reason = "the server under test has the system's clock as well")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time after 1970");
        Timestamp::from_millis(i64::try_from(since.as_millis()).expect("a time that fits"))
    }
}

pub(crate) fn now() -> Timestamp {
    Wall.now()
}

pub(crate) async fn stop(mut server: Server) {
    server.terminate();
    assert_eq!(server.ended(Duration::from_secs(30)).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_payload_is_reported_everywhere_and_never_sent() {
    let directory = scratch();
    let server = Server::start(&directory, &[]);
    let receiver = Receiver::start().await;
    let endpoint = server.client.acme(json!({}), &receiver.url()).await;
    stop(server).await;
    let skipped = NewState::Skipped(SkipReason::EndpointDisabled);
    let old = store_old(&directory, &endpoint, now() - DAY * 4, skipped, &"[1] ".repeat(1_000)).await;
    let pending = NewState::Waiting { backlog: None, in_order: false };
    let late = store_old(&directory, &endpoint, now() - DAY * 6, pending, "[2]").await;

    let server = Server::start(&directory, &["--retention-days", "9", "--payload-retention-days", "2"]);
    let client = &server.client;
    let path = |id: &str| format!("/v1/applications/acme/messages/{id}");
    let expired = async |id: &str| {
        let id = path(id);
        eventually("the payload has expired", async || {
            let (_, seen) = client.get(&id).await;
            (seen["message"]["payload_expired"] == true).then_some(seen)
        })
        .await
    };
    let seen = expired(&old).await;
    assert_eq!((&seen["message"]["payload"], &seen["message"]["status"]), (&json!(null), &json!("skipped")));
    assert_eq!(seen["deliveries"][0]["reason"], "endpoint_disabled");
    // A pending delivery is delivered before its payload expires.
    assert_eq!(receiver.wait_for(1).await[0].body, "[2]");
    client.until(&late, "delivered").await;
    let (_, list) = client.get("/v1/applications/acme/messages").await;
    assert_eq!(list["messages"].as_array().map(Vec::len), Some(2), "{list}");

    let (_, response) = client.get(&format!("{}/explain", path(&old))).await;
    let explanation = &response["explanation"];
    assert_eq!((&explanation["message"]["payload_expired"], &explanation["message"]["size_bytes"]), (&json!(true), &json!(null)));
    let says_expired = |text: &Value| text.as_str().is_some_and(|text| text.contains("payload has expired"));
    assert!(says_expired(&explanation["summary"]) && says_expired(&explanation["endpoints"][0]["next_step"]), "{response}");

    let (status, response) = client.post(&format!("{}/retry", path(&old)), json!({})).await;
    assert_eq!((status, &response["code"]), (410, &json!("payload_expired")), "{response}");
    let endpoint = format!("/v1/applications/acme/endpoints/{}", endpoint["id"].as_str().expect("an id"));
    let all = json!({ "since": (now() - DAY * 9).to_string(), "statuses": ["skipped"] });
    let (_, response) = client.post(&format!("{endpoint}/recover?dry_run=true"), all.clone()).await;
    assert_eq!((&response["dry_run"]["count"], &response["dry_run"]["payload_expired"]), (&json!(0), &json!(1)), "{response}");
    for kind in ["recover", "replay"] {
        let (status, response) = client.post(&format!("{endpoint}/{kind}"), all.clone()).await;
        assert_eq!(status, 201, "{response}");
        let job = format!("/v1/jobs/{}", response["job"]["id"].as_str().expect("an id"));
        let done = eventually("the job is done", async || {
            let (_, seen) = client.get(&job).await;
            (seen["job"]["status"] == "completed").then_some(seen["job"].clone())
        })
        .await;
        assert_eq!((&done["total"], &done["requeued"], &done["skipped"]), (&json!(1), &json!(0), &json!(1)), "{done}");
    }
    assert_eq!(receiver.wait_for(1).await.len(), 1);
    let (_, response) = client.get("/v1/usage").await;
    let days = response["usage"]["days"].as_array().expect("days");
    assert_eq!(days.len(), 2, "{response}");
    stop(server).await;

    // After a restart, the day no longer has pending deliveries.
    let server = Server::start(&directory, &["--retention-days", "9", "--payload-retention-days", "2"]);
    let path = path(&late);
    eventually("the payload has expired", async || {
        let (_, seen) = server.client.get(&path).await;
        (seen["message"]["payload_expired"] == true && seen["attempts"].as_array()?.len() == 1).then_some(())
    })
    .await;
    let (_, response) = server.client.get("/v1/usage").await;
    assert_eq!(response["usage"]["payload_bytes"], 0, "{response}");
}
