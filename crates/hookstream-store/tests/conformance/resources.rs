//! Plain resources: applications, endpoints, event types, keys, settings.

use std::collections::BTreeMap;

use hookstream_model::{
    base::secret::Secret,
    delivery::{
        hold::{Hold, HoldReason},
        ordering::{OnFailure, Ordering},
        retry::RetrySchedule,
        state::DisabledReason,
    },
    identity::{
        environment::Environment,
        tenancy::{ApiKey, ApiKeyText, KeyHash, KeyMode, Tenant},
    },
    outbound::{
        endpoint::{Endpoint, EndpointStatus},
        event_type::{EventType, EventTypeStatus},
    },
};
use hookstream_store::{
    Error, PageRequest,
    db::settings,
    delivery::deliveries::IdempotencyKey,
    identity::{
        api_keys,
        environments::{self, Changed},
        organizations,
    },
    outbound::{
        applications::{self, Created},
        endpoints::{self, EndpointFilter, EndpointKey, Rotated, Rotation},
        event_types,
        idempotency::{self, NewResponse},
    },
};

use crate::support::{DAY, Fixture, NOON, SECOND};

pub(crate) async fn application_is_stored_found_changed_and_deleted(world: &Fixture) {
    let db = &*world.store;
    let application = world.application(NOON, "acme");
    assert_eq!(applications::create(db, &world.context(), &application, None).await.expect("stored"), Created::Stored);
    let find = async |tenant| applications::find(db, tenant, application.id).await.expect("read");
    assert_eq!(find(world.tenant).await.as_ref(), Some(&application));
    assert_eq!(find(world.stranger).await, None);
    assert_eq!(applications::find_by_uid(db, world.tenant, "acme").await.expect("read").as_ref(), Some(&application));
    assert_eq!(applications::find_by_uid(db, world.stranger, "acme").await.expect("read"), None);

    let rename = async |tenant| {
        let change = |application: &mut hookstream_model::outbound::application::Application| -> Result<(), Error> {
            application.name = "Acme & Söhne".to_owned();
            application.metadata = None;
            Ok(())
        };
        applications::update(db, &world.context(), tenant, application.id, change).await.expect("written").done()
    };
    assert_eq!(rename(world.stranger).await, None);
    let changed = rename(world.tenant).await.expect("exists");
    assert_eq!((changed.name.as_str(), changed.metadata.as_deref()), ("Acme & Söhne", None));
    assert_eq!(find(world.tenant).await, Some(changed));

    assert!(!applications::delete(db, &world.context(), world.stranger, application.id).await.expect("written"));
    assert!(applications::delete(db, &world.context(), world.tenant, application.id).await.expect("written"));
    assert!(!applications::delete(db, &world.context(), world.tenant, application.id).await.expect("written"));
    assert_eq!(find(world.tenant).await, None);
}

pub(crate) async fn application_uid_is_unique_per_environment(world: &Fixture) {
    let create = async |tenant| {
        let mut application = world.application(NOON, "acme");
        application.tenant = tenant;
        applications::create(&*world.store, &world.context(), &application, None).await.expect("a result")
    };
    assert_eq!(create(world.tenant).await, Created::Stored);
    assert_eq!(create(world.tenant).await, Created::NameTaken);
    assert_eq!(create(world.stranger).await, Created::Stored);
    let (db, nameless) =
        (&*world.store, |at| hookstream_model::outbound::application::Application { uid: None, ..world.application(at, "") });
    for _ in 0..2 {
        assert_eq!(applications::create(db, &world.context(), &nameless(NOON), None).await.expect("a result"), Created::Stored);
    }
    let other = nameless(NOON);
    applications::create(db, &world.context(), &other, None).await.expect("stored");
    let take = |application: &mut hookstream_model::outbound::application::Application| -> Result<(), Error> {
        application.uid = Some("acme".to_owned());
        Ok(())
    };
    let changed = applications::update(db, &world.context(), world.tenant, other.id, take).await.expect("a result");
    assert_eq!(changed, applications::Changed::UidTaken);
}

