//! Turns of the lanes: offers deliveries, starts attempts, makes room after each.

use std::sync::Arc;

use hookstream_model::{
    base::{ids::TargetId, time::Timestamp},
    delivery::{outcome::Outcome, queue::Backlog},
};
use hookstream_store::delivery::deliveries::{Claimed, Owner};
use tokio::time::Instant;

use crate::{
    attempts::attempt::deliver,
    core::Core,
    queues::{
        lanes::{Batch, LanePolicy, Lanes, Slot},
        requeue::requeue,
    },
    routing::route::Route,
};

/// Delivery for a lane, with its target's policy.
pub(crate) struct Offered {
    pub(crate) delivery: Claimed,
    pub(crate) policy: Arc<LanePolicy>,
    /// Backlog whose order it keeps.
    pub(crate) backlog: Option<Backlog>,
}

/// Puts this process's deliveries into their lanes, and starts the attempts that may begin.
pub(crate) fn offer(core: &Arc<Core>, offered: impl IntoIterator<Item = Offered>) {
    {
        let mut lanes = core.lanes();
        let mut lease = core.lease();
        let now = core.both_clocks();
        for Offered { delivery, policy, backlog } in offered {
            // If the owner id has expired, the delivery belongs to another node.
            if !lease.has(delivery.owner) {
                continue;
            }
            lease.hold(delivery.owner);
            let slot = Slot { bytes: delivery.message.payload.body.len(), is_retry: delivery.failed > 0, backlog };
            let target = policy.target;
            let since = policy.has_rate().then(|| lease.works_on(Backlog::of_target(policy.scope, target).shard())).flatten();
            lanes.offer(target, delivery, slot, &policy, since, now);
        }
    }
    begin(core);
}

/// Recorded attempt.
pub(crate) struct Finished {
    pub(crate) target: TargetId,
    pub(crate) backlog: Option<Backlog>,
    /// Whether the next delivery of its backlog may be sent.
    pub(crate) moves_on: bool,
}

/// Frees the slots of recorded attempts and starts others.
pub(crate) async fn finish(core: &Arc<Core>, owner: Owner, finished: impl IntoIterator<Item = Finished>) {
    let evict = {
        let mut lanes = core.lanes();
        let mut lease = core.lease();
        let now = Instant::now();
        let mut evict = Vec::new();
        for Finished { target, backlog, moves_on } in finished {
            evict.extend(lanes.finish(target, backlog, moves_on, now));
            lease.release(owner);
        }
        evict
    };
    begin(core);
    core.idle.notify_waiters();
    requeue(core, evict).await;
}

/// Ends an attempt. Returns the next batch in turn, if an attempt may begin.
pub(crate) fn end_attempt(
    core: &Arc<Core>,
    batch: &Batch<Claimed>,
    attempted: Option<(&Outcome, &Arc<Route>)>,
    begun: Instant,
) -> Option<Batch<Claimed>> {
    let may_begin = core.may_begin();
    let mut lanes = core.lanes();
    let now = core.both_clocks();
    let effect = lanes.end_attempt(batch.target, batch.is_retry, attempted.map(|(outcome, _)| outcome), begun, now);
    if let (Some(hold), Some((_, route))) = (effect.hold, attempted) {
        core.holds().note(route, effect.held_before, hold);
        core.holds_changed.notify_one();
    }
    let next = if may_begin { next(core, &mut lanes) } else { None };
    let (timer_moved, needs_refill) = (lanes.take_timer_moved(), lanes.take_needs_refill());
    drop(lanes);
    wake(core, timer_moved, needs_refill, now.wall);
    if !effect.evict.is_empty() {
        let task_core = Arc::clone(core);
        core.tasks.spawn(async move { requeue(&task_core, effect.evict).await });
    }
    next
}

/// Starts all attempts that may begin.
pub(crate) fn begin(core: &Arc<Core>) {
    while core.may_begin() {
        let Some(batch) = next(core, &mut core.lanes()) else { break };
        core.tasks.spawn(deliver_in_turn(Arc::clone(core), batch));
    }
    let (timer_moved, needs_refill) = {
        let mut lanes = core.lanes();
        (lanes.take_timer_moved(), lanes.take_needs_refill())
    };
    wake(core, timer_moved, needs_refill, core.now());
}

/// Returns the next delivery to attempt.
///
/// The clock is read while the lanes are locked. A thread that read it before waiting for the lock would count its
/// delivery against a rate as if it had been sent earlier.
pub(crate) fn next(core: &Core, lanes: &mut Lanes<Claimed>) -> Option<Batch<Claimed>> {
    let permitted_at = tracing::enabled!(tracing::Level::TRACE).then(|| core.clock.wall().as_millis());
    let batch = lanes.next(Instant::now())?;
    if let Some(permitted_at) = permitted_at {
        tracing::trace!(target.id = %batch.target, permitted_at, "attempt may begin");
    }
    Some(batch)
}

pub(crate) fn wake(core: &Core, timer_moved: bool, needs_refill: bool, now: Timestamp) {
    if timer_moved {
        core.timer_moved.notify_one();
    }
    if needs_refill {
        core.note_due(now);
    }
}

/// Starts attempts delayed by a rate when they may begin, until the engine stops.
pub(crate) async fn run_timers(core: Arc<Core>) {
    loop {
        let at = core.lanes().next_timer();
        tokio::select! {
            biased;
            () = core.stop.cancelled() => return,
            () = core.timer_moved.notified() => {}
            () = async { tokio::time::sleep_until(at.expect("polled only with a timer")).await }, if at.is_some() => {
                // Fired even if no attempt may begin now: a past timer must not be awaited again and again.
                core.lanes().fire_timers(Instant::now());
                begin(&core);
            }
        }
    }
}

/// Delivers batch after batch in turn, until no attempt may begin.
async fn deliver_in_turn(core: Arc<Core>, first: Batch<Claimed>) {
    let mut next = Some(first);
    while let Some(batch) = next {
        let begun = Instant::now();
        tokio::select! {
            biased;
            recorded = deliver(&core, &batch) => {
                let attempted = recorded.iter().find_map(|recorded| recorded.effect.as_ref()).map(|effect| (&effect.outcome, &effect.route));
                next = end_attempt(&core, &batch, attempted, begun);
                for recorded in recorded {
                    // Closed only if the engine has stopped; then the delivery falls due again.
                    let _ = core.outcomes.send(recorded).await;
                }
            }
            // Begun and not recorded: the delivery falls due again with the next start.
            () = core.finished.cancelled() => return,
        }
    }
}
