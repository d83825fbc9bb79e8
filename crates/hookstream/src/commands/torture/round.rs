//! The rounds of one fault: load, break, put right, wait until everything arrived, judge.

use std::{net::Ipv4Addr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context;
use hookstream_model::time::Clock;
use rand::rngs::StdRng;
use serde_json::json;
use tokio::{
    net::TcpListener,
    time::{Instant, sleep, timeout},
};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::{
    account::account,
    fault::{Fault, between},
    fleet::{Fleet, TWICE_PER_NODE},
    ground::{Ground, Stage},
    ledger::{Ledger, Totals},
    order::LINES,
    receiver::Receiver,
    report::{self, Tally},
    senders::{Senders, Target},
};
use crate::{
    clock::SystemClock,
    commands::{
        client::ApiClient,
        traffic::{listener, payload},
    },
};

/// How long a node may take to deliver again after all was put right.
const RECOVERED_WITHIN: Duration = Duration::from_secs(60);
/// How long after that all that was accepted may take to arrive.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// What is to be done.
pub(super) struct Plan {
    pub(super) fault: Fault,
    pub(super) rounds: u32,
    pub(super) nodes: u32,
    pub(super) rate: u32,
    /// Where data and logs go.
    pub(super) directory: PathBuf,
}

/// What takes part in all rounds of a fault. Nodes end before what they stand on.
struct World {
    fleet: Fleet,
    target: Arc<Target>,
    ledger: Arc<Ledger>,
    application: String,
    _receiving: AbortOnDropHandle<()>,
    stage: Stage,
}

/// Plays all rounds, up to the first that fails.
pub(super) async fn all(plan: &Plan, ground: &Ground, rng: &mut StdRng, tally: &mut Tally) -> anyhow::Result<()> {
    let mut world = World::build(plan, ground).await?;
    let senders = Senders::start(&world.target, plan.rate);
    let played = rounds(plan, &mut world, rng, tally).await;
    senders.stop().await;
    // Also where a round failed: what is lost then is worth knowing.
    let settled = world.judge(tally, "at the end").await;
    if tally.failures.is_empty() && tally.totals.duplicates > tally.duplicates_allowed {
        tally.failures.push("more arrived twice than was under way".to_owned());
    }
    tally.refused = world.ledger.all_refused();
    world.fleet.stop().await;
    played.and(settled)
}

async fn rounds(plan: &Plan, world: &mut World, rng: &mut StdRng, tally: &mut Tally) -> anyhow::Result<()> {
    let mut before = Totals::default();
    for round in 1..=plan.rounds {
        report::progress(plan.fault, round, plan.rounds);
        sleep(between(rng, 200, 800)).await;
        let broken = plan.fault.inflict(&mut world.stage, &mut world.fleet, &world.ledger, rng).await;
        world.fleet.check()?;
        let broken = broken.with_context(|| format!("round {round}"))?;
        let recovery = world.recovery(broken.ended).await;
        world.fleet.check()?;
        tally.rounds = round;
        tally.recovery = tally.recovery.max(recovery.with_context(|| format!("round {round}"))?);
        world.judge(tally, &format!("round {round}")).await?;
        let bound = u64::from(broken.nodes * TWICE_PER_NODE);
        tally.duplicates_allowed += bound;
        let duplicates = tally.totals.duplicates - before.duplicates;
        if duplicates > bound {
            tally.failures.push(format!("round {round}: {duplicates} duplicates; at most {bound} were under way"));
        }
        let late = tally.totals.came_again_late - before.came_again_late;
        let bound = u64::from(broken.nodes * LINES);
        if late > bound {
            tally.failures.push(format!("round {round}: {late} came again after what is behind them; at most {bound} were under way"));
        }
        before = tally.totals;
        if !tally.failures.is_empty() {
            break;
        }
        if round < plan.rounds {
            world.stage.prepare_next().await.with_context(|| format!("after round {round}"))?;
        }
    }
    Ok(())
}

impl World {
    async fn build(plan: &Plan, ground: &Ground) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&plan.directory).with_context(|| format!("could not make {}", plan.directory.display()))?;
        let stage = Stage::build(ground, plan.fault, plan.rounds, &plan.directory).await?;
        let fleet = Fleet::launch(plan.nodes, stage.settings(), &plan.directory).await?;
        let ledger = Arc::new(Ledger::default());
        let tasks = TaskTracker::new();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("could not listen for the receiver")?;
        let url = format!("http://{}/", listener.local_addr()?);
        let receiving = tasks.spawn(listener::serve(listener, Arc::new(Receiver(Arc::clone(&ledger))), tasks.clone()));
        let (server, api_key) = fleet.server()?;
        let application = make_application(&ApiClient::new(server, api_key)?, &url).await?;
        let target = Target::new(fleet.addresses(), plan.nodes, api_key, &application, Arc::clone(&ledger), tasks)?;
        let receiving = AbortOnDropHandle::new(receiving);
        Ok(Self { fleet, target: Arc::new(target), ledger, application, _receiving: receiving, stage })
    }

    /// How long after `since` a message sent through each node was delivered.
    async fn recovery(&self, since: Instant) -> anyhow::Result<Duration> {
        let mut probing = tokio::task::JoinSet::new();
        for node in 0..self.fleet.count() {
            let target = Arc::clone(&self.target);
            probing.spawn(async move { target.probe(node as usize).await });
        }
        let told = || format!("a node did not deliver within {} s after all was put right", RECOVERED_WITHIN.as_secs());
        timeout(RECOVERED_WITHIN, probing.join_all()).await.with_context(told)?;
        Ok(since.elapsed())
    }

    /// Waits for all that was accepted so far, and notes what is lost.
    async fn judge(&mut self, tally: &mut Tally, when: &str) -> anyhow::Result<()> {
        let missing = self.ledger.settled_within(SETTLED_WITHIN).await;
        tally.totals = self.ledger.totals();
        for [one, other] in self.ledger.twice() {
            tally.failures.push(format!("{when}: one message, with one idempotency key, was accepted as {one} and as {other}"));
        }
        if tally.totals.out_of_order > 0 {
            let examples = self.ledger.overtakings().join("; ");
            tally.failures.push(format!("{when}: {} out of order: {examples}", tally.totals.out_of_order));
        }
        (tally.accounted, tally.lost) = (0, 0);
        self.fleet.check()?;
        if missing.is_empty() {
            return Ok(());
        }
        let (server, api_key) = self.fleet.server()?;
        let result = account(&ApiClient::new(server, api_key)?, &self.application, &missing).await?;
        tally.accounted = result.accounted;
        tally.lost = result.lost.len() as u64;
        if let Some(examples) = examples(&result.lost) {
            tally.failures.push(format!("{when}: {} lost: {examples}", result.lost.len()));
        }
        Ok(())
    }
}

/// The first few of many.
fn examples(lost: &[String]) -> Option<String> {
    (!lost.is_empty()).then(|| lost.iter().take(5).cloned().collect::<Vec<_>>().join(", "))
}

/// An application with two endpoints: one that takes what is in no line, and one that keeps each line's order.
async fn make_application(client: &ApiClient, url: &str) -> anyhow::Result<String> {
    // A database that was given may know the applications of earlier runs.
    let uid = format!("torture-{}-{}", std::process::id(), SystemClock.now().as_millis());
    let made = client.post("/applications", json!({ "name": "Torture", "uid": uid }).to_string(), None).await?.accepted()?;
    let id = made["application"]["id"].as_str().context("an application has an id")?.to_owned();
    let plain = json!({ "url": url, "filter_types": [payload::EVENT_TYPE] });
    let ordered = json!({
        "url": url,
        "filter_types": [payload::ORDERED_EVENT_TYPE],
        "ordering": "key",
        "ordering_key": payload::LINE_PATH,
        "on_failure": "block",
    });
    for endpoint in [plain, ordered] {
        client.post(&format!("/applications/{id}/endpoints"), endpoint.to_string(), None).await?.accepted()?;
    }
    Ok(id)
}
