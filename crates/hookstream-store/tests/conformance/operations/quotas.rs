//! Quotas of organizations, and their event counts.

use std::sync::Arc;

use hookstream_model::{
    base::{ids::OrganizationId, secret::Secret},
    identity::{environment::Environment, tenancy::Tenant},
    operations::quota::{Month, Quota, QuotaLimit, QuotaLimits, Quotas},
    outbound::{
        event_type::{EventType, EventTypeStatus},
        message::MessageStatus,
    },
};
use hookstream_store::{
    Error, PageRequest,
    delivery::{
        deliveries::{IdempotencyKey, Publication, Published},
        messages::MessageRemoval,
    },
    identity::{
        environments::{self, Deleted, Restored},
        organizations,
    },
    operations::{
        audit_log::{self, Filter, Reach},
        quotas::{self, DayEvents, Reached},
    },
    outbound::{
        applications::{self, Created},
        endpoints, event_types,
    },
};
use tokio::task::JoinSet;

use crate::support::{DAY, Fixture, NOON};

/// Stores quotas of an organization, and the events of a removed environment.
pub(crate) async fn fill(world: &Fixture) {
    set(world, &[(Quota::EventsPerMonth, QuotaLimit::Most(1 << 50)), (Quota::Applications, QuotaLimit::Unlimited)]).await;
    let gone = staging(world);
    let created = environments::create(&*world.store, &world.context(), &gone, world.tenant, None).await.expect("answered");
    assert_eq!(created, Created::Stored);
    let events = DayEvents { environment: gone.id, day: NOON.day(), events: 7 };
    environments::remove(&*world.store, gone.id, &[events]).await.expect("removed");
}

fn staging(world: &Fixture) -> Environment {
    Environment {
        id: world.new_id(NOON).into(),
        organization_id: world.tenant.organization,
        name: "Staging".to_owned(),
        slug: "staging".to_owned(),
        retention_days: None,
        payload_retention_days: None,
        max_payload_bytes: None,
        weight: None,
        portal_reveal_secrets: true,
        is_production: true,
        forward_trace_context: false,
        portal_frame_origins: vec![],
        portal_theme: None,
        portal_url: None,
        quotas: Quotas::default(),
        created_at: NOON,
        deleted_at: None,
    }
}

async fn set(world: &Fixture, given: &[(Quota, QuotaLimit)]) -> QuotaLimits {
    let change = |own: &mut QuotaLimits| -> Result<(), Error> {
        given.iter().for_each(|(quota, limit)| own.set(*quota, *limit).expect("allowed"));
        Ok(())
    };
    quotas::set(&*world.store, &world.context(), world.tenant.organization, change).await.expect("set").expect("the organization exists")
}

/// Returns the number of stored resources; checks that the others met this limit.
async fn stored(mut tasks: JoinSet<Created>, expected: Reached) -> usize {
    let mut stored = 0;
    while let Some(created) = tasks.join_next().await {
        match created.expect("no panic") {
            Created::Stored => stored += 1,
            Created::QuotaReached(reached) => assert_eq!(reached, expected),
            other => panic!("{other:?}"),
        }
    }
    stored
}

pub(crate) async fn quota_is_exact_under_concurrent_creation(world: &Fixture) {
    let db = &*world.store;
    // The installation's limit is 4, which is more than one quota allows and less than another.
    db.installation_quotas().set(Quota::ALL.into_iter().fold(Quotas::default(), |all, quota| all.with(quota, Some(4))));
    set(world, &[(Quota::EndpointsPerApplication, QuotaLimit::Most(2)), (Quota::EventTypes, QuotaLimit::Unlimited)]).await;

    let mut tasks = JoinSet::new();
    for number in 0..12 {
        let (store, context) = (Arc::clone(&world.store), world.context());
        let application = world.application(NOON, &format!("one-{number}"));
        tasks.spawn(async move { applications::create(&*store, &context, &application, None).await.expect("answered") });
    }
    // One application exists already.
    assert_eq!(stored(tasks, Reached { quota: Quota::Applications, most: 4 }).await, 3);

    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let (store, context, endpoint) = (Arc::clone(&world.store), world.context(), world.endpoint("https://example.com/"));
        tasks.spawn(
            async move { endpoints::create(&*store, &context, &endpoint, &Secret::new("one"), None, None).await.expect("answered") },
        );
    }
    assert_eq!(stored(tasks, Reached { quota: Quota::EndpointsPerApplication, most: 2 }).await, 2);

    let mut tasks = JoinSet::new();
    for number in 0..8 {
        let (store, context, event_type) = (Arc::clone(&world.store), world.context(), event_type(world, number));
        tasks.spawn(async move { event_types::create(&*store, &context, &event_type, None).await.expect("answered") });
    }
    assert_eq!(stored(tasks, Reached { quota: Quota::EventTypes, most: 0 }).await, 8);

    // A lower limit removes nothing, and a deletion makes room only below the limit.
    set(world, &[(Quota::Applications, QuotaLimit::Most(2)), (Quota::EventTypes, QuotaLimit::Default)]).await;
    let held = quotas::held(db, world.tenant.organization).await.expect("read");
    assert_eq!((held.applications, held.event_types, held.environments), (4, 8, 1));
    let page = applications::list(db, world.tenant, None, PageRequest { after: None, limit: 10 }).await.expect("read");
    assert!(applications::delete(db, &world.context(), world.tenant, page.items[0].id).await.expect("deleted"));
    let another = world.application(NOON, "another");
    let refused = applications::create(db, &world.context(), &another, None).await.expect("answered");
    assert_eq!(refused, Created::QuotaReached(Reached { quota: Quota::Applications, most: 2 }));
    let refused = event_types::create(db, &world.context(), &event_type(world, 9), None).await.expect("answered");
    assert_eq!(refused, Created::QuotaReached(Reached { quota: Quota::EventTypes, most: 4 }));
}

