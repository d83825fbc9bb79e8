//! Readiness while the database is away: false within seconds, and true again without a restart.

use std::time::Duration;

use hookstream_testkit::eventually;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use url::Url;

use crate::support::{Server, hookstream, scratch};

const READY: &str = "/v1/health/ready";

/// Forwards connections of a listener to the database until the token is cancelled; then they hang, as behind a firewall.
async fn forward(listener: TcpListener, to: String, cut: CancellationToken) -> TcpListener {
    let connections = TaskTracker::new();
    loop {
        let Some(accepted) = cut.run_until_cancelled(listener.accept()).await else { return listener };
        let (mut from, _) = accepted.expect("a connection");
        let (to, cut) = (to.clone(), cut.clone());
        connections.spawn(async move {
            let mut upstream = TcpStream::connect(to).await.expect("the database is there");
            let _ = cut.run_until_cancelled(tokio::io::copy_bidirectional(&mut from, &mut upstream)).await;
            // Neither closed nor served.
            tokio::time::sleep(Duration::from_secs(4)).await;
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_is_false_while_the_database_is_away() {
    let scratch = scratch();
    let mut url = Url::parse(&scratch.database.as_ref().expect("a database").url()).expect("a URL");
    let (Some(host), port) = (url.host_str().map(str::to_owned), url.port().unwrap_or(5432)) else { return };
    if host.starts_with('%') || host.is_empty() {
        // The database is behind a socket file.
        return;
    }
    let database = format!("{host}:{port}");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    url.set_host(Some("127.0.0.1")).expect("a host");
    url.set_port(Some(listener.local_addr().expect("an address").port())).expect("a port");
    let cut = CancellationToken::new();
    let forwarding = TaskTracker::new().spawn(forward(listener, database.clone(), cut.clone()));
    let arguments = ["--database-url", url.as_str(), "--lease-ms", "1000", "--database-max-connections", "4"];
    let server = tokio::task::block_in_place(|| Server::start_plain("127.0.0.1:0", &arguments));
    assert_eq!(server.client.get(READY).await.0, 200);
    cut.cancel();
    let listener = forwarding.await.expect("no panic");
    let begun = Instant::now();
    let refused = eventually("readiness is false", async || {
        let asked = Instant::now();
        let (status, body) = server.client.get(READY).await;
        assert!(asked.elapsed() < Duration::from_secs(4), "a probe took {:?}", asked.elapsed());
        (status == 503).then_some(body)
    })
    .await;
    assert_eq!(refused["code"], json!("database_unavailable"), "{refused}");
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    assert_eq!(server.client.get("/v1/health").await.0, 200, "it is alive");

    TaskTracker::new().spawn(forward(listener, database, CancellationToken::new()));
    let begun = Instant::now();
    while server.client.get(READY).await.0 != 200 {
        assert!(begun.elapsed() < Duration::from_secs(40), "the server is ready again");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[test]
fn check_names_the_database_and_its_schema() {
    let scratch = scratch();
    let url = scratch.database.as_ref().expect("a database").url();
    let check = |url: &str| {
        let output = hookstream().args(["serve", "--check", "--listen", "127.0.0.1:0", "--database-url", url]).output();
        let output = output.expect("the command runs");
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (is_good, text) = check(&url);
    assert!(is_good && text.contains("empty; the first start creates the schema") && text.contains("PostgreSQL "), "{text}");
    drop(Server::start(&scratch, &[]));
    let (is_good, text) = check(&url);
    assert!(is_good && text.contains(", schema version "), "{text}");
    let (is_good, text) = check(&format!("{url}_absent"));
    assert!(!is_good && text.contains("failed  database: could not open the database"), "{text}");
}
