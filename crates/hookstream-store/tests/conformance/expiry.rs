//! Payloads that expire before their messages.

use hookstream_model::{
    base::{
        ids::{MessageId, RouteId},
        time::{Day, Timestamp},
    },
    delivery::state::{DeliveryState, ExhaustedReason, SkipReason, Trigger},
    identity::tenancy::Tenant,
    operations::job::{JobKind, JobRequest},
    outbound::message::{ContentType, Payload},
};
use hookstream_store::{
    PageRequest,
    delivery::{
        consistency::Finding,
        deliveries::{NewDelivery, NewState, Next, Publication, Published, Redelivered, Redelivery, Wait},
        messages::{MessageRemoval, RemovedMessages},
        payloads::{Expired, Removal, Removed},
    },
    operations::jobs::{self, JobSlice, Survey},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    conservation::{check_balances, check_conservation},
    jobs::job,
    support::{DAY, Fixture, NOON, SECOND, pending, settled},
};

/// Removes expired payloads slice by slice. Returns the days and the bytes of their payloads. Checks the counts after
/// each slice.
async fn expire(world: &Fixture, before: Timestamp) -> Vec<(Day, i64)> {
    let mut days: Vec<(Day, i64)> = Vec::new();
    while let Some(Expired { day, bytes, .. }) = world.store.expire_payloads(before.day()).await.expect("removed") {
        match days.last_mut().filter(|(last, _)| *last == day) {
            Some((_, sum)) => *sum += bytes,
            None => days.push((day, bytes)),
        }
        check_balances(world).await;
    }
    days
}

/// Publishes messages and delivers them.
async fn deliver(world: &Fixture, at: Timestamp, target: RouteId, bodies: Vec<String>) -> Vec<MessageId> {
    let owner = world.enlist().await;
    let mut ids = Vec::new();
    for body in bodies {
        let mut message = world.message(at, "");
        message.payload = Payload { body: body.into(), content_type: ContentType::Json };
        ids.push(message.id);
        assert_eq!(world.store.publish(world.publication(message, vec![pending(target)])).await.expect("published"), Published::Stored);
    }
    loop {
        let claimed = world.claim(owner, at).await;
        if claimed.is_empty() {
            return ids;
        }
        let delivered = |claimed| settled(claimed, Some(world.attempt(claimed, at)), Next::Succeeded);
        let batch = claimed.iter().map(delivered).collect::<Vec<_>>();
        assert!(world.store.settle(owner, batch.into()).await.expect("settled").into_iter().all(|counted| counted));
    }
}

fn redelivery(world: &Fixture, message_id: MessageId, target: RouteId, now: Timestamp) -> Redelivery {
    let (tenant, application_id) = (world.tenant, world.application);
    Redelivery { tenant, origin_id: application_id.into(), message_id, routes: vec![target], trigger: Trigger::Manual, now }
}

pub(crate) async fn expired_payloads_are_removed_and_messages_stay(world: &Fixture) {
    let target = world.target();
    // More than one slice, by number and by bytes.
    let mut rng = StdRng::seed_from_u64(1);
    let mut noise = |length| (0..length).map(|_| char::from(rng.random_range(b' '..b'~'))).collect::<String>();
    let mut bodies: Vec<_> = (0..300).map(|number| format!("{{\"number\":{number}}}")).collect();
    bodies.extend((0..8).map(|_| noise(150_000)));
    let old = deliver(world, NOON, target, bodies).await;
    let new = deliver(world, NOON + DAY, target, vec!["[1]".to_owned()]).await;
    let counted = world.store.delivery_counts(world.tenant).await.expect("read");
    assert!(counted[0].counts.payload_bytes > 1_200_000);

    assert_eq!(expire(world, NOON).await, [], "the day is not over yet");
    assert_eq!(expire(world, NOON + DAY).await, [(NOON.day(), counted[0].counts.payload_bytes)]);
    assert_eq!(world.store.expire_payloads((NOON + DAY).day()).await.expect("nothing"), None);
    for id in &old[298..303] {
        let detail = world.detail(*id).await;
        assert_eq!((detail.message.payload, detail.attempts.len(), detail.deliveries.len()), (None, 1, 1));
    }
    assert!(world.detail(new[0]).await.message.payload.is_some());
    let page = PageRequest { after: None, limit: 1_000 };
    let listed = world.store.messages(world.tenant, world.application.into(), None, page).await.expect("a page").items;
    assert_eq!(listed.iter().filter(|message| message.payload.is_none()).count(), old.len());
    assert_eq!(listed.len(), old.len() + 1);
    let after = world.store.delivery_counts(world.tenant).await.expect("read");
    assert_eq!((after[0].counts.payload_bytes, after[0].counts.messages, after[1]), (0, 308, counted[1]));
}

