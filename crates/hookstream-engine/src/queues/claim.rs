//! Claims due deliveries for the lanes.
//!
//! Deliveries without room in their lane, and those that may not be sent now, wait in their stored backlog until the
//! lane has room. Only the owner of a backlog's shard claims from it, and only that process sends to a target with a
//! rate, an order or a hold.

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use hookstream_model::{
    base::ids::{OriginId, RouteId, TargetId},
    delivery::{
        placement::{self, Placement, Source},
        queue::Backlog,
    },
};
use hookstream_store::{
    Error,
    delivery::deliveries::{BacklogHead, BacklogRequest, ClaimLimits, Claimed},
};
use tokio::time::Instant;

use crate::{
    cluster::owner_in_use::InUse,
    core::Core,
    queues::{
        lanes::{Gather, LanePolicy, Now},
        requeue::{requeue, route, works_on_shard},
        schedule::{Offered, offer},
    },
    routing::target::Target,
};

/// Maximum number of gathering backlogs remembered; beyond it, all start again.
const MAX_GATHERING: usize = 100_000;

/// Maximum number of deliveries in one claim: each is a small write in the transaction.
const MAX_CLAIMED: usize = 1_000;
/// Maximum number of backlogs in one look; the next look continues behind them.
const MAX_BACKLOGS: usize = 1_000;
/// Minimum interval between claims of deliveries that fall due later: a claim costs the database far more than this
/// wait costs a retry. Deliveries already due when noted are claimed at once.
const QUANTUM: Duration = Duration::from_millis(100);
/// Minimum interval between two immediate claims.
const GAP: Duration = Duration::from_millis(5);
/// Interval between looks while there is no room in memory.
const FULL: Duration = Duration::from_millis(20);

/// State kept from one look at the backlogs to the next.
#[derive(Debug, Default)]
struct Look {
    /// Last backlog of the previous look, if there were more.
    after: Option<Backlog>,
    /// Time since which deliveries gather in ordered backlogs.
    gathering: HashMap<Backlog, Instant>,
}

impl Look {
    /// Returns how many deliveries to claim from a backlog of this length: as many as fill whole batches, or all if the
    /// first has waited long enough.
    fn gathered(&mut self, backlog: Backlog, gather: Gather, length: usize, now: Instant, wait: &mut Duration) -> usize {
        if self.gathering.len() >= MAX_GATHERING {
            self.gathering.clear();
        }
        let until = *self.gathering.entry(backlog).or_insert(now) + gather.wait;
        let taken = if until <= now { length } else { length - length % gather.most };
        if taken > 0 {
            self.gathering.remove(&backlog);
        }
        if taken < length {
            let since = *self.gathering.entry(backlog).or_insert(now);
            *wait = (*wait).min((since + gather.wait).saturating_duration_since(now).max(GAP));
        }
        taken
    }
}

/// Claims due deliveries until the engine stops.
pub(crate) async fn run(core: Arc<Core>) {
    let mut wake = Instant::now();
    let mut look = Look::default();
    loop {
        tokio::select! {
            biased;
            () = core.stop.cancelled() => return,
            () = core.nudge.notified() => {
                if let Some(due) = core.noted_due() {
                    let wait = due.since(core.now());
                    wake = wake.min(Instant::now() + if wait.is_zero() { GAP } else { wait.max(QUANTUM) });
                }
            }
            () = tokio::time::sleep_until(wake) => wake = Instant::now() + step(&core, &mut look).await,
        }
    }
}

/// Claims once. Returns the time for which no delivery is known to fall due.
async fn step(core: &Arc<Core>, look: &mut Look) -> Duration {
    let Some((room, bytes)) = core.lanes().room_to_claim() else { return FULL };
    if !core.may_begin() {
        return FULL;
    }
    // Cleared before the claim: the claim covers all due times noted so far and returns the next one.
    core.forget_noted_due();
    let limits = ClaimLimits { deliveries: room.min(MAX_CLAIMED), bytes };
    let claimed = match claim(core, limits).await {
        Ok(wait) => from_backlogs(core, look, bytes / 2).await.map(|of_backlogs| wait.min(of_backlogs)),
        Err(error) => Err(error),
    };
    match claimed {
        Ok(wait) => wait.min(core.options.poll_period),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "could not claim due deliveries; retrying");
            if matches!(error, Error::Unavailable { .. }) {
                // The claim may have been committed, so the store may hold deliveries under this owner id that are in
                // no memory.
                core.suspect_owner();
            }
            core.options.poll_period
        }
    }
}

