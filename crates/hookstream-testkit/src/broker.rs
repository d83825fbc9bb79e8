//! RabbitMQ broker for tests: exchanges and queues of a test's own, and a proxy that adds TLS or cuts connections. The broker is
//! the one that `HOOKSTREAM_TEST_AMQP_URL` names; `scripts/test-rabbitmq` provides it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
};

use base64::{Engine, engine::general_purpose::STANDARD};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind,
    options::{BasicGetOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use rustls::ServerConfig;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::TlsAcceptor;
use url::Url;

use crate::eventually;

/// Connection to the broker, as the receiving side has it.
pub struct Broker {
    url: Url,
    api: Url,
    channel: Channel,
    _connection: Connection,
}

/// Message taken from a queue.
#[derive(Debug)]
pub struct ReceivedMessage {
    /// Body.
    pub body: Vec<u8>,
    /// Properties of AMQP.
    pub properties: BasicProperties,
}

impl ReceivedMessage {
    /// Returns the text of a header.
    pub fn header(&self, name: &str) -> Option<String> {
        match self.properties.headers().as_ref()?.inner().get(name)? {
            AMQPValue::LongString(text) => Some(text.to_string()),
            _ => None,
        }
    }
}

/// Exchange and queue of one test; the broker deletes them when the connection ends.
#[derive(Debug)]
pub struct Topology {
    /// Name of a direct exchange.
    pub exchange: String,
    /// Name of the queue that is bound to it.
    pub queue: String,
    /// Routing key of the binding.
    pub routing_key: String,
}

impl Broker {
    /// Connects to the broker.
    pub async fn connect() -> Self {
        let of = |name: &str, default: &str| std::env::var(name).unwrap_or_else(|_| default.to_owned()).parse().expect("a URL");
        let url: Url = of("HOOKSTREAM_TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672");
        let api = of("HOOKSTREAM_TEST_RABBITMQ_API", "http://127.0.0.1:15672");
        let connection = Connection::connect(url.as_str(), ConnectionProperties::default());
        let connection = connection.await.unwrap_or_else(|error| panic!("{error}; run scripts/test-rabbitmq"));
        let channel = connection.create_channel().await.expect("a channel");
        Self { url, api, channel, _connection: connection }
    }

    /// Address of the broker.
    pub fn address(&self) -> SocketAddr {
        let host = self.url.host_str().expect("a host");
        SocketAddr::new(host.parse().expect("an address"), self.url.port().unwrap_or(5672))
    }

    /// URL of the broker, without credentials.
    pub fn url(&self) -> String {
        format!("amqp://{}", self.address())
    }

    /// URL of the management API.
    pub fn api_url(&self) -> String {
        self.api.as_str().trim_end_matches('/').to_owned()
    }

    /// User name and password.
    pub fn credentials(&self) -> (String, String) {
        (self.url.username().to_owned(), self.url.password().unwrap_or_default().to_owned())
    }

    /// Creates an exchange with a queue of this name.
    pub async fn topology(&self, name: &str) -> Topology {
        self.topology_with(name, FieldTable::default()).await
    }

    /// Creates an exchange with a queue that holds one message and refuses more.
    pub async fn full_topology(&self, name: &str) -> Topology {
        let mut arguments = FieldTable::default();
        arguments.insert("x-max-length".into(), AMQPValue::LongInt(1));
        arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
        self.topology_with(name, arguments).await
    }

    async fn topology_with(&self, name: &str, arguments: FieldTable) -> Topology {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let unique = format!("hookstream_test.{}.{}.{name}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let topology = Topology { exchange: unique.clone(), queue: unique, routing_key: "orders".to_owned() };
        let (exchange, queue) = (topology.exchange.as_str(), topology.queue.as_str());
        let options = ExchangeDeclareOptions { auto_delete: true, ..ExchangeDeclareOptions::default() };
        self.channel.exchange_declare(exchange.into(), ExchangeKind::Direct, options, FieldTable::default()).await.expect("an exchange");
        let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
        self.channel.queue_declare(queue.into(), options, arguments).await.expect("a queue");
        let (key, options) = (topology.routing_key.as_str().into(), QueueBindOptions::default());
        self.channel.queue_bind(queue.into(), exchange.into(), key, options, FieldTable::default()).await.expect("a binding");
        topology
    }

    /// Takes the next message of a queue, when it arrives.
    pub async fn next(&self, topology: &Topology) -> ReceivedMessage {
        eventually("a message in the queue", || async {
            let options = BasicGetOptions { no_ack: true };
            let found = self.channel.basic_get(topology.queue.as_str().into(), options).await.expect("the queue exists")?;
            Some(ReceivedMessage { body: found.delivery.data, properties: found.delivery.properties })
        })
        .await
    }

    /// Sends a request to the management API and returns the status.
    pub async fn manage(&self, method: &str, path: &str, body: &Value) -> u16 {
        let (user, password) = self.credentials();
        let authority = format!("{}:{}", self.api.host_str().expect("a host"), self.api.port_or_known_default().expect("a port"));
        let mut stream = TcpStream::connect(&authority).await.expect("the management API");
        let (authorization, body) = (STANDARD.encode(format!("{user}:{password}")), body.to_string());
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {authority}\r\nauthorization: Basic {authorization}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.expect("a request");
        let mut response = String::new();
        stream.read_to_string(&mut response).await.expect("a response");
        response.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status")
    }
}

/// Proxy in front of a server. Dropping it closes all its connections.
pub struct Proxy {
    address: SocketAddr,
    opened: Arc<AtomicUsize>,
    open: Arc<AtomicUsize>,
    cut: watch::Sender<u64>,
}

impl Proxy {
    /// Starts a proxy that passes everything on.
    pub async fn start(upstream: SocketAddr) -> Self {
        Self::start_with(upstream, None).await
    }

    /// Starts a proxy that ends TLS.
    pub async fn start_tls(upstream: SocketAddr, tls: Arc<ServerConfig>) -> Self {
        Self::start_with(upstream, Some(TlsAcceptor::from(tls))).await
    }

    async fn start_with(upstream: SocketAddr, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (opened, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (cut, cuts) = watch::channel(0);
        let counts = (Arc::clone(&opened), Arc::clone(&open));
        #[expect(clippy::disallowed_methods, reason = "the task ends with the runtime of the test")]
        tokio::spawn(async move {
            let mut ended = cuts.clone();
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = closed(&mut ended) => return,
                };
                let Ok((client, _)) = accepted else { return };
                counts.0.fetch_add(1, Ordering::SeqCst);
                counts.1.fetch_add(1, Ordering::SeqCst);
                let (tls, open, mut cuts) = (tls.clone(), Arc::clone(&counts.1), cuts.clone());
                cuts.mark_unchanged();
                #[expect(clippy::disallowed_methods, reason = "the task ends with its connection")]
                tokio::spawn(async move {
                    tokio::select! {
                        () = pass(client, upstream, tls) => {}
                        _ = cuts.changed() => {}
                    }
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, opened, open, cut }
    }

    /// Address of the proxy.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Number of connections since the start.
    pub fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }

    /// Number of connections that are open.
    pub fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    /// Closes all connections; new ones are accepted.
    pub fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}

async fn closed(cuts: &mut watch::Receiver<u64>) {
    while cuts.changed().await.is_ok() {}
}

async fn pass(mut client: TcpStream, upstream: SocketAddr, tls: Option<TlsAcceptor>) {
    let Ok(mut server) = TcpStream::connect(upstream).await else { return };
    let _ = match tls {
        None => copy_bidirectional(&mut client, &mut server).await,
        Some(tls) => match tls.accept(client).await {
            Ok(mut client) => copy_bidirectional(&mut client, &mut server).await,
            Err(error) => Err(error),
        },
    };
}
