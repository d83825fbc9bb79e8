//! Senders: a constant rate of messages independent of the nodes' state. Each message is sent with one idempotency key
//! until it is accepted, through another node if one is away.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use bytes::Bytes;
use http::{HeaderValue, StatusCode, Uri};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{fleet::Addresses, ledger::Ledger, order::Share};
use crate::{
    torture::knobs::PROBES_FROM,
    traffic::{
        connection::{self, Connection},
        payload,
    },
};

/// Enough for the usual rate with a response time of 50 ms.
const SENDERS: usize = 16;
const PAYLOAD_BYTES: usize = 500;
/// Time limit of a response before the message is sent again.
const TIME_LIMIT: Duration = Duration::from_secs(1);
/// Time for which a node without a response is avoided, if there are others.
const AWAY: Duration = Duration::from_secs(1);
/// Pause before a message is sent again.
const RESEND_PAUSE: Duration = Duration::from_millis(20);

/// Destination of the messages, and the ledger.
pub(crate) struct Target {
    addresses: Arc<Addresses>,
    nodes: usize,
    api_key: String,
    application: String,
    path: Uri,
    ledger: Arc<Ledger>,
    tasks: TaskTracker,
    began: Instant,
    /// Time by node until which it is avoided, in milliseconds since the start.
    away_until: Vec<AtomicU64>,
    probes: AtomicUsize,
}

/// Running senders; they stop on drop.
pub(crate) struct Senders {
    stop: CancellationToken,
    running: Vec<JoinHandle<()>>,
}

impl Target {
    pub(crate) fn new(
        addresses: Arc<Addresses>,
        nodes: u32,
        api_key: &str,
        application: &str,
        ledger: Arc<Ledger>,
        tasks: TaskTracker,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            addresses,
            nodes: nodes as usize,
            api_key: api_key.to_owned(),
            application: application.to_owned(),
            path: format!("/v1/applications/{application}/messages").parse().context("an id is a path")?,
            ledger,
            tasks,
            began: Instant::now(),
            away_until: (0..nodes).map(|_| AtomicU64::new(0)).collect(),
            probes: AtomicUsize::new(PROBES_FROM),
        })
    }

    /// Sends a message through one node until it is accepted there, and waits until it is delivered.
    pub(crate) async fn probe(&self, node: usize) {
        let number = self.probes.fetch_add(1, Ordering::Relaxed);
        let mut connection = None;
        let id = loop {
            if let Some(id) = self.send_to(node, &mut connection, number).await {
                break id;
            }
            sleep(RESEND_PAUSE).await;
        };
        while !self.ledger.has_arrived(&id) {
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// Sends a message through one node. Returns its id if it was accepted.
    async fn send_to(&self, node: usize, connection: &mut Option<Connection>, number: usize) -> Option<String> {
        self.ledger.begun(number);
        match timeout(TIME_LIMIT, self.post(node, connection, number)).await {
            Ok(Ok((StatusCode::CREATED, response))) => {
                let id = id_of(&response)?;
                self.ledger.accepted(number, &id);
                Some(id)
            }
            Ok(Ok((status, _))) => {
                self.ledger.refused(status);
                None
            }
            Ok(Err(_)) | Err(_) => {
                *connection = None;
                self.away_until[node].store(self.now() + millis(AWAY), Ordering::Relaxed);
                None
            }
        }
    }

    async fn post(&self, node: usize, connection: &mut Option<Connection>, number: usize) -> anyhow::Result<(StatusCode, Bytes)> {
        let address = self.addresses.of(node);
        let connection = match connection {
            Some(open) => open,
            None => connection.insert(Connection::open(&address, &self.tasks).await?),
        };
        let mut headers = connection::headers(&address, &self.api_key)?;
        // Numbers restart with each fault, but keys must not: the database may be the same.
        headers.insert("idempotency-key", HeaderValue::try_from(format!("{}-{number}", self.application))?);
        let body = match Share::of(number) {
            Share::Plain => payload::body(number, PAYLOAD_BYTES),
            Share::Keyed(key) => payload::ordered_body(number, key, PAYLOAD_BYTES),
            Share::Batched => payload::batched_body(number, PAYLOAD_BYTES),
        };
        connection.post(self.path.clone(), headers, body).await
    }

    fn is_away(&self, node: usize) -> bool {
        self.nodes > 1 && self.away_until[node].load(Ordering::Relaxed) > self.now()
    }

    /// Returns milliseconds since the start.
    fn now(&self) -> u64 {
        millis(self.began.elapsed())
    }
}

impl Senders {
    /// Starts to send this many messages a second.
    pub(crate) fn start(target: &Arc<Target>, rate: u32) -> Self {
        let stop = CancellationToken::new();
        let run = |_| target.tasks.spawn(run(Arc::clone(target), Duration::from_secs(1) / rate, stop.clone()));
        let running = (0..SENDERS).map(run).collect();
        Self { stop, running }
    }

    /// Stops, and waits until no request is in flight.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        for running in std::mem::take(&mut self.running) {
            let _ = running.await;
        }
    }
}

impl Drop for Senders {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Runs one sender.
async fn run(target: Arc<Target>, period: Duration, stop: CancellationToken) {
    let began = target.began;
    let mut connections: Vec<Option<Connection>> = (0..target.nodes).map(|_| None).collect();
    loop {
        let number = target.ledger.next();
        let due = began + period * u32::try_from(number).unwrap_or(u32::MAX);
        tokio::select! {
            () = sleep_until(due) => {}
            () = stop.cancelled() => return,
        }
        // All nodes in turn; those that are away come last.
        let nodes = (0..target.nodes).map(|turn| (number + turn) % target.nodes).collect::<Vec<_>>();
        'again: loop {
            let (away, there): (Vec<_>, Vec<_>) = nodes.iter().partition(|node| target.is_away(**node));
            for node in if there.is_empty() { away } else { there } {
                if target.send_to(node, &mut connections[node], number).await.is_some() {
                    break 'again;
                }
                if stop.is_cancelled() {
                    return;
                }
            }
            sleep(RESEND_PAUSE).await;
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the id in the response to a send.
fn id_of(response: &[u8]) -> Option<String> {
    let response: serde_json::Value = serde_json::from_slice(response).ok()?;
    response["message"]["id"].as_str().map(str::to_owned)
}
