//! Migration of a store of an earlier version to the current schema, with all its content.

use std::{sync::Arc, time::Duration};

use hookstream_model::{
    base::{
        ids::{ApplicationId, EntryId, EnvironmentId, EventTypeId, OrganizationId},
        secret::Secret,
        time::Timestamp,
    },
    identity::tenancy::{KeyHash, Tenant},
    operations::audit_log::AuditContext,
};
use hookstream_store::{
    Error, PageRequest, Store,
    db::settings,
    identity::{api_keys, environments},
    operations::audit_log::{self, Filter, Reach},
    outbound::{applications, endpoints, event_types},
    postgres::{Options, PostgresStore},
    sqlite::SqliteStore,
};
use hookstream_testkit::postgres::ScratchDatabase;

use crate::support::{NOON, unlock};

const TENANT: Tenant = Tenant { organization: OrganizationId::from_bytes([1; 16]), environment: EnvironmentId::from_bytes([2; 16]) };
const APPLICATION: ApplicationId = ApplicationId::from_bytes([4; 16]);

/// Returns SQL for one row of each table of the first schema version. Databases differ in the notation of bytes.
fn first_version(bytes: fn(&str) -> String) -> String {
    let id = |byte: u8| bytes(&format!("{byte:02x}").repeat(16));
    let tenant = format!("{}, {}", id(1), id(2));
    let hash: String = KeyHash::of("a key").as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "insert into organizations (id, name, created_at) values ({org}, 'Acme', 1);
        insert into environments (id, organization_id, name, slug, weight, created_at, version)
            values ({environment}, {org}, 'Production', 'production', 3, 2, 7);
        insert into api_keys (id, organization_id, environment_id, name, hash, prefix, scopes, created_at)
            values ({key}, {tenant}, 'ci', {hash}, 'hs_live_0000', 'messages:write', 3);
        insert into applications (id, organization_id, environment_id, name, uid, metadata, status, created_at, updated_at, version, search)
            values ({application}, {tenant}, 'Customer', 'customer', '{{\"plan\":\"pro\"}}', 'active', 4, 5, 6, 'customer');
        insert into endpoints (id, organization_id, environment_id, application_id, url, signing_algorithm, status, ordering, on_failure,
            secret, created_at, updated_at, version)
            values ({endpoint}, {tenant}, {application}, 'https://example.com/', 'hmac-sha256', 'active', 'none', 'block',
            'whsec_plain', 5, 6, 7);
        insert into event_types (id, organization_id, environment_id, name, status, created_at, updated_at, version)
            values ({event_type}, {tenant}, 'invoice.paid', 'active', 6, 7, 8);
        insert into settings (name, value) values ('a', 'b');",
        org = id(1),
        environment = id(2),
        key = id(3),
        hash = bytes(&hash),
        application = id(4),
        endpoint = id(5),
        event_type = id(6),
    )
}

