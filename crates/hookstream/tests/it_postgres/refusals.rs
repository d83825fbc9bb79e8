//! A database that refuses: at start for what it is, and later for one row among others.

use std::sync::atomic::{AtomicU32, Ordering};

use hookstream_testkit::{
    postgres::ScratchDatabase,
    receiver::{CannedResponse, Receiver},
};
use serde_json::json;

use crate::support::{Server, hookstream, scratch};

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_not_utf8_is_refused_at_start() {
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let options = format!("encoding '{encoding}' lc_collate 'C' lc_ctype 'C' template template0");
        let database = ScratchDatabase::create_with(&options).await;
        let url = database.url();
        for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate", "--check"]] {
            let output = hookstream().args(command).args(["--database-url", &url]).output().expect("it runs");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success(), "{command:?} on {encoding}: {said}");
            assert!(said.contains(encoding) && said.contains("UTF8") && said.contains("createdb -E UTF8"), "{said}");
        }
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_the_store_refuses_is_recorded_without_its_body_and_keeps_nobody_waiting() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let database = scratch.database.as_ref().expect("on PostgreSQL");
    database.execute("alter table attempts add check (response_body is null or response_body not like 'refused%')").await;
    database.execute("alter table attempts add check (error is null or error not like '%http%418%')").await;
    let count = AtomicU32::new(0);
    let refused = Receiver::answering(move |_| match count.fetch_add(1, Ordering::SeqCst) % 2 {
        0 => CannedResponse::status(200).body("refused"),
        _ => CannedResponse::status(418).body("refused"),
    })
    .await;
    let fine = Receiver::answering(|_| CannedResponse::status(200).body("fine")).await;
    server.client.acme(json!({}), &refused.url()).await;
    let (status, answer) = server.client.post("/v1/applications/acme/endpoints", json!({ "url": fine.url() })).await;
    assert_eq!(status, 201, "{answer}");
    let fine_id = answer["endpoint"]["id"].clone();

    for _ in 0..20 {
        let id = server.client.message(json!({})).await;
        let seen = hookstream_testkit::eventually("both attempts", async || {
            let (_, answer) = server.client.get(&format!("/v1/applications/acme/messages/{id}")).await;
            (answer["attempts"].as_array().is_some_and(|attempts| attempts.len() == 2)).then_some(answer)
        })
        .await;
        for attempt in seen["attempts"].as_array().expect("attempts") {
            let expected = match (attempt["endpoint_id"] == fine_id, attempt["response_status"].as_u64()) {
                (true, Some(200)) => (json!("fine"), json!(null)),
                (false, Some(200)) => (json!(null), json!(null)),
                (false, Some(418)) => (json!(null), json!("http_status")),
                other => panic!("{other:?}: {attempt}"),
            };
            assert_eq!((attempt["response_body"].clone(), attempt["error"].clone()), expected, "{attempt}");
        }
    }
}
