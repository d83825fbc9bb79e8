//! Backlogs: deliveries that wait for one target, separate from others and in order.

use std::collections::BTreeSet;

use hookstream_model::{
    base::{
        ids::{MessageId, RouteId},
        time::Timestamp,
    },
    delivery::{
        queue::{Backlog, Shards},
        state::Trigger,
    },
};
use hookstream_store::delivery::{
    cluster::{LeaseRenewal, NodeReport},
    deliveries::{BacklogRequest, Claimed, NewDelivery, NewState, Next, Owner, Redelivered, Redelivery, Wait},
};

use crate::support::{DAY, Fixture, NOON, SECOND, settled};

fn backlog_of(world: &Fixture, target: RouteId) -> Backlog {
    world.backlog(target)
}

/// Publishes a message that waits in its target's backlog.
async fn publish_in_backlog(world: &Fixture, at: Timestamp, target: RouteId) -> MessageId {
    let state = NewState::Waiting { backlog: Some(backlog_of(world, target)), in_order: false };
    let publication = world.publication(world.message(at, "{}"), vec![NewDelivery { route_id: target, state }]);
    let id = publication.message.id;
    world.store.publish(publication).await.expect("published");
    id
}

async fn take(world: &Fixture, owner: Owner, now: Timestamp, target: RouteId, deliveries: usize, in_order: bool) -> Vec<Claimed> {
    let want = BacklogRequest { backlog: backlog_of(world, target), deliveries, in_order };
    world.store.claim_backlogs(owner, now, vec![want], 1 << 20).await.expect("claimed")
}

fn ids(claimed: &[Claimed]) -> Vec<MessageId> {
    claimed.iter().map(|claimed| claimed.message.id).collect()
}

fn keeping_position(world: &Fixture, due_at: Timestamp, target: RouteId) -> Wait {
    Wait { due_at, backlog: Some(backlog_of(world, target)), keeps_position: true }
}

pub(crate) async fn backlog_delivery_is_claimed_from_its_backlog_only(world: &Fixture) {
    let owner = world.enlist().await;
    let (target, other) = (world.target(), world.target());
    let second = publish_in_backlog(world, NOON + SECOND, target).await;
    let first = publish_in_backlog(world, NOON, target).await;
    let next_day = publish_in_backlog(world, NOON + DAY, target).await;
    let others = publish_in_backlog(world, NOON, other).await;
    let now = NOON + DAY * 2;
    assert_eq!(world.claim(owner, now).await.len(), 0, "only a backlog claim takes from a backlog");
    assert_eq!(ids(&take(world, owner, now, target, 1, false).await), [first]);
    let rest = take(world, owner, now, target, 10, true).await;
    assert_eq!(ids(&rest), [second, next_day]);
    assert_eq!(rest[0].backlog, Some(backlog_of(world, target)));
    assert_eq!(ids(&take(world, owner, now, other, 10, false).await), [others]);
    assert_eq!(take(world, owner, now, target, 10, false).await.len(), 0);
}

