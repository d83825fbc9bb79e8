//! Nodes: the real binary in separate processes, which must end only on request.

use std::{
    ffi::OsString,
    fs::OpenOptions,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context;
use tokio_util::task::TaskTracker;

use crate::{torture::knobs::IN_FLIGHT, traffic::process::ServerProcess};

/// Short waits, because a round ends when everything has arrived; the last ones are for long faults.
const SCHEDULE: &str = "1,1,1,2,2,5,5,10,10,10";
/// Short as well: a breaker opened by a bad receiver probes soon.
const COOLDOWN_S: &str = "1";

/// Nodes of a fault.
pub(crate) struct Fleet {
    nodes: Vec<Node>,
    addresses: Arc<Addresses>,
    settings: Vec<OsString>,
}

struct Node {
    /// Environment variables.
    environment: Vec<(OsString, OsString)>,
    /// `None` while the node is killed.
    process: Option<ServerProcess>,
    log: PathBuf,
}

/// Addresses of the nodes, for the senders; a restarted node may have another one.
#[derive(Debug, Default)]
pub(crate) struct Addresses(Mutex<Vec<String>>);

impl Addresses {
    pub(crate) fn of(&self, node: usize) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)[node].clone()
    }

    fn set(&self, node: usize, address: String) {
        let mut addresses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = addresses.len().max(node + 1);
        addresses.resize(count, String::new());
        addresses[node] = address;
    }
}

impl Fleet {
    /// Starts a node for each environment, concurrently, with these settings; their logs go to a directory.
    pub(crate) async fn launch(
        environments: Vec<Vec<(OsString, OsString)>>,
        mut settings: Vec<OsString>,
        logs: &Path,
    ) -> anyhow::Result<Self> {
        let limits = ["--max-in-flight-per-target", &IN_FLIGHT.to_string(), "--retry-schedule", SCHEDULE];
        settings.extend(limits.into_iter().chain(["--circuit-breaker-cooldown-s", COOLDOWN_S]).map(OsString::from));
        let node = |(number, environment)| Node { environment, process: None, log: logs.join(format!("node-{number}.log")) };
        let mut fleet = Self { nodes: (1..).zip(environments).map(node).collect(), addresses: Arc::default(), settings };
        let tasks = TaskTracker::new();
        let start = |node: &Node| tasks.spawn(start(node.log.clone(), fleet.settings.clone(), node.environment.clone()));
        let starting: Vec<_> = fleet.nodes.iter().map(start).collect();
        for (number, starting) in starting.into_iter().enumerate() {
            let process = starting.await?.with_context(|| format!("node {} of the first start", number + 1))?;
            fleet.keep(number, process);
        }
        Ok(fleet)
    }

    pub(crate) fn count(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn addresses(&self) -> Arc<Addresses> {
        Arc::clone(&self.addresses)
    }

    /// Returns the URL and the API key of a running node.
    pub(crate) fn server(&self) -> anyhow::Result<(&str, &str)> {
        let process = self.nodes.iter().find_map(|node| node.process.as_ref()).context("a node is there")?;
        Ok((&process.url, &process.api_key))
    }

    /// Returns the URL and the API key of this node.
    pub(crate) fn server_of(&self, node: u32) -> anyhow::Result<(&str, &str)> {
        let process = self.nodes[node as usize].process.as_ref().context("the node is not there")?;
        Ok((&process.url, &process.api_key))
    }

    pub(crate) fn kill(&mut self, node: u32) {
        if let Some(process) = self.nodes[node as usize].process.take() {
            process.kill();
        }
    }

    pub(crate) async fn start(&mut self, node: u32) -> anyhow::Result<()> {
        let node = node as usize;
        let Node { environment, log, .. } = &self.nodes[node];
        let process = start(log.clone(), self.settings.clone(), environment.clone()).await?;
        self.keep(node, process);
        Ok(())
    }

    pub(crate) fn pause(&self, node: u32) -> anyhow::Result<()> {
        self.signal(node, "STOP")
    }

    pub(crate) fn resume(&self, node: u32) -> anyhow::Result<()> {
        self.signal(node, "CONT")
    }

    /// Fails if a node has ended without a request.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        for (number, node) in (1..).zip(&mut self.nodes) {
            if let Some(status) = node.process.as_mut().and_then(ServerProcess::ended) {
                anyhow::bail!("node {number} ended by itself ({status}); its log is {}", node.log.display());
            }
        }
        Ok(())
    }

    /// Stops all nodes.
    pub(crate) async fn stop(&mut self) {
        for node in &mut self.nodes {
            if let Some(process) = node.process.take() {
                process.stop().await;
            }
        }
    }

    fn keep(&mut self, node: usize, process: ServerProcess) {
        self.addresses.set(node, process.url.trim_start_matches("http://").to_owned());
        self.nodes[node].process = Some(process);
    }

    fn signal(&self, node: u32, name: &str) -> anyhow::Result<()> {
        self.nodes[node as usize].process.as_ref().context("the node is not there")?.signal(name)
    }
}

async fn start(log: PathBuf, settings: Vec<OsString>, environment: Vec<(OsString, OsString)>) -> anyhow::Result<ServerProcess> {
    let file = OpenOptions::new().create(true).append(true).open(&log).with_context(|| format!("could not open {}", log.display()))?;
    let started = ServerProcess::start(&settings, &environment, Stdio::from(file)).await;
    started.with_context(|| format!("a node did not start; its log is {} and ends:\n{}", log.display(), last_lines(&log)))
}

/// Returns the last lines of a log.
fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
