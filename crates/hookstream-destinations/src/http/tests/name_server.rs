//! The system's resolver against a real name server on loopback, by UDP and TCP, that responds well, badly, or not at
//! all.

use std::net::SocketAddr;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hookstream_testkit::receiver::Receiver;
use tokio::{
    net::{TcpListener, TcpStream, UdpSocket},
    task::JoinSet,
};

use super::*;
use crate::net::resolve::SystemResolver;

/// Time limit of a query in these tests.
const QUERY_TIMEOUT: Duration = Duration::from_millis(300);
const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;
/// Maximum size of a datagram without negotiation (RFC 1035 section 4.2.1).
const DATAGRAM: usize = 512;

/// Reply to a query.
#[derive(Debug, Clone)]
enum Reply {
    /// No error, and these records for the queried name.
    Records(Vec<Record>),
    /// Response code of an error.
    Code(u8),
    /// Bytes that are not a valid response.
    Bytes(&'static [u8]),
    Silence,
}

#[derive(Debug, Clone)]
struct Record {
    kind: u16,
    seconds: u32,
    data: Vec<u8>,
}

impl Reply {
    fn no_records() -> Self {
        Self::Records(vec![])
    }

    fn address(address: &str, seconds: u32) -> Self {
        Self::addresses([address.parse().expect("an address")], seconds)
    }

    fn addresses(addresses: impl IntoIterator<Item = IpAddr>, seconds: u32) -> Self {
        let record = |address| match address {
            IpAddr::V4(address) => Record { kind: A, seconds, data: address.octets().to_vec() },
            IpAddr::V6(address) => Record { kind: AAAA, seconds, data: address.octets().to_vec() },
        };
        Self::Records(addresses.into_iter().map(record).collect())
    }

    fn alias(name: &str) -> Self {
        let labels = name.split_terminator('.').flat_map(|label| {
            let length = u8::try_from(label.len()).expect("a short label");
            std::iter::once(length).chain(label.bytes())
        });
        Self::Records(vec![Record { kind: CNAME, seconds: 60, data: labels.chain([0]).collect() }])
    }

    /// Encodes the response to a query (RFC 1035 section 4); truncated if it exceeds `limit`.
    fn to(&self, query: &Query, limit: usize) -> Option<Vec<u8>> {
        let (code, records) = match self {
            Self::Records(records) => (0, &records[..]),
            Self::Code(code) => (*code, &[][..]),
            Self::Bytes(bytes) => return Some(bytes.to_vec()),
            Self::Silence => return None,
        };
        let message = |truncated: u8, records: &[Record]| {
            let count = u16::try_from(records.len()).expect("not too many").to_be_bytes();
            let head = [query.id[0], query.id[1], 0x81 | truncated, 0x80 | code, 0, 1, count[0], count[1], 0, 0, 0, 0];
            let records = records.iter().flat_map(|Record { kind, seconds, data }| {
                let length = u16::try_from(data.len()).expect("short data").to_be_bytes();
                [&[0xc0, 12][..], &kind.to_be_bytes(), &[0, 1], &seconds.to_be_bytes(), &length, data].concat()
            });
            [&head[..], &query.bytes].concat().into_iter().chain(records).collect::<Vec<_>>()
        };
        let whole = message(0, records);
        Some(if whole.len() > limit { message(2, &[]) } else { whole })
    }
}

/// Parsed query.
struct Query {
    id: [u8; 2],
    name: String,
    kind: u16,
    /// Query section as received.
    bytes: Vec<u8>,
}

impl Query {
    fn read(message: &[u8]) -> Option<Self> {
        let mut at = 12;
        let mut name = String::new();
        while *message.get(at)? > 0 {
            let label = message.get(at + 1..=at + usize::from(message[at]))?;
            name.push_str(&String::from_utf8_lossy(label).to_lowercase());
            name.push('.');
            at += 1 + label.len();
        }
        let kind = u16::from_be_bytes([*message.get(at + 1)?, *message.get(at + 2)?]);
        Some(Self { id: [message[0], message[1]], name, kind, bytes: message.get(12..at + 5)?.to_vec() })
    }
}

type Script = dyn Fn(&str, u16) -> Reply + Send + Sync;

/// Name server on one port, by UDP and TCP. It stops when dropped.
struct NameServer {
    address: SocketAddr,
    queries: Arc<Mutex<Vec<(String, u16)>>>,
    _serving: JoinSet<()>,
}

impl NameServer {
    async fn start(script: impl Fn(&str, u16) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port on loopback");
        let address = listener.local_addr().expect("the listener is bound");
        let socket = UdpSocket::bind(address).await.expect("the same port of UDP");
        let (script, queries): (Arc<Script>, Arc<Mutex<Vec<_>>>) = (Arc::new(script), Arc::default());
        let responder = Responder { script, queries: Arc::clone(&queries) };
        let mut serving = JoinSet::new();
        serving.spawn(serve_udp(socket, responder.clone()));
        serving.spawn(serve_tcp(listener, responder));
        Self { address, queries, _serving: serving }
    }

