//! Recording outcomes in batches, and what follows from them for their targets.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use hookstream_model::{
    attempt::{Attempt, Outcome},
    audit_log::Act,
    endpoint::DisabledReason,
    line::Line,
    time::Timestamp,
};
use hookstream_store::{
    Error,
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
/// How often a batch is given to a store that refuses it before it is left to a task of its own. The outcomes behind
/// it wait so long, which slows the engine down while the store refuses everything.
const REFUSED_ROUNDS: u32 = 3;

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

/// Records a batch. It does not give up while the engine runs: an outcome that is not recorded keeps its permit, so a
/// store that refuses slows the engine down and loses nothing. Rows that the store goes on to refuse are left to a task
/// of their own, so that no other outcome waits for them.
async fn record(core: &Arc<Core>, owner: Owner, batch: Vec<Recorded>) {
    let mut refused = settle(core, owner, batch).await;
    for _ in 0..REFUSED_ROUNDS {
        if refused.is_empty() || !wait(core).await {
            return;
        }
        refused = settle(core, owner, refused).await;
    }
    if !refused.is_empty() {
        core.tasks.spawn(record_refused(Arc::clone(core), owner, refused));
    }
}

async fn record_refused(core: Arc<Core>, owner: Owner, mut refused: Vec<Recorded>) {
    while !refused.is_empty() && wait(&core).await {
        refused = settle(&core, owner, refused).await;
    }
}

/// Waits before the store is asked again. Returns whether the engine still runs.
async fn wait(core: &Core) -> bool {
    tokio::select! {
        biased;
        () = core.finished.cancelled() => false,
        () = tokio::time::sleep(REFUSED) => true,
    }
}

/// Settles a batch. Returns the rows that the store did not take.
///
/// A store that refuses the batch itself, and not everything, may do so for one row of it: the batch is split until each
/// row that is refused stands alone (invariant 10).
async fn settle(core: &Arc<Core>, owner: Owner, batch: Vec<Recorded>) -> Vec<Recorded> {
    let mut waiting = VecDeque::from([batch]);
    let mut refused = Vec::new();
    while let Some(part) = waiting.pop_front() {
        let (error, mut part) = match try_settle(core, owner, part).await {
            Ok(()) => continue,
            Err(refusal) => refusal,
        };
        let is_about_a_row = matches!(error, Error::Failed { .. } | Error::Conflict { .. } | Error::Unreadable { .. });
        if !is_about_a_row {
            tracing::error!(error = &error as &dyn std::error::Error, "could not record attempts; trying again");
            refused.extend(part);
            refused.extend(waiting.drain(..).flatten());
        } else if part.len() > 1 {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                rows = part.len(),
                "the store refused a batch of attempts; splitting it"
            );
            let second = part.split_off(part.len() / 2);
            waiting.push_front(second);
            waiting.push_front(part);
        } else if let Some(row) = part.pop()
            && let Err(row) = settle_reduced(core, owner, row).await
        {
            tracing::error!(error = &error as &dyn std::error::Error, "could not record an attempt; trying again");
            refused.push(row);
        }
    }
    refused
}

/// Settles deliveries in one commit, and does what follows from it. Where the store refuses, they come back.
async fn try_settle(core: &Arc<Core>, owner: Owner, part: Vec<Recorded>) -> Result<(), (Error, Vec<Recorded>)> {
    let finished: Vec<_> = part.iter().map(finished).collect();
    let next_due = part.iter().filter_map(|recorded| due_at(&recorded.settled)).min();
    let mut settled = Vec::with_capacity(part.len());
    let mut beside = Vec::with_capacity(part.len());
    for Recorded { line, settled: row, effect, owner: _ } in part {
        settled.push(row);
        beside.push((line, effect));
    }
    let settled = Arc::new(settled);
    if let Err(error) = core.store.settle(owner, Arc::clone(&settled)).await {
        let settled = Arc::try_unwrap(settled).unwrap_or_else(|shared| shared.to_vec());
        let back = settled.into_iter().zip(beside).map(|(settled, (line, effect))| Recorded { owner, line, settled, effect });
        return Err((error, back.collect()));
    }
    for effect in beside.into_iter().filter_map(|(_, effect)| effect) {
        apply(core, effect);
    }
    if let Some(due) = next_due {
        core.note_due(due);
    }
    dispatch::finish(core, owner, finished).await;
    Ok(())
}

/// Settles one delivery without the parts of its attempt that the store may have refused: the response's body, then
/// the text behind the word of its error. Where the store refuses even that, more is wrong, and the row comes back whole.
async fn settle_reduced(core: &Arc<Core>, owner: Owner, mut row: Recorded) -> Result<(), Recorded> {
    let (message, target) = (row.settled.message_id, row.settled.target_id);
    let Some(whole) = row.settled.attempt.clone() else { return Err(row) };
    let mut reduced = whole.clone();
    if reduced.response_body.take().is_some() {
        match try_settle_as(core, owner, row, reduced.clone()).await {
            Ok(()) => {
                tracing::warn!(message.id = %message, target.id = %target, "the store refused the body that a receiver answered; the attempt is recorded without it");
                return Ok(());
            }
            Err(back) => row = back,
        }
    }
    if let Some(error) = &mut reduced.error {
        error.truncate(error.find(':').unwrap_or(error.len()));
        match try_settle_as(core, owner, row, reduced).await {
            Ok(()) => {
                tracing::warn!(message.id = %message, target.id = %target, "the store refused the error of an attempt; the attempt is recorded without its text");
                return Ok(());
            }
            Err(back) => row = back,
        }
    }
    row.settled.attempt = Some(whole);
    Err(row)
}

async fn try_settle_as(core: &Arc<Core>, owner: Owner, mut row: Recorded, attempt: Attempt) -> Result<(), Recorded> {
    row.settled.attempt = Some(attempt);
    match try_settle(core, owner, vec![row]).await {
        Ok(()) => Ok(()),
        Err((_, mut back)) => Err(back.pop().expect("the row that was given comes back")),
    }
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
    let kept_failing = core.health().note(&route, outcome.is_accepted(), at, core.options.disable_after);
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
