//! Publishing of messages, and reading them back.

use std::collections::BTreeSet;

use hookstream_model::{
    base::ids::{ApplicationId, MessageId},
    delivery::state::{DeliveryState, SkipReason},
    outbound::message::{ContentType, DeliveryCounts, MessageStatus, Payload},
};
use hookstream_store::{
    PageRequest,
    delivery::deliveries::{ClaimLimits, IdempotencyKey, NewDelivery, NewState, Next, Publication, Published, Versions},
    outbound::{applications, endpoints},
};
use rand::{Rng, RngExt, SeedableRng, rngs::StdRng};

use crate::support::{DAY, Fixture, NOON, SECOND, pending, settled};

pub(crate) async fn published_message_reads_back_unchanged(world: &Fixture) {
    let (wanting, disabled) = (world.target(), world.target());
    let mut message = world.message(NOON, "{ \"b\" :1, \"a\": 12345678901234567890, \"a\":\"\\u00fc ü\" }");
    message.payload.content_type = ContentType::Text;
    let skipped = NewDelivery { route_id: disabled, state: NewState::Skipped(SkipReason::EndpointDisabled) };
    let mut publication = world.publication(message.clone(), vec![pending(wanting), skipped]);
    publication.event_id = Some("order-7".to_owned());
    assert_eq!(publication.first_status(), MessageStatus::Pending);
    assert_eq!(world.store.publish(publication).await.expect("published"), Published::Stored);

    let detail = world.detail(message.id).await;
    assert_eq!(detail.message.payload, Some(message.payload));
    assert_eq!(detail.message.event_type, "invoice.paid");
    assert_eq!(detail.message.event_id.as_deref(), Some("order-7"));
    assert_eq!(detail.message.updated_at, NOON);
    assert_eq!(detail.message.counts, DeliveryCounts { total: 2, pending: 1, exhausted: 0, skipped_or_cancelled: 1 });
    let states: Vec<_> = detail.deliveries.iter().map(|delivery| (delivery.route_id, delivery.state)).collect();
    assert_eq!(
        states,
        [(wanting, DeliveryState::Pending { due_at: NOON }), (disabled, DeliveryState::Skipped { reason: SkipReason::EndpointDisabled })]
    );
    assert_eq!(detail.attempts, []);
}

pub(crate) async fn long_payload_reads_back_unchanged(world: &Fixture) {
    let target = world.target();
    // Too short for compression, long enough, and incompressible.
    let line = "{ \"b\" :1, \"a\": 12345678901234567890, \"a\":\"\\u00fc ü\" }";
    let mut rng = StdRng::seed_from_u64(3);
    let noise: String = (0..4_000).map(|_| char::from(rng.random_range(b' '..b'~'))).collect();
    let bodies = [line.to_owned(), line.repeat(20), line.repeat(20_000), noise];
    let mut expected = Vec::new();
    for body in bodies {
        let mut message = world.message(NOON, "");
        message.payload = Payload { body: body.into(), content_type: ContentType::Text };
        expected.push((message.id, message.payload.clone()));
        assert_eq!(world.store.publish(world.publication(message, vec![pending(target)])).await.expect("published"), Published::Stored);
    }
    for (id, payload) in &expected {
        assert!(world.detail(*id).await.message.payload.as_ref() == Some(payload));
    }
    let request = PageRequest { after: None, limit: 10 };
    let listed = world.store.messages(world.tenant, world.application.into(), None, request).await.expect("a page").items;
    assert!(listed.into_iter().rev().map(|message| (message.id, message.payload.expect("exists"))).eq(expected.clone()));
    let owner = world.enlist().await;
    let claimed = world.claim(owner, NOON).await;
    assert!(claimed.iter().map(|claimed| (claimed.message.id, claimed.message.payload.clone())).eq(expected));
    // The limit of a claim counts decoded bytes, not stored ones.
    world.store.retire(owner, NOON).await.expect("retired");
    let owner = world.enlist().await;
    let limits = ClaimLimits { deliveries: 10, bytes: 4_000 };
    assert_eq!(world.store.claim_due(owner, NOON, limits).await.expect("claimed").deliveries.len(), 3);
}

async fn page(world: &Fixture, after: Option<MessageId>, limit: usize) -> (Vec<MessageId>, bool) {
    let page = world.store.messages(world.tenant, world.application.into(), None, PageRequest { after, limit }).await.expect("a page");
    (page.items.into_iter().map(|message| message.id).collect(), page.has_more)
}

pub(crate) async fn messages_are_listed_newest_first_over_all_days(world: &Fixture) {
    let mut expected = Vec::new();
    for day in 0..3 {
        for _ in 0..2 {
            expected.push(world.publish(NOON + DAY * day, &[]).await);
        }
    }
    expected.reverse();
    assert_eq!(page(world, None, 10).await, (expected.clone(), false));
    assert_eq!(page(world, None, 6).await, (expected.clone(), false));
    assert_eq!(page(world, None, 3).await, (expected[..3].to_vec(), true));
    assert_eq!(page(world, Some(expected[2]), 3).await, (expected[3..].to_vec(), false));
}

