//! Audit log: which changes leave an entry, how entries are found, and that entries never change.

use std::{collections::BTreeMap, time::Duration};

use hookstream_model::{
    base::{
        ids::{ApiKeyId, EntryId, ResourceId},
        secret::Secret,
        time::Timestamp,
    },
    delivery::{
        hold::{Hold, HoldReason},
        state::DisabledReason,
    },
    identity::{
        environment::Environment,
        member::Role,
        second_factor::SharedSecret,
        session::Session,
        tenancy::{ApiKey, ApiKeyText, KeyMode, Tenant},
    },
    operations::{
        audit_log::{Action, Actor, AuditContext, Change, fields::Fields},
        job::{JobKind, JobRequest},
    },
    outbound::{
        application::Application,
        endpoint::{Endpoint, EndpointStatus},
        event_type::{EventType, EventTypeStatus},
    },
};
use hookstream_store::{
    Database, Error, PageRequest, Store,
    identity::{api_keys, environments, links, members, organizations, sessions, users},
    operations::{
        audit_log::{self, AboutEndpoint, Entry, Filter, Reach},
        jobs,
    },
    outbound::{
        applications::{self, Created},
        endpoints::{self, EndpointKey, Rotated, Rotation},
        event_types,
    },
    postgres::{Options, PostgresStore},
    sqlite::SqliteStore,
};
use hookstream_testkit::postgres::ScratchDatabase;
use serde_json::{Value, json};

use crate::support::{DAY, Fixture, NOON, SECOND};

const ALL: PageRequest<EntryId> = PageRequest { after: None, limit: 1_000 };

async fn list(db: &dyn Database, reach: Reach, filter: Filter) -> Vec<Entry> {
    audit_log::list(db, reach, &filter, ALL).await.expect("read").items
}

async fn of_tenant(world: &Fixture, tenant: Tenant) -> Vec<Entry> {
    list(&*world.store, Reach::Environment(tenant), Filter::default()).await
}

/// Returns the action, the resource and the states before and after of the newest entry.
async fn newest(world: &Fixture) -> (String, Option<ResourceId>, Value, Value) {
    let entry = of_tenant(world, world.tenant).await.into_iter().next().expect("one entry exists");
    assert_eq!((entry.organization, entry.environment), (world.tenant.organization, Some(world.tenant.environment)));
    assert_eq!(entry.action.split('.').next(), Some(entry.resource_type.as_str()));
    let json = |text: Option<String>| text.map_or(Value::Null, |text| serde_json::from_str(&text).expect("JSON"));
    (entry.action, entry.resource_id, json(entry.before), json(entry.after))
}

/// Checks that one entry was added, and its content.
async fn check(world: &Fixture, count: &mut usize, action: &str, resource: &[u8; 16], before: Value, after: Value) {
    *count += 1;
    assert_eq!(of_tenant(world, world.tenant).await.len(), *count, "{action}");
    assert_eq!(newest(world).await, (action.to_owned(), Some(ResourceId::from_bytes(*resource)), before, after));
}

