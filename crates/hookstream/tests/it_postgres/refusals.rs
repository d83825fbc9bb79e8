//! Databases that reject: at start because of their encoding, and later for a single row.

use std::sync::atomic::{AtomicU32, Ordering};

use hookstream_testkit::{
    postgres::ScratchDatabase,
    receiver::{CannedResponse, Receiver},
};
use serde_json::json;

use crate::support::{Server, hookstream, scratch};

#[tokio::test(flavor = "multi_thread")]
async fn non_utf8_database_is_rejected_at_start() {
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let options = format!("encoding '{encoding}' lc_collate 'C' lc_ctype 'C' template template0");
        let database = ScratchDatabase::create_with(&options).await;
        let url = database.url();
        for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["migrate", "--check"]] {
            let output = hookstream().args(command).args(["--database-url", &url]).output().expect("the command runs");
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(!output.status.success(), "{command:?} on {encoding}: {stderr}");
            assert!(stderr.contains(encoding) && stderr.contains("UTF8") && stderr.contains("createdb -E UTF8"), "{stderr}");
        }
        database.drop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attempt_rejected_by_the_store_is_recorded_without_its_body() {
    let scratch = scratch();
    let server = Server::start(&scratch, &[]);
    let database = scratch.database.as_ref().expect("on PostgreSQL");
    database.execute("alter table attempts add check (response_body is null or response_body not like 'refused%')").await;
    database.execute("alter table attempts add check (error is null or error not like '%http%418%')").await;
    let count = AtomicU32::new(0);
    let refused = Receiver::responding(move |_| match count.fetch_add(1, Ordering::SeqCst) % 2 {
        0 => CannedResponse::status(200).body("refused"),
        _ => CannedResponse::status(418).body("refused"),
    })
    .await;
    let fine = Receiver::responding(|_| CannedResponse::status(200).body("fine")).await;
    server.client.acme(json!({}), &refused.url()).await;
    let (status, response) = server.client.post("/v1/applications/acme/endpoints", json!({ "url": fine.url() })).await;
    assert_eq!(status, 201, "{response}");
    let fine_id = response["endpoint"]["id"].clone();

    for _ in 0..20 {
        let id = server.client.message(json!({})).await;
        let seen = hookstream_testkit::eventually("both attempts", async || {
            let (_, response) = server.client.get(&format!("/v1/applications/acme/messages/{id}")).await;
            (response["attempts"].as_array().is_some_and(|attempts| attempts.len() == 2)).then_some(response)
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
