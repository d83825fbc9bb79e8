//! Turns of the lanes: offers deliveries, starts attempts, makes room after each.

use std::sync::Arc;

use hookstream_model::{
    base::{ids::TargetId, time::Timestamp},
    delivery::{outcome::Outcome, queue::Backlog},
};
use hookstream_store::{
    delivery::deliveries::{Claimed, Owner},
    outbound::endpoints::EndpointKey,
};
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

/// A delivery for a lane, with what is configured for it.
pub(crate) struct Offered {
    pub(crate) delivery: Claimed,
    pub(crate) policy: Arc<LanePolicy>,
    /// The backlog whose order it keeps.
    pub(crate) backlog: Option<Backlog>,
}

/// Puts deliveries that this process owns into their lanes, and begins what may be begun.
pub(crate) fn offer(core: &Arc<Core>, offered: impl IntoIterator<Item = Offered>) {
    {
        let mut lanes = core.lanes();
        let mut lease = core.lease();
        let now = core.both_clocks();
        for Offered { delivery, policy, backlog } in offered {
            // Under a number that has lapsed it is somebody else's by now.
            if !lease.has(delivery.owner) {
                continue;
            }
            lease.hold(delivery.owner);
            let spot = Slot { bytes: delivery.message.payload.body.len(), is_retry: delivery.failed > 0, backlog };
            let since =
                policy.has_rate().then(|| lease.works_on(Backlog::of_target(policy.application, delivery.target_id).shard())).flatten();
            lanes.offer(delivery.target_id, delivery, spot, &policy, since, now);
        }
    }
    begin(core);
}

/// A try that is recorded.
pub(crate) struct Finished {
    pub(crate) target: TargetId,
    pub(crate) backlog: Option<Backlog>,
    /// Whether what is behind it in its backlog may go.
    pub(crate) moves_on: bool,
}

/// Tries that are recorded make room for others.
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

/// A try is over: what is next in turn, if anything may be begun.
pub(crate) fn answered(
    core: &Arc<Core>,
    turn: &Batch<Claimed>,
    tried: Option<(&Outcome, &Route)>,
    begun: Instant,
) -> Option<Batch<Claimed>> {
    let may_begin = core.may_begin();
    let mut lanes = core.lanes();
    let now = core.both_clocks();
    let answered = lanes.answered(turn.delivery.target_id, turn.is_retry, tried.map(|(outcome, _)| outcome), begun, now);
    if let (Some(hold), Some((_, route))) = (answered.hold, tried) {
        core.holds().note(EndpointKey::from(&route.endpoint), answered.held_before, hold);
        core.holds_changed.notify_one();
    }
    let next = if may_begin { next(core, &mut lanes) } else { None };
    let (timer_moved, needs_refill) = (lanes.take_timer_moved(), lanes.take_needs_refill());
    drop(lanes);
    wake(core, timer_moved, needs_refill, now.wall);
    if !answered.evict.is_empty() {
        let core_too = Arc::clone(core);
        core.tasks.spawn(async move { requeue(&core_too, answered.evict).await });
    }
    next
}

/// Begins what may be begun.
pub(crate) fn begin(core: &Arc<Core>) {
    while core.may_begin() {
        let Some(turn) = next(core, &mut core.lanes()) else { break };
        core.tasks.spawn(deliver_in_turn(Arc::clone(core), turn));
    }
    let (timer_moved, needs_refill) = {
        let mut lanes = core.lanes();
        (lanes.take_timer_moved(), lanes.take_needs_refill())
    };
    wake(core, timer_moved, needs_refill, core.now());
}

/// The next delivery to attempt.
///
/// The clock is read while the lanes are locked. A thread that reads it first and then waits for the lock, or for a turn on
/// the CPU, would have its delivery count against a rate as if it had gone earlier than it does.
pub(crate) fn next(core: &Core, lanes: &mut Lanes<Claimed>) -> Option<Batch<Claimed>> {
    let permitted_at = tracing::enabled!(tracing::Level::TRACE).then(|| core.clock.wall().as_millis());
    let turn = lanes.next(Instant::now())?;
    if let Some(permitted_at) = permitted_at {
        tracing::trace!(target.id = %turn.delivery.target_id, permitted_at, "attempt may begin");
    }
    Some(turn)
}

pub(crate) fn wake(core: &Core, timer_moved: bool, needs_refill: bool, now: Timestamp) {
    if timer_moved {
        core.timer_moved.notify_one();
    }
    if needs_refill {
        core.note_due(now);
    }
}

/// Begins what a rate has kept back, when it may go, until the engine stops.
pub(crate) async fn run_timers(core: Arc<Core>) {
    loop {
        let at = core.lanes().next_timer();
        tokio::select! {
            biased;
            () = core.stop.cancelled() => return,
            () = core.timer_moved.notified() => {}
            () = async { tokio::time::sleep_until(at.expect("polled only where there is one")).await }, if at.is_some() => {
                // Also where nothing may be begun for now: what is past must not be waited for again and again.
                core.lanes().fire_timers(Instant::now());
                begin(&core);
            }
        }
    }
}

/// Delivers, and then whatever is next in turn, until nothing may be begun.
pub(crate) async fn deliver_in_turn(core: Arc<Core>, first: Batch<Claimed>) {
    let mut next = Some(first);
    while let Some(turn) = next {
        let begun = Instant::now();
        tokio::select! {
            biased;
            recorded = deliver(&core, &turn) => {
                let tried = recorded.iter().find_map(|recorded| recorded.effect.as_ref()).map(|effect| (&effect.outcome, &*effect.route));
                next = answered(&core, &turn, tried, begun);
                for recorded in recorded {
                    // Closed only where the engine has stopped; then it falls due again as well.
                    let _ = core.outcomes.send(recorded).await;
                }
            }
            // It was begun and not recorded: it falls due again with the next start.
            () = core.finished.cancelled() => return,
        }
    }
}
