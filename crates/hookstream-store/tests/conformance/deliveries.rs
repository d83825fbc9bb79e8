//! Claiming, settling and requeuing.

use std::{sync::Arc, time::Duration};

use hookstream_model::{
    base::{
        ids::{MessageId, OriginId, RouteId},
        trace_context::TraceContext,
    },
    delivery::{
        attempt::Attempt,
        state::{CancelReason, DeliveryState, ExhaustedReason, SkipReason, Trigger},
        timings::{Timings, Waterfall},
    },
    outbound::message::{Message, MessageStatus},
};
use hookstream_store::delivery::{
    cluster::{LeaseRenewal, NodeReport, NodeSelf},
    deliveries::{ClaimLimits, NewDelivery, NewState, Next, Owner, Published, Redelivered, Redelivery, Wait},
    finding::{Direction, EXAMINED, MessageFilter, MessageSearch, Payloads, Range},
    messages::PendingDetail,
};

use crate::support::{DAY, Fixture, NOON, SECOND, settled};

const EXHAUSTED: DeliveryState = DeliveryState::Exhausted { reason: ExhaustedReason::ScheduleEnded };
const SKIPPED: DeliveryState = DeliveryState::Skipped { reason: SkipReason::EndpointDisabled };

pub(crate) async fn claim_takes_unowned_deliveries_oldest_due_first(world: &Fixture) {
    let owner = world.enlist().await;
    let target = world.target();
    let late = world.publish(NOON + SECOND * 2, &[target]).await;
    let early = world.publish(NOON, &[target]).await;
    let middle = world.publish(NOON + SECOND, &[target]).await;

    let claim = world.store.claim_due(owner, NOON + SECOND, crate::support::PLENTY).await.expect("claimed");
    assert_eq!(claim.deliveries.iter().map(|claimed| claimed.message.id).collect::<Vec<_>>(), [early, middle]);
    assert_eq!(claim.next_due, Some(NOON + SECOND * 2));
    assert_eq!((claim.deliveries[0].attempts, claim.deliveries[0].failed, claim.deliveries[0].trigger), (0, 0, Trigger::Initial));

    let rest = world.store.claim_due(owner, NOON + DAY, crate::support::PLENTY).await.expect("claimed");
    assert_eq!(rest.deliveries.iter().map(|claimed| claimed.message.id).collect::<Vec<_>>(), [late]);
    assert_eq!(rest.next_due, None);
}

pub(crate) async fn owned_delivery_is_not_claimed(world: &Fixture) {
    let owner = world.enlist().await;
    world.publish_owned(owner, NOON, &[world.target()]).await;
    assert_eq!(world.claim(owner, NOON + DAY).await.len(), 0);
}

pub(crate) async fn claim_keeps_its_limits(world: &Fixture) {
    let owner = world.enlist().await;
    for _ in 0..5 {
        world.publish(NOON, &[world.target()]).await;
    }
    let claim = async |deliveries, bytes| {
        let claim = world.store.claim_due(owner, NOON, ClaimLimits { deliveries, bytes }).await.expect("claimed");
        (claim.deliveries.len(), claim.next_due.is_some())
    };
    assert_eq!(claim(2, 1_000).await, (2, true));
    // Each payload has two bytes; the one that exceeds the limit is still claimed.
    assert_eq!(claim(10, 3).await, (2, true));
    assert_eq!(claim(10, 1_000).await, (1, false));
}

pub(crate) async fn claimed_message_has_its_trace_context(world: &Fixture) {
    let owner = world.enlist().await;
    let context = |state| TraceContext::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", state).map(Box::new);
    for trace in [None, context(None), context(Some("vendor=1, other=2"))] {
        let message = Message { trace: trace.clone(), ..world.message(NOON, "{}") };
        let delivery = NewDelivery { route_id: world.target(), state: NewState::Waiting { backlog: None, in_order: false } };
        let published = world.store.publish(world.publication(message, vec![delivery])).await.expect("a result");
        assert_eq!(published, Published::Stored);
        assert_eq!(world.claim(owner, NOON).await[0].message.trace, trace);
    }
}

