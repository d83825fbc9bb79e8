//! Rolling upgrade and back: nodes of an earlier binary and of this one serve one database under load.
//!
//! `scripts/test-upgrade` builds the earlier binary and names it in `HOOKSTREAM_EARLIER_BINARY`; without it, the test prints
//! a notice and does nothing.

use std::{
    collections::BTreeSet,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hookstream_testkit::{
    eventually,
    receiver::{CannedResponse, Receiver},
};
use serde_json::{Value, json};

use crate::{
    rolling::send,
    support::{Server, earlier_binary, hookstream, scratch},
};

const ARGUMENTS: [&str; 2] = ["--allow-targets", "127.0.0.0/8"];

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_two_versions_lose_nothing_in_both_directions() {
    let Some(earlier) = earlier_binary() else { return };
    let this = Path::new(env!("CARGO_BIN_EXE_hookstream"));
    let scratch = scratch();
    let receiver = Receiver::responding(|_| CannedResponse::status(204).after(Duration::from_millis(5))).await;
    let start = |binary: &Path, listen: &str| Server::start_binary(binary, listen, &scratch, &ARGUMENTS);
    let mut servers = [start(&earlier, "127.0.0.1:0"), start(&earlier, "127.0.0.1:0")];
    servers[0].client.acme(json!({}), &receiver.url()).await;
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..4)
        .map(|number| {
            let clients = [servers[0].client.clone(), servers[1].client.clone()];
            tokio_util::task::TaskTracker::new().spawn(send(clients, number, Arc::clone(&stop)))
        })
        .collect();
    let mut killed = 0;
    // Up node by node, then back; one node of each version is killed, so that the other version takes over from it.
    for (round, (binary, is_killed)) in [(this, false), (this, true), (&earlier, false), (&earlier, true)].into_iter().enumerate() {
        let before = receiver.received().len();
        receiver.wait_for(before + 50).await;
        let at = round % 2;
        let address = servers[at].address();
        if is_killed {
            servers[at].signal("KILL");
            servers[at].ended(Duration::from_secs(5)).await;
            killed += 1;
        } else {
            servers[at].terminate();
            assert_eq!(servers[at].ended(Duration::from_secs(15)).await, Some(0));
        }
        servers[at] = start(binary, &address);
    }
    let before = receiver.received().len();
    receiver.wait_for(before + 50).await;
    stop.store(true, Ordering::SeqCst);
    let mut sent = Vec::new();
    for sender in senders {
        sent.extend(sender.await.expect("no panic").0);
    }
    assert!(sent.len() >= 200, "{} messages", sent.len());
    let arrived = eventually("all accepted messages", async || {
        let arrived: BTreeSet<String> = receiver.received().iter().map(hookstream_testkit::receiver::Received::id).collect();
        sent.iter().all(|id| arrived.contains(id)).then_some(arrived)
    })
    .await;
    let twice = receiver.received().len() - arrived.len();
    // A killed node's attempts in flight are repeated: at most one for each of the four senders' recent messages.
    assert!(twice <= killed * 64, "{twice} of {} deliveries were repeated", arrived.len());
    for server in &mut servers {
        server.terminate();
        assert_eq!(server.ended(Duration::from_secs(15)).await, Some(0));
    }
    let url = scratch.database.as_ref().expect("a database").url();
    let doctor = hookstream().args(["doctor", "--json", "--database-url", &url]).output().expect("the command runs");
    let report: Value = serde_json::from_slice(&doctor.stdout).expect("JSON");
    assert!(doctor.status.success() && report["sound"] == json!(true), "{report}");
    assert!(report["total"]["messages"].as_u64() >= Some(sent.len() as u64), "{report}");
}