pub(crate) async fn applications_are_searched_by_name_and_uid(world: &Fixture) {
    for uid in ["alpha", "Beta_1", "gamma%", "delta\\x"] {
        applications::create(&*world.store, &world.context(), &world.application(NOON, uid), None).await.expect("stored");
    }
    let check = async |search: &str, expected: &[&str]| {
        let request = PageRequest { after: None, limit: 10 };
        let page = applications::list(&*world.store, world.tenant, Some(search), request).await.expect("read");
        let found: Vec<_> = page.items.iter().map(|application| application.uid.as_deref().unwrap_or_default()).collect();
        assert_eq!(found, expected, "{search}");
    };
    check("ALPHA", &["alpha"]).await;
    check("the beta", &["Beta_1"]).await;
    check("_", &["Beta_1"]).await;
    check("%", &["gamma%"]).await;
    check("\\", &["delta\\x"]).await;
    // Letters beyond ASCII, on each database and in any locale.
    for (name, uid) in [("ÄRGER GmbH", "e1"), ("Łódź Ñandú ΟΔΟΣ", "e2")] {
        let application = hookstream_model::outbound::application::Application { name: name.to_owned(), ..world.application(NOON, uid) };
        applications::create(&*world.store, &world.context(), &application, None).await.expect("stored");
    }
    for needle in ["ÄRGER", "ärger", "Ärger gmbH"] {
        check(needle, &["e1"]).await;
    }
    for needle in ["łódź", "ŁÓDŹ", "ñANDÚ", "οδο", "ΟΔΟΣ"] {
        check(needle, &["e2"]).await;
    }
    let renamed = applications::list(&*world.store, world.tenant, Some("e1"), PageRequest { after: None, limit: 1 }).await.expect("read");
    let rename = |application: &mut hookstream_model::outbound::application::Application| -> Result<(), Error> {
        application.name = "ÖLWECHSEL".to_owned();
        Ok(())
    };
    applications::update(&*world.store, &world.context(), world.tenant, renamed.items[0].id, rename).await.expect("changed");
    check("ölw", &["e1"]).await;
    check("ärger", &[]).await;
    check("company", &["delta\\x", "gamma%", "Beta_1", "alpha"]).await;
    check("nobody", &[]).await;
}

pub(crate) async fn pages_of_applications_are_complete_while_more_are_added(world: &Fixture) {
    let mut there_before = Vec::new();
    for number in 0..25 {
        let application = world.application(NOON, &format!("a{number}"));
        applications::create(&*world.store, &world.context(), &application, None).await.expect("stored");
        there_before.push(application.id);
    }
    let mut seen = Vec::new();
    let mut after = None;
    for round in 0.. {
        let page = applications::list(&*world.store, world.tenant, None, PageRequest { after, limit: 4 }).await.expect("read");
        seen.extend(page.items.iter().map(|application| application.id));
        after = seen.last().copied();
        let newcomer = world.application(NOON + SECOND, &format!("b{round}"));
        applications::create(&*world.store, &world.context(), &newcomer, None).await.expect("stored");
        if !page.has_more {
            break;
        }
    }
    there_before.reverse();
    seen.retain(|id| *id != world.application);
    assert_eq!(seen, there_before);
}

pub(crate) async fn pages_of_endpoints_and_event_types_are_complete_while_more_are_added(world: &Fixture) {
    let db = &*world.store;
    let add = async |at, number: usize| {
        let endpoint = Endpoint { id: world.new_id(at).into(), ..world.endpoint("https://example.com/") };
        endpoints::create(db, &world.context(), &endpoint, &Secret::new("one"), None, None).await.expect("stored");
        let event_type = EventType { id: world.new_id(at).into(), name: format!("type.{number}"), ..event_type(world) };
        assert_eq!(event_types::create(db, &world.context(), &event_type, None).await.expect("stored"), Created::Stored);
        (endpoint.id, event_type.id)
    };
    let (mut endpoints_before, mut types_before) = (Vec::new(), Vec::new());
    for number in 0..13 {
        let (endpoint, event_type) = add(NOON, number).await;
        endpoints_before.push(endpoint);
        types_before.push(event_type);
    }
    let (mut seen_endpoints, mut seen_types) = (Vec::new(), Vec::new());
    for round in 0..5 {
        let page = PageRequest { after: seen_endpoints.last().copied(), limit: 3 };
        let page = endpoints::list(db, world.tenant, world.application, page).await.expect("read");
        seen_endpoints.extend(page.items.iter().map(|(endpoint, _)| endpoint.id));
        let types = PageRequest { after: seen_types.last().copied(), limit: 3 };
        let types = event_types::list(db, world.tenant, types).await.expect("read");
        seen_types.extend(types.items.iter().map(|event_type| event_type.id));
        assert_eq!([page.has_more, types.has_more], [round < 4; 2]);
        add(NOON + SECOND, 100 + round).await;
    }
    endpoints_before.reverse();
    types_before.reverse();
    assert_eq!((seen_endpoints, seen_types), (endpoints_before, types_before));
}