pub(crate) async fn new_owner_claims_deliveries_of_retired_owner(world: &Fixture) {
    let first = world.enlist().await;
    let id = world.publish(NOON, &[world.target()]).await;
    assert_eq!(world.claim(first, NOON).await.len(), 1);
    world.store.retire(first, NOON).await.expect("retired");
    let second = world.enlist().await;
    assert_ne!(first, second);
    assert_eq!(world.claim(second, NOON).await[0].message.id, id);
}

pub(crate) async fn former_number_keeps_its_deliveries(world: &Fixture) {
    let first = world.enlist().await;
    for _ in 0..2 {
        world.publish(NOON, &[world.target()]).await;
    }
    let claimed = world.claim(first, NOON).await;
    let node = NodeSelf { name: "world".to_owned(), role: "all", version: "0", replaces: Some(first) };
    let second = world.store.enlist(&node, NOON).await.expect("enlisted");
    assert!(world.claim(second, NOON).await.is_empty(), "still in the node's memory under the former number");
    for owner in [first, second] {
        let renewal = world.store.renew(owner, NodeReport::default(), NOON).await.expect("renewed");
        assert!(matches!(renewal, LeaseRenewal::Held { .. }), "{renewal:?}");
    }
    assert!(world.settle(first, settled(&claimed[0], None, Next::Succeeded)).await);
    world.store.retire(first, NOON).await.expect("retired");
    let renewal = world.store.renew(first, NodeReport::default(), NOON).await.expect("renewed");
    assert_eq!(renewal, LeaseRenewal::Expired);
    let rest = world.claim(second, NOON).await;
    assert_eq!(rest.iter().map(|delivery| delivery.message.id).collect::<Vec<_>>(), [claimed[1].message.id]);
}

pub(crate) async fn stale_owner_settles_nothing(world: &Fixture) {
    let stale = world.enlist().await;
    let id = world.publish(NOON, &[world.target()]).await;
    let claimed = world.claim(stale, NOON).await;
    world.store.retire(stale, NOON).await.expect("retired");
    let owner = world.enlist().await;
    world.claim(owner, NOON).await;
    for next in [
        Next::Succeeded,
        Next::Retry { wait: Wait::until(NOON + DAY), failed: 1 },
        Next::Postponed { wait: Wait::until(NOON) },
        Next::Ended(EXHAUSTED, NOON),
    ] {
        assert!(!world.settle(stale, settled(&claimed[0], Some(world.attempt(&claimed[0], NOON)), next)).await, "{next:?}");
    }
    let detail = world.detail(id).await;
    assert_eq!(detail.message.counts.status(), MessageStatus::Pending);
    assert_eq!(detail.attempts, []);
    assert!(world.settle(owner, settled(&claimed[0], None, Next::Succeeded)).await);
    assert!(!world.settle(owner, settled(&claimed[0], None, Next::Succeeded)).await, "a delivery is settled once");
}

pub(crate) async fn repeated_settlement_changes_nothing(world: &Fixture) {
    if world.store.lease().is_none() {
        // A commit to a file always has a known result.
        return;
    }
    let owner = world.enlist().await;
    let id = world.publish(NOON, &[world.target()]).await;
    let claimed = world.claim(owner, NOON).await;
    let retry = Next::Retry { wait: Wait::until(NOON + SECOND), failed: 1 };
    let batch = Arc::new(vec![settled(&claimed[0], Some(world.attempt(&claimed[0], NOON)), retry)]);
    assert_eq!(world.store.settle(owner, Arc::clone(&batch)).await.expect("settled"), [true]);
    // The delivery becomes due and the same owner claims it again before the repetition.
    let again = world.claim(owner, NOON + SECOND).await;
    assert_eq!(again.len(), 1);
    assert_eq!(world.store.settle(owner, batch).await.expect("settled again"), [true]);
    assert_eq!(world.claim(owner, NOON + DAY).await.len(), 0, "its owner keeps it");
    assert!(world.settle(owner, settled(&again[0], Some(world.attempt(&again[0], NOON + SECOND)), Next::Succeeded)).await);
    assert_eq!(world.detail(id).await.attempts.len(), 2);
}