fn event_type(world: &Fixture) -> EventType {
    EventType {
        id: world.new_id(NOON).into(),
        tenant: world.tenant,
        name: "invoice.paid".to_owned(),
        description: None,
        json_schema: Some(r#"{"type":"object"}"#.to_owned()),
        status: EventTypeStatus::Active,
        created_at: NOON,
        updated_at: NOON,
    }
}

fn job(world: &Fixture, kind: JobKind) -> hookstream_model::operations::job::Job {
    let request = JobRequest { kind, since: NOON, until: None, statuses: None, event_types: None, rate_limit: None, max_messages: Some(9) };
    crate::jobs::job(world, world.target(), &request)
}

pub(crate) async fn change_leaves_one_entry_with_before_and_after(world: &Fixture) {
    let db = &*world.store;
    // The fixture has created an application.
    let mut count = 1;
    let application = world.application(NOON, "acme");
    let id = application.id.as_bytes();
    let created = json!({ "name": "The acme company", "uid": "acme", "metadata": { "plan": "pro" }, "status": "active" });
    applications::create(db, &world.context(), &application, None).await.expect("stored");
    check(world, &mut count, "application.create", id, Value::Null, created.clone()).await;
    let limit = |application: &mut Application| -> Result<(), Error> {
        application.rate_limit = Some(7);
        Ok(())
    };
    applications::update(db, &world.context(), world.tenant, application.id, limit).await.expect("changed");
    check(world, &mut count, "application.update", id, json!({ "rate_limit": null }), json!({ "rate_limit": 7 })).await;
    assert!(applications::delete(db, &world.context(), world.tenant, application.id).await.expect("deleted"));
    let mut gone = created;
    gone["rate_limit"] = 7.into();
    check(world, &mut count, "application.delete", id, gone, Value::Null).await;

    endpoint_changes(world, &mut count).await;

    let event_type = event_type(world);
    let id = event_type.id.as_bytes();
    let created = json!({ "name": "invoice.paid", "json_schema": { "type": "object" }, "status": "active" });
    event_types::create(db, &world.context(), &event_type, None).await.expect("stored");
    check(world, &mut count, "event_type.create", id, Value::Null, created.clone()).await;
    let archive = |event_type: &mut EventType| -> Result<(), Error> {
        event_type.status = EventTypeStatus::Archived;
        Ok(())
    };
    event_types::update(db, &world.context(), world.tenant, event_type.id, archive).await.expect("changed");
    check(world, &mut count, "event_type.update", id, json!({ "status": "active" }), json!({ "status": "archived" })).await;
    assert!(event_types::delete(db, &world.context(), world.tenant, event_type.id).await.expect("deleted"));
    let mut gone = created;
    gone["status"] = "archived".into();
    check(world, &mut count, "event_type.delete", id, gone, Value::Null).await;

    let weigh = |environment: &mut Environment| -> Result<(), Error> {
        environment.weight = Some(5);
        Ok(())
    };
    environments::update(db, &world.context(), world.tenant, weigh).await.expect("changed");
    let id = world.tenant.environment;
    check(world, &mut count, "environment.update", id.as_bytes(), json!({ "weight": null }), json!({ "weight": 5 })).await;

    key_changes(world, &mut count).await;

    for (kind, action) in [(JobKind::Recover, "job.recover"), (JobKind::Replay, "job.replay")] {
        let job = job(world, kind);
        jobs::create(db, &world.context(), &job, None).await.expect("stored");
        count += 1;
        let (actual, resource, before, after) = newest(world).await;
        assert_eq!((actual.as_str(), resource, before), (action, Some(ResourceId::from_bytes(*job.id.as_bytes())), Value::Null));
        assert_eq!((&after["endpoint_id"], &after["max_messages"]), (&json!(job.endpoint_id.to_string()), &json!(9)));
        jobs::cancel(db, &world.context(), world.tenant, job.id).await.expect("cancelled");
        let (before, after) = (json!({ "status": "running" }), json!({ "status": "cancelled" }));
        check(world, &mut count, "job.cancel", job.id.as_bytes(), before, after).await;
    }
}

async fn endpoint_changes(world: &Fixture, count: &mut usize) {
    let db = &*world.store;
    let endpoint = world.endpoint("https://example.com/hooks");
    let (key, id) = (EndpointKey::from(&endpoint), endpoint.id.as_bytes());
    let created = json!({
        "application_id": world.application.to_string(), "url": "https://example.com/hooks", "signing_algorithm": "hmac-sha256",
        "type": "http", "status": "active", "ordering": "none", "on_failure": "block",
    });
    endpoints::create(db, &world.context(), &endpoint, &Secret::new("one"), None, None).await.expect("stored");
    check(world, count, "endpoint.create", id, Value::Null, created.clone()).await;
    let limit = |endpoint: &mut Endpoint| -> Result<(), Error> {
        endpoint.timeout_ms = Some(5_000);
        Ok(())
    };
    endpoints::update(db, &world.context(), key, limit).await.expect("changed");
    check(world, count, "endpoint.update", id, json!({ "timeout_ms": null }), json!({ "timeout_ms": 5000 })).await;
    assert_eq!(
        endpoints::rotate_secret(db, &world.context(), key, Rotation { secret: &Secret::new("two"), old_until: NOON + DAY }, None)
            .await
            .expect("rotated"),
        Rotated::Done
    );
    let until = json!({ "previous_secret_expires_at": (NOON + DAY).to_string() });
    check(world, count, "endpoint.rotate_secret", id, Value::Null, until).await;

    // Findings of the engine are no change of the configuration; ending a hold manually is.
    let hold = Hold::new(HoldReason::Failing, NOON, NOON + SECOND);
    endpoints::record_holds(db, key.tenant, key.application_id, &[(key.id, Some(hold))], NOON).await.expect("recorded");
    assert!(endpoints::reset_hold(db, &world.context(), key).await.expect("reset"));
    let held = json!({ "held_until": (NOON + SECOND).to_string(), "hold_reason": "failing" });
    let free = json!({ "held_until": null, "hold_reason": null });
    check(world, count, "endpoint.reset_circuit", id, held, free).await;
    assert_eq!(endpoints::find(db, key).await.expect("read").expect("exists").0.hold, None);
    assert!(endpoints::reset_hold(db, &world.context(), key).await.expect("reset"));
    check(world, count, "endpoint.reset_circuit", id, Value::Null, Value::Null).await;

    assert!(endpoints::disable(db, &world.context(), key, DisabledReason::Gone).await.expect("disabled"));
    let before = json!({ "status": "active", "disabled_reason": null });
    check(world, count, "endpoint.disable", id, before, json!({ "status": "disabled", "disabled_reason": "gone" })).await;
    let enable = |endpoint: &mut Endpoint| -> Result<(), Error> {
        (endpoint.status, endpoint.disabled_reason) = (EndpointStatus::Active, None);
        Ok(())
    };
    endpoints::update(db, &world.context(), key, enable).await.expect("changed");
    let before = json!({ "status": "disabled", "disabled_reason": "gone" });
    check(world, count, "endpoint.update", id, before, json!({ "status": "active", "disabled_reason": null })).await;
    endpoints::record_health(db, &[(key, Some(NOON))], NOON).await.expect("recorded");
    assert!(endpoints::disable_failing(db, &world.context(), key, NOON).await.expect("disabled"));
    let before = json!({ "status": "active", "disabled_reason": null });
    check(world, count, "endpoint.disable", id, before, json!({ "status": "disabled", "disabled_reason": "kept_failing" })).await;

    assert!(endpoints::delete(db, &world.context(), key).await.expect("deleted"));
    let mut gone = created;
    (gone["timeout_ms"], gone["status"], gone["disabled_reason"]) = (5_000.into(), "disabled".into(), "kept_failing".into());
    check(world, count, "endpoint.delete", id, gone, Value::Null).await;
}

async fn key_changes(world: &Fixture, count: &mut usize) {
    let db = &*world.store;
    let key = ApiKey::unlimited(world.new_id(NOON).into(), world.tenant, "ci".to_owned());
    let text = |byte| ApiKeyText::generate(KeyMode::Live, &[byte; 32]);
    assert!(api_keys::create(db, &world.context(), &key, &text(1)).await.expect("kept"));
    let created =
        json!({ "name": "ci", "level": "organization", "scopes": "*,endpoints:secret,operator:backups,operator:metrics,operator:nodes" });
    check(world, count, "api_key.create", key.id.as_bytes(), Value::Null, created.clone()).await;
    let next = ApiKey { id: world.new_id(NOON).into(), expires_at: Some(NOON + DAY * 9), ..key.clone() };
    let replaced = api_keys::replace(db, &world.context(), &key, NOON + DAY, &next, &text(2), None).await.expect("rotated");
    assert_eq!(replaced, Created::Stored);
    let before = json!({ "expires_at": null, "new_key_id": null, "new_key_expires_at": null });
    let after = json!({
        "expires_at": (NOON + DAY).to_string(), "new_key_id": next.id.to_string(), "new_key_expires_at": (NOON + DAY * 9).to_string(),
    });
    check(world, count, "api_key.rotate", key.id.as_bytes(), before, after).await;
    assert!(api_keys::revoke(db, &world.context(), world.tenant, next.id).await.expect("revoked"));
    let mut gone = created;
    gone["expires_at"] = (NOON + DAY * 9).to_string().into();
    check(world, count, "api_key.revoke", next.id.as_bytes(), gone, Value::Null).await;
}

/// Checks that one entry about the organization as a whole was added, and its content.
async fn check_whole(world: &Fixture, count: &mut usize, action: &str, resource: &[u8; 16], before: Value, after: Value) {
    *count += 1;
    let entries = list(&*world.store, Reach::Organization(world.tenant.organization), Filter::default()).await;
    assert_eq!(entries.len(), *count, "{action}");
    let entry = entries.into_iter().next().expect("one entry exists");
    let json = |text: Option<String>| text.map_or(Value::Null, |text| serde_json::from_str(&text).expect("JSON"));
    assert_eq!((entry.action.as_str(), entry.environment), (action, None));
    assert_eq!(entry.resource_id, Some(ResourceId::from_bytes(*resource)), "{action}");
    assert_eq!((json(entry.before), json(entry.after)), (before, after), "{action}");
}

pub(crate) async fn organization_changes_are_audited(world: &Fixture) {
    let db = &*world.store;
    let organization = world.tenant.organization;
    let (ada, grace) = (crate::people::kept(world, "ada@example.com").await, crate::people::kept(world, "grace@example.com").await);
    // The fixture has created an application.
    let mut count = 1;
    let null = || Value::Null;
    links::make_owner(db, &world.context(), &ada, false, None, world.tenant).await.expect("made");
    let actual = |role: &str| json!({ "email": "grace@example.com", "role": role });
    let owner = json!({ "email": "ada@example.com", "role": "owner" });
    check_whole(world, &mut count, "member.make_owner", ada.id.as_bytes(), null(), owner).await;
    let invitation = crate::people::invitation(world, "grace@example.com");
    let created = json!({ "email": "grace@example.com", "role": "developer", "expires_at": invitation.expires_at.to_string() });
    let hash = crate::people::token(1).hash();
    members::invite(db, &world.context(), &invitation, hash).await.expect("invited");
    check_whole(world, &mut count, "invitation.create", invitation.id.as_bytes(), null(), created.clone()).await;
    assert!(members::uninvite(db, &world.context(), organization, invitation.id).await.expect("taken back"));
    check_whole(world, &mut count, "invitation.delete", invitation.id.as_bytes(), created, null()).await;
    assert!(!members::uninvite(db, &world.context(), organization, invitation.id).await.expect("already deleted"));
    members::invite(db, &world.context(), &invitation, hash).await.expect("invited");
    count += 1;
    assert!(members::accept(db, &world.context(), &invitation, hash, members::Guest::Known(grace.id)).await.expect("accepted"));
    let mut accepted = actual("developer");
    accepted["user_id"] = grace.id.to_string().into();
    check_whole(world, &mut count, "invitation.accept", invitation.id.as_bytes(), null(), accepted).await;
    assert!(!members::accept(db, &world.context(), &invitation, hash, members::Guest::Known(grace.id)).await.expect("no longer valid"));
    members::change_role(db, &world.context(), organization, &grace, Role::Developer, Role::Viewer).await.expect("changed");
    let (before, after) = (json!({ "role": "developer" }), json!({ "role": "viewer" }));
    check_whole(world, &mut count, "member.update", grace.id.as_bytes(), before, after).await;
    assert_eq!(
        members::change_role(db, &world.context(), organization, &ada, Role::Owner, Role::Viewer).await.expect("refused"),
        members::Changed::LastOwner
    );
    members::transfer_ownership(db, &world.context(), organization, ada.id, grace.id, Role::Viewer).await.expect("transferred");
    let (before, after) = (json!({ "owner_id": ada.id.to_string() }), json!({ "owner_id": grace.id.to_string() }));
    check_whole(world, &mut count, "organization.transfer", organization.as_bytes(), before, after).await;
    members::remove(db, &world.context(), organization, &ada, Role::Admin).await.expect("removed");
    let before = json!({ "email": "ada@example.com", "role": "admin" });
    check_whole(world, &mut count, "member.remove", ada.id.as_bytes(), before, null()).await;

    assert!(organizations::rename(db, &world.context(), organization, "Acme").await.expect("renamed"));
    let (before, after) = (json!({ "name": "world" }), json!({ "name": "Acme" }));
    check_whole(world, &mut count, "organization.update", organization.as_bytes(), before, after).await;
    assert!(organizations::rename(db, &world.context(), organization, "Acme").await.expect("unchanged"));
    assert!(organizations::delete(db, &world.context(), organization).await.expect("deleted"));
    check_whole(world, &mut count, "organization.delete", organization.as_bytes(), json!({ "name": "Acme" }), null()).await;
    assert!(!organizations::delete(db, &world.context(), organization).await.expect("already deleted"));
    assert!(organizations::restore(db, &world.context(), organization).await.expect("restored"));
    check_whole(world, &mut count, "organization.restore", organization.as_bytes(), null(), null()).await;
    assert!(!organizations::restore(db, &world.context(), organization).await.expect("already restored"));
    assert_eq!(list(db, Reach::Organization(world.stranger.organization), Filter::default()).await, []);
    assert_eq!(of_tenant(world, world.tenant).await.len(), 1, "an API key sees none of the entries");
}

pub(crate) async fn user_changes_are_audited_in_each_of_their_organizations(world: &Fixture) {
    let db = &*world.store;
    let ada = crate::people::kept(world, "ada@example.com").await;
    let session = crate::people::session(world, &ada);
    sessions::create(db, &world.context(), &session, &crate::people::token(1)).await.expect("begun");
    let both = [world.tenant, world.stranger];
    let of_person = Filter { resource_type: Some("person"), ..Filter::default() };
    let actual = async || {
        let [one, other] = both.map(|tenant| list(db, Reach::Organization(tenant.organization), of_person));
        let words = |entries: Vec<Entry>| entries.into_iter().map(|entry| entry.action).collect::<Vec<_>>();
        let (one, other) = (words(one.await), words(other.await));
        assert_eq!(one, other);
        one
    };
    assert_eq!(actual().await, Vec::<String>::new(), "not a member yet");
    for tenant in both {
        members::add(db, tenant.organization, ada.id, Role::Viewer, NOON).await.expect("a member");
    }
    let find = async || users::find(db, ada.id).await.expect("read").expect("exists");
    sessions::create(db, &world.context(), &Session { id: world.new_id(NOON).into(), ..session.clone() }, &crate::people::token(2))
        .await
        .expect("begun");
    assert!(users::rename(db, &world.context(), &ada, "Ada").await.expect("renamed"));
    assert!(users::rename(db, &world.context(), &find().await.user, "Ada").await.expect("unchanged"));
    let password = crate::people::hash("two");
    assert!(users::set_password(db, &world.context(), ada.id, &password, Some(session.id)).await.expect("set"));
    links::create_password(db, crate::people::token(3).hash(), ada.id, NOON, NOON + DAY).await.expect("kept");
    // The link ends all sessions, and is valid once.
    assert!(links::set_password(db, &world.context(), crate::people::token(3).hash(), ada.id, &password).await.expect("set"));
    assert!(!links::set_password(db, &world.context(), crate::people::token(3).hash(), ada.id, &password).await.expect("no longer valid"));
    users::remove_second_factor(db, &world.context(), &find().await).await.expect("none exists");
    let secret = SharedSecret::generate(&[7; 32]);
    assert!(users::begin_second_factor(db, ada.id, &secret, NOON).await.expect("begun"));
    let codes = ["a".to_owned(), "b".to_owned()];
    assert!(users::confirm_second_factor(db, &world.context(), &find().await, 5, &codes, session.id).await.expect("confirmed"));
    assert!(users::take_recovery(db, &find().await, &codes[1..], NOON).await.expect("taken"));
    assert!(users::replace_recovery(db, &world.context(), &find().await, &codes).await.expect("replaced"));
    users::remove_second_factor(db, &world.context(), &find().await).await.expect("removed");
    sessions::create(db, &world.context(), &session, &crate::people::token(4)).await.expect("begun");
    assert!(sessions::end(db, &world.context(), ada.id, session.id).await.expect("ended"));
    assert!(!sessions::end(db, &world.context(), ada.id, session.id).await.expect("already ended"));
    sessions::end_all(db, &world.context(), ada.id).await.expect("ended");
    let mut expected = [
        "person.sign_in",
        "person.update",
        "person.change_password",
        "person.change_password",
        "person.add_second_factor",
        "person.replace_recovery_codes",
        "person.remove_second_factor",
        "person.sign_in",
        "person.end_sessions",
        "person.end_sessions",
    ];
    expected.reverse();
    assert_eq!(actual().await, expected);
    let signed_in = Filter { action: Some(Action::PersonSignIn), ..of_person };
    let entry = list(db, Reach::Organization(world.tenant.organization), signed_in).await.remove(0);
    assert_eq!(entry.resource_id, Some(ResourceId::from_bytes(*ada.id.as_bytes())));
    let after: Value = serde_json::from_str(&entry.after.expect("the entry has a state after")).expect("JSON");
    assert_eq!(after, json!({ "session_id": session.id.to_string(), "method": session.method.word() }));
    assert_eq!(of_tenant(world, world.tenant).await.len(), 1, "an API key sees none of the entries");
}

pub(crate) async fn ineffective_change_leaves_no_entry(world: &Fixture) {
    let db = &*world.store;
    let endpoint = world.endpoint("https://example.com/");
    endpoints::create(db, &world.context(), &endpoint, &Secret::new("one"), None, None).await.expect("stored");
    let key = EndpointKey::from(&endpoint);
    let strangers = EndpointKey { tenant: world.stranger, ..key };
    let running = job(world, JobKind::Recover);
    jobs::create(db, &world.context(), &running, None).await.expect("stored");
    let before = of_tenant(world, world.tenant).await;
    let no_change = |_: &mut Application| Ok::<_, Error>(());
    let refusal = |_: &mut Application| Err(Error::Closed);

    assert_eq!(
        applications::create(db, &world.context(), &world.application(NOON, "world"), None).await.expect("done"),
        Created::NameTaken
    );
    let update = applications::update(db, &world.context(), world.tenant, world.application, no_change).await.expect("done");
    assert!(update.done().is_some());
    assert!(matches!(applications::update(db, &world.context(), world.tenant, world.application, refusal).await, Err(Error::Closed)));
    assert!(!applications::delete(db, &world.context(), world.stranger, world.application).await.expect("done"));
    assert!(!endpoints::delete(db, &world.context(), strangers).await.expect("done"));
    assert_eq!(
        endpoints::rotate_secret(db, &world.context(), strangers, Rotation { secret: &Secret::new("two"), old_until: NOON }, None)
            .await
            .expect("done"),
        Rotated::NotFound
    );
    assert!(!endpoints::reset_hold(db, &world.context(), strangers).await.expect("done"));
    assert!(!endpoints::disable_failing(db, &world.context(), key, NOON).await.expect("done"), "the endpoint is healthy");
    let twin = hookstream_model::operations::job::Job { id: world.new_id(NOON).into(), ..running.clone() };
    assert_eq!(jobs::create(db, &world.context(), &twin, None).await.expect("done"), Created::NameTaken);
    assert!(jobs::cancel(db, &world.context(), world.stranger, running.id).await.expect("done").is_none());
    assert!(!api_keys::revoke(db, &world.context(), world.tenant, ApiKeyId::from_bytes([7; 16])).await.expect("done"));
    assert_eq!(of_tenant(world, world.tenant).await, before);

    // Repetitions of changes that are already done.
    jobs::cancel(db, &world.context(), world.tenant, running.id).await.expect("done");
    assert!(endpoints::disable(db, &world.context(), key, DisabledReason::Gone).await.expect("done"));
    let before = of_tenant(world, world.tenant).await;
    jobs::cancel(db, &world.context(), world.tenant, running.id).await.expect("done");
    assert!(!endpoints::disable(db, &world.context(), key, DisabledReason::Gone).await.expect("done"));
    assert_eq!(of_tenant(world, world.tenant).await, before);
    assert_eq!(of_tenant(world, world.stranger).await, []);
}

/// Records an action at a time that changes no row, and returns the entry's id.
async fn record(world: &Fixture, at: Timestamp, tenant: Tenant, actor: Actor, action: Action, resource: ResourceId) -> EntryId {
    let context = AuditContext {
        actor,
        address: Some("203.0.113.7".parse().expect("an address")),
        request_id: Some("req_1".to_owned()),
        ..world.context_at(at)
    };
    audit_log::record(&*world.store, &context, tenant, action, resource, &Change::default()).await.expect("recorded");
    context.entry
}

fn key_actor(byte: u8) -> Actor {
    Actor::ApiKey { id: ApiKeyId::from_bytes([byte; 16]), name: "ci".to_owned() }
}

pub(crate) async fn entries_are_found_by_reach_and_filter(world: &Fixture) {
    let resource = |byte| ResourceId::from_bytes([byte; 16]);
    let day = |number: u32| NOON + DAY * number;
    let neighbour = Tenant { organization: world.tenant.organization, environment: world.stranger.environment };
    let first = record(world, day(1), world.tenant, key_actor(1), Action::EndpointTest, resource(1)).await;
    let second = record(world, day(2), world.tenant, key_actor(2), Action::EndpointTest, resource(2)).await;
    let third = record(world, day(3), world.tenant, key_actor(1), Action::MessageRetry, resource(3)).await;
    let of_neighbour = record(world, day(4), neighbour, key_actor(1), Action::EndpointTest, resource(1)).await;
    let of_stranger = record(world, day(5), world.stranger, key_actor(1), Action::EndpointTest, resource(1)).await;
    let mine = Reach::Environment(world.tenant);
    let found = async |reach, filter: Filter| {
        // The entries of the fixture are older.
        let filter = Filter { since: filter.since.or(Some(NOON + SECOND)), ..filter };
        let newest_first: Vec<_> = list(&*world.store, reach, filter).await.into_iter().map(|entry| entry.id).collect();
        let oldest_first = audit_log::following(&*world.store, reach, &filter, None, 100).await.expect("read");
        let mut turned: Vec<_> = oldest_first.into_iter().map(|entry| entry.id).collect();
        turned.reverse();
        assert_eq!(turned, newest_first, "{filter:?}");
        newest_first
    };
    let any = Filter::default();
    assert_eq!(found(mine, any).await, [third, second, first]);
    assert_eq!(found(Reach::Environment(neighbour), any).await, [of_neighbour]);
    assert_eq!(found(Reach::Organization(world.tenant.organization), any).await, [of_neighbour, third, second, first]);
    assert_eq!(found(Reach::Environment(world.stranger), any).await, [of_stranger]);
    assert_eq!(found(mine, Filter { action: Some(Action::EndpointTest), ..any }).await, [second, first]);
    assert_eq!(found(mine, Filter { actor_id: Some(resource(1)), ..any }).await, [third, first]);
    assert_eq!(found(mine, Filter { resource_type: Some("message"), ..any }).await, [third]);
    assert_eq!(found(mine, Filter { resource_id: Some(resource(1)), ..any }).await, [first]);
    let of_one = Filter { resource_id: Some(resource(1)), ..any };
    assert_eq!(found(Reach::Organization(world.tenant.organization), of_one).await, [of_neighbour, first]);
    assert_eq!(found(mine, Filter { since: Some(day(2)), ..any }).await, [third, second]);
    assert_eq!(found(mine, Filter { until: Some(day(2)), ..any }).await, [first]);
    let narrow =
        Filter { since: Some(day(1)), until: Some(day(3)), action: Some(Action::EndpointTest), actor_id: Some(resource(2)), ..any };
    assert_eq!(found(mine, narrow).await, [second]);

    let entry = list(&*world.store, mine, Filter { action: Some(Action::MessageRetry), ..any }).await.remove(0);
    let expected = Entry {
        id: third,
        organization: world.tenant.organization,
        environment: Some(world.tenant.environment),
        actor_kind: "api_key".to_owned(),
        actor_id: Some(resource(1)),
        actor_name: Some("ci".to_owned()),
        address: Some("203.0.113.7".to_owned()),
        request_id: Some("req_1".to_owned()),
        action: "message.retry".to_owned(),
        resource_type: "message".to_owned(),
        resource_id: Some(resource(3)),
        before: None,
        after: None,
    };
    assert_eq!(entry, expected);
}

pub(crate) async fn activity_is_that_of_an_application_with_its_jobs_and_deleted_endpoints(world: &Fixture) {
    let db = &*world.store;
    let of =
        async |tenant: Tenant, page: PageRequest<EntryId>| audit_log::activity(db, tenant, world.application, page).await.expect("read");
    let words = |entries: &[audit_log::Activity]| entries.iter().map(|entry| entry.action.clone()).collect::<Vec<_>>();
    assert!(of(world.tenant, ALL).await.items.is_empty(), "changes of the application itself are none of its endpoints");
    let endpoint = world.endpoint("https://example.com/hooks");
    let key = EndpointKey::from(&endpoint);
    endpoints::create(db, &world.context(), &endpoint, &Secret::new("one"), None, None).await.expect("stored");
    let about = AboutEndpoint { application: world.application, endpoint: endpoint.id };
    audit_log::record_of_endpoint(db, &world.context(), world.tenant, about, Action::EndpointTest, &Change::default())
        .await
        .expect("recorded");
    let job = job(world, JobKind::Recover);
    jobs::create(db, &world.context(), &job, None).await.expect("stored");
    jobs::cancel(db, &world.context(), world.tenant, job.id).await.expect("cancelled");
    // Another application of the environment, and another tenant with the ids of this one.
    let elsewhere = AboutEndpoint { application: world.new_id(NOON).into(), ..about };
    for (tenant, about) in [(world.tenant, elsewhere), (world.stranger, about)] {
        let change = Change::done(&Fields::default().with("description", "of another"));
        audit_log::record_of_endpoint(db, &world.context(), tenant, about, Action::EndpointUpdate, &change).await.expect("recorded");
    }
    let page = of(world.tenant, ALL).await;
    assert_eq!(words(&page.items), ["job.cancel", "job.recover", "endpoint.test", "endpoint.create"]);
    let subjects: Vec<_> = page.items.iter().map(|entry| entry.endpoint).collect();
    assert_eq!(subjects, [job.endpoint_id, job.endpoint_id, endpoint.id, endpoint.id]);
    assert!(page.items.iter().all(|entry| entry.deleted.is_none() && entry.actor_kind == "system"), "{page:?}");
    assert_eq!(words(&of(world.stranger, ALL).await.items), ["endpoint.update"]);

    assert!(endpoints::delete(db, &world.context(), key).await.expect("deleted"));
    let first = of(world.tenant, PageRequest { after: None, limit: 3 }).await;
    assert_eq!((words(&first.items), first.has_more), (words_of(["endpoint.delete", "job.cancel", "job.recover"]), true));
    let last = first.items.last().map(|entry| entry.id);
    let rest = of(world.tenant, PageRequest { after: last, limit: 3 }).await;
    assert_eq!((words(&rest.items), rest.has_more), (words_of(["endpoint.test", "endpoint.create"]), false));
    let deleted: Value = serde_json::from_str(rest.items[0].deleted.as_deref().expect("a last state")).expect("JSON");
    assert_eq!(deleted["url"], "https://example.com/hooks");
}

fn words_of<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).into()
}