    fn resolver(&self) -> SystemResolver {
        let connection = |mut connection: ConnectionConfig| {
            connection.port = self.address.port();
            connection
        };
        let connections = vec![connection(ConnectionConfig::udp()), connection(ConnectionConfig::tcp())];
        let server = NameServerConfig::new(self.address.ip(), true, connections);
        SystemResolver::with_servers(ResolverConfig::from_parts(None, vec![], vec![server]), QUERY_TIMEOUT).expect("a resolver")
    }

    fn queries(&self) -> Vec<(String, u16)> {
        self.queries.lock().expect("not poisoned").clone()
    }
}

#[derive(Clone)]
struct Responder {
    script: Arc<Script>,
    queries: Arc<Mutex<Vec<(String, u16)>>>,
}

impl Responder {
    fn respond(&self, message: &[u8], limit: usize) -> Option<Vec<u8>> {
        let query = Query::read(message)?;
        self.queries.lock().expect("not poisoned").push((query.name.clone(), query.kind));
        (self.script)(&query.name, query.kind).to(&query, limit)
    }
}

async fn serve_udp(socket: UdpSocket, responder: Responder) {
    let mut message = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut message).await {
        if let Some(response) = responder.respond(&message[..length], DATAGRAM) {
            let _ = socket.send_to(&response, from).await;
        }
    }
}

async fn serve_tcp(listener: TcpListener, responder: Responder) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(speak(stream, responder.clone()));
    }
}

async fn speak(mut stream: TcpStream, responder: Responder) {
    while let Ok(length) = stream.read_u16().await {
        let mut message = vec![0; usize::from(length)];
        if stream.read_exact(&mut message).await.is_err() {
            return;
        }
        if let Some(response) = responder.respond(&message, usize::from(u16::MAX)) {
            let length = u16::try_from(response.len()).expect("the response fits").to_be_bytes();
            let _ = stream.write_all(&[&length[..], &response].concat()).await;
        }
    }
}

/// Resolves a name with a server that runs this script.
async fn resolve(script: impl Fn(&str, u16) -> Reply + Send + Sync + 'static) -> Result<Vec<IpAddr>, DnsError> {
    let server = NameServer::start(script).await;
    let mut found =
        tokio::time::timeout(QUERY_TIMEOUT * 4 + SLACK, server.resolver().resolve("name.test.")).await.expect("resolution ends")?;
    found.sort();
    Ok(found)
}

fn addresses(addresses: &[&str]) -> Result<Vec<IpAddr>, DnsError> {
    Ok(addresses.iter().map(|address| address.parse().expect("an address")).collect())
}

#[tokio::test]
async fn both_address_families_are_queried() {
    let both = |_: &str, kind| Reply::address(if kind == A { "192.0.2.1" } else { "2001:db8::1" }, 60);
    assert_eq!(resolve(both).await, addresses(&["192.0.2.1", "2001:db8::1"]));
}

#[tokio::test]
async fn one_address_family_is_enough() {
    for other in [Reply::no_records(), Reply::Code(2), Reply::Code(3), Reply::Code(5), Reply::Silence, Reply::Bytes(b"no response")] {
        let of = other.clone();
        let found = resolve(move |_, kind| if kind == A { Reply::address("192.0.2.1", 60) } else { of.clone() }).await;
        assert_eq!(found, addresses(&["192.0.2.1"]), "{other:?}");
        let of = other.clone();
        let found = resolve(move |_, kind| if kind == AAAA { Reply::address("fd00:ec2::254", 60) } else { of.clone() }).await;
        assert_eq!(found, addresses(&["fd00:ec2::254"]), "{other:?}");
    }
}

#[tokio::test]
async fn missing_name_or_address_is_no_such_name() {
    assert_eq!(resolve(|_, _| Reply::Code(3)).await, Err(DnsError::NoSuchName));
    assert_eq!(resolve(|_, _| Reply::no_records()).await, Err(DnsError::NoSuchName));
}

