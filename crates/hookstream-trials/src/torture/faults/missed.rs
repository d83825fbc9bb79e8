//! Fault `jobs`: an endpoint is off for a moment, and the job that recovers its missed deliveries is interrupted.

use std::time::Duration;

use anyhow::Context;
use hookstream_cli::clock::SystemClock;
use hookstream_model::base::time::{Clock, Timestamp};
use rand::{RngExt, rngs::StdRng};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::fault::{Broken, between};
use crate::torture::installation::Installation;

/// Deliveries requeued a second by the job to interrupt.
const SLOW: u32 = 50;
/// Deliveries requeued a second by the jobs for the rest.
const FAST: u32 = 1_000;
/// Deliveries accepted this long before the endpoint was disabled and still pending then count as missed as well.
const BEFORE: Duration = Duration::from_secs(60);
/// Time limit of one job, and of all jobs together.
const DONE_WITHIN: Duration = Duration::from_secs(60);
/// Interval between looks at a job.
const LOOK: Duration = Duration::from_millis(20);

/// Start of the missed deliveries, and the number of requests for them.
struct Missed {
    since: Timestamp,
    requests: u64,
}

/// Disables and enables the endpoint, recovers its missed deliveries, kills the node of the job or cancels the job, and
/// returns once no delivery is missed.
pub(crate) async fn inflict(installation: &mut Installation, rng: &mut StdRng) -> anyhow::Result<Broken> {
    let mut missed = Missed { since: SystemClock.now() - BEFORE, requests: 0 };
    set_status(installation, "disabled").await?;
    sleep(between(rng, 500, 1_500)).await;
    set_status(installation, "active").await?;
    let node = rng.random_range(0..installation.fleet.count());
    let is_killed = rng.random_bool(0.5);

    let job = missed.recover(installation, node, SLOW).await?;
    until(installation, &job, |job| job["status"] != "running" || job["requeued"].as_u64() >= Some(10)).await?;
    if is_killed {
        // With several nodes, the requested one usually works on the job.
        installation.fleet.kill(node);
        sleep(between(rng, 0, 300)).await;
        installation.fleet.start(node).await?;
        let done = until(installation, &job, |job| job["status"] != "running").await?;
        anyhow::ensure!(done["status"] == "completed", "a job whose node was killed ended otherwise: {done}");
    } else {
        let cancelled = installation.client_of(node)?.post(&format!("/jobs/{job}/cancel"), "{}", None).await?;
        anyhow::ensure!(matches!(cancelled.status.as_u16(), 200 | 409), "a job was not cancelled: {}", cancelled.body);
    }
    let end = Instant::now() + DONE_WITHIN;
    // A node that does not know yet that the endpoint is enabled may skip the deliveries in its memory.
    while missed.count(installation).await? > 0 {
        anyhow::ensure!(Instant::now() < end, "the endpoint goes on missing deliveries");
        let job = missed.recover(installation, node, FAST).await?;
        let done = until(installation, &job, |job| job["status"] != "running").await?;
        anyhow::ensure!(done["status"] == "completed", "a job that nothing broke ended otherwise: {done}");
    }
    Ok(Broken { ended: Instant::now(), nodes: u32::from(is_killed) })
}

impl Missed {
    /// Starts a job through a node, and returns its id.
    async fn recover(&mut self, installation: &Installation, node: u32, rate: u32) -> anyhow::Result<String> {
        // A repeated request would get the same job.
        self.requests += 1;
        let since = self.since - Duration::from_millis(self.requests);
        let body = json!({ "since": since.to_string(), "rate_limit": rate }).to_string();
        let made = installation.client_of(node)?.post(&format!("{}/recover", path(installation)), body, None).await?.accepted()?;
        Ok(made["job"]["id"].as_str().context("a job has an id")?.to_owned())
    }

    /// Returns the number of missed deliveries.
    async fn count(&self, installation: &Installation) -> anyhow::Result<u64> {
        let body = json!({ "since": self.since.to_string() }).to_string();
        let forecast = installation.client()?.post(&format!("{}/recover?dry_run=1", path(installation)), body, None).await?.accepted()?;
        forecast["dry_run"]["count"].as_u64().context("a dry run tells a count")
    }
}

async fn set_status(installation: &Installation, status: &str) -> anyhow::Result<()> {
    installation.client()?.patch(&path(installation), json!({ "status": status }).to_string()).await?.accepted().map(drop)
}

fn path(installation: &Installation) -> String {
    format!("/applications/{}/endpoints/{}", installation.application, installation.endpoint)
}

/// Waits until a job meets a condition, and returns it.
async fn until(installation: &Installation, job: &str, is_met: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
    let (client, end) = (installation.client()?, Instant::now() + DONE_WITHIN);
    loop {
        let job = client.get(&format!("/jobs/{job}")).await?.accepted()?["job"].take();
        if is_met(&job) {
            return Ok(job);
        }
        anyhow::ensure!(Instant::now() < end, "a job did not go on: {job}");
        sleep(LOOK).await;
    }
}
