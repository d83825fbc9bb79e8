//! The fault `jobs`: an endpoint is off for a moment, and what it missed is sent by a job that is broken midway.

use std::time::Duration;

use anyhow::Context;
use hookstream_cli::clock::SystemClock;
use hookstream_model::base::time::{Clock, Timestamp};
use rand::{RngExt, rngs::StdRng};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::fault::{Broken, between};
use crate::torture::installation::Installation;

/// Deliveries a second that the job makes owed which is to be met midway.
const SLOWLY: u32 = 50;
/// The same for those that do the rest.
const FAST: u32 = 1_000;
/// What was accepted so long before the endpoint was turned off and is still owed is missed as well.
const BEFORE: Duration = Duration::from_secs(60);
/// How long a job may take, and all of them together.
const DONE_WITHIN: Duration = Duration::from_secs(60);
/// How often a job is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What was missed, and how often it was asked for.
struct Missed {
    since: Timestamp,
    asked: u64,
}

/// Turns the endpoint off and on, has what it missed sent again, kills the node that does so or cancels the job, and
/// returns once the endpoint has missed nothing.
pub(crate) async fn inflict(world: &mut Installation, rng: &mut StdRng) -> anyhow::Result<Broken> {
    let mut missed = Missed { since: SystemClock.now() - BEFORE, asked: 0 };
    set_status(world, "disabled").await?;
    sleep(between(rng, 500, 1_500)).await;
    set_status(world, "active").await?;
    let node = rng.random_range(0..world.fleet.count());
    let is_killed = rng.random_bool(0.5);

    let job = missed.ask(world, node, SLOWLY).await?;
    until(world, &job, |job| job["status"] != "running" || job["requeued"].as_u64() >= Some(10)).await?;
    if is_killed {
        // Where there are several, it is as a rule the one that was asked which works on it.
        world.fleet.kill(node);
        sleep(between(rng, 0, 300)).await;
        world.fleet.start(node).await?;
        let done = until(world, &job, |job| job["status"] != "running").await?;
        anyhow::ensure!(done["status"] == "completed", "a job whose node was killed ended otherwise: {done}");
    } else {
        let cancelled = world.client_of(node)?.post(&format!("/jobs/{job}/cancel"), "{}", None).await?;
        anyhow::ensure!(matches!(cancelled.status.as_u16(), 200 | 409), "a job was not cancelled: {}", cancelled.body);
    }
    let end = Instant::now() + DONE_WITHIN;
    // A node that has not heard yet that the endpoint is on again may skip what it had in memory for it.
    while missed.count(world).await? > 0 {
        anyhow::ensure!(Instant::now() < end, "the endpoint goes on missing deliveries");
        let job = missed.ask(world, node, FAST).await?;
        let done = until(world, &job, |job| job["status"] != "running").await?;
        anyhow::ensure!(done["status"] == "completed", "a job that nothing broke ended otherwise: {done}");
    }
    Ok(Broken { ended: Instant::now(), nodes: u32::from(is_killed) })
}

impl Missed {
    /// Has a node begin a job, and returns its id.
    async fn ask(&mut self, world: &Installation, node: u32, rate: u32) -> anyhow::Result<String> {
        // The same request again would be answered with the same job.
        self.asked += 1;
        let since = self.since - Duration::from_millis(self.asked);
        let body = json!({ "since": since.to_string(), "rate_limit": rate }).to_string();
        let made = world.client_of(node)?.post(&format!("{}/recover", path(world)), body, None).await?.accepted()?;
        Ok(made["job"]["id"].as_str().context("a job has an id")?.to_owned())
    }

    /// How many deliveries the endpoint has missed.
    async fn count(&self, world: &Installation) -> anyhow::Result<u64> {
        let body = json!({ "since": self.since.to_string() }).to_string();
        let told = world.client()?.post(&format!("{}/recover?dry_run=1", path(world)), body, None).await?.accepted()?;
        told["dry_run"]["count"].as_u64().context("a dry run tells a count")
    }
}

async fn set_status(world: &Installation, status: &str) -> anyhow::Result<()> {
    world.client()?.patch(&path(world), json!({ "status": status }).to_string()).await?.accepted().map(drop)
}

fn path(world: &Installation) -> String {
    format!("/applications/{}/endpoints/{}", world.application, world.endpoint)
}

/// Waits until a job is so, and returns it.
async fn until(world: &Installation, job: &str, is_so: impl Fn(&Value) -> bool) -> anyhow::Result<Value> {
    let (client, end) = (world.client()?, Instant::now() + DONE_WITHIN);
    loop {
        let job = client.get(&format!("/jobs/{job}")).await?.accepted()?["job"].take();
        if is_so(&job) {
            return Ok(job);
        }
        anyhow::ensure!(Instant::now() < end, "a job did not go on: {job}");
        sleep(LOOK).await;
    }
}
