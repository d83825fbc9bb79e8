//! Rounds of one fault: load, break, repair, wait until everything has arrived, judge.

use std::time::Duration;

use anyhow::Context;
use rand::rngs::StdRng;
use tokio::time::sleep;

use super::{
    account::account,
    report::{self, Tally},
    test_bed::DatabaseChoice,
};
use crate::torture::{
    faults::{
        fault::{Fault, between},
        inflict::inflict,
    },
    installation::Installation,
    knobs::{DUPLICATES_PER_NODE, LATE_PER_NODE},
    plan::Plan,
    traffic::{ledger::Totals, senders::Senders},
};

/// Time after the repair within which every accepted message must arrive.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);

/// Plays all rounds, up to the first that fails.
pub(crate) async fn all(plan: &Plan, choice: &DatabaseChoice, rng: &mut StdRng, tally: &mut Tally) -> anyhow::Result<()> {
    let mut installation = Installation::build(plan, choice).await?;
    let senders = Senders::start(&installation.target, plan.rate);
    let played = rounds(plan, &mut installation, rng, tally).await;
    senders.stop().await;
    // Even if a round failed: the lost messages are of interest then.
    let settled = installation.judge(tally, "at the end").await;
    if tally.failures.is_empty() && tally.totals.duplicates > tally.duplicates_allowed {
        tally.failures.push("more arrived twice than was under way".to_owned());
    }
    tally.refused = installation.ledger.all_refused();
    installation.fleet.stop().await;
    if let Err(error) = installation.test_bed.check_shim(rng) {
        tally.failures.push(format!("{error:#}"));
    }
    match installation.test_bed.examine().await {
        Ok(problems) => tally.failures.extend(problems.into_iter().map(|problem| format!("the doctor found: {problem}"))),
        Err(error) => tally.failures.push(format!("the doctor could not look: {error:#}")),
    }
    played.and(settled)
}

async fn rounds(plan: &Plan, installation: &mut Installation, rng: &mut StdRng, tally: &mut Tally) -> anyhow::Result<()> {
    let mut before = Totals::default();
    for round in 1..=plan.rounds {
        report::progress(plan.fault, round, plan.rounds);
        sleep(between(rng, 200, 800)).await;
        let broken = inflict(plan.fault, installation, rng).await;
        installation.fleet.check()?;
        let broken = broken.with_context(|| format!("round {round}"))?;
        let recovery = installation.recovery(broken.ended).await;
        installation.fleet.check()?;
        tally.rounds = round;
        tally.recovery = tally.recovery.max(recovery.with_context(|| format!("round {round}"))?);
        installation.judge(tally, &format!("round {round}")).await?;
        let bound = u64::from(broken.nodes * DUPLICATES_PER_NODE);
        tally.duplicates_allowed += bound;
        let duplicates = tally.totals.duplicates - before.duplicates;
        if duplicates > bound {
            tally.failures.push(format!("round {round}: {duplicates} duplicates; at most {bound} were under way"));
        }
        let late = tally.totals.late_duplicates - before.late_duplicates;
        let bound = u64::from(broken.nodes * LATE_PER_NODE);
        if late > bound {
            tally.failures.push(format!("round {round}: {late} came again after what is behind them; at most {bound} were under way"));
        }
        before = tally.totals;
        if !tally.failures.is_empty() {
            break;
        }
        if round < plan.rounds {
            installation.test_bed.prepare_next().await.with_context(|| format!("after round {round}"))?;
        }
    }
    Ok(())
}

impl Installation {
    /// Waits for all messages accepted so far, and notes the lost ones.
    async fn judge(&mut self, tally: &mut Tally, when: &str) -> anyhow::Result<()> {
        let missing = self.ledger.settled_within(SETTLED_WITHIN).await;
        tally.totals = self.ledger.totals();
        for [one, other] in self.ledger.accepted_twice() {
            tally.failures.push(format!("{when}: one message, with one idempotency key, was accepted as {one} and as {other}"));
        }
        if tally.totals.out_of_order > 0 {
            let examples = self.ledger.overtakings().join("; ");
            tally.failures.push(format!("{when}: {} out of order: {examples}", tally.totals.out_of_order));
        }
        if tally.fault == Fault::Clock {
            let Totals { too_early, wrongly_timed, .. } = tally.totals;
            if too_early > 0 {
                tally.failures.push(format!("{when}: {too_early} were tried again sooner than the schedule says"));
            }
            if wrongly_timed > 0 {
                tally.failures.push(format!("{when}: {wrongly_timed} signatures had another time than their node's clock"));
            }
        }
        (tally.accounted, tally.lost) = (0, 0);
        self.fleet.check()?;
        if missing.is_empty() {
            return Ok(());
        }
        let result = account(&self.client()?, &self.application, &missing).await?;
        tally.accounted = result.accounted;
        tally.lost = result.lost.len() as u64;
        if result.accounted > 0 && tally.fault.only_delays() {
            tally.failures.push(format!("{when}: {} did not arrive, though the receiver was there for them", result.accounted));
        }
        if let Some(examples) = examples(&result.lost) {
            tally.failures.push(format!("{when}: {} lost: {examples}", result.lost.len()));
        }
        Ok(())
    }
}

/// Returns the first few entries.
fn examples(lost: &[String]) -> Option<String> {
    (!lost.is_empty()).then(|| lost.iter().take(5).cloned().collect::<Vec<_>>().join(", "))
}