/// Claims due deliveries outside of backlogs. Returns the time for which no other is known to fall due.
async fn claim(core: &Arc<Core>, limits: ClaimLimits) -> Result<Duration, Error> {
    let (now, begun) = (core.now(), Instant::now());
    let in_use = InUse::current(core);
    let claim = core.store.claim_due(in_use.owner, now, limits).await?;
    let claimed = claim.deliveries.len();
    tracing::debug!(claimed, took_us = begun.elapsed().as_micros(), "claimed due deliveries");
    place(core, claim.deliveries).await;
    Ok(match claim.next_due {
        None => core.options.poll_period,
        // There were more than the limit. Deliveries that another node is about to claim do not count.
        Some(due) if due <= now && claimed > 0 => Duration::ZERO,
        Some(due) => due.since(now).max(QUANTUM),
    })
}

/// Claims from the backlogs whose lanes have room. Returns the time for which no other delivery is known to fall due.
async fn from_backlogs(core: &Arc<Core>, look: &mut Look, bytes: usize) -> Result<Duration, Error> {
    let _claiming = core.backlog_claims.lock().await;
    // Uses the owner id that has the shards now: if the lease expires meanwhile, the store treats the claimed deliveries
    // as unowned.
    let in_use = InUse::current(core);
    let shards = core.lease().shards();
    let heads = core.store.backlogs(shards, look.after, MAX_BACKLOGS).await?;
    let is_all = look.after.is_none() && heads.len() < MAX_BACKLOGS;
    look.after = if heads.len() < MAX_BACKLOGS { None } else { heads.last().map(|head| head.backlog) };
    let mut wait = if is_all { core.options.poll_period } else { QUANTUM };
    if heads.is_empty() {
        core.lanes().note_more(Vec::new());
        return Ok(wait);
    }
    let mut policies = HashMap::new();
    for head in &heads {
        if let Entry::Vacant(entry) = policies.entry(head.route_id)
            && let Ok(policy) = policy(core, head.origin_id, head.route_id).await
        {
            entry.insert(policy);
        }
    }
    let lengths = lengths(core, &heads, &policies).await?;
    let now = core.both_clocks();
    let mut wants = wants(core, &heads, &policies, look, &lengths, now, &mut wait);
    if core.lease().is_uncertain() {
        // The first delivery of a backlog may belong to an earlier owner id and be in no memory.
        wants.retain(|want| !want.in_order);
    }
    if wants.is_empty() {
        return Ok(wait);
    }
    let begun = Instant::now();
    let backlogs = wants.len();
    let claimed = core.store.claim_backlogs(in_use.owner, now.wall, wants, bytes).await?;
    tracing::debug!(claimed = claimed.len(), backlogs, took_us = begun.elapsed().as_micros(), "claimed deliveries from backlogs");
    place(core, claimed).await;
    Ok(wait)
}

/// Returns the lengths of the ordered backlogs whose deliveries gather. Gathering happens in the store, because a batch taken
/// from an ordered backlog cannot grow while it may be in flight.
async fn lengths(
    core: &Core,
    heads: &[BacklogHead],
    policies: &HashMap<RouteId, Arc<LanePolicy>>,
) -> Result<HashMap<Backlog, usize>, Error> {
    let gathers = |head: &&BacklogHead| policies.get(&head.route_id).is_some_and(|policy| policy.is_ordered && policy.gather.is_some());
    let backlogs: Vec<_> = heads.iter().filter(gathers).map(|head| head.backlog).collect();
    if backlogs.is_empty() {
        return Ok(HashMap::new());
    }
    let lengths = core.store.backlog_lengths(backlogs.clone(), MAX_CLAIMED).await?;
    Ok(backlogs.into_iter().zip(lengths).collect())
}