pub(crate) async fn day_with_pending_deliveries_keeps_its_payloads(world: &Fixture) {
    let target = world.target();
    let delivered = deliver(world, NOON, target, vec!["[1]".to_owned()]).await;
    deliver(world, NOON + DAY, target, vec!["[2]".to_owned()]).await;
    let pending_id = world.publish(NOON, &[target]).await;
    let (owner, later) = (world.enlist().await, NOON + DAY * 5);
    let claimed = world.claim(owner, NOON).await;
    let wait = Next::Retry { wait: Wait::until(later), failed: 1 };
    assert!(world.settle(owner, settled(&claimed[0], Some(world.attempt(&claimed[0], NOON)), wait)).await);
    // Payloads of the next day are removed all the same.
    assert_eq!(expire(world, NOON + DAY * 4).await, [((NOON + DAY).day(), 3)]);
    assert!(world.detail(delivered[0]).await.message.payload.is_some());
    let claimed = world.claim(owner, later).await;
    assert_eq!((claimed.len(), claimed[0].message.payload.as_text()), (1, "{}"));
    assert_eq!(expire(world, NOON + DAY * 4).await, [], "an attempt is under way");
    assert!(world.settle(owner, settled(&claimed[0], Some(world.attempt(&claimed[0], later)), Next::Succeeded)).await);
    assert_eq!(expire(world, NOON + DAY * 4).await, [(NOON.day(), 5)]);
    assert_eq!(world.detail(pending_id).await.message.payload, None);
}

pub(crate) async fn requeued_delivery_has_its_payload(world: &Fixture) {
    let target = world.target();
    let owner = world.enlist().await;
    for round in 0..5 {
        let at = NOON + DAY * round;
        let ids = deliver(world, at, target, (0..20).map(|number| format!("[{number}]")).collect()).await;
        let again = async || {
            let mut requeued = 0;
            for id in &ids {
                match world.store.redeliver(redelivery(world, *id, target, at)).await.expect("done") {
                    Redelivered::Requeued(targets) => requeued += targets,
                    Redelivered::PayloadExpired => {}
                    Redelivered::NotFound => panic!("the message exists"),
                }
            }
            requeued
        };
        let remove = async || {
            for _ in 0..round {
                tokio::task::yield_now().await;
            }
            world.store.expire_payloads((at + DAY).day()).await.expect("removed")
        };
        let remove_some = async || {
            let (environment, before) = (world.tenant.environment, MessageId::before_all_at(at + DAY));
            let mut after = MessageId::before_all_at(at - SECOND);
            loop {
                let removed = world.store.remove_payloads(Removal { environment, after, before, bytes: 9 }).await.expect("removed");
                let Some(position) = removed.position else { break };
                after = position;
            }
        };
        let requeued = if round % 2 == 0 { tokio::join!(again(), remove()).0 } else { tokio::join!(again(), remove_some()).0 };
        let audit = world.store.check_consistency().await.expect("read");
        assert!(!audit.findings.iter().any(|finding| matches!(finding, Finding::WithoutPayload(..))), "{audit:#?}");
        let claimed = world.claim(owner, at).await;
        assert_eq!(claimed.len(), requeued, "requeued deliveries can be claimed");
        for claimed in claimed {
            assert!(world.settle(owner, settled(&claimed, Some(world.attempt(&claimed, at)), Next::Succeeded)).await);
        }
        expire(world, at + DAY).await;
        let refused = world.store.redeliver(redelivery(world, ids[0], target, at)).await.expect("done");
        assert_eq!(refused, Redelivered::PayloadExpired);
        assert_eq!(world.claim(owner, at + SECOND).await.len(), 0);
    }
}