pub(crate) async fn backlogs_are_listed_with_their_heads(world: &Fixture) {
    let owner = world.enlist().await;
    let targets = [world.target(), world.target(), world.target()];
    for (index, target) in targets.iter().enumerate() {
        publish_in_backlog(world, NOON + DAY * u32::try_from(index).expect("small"), *target).await;
        publish_in_backlog(world, NOON + DAY * 3, *target).await;
    }
    let heads = world.store.backlogs(Shards::ALL, None, 10).await.expect("read");
    let found: BTreeSet<_> = heads.iter().map(|head| (head.route_id, head.due_at, head.origin_id, head.backlog)).collect();
    let due = |index: u32| NOON + DAY * index;
    let expected = (0..3).zip(targets).map(|(index, target)| (target, due(index), world.application.into(), backlog_of(world, target)));
    assert_eq!(found, expected.collect());
    assert!(heads.is_sorted_by_key(|head| head.backlog));

    let some = world.store.backlogs(Shards::ALL, None, 2).await.expect("read");
    assert_eq!(some, heads[..2]);
    assert_eq!(world.store.backlogs(Shards::ALL, Some(some[1].backlog), 2).await.expect("read"), heads[2..]);
    let own_shards: Shards = [heads[0].backlog.shard()].into_iter().collect();
    assert_eq!(world.store.backlogs(own_shards, None, 10).await.expect("read").len(), 3, "an application's backlogs are in one shard");
    assert_eq!(world.store.backlogs(Shards::ALL.without(own_shards), None, 10).await.expect("read"), []);

    let backlogs: Vec<_> = targets.into_iter().map(|target| backlog_of(world, target)).collect();
    assert_eq!(world.store.backlog_lengths(backlogs.clone(), 10).await.expect("counted"), [2, 2, 2]);
    assert_eq!(world.store.backlog_lengths(backlogs.clone(), 1).await.expect("counted"), [1, 1, 1]);
    let empty = backlog_of(world, world.target());
    assert_eq!(world.store.backlog_lengths(vec![empty, backlogs[0]], 10).await.expect("counted"), [0, 2]);

    for claimed in take(world, owner, NOON + DAY * 9, targets[0], 10, true).await {
        assert!(world.settle(owner, settled(&claimed, None, Next::Succeeded)).await);
    }
    assert_eq!(world.store.backlogs(Shards::ALL, None, 10).await.expect("read").len(), 2);
}

pub(crate) async fn delivery_that_keeps_its_position_blocks_later_ones(world: &Fixture) {
    let owner = world.enlist().await;
    let target = world.target();
    let first = publish_in_backlog(world, NOON, target).await;
    let second = publish_in_backlog(world, NOON + DAY, target).await;
    let claimed = take(world, owner, NOON + DAY, target, 1, true).await;
    let retry_at = NOON + DAY * 3;
    let next = Next::Retry { wait: keeping_position(world, retry_at, target), failed: 1 };
    let attempt = world.attempt(&claimed[0], NOON + DAY);
    assert!(world.settle(owner, settled(&claimed[0], Some(attempt), next)).await);

    let heads = world.store.backlogs(Shards::ALL, None, 10).await.expect("read");
    assert_eq!((heads.len(), heads[0].due_at), (1, retry_at));
    assert_eq!(ids(&take(world, owner, retry_at - SECOND, target, 10, true).await), []);
    // Without an order, due deliveries can be claimed.
    assert_eq!(ids(&take(world, owner, retry_at - SECOND, target, 10, false).await), [second]);
    let again = take(world, owner, retry_at, target, 10, true).await;
    assert_eq!(ids(&again), [first]);
    assert_eq!((again[0].attempts, again[0].failed, again[0].trigger), (1, 1, Trigger::Automatic));
}

pub(crate) async fn returned_delivery_regains_its_position(world: &Fixture) {
    let owner = world.enlist().await;
    let target = world.target();
    let order = [publish_in_backlog(world, NOON, target).await, publish_in_backlog(world, NOON + SECOND, target).await];
    let claimed = take(world, owner, NOON + DAY, target, 10, true).await;
    for claimed in claimed.iter().rev() {
        let next = Next::Postponed { wait: keeping_position(world, NOON, target) };
        assert!(world.settle(owner, settled(claimed, None, next)).await);
    }
    assert_eq!(ids(&take(world, owner, NOON + DAY, target, 10, true).await), order);
    // The deliveries of a retired owner stay in their backlog.
    world.store.retire(owner, NOON + DAY).await.expect("retired");
    let next = world.enlist().await;
    assert_eq!(world.claim(next, NOON + DAY * 2).await.len(), 0);
    assert_eq!(ids(&take(world, next, NOON + DAY * 2, target, 10, true).await), order);
}

