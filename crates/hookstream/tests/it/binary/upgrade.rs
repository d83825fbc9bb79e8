//! Upgrade of one node: this binary opens the data directory of an earlier one, delivers what is pending in it, and the
//! earlier one continues if the schema is the same.
//!
//! `scripts/test-upgrade` builds the earlier binary and names it in `HOOKSTREAM_EARLIER_BINARY`; without it, the test prints
//! a notice and does nothing.

use std::{path::Path, time::Duration};

use hookstream_testkit::receiver::{CannedResponse, Receiver};
use serde_json::json;

use crate::support::{Server, earlier_binary, hookstream, scratch};

const ARGUMENTS: [&str; 4] = ["--allow-targets", "127.0.0.0/8", "--retry-schedule", "1,1,1,1,1,1,1,1,1,1,1,1"];

#[tokio::test(flavor = "multi_thread")]
async fn directory_of_an_earlier_version_is_continued() {
    let Some(earlier) = earlier_binary() else { return };
    let this = Path::new(env!("CARGO_BIN_EXE_hookstream"));
    let scratch = scratch();
    let receiver = Receiver::responding(|_| CannedResponse::status(503)).await;
    let start = |binary: &Path| Server::start_binary(binary, "127.0.0.1:0", &scratch, &ARGUMENTS);
    let stop = async |mut server: Server| {
        server.terminate();
        assert_eq!(server.ended(Duration::from_secs(30)).await, Some(0));
    };
    let server = start(&earlier);
    server.client.acme(json!({}), &receiver.url()).await;
    let first = server.client.message(json!({ "by": "the earlier version" })).await;
    receiver.wait_for(1).await;
    // Killed, so that this version also finds a log and attempts in flight.
    server.kill();

    let server = start(this);
    receiver.respond(|_| CannedResponse::status(204));
    server.client.until(&first, "delivered").await;
    let second = server.client.message(json!({ "by": "this version" })).await;
    server.client.until(&second, "delivered").await;
    stop(server).await;
    let doctor = hookstream().args(["doctor", "--data-dir"]).arg(scratch.path()).output().expect("the command runs");
    assert!(doctor.status.success(), "{doctor:?}");

    let Some(server) = Server::try_start_binary(&earlier, "127.0.0.1:0", &scratch, &ARGUMENTS) else {
        // The earlier version refuses a directory that this one has migrated.
        return;
    };
    server.client.until(&second, "delivered").await;
    let third = server.client.message(json!({ "by": "the earlier version again" })).await;
    server.client.until(&third, "delivered").await;
    stop(server).await;
}