/// Returns how many deliveries to claim from each backlog.
fn wants(
    core: &Core,
    heads: &[BacklogHead],
    policies: &HashMap<RouteId, Arc<LanePolicy>>,
    look: &mut Look,
    lengths: &HashMap<Backlog, usize>,
    now: Now,
    wait: &mut Duration,
) -> Vec<BacklogRequest> {
    let mut lanes = core.lanes();
    let mut wants = Vec::new();
    let mut with_more = Vec::new();
    let mut wanted: HashMap<TargetId, usize> = HashMap::new();
    for head in heads {
        let Some(policy) = policies.get(&head.route_id) else { continue };
        if policy.is_paused {
            // Resuming the target triggers a new look.
            continue;
        }
        // In an ordered backlog, `due_at` of a delivery without `retry_at` is a position, and the delivery is due.
        let due_at = if policy.is_ordered { head.retry_at } else { Some(head.due_at) };
        if let Some(due_at) = due_at.filter(|due_at| *due_at > now.wall) {
            *wait = (*wait).min(due_at.since(now.wall).max(QUANTUM));
            continue;
        }
        let target = policy.target;
        with_more.push(target);
        if let Some(until) = lanes.held_until(target).filter(|until| *until > now.monotonic) {
            *wait = (*wait).min((until - now.monotonic).max(QUANTUM));
        } else if policy.is_held(now.wall) {
            *wait = (*wait).min(QUANTUM.max(policy.hold.map_or(QUANTUM, |hold| hold.until.since(now.wall))));
        }
        // The backlogs of one target share its room.
        let of_target = wanted.entry(target).or_default();
        let deliveries = lanes.wants_from(target, head.backlog, policy, now);
        let is_probe = policy.is_held(now.wall);
        let deliveries = if is_probe && *of_target > 0 { 0 } else { deliveries.min(MAX_CLAIMED.saturating_sub(*of_target)) };
        let deliveries = match (lengths.get(&head.backlog), policy.gather) {
            (Some(length), Some(gather)) if deliveries > 0 => {
                look.gathered(head.backlog, gather, *length, now.monotonic, wait).min(deliveries)
            }
            (Some(_) | None, _) => deliveries,
        };
        if deliveries > 0 {
            *of_target += deliveries;
            wants.push(BacklogRequest { backlog: head.backlog, deliveries, in_order: policy.is_ordered });
        }
    }
    lanes.note_more(with_more);
    wants
}

/// Returns the policy of a route's target, or the unrestricted one if the route does not exist.
async fn policy(core: &Core, origin: OriginId, route_id: RouteId) -> Result<Arc<LanePolicy>, Error> {
    Ok(match route(core, origin, route_id).await? {
        Some(route) => Arc::clone(&route.target.policy),
        None => core.unrestricted(origin, route_id),
    })
}

/// Puts claimed deliveries into the lanes; those without room, or not to be sent from here, return to their backlogs.
async fn place(core: &Arc<Core>, deliveries: Vec<Claimed>) {
    let (mut offered, mut returned) = (Vec::with_capacity(deliveries.len()), Vec::new());
    let mut unreadable = BTreeSet::new();
    for delivery in deliveries {
        let origin = delivery.message.origin_id;
        let route = if unreadable.contains(&origin) { None } else { route(core, origin, delivery.route_id).await.ok() };
        let route = match route {
            Some(Some(route)) => route,
            Some(None) => {
                offered.push(Offered { policy: core.unrestricted(origin, delivery.route_id), delivery, backlog: None });
                continue;
            }
            // The target may be ordered, so the delivery returns to its position and the deliveries behind it wait too.
            None => {
                unreadable.insert(origin);
                core.lease().hold(delivery.owner);
                returned.push(delivery);
                continue;
            }
        };
        let target = &route.target;
        let backlog = target.keeps_order(delivery.failed).then_some(delivery.backlog).flatten();
        let is_from_backlog = delivery.backlog.is_some();
        let may_go = is_from_backlog || may_go(core, target, &delivery);
        if may_go {
            offered.push(Offered { policy: Arc::clone(&target.policy), delivery, backlog });
        } else {
            core.lease().hold(delivery.owner);
            returned.push(delivery);
        }
    }
    offer(core, offered);
    requeue(core, returned).await;
}

/// Returns whether a delivery from outside of backlogs may enter its lane.
fn may_go(core: &Core, target: &Target, delivery: &Claimed) -> bool {
    let restrictions = target.restrictions(delivery.failed, core.now());
    placement::place(restrictions, Source::Due, works_on_shard(core, target)) == Placement::Here
        && core.lanes().has_room(target.key.id, &target.policy)
}

#[cfg(test)]
mod tests {
    use hookstream_model::base::ids::LimitScopeId;

    use super::*;

    #[test]
    fn ordered_backlog_gathers_until_full_or_first_waited() {
        let mut look = Look::default();
        let gather = Gather { most: 4, bytes: 1_000, wait: Duration::from_millis(300) };
        let backlog = Backlog::of_target(LimitScopeId::from_bytes([1; 16]), TargetId::from_bytes([2; 16]));
        let begin = Instant::now();
        let mut ask = |length: usize, millis: u64| {
            let mut wait = Duration::from_secs(1);
            (look.gathered(backlog, gather, length, begin + Duration::from_millis(millis), &mut wait), wait.as_millis())
        };
        assert_eq!(ask(1, 0), (0, 300));
        assert_eq!(ask(3, 100), (0, 200));
        // As many as fill whole batches; the rest starts to wait now.
        assert_eq!(ask(9, 200), (8, 300));
        assert_eq!(ask(1, 300), (0, 200));
        assert_eq!(ask(2, 500), (2, 1_000), "the first has waited");
        assert_eq!(ask(4, 501), (4, 1_000));
        assert_eq!(ask(1, 600), (0, 300), "it begins anew");
    }
}