pub(crate) async fn entries_are_paged_from_both_ends(world: &Fixture) {
    let mut created = Vec::new();
    for number in 0..11 {
        let at = NOON + SECOND * (1 + number % 3);
        created.push(record(world, at, world.tenant, key_actor(1), Action::EndpointTest, ResourceId::from_bytes([1; 16])).await);
    }
    created.sort();
    let reach = Reach::Environment(world.tenant);
    let filter = Filter { since: Some(NOON + SECOND), until: Some(NOON + DAY), ..Filter::default() };
    let (mut newest_first, mut after) = (Vec::new(), None);
    loop {
        let page = audit_log::list(&*world.store, reach, &filter, PageRequest { after, limit: 3 }).await.expect("read");
        newest_first.extend(page.items.iter().map(|entry| entry.id));
        after = newest_first.last().copied();
        // An entry added meanwhile is on no later page.
        record(world, NOON + SECOND * 60, world.tenant, key_actor(2), Action::EndpointTest, ResourceId::from_bytes([1; 16])).await;
        if !page.has_more {
            break;
        }
    }
    newest_first.reverse();
    assert_eq!(newest_first, created);
    let (mut oldest_first, mut after) = (Vec::new(), None);
    let filter = Filter { actor_id: Some(ResourceId::from_bytes([1; 16])), ..filter };
    loop {
        let slice = audit_log::following(&*world.store, reach, &filter, after, 4).await.expect("read");
        let Some(last) = slice.last() else { break };
        after = Some(last.id);
        oldest_first.extend(slice.iter().map(|entry| entry.id));
    }
    assert_eq!(oldest_first, created);
}