pub(crate) async fn pages_are_complete_while_messages_are_added(world: &Fixture) {
    for seed in 0..8 {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut at = NOON + SECOND * u32::try_from(seed).expect("small");
        let mut earlier = BTreeSet::new();
        for _ in 0..rng.random_range(0..30) {
            at = at + DAY / 20;
            earlier.insert(world.publish(at, &[]).await);
        }
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let (ids, has_more) = page(world, after, rng.random_range(1..8)).await;
            after = ids.last().copied().or(after);
            seen.extend(ids);
            for _ in 0..rng.next_u32() % 3 {
                at = at + SECOND;
                world.publish(at, &[]).await;
            }
            if !has_more {
                break;
            }
        }
        let unique: BTreeSet<_> = seen.iter().copied().collect();
        assert_eq!(unique.len(), seen.len(), "seed {seed}: a row was repeated");
        assert!(unique.is_superset(&earlier), "seed {seed}: a row was skipped");
    }
}

pub(crate) async fn messages_are_listed_by_event_type(world: &Fixture) {
    let mut other = world.message(NOON, "{}");
    other.event_type = "user.created".to_owned();
    let id = other.id;
    world.store.publish(world.publication(other, vec![])).await.expect("published");
    world.publish(NOON, &[]).await;
    let wanted = Some("user.created".to_owned());
    let found =
        world.store.messages(world.tenant, world.application.into(), wanted, PageRequest { after: None, limit: 5 }).await.expect("a page");
    assert_eq!(found.items.iter().map(|message| message.id).collect::<Vec<_>>(), [id]);
}

pub(crate) async fn concurrent_publications_are_all_stored(world: &Fixture) {
    let target = world.target();
    let publications: Vec<_> = (0..200).map(|_| world.publication(world.message(NOON, "{}"), vec![pending(target)])).collect();
    let mut expected: Vec<_> = publications.iter().map(|publication| publication.message.id).collect();
    let mut running = tokio::task::JoinSet::new();
    for publication in publications {
        let store = world.store.clone();
        running.spawn(async move { store.publish(publication).await.expect("published") });
    }
    assert!(running.join_all().await.into_iter().all(|published| published == Published::Stored));
    expected.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(page(world, None, 1_000).await, (expected, false));
    let owner = world.enlist().await;
    assert_eq!(world.claim(owner, NOON).await.len(), 200);
}

pub(crate) async fn other_tenant_sees_nothing(world: &Fixture) {
    let id = world.publish(NOON, &[world.target()]).await;
    assert_eq!(world.store.message(world.stranger, world.application.into(), id).await.expect("read"), None);
    let request = PageRequest { after: None, limit: 5 };
    let page = world.store.messages(world.stranger, world.application.into(), None, request).await.expect("read");
    assert_eq!(page.items, []);
    let elsewhere = world.new_id(NOON).into();
    assert_eq!(world.store.message(world.tenant, elsewhere, id).await.expect("read"), None);
}

fn key(text: &str, fingerprint: u8) -> Option<IdempotencyKey> {
    Some(IdempotencyKey { key: text.to_owned(), fingerprint: [fingerprint; 32] })
}

pub(crate) async fn idempotency_key_repeats_its_first_message(world: &Fixture) {
    // Just before midnight, so that the second request is on another day.
    let midnight = NOON.day().end();
    let publish = async |at, tenant, idempotency| {
        let mut publication = world.publication(world.message(at, "{}"), vec![pending(world.target())]);
        publication.idempotency = idempotency;
        publication.tenant = tenant;
        (publication.message.id, world.store.publish(publication).await.expect("a result"))
    };
    let (first, published) = publish(midnight - SECOND, world.tenant, key("k", 1)).await;
    assert_eq!(published, Published::Stored);
    let repeated = Published::Repeated { message_id: first, first_status: MessageStatus::Pending };
    assert_eq!(publish(midnight + SECOND, world.tenant, key("k", 1)).await.1, repeated);
    assert_eq!(publish(midnight + SECOND, world.tenant, key("k", 2)).await.1, Published::KeyReused);
    assert_eq!(publish(midnight + SECOND, world.tenant, key("other", 1)).await.1, Published::Stored);
    assert_eq!(publish(midnight + SECOND, world.stranger, key("k", 2)).await.1, Published::Stored);
    assert_eq!(page(world, None, 10).await.0.len(), 2, "neither repetition nor refusal left a message");
}