pub(crate) async fn manual_retry_keeps_the_order(world: &Fixture) {
    let owner = world.enlist().await;
    let target = world.target();
    let order = [publish_in_backlog(world, NOON, target).await, publish_in_backlog(world, NOON + SECOND, target).await];
    let claimed = take(world, owner, NOON + SECOND, target, 1, true).await;
    let next = Next::Retry { wait: keeping_position(world, NOON + DAY * 3, target), failed: 1 };
    assert!(world.settle(owner, settled(&claimed[0], None, next)).await);
    assert_eq!(take(world, owner, NOON + DAY, target, 10, true).await.len(), 0);
    let again = Redelivery {
        tenant: world.tenant,
        origin_id: world.application.into(),
        message_id: order[0],
        routes: vec![target],
        trigger: Trigger::Manual,
        now: NOON + DAY,
    };
    assert_eq!(world.store.redeliver(again).await.expect("done"), Redelivered::Requeued(1));
    assert_eq!(ids(&take(world, owner, NOON + DAY, target, 10, true).await), order);
}

pub(crate) async fn retry_in_unordered_backlog_waits_for_its_due_time(world: &Fixture) {
    let owner = world.enlist().await;
    let target = world.target();
    let first = publish_in_backlog(world, NOON, target).await;
    let second = publish_in_backlog(world, NOON + SECOND, target).await;
    let claimed = take(world, owner, NOON + SECOND, target, 1, false).await;
    assert_eq!(ids(&claimed), [first]);
    let wait = Wait { due_at: NOON + DAY, backlog: Some(backlog_of(world, target)), keeps_position: false };
    assert!(world.settle(owner, settled(&claimed[0], None, Next::Retry { wait, failed: 1 })).await);
    assert_eq!(ids(&take(world, owner, NOON + DAY - SECOND, target, 10, false).await), [second]);
    assert_eq!(ids(&take(world, owner, NOON + DAY, target, 10, false).await), [first]);
}

pub(crate) async fn backlog_claim_is_bounded_in_bytes(world: &Fixture) {
    let owner = world.enlist().await;
    let targets = [world.target(), world.target()];
    for target in targets {
        for _ in 0..3 {
            publish_in_backlog(world, NOON, target).await;
        }
    }
    let want = |target| BacklogRequest { backlog: backlog_of(world, target), deliveries: 3, in_order: true };
    let wants: Vec<_> = targets.into_iter().map(want).collect();
    let mut taken = Vec::new();
    loop {
        // Each payload has two bytes.
        let claimed = world.store.claim_backlogs(owner, NOON, wants.clone(), 3).await.expect("claimed");
        if claimed.is_empty() {
            break;
        }
        assert!(claimed.len() <= 2);
        taken.extend(claimed.into_iter().map(|claimed| (claimed.route_id, claimed.message.id)));
    }
    assert_eq!(taken.len(), 6);
    assert!(taken.is_sorted_by_key(|(target, id)| (*target != targets[0], *id)), "each backlog in order");
}

/// Returns a node's shards after a renewal, and the number of surplus ones.
async fn renew(world: &Fixture, owner: Owner) -> (Shards, u32) {
    match world.store.renew(owner, NodeReport::default(), NOON).await.expect("renewed") {
        LeaseRenewal::Held { shards, surplus, .. } => (shards, surplus),
        LeaseRenewal::Expired => panic!("the lease is valid"),
    }
}