pub(crate) async fn entries_contain_no_secrets(world: &Fixture) {
    let db = &*world.store;
    let mut endpoint = world.endpoint("https://example.com/");
    endpoint.headers = Some(BTreeMap::from([("authorization".to_owned(), "Bearer sesame-one".to_owned())]));
    let key = EndpointKey::from(&endpoint);
    endpoints::create(db, &world.context(), &endpoint, &Secret::new("whsec_sesame-two"), None, None).await.expect("stored");
    let change = |endpoint: &mut Endpoint| -> Result<(), Error> {
        endpoint.headers = Some(BTreeMap::from([("authorization".to_owned(), "Bearer sesame-three".to_owned())]));
        Ok(())
    };
    endpoints::update(db, &world.context(), key, change).await.expect("changed");
    let (_, _, before, after) = newest(world).await;
    let masked = json!({ "headers": { "authorization": "***" } });
    assert_eq!((before, after), (masked.clone(), masked));
    endpoints::rotate_secret(db, &world.context(), key, Rotation { secret: &Secret::new("whsec_sesame-four"), old_until: NOON }, None)
        .await
        .expect("rotated");
    endpoints::delete(db, &world.context(), key).await.expect("deleted");
    let text = ApiKeyText::generate(KeyMode::Live, &[0xab; 32]);
    let api_key = ApiKey::unlimited(world.new_id(NOON).into(), world.tenant, "ci".to_owned());
    api_keys::create(db, &world.context(), &api_key, &text).await.expect("kept");
    let entries = format!("{:?}", of_tenant(world, world.tenant).await);
    assert!(entries.contains("endpoint.delete") && entries.contains("authorization"), "{entries}");
    for secret in ["sesame", "abab", "hs_live"] {
        assert!(!entries.contains(secret), "{secret} leaked in {entries}");
    }
}

