//! Recording outcomes in batches, and what follows from them for their targets.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use hookstream_model::{attempt::Outcome, audit_log::Act, endpoint::DisabledReason, line::Line, time::Timestamp};
use hookstream_store::{
    deliveries::{Next, Owner, Settled},
    endpoints::{self, EndpointKey},
};
use tokio::sync::mpsc;

use crate::{
    core::Core,
    dispatch::{self, Finished},
    holds,
    routes::Route,
};

/// What became of a delivery whose turn it was.
pub(crate) struct Recorded {
    /// Whose it was.
    pub(crate) owner: Owner,
    /// The line in which it keeps back what is behind it.
    pub(crate) line: Option<Line>,
    pub(crate) settled: Settled,
    /// What follows for its target, where a try was made.
    pub(crate) effect: Option<Effect>,
}

/// What a try says about its target.
pub(crate) struct Effect {
    /// What came of it.
    pub(crate) outcome: Outcome,
    /// Why the target is to be disabled, where the receiver said so.
    pub(crate) disable: Option<DisabledReason>,
    pub(crate) at: Timestamp,
    pub(crate) route: Arc<Route>,
}

/// The most outcomes in one commit.
const BATCH: usize = 1_000;
/// How long outcomes gather before they are recorded. Nobody waits for it: sender and receiver have
/// their answers, and a target's next try does not depend on it. It saves a commit for every few
/// messages; what a crash within it costs is a second delivery.
const GATHER: Duration = Duration::from_millis(4);
/// How long to wait where the store refuses.
const REFUSED: Duration = Duration::from_millis(500);

/// Records outcomes until the engine has stopped.
pub(crate) async fn run(core: Arc<Core>, mut outcomes: mpsc::Receiver<Recorded>) {
    loop {
        let mut batch = Vec::new();
        tokio::select! {
            biased;
            _ = outcomes.recv_many(&mut batch, BATCH) => {}
            () = core.finished.cancelled() => return,
        }
        tokio::time::sleep(GATHER).await;
        while batch.len() < BATCH
            && let Ok(recorded) = outcomes.try_recv()
        {
            batch.push(recorded);
        }
        // As a rule all are under one number.
        let mut by_owner: BTreeMap<Owner, Vec<Recorded>> = BTreeMap::new();
        for recorded in batch {
            by_owner.entry(recorded.owner).or_default().push(recorded);
        }
        for (owner, batch) in by_owner {
            record(&core, owner, batch).await;
        }
    }
}

/// Records a batch. It does not give up while the engine runs: what is not recorded keeps its permit,
/// so that a store that refuses slows us down and makes us lose nothing.
async fn record(core: &Arc<Core>, owner: Owner, batch: Vec<Recorded>) {
    let finished: Vec<_> = batch.iter().map(finished).collect();
    let (settled, effects): (Vec<_>, Vec<_>) = batch.into_iter().map(|recorded| (recorded.settled, recorded.effect)).unzip();
    let next_due = settled.iter().filter_map(due_at).min();
    let settled = Arc::new(settled);
    loop {
        match core.store.settle(owner, Arc::clone(&settled)).await {
            Ok(_) => break,
            Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "could not record attempts; trying again"),
        }
        tokio::select! {
            biased;
            () = core.finished.cancelled() => return,
            () = tokio::time::sleep(REFUSED) => {}
        }
    }
    for effect in effects.into_iter().flatten() {
        apply(core, effect);
    }
    if let Some(due) = next_due {
        core.note_due(due);
    }
    dispatch::finish(core, owner, finished).await;
}

/// What is behind a delivery in its line waits where the delivery does.
fn finished(recorded: &Recorded) -> Finished {
    let moves_on = match recorded.settled.next {
        Next::Retry { wait, .. } | Next::Postponed { wait } => !wait.keeps_place,
        Next::Succeeded | Next::Ended(..) => true,
    };
    Finished { target: recorded.settled.target_id, line: recorded.line, moves_on }
}

/// When a delivery that is owed still falls due.
fn due_at(settled: &Settled) -> Option<Timestamp> {
    match settled.next {
        Next::Retry { wait, .. } | Next::Postponed { wait } => Some(wait.due_at),
        Next::Succeeded | Next::Ended(..) => None,
    }
}

fn apply(core: &Arc<Core>, effect: Effect) {
    let Effect { outcome, disable, at, route } = effect;
    let kept_failing = core.health().note(&route.endpoint, outcome.is_accepted(), at, core.options.disable_after);
    if let Some(reason) = disable.or(kept_failing) {
        core.tasks.spawn(disable_endpoint(Arc::clone(core), EndpointKey::from(&route.endpoint), reason, at));
    }
}

async fn disable_endpoint(core: Arc<Core>, key: EndpointKey, reason: DisabledReason, at: Timestamp) {
    let act = Act::of_system(core.new_id(), core.now());
    let disabled = match reason {
        DisabledReason::Gone | DisabledReason::AskedToStop => endpoints::disable(&*core.store, &act, key, reason).await,
        DisabledReason::KeptFailing => {
            let disabled = endpoints::disable_failing(&*core.store, &act, key, at - core.options.disable_after).await;
            if matches!(disabled, Ok(false)) {
                // Another node has seen a success, or disabled it: what is remembered here is out of date.
                core.health().forget(key.id);
                core.routes.forget(key.application_id);
            }
            disabled
        }
    };
    match disabled {
        Ok(true) => {
            core.routes.forget(key.application_id);
            // What waits is skipped, however it was held back.
            holds::refresh(&core, key.application_id).await;
            tracing::warn!(endpoint.id = %key.id, application.id = %key.application_id, reason = reason.as_str(), "endpoint disabled");
        }
        Ok(false) => {}
        // The next try says the same again.
        Err(error) => tracing::error!(error = &error as &dyn std::error::Error, endpoint.id = %key.id, "could not disable an endpoint"),
    }
}
