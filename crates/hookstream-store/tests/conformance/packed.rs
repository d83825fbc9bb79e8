//! Deliveries that share a row while their owner attempts them for the first time.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use hookstream_model::{
    base::{
        ids::{MessageId, RouteId},
        time::Timestamp,
    },
    delivery::state::{DeliveryState, ExhaustedReason, SkipReason, Trigger},
};
use hookstream_store::delivery::{
    deliveries::{Claimed, NewDelivery, NewState, Next, Owner, Published, Redelivered, Redelivery, Settled, Wait},
    messages::Delivery,
    payloads::Removal,
};

use tokio_util::task::TaskTracker;

use crate::support::{DAY, Fixture, NOON, SECOND, pending, settled};

/// Number of targets that need three rows.
const MANY: usize = 130;

fn targets(world: &Fixture, number: usize) -> Vec<RouteId> {
    let mut targets: Vec<_> = (0..number).map(|_| world.target()).collect();
    targets.sort_unstable();
    targets
}

fn states(deliveries: &[Delivery]) -> Vec<&'static str> {
    deliveries.iter().map(|delivery| delivery.state.as_str()).collect()
}

fn success(world: &Fixture, claimed: &Claimed) -> Settled {
    settled(claimed, Some(world.attempt(claimed, NOON)), Next::Succeeded)
}

async fn settle(world: &Fixture, owner: Owner, batch: Vec<Settled>) -> Vec<bool> {
    world.store.settle(owner, Arc::new(batch)).await.expect("settled")
}

pub(crate) async fn settled_delivery_leaves_the_rest_of_its_row_pending(world: &Fixture) {
    let owner = world.enlist().await;
    let targets = targets(world, 3);
    let owned = world.publish_owned(owner, NOON, &targets).await;
    let id = owned[0].message.id;
    assert_eq!(states(&world.detail(id).await.deliveries), ["pending", "pending", "pending"]);
    assert!(world.detail(id).await.deliveries.iter().all(|delivery| delivery.pending.is_some_and(|pending| pending.is_taken)));

    assert_eq!(settle(world, owner, vec![success(world, &owned[1])]).await, [true]);
    assert_eq!(states(&world.detail(id).await.deliveries), ["pending", "succeeded", "pending"]);
    assert_eq!(settle(world, owner, vec![success(world, &owned[0]), success(world, &owned[2])]).await, [true, true]);
    assert_eq!(states(&world.detail(id).await.deliveries), ["succeeded", "succeeded", "succeeded"]);
    assert_eq!(settle(world, owner, vec![settled(&owned[2], None, Next::Succeeded)]).await, [false]);
    assert_eq!(world.claim(owner, NOON + DAY).await.len(), 0);
}

pub(crate) async fn every_result_of_a_packed_delivery_is_kept(world: &Fixture) {
    let owner = world.enlist().await;
    let targets = targets(world, 6);
    let owned = world.publish_owned(owner, NOON, &targets).await;
    let id = owned[0].message.id;
    let backlog = world.backlog(targets[2]);
    let exhausted = DeliveryState::Exhausted { reason: ExhaustedReason::Gone };
    let skipped = DeliveryState::Skipped { reason: SkipReason::EndpointDisabled };
    let attempt = |claimed: &Claimed| Some(world.attempt(claimed, NOON));
    let batch = vec![
        settled(&owned[0], attempt(&owned[0]), Next::Retry { wait: Wait::until(NOON + SECOND), failed: 1 }),
        settled(&owned[1], None, Next::Postponed { wait: Wait::until(NOON + SECOND * 2) }),
        settled(&owned[2], None, Next::Postponed { wait: Wait { due_at: NOON, backlog: Some(backlog), keeps_position: false } }),
        settled(&owned[3], attempt(&owned[3]), Next::Ended(exhausted, NOON)),
        settled(&owned[4], None, Next::Ended(skipped, NOON)),
    ];
    assert_eq!(settle(world, owner, batch).await, [true; 5]);
    let detail = world.detail(id).await;
    assert_eq!(states(&detail.deliveries), ["pending", "pending", "pending", "exhausted", "skipped", "pending"]);
    assert_eq!(detail.deliveries.iter().map(|delivery| delivery.attempts).collect::<Vec<_>>(), [1, 0, 0, 1, 0, 0]);

    // Only the first two are for any node to claim.
    let claimed = world.claim(owner, NOON + DAY).await;
    let found: Vec<_> = claimed.iter().map(|one| (one.route_id, one.attempts, one.failed, one.trigger, one.due_at)).collect();
    let retry = (targets[0], 1, 1, Trigger::Automatic, NOON + SECOND);
    assert_eq!(found, [retry, (targets[1], 0, 0, Trigger::Initial, NOON + SECOND * 2)]);
    assert!(claimed.iter().all(|one| one.packed.is_none() && *one.message == *owned[0].message));
    let from_backlog = world.claim_backlog(owner, NOON, backlog).await;
    assert_eq!(from_backlog.iter().map(|one| one.route_id).collect::<Vec<_>>(), [targets[2]]);
}