fn event_type(world: &Fixture, number: u32) -> EventType {
    EventType {
        id: world.new_id(NOON).into(),
        tenant: world.tenant,
        name: format!("thing.number-{number}"),
        description: None,
        json_schema: None,
        status: EventTypeStatus::Active,
        created_at: NOON,
        updated_at: NOON,
    }
}

pub(crate) async fn organization_quotas_are_stored_and_audited(world: &Fixture) {
    let (db, organization) = (&*world.store, world.tenant.organization);
    assert_eq!(quotas::find(db, organization).await.expect("read"), Some(QuotaLimits::default()));
    let own = set(world, &[(Quota::EventsPerMonth, QuotaLimit::Most(7)), (Quota::RetentionDays, QuotaLimit::Unlimited)]).await;
    assert_eq!(quotas::find(db, organization).await.expect("read"), Some(own));
    assert_eq!(quotas::find(db, world.stranger.organization).await.expect("read"), Some(QuotaLimits::default()));
    let environment = environments::find(db, organization, world.tenant.environment).await.expect("read").expect("exists");
    assert_eq!(environment.quotas, own.or(&Quotas::default()));
    // Setting the same quota again is no change.
    set(world, &[(Quota::EventsPerMonth, QuotaLimit::Most(7))]).await;
    set(world, &[(Quota::EventsPerMonth, QuotaLimit::Default), (Quota::RetentionDays, QuotaLimit::Default)]).await;
    let page = PageRequest { after: None, limit: 10 };
    let entries = audit_log::list(db, Reach::Organization(organization), &Filter::default(), page).await.expect("read").items;
    let entries: Vec<_> = entries.into_iter().filter(|entry| entry.action == "organization.set_quotas").collect();
    let changes: Vec<_> = entries.iter().map(|entry| (entry.before.as_deref(), entry.after.as_deref())).collect();
    let (none, some) = (r#"{"events_per_month":null,"retention_days":null}"#, r#"{"events_per_month":7,"retention_days":"none"}"#);
    assert_eq!(changes, [(Some(some), Some(none)), (Some(none), Some(some))]);
    let unknown = OrganizationId::from_bytes([9; 16]);
    assert_eq!(quotas::find(db, unknown).await.expect("read"), None);
    assert_eq!(quotas::set(db, &world.context(), unknown, |_| Ok::<_, Error>(())).await.expect("read"), None);
}

pub(crate) async fn environment_restore_respects_quotas(world: &Fixture) {
    let (db, organization) = (&*world.store, world.tenant.organization);
    let environment = staging(world);
    let staging = Tenant { organization, environment: environment.id };
    set(world, &[(Quota::Environments, QuotaLimit::Most(2))]).await;
    let create = async |environment: &Environment| environments::create(db, &world.context(), environment, world.tenant, None).await;
    assert_eq!(create(&environment).await.expect("answered"), Created::Stored);
    let third = Environment { id: world.new_id(NOON).into(), slug: "third".to_owned(), ..environment.clone() };
    let reached = |quota, most| Reached { quota, most };
    assert_eq!(create(&third).await.expect("answered"), Created::QuotaReached(reached(Quota::Environments, 2)));
    let mut application = world.application(NOON, "there");
    application.tenant = staging;
    assert_eq!(applications::create(db, &world.context(), &application, None).await.expect("answered"), Created::Stored);

    assert_eq!(environments::delete(db, &world.context(), staging).await.expect("answered"), Deleted::Done);
    assert_eq!(create(&third).await.expect("answered"), Created::Stored);
    let restore = async || environments::restore(db, &world.context(), staging).await.expect("answered");
    assert_eq!(restore().await, Restored::QuotaReached(reached(Quota::Environments, 2)));
    set(world, &[(Quota::Environments, QuotaLimit::Most(3)), (Quota::Applications, QuotaLimit::Most(1))]).await;
    assert_eq!(restore().await, Restored::QuotaReached(reached(Quota::Applications, 1)));
    assert!(environments::find(db, organization, staging.environment).await.expect("read").is_some_and(|it| it.deleted_at.is_some()));
    set(world, &[(Quota::Applications, QuotaLimit::Most(2))]).await;
    assert_eq!(restore().await, Restored::Done);
    assert_eq!(restore().await, Restored::NotFound);
}

pub(crate) async fn event_counts_survive_removals(world: &Fixture) {
    let (db, organization) = (&*world.store, world.tenant.organization);
    let month = Month::of(NOON);
    let events = async || {
        let one = quotas::events(db, month, Some(organization)).await.expect("counted").get(&organization).copied().unwrap_or(0);
        let all = quotas::events(db, month, None).await.expect("counted").get(&organization).copied().unwrap_or(0);
        assert_eq!(one, all);
        one
    };
    assert_eq!(events().await, 0);
    for days in [0, 1, 1, 2, 3] {
        world.publish(NOON - DAY * days, &[]).await;
    }
    // Messages of the previous month and messages that are no events do not count.
    world.publish(NOON - DAY * 25, &[]).await;
    let test = Publication { is_event: false, ..world.publication(world.message(NOON, "{}"), vec![]) };
    assert_eq!(db.publish(test).await.expect("published"), Published::Stored);
    assert_eq!(events().await, 5);
    let strangers = quotas::events(db, month, Some(world.stranger.organization)).await.expect("counted");
    assert_eq!(strangers.get(&world.stranger.organization), None);

    let (mut removed, mut after) = (0, None);
    loop {
        let removal = MessageRemoval { environment: world.tenant.environment, before: (NOON - DAY).day(), after };
        let slice = db.remove_messages(removal).await.expect("removed");
        removed += slice.messages;
        after = slice.position;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(removed, 3);
    assert_eq!(events().await, 5);
    assert_eq!(db.drop_days_before((NOON - DAY).day()).await.expect("dropped").len(), 3);
    assert_eq!(events().await, 5);

    // The events of a removed environment stay counted, and nothing is counted twice.
    let gone = db.events(month.first(), month.end(), vec![world.tenant.environment]).await.expect("counted");
    assert_eq!(gone.iter().map(|of_day| of_day.events).sum::<u64>(), 3);
    environments::empty(db, world.tenant.environment).await.expect("emptied");
    environments::remove(db, world.tenant.environment, &gone).await.expect("removed");
    assert_eq!(events().await, 5);
    db.drop_days_before(NOON.day()).await.expect("dropped");
    assert_eq!(events().await, 5);
    assert!(organizations::delete(db, &world.context(), organization).await.expect("deleted"));
    assert_eq!(organizations::remove_deleted(db, NOON + DAY).await.expect("removed"), [organization]);
    assert_eq!(events().await, 0);
}

pub(crate) async fn idempotency_key_is_found_without_storing(world: &Fixture) {
    let key = |byte| IdempotencyKey { key: "once".to_owned(), fingerprint: [byte; 32] };
    let find = async |tenant, byte, since| world.store.find_earlier(tenant, key(byte), since).await.expect("looked up");
    assert_eq!(find(world.tenant, 1, NOON - DAY).await, None);
    let mut publication = world.publication(world.message(NOON, "{}"), Vec::new());
    publication.idempotency = Some(key(1));
    let message_id = publication.message.id;
    assert_eq!(world.store.publish(publication).await.expect("published"), Published::Stored);
    let repeated = Published::Repeated { message_id, first_status: MessageStatus::Skipped };
    assert_eq!(find(world.tenant, 1, NOON - DAY).await, Some(repeated));
    assert_eq!(find(world.tenant, 2, NOON - DAY).await, Some(Published::KeyReused));
    assert_eq!(find(world.stranger, 1, NOON - DAY).await, None);
    assert_eq!(find(world.tenant, 1, NOON + DAY).await, None);
}