/// Checks that all rows exist, and that new features work.
async fn check(store: &dyn Store) {
    unlock(store, &[1]).await.expect("unlocked");
    let environment = environments::find(store, TENANT.organization, TENANT.environment).await.expect("read").expect("exists");
    assert_eq!((environment.slug.as_str(), environment.weight), ("production", Some(3)));
    let key = api_keys::find(store, KeyHash::of("a key")).await.expect("read").expect("exists");
    assert_eq!((key.name.as_str(), key.scopes.to_string()), ("ci", "messages:write".to_owned()));
    let application = applications::find(store, TENANT, APPLICATION).await.expect("read").expect("exists");
    assert_eq!((application.uid.as_deref().unwrap_or_default(), application.metadata.as_deref()), ("customer", Some(r#"{"plan":"pro"}"#)));
    let found = endpoints::all_with_secrets(store, TENANT, APPLICATION).await.expect("read");
    assert_eq!(found.iter().map(|found| found.secret.expose()).collect::<Vec<_>>(), ["whsec_plain"]);
    let event_type = event_types::find(store, TENANT, EventTypeId::from_bytes([6; 16])).await.expect("read").expect("exists");
    assert_eq!(event_type.name, "invoice.paid");
    assert_eq!(settings::find(store, "a").await.expect("read").as_deref(), Some("b"));

    let entries = async || {
        let all = PageRequest { after: None, limit: 10 };
        audit_log::list(store, Reach::Environment(TENANT), &Filter::default(), all).await.expect("read").items
    };
    assert_eq!(entries().await, [], "earlier changes have no entries");
    let context = AuditContext::of_system(EntryId::from_bytes([7; 16]), NOON);
    let rename = |application: &mut hookstream_model::outbound::application::Application| -> Result<(), Error> {
        (application.name, application.updated_at) = ("Renamed".to_owned(), Timestamp::from_millis(9));
        Ok(())
    };
    applications::update(store, &context, TENANT, APPLICATION, rename).await.expect("written").done().expect("exists");
    let entries: Vec<_> = entries().await.into_iter().map(|entry| (entry.action, entry.before, entry.after)).collect();
    let name_json = |name: &str| Some(format!(r#"{{"name":"{name}"}}"#));
    assert_eq!(entries, [("application.update".to_owned(), name_json("Customer"), name_json("Renamed"))]);
}

/// Released steps of the schema for each database. Each must migrate to the current version.
const SQLITE_STEPS: [&str; 3] = [
    include_str!("../../src/db/migrations/sqlite/core/0001_schema.sql"),
    include_str!("../../src/db/migrations/sqlite/core/0002_operational_events.sql"),
    include_str!("../../src/db/migrations/sqlite/core/0003_operations.sql"),
];
const POSTGRES_STEPS: [&str; 3] = [
    include_str!("../../src/db/migrations/postgres/0001_schema.sql"),
    include_str!("../../src/db/migrations/postgres/0002_operational_events.sql"),
    include_str!("../../src/db/migrations/postgres/0003_operations.sql"),
];

#[tokio::test(flavor = "multi_thread")]
async fn directory_of_each_earlier_version_is_migrated() {
    for version in 1..=SQLITE_STEPS.len() {
        check_directory_migration(version).await;
    }
}

async fn check_directory_migration(version: usize) {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let connection = rusqlite::Connection::open(directory.path().join("core.db")).expect("opened");
    connection.pragma_update(None, "journal_mode", "wal").expect("set");
    for (number, step) in SQLITE_STEPS.iter().take(version).enumerate() {
        connection.execute_batch(step).expect("a step of the schema");
        if number == 0 {
            connection.execute_batch(&first_version(|hex| format!("x'{hex}'"))).expect("filled");
        }
    }
    connection.pragma_update(None, "user_version", u32::try_from(version).expect("a few")).expect("set");
    drop(connection);
    for start in ["the first", "the second"] {
        let store = SqliteStore::open(directory.path()).unwrap_or_else(|error| panic!("{start}: {error}"));
        if start == "the first" {
            check(&store).await;
        }
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn database_of_each_earlier_version_is_migrated() {
    for version in 1..=POSTGRES_STEPS.len() {
        check_database_migration(version).await;
    }
}

async fn check_database_migration(version: usize) {
    let database = ScratchDatabase::create().await;
    database.execute("create table schema_steps (number bigint primary key, applied_at timestamptz not null)").await;
    for (number, step) in POSTGRES_STEPS.iter().take(version).enumerate() {
        database.execute(step).await;
        if number == 0 {
            database.execute(&first_version(|hex| format!("'\\x{hex}'::bytea"))).await;
        }
        database.execute(&format!("insert into schema_steps (number, applied_at) values ({}, now())", number + 1)).await;
    }
    let options = Options { url: Secret::new(database.url()), max_connections: 2, through_pooler: false, lease: Duration::from_secs(10) };
    // Two nodes start at the same time: one waits for the other.
    let open = || PostgresStore::open(&options);
    let (one, other) = tokio::join!(open(), open());
    let (one, other) = (Arc::new(one.expect("a store")), other.expect("a store"));
    check(&*one).await;
    one.close().await;
    other.close().await;
    database.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn directory_of_a_later_version_is_used_if_that_version_allows_it() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    SqliteStore::open(directory.path()).expect("created").close().await;
    let set = |version: u32, oldest: u32| {
        let connection = rusqlite::Connection::open(directory.path().join("core.db")).expect("opened");
        connection.pragma_update(None, "user_version", version).expect("set");
        connection.pragma_update(None, "application_id", oldest).expect("set");
    };
    set(99, 1);
    SqliteStore::open(directory.path()).expect("allowed").close().await;
    for oldest in [0, 99] {
        set(99, oldest);
        let refused = SqliteStore::open(directory.path()).err();
        assert!(matches!(refused, Some(Error::TooNew { found: 99, .. })), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn database_of_a_later_version_is_used_if_that_version_allows_it() {
    let database = ScratchDatabase::create().await;
    let options = Options { url: Secret::new(database.url()), max_connections: 2, through_pooler: false, lease: Duration::from_secs(10) };
    PostgresStore::open(&options).await.expect("created").close().await;
    database.execute("insert into schema_steps (number, applied_at) values (99, now())").await;
    PostgresStore::open(&options).await.expect("allowed").close().await;
    for oldest in ["update schema_oldest_program set steps = 99", "delete from schema_oldest_program"] {
        database.execute(oldest).await;
        let refused = PostgresStore::open(&options).await.err();
        assert!(matches!(refused, Some(Error::TooNew { found: 99, .. })), "{refused:?}");
    }
    database.drop().await;
}
