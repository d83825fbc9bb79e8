//! A node in a network namespace of its own is cut off, and comes back. Takes root, to make the namespace;
//! without, the test says so and does nothing.

use std::{
    collections::{BTreeSet, HashMap},
    process::{Child, Command, Stdio},
    time::Duration,
};

use hookstream_testkit::{
    eventually,
    receiver::{CannedResponse, Receiver},
};
use http::Method;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::support::{KEY, Server, TestClient, cleaned, hookstream, scratch};

/// A namespace with one wire to this one; gone when dropped.
struct Namespace {
    name: String,
    wire: String,
    /// The first three numbers of both ends' addresses; this end is 1, the other 2.
    net: String,
}

impl Namespace {
    fn make() -> Self {
        let number = std::process::id() % 250;
        let made = Self { name: format!("hookstream-{number}"), wire: format!("hst{number}"), net: format!("10.231.{number}") };
        let Self { name, wire, net } = &made;
        ip(&format!("netns add {name}"));
        ip(&format!("link add {wire} type veth peer name {wire}n netns {name}"));
        ip(&format!("addr add {net}.1/24 dev {wire}"));
        ip(&format!("link set {wire} up"));
        ip(&format!("-n {name} addr add {net}.2/24 dev {wire}n"));
        ip(&format!("-n {name} link set {wire}n up"));
        ip(&format!("-n {name} link set lo up"));
        made
    }

    /// Pulls the wire out, or puts it back.
    fn connect(&self, connected: bool) {
        ip(&format!("link set {} {}", self.wire, if connected { "up" } else { "down" }));
    }

    /// A way from this end of the wire to something that listens on loopback. Returns its address.
    async fn forward(&self, to: String) -> (String, AbortOnDropHandle<()>) {
        let listener = TcpListener::bind(format!("{}.1:0", self.net)).await.expect("an address of ours");
        let address = listener.local_addr().expect("it is bound").to_string();
        let serving = TaskTracker::new().spawn(async move {
            let connections = TaskTracker::new();
            while let Ok((mut from, _)) = listener.accept().await {
                let to = to.clone();
                connections.spawn(async move {
                    if let Ok(mut onward) = TcpStream::connect(to).await {
                        let _ = tokio::io::copy_bidirectional(&mut from, &mut onward).await;
                    }
                });
            }
        });
        (address, AbortOnDropHandle::new(serving))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        ip(&format!("netns del {}", self.name));
    }
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().expect("ip runs (iproute2)");
    assert!(status.success(), "ip {arguments}");
}

fn may_make_namespaces() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// A node in the namespace; killed when dropped.
struct Inside(Child);

impl Inside {
    fn start(namespace: &Namespace, database_url: &str, allowed: &str) -> Self {
        let program = hookstream().get_program().to_owned();
        let mut command = cleaned(Command::new("ip"));
        command.args(["netns", "exec", &namespace.name]).arg(program).args(["serve", "--log", "warn", "--lease-ms", "1000"]);
        command.args(["--listen", &format!("{}.2:8484", namespace.net), "--database-url", database_url, "--allow-targets", allowed]);
        command.args(["--node-name", "inside"]).env("HOOKSTREAM_BOOTSTRAP_API_KEY", KEY);
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts"))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Tries to send a message; `None` where the node cannot be reached.
async fn try_message(client: &TestClient, number: usize) -> Option<String> {
    let body = json!({ "event_type": "invoice.paid", "payload": { "number": number } }).to_string();
    let sending = client.try_send(Method::POST, "/v1/applications/acme/messages", &[], body);
    let answer = tokio::time::timeout(Duration::from_secs(2), sending).await.ok()??;
    let answer: Value = serde_json::from_slice(answer.body()).ok()?;
    answer["message"]["id"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_cut_off_is_stood_in_for_and_rejoins_by_itself() {
    if !may_make_namespaces() {
        return eprintln!("not root: no network namespace can be made, nothing is tested");
    }
    let scratch = scratch();
    // So slow that most of what is sent below is in the node's memory when it is cut off.
    let receiver = Receiver::answering(|_| CannedResponse::status(204).after(Duration::from_millis(500))).await;
    let namespace = Namespace::make();
    let database = url::Url::parse(&scratch.database.as_ref().expect("a database").url()).expect("a URL");
    let server = format!("{}:{}", database.host_str().unwrap_or("127.0.0.1"), database.port().unwrap_or(5432));
    let (database_address, _forwarding) = namespace.forward(server).await;
    let receiver_address = receiver.url().trim_start_matches("http://").trim_end_matches("/hook").to_owned();
    let (hook_address, _hooking) = namespace.forward(receiver_address).await;
    let allowed = format!("{}.0/24", namespace.net);

    let outside = Server::start_on("127.0.0.1:0", &scratch, &["--allow-targets", &allowed]);
    let url = format!("postgres://{}@{database_address}{}", database.username(), database.path());
    let _inside = Inside::start(&namespace, &url, &allowed);
    let inside = TestClient::new(&format!("http://{}.2:8484", namespace.net), KEY);
    outside.client.acme(json!({}), &format!("http://{hook_address}/hook")).await;
    eventually("the node inside takes messages", async || try_message(&inside, 0).await).await;

    // Cut off while it has a good deal in memory.
    let mut accepted = BTreeSet::new();
    for number in 0..200 {
        accepted.extend(try_message(&inside, number).await);
    }
    namespace.connect(false);
    let arrived_before = receiver.received().len();
    assert!(arrived_before < 200, "nothing was left in the node's memory");
    for number in 200..250 {
        accepted.extend(try_message(&outside.client, number).await);
    }
    assert!(accepted.len() >= 250, "{}", accepted.len());
    let arrived = eventually("all arrives while the node is cut off", async || {
        let mut arrived: HashMap<String, usize> = HashMap::new();
        receiver.received().iter().for_each(|delivery| *arrived.entry(delivery.id()).or_default() += 1);
        accepted.iter().all(|id| arrived.contains_key(id)).then_some(arrived)
    })
    .await;
    let twice = arrived.values().filter(|times| **times > 1).count();
    assert!(twice <= 256, "{twice} arrived twice, more than can have been under way");

    let nodes = async || {
        let (_, answer) = outside.client.get("/v1/nodes").await;
        answer["nodes"].as_array().map(Vec::len)
    };
    eventually("one node is left", async || (nodes().await == Some(1)).then_some(())).await;

    namespace.connect(true);
    let back = tokio::time::Instant::now() + Duration::from_secs(40);
    let id = loop {
        match try_message(&inside, 250).await {
            Some(id) => break id,
            None => assert!(tokio::time::Instant::now() < back, "the node does not come back by itself"),
        }
    };
    outside.client.until(&id, "delivered").await;
    eventually("both are there", async || (nodes().await == Some(2)).then_some(())).await;
}