pub(crate) async fn response_is_stored_with_its_change(world: &Fixture) {
    let db = &*world.store;
    let answer = |at| NewResponse {
        key: IdempotencyKey { key: "k".to_owned(), fingerprint: [3; 32] },
        status: 201,
        body: "{}".to_owned(),
        created_at: at,
        window_start: at - DAY,
    };
    let first = world.application(NOON, "first");
    assert_eq!(applications::create(db, &world.context(), &first, Some(answer(NOON))).await.expect("a result"), Created::Stored);
    let second = world.application(NOON, "second");
    assert_eq!(
        applications::create(db, &world.context(), &second, Some(answer(NOON + SECOND))).await.expect("a result"),
        Created::KeyTaken
    );
    assert_eq!(applications::find(db, world.tenant, second.id).await.expect("read"), None, "nothing was stored");

    let find = async |tenant, since| idempotency::find(db, tenant, "k", since).await.expect("read");
    let kept = find(world.tenant, NOON).await.expect("kept");
    assert_eq!((kept.fingerprint, kept.status, kept.body.as_str()), ([3; 32], 201, "{}"));
    assert_eq!(find(world.stranger, NOON).await, None);
    assert_eq!(find(world.tenant, NOON + SECOND).await, None);
    assert_eq!(
        applications::create(db, &world.context(), &second, Some(answer(NOON + DAY + SECOND))).await.expect("a result"),
        Created::Stored
    );

    // If the name is taken, the response is not stored either.
    let mut other_key = answer(NOON);
    other_key.key.key = "l".to_owned();
    assert_eq!(applications::create(db, &world.context(), &first, Some(other_key)).await.expect("a result"), Created::NameTaken);
    assert_eq!(idempotency::find(db, world.tenant, "l", NOON).await.expect("read"), None);
}

pub(crate) async fn concurrent_changes_are_both_kept(world: &Fixture) {
    let application = world.application(NOON, "acme");
    applications::create(&*world.store, &world.context(), &application, None).await.expect("stored");
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let (store, context, tenant, id) = (world.store.clone(), world.context(), world.tenant, application.id);
        running.spawn(async move {
            let add = |application: &mut hookstream_model::outbound::application::Application| -> Result<(), Error> {
                application.rate_limit = Some(application.rate_limit.unwrap_or(0) + 1);
                Ok(())
            };
            applications::update(&*store, &context, tenant, id, add).await.expect("written").done()
        });
    }
    running.join_all().await;
    let found = applications::find(&*world.store, world.tenant, application.id).await.expect("read").expect("exists");
    assert_eq!(found.rate_limit, Some(20));
}