pub(crate) async fn success_is_recorded_with_its_attempt(world: &Fixture) {
    let owner = world.enlist().await;
    let id = world.publish(NOON, &[world.target()]).await;
    let claimed = world.claim(owner, NOON).await;
    let mut attempt = world.attempt(&claimed[0], NOON + SECOND);
    attempt.succeeded = true;
    attempt.error = None;
    assert!(world.settle(owner, settled(&claimed[0], Some(attempt.clone()), Next::Succeeded)).await);
    let detail = world.detail(id).await;
    assert_eq!(detail.attempts, [attempt]);
    assert_eq!(detail.message.counts.status(), MessageStatus::Delivered);
    assert_eq!(detail.message.updated_at, NOON + SECOND);
    assert_eq!((detail.deliveries[0].state, detail.deliveries[0].attempts), (DeliveryState::Succeeded, 1));
}

pub(crate) async fn attempt_keeps_its_waterfall(world: &Fixture) {
    let owner = world.enlist().await;
    let id = world.publish(NOON, &[world.target(), world.target(), world.target()]).await;
    let micros = |number| Some(Duration::from_micros(number));
    let all = Timings {
        dns: micros(1),
        connect: micros(127),
        tls: micros(128),
        write: micros(0),
        first_byte: micros(60_000_000),
        read: micros(16_384),
    };
    let waterfalls = [
        None,
        Some(Waterfall { queue: DAY * 400, exchange: all }),
        Some(Waterfall { queue: Duration::ZERO, exchange: Timings::default() }),
    ];
    let mut batch = Vec::new();
    for (claimed, waterfall) in world.claim(owner, NOON).await.iter().zip(waterfalls) {
        let attempt = Attempt { waterfall, ..world.attempt(claimed, NOON + SECOND) };
        batch.push(settled(claimed, Some(attempt), Next::Succeeded));
    }
    assert_eq!(world.store.settle(owner, batch.into()).await.expect("settled"), [true; 3]);
    let kept = world.detail(id).await.attempts;
    assert_eq!(kept.iter().map(|attempt| attempt.waterfall).collect::<Vec<_>>(), waterfalls);
}