pub(crate) async fn old_entries_are_deleted_in_slices(world: &Fixture) {
    let mut created = Vec::new();
    for number in 0..5 {
        created.push(
            record(world, NOON + DAY * number, world.tenant, key_actor(1), Action::EndpointTest, ResourceId::from_bytes([1; 16])).await,
        );
    }
    // Together with the fixture's own, four entries are older than the third day.
    let before = NOON + DAY * 3;
    let forget = async || audit_log::forget_before(&*world.store, before, 3).await.expect("forgotten");
    assert_eq!([forget().await, forget().await, forget().await], [3, 1, 0]);
    let mut left: Vec<_> = of_tenant(world, world.tenant).await.into_iter().map(|entry| entry.id).collect();
    left.reverse();
    assert_eq!(left, created[3..]);
}

pub(crate) async fn installation_entry_is_stored_in_each_organization(world: &Fixture) {
    let mut context = || AuditContext::of_operator(world.new_id(NOON), NOON);
    audit_log::record_everywhere(&*world.store, &mut context, Action::InstallationRotateKey, &Change::default()).await.expect("recorded");
    let filter = Filter { action: Some(Action::InstallationRotateKey), ..Filter::default() };
    for tenant in [world.tenant, world.stranger] {
        let actual = list(&*world.store, Reach::Organization(tenant.organization), filter).await;
        let actual: Vec<_> = actual.iter().map(|entry| (entry.environment, entry.actor_kind.as_str(), entry.resource_id)).collect();
        assert_eq!(actual, [(None, "operator", None)]);
        assert_eq!(list(&*world.store, Reach::Environment(tenant), filter).await, [], "an API key sees its environment only");
    }
}