pub(crate) async fn job_skips_messages_without_payload(world: &Fixture) {
    let target = world.target();
    let expired = deliver(world, NOON, target, vec!["[1]".to_owned(), "[2]".to_owned()]).await;
    let kept = deliver(world, NOON + DAY, target, vec!["[3]".to_owned()]).await;
    let request = JobRequest {
        kind: JobKind::Replay,
        since: NOON - SECOND,
        until: None,
        statuses: None,
        event_types: None,
        rate_limit: None,
        max_messages: None,
    };
    let job = job(world, target, &request);
    let survey = async || world.store.survey(Survey::of(&job, 10)).await.expect("found");
    assert!(survey().await.iter().all(|candidate| candidate.has_payload));
    expire(world, NOON + DAY).await;
    let has_payload: Vec<_> = survey().await.iter().map(|candidate| candidate.has_payload).collect();
    assert_eq!(has_payload, [false, false, true]);
    let undelivered = Survey { only_undelivered: true, ..Survey::of(&job, 10) };
    assert_eq!(world.store.survey(undelivered).await.expect("found"), []);

    jobs::create(&*world.store, &world.context(), &job, None).await.expect("stored");
    let owner = world.enlist().await;
    for slice in [&expired, &kept] {
        let taken = world.store.take_jobs(owner, vec![], 10, NOON + DAY * 3).await.expect("taken").pop().expect("the job runs");
        let position = *slice.last().expect("some");
        let slice = JobSlice { job: taken, owner, messages: slice.clone(), position, now: NOON + DAY * 3 };
        world.store.advance_job(slice).await.expect("done").expect("the job is owned");
    }
    let done = jobs::find(&*world.store, world.tenant, job.id).await.expect("read").expect("exists");
    assert_eq!((done.progress.requeued, done.progress.skipped), (1, 2));
}

pub(crate) async fn expiry_releases_disk_space(world: &Fixture) {
    let target = world.target();
    let mut rng = StdRng::seed_from_u64(2);
    let mut noise = || (0..20_000).map(|_| char::from(rng.random_range(b' '..b'~'))).collect::<String>();
    deliver(world, NOON, target, (0..200).map(|_| noise()).collect()).await;
    let size = async || {
        let sizes = world.store.day_sizes().await.expect("measured");
        sizes.into_iter().find(|(day, _)| *day == NOON.day()).map(|(_, bytes)| bytes).expect("exists")
    };
    if size().await == 0 {
        // A store in memory uses no disk.
        return;
    }
    assert!(size().await > 4_000_000);
    expire(world, NOON + DAY).await;
    let after = size().await;
    assert!(after < 500_000, "{after} bytes remain");
}

pub(crate) async fn day_without_payloads_is_dropped_and_recreated(world: &Fixture) {
    let target = world.target();
    deliver(world, NOON, target, vec!["[1]".to_owned()]).await;
    expire(world, NOON + DAY).await;
    // The clock was set back: messages of that day are stored again.
    world.store.prepare_day(NOON.day()).await.expect("made");
    let late = deliver(world, NOON + SECOND, target, vec!["[2]".to_owned()]).await;
    assert!(world.detail(late[0]).await.message.payload.is_some());
    assert_eq!(expire(world, NOON + DAY).await, [(NOON.day(), 3)]);
    assert_eq!(world.store.drop_days_before((NOON + DAY).day()).await.expect("dropped"), [NOON.day()]);
    assert_eq!(world.store.expire_payloads((NOON + DAY).day()).await.expect("nothing"), None);
}

pub(crate) async fn payload_removal_takes_oldest_and_keeps_pending(world: &Fixture) {
    let target = world.target();
    let bytes = async || {
        let all = world.store.payload_bytes().await.expect("counted");
        let of = |tenant: Tenant| all.iter().find(|(environment, _)| *environment == tenant.environment).map_or(0, |(_, bytes)| *bytes);
        (of(world.tenant), of(world.stranger))
    };
    let body = |number: usize| format!("[{number:08}]");
    let old = deliver(world, NOON, target, (0..300).map(body).collect()).await;
    let strangers = world.publication(world.message(NOON, "[1]"), vec![]);
    let strangers = Publication { tenant: world.stranger, ..strangers };
    assert_eq!(world.store.publish(strangers).await.expect("published"), Published::Stored);
    let new = deliver(world, NOON + DAY, target, (0..10).map(body).collect()).await;
    let pending_id = world.publish(NOON, &[target]).await;
    assert_eq!(bytes().await, (3_102, 3));

    let start = MessageId::before_all_at(NOON - DAY);
    let remove = async |after, before, bytes| {
        let removal = Removal { environment: world.tenant.environment, after, before: MessageId::before_all_at(before), bytes };
        let removed = world.store.remove_payloads(removal).await.expect("removed");
        check_balances(world).await;
        removed
    };
    let has_payload = async |id| world.detail(id).await.message.payload.is_some();
    // Removes the requested bytes, oldest payloads first.
    assert_eq!(remove(start, NOON + DAY * 9, 25).await, Removed { bytes: 30, position: Some(old[2]) });
    assert!(!has_payload(old[2]).await && has_payload(old[3]).await);
    // A slice is bounded, and the next one continues behind it.
    let slice = remove(start, NOON + DAY * 9, u64::MAX).await;
    assert_eq!(slice, Removed { bytes: 2_560, position: Some(old[258]) });
    let rest = remove(old[258], NOON + DAY, u64::MAX).await;
    assert_eq!((rest.bytes, bytes().await), (410, (102, 3)));
    // Only the pending delivery's payload is left before that day; the next day's are removed then.
    assert_eq!(remove(start, NOON + DAY, u64::MAX).await, Removed { bytes: 0, position: None });
    assert!(has_payload(pending_id).await && has_payload(new[0]).await);
    assert_eq!(remove(start, NOON + DAY * 9, u64::MAX).await, Removed { bytes: 100, position: Some(new[9]) });
    assert_eq!(bytes().await, (2, 3));
    let owner = world.enlist().await;
    let claimed = world.claim(owner, NOON).await;
    assert_eq!(claimed.iter().map(|claimed| claimed.message.id).collect::<Vec<_>>(), [pending_id]);
    assert_eq!(remove(start, NOON + DAY * 9, u64::MAX).await.position, None, "an attempt is under way");
    assert!(world.settle(owner, settled(&claimed[0], Some(world.attempt(&claimed[0], NOON)), Next::Succeeded)).await);
    assert_eq!(remove(start, NOON + DAY * 9, u64::MAX).await.bytes, 2);
    assert_eq!(bytes().await, (0, 3));
}

