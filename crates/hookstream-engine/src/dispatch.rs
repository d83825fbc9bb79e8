//! Letting the lanes take turns, and claiming what falls due for them.

use std::{sync::Arc, time::Duration};

use hookstream_model::{ids::TargetId, time::Timestamp};
use hookstream_store::{
    Error,
    deliveries::{ClaimLimits, Claimed, Next, Owner, Settled},
};
use tokio::time::Instant;

use crate::{attempt, core::Core};

/// The most deliveries in one claim: each is a small write in the transaction.
const CLAIM: usize = 1_000;
/// What falls due is claimed so often at the most; a claim costs the database far more than a wait of so
/// little costs a retry. What is due already when it is told of is claimed at once.
const QUANTUM: Duration = Duration::from_millis(100);
/// The least time between two claims that are asked for at once.
const GAP: Duration = Duration::from_millis(5);
/// When to look again while there is no room in memory.
const FULL: Duration = Duration::from_millis(20);

/// Puts deliveries that this process owns into their lanes, and begins what may be begun.
pub(crate) fn offer(core: &Arc<Core>, deliveries: impl IntoIterator<Item = Claimed>) {
    {
        let mut lanes = core.lanes();
        let mut lease = core.lease();
        for delivery in deliveries {
            // Under a number that has lapsed it is somebody else's by now.
            if lease.has(delivery.owner) {
                lease.hold(delivery.owner);
                let bytes = delivery.message.payload.body.len();
                lanes.offer(delivery.target_id, delivery, bytes);
            }
        }
    }
    begin(core);
}

/// Tries that are recorded make room for others.
pub(crate) fn finish(core: &Arc<Core>, owner: Owner, targets: impl IntoIterator<Item = TargetId>) {
    {
        let mut lanes = core.lanes();
        let mut lease = core.lease();
        for target in targets {
            lanes.finish(target);
            lease.release(owner);
        }
    }
    begin(core);
    core.idle.notify_waiters();
}

/// A try is over: what is next in turn, if anything may be begun.
pub(crate) fn answered(core: &Core, target: TargetId) -> Option<Claimed> {
    let now = core.now();
    let may_begin = core.may_begin();
    let mut lanes = core.lanes();
    lanes.answered(target, now);
    if may_begin { lanes.next() } else { None }
}

/// Begins what may be begun.
pub(crate) fn begin(core: &Arc<Core>) {
    while core.may_begin() {
        let Some(delivery) = core.lanes().next() else { return };
        core.tasks.spawn(attempt::deliver_in_turn(Arc::clone(core), delivery));
    }
}

/// Claims what falls due until the engine stops.
pub(crate) async fn run(core: Arc<Core>) {
    let mut wake = Instant::now();
    loop {
        tokio::select! {
            () = core.stop.cancelled() => return,
            () = core.nudge.notified() => {
                if let Some(due) = core.noted_due() {
                    let wait = due.since(core.now());
                    wake = wake.min(Instant::now() + if wait.is_zero() { GAP } else { wait.max(QUANTUM) });
                }
            }
            () = tokio::time::sleep_until(wake) => wake = Instant::now() + step(&core).await,
        }
    }
}

/// Claims once. Returns for how long nothing is known to fall due.
async fn step(core: &Arc<Core>) -> Duration {
    let Some((room, bytes)) = core.lanes().room_to_claim() else { return FULL };
    // Forgotten before the claim: the claim sees what was noted until now, and tells what is next.
    core.forget_noted_due();
    let now = core.now();
    let limits = ClaimLimits { deliveries: room.min(CLAIM), bytes };
    if !core.may_begin() {
        return FULL;
    }
    let begun = Instant::now();
    match core.store.claim_due(core.owner(), now, limits).await {
        Ok(claim) => {
            let claimed = claim.deliveries.len();
            tracing::debug!(claimed, took_us = begun.elapsed().as_micros(), "claimed");
            place(core, claim.deliveries, now).await;
            match claim.next_due {
                None => core.options.poll_period,
                // There was more than the limit. What another node is about to take does not count.
                Some(due) if due <= now && claimed > 0 => Duration::ZERO,
                Some(due) => due.since(now).clamp(QUANTUM, core.options.poll_period),
            }
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "could not claim what is due; trying again");
            if matches!(error, Error::Unavailable { .. }) {
                // It may have been claimed all the same, by a number that then owns what nobody knows of.
                core.roll_over.notify_one();
            }
            core.options.poll_period
        }
    }
}

/// Puts what was claimed into the lanes; what finds its lane full goes back for a while.
async fn place(core: &Arc<Core>, deliveries: Vec<Claimed>, now: Timestamp) {
    let mut turned_away = Vec::new();
    let Some(owner) = deliveries.first().map(|delivery| delivery.owner) else { return };
    {
        let mut lanes = core.lanes();
        let mut lease = core.lease();
        for delivery in deliveries {
            if !lease.has(delivery.owner) {
                continue;
            }
            if lanes.has_room(delivery.target_id) {
                lease.hold(delivery.owner);
                let bytes = delivery.message.payload.body.len();
                lanes.offer(delivery.target_id, delivery, bytes);
            } else {
                let due_at = now + lanes.turn_away(delivery.target_id);
                let next = Next::Postponed { due_at };
                turned_away.push(Settled { message_id: delivery.message.id, target_id: delivery.target_id, attempt: None, next });
            }
        }
    }
    begin(core);
    if turned_away.is_empty() {
        return;
    }
    if let Err(error) = core.store.settle(owner, Arc::new(turned_away)).await {
        // They stand under a number that is in no memory for them; it runs dry and is then given up.
        core.roll_over.notify_one();
        tracing::error!(error = &error as &dyn std::error::Error, "could not postpone deliveries whose lane is full");
    }
}
