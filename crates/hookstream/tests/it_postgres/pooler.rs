//! Nodes that connect through a pooler in transaction mode: a real PgBouncer.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
};

use hookstream_testkit::{eventually, receiver::Receiver};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{Scratch, Server, scratch};

/// PgBouncer in front of a test database; killed when dropped.
struct Pooler {
    child: Child,
    url: String,
    _directory: TempDir,
}

impl Pooler {
    /// Starts a pooler with fewer database connections than the nodes open to it.
    fn start(scratch: &Scratch) -> Self {
        let database = scratch.database.as_ref().expect("these tests are on PostgreSQL").url();
        let url = url::Url::parse(&database).expect("a URL");
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let directory = tempfile::tempdir().expect("a scratch directory");
        let config = format!(
            "[databases]\n* = host={} port={} user={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
                auth_type = any\npool_mode = transaction\ndefault_pool_size = 4\nmax_client_conn = 200\n",
            url.host_str().unwrap_or("127.0.0.1"),
            url.port().unwrap_or(5432),
            url.username(),
        );
        let path = directory.path().join("pgbouncer.ini");
        std::fs::write(&path, config).expect("written");
        readable(directory.path());
        let mut command = Command::new("pgbouncer");
        if is_root() {
            // PgBouncer refuses to run as root.
            command.args(["-u", "nobody"]);
        }
        let child = command.arg(&path).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let child = child.unwrap_or_else(|error| panic!("pgbouncer does not start ({error}); scripts/test-postgres installs it"));
        let name = url.path().trim_start_matches('/');
        Self { child, url: format!("postgres://{}@127.0.0.1:{port}/{name}", url.username()), _directory: directory }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Makes the directory readable for the user that runs PgBouncer.
fn readable(directory: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o755)).expect("permissions are set");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_work_through_a_pooler_in_transaction_mode() {
    let scratch = scratch();
    let pooler = Pooler::start(&scratch);
    let address = pooler.url.rsplit('@').next().and_then(|rest| rest.split('/').next()).expect("an address").to_owned();
    eventually("the pooler listens", async || tokio::net::TcpStream::connect(&address).await.ok().map(drop)).await;

    let arguments = ["--database-url", &pooler.url, "--database-pooler", "--lease-ms", "1000", "--retry-schedule", "0,0,0"];
    let allowed = [&["--allow-targets", "127.0.0.0/8"][..], &arguments].concat();
    let (one, two) = (Server::start_plain("127.0.0.1:0", &allowed), Server::start_plain("127.0.0.1:0", &allowed));
    let receiver = Receiver::start().await;
    one.client.acme(json!({}), &receiver.url()).await;
    let mut sending = tokio::task::JoinSet::new();
    for number in 0..200 {
        let client = if number % 2 == 0 { one.client.clone() } else { two.client.clone() };
        sending.spawn(async move {
            let id = client.message(json!({ "number": number })).await;
            client.until(&id, "delivered").await;
        });
    }
    sending.join_all().await;

    // A change on one node applies on the other, although LISTEN does not work through such a pooler.
    let (_, response) = one.client.post("/v1/applications/acme/endpoints", json!({ "url": receiver.url() })).await;
    assert!(response["endpoint"]["id"].is_string(), "{response}");
    let before = receiver.received().len();
    two.client.message(json!({})).await;
    receiver.wait_for(before + 2).await;

    // Deliveries of a dead node are taken over.
    one.kill();
    eventually("one node is left", async || {
        let (_, response) = two.client.get("/v1/nodes").await;
        let alive = response["nodes"].as_array().map(|nodes| nodes.iter().filter(|node| node["state"] == "alive").count());
        (alive == Some(1)).then_some(())
    })
    .await;
}