pub(crate) async fn message_to_many_targets_uses_several_rows(world: &Fixture) {
    let owner = world.enlist().await;
    let targets = targets(world, MANY);
    let owned = world.publish_owned(owner, NOON, &targets).await;
    let id = owned[0].message.id;
    let (odd, even): (Vec<_>, Vec<_>) = owned.iter().enumerate().partition(|(number, _)| number % 2 == 1);
    let batch: Vec<_> = odd.into_iter().map(|(_, claimed)| success(world, claimed)).collect();
    assert_eq!(settle(world, owner, batch).await, [true; MANY / 2]);
    let is_pending = |delivery: &&Delivery| matches!(delivery.state, DeliveryState::Pending { .. });
    let detail = world.detail(id).await;
    let waiting: Vec<_> = detail.deliveries.iter().filter(is_pending).map(|delivery| delivery.route_id).collect();
    assert_eq!(waiting, targets.iter().step_by(2).copied().collect::<Vec<_>>());
    let batch: Vec<_> = even.into_iter().map(|(_, claimed)| success(world, claimed)).collect();
    assert_eq!(settle(world, owner, batch).await, [true; MANY / 2]);
    assert_eq!(world.detail(id).await.message.counts.pending, 0);
}

pub(crate) async fn unsettled_deliveries_of_a_lost_owner_are_claimed_once(world: &Fixture) {
    let lost = world.enlist().await;
    let targets = targets(world, 70);
    let owned = world.publish_owned(lost, NOON, &targets).await;
    let batch: Vec<_> = owned[..69].iter().step_by(2).map(|claimed| success(world, claimed)).collect();
    settle(world, lost, batch).await;
    world.store.retire(lost, NOON).await.expect("retired");

    let next = world.enlist().await;
    assert_eq!(settle(world, lost, vec![success(world, &owned[1])]).await, [false], "the former owner settles nothing");
    let claimed = world.claim(next, NOON + DAY).await;
    let found: BTreeSet<_> = claimed.iter().map(|one| one.route_id).collect();
    assert_eq!((found, claimed.len()), (targets.iter().skip(1).step_by(2).copied().collect(), 35));
    assert!(claimed.iter().all(|one| (one.attempts, one.trigger) == (0, Trigger::Initial)));
    let batch: Vec<_> = claimed.iter().map(|claimed| success(world, claimed)).collect();
    assert_eq!(settle(world, next, batch).await, [true; 35]);
    assert_eq!(world.claim(next, NOON + DAY).await.len(), 0);
}

pub(crate) async fn parallel_settlements_of_a_row_all_count(world: &Fixture) {
    let owner = world.enlist().await;
    let (targets, tasks) = (targets(world, 8), TaskTracker::new());
    for round in 0..20 {
        let owned = world.publish_owned(owner, NOON, &targets).await;
        let settling = owned.iter().map(|claimed| {
            let (store, batch) = (Arc::clone(&world.store), Arc::new(vec![success(world, claimed)]));
            tasks.spawn(async move { store.settle(owner, batch).await.expect("settled") })
        });
        for settled in settling.collect::<Vec<_>>() {
            assert_eq!(settled.await.expect("no panic"), [true], "round {round}");
        }
        assert_eq!(world.detail(owned[0].message.id).await.message.counts.pending, 0, "round {round}");
    }
}