pub(crate) async fn message_removal_deletes_all_related_rows(world: &Fixture) {
    let (target, dead) = (world.target(), world.target());
    let owner = world.enlist().await;
    let delivered = deliver(world, NOON, target, (0..70).map(|number| format!("[{number}]")).collect()).await;
    let skipped = NewDelivery { route_id: dead, state: NewState::Skipped(SkipReason::EndpointDisabled) };
    let publication = world.publication(world.message(NOON, "[\"skipped\"]"), vec![pending(target), skipped]);
    let mixed = publication.message.id;
    assert_eq!(world.store.publish(publication).await.expect("published"), Published::Stored);
    let given_up = Next::Ended(DeliveryState::Exhausted { reason: ExhaustedReason::ScheduleEnded }, NOON);
    for claimed in world.claim(owner, NOON).await {
        assert!(world.settle(owner, settled(&claimed, Some(world.attempt(&claimed, NOON)), given_up)).await);
    }
    let strangers = world.publication(world.message(NOON, "[1]"), vec![]);
    let strangers = Publication { tenant: world.stranger, ..strangers };
    assert_eq!(world.store.publish(strangers).await.expect("published"), Published::Stored);
    let new = deliver(world, NOON + DAY, dead, vec!["[2]".to_owned()]).await;
    let still_pending = world.publish(NOON, &[target]).await;
    let is_there = async |id| world.store.message(world.tenant, world.application.into(), id).await.expect("read").is_some();

    let environment = world.tenant.environment;
    let mut removal = MessageRemoval { environment, before: (NOON + DAY).day(), after: None };
    let (mut removed, mut slices) = (0, 0);
    loop {
        let slice = world.store.remove_messages(removal).await.expect("removed");
        check_conservation(world).await;
        (removed, slices) = (removed + slice.messages, slices + 1);
        if slice.position.is_none() {
            break;
        }
        removal.after = slice.position;
    }
    assert_eq!(removed, 71);
    assert!(slices >= 2);
    for id in [delivered[0], delivered[69], mixed] {
        assert!(!is_there(id).await);
    }
    assert!(is_there(still_pending).await && is_there(new[0]).await);
    let counts = check_conservation(world).await;
    assert_eq!((counts.messages, counts.accepted, counts.pending(), counts.succeeded, counts.payload_bytes), (2, 2, 1, 1, 5));
    assert_eq!(world.store.message_counts(vec![world.application.into()]).await.expect("counted"), [3], "one is the stranger's");
    let of_stranger = world.store.delivery_counts(world.stranger).await.expect("read");
    assert_eq!(of_stranger.iter().map(|day| day.counts.messages).collect::<Vec<_>>(), [1]);
    let again = MessageRemoval { after: None, ..removal };
    assert_eq!(world.store.remove_messages(again).await.expect("removed"), RemovedMessages { messages: 0, position: None });
    let kept = world.detail(still_pending).await.message;
    assert_eq!((kept.counts.pending, kept.payload.is_some()), (1, true));
}