pub(crate) async fn idempotency_key_is_free_after_its_window(world: &Fixture) {
    let publish = async |at| {
        let mut publication = world.publication(world.message(at, "{}"), vec![]);
        publication.idempotency = key("k", 1);
        world.store.publish(publication).await.expect("a result")
    };
    assert_eq!(publish(NOON).await, Published::Stored);
    assert!(matches!(publish(NOON + DAY).await, Published::Repeated { first_status: MessageStatus::Skipped, .. }));
    assert_eq!(publish(NOON + DAY + SECOND).await, Published::Stored);
}

pub(crate) async fn event_id_is_unique_per_application_within_its_window(world: &Fixture) {
    let publish = async |at, application: ApplicationId| {
        let mut message = world.message(at, "{}");
        message.origin_id = application.into();
        let mut publication = world.publication(message, vec![]);
        publication.event_id = Some("order-7".to_owned());
        (publication.message.id, world.store.publish(publication).await.expect("a result"))
    };
    let (first, published) = publish(NOON, world.application).await;
    assert_eq!(published, Published::Stored);
    assert_eq!(publish(NOON + DAY, world.application).await.1, Published::DuplicateEventId { message_id: first });
    let other = world.application(NOON, "other");
    applications::create(&*world.store, &world.context(), &other, None).await.expect("stored");
    assert_eq!(publish(NOON + DAY, other.id).await.1, Published::Stored);
    assert_eq!(publish(NOON + DAY * 2, world.application).await.1, Published::Stored);
}

pub(crate) async fn messages_are_counted_per_application(world: &Fixture) {
    for day in 0..2 {
        for _ in 0..3 {
            world.publish(NOON + DAY * day, &[]).await;
        }
    }
    let counts = world.store.message_counts(vec![world.new_id(NOON).into(), world.application.into()]).await.expect("counts");
    assert_eq!(counts, [0, 6]);
}

pub(crate) async fn day_with_pending_deliveries_is_not_dropped(world: &Fixture) {
    let target = world.target();
    let owner = world.enlist().await;
    let settled_id = world.publish(NOON, &[target]).await;
    let claimed = world.claim(owner, NOON).await;
    assert!(world.settle(owner, settled(&claimed[0], None, Next::Succeeded)).await);
    let pending_id = world.publish(NOON + DAY, &[target]).await;
    let kept_id = world.publish(NOON + DAY * 2, &[]).await;

    let dropped = world.store.drop_days_before((NOON + DAY * 2).day()).await.expect("dropped");
    assert_eq!(dropped, [NOON.day()]);
    assert_eq!(page(world, None, 10).await.0, [kept_id, pending_id]);
    assert_eq!(world.store.message(world.tenant, world.application.into(), settled_id).await.expect("read"), None);

    let claimed = world.claim(owner, NOON + DAY).await;
    assert!(world.settle(owner, settled(&claimed[0], None, Next::Succeeded)).await);
    let dropped = world.store.drop_days_before((NOON + DAY * 2).day()).await.expect("dropped");
    assert_eq!(dropped, [(NOON + DAY).day()]);
    assert!(!world.settle(owner, settled(&claimed[0], None, Next::Succeeded)).await, "a deleted delivery cannot be settled");
}

pub(crate) async fn stale_version_is_not_stored(world: &Fixture) {
    let endpoint = world.endpoint("https://example.com/");
    let secret = hookstream_model::base::secret::Secret::new("one");
    endpoints::create(&*world.store, &world.context(), &endpoint, &secret, None, None).await.expect("stored");
    let stale = world.publication(world.message(NOON, "{}"), vec![]);
    let id = stale.message.id;
    assert_eq!(world.store.publish(stale).await.expect("a result"), Published::Stale);
    assert_eq!(world.store.message(world.tenant, world.application.into(), id).await.expect("read"), None);
    let seen = Versions { origin: Fixture::SEEN.origin + 1, ..Fixture::SEEN };
    let current = Publication { seen, ..world.publication(world.message(NOON, "{}"), vec![]) };
    assert_eq!(world.store.publish(current).await.expect("published"), Published::Stored);

    // The key of a stale publication is free.
    let key = IdempotencyKey { key: "k".to_owned(), fingerprint: [1; 32] };
    let stale = Publication { idempotency: Some(key.clone()), ..world.publication(world.message(NOON, "{}"), vec![]) };
    assert_eq!(world.store.publish(stale).await.expect("a result"), Published::Stale);
    let current = Publication { seen, idempotency: Some(key), ..world.publication(world.message(NOON, "{}"), vec![]) };
    assert_eq!(world.store.publish(current).await.expect("published"), Published::Stored);

    assert!(applications::delete(&*world.store, &world.context(), world.tenant, world.application).await.expect("written"));
    let gone = Publication { seen, ..world.publication(world.message(NOON, "{}"), vec![]) };
    assert_eq!(world.store.publish(gone).await.expect("a result"), Published::Stale);
}