#[tokio::test]
async fn server_failure_or_refusal_is_a_failure() {
    for code in [1, 2, 4, 5] {
        assert_eq!(resolve(move |_, _| Reply::Code(code)).await, Err(DnsError::Failed), "{code}");
    }
}

#[tokio::test]
async fn silent_or_garbled_server_times_out() {
    for reply in [Reply::Silence, Reply::Bytes(b""), Reply::Bytes(b"\x00\x01"), Reply::Bytes(&[0xff; 300])] {
        let bytes = reply.clone();
        let found = resolve(move |_, _| bytes.clone()).await;
        assert!(matches!(found, Err(DnsError::TimedOut | DnsError::Failed)), "{reply:?}: {found:?}");
    }
}

#[tokio::test]
async fn aliases_are_followed_and_a_loop_ends() {
    let chain = |name: &str, kind| match (name, kind) {
        ("name.test.", _) => Reply::alias("one.test."),
        ("one.test.", _) => Reply::alias("two.test."),
        (_, A) => Reply::address("192.0.2.1", 60),
        _ => Reply::no_records(),
    };
    assert_eq!(resolve(chain).await, addresses(&["192.0.2.1"]));

    for circle in [["name.test.", "name.test."], ["one.test.", "name.test."]] {
        let server = NameServer::start(move |name, _| Reply::alias(circle[usize::from(name != "name.test.")])).await;
        let found = tokio::time::timeout(SLACK, server.resolver().resolve("name.test.")).await.expect("resolution ends");
        assert!(matches!(found, Err(DnsError::NoSuchName | DnsError::Failed)), "{circle:?}: {found:?}");
        assert!(server.queries().len() < 50, "{circle:?}: {} queries", server.queries().len());
    }
    // An endless chain of aliases without a loop.
    let server = NameServer::start(|name, _| Reply::alias(&format!("a{name}"))).await;
    let found = tokio::time::timeout(SLACK, server.resolver().resolve("name.test.")).await.expect("resolution ends");
    assert!(matches!(found, Err(DnsError::NoSuchName | DnsError::Failed)), "{found:?}");
    assert!(server.queries().len() < 50, "{} queries", server.queries().len());
}

#[tokio::test]
async fn large_response_arrives_by_tcp() {
    let thousand = || (0..1000_u16).map(|number| IpAddr::from([192, 0, number.to_be_bytes()[0], number.to_be_bytes()[1]]));
    let found = resolve(move |_, kind| if kind == A { Reply::addresses(thousand(), 60) } else { Reply::no_records() }).await;
    assert_eq!(found, Ok(thousand().collect()));
}

#[tokio::test]
async fn records_without_a_ttl_are_not_cached() {
    for (seconds, expected) in [(0, 2), (60, 1)] {
        let script = move |_: &str, kind| if kind == A { Reply::address("192.0.2.1", seconds) } else { Reply::address("::1", seconds) };
        let server = NameServer::start(script).await;
        let resolver = server.resolver();
        for _ in 0..2 {
            resolver.resolve("name.test.").await.expect("addresses");
        }
        let queries = server.queries().iter().filter(|(_, kind)| *kind == A).count();
        assert_eq!(queries, expected, "{seconds} s");
    }
}

#[tokio::test]
async fn dns_rebinding_after_the_check_is_rejected_on_connect() {
    let queries = std::sync::atomic::AtomicUsize::default();
    let server = NameServer::start(move |_, kind| match kind {
        A if queries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 => Reply::address("127.0.0.1", 0),
        A => Reply::address("169.254.169.254", 0),
        _ => Reply::no_records(),
    })
    .await;
    let receiver = Receiver::start().await;
    let transport = Http::with_resolver(options(), Box::new(server.resolver()));
    let url = receiver.url_at("name.test");
    assert_eq!(transport.check(&url).await, Ok(()));
    let outcome = send(&transport, &url, AMPLE).await;
    let expected = "address_not_allowed: the URL leads to an address that this installation does not allow (link-local)";
    assert!(outcome.error().is_some_and(|error| error.starts_with(expected)), "{outcome:?}");
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn international_name_is_queried_in_ascii() {
    let server = NameServer::start(|_, kind| if kind == A { Reply::address("127.0.0.1", 60) } else { Reply::no_records() }).await;
    let receiver = Receiver::start().await;
    let transport = Http::with_resolver(options(), Box::new(server.resolver()));
    assert_eq!(send(&transport, &receiver.url_at("bücher.test"), AMPLE).await, responded(204));
    assert!(server.queries().iter().all(|(name, _)| name == "xn--bcher-kva.test."), "{:?}", server.queries());
}