pub(crate) async fn shards_are_exclusive_and_shared_between_nodes(world: &Fixture) {
    let first = world.enlist().await;
    assert_eq!(renew(world, first).await, (Shards::ALL, 0));
    if world.store.lease().is_none() {
        return;
    }
    let second = world.enlist().await;
    assert_eq!(renew(world, second).await, (Shards::NONE, 0), "shards of another node are not taken");
    let (all, surplus) = renew(world, first).await;
    assert_eq!((all, surplus), (Shards::ALL, 32));
    let released: Shards = all.iter().take(32).collect();
    world.store.release_shards(second, released).await.expect("nothing done");
    assert_eq!(renew(world, second).await.0, Shards::NONE, "a node cannot release another node's shards");
    world.store.release_shards(first, released).await.expect("released");
    assert_eq!(renew(world, second).await, (released, 0));
    assert_eq!(renew(world, first).await, (all.without(released), 0));
    // Under a new number a node keeps its shards.
    let node =
        hookstream_store::delivery::cluster::NodeSelf { name: "world".to_owned(), role: "all", version: "0", replaces: Some(second) };
    let renewed = world.store.enlist(&node, NOON).await.expect("enlisted");
    assert_eq!(renew(world, renewed).await, (released, 0));
    assert_eq!(renew(world, second).await, (Shards::NONE, 0));
    world.store.retire(first, NOON).await.expect("retired");
    assert_eq!(renew(world, renewed).await, (Shards::ALL, 0));
}

pub(crate) async fn positions_follow_the_order_of_storing(world: &Fixture) {
    world.enlist().await;
    let target = world.target();
    let store = async |at: u32| {
        let state = NewState::Waiting { backlog: Some(backlog_of(world, target)), in_order: true };
        let publication = world.publication(world.message(NOON + SECOND * at, "{}"), vec![NewDelivery { route_id: target, state }]);
        let id = publication.message.id;
        world.store.publish(publication).await.expect("published");
        id
    };
    // Positions do not depend on clocks, which may be set back and differ between processes.
    let mut stored = vec![store(3).await, store(1).await, store(2).await];
    let owner = world.enlist().await;
    stored.push(store(0).await);
    let heads = world.store.backlogs(Shards::ALL, None, 10).await.expect("read");
    assert_eq!((heads.len(), heads[0].retry_at), (1, None), "due, whatever its position");
    // A manual requeue keeps the position.
    let key = (world.tenant, world.application, stored[1]);
    let redelivery = Redelivery {
        tenant: key.0,
        origin_id: key.1.into(),
        message_id: key.2,
        routes: vec![target],
        trigger: Trigger::Manual,
        now: NOON - DAY,
    };
    assert_eq!(world.store.redeliver(redelivery).await.expect("done"), Redelivered::Requeued(1));
    // The clock is far behind.
    let now = NOON - DAY;
    assert_eq!(ids(&take(world, owner, now, target, 2, true).await), stored[..2]);
    let rest = take(world, owner, now, target, 10, true).await;
    assert_eq!(ids(&rest), stored[2..]);
    // A delivery returned for an immediate attempt is due by every clock, and the one behind it waits for a retry.
    let back = Wait { due_at: Timestamp::EPOCH, ..keeping_position(world, now, target) };
    assert!(world.settle(owner, settled(&rest[0], None, Next::Postponed { wait: back })).await);
    let retry = Next::Retry { wait: keeping_position(world, now + SECOND, target), failed: 1 };
    assert!(world.settle(owner, settled(&rest[1], Some(world.attempt(&rest[1], now)), retry)).await);
    assert_eq!(ids(&take(world, owner, now, target, 10, true).await), stored[2..3]);
    assert_eq!(ids(&take(world, owner, now + SECOND, target, 10, true).await), stored[3..]);
}

pub(crate) async fn orphaned_delivery_blocks_ordered_claims(world: &Fixture) {
    if world.store.lease().is_none() {
        // No other node exists.
        return;
    }
    let (first, second) = (world.enlist().await, world.enlist().await);
    let target = world.target();
    let order = [publish_in_backlog(world, NOON, target).await, publish_in_backlog(world, NOON + SECOND, target).await];
    world.store.retire(first, NOON).await.expect("retired");
    // A claim that began before the retirement and commits after it.
    assert_eq!(ids(&take(world, first, NOON + DAY, target, 1, false).await), order[..1]);
    assert_eq!(ids(&take(world, second, NOON + DAY, target, 10, true).await), []);
    renew(world, second).await;
    assert_eq!(ids(&take(world, second, NOON + DAY, target, 10, true).await), order);
}