pub(crate) async fn endpoints_of_an_environment_are_listed_with_filters(world: &Fixture) {
    let db = &*world.store;
    let other = world.application(NOON, "other");
    applications::create(db, &world.context(), &other, None).await.expect("stored");
    let plain = |application_id| Endpoint { application_id, ..world.endpoint("https://example.com/hooks") };
    let (healthy, first) = (plain(world.application), plain(other.id));
    let failing = Endpoint { failing_since: Some(NOON), ..first };
    let held = Endpoint { hold: Some(Hold::new(HoldReason::Failing, NOON, NOON + DAY)), ..plain(world.application) };
    let asked = Endpoint { hold: Some(Hold::new(HoldReason::RetryAfter, NOON, NOON + DAY)), ..plain(world.application) };
    let disabled = Endpoint {
        status: EndpointStatus::Disabled,
        disabled_reason: Some(DisabledReason::Gone),
        disabled_at: Some(NOON),
        ..plain(world.application)
    };
    let expired = Endpoint { expires_at: Some(NOON), ..plain(other.id) };
    let all = [&healthy, &failing, &held, &asked, &disabled, &expired];
    for endpoint in all {
        endpoints::create(db, &world.context(), endpoint, &Secret::new("whsec_one"), None, None).await.expect("stored");
    }
    let check = async |status, is_failing, expected: &[&Endpoint]| {
        let filter = EndpointFilter { status, is_failing };
        let list =
            async |after, limit| endpoints::list_all(db, world.tenant, filter, NOON, PageRequest { after, limit }).await.expect("listed");
        let found: Vec<_> = list(None, 100).await.items.into_iter().map(|(endpoint, _)| endpoint.id).collect();
        let mut ids: Vec<_> = expected.iter().map(|endpoint| endpoint.id).collect();
        ids.sort_by_key(|id| std::cmp::Reverse(*id));
        assert_eq!(found, ids, "{filter:?}");
        if let [first, second, ..] = ids[..] {
            let page = list(Some(first), 1).await;
            assert_eq!(page.items.first().map(|(endpoint, _)| endpoint.id), Some(second), "{filter:?}");
        }
    };
    check(None, false, &all).await;
    check(Some("active"), false, &[&healthy, &failing, &held, &asked]).await;
    check(Some("disabled"), false, &[&disabled]).await;
    check(Some("expired"), false, &[&expired]).await;
    check(None, true, &[&failing, &held, &disabled]).await;
    check(Some("active"), true, &[&failing, &held]).await;
    assert_eq!(endpoints::count(db, world.tenant).await.expect("counted"), 6);
    let found = endpoints::find_in_environment(db, world.tenant, failing.id).await.expect("read");
    assert_eq!(found.as_ref(), Some(&failing));
    assert_eq!(endpoints::find_in_environment(db, world.stranger, failing.id).await.expect("read"), None);
    let filter = EndpointFilter::default();
    let of_stranger = endpoints::list_all(db, world.stranger, filter, NOON, PageRequest { after: None, limit: 9 }).await.expect("listed");
    assert!(of_stranger.items.is_empty());
}