#[tokio::test]
async fn sqlite_refuses_to_change_an_entry() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let store = std::sync::Arc::new(SqliteStore::open(directory.path()).expect("a store"));
    let world = Fixture::in_store(store.clone()).await;
    let before = of_tenant(&world, world.tenant).await;
    store.close().await;
    let connection = rusqlite::Connection::open(directory.path().join("core.db")).expect("opened");
    let refused = connection.execute("update audit_log set actor_kind = 'system'", []).expect_err("refused").to_string();
    assert!(refused.contains("append-only"), "{refused}");
    drop((connection, store, world.store.clone()));
    drop(world.store);
    let store = SqliteStore::open(directory.path()).expect("a store");
    assert_eq!(list(&store, Reach::Environment(world.tenant), Filter::default()).await, before);
    store.close().await;
}

#[tokio::test]
async fn postgres_refuses_to_change_an_entry() {
    let database = ScratchDatabase::create().await;
    let options = Options { url: Secret::new(database.url()), max_connections: 2, through_pooler: false, lease: Duration::from_secs(10) };
    let world = Fixture::in_store(std::sync::Arc::new(PostgresStore::open(&options).await.expect("a store"))).await;
    let before = of_tenant(&world, world.tenant).await;
    let client = hookstream_testkit::postgres::connect(&database.url()).await;
    for sql in ["update audit_log set actor_kind = 'system'", "truncate audit_log"] {
        let refused = client.batch_execute(sql).await.expect_err("refused");
        assert!(format!("{refused:?}").contains("append-only"), "{sql}: {refused:?}");
    }
    drop(client);
    assert_eq!(of_tenant(&world, world.tenant).await, before);
    world.store.close().await;
    database.drop().await;
}
