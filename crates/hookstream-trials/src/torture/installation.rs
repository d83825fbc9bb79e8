//! Installation of a fault's rounds: nodes, a receiver, and an application with its endpoints.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use hookstream_cli::{api::ApiClient, clock::SystemClock};
use hookstream_model::base::time::Clock;
use serde_json::json;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

use super::test_bed::{DatabaseChoice, TestBed};
use crate::{
    torture::{
        faults::{clocks::Clocks, fault::Fault},
        knobs::BATCH,
        plan::Plan,
        traffic::{
            fleet::Fleet,
            ledger::Ledger,
            receiver::{Receiver, ReceiverState},
            senders::Target,
        },
    },
    traffic::payload,
};

/// Time limit for a node to deliver again after the repair.
const RECOVERED_WITHIN: Duration = Duration::from_secs(60);
/// Time limit of an attempt to a hanging receiver: the minimum setting.
const TIMEOUT_MS: u32 = 1_000;
/// Time for which the first delivery of a batch waits for others.
const BATCH_WAIT_MS: u32 = 100;
/// Share of messages whose first attempt gets a 500 response.
const FAIL_SHARE: f64 = 0.02;
/// Share for the fault `clock`, so that some attempts always wait for their retry.
const FAIL_SHARE_CLOCK: f64 = 0.05;

/// Everything that takes part. Nodes end before their database.
pub(crate) struct Installation {
    pub(crate) fleet: Fleet,
    pub(crate) target: Arc<Target>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) clocks: Arc<Clocks>,
    pub(crate) application: String,
    /// Endpoint of unordered messages.
    pub(crate) endpoint: String,
    pub(crate) receiver: Receiver,
    pub(crate) test_bed: TestBed,
}

impl Installation {
    pub(crate) async fn build(plan: &Plan, choice: &DatabaseChoice) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&plan.directory).with_context(|| format!("could not make {}", plan.directory.display()))?;
        let test_bed = TestBed::build(choice, plan.fault, plan.rounds, &plan.directory, plan.shim.as_deref()).await?;
        let environments = (0..plan.nodes).map(|node| test_bed.environment(node)).collect::<anyhow::Result<_>>()?;
        let fleet = Fleet::launch(environments, test_bed.settings(), &plan.directory).await?;
        let ledger = Arc::new(Ledger::default());
        let tasks = TaskTracker::new();
        let clocks = Arc::new(Clocks::new(plan.nodes));
        let fail_share = if plan.fault == Fault::Clock { FAIL_SHARE_CLOCK } else { FAIL_SHARE };
        let receiver = Receiver::start(ReceiverState::new(Arc::clone(&ledger), Arc::clone(&clocks), fail_share), &tasks).await?;
        let (server, api_key) = fleet.server()?;
        let timeout_ms = (plan.fault == Fault::Receivers).then_some(TIMEOUT_MS);
        let (application, endpoint) = make_application(&ApiClient::new(server, api_key)?, &receiver.url(), timeout_ms).await?;
        let target = Target::new(fleet.addresses(), plan.nodes, api_key, &application, Arc::clone(&ledger), tasks)?;
        Ok(Self { fleet, target: Arc::new(target), ledger, clocks, application, endpoint, receiver, test_bed })
    }

    /// Returns a client of a running node.
    pub(crate) fn client(&self) -> anyhow::Result<ApiClient> {
        let (server, api_key) = self.fleet.server()?;
        ApiClient::new(server, api_key)
    }

    /// Returns a client of this node.
    pub(crate) fn client_of(&self, node: u32) -> anyhow::Result<ApiClient> {
        let (server, api_key) = self.fleet.server_of(node)?;
        ApiClient::new(server, api_key)
    }

    /// Returns the time from `since` until a message through each node was delivered.
    pub(crate) async fn recovery(&self, since: Instant) -> anyhow::Result<Duration> {
        let mut probing = tokio::task::JoinSet::new();
        for node in 0..self.fleet.count() {
            let target = Arc::clone(&self.target);
            probing.spawn(async move { target.probe(node as usize).await });
        }
        let message = || format!("a node did not deliver within {} s after all was put right", RECOVERED_WITHIN.as_secs());
        timeout(RECOVERED_WITHIN, probing.join_all()).await.with_context(message)?;
        Ok(since.elapsed())
    }
}

/// Creates an application with three endpoints: an unordered one, one ordered by key, and one with batches in strict
/// order. Returns its id and that of the first endpoint.
async fn make_application(client: &ApiClient, url: &str, timeout_ms: Option<u32>) -> anyhow::Result<(String, String)> {
    // A given database may contain applications of earlier runs.
    let uid = format!("torture-{}-{}", std::process::id(), SystemClock.now().as_millis());
    let made = client.post("/applications", json!({ "name": "Torture", "uid": uid }).to_string(), None).await?.accepted()?;
    let id = made["application"]["id"].as_str().context("an application has an id")?.to_owned();
    let path = format!("/applications/{id}/endpoints");
    let plain = json!({ "url": url, "filter_types": [payload::EVENT_TYPE], "timeout_ms": timeout_ms });
    let made = client.post(&path, plain.to_string(), None).await?.accepted()?;
    let endpoint = made["endpoint"]["id"].as_str().context("an endpoint has an id")?.to_owned();
    let ordered = json!({
        "url": url,
        "filter_types": [payload::ORDERED_EVENT_TYPE],
        "timeout_ms": timeout_ms,
        "ordering": "key",
        "ordering_key": payload::KEY_PATH,
        "on_failure": "block",
    });
    client.post(&path, ordered.to_string(), None).await?.accepted()?;
    let batched = json!({
        "url": url,
        "filter_types": [payload::BATCHED_EVENT_TYPE],
        "timeout_ms": timeout_ms,
        "ordering": "strict",
        "on_failure": "block",
        "batch": { "max_size": BATCH, "max_wait_ms": BATCH_WAIT_MS },
    });
    client.post(&path, batched.to_string(), None).await?.accepted()?;
    Ok((id, endpoint))
}