pub(crate) async fn endpoint_keeps_all_fields(world: &Fixture) {
    let db = &*world.store;
    let mut endpoint = world.endpoint("https://example.com/hooks");
    endpoint.description = Some("for invoices".to_owned());
    endpoint.filter_types = Some(vec!["invoice.paid".to_owned()]);
    endpoint.uid = Some("main".to_owned());
    endpoint.metadata = Some(r#"{"team":"billing"}"#.to_owned());
    endpoint.channels = Some(vec!["a".to_owned()]);
    endpoint.rate_limit_per_second = Some(0);
    endpoint.expires_at = Some(NOON + DAY);
    endpoint.headers = Some(BTreeMap::from([("Authorization".to_owned(), "Bearer x".to_owned())]));
    endpoint.retry_schedule = Some(RetrySchedule::from_seconds(vec![1, 2]).expect("a schedule"));
    endpoint.timeout_ms = Some(5_000);
    endpoint.ordering = Ordering::from_parts("key", Some("$.customer.id")).expect("an order");
    endpoint.on_failure = OnFailure::Park;
    endpoint.hold = Some(Hold { probes: 3, ..Hold::new(HoldReason::Failing, NOON - DAY, NOON) });
    let secret = Secret::new("whsec_one");
    assert_eq!(endpoints::create(db, &world.context(), &endpoint, &secret, None, None).await.expect("a result"), Created::Stored);
    let key = EndpointKey::from(&endpoint);
    assert_eq!(endpoints::find(db, key).await.expect("read"), Some((endpoint.clone(), secret)));

    let elsewhere = EndpointKey { application_id: world.new_id(NOON).into(), ..key };
    let strangers = EndpointKey { tenant: world.stranger, ..key };
    for other in [elsewhere, strangers] {
        assert_eq!(endpoints::find(db, other).await.expect("read"), None);
        assert!(!endpoints::delete(db, &world.context(), other).await.expect("written"));
    }
    let page = endpoints::list(db, world.tenant, world.application, PageRequest { after: None, limit: 5 }).await.expect("read");
    assert_eq!(page.items.len(), 1);
    let clear = |endpoint: &mut hookstream_model::outbound::endpoint::Endpoint| -> Result<(), Error> {
        endpoint.filter_types = None;
        (endpoint.uid, endpoint.metadata, endpoint.channels) = (None, None, None);
        endpoint.expires_at = None;
        endpoint.ordering = Ordering::Strict;
        endpoint.on_failure = OnFailure::Skip;
        endpoint.hold = None;
        Ok(())
    };
    let (changed, _) = endpoints::update(db, &world.context(), key, clear).await.expect("written").done().expect("exists");
    assert_eq!(endpoints::find(db, key).await.expect("read").map(|(endpoint, _)| endpoint), Some(changed));
    assert!(endpoints::delete(db, &world.context(), key).await.expect("written"));
}

pub(crate) async fn endpoints_changed_since_a_version_are_found(world: &Fixture) {
    let db = &*world.store;
    let version = async || applications::find_for_engine(db, world.application).await.expect("read").expect("exists");
    let since = async |version| {
        let found = endpoints::with_secrets_since(db, world.tenant, world.application, version).await.expect("read");
        found.into_iter().map(|found| found.endpoint.id).collect::<Vec<_>>()
    };
    let [one, two] = ["https://example.com/1", "https://example.com/2"].map(|url| world.endpoint(url));
    for endpoint in [&one, &two] {
        endpoints::create(db, &world.context(), endpoint, &Secret::new("x"), None, None).await.expect("stored");
    }
    let before = version().await.version;
    assert_eq!((since(None).await, since(Some(before)).await), (vec![one.id, two.id], vec![]));
    let hold = Hold::new(HoldReason::Failing, NOON, NOON + DAY);
    endpoints::record_holds(db, world.tenant, world.application, &[(two.id, Some(hold))], NOON).await.expect("written");
    assert_eq!(since(Some(before)).await, [two.id]);
    let held = version().await.version;
    let rotation = Rotation { secret: &Secret::new("y"), old_until: NOON };
    endpoints::rotate_secret(db, &world.context(), (&one).into(), rotation, None).await.expect("rotated");
    endpoints::record_health(db, &[((&two).into(), Some(NOON))], NOON).await.expect("written");
    assert_eq!(since(Some(held)).await, [one.id], "a change of health is no change of the configuration");
    let rotated = version().await;
    assert!(rotated.endpoints_deleted_at <= before);
    endpoints::disable(db, &world.context(), (&two).into(), DisabledReason::Gone).await.expect("disabled");
    assert_eq!(since(Some(rotated.version)).await, [two.id]);
    endpoints::delete(db, &world.context(), (&one).into()).await.expect("deleted");
    let deleted = version().await;
    assert_eq!((deleted.endpoints_deleted_at, deleted.version), (rotated.version + 2, rotated.version + 2));
    assert_eq!(endpoints::ids(db, world.tenant, world.application).await.expect("read"), [two.id]);
}

pub(crate) async fn endpoint_uid_is_unique_per_application(world: &Fixture) {
    let db = &*world.store;
    let with_uid =
        |url: &str, uid: &str| hookstream_model::outbound::endpoint::Endpoint { uid: Some(uid.to_owned()), ..world.endpoint(url) };
    let [one, two] = [with_uid("https://example.com/1", "a"), with_uid("https://example.com/2", "b")];
    let create = async |endpoint: &hookstream_model::outbound::endpoint::Endpoint| {
        endpoints::create(db, &world.context(), endpoint, &Secret::new("x"), None, None).await.expect("a result")
    };
    assert_eq!((create(&one).await, create(&two).await), (Created::Stored, Created::Stored));
    assert_eq!(create(&with_uid("https://example.com/3", "a")).await, Created::NameTaken);
    let take = |endpoint: &mut hookstream_model::outbound::endpoint::Endpoint| -> Result<(), Error> {
        endpoint.uid = Some("a".to_owned());
        Ok(())
    };
    let changed = endpoints::update(db, &world.context(), (&two).into(), take).await.expect("a result");
    assert!(matches!(changed, endpoints::Changed::UidTaken));
    assert!(endpoints::delete(db, &world.context(), (&one).into()).await.expect("deleted"));
    let changed = endpoints::update(db, &world.context(), (&two).into(), take).await.expect("a result");
    assert!(matches!(changed, endpoints::Changed::Done(_)));
    // Any number of endpoints may have no uid.
    for url in ["https://example.com/4", "https://example.com/5"] {
        assert_eq!(create(&world.endpoint(url)).await, Created::Stored);
    }
}

pub(crate) async fn endpoint_rotates_its_secret(world: &Fixture) {
    let db = &*world.store;
    let endpoint = world.endpoint("https://example.com/");
    endpoints::create(db, &world.context(), &endpoint, &Secret::new("one"), None, None).await.expect("stored");
    let key = EndpointKey::from(&endpoint);
    assert_eq!(
        endpoints::rotate_secret(db, &world.context(), key, Rotation { secret: &Secret::new("two"), old_until: NOON + DAY }, None)
            .await
            .expect("written"),
        Rotated::Done
    );
    let all = endpoints::all_with_secrets(db, world.tenant, world.application).await.expect("read");
    assert_eq!(all[0].secret, Secret::new("two"));
    assert_eq!(all[0].rotated, [(Secret::new("one"), NOON + DAY)]);
    // The next rotation keeps the end of the first secret; a rotation to the current secret is refused.
    let rotate = async |context: &hookstream_model::operations::audit_log::AuditContext, secret: &str, old_until| {
        endpoints::rotate_secret(db, context, key, Rotation { secret: &Secret::new(secret), old_until }, None).await.expect("a result")
    };
    let rotated = async || endpoints::find_with_secrets(db, key).await.expect("read").expect("exists").rotated;
    assert_eq!(rotate(&world.context(), "two", NOON + DAY).await, Rotated::Same);
    let hour = DAY / 24;
    assert_eq!(rotate(&world.context(), "three", NOON + hour).await, Rotated::Done);
    assert_eq!(rotated().await, [(Secret::new("one"), NOON + DAY), (Secret::new("two"), NOON + hour)]);
    // A secret without a grace period is not kept; a former secret that becomes current again is no longer a former one.
    assert_eq!(rotate(&world.context(), "one", NOON).await, Rotated::Done);
    assert_eq!(rotated().await, [(Secret::new("two"), NOON + hour)]);
    for number in 1..10 {
        assert_eq!(rotate(&world.context(), &format!("new {number}"), NOON + DAY).await, Rotated::Done, "{number}");
    }
    assert_eq!(rotate(&world.context(), "an eleventh", NOON + DAY).await, Rotated::TooMany { until: NOON + hour });
    assert_eq!(rotate(&world.context(), "without grace", NOON).await, Rotated::Done);
    assert_eq!(rotated().await.len(), 10);
    // An ended secret makes room.
    let later = hookstream_model::operations::audit_log::AuditContext { at: NOON + hour, ..world.context() };
    assert_eq!(rotate(&later, "an eleventh", NOON + DAY).await, Rotated::Done);
    assert_eq!(rotated().await.len(), 10);
    let strangers = EndpointKey { tenant: world.stranger, ..key };
    assert_eq!(
        endpoints::rotate_secret(db, &world.context(), strangers, Rotation { secret: &Secret::new("three"), old_until: NOON }, None)
            .await
            .expect("written"),
        Rotated::NotFound
    );
}

pub(crate) async fn endpoint_is_disabled_once(world: &Fixture) {
    let db = &*world.store;
    let endpoint = world.endpoint("https://example.com/");
    endpoints::create(db, &world.context(), &endpoint, &Secret::new("one"), None, None).await.expect("stored");
    let key = EndpointKey::from(&endpoint);
    endpoints::record_health(db, &[(key, Some(NOON))], NOON).await.expect("written");
    assert!(endpoints::disable(db, &world.context(), key, DisabledReason::Gone).await.expect("written"));
    assert!(!endpoints::disable(db, &world.context(), key, DisabledReason::KeptFailing).await.expect("written"));
    let (found, _) = endpoints::find(db, key).await.expect("read").expect("exists");
    assert_eq!((found.status, found.disabled_reason), (EndpointStatus::Disabled, Some(DisabledReason::Gone)));
    assert_eq!(found.failing_since, Some(NOON));
}

pub(crate) async fn endpoint_hold_is_recorded_and_released(world: &Fixture) {
    let db = &*world.store;
    let endpoint = world.endpoint("https://example.com/");
    endpoints::create(db, &world.context(), &endpoint, &Secret::new("one"), None, None).await.expect("stored");
    let key = EndpointKey::from(&endpoint);
    let hold = Hold::new(HoldReason::RetryAfter, NOON, NOON + DAY);
    let other = world.endpoint("https://example.com/other");
    endpoints::create(db, &world.context(), &other, &Secret::new("two"), None, None).await.expect("stored");
    let holds = async || {
        let [one, two] = [key, EndpointKey::from(&other)].map(|key| endpoints::find(db, key));
        [one.await, two.await].map(|found| found.expect("read").expect("exists").0.hold)
    };
    let record = async |tenant, holds: &[_]| endpoints::record_holds(db, tenant, key.application_id, holds, NOON).await.expect("written");
    let version = async || applications::find_for_engine(db, key.application_id).await.expect("read").expect("exists").version;
    let before = version().await;
    // A deleted endpoint does not prevent the record for others, and the application changes once.
    let gone = world.endpoint("https://example.com/gone").id;
    record(world.tenant, &[(gone, Some(hold)), (key.id, Some(hold)), (other.id, Some(hold))]).await;
    assert_eq!((holds().await, version().await), ([Some(hold); 2], before + 1));
    record(world.stranger, &[(key.id, None)]).await;
    assert_eq!((holds().await, version().await), ([Some(hold); 2], before + 1));
    record(world.tenant, &[(other.id, None)]).await;
    assert_eq!(holds().await, [Some(hold), None]);
    assert!(endpoints::disable(db, &world.context(), EndpointKey::from(&other), DisabledReason::Gone).await.expect("written"));
    record(world.tenant, &[(key.id, None), (other.id, Some(hold))]).await;
    assert_eq!(holds().await, [None, None], "a disabled endpoint is not held");
}

pub(crate) async fn deleting_an_application_deletes_its_endpoints(world: &Fixture) {
    let db = &*world.store;
    let application = applications::find(db, world.tenant, world.application).await.expect("read").expect("exists");
    let endpoint = world.endpoint("https://example.com/");
    endpoints::create(db, &world.context(), &endpoint, &Secret::new("one"), None, None).await.expect("stored");
    assert_eq!(applications::endpoint_count(db, world.tenant, application.id).await.expect("read"), 1);
    assert!(applications::delete(db, &world.context(), world.tenant, application.id).await.expect("written"));
    assert_eq!(endpoints::find(db, EndpointKey::from(&endpoint)).await.expect("read"), None);
}

fn event_type(world: &Fixture) -> EventType {
    EventType {
        id: world.new_id(NOON).into(),
        tenant: world.tenant,
        name: "invoice.paid".to_owned(),
        description: None,
        json_schema: Some("{}".to_owned()),
        status: EventTypeStatus::Active,
        created_at: NOON,
        updated_at: NOON,
    }
}

pub(crate) async fn event_type_is_stored_changed_and_deleted(world: &Fixture) {
    let db = &*world.store;
    let event_type = event_type(world);
    assert_eq!(event_types::create(db, &world.context(), &event_type, None).await.expect("a result"), Created::Stored);
    let twin = EventType { id: world.new_id(NOON).into(), ..event_type.clone() };
    assert_eq!(event_types::create(db, &world.context(), &twin, None).await.expect("a result"), Created::NameTaken);
    assert_eq!(event_types::find_by_name(db, world.tenant, "invoice.paid").await.expect("read").as_ref(), Some(&event_type));
    assert_eq!(event_types::find_by_name(db, world.stranger, "invoice.paid").await.expect("read"), None);
    let archive = |event_type: &mut EventType| -> Result<(), Error> {
        event_type.status = EventTypeStatus::Archived;
        Ok(())
    };
    assert_eq!(event_types::update(db, &world.context(), world.stranger, event_type.id, archive).await.expect("written"), None);
    let changed = event_types::update(db, &world.context(), world.tenant, event_type.id, archive).await.expect("written");
    assert_eq!(event_types::find(db, world.tenant, event_type.id).await.expect("read"), changed);
    let page = event_types::list(db, world.tenant, PageRequest { after: None, limit: 5 }).await.expect("read");
    assert_eq!(page.items, changed.into_iter().collect::<Vec<_>>());
    assert!(!event_types::delete(db, &world.context(), world.stranger, event_type.id).await.expect("written"));
    assert!(event_types::delete(db, &world.context(), world.tenant, event_type.id).await.expect("written"));
}

pub(crate) async fn api_key_is_found_by_its_hash(world: &Fixture) {
    let db = &*world.store;
    let text = ApiKeyText::generate(KeyMode::Live, &[7; 32]);
    let key = ApiKey::unlimited(world.new_id(NOON).into(), world.tenant, "first".to_owned());
    assert!(api_keys::create(db, &world.context(), &key, &text).await.expect("written"));
    let repeated = ApiKey { id: world.new_id(NOON).into(), ..key.clone() };
    assert!(!api_keys::create(db, &world.context(), &repeated, &text).await.expect("written"));
    assert_eq!(api_keys::find(db, text.hash()).await.expect("read"), Some(key));
    assert_eq!(api_keys::find(db, KeyHash::of("hs_live_other")).await.expect("read"), None);
}

pub(crate) async fn default_organization_is_created_once(world: &Fixture) {
    let db = &*world.store;
    let tenant = || Tenant { organization: world.new_id(NOON).into(), environment: world.new_id(NOON).into() };
    let (first, second) =
        tokio::join!(organizations::create_default(db, tenant(), NOON), organizations::create_default(db, tenant(), NOON));
    assert_eq!([first.expect("a result"), second.expect("a result")].iter().filter(|made| **made).count(), 1);
}

pub(crate) async fn setting_is_created_once(world: &Fixture) {
    let keep = async |fresh: &str| settings::get_or_keep(&*world.store, "name", fresh.to_owned()).await.expect("kept");
    assert_eq!(keep("one").await, "one");
    assert_eq!(keep("two").await, "one");
}

pub(crate) async fn environment_is_found_and_changed_by_its_organization(world: &Fixture) {
    let Tenant { organization, environment } = world.tenant;
    let found = environments::find(&*world.store, organization, environment).await.expect("read").expect("exists");
    let (limits, weight) = ((found.retention_days, found.payload_retention_days, found.max_payload_bytes), found.weight);
    assert_eq!((found.name.as_str(), found.slug.as_str(), limits, weight), ("test", "test", (None, None, None), None));
    assert_eq!(environments::list(&*world.store, organization).await.expect("read"), std::slice::from_ref(&found));
    assert_eq!(environments::find(&*world.store, world.stranger.organization, environment).await.expect("read"), None);
    let strangers = Tenant { organization, ..world.stranger };
    let no_change = |_: &mut Environment| -> Result<(), Error> { Ok(()) };
    assert_eq!(environments::update(&*world.store, &world.context(), strangers, no_change).await.expect("done"), Changed::NotFound);

    let version = organizations::version(&*world.store, environment).await.expect("read");
    let expected = Environment {
        deleted_at: None,
        name: "Production".to_owned(),
        slug: "production".to_owned(),
        retention_days: Some(20),
        payload_retention_days: Some(10),
        max_payload_bytes: Some(1 << 50),
        weight: Some(7),
        portal_reveal_secrets: true,
        is_production: true,
        forward_trace_context: false,
        portal_frame_origins: vec![],
        portal_theme: None,
        portal_url: None,
        ..found
    };
    let change = |it: &mut Environment| -> Result<(), Error> {
        it.clone_from(&expected);
        Ok(())
    };
    assert_eq!(
        environments::update(&*world.store, &world.context(), world.tenant, change).await.expect("done"),
        Changed::Done(Box::new(expected.clone()))
    );
    assert_eq!(environments::find(&*world.store, organization, environment).await.expect("read"), Some(expected.clone()));
    assert_eq!(organizations::version(&*world.store, environment).await.expect("read"), version + 1);
    assert!(environments::all(&*world.store).await.expect("read").contains(&expected));
    let back = |it: &mut Environment| -> Result<(), Error> {
        (it.retention_days, it.max_payload_bytes, it.weight) = (None, None, None);
        Ok(())
    };
    let Changed::Done(back) = environments::update(&*world.store, &world.context(), world.tenant, back).await.expect("done") else {
        panic!("the environment exists")
    };
    assert_eq!((back.retention_days, back.payload_retention_days, back.max_payload_bytes, back.weight), (None, Some(10), None, None));
}