pub(crate) async fn packed_delivery_keeps_its_payload_and_is_not_requeued(world: &Fixture) {
    let owner = world.enlist().await;
    let targets = targets(world, 2);
    let owned = world.publish_owned(owner, NOON, &targets).await;
    let message_id = owned[0].message.id;
    settle(world, owner, vec![success(world, &owned[0])]).await;
    let later = NOON + DAY * 3;
    assert_eq!(world.store.drop_days_before(later.day()).await.expect("dropped"), []);
    let (after, before) = (MessageId::before_all_at(Timestamp::EPOCH), MessageId::before_all_at(later));
    let removal = Removal { environment: world.tenant.environment, after, before, bytes: u64::MAX };
    world.store.remove_payloads(removal).await.expect("removed");
    assert!(world.detail(message_id).await.message.payload.is_some());

    let (tenant, origin_id) = (world.tenant, world.application.into());
    let redelivery = Redelivery { tenant, origin_id, message_id, routes: vec![targets[1]], trigger: Trigger::Manual, now: NOON };
    assert_eq!(world.store.redeliver(redelivery).await.expect("requeued"), Redelivered::Requeued(1));
    assert_eq!(world.claim(owner, NOON + Duration::from_secs(9)).await.len(), 0, "its attempt is imminent");
    assert_eq!(settle(world, owner, vec![success(world, &owned[1])]).await, [true]);
}

pub(crate) async fn message_may_have_packed_and_waiting_deliveries(world: &Fixture) {
    let owner = world.enlist().await;
    let targets = targets(world, 3);
    let own = |route_id| NewDelivery { route_id, state: NewState::Owned };
    let mut publication = world.publication(world.message(NOON, "{}"), vec![own(targets[0]), pending(targets[1]), own(targets[2])]);
    publication.owner = owner;
    let message = Arc::clone(&publication.message);
    assert_eq!(world.store.publish(publication).await.expect("published"), Published::Stored);
    let claimed = world.claim(owner, NOON).await;
    assert_eq!(claimed.iter().map(|one| one.route_id).collect::<Vec<_>>(), [targets[1]]);
    let owned = world.owned(owner, &message, &[targets[0], targets[2]]);
    let batch = vec![success(world, &owned[1]), success(world, &claimed[0]), success(world, &owned[0])];
    assert_eq!(settle(world, owner, batch).await, [true; 3]);
    assert_eq!(states(&world.detail(message.id).await.deliveries), ["succeeded"; 3]);
}

pub(crate) async fn single_owned_delivery_has_a_row_of_its_own(world: &Fixture) {
    let owner = world.enlist().await;
    let target = world.target();
    let mut owned = Vec::new();
    for _ in 0..3 {
        owned.extend(world.publish_owned(owner, NOON, &[target]).await);
    }
    assert!(owned.iter().all(|claimed| claimed.packed.is_none()));
    let retry = Next::Retry { wait: Wait::until(NOON + SECOND), failed: 1 };
    let batch = vec![success(world, &owned[0]), settled(&owned[1], Some(world.attempt(&owned[1], NOON)), retry)];
    assert_eq!(settle(world, owner, batch).await, [true, true]);
    assert_eq!(states(&world.detail(owned[0].message.id).await.deliveries), ["succeeded"]);
    world.store.retire(owner, NOON).await.expect("retired");
    let next = world.enlist().await;
    let found: BTreeSet<_> = world.claim(next, NOON + DAY).await.iter().map(|one| (one.message.id, one.attempts)).collect();
    assert_eq!(found, BTreeSet::from([(owned[1].message.id, 1), (owned[2].message.id, 0)]));
}