pub(crate) async fn retry_is_due_later_and_counts_failures(world: &Fixture) {
    let owner = world.enlist().await;
    let id = world.publish(NOON, &[world.target()]).await;
    let mut due_at = NOON;
    for failed in 0..3 {
        assert_eq!(world.claim(owner, due_at - SECOND).await.len(), 0);
        let claimed = world.claim(owner, due_at).await;
        assert_eq!(claimed[0].due_at, due_at);
        assert_eq!((claimed[0].attempts, claimed[0].failed), (failed, failed));
        assert_eq!(claimed[0].trigger, if failed == 0 { Trigger::Initial } else { Trigger::Automatic });
        let attempt = world.attempt(&claimed[0], due_at);
        due_at = due_at + SECOND * 60;
        assert!(
            world.settle(owner, settled(&claimed[0], Some(attempt), Next::Retry { wait: Wait::until(due_at), failed: failed + 1 })).await
        );
    }
    let detail = world.detail(id).await;
    assert_eq!(detail.attempts.iter().map(|attempt| attempt.number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(detail.deliveries[0].state, DeliveryState::Pending { due_at });
    assert_eq!(
        detail.deliveries[0].pending,
        Some(PendingDetail { failed: 3, trigger: Trigger::Automatic, is_taken: false, is_in_backlog: false })
    );
    world.claim(owner, due_at).await;
    assert_eq!(
        world.detail(id).await.deliveries[0].pending,
        Some(PendingDetail { failed: 3, trigger: Trigger::Automatic, is_taken: true, is_in_backlog: false })
    );
}

pub(crate) async fn postponement_counts_no_attempt(world: &Fixture) {
    let owner = world.enlist().await;
    world.publish(NOON, &[world.target()]).await;
    let claimed = world.claim(owner, NOON).await;
    assert!(world.settle(owner, settled(&claimed[0], None, Next::Postponed { wait: Wait::until(NOON + SECOND) })).await);
    assert_eq!(world.claim(owner, NOON).await.len(), 0);
    let again = world.claim(owner, NOON + SECOND).await;
    assert_eq!((again[0].attempts, again[0].failed, again[0].trigger), (0, 0, Trigger::Initial));
}

pub(crate) async fn unsuccessful_delivery_keeps_its_reason(world: &Fixture) {
    let owner = world.enlist().await;
    let cancelled = DeliveryState::Cancelled { reason: CancelReason::EndpointDeleted };
    for (state, status) in [(EXHAUSTED, MessageStatus::Failed), (SKIPPED, MessageStatus::Skipped), (cancelled, MessageStatus::Skipped)] {
        let id = end(world, owner, NOON, world.target(), state).await;
        let detail = world.detail(id).await;
        assert_eq!(detail.message.counts.status(), status);
        assert_eq!((detail.deliveries[0].state, detail.deliveries[0].ended_at), (state, Some(NOON)));
        assert_eq!(detail.deliveries[0].attempts, 1);
    }
}

pub(crate) async fn failed_messages_are_found_behind_many_others(world: &Fixture) {
    let owner = world.enlist().await;
    let mut failed = Vec::new();
    for number in 0..5 {
        let at = NOON - DAY + DAY / 4 * number;
        failed.push(end(world, owner, at, world.target(), EXHAUSTED).await);
        end(world, owner, at + SECOND, world.target(), SKIPPED).await;
    }
    // One of two deliveries failed, and the other is pending: the message has not failed yet.
    let id = world.publish(NOON, &[world.target(), world.target()]).await;
    let claimed = world.claim(owner, NOON).await;
    assert!(world.settle(owner, settled(&claimed[0], None, Next::Ended(EXHAUSTED, NOON))).await);
    assert_eq!(world.detail(id).await.message.counts.status(), MessageStatus::Pending);
    // More than one call examines.
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..EXAMINED + 10 {
        let publication = world.publication(world.message(NOON + SECOND, "{}"), vec![]);
        let store = world.store.clone();
        running.spawn(async move { store.publish(publication).await.expect("published") });
    }
    running.join_all().await;

    let range = Range { tenant: world.tenant, origin: None, lowest: [0; 16], below: [0xff; 16], direction: Direction::Older };
    let filter = MessageFilter { statuses: vec![MessageStatus::Failed], ..MessageFilter::default() };
    let search = MessageSearch { range, filter, limit: 3, payloads: Payloads::Included };
    let find = async |search: MessageSearch| {
        let found = world.store.find_messages(search).await.expect("found");
        (found.items.iter().map(|message| message.id).collect::<Vec<_>>(), found.next)
    };
    failed.reverse();
    for origin in [None, Some(world.application.into())] {
        let mut search = MessageSearch { range: Range { origin, ..search.range.clone() }, ..search.clone() };
        let (first, next) = find(search.clone()).await;
        assert_eq!(first, failed[..3], "{origin:?}");
        search.range.below = next.expect("another page");
        assert_eq!(find(search.clone()).await, (failed[3..].to_vec(), None), "{origin:?}");
        search.range = Range { below: [0xff; 16], direction: Direction::Newer, ..search.range };
        let (oldest, next) = find(search.clone()).await;
        assert_eq!(oldest, failed[2..], "{origin:?}");
        search.range.lowest = next.expect("another page");
        assert_eq!(find(search).await, (failed[..2].to_vec(), None), "{origin:?}");
    }
    let stranger = MessageSearch { range: Range { tenant: world.stranger, ..search.range.clone() }, ..search.clone() };
    assert_eq!(find(stranger).await, (vec![], None));
    let other = MessageSearch { range: Range { origin: Some(OriginId::from_bytes([9; 16])), ..search.range.clone() }, ..search };
    assert_eq!(find(other).await, (vec![], None));
}

/// Publishes a message whose only delivery ends in this state after an attempt.
async fn end(
    world: &Fixture,
    owner: Owner,
    at: hookstream_model::base::time::Timestamp,
    target: RouteId,
    state: DeliveryState,
) -> MessageId {
    let id = world.publish(at, &[target]).await;
    let claimed = world.claim(owner, at).await;
    let attempt = world.attempt(&claimed[0], at);
    assert!(world.settle(owner, settled(&claimed[0], Some(attempt), Next::Ended(state, at))).await);
    id
}

fn redelivery(world: &Fixture, message_id: MessageId, targets: Vec<RouteId>) -> Redelivery {
    Redelivery {
        tenant: world.tenant,
        origin_id: world.application.into(),
        message_id,
        routes: targets,
        trigger: Trigger::Manual,
        now: NOON + SECOND,
    }
}

pub(crate) async fn message_can_be_requeued(world: &Fixture) {
    let owner = world.enlist().await;
    let (failed, new) = (world.target(), world.target());
    let id = end(world, owner, NOON, failed, EXHAUSTED).await;
    let again = world.store.redeliver(redelivery(world, id, vec![failed, new])).await.expect("done");
    assert_eq!(again, Redelivered::Requeued(2));
    let detail = world.detail(id).await;
    assert_eq!((detail.message.counts.total, detail.message.counts.pending), (2, 2));

    let mut claimed = world.claim(owner, NOON + SECOND).await;
    claimed.sort_by_key(|claimed| claimed.route_id);
    let found: Vec<_> = claimed.iter().map(|claimed| (claimed.route_id, claimed.attempts, claimed.failed, claimed.trigger)).collect();
    assert_eq!(found, [(failed, 1, 0, Trigger::Manual), (new, 0, 0, Trigger::Manual)]);
    for claimed in &claimed {
        let mut attempt = world.attempt(claimed, NOON + SECOND);
        attempt.succeeded = true;
        assert!(world.settle(owner, settled(claimed, Some(attempt), Next::Succeeded)).await);
    }
    assert_eq!(world.detail(id).await.message.counts.status(), MessageStatus::Delivered);

    // A delivered message can be sent again, without a new delivery.
    assert_eq!(world.store.redeliver(redelivery(world, id, vec![failed])).await.expect("done"), Redelivered::Requeued(1));
    assert_eq!(world.detail(id).await.message.counts.total, 2);

    let mut strangers = redelivery(world, id, vec![failed]);
    strangers.tenant = world.stranger;
    assert_eq!(world.store.redeliver(strangers).await.expect("done"), Redelivered::NotFound);
    assert_eq!(world.store.redeliver(redelivery(world, world.new_id(NOON).into(), vec![])).await.expect("done"), Redelivered::NotFound);
}

pub(crate) async fn manual_retry_does_not_duplicate_owned_delivery(world: &Fixture) {
    let owner = world.enlist().await;
    let target = world.target();
    let id = world.publish(NOON, &[target]).await;
    let claimed = world.claim(owner, NOON).await;
    assert_eq!(world.store.redeliver(redelivery(world, id, vec![target])).await.expect("done"), Redelivered::Requeued(1));
    assert_eq!(world.claim(owner, NOON + DAY).await.len(), 0);
    // A delivery that waits for its next attempt becomes due at once.
    assert!(world.settle(owner, settled(&claimed[0], None, Next::Retry { wait: Wait::until(NOON + DAY), failed: 1 })).await);
    assert_eq!(world.store.redeliver(redelivery(world, id, vec![target])).await.expect("done"), Redelivered::Requeued(1));
    let claimed = world.claim(owner, NOON + SECOND).await;
    assert_eq!((claimed.len(), claimed[0].failed, claimed[0].trigger), (1, 1, Trigger::Manual));
}

pub(crate) async fn pending_deliveries_can_be_set_aside(world: &Fixture) {
    let owner = world.enlist().await;
    let target = world.target();
    let past = [world.publish(NOON, &[target]).await, world.publish(NOON + DAY, &[target]).await];
    let later = world.publish(NOON + DAY * 2, &[target]).await;
    let until = NOON + DAY * 2 - SECOND;
    let slices = [world.store.set_aside(until, 1).await, world.store.set_aside(until, 9).await, world.store.set_aside(until, 9).await];
    assert_eq!(slices.map(|slice| slice.expect("done")), [1, 1, 0]);
    for id in past {
        let detail = world.detail(id).await;
        let restored = DeliveryState::Skipped { reason: SkipReason::Restored };
        assert_eq!((detail.deliveries[0].state, detail.deliveries[0].ended_at), (restored, Some(until)));
    }
    let claimed: Vec<_> = world.claim(owner, NOON + DAY * 2).await.into_iter().map(|claimed| claimed.message.id).collect();
    assert_eq!(claimed, [later]);
}
