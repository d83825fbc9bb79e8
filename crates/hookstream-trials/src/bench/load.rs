//! Senders: one connection per task, each with one request in flight.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use http::{HeaderMap, StatusCode, Uri};
use tokio_util::task::TaskTracker;

use super::{Fleet, run::Run};
use crate::traffic::{
    connection::{self, Connection},
    payload,
    process::{Cpu, ServerProcess},
};

/// Assumed maximum of messages a second without a given rate.
const FASTEST: u64 = 100_000;

/// Measurements taken while sending.
pub(super) struct Begun {
    /// Start of counting, in microseconds of the run.
    pub(super) counted_from: u64,
    /// End of sending.
    pub(super) sent_until: u64,
    /// CPU time before the first message, as [`Fleet::cpu`] returns it.
    pub(super) cpu: [Option<Cpu>; 3],
}

/// Load to send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    /// Number of connections, each with one request in flight.
    pub(super) connections: u32,
    /// Messages a second, independent of the responses; if `None`, each connection sends after its response.
    pub(super) rate: Option<u32>,
    pub(super) payload_bytes: u32,
    /// Time to send, and uncounted time before it.
    pub(super) duration: Duration,
    pub(super) warmup: Duration,
}

impl Plan {
    /// Returns the maximum number of messages of a run.
    pub(super) fn room(&self) -> usize {
        let seconds = (self.duration + self.warmup).as_secs() + 1;
        usize::try_from(seconds * self.rate.map_or(FASTEST, u64::from)).unwrap_or(usize::MAX)
    }
}

/// State shared by the tasks.
struct Load {
    /// Address of each server, and the headers of its requests.
    servers: Vec<(String, HeaderMap)>,
    paths: Vec<Uri>,
    payload_bytes: usize,
    /// Nanoseconds between two messages over all connections; 0 for a closed loop.
    period_nanos: u64,
    first_at: u64,
    until: u64,
    run: Arc<Run>,
}

/// Sends to applications in turn, for the time of the plan.
pub(super) async fn send(
    plan: &Plan,
    fleet: &Fleet,
    applications: &[String],
    run: &Arc<Run>,
    tasks: &TaskTracker,
) -> anyhow::Result<Begun> {
    let address = |server: &ServerProcess| -> anyhow::Result<_> {
        let authority = server.url.strip_prefix("http://").context("--url must start with http://")?.to_owned();
        let headers = connection::headers(&authority, &server.api_key)?;
        Ok((authority, headers))
    };
    let servers = fleet.servers.iter().map(address).collect::<anyhow::Result<Vec<_>>>()?;
    let paths = applications.iter().map(|id| format!("/v1/applications/{id}/messages").parse()).collect::<Result<_, _>>()?;
    let micros = |duration: Duration| u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let first_at = run.now();
    let load = Arc::new(Load {
        servers,
        paths,
        payload_bytes: usize::try_from(plan.payload_bytes).unwrap_or(usize::MAX),
        period_nanos: plan.rate.map_or(0, |rate| 1_000_000_000 / u64::from(rate)),
        first_at,
        until: first_at + micros(plan.warmup + plan.duration),
        run: Arc::clone(run),
    });
    let cpu = fleet.cpu();
    let connection = |number: u32| {
        let server = usize::try_from(number).unwrap_or(0) % load.servers.len();
        tasks.spawn(Arc::clone(&load).connection(server, tasks.clone()))
    };
    let connections: Vec<_> = (0..plan.connections).map(connection).collect();
    for connection in connections {
        connection.await??;
    }
    Ok(Begun { counted_from: first_at + micros(plan.warmup), sent_until: run.now(), cpu })
}

impl Load {
    async fn connection(self: Arc<Self>, server: usize, tasks: TaskTracker) -> anyhow::Result<()> {
        let (authority, headers) = &self.servers[server];
        let mut connection = Connection::open(authority, &tasks).await?;
        while let Some(number) = self.run.next() {
            let at = match self.period_nanos {
                0 => self.run.now(),
                period => self.first_at + number as u64 * period / 1_000,
            };
            if at >= self.until {
                break;
            }
            if self.period_nanos > 0 {
                tokio::time::sleep_until(self.run.instant(at)).await;
            }
            self.run.sent(number, at);
            let accepted = self.message(&mut connection, headers, number).await;
            self.run.responded(number, matches!(accepted, Ok(true)));
            if accepted.is_err() {
                connection = Connection::open(authority, &tasks).await?;
            }
        }
        Ok(())
    }

    async fn message(&self, connection: &mut Connection, headers: &HeaderMap, number: usize) -> anyhow::Result<bool> {
        let path = self.paths[number % self.paths.len()].clone();
        let (status, _) = connection.post(path, headers.clone(), payload::body(number, self.payload_bytes)).await?;
        Ok(status == StatusCode::CREATED)
    }
}
