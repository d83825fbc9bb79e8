//! A node in its own network namespace is disconnected and reconnected. Creating the namespace requires root; without
//! it, the test prints a notice and does nothing.

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

/// Network namespace connected by one virtual cable; deleted when dropped.
struct Namespace {
    name: String,
    cable: String,
    /// First three octets of both ends' addresses; this end is .1, the other .2.
    net: String,
}

impl Namespace {
    fn create() -> Self {
        let number = std::process::id() % 250;
        let namespace = Self { name: format!("hookstream-{number}"), cable: format!("hst{number}"), net: format!("10.231.{number}") };
        let Self { name, cable, net } = &namespace;
        ip(&format!("netns add {name}"));
        ip(&format!("link add {cable} type veth peer name {cable}n netns {name}"));
        ip(&format!("addr add {net}.1/24 dev {cable}"));
        ip(&format!("link set {cable} up"));
        ip(&format!("-n {name} addr add {net}.2/24 dev {cable}n"));
        ip(&format!("-n {name} link set {cable}n up"));
        ip(&format!("-n {name} link set lo up"));
        namespace
    }

    /// Disconnects or reconnects the cable.
    fn connect(&self, connected: bool) {
        ip(&format!("link set {} {}", self.cable, if connected { "up" } else { "down" }));
    }

    /// Forwards connections from this end of the cable to an address on loopback. Returns the listening address.
    async fn forward(&self, to: String) -> (String, AbortOnDropHandle<()>) {
        let listener = TcpListener::bind(format!("{}.1:0", self.net)).await.expect("an address of ours");
        let address = listener.local_addr().expect("the listener is bound").to_string();
        let serving = TaskTracker::new().spawn(async move {
            let connections = TaskTracker::new();
            while let Ok((mut from, _)) = listener.accept().await {
                let to = to.clone();
                connections.spawn(async move {
                    if let Ok(mut upstream) = TcpStream::connect(to).await {
                        let _ = tokio::io::copy_bidirectional(&mut from, &mut upstream).await;
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

fn may_create_namespaces() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Node in the namespace; killed when dropped.
struct Inside(Child);

impl Inside {
    fn start(namespace: &Namespace, database_url: &str, allowed: &str) -> Self {
        let program = hookstream().get_program().to_owned();
        let mut command = cleaned(Command::new("ip"));
        command.args(["netns", "exec", &namespace.name]).arg(program).args(["serve", "--log", "warn", "--lease-ms", "1000"]);
        command.args(["--listen", &format!("{}.2:8484", namespace.net), "--database-url", database_url, "--allow-targets", allowed]);
        command.args(["--node-name", "inside"]).env("HOOKSTREAM_BOOTSTRAP_API_KEY", KEY);
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the process starts"))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a message; returns `None` if the node cannot be reached.
async fn try_message(client: &TestClient, number: usize) -> Option<String> {
    let body = json!({ "event_type": "invoice.paid", "payload": { "number": number } }).to_string();
    let sending = client.try_send(Method::POST, "/v1/applications/acme/messages", &[], body);
    let response = tokio::time::timeout(Duration::from_secs(2), sending).await.ok()??;
    let response: Value = serde_json::from_slice(response.body()).ok()?;
    response["message"]["id"].as_str().map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnected_node_is_replaced_and_rejoins() {
    if !may_create_namespaces() {
        return eprintln!("not root: cannot create a network namespace, nothing is tested");
    }
    let scratch = scratch();
    // So slow that what exceeds the attempts of an endpoint is in the node's memory when it is disconnected.
    let receiver = Receiver::responding(|_| CannedResponse::status(204).after(Duration::from_secs(30))).await;
    let namespace = Namespace::create();
    let database = url::Url::parse(&scratch.database.as_ref().expect("a database").url()).expect("a URL");
    let server = format!("{}:{}", database.host_str().unwrap_or("127.0.0.1"), database.port().unwrap_or(5432));
    let (database_address, _forwarding) = namespace.forward(server).await;
    let receiver_address = receiver.url().trim_start_matches("http://").trim_end_matches("/hook").to_owned();
    let (hook_address, _hook_forwarding) = namespace.forward(receiver_address).await;
    let allowed = format!("{}.0/24", namespace.net);

    let outside = Server::start_on("127.0.0.1:0", &scratch, &["--allow-targets", &allowed]);
    let url = format!("postgres://{}@{database_address}{}", database.username(), database.path());
    let _inside = Inside::start(&namespace, &url, &allowed);
    let inside = TestClient::new(&format!("http://{}.2:8484", namespace.net), KEY);
    outside.client.acme(json!({}), &format!("http://{hook_address}/hook")).await;
    eventually("the inner node accepts messages", async || try_message(&inside, 0).await).await;

    // Disconnects while many messages are in memory.
    let mut accepted = BTreeSet::new();
    for number in 0..400 {
        accepted.extend(try_message(&inside, number).await);
    }
    namespace.connect(false);
    let arrived_before = receiver.received().len();
    assert!(arrived_before < 400, "nothing was left in the node's memory");
    receiver.respond(|_| CannedResponse::status(204));
    for number in 400..450 {
        accepted.extend(try_message(&outside.client, number).await);
    }
    assert!(accepted.len() >= 450, "{}", accepted.len());
    let arrived = eventually("all messages arrive while the node is disconnected", async || {
        let mut arrived: HashMap<String, usize> = HashMap::new();
        receiver.received().iter().for_each(|delivery| *arrived.entry(delivery.id()).or_default() += 1);
        accepted.iter().all(|id| arrived.contains_key(id)).then_some(arrived)
    })
    .await;
    let twice = arrived.values().filter(|times| **times > 1).count();
    assert!(twice <= 256, "{twice} arrived twice, more than can be in flight");

    let nodes = async || {
        let (_, response) = outside.client.get("/v1/nodes").await;
        response["nodes"].as_array().map(|nodes| nodes.iter().filter(|node| node["state"] == "alive").count())
    };
    eventually("one node is left", async || (nodes().await == Some(1)).then_some(())).await;

    namespace.connect(true);
    let back = tokio::time::Instant::now() + Duration::from_secs(40);
    let id = loop {
        match try_message(&inside, 250).await {
            Some(id) => break id,
            None => assert!(tokio::time::Instant::now() < back, "the node does not rejoin"),
        }
    };
    outside.client.until(&id, "delivered").await;
    eventually("both nodes are listed", async || (nodes().await == Some(2)).then_some(())).await;
}
