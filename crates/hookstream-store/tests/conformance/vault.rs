//! Sealing of secrets: in every row, bound to their place, and with a change of the key during use.

use hookstream_store::db::vault_keys;
use std::sync::Arc;

use hookstream_model::{
    base::{
        secret::Secret,
        vault::{Unopened, VaultKey},
    },
    outbound::{
        endpoint::Endpoint,
        target::{TargetConfig, TargetKind},
    },
};
use hookstream_store::{
    Error, Store,
    db::{
        transfer::Side,
        vault_keys::{Outdated, Rotated, Walk},
    },
    delivery::deliveries::IdempotencyKey,
    identity::portal_keys::{self, PortalKey},
    outbound::{
        applications,
        endpoints::{self, EndpointKey, Rotation},
        idempotency::{self, NewResponse},
    },
};
use hookstream_testkit::postgres;

use crate::{
    support::{DAY, Fixture, NOON, unlock},
    transfer::StoreLocation,
};

/// Secrets of the installation.
const SECRETS: [&str; 5] = ["whsec_marked_old", "whsec_marked_new", "marked_answer", "marked_portal_key", "marked_password"];

async fn places() -> [StoreLocation; 2] {
    [StoreLocation::directory(), StoreLocation::database().await]
}

fn key(byte: u8) -> VaultKey {
    VaultKey::from_bytes([byte; 32])
}

impl StoreLocation {
    /// Runs a statement outside Hookstream, and returns the texts of its only column.
    async fn texts(&self, sql: &str) -> Vec<String> {
        match self {
            Self::Directory(directory) => {
                let core = rusqlite::Connection::open(directory.path().join("core.db")).expect("opened");
                let mut statement = core.prepare(sql).expect("a statement");
                let texts = statement.query_map([], |row| row.get(0)).expect("rows");
                texts.collect::<Result<_, _>>().expect("texts")
            }
            Self::Database(database) => {
                let rows = postgres::connect(&database.url()).await.query(sql, &[]).await.expect("rows");
                rows.iter().map(|row| row.get(0)).collect()
            }
        }
    }

    /// Returns all texts that may contain a secret.
    async fn sealed(&self) -> Vec<String> {
        self.texts(
            "select secret from endpoints union all select previous_secrets from endpoints where previous_secrets is not null
            union all select config from endpoints where config is not null union all select body from idempotency_keys union all select value from settings where name like 'portal_key.%'",
        )
        .await
    }

    /// Opens the store with these keys, the current one first.
    async fn open_with(&self, keys: &[u8]) -> Arc<dyn Side> {
        let store = self.open().await;
        unlock(&*store, keys).await.expect("unlocked");
        store
    }
}

fn answer(key: &str) -> NewResponse {
    let key = IdempotencyKey { key: key.to_owned(), fingerprint: [3; 32] };
    NewResponse { key, status: 201, body: "marked_answer".to_owned(), created_at: NOON, window_start: NOON - DAY }
}

/// Stores an endpoint with both secrets, a response and a portal key. Returns the fixture and the endpoint.
async fn fill(store: Arc<dyn Store>) -> (Fixture, Endpoint) {
    let world = Fixture::in_store(store).await;
    let db = &*world.store;
    let kind = TargetKind::RabbitMq;
    let config = TargetConfig::new(kind, [("password".to_owned(), SECRETS[4].to_owned())].into());
    let endpoint = Endpoint { kind, config: Some(config), ..world.endpoint("https://example.com/") };
    endpoints::create(db, &world.context(), &endpoint, &Secret::new(SECRETS[0]), None, None).await.expect("written");
    let until = NOON + DAY;
    assert_eq!(
        endpoints::rotate_secret(
            db,
            &world.context(),
            (&endpoint).into(),
            Rotation { secret: &Secret::new(SECRETS[1]), old_until: until },
            None
        )
        .await
        .expect("written"),
        endpoints::Rotated::Done
    );
    applications::create(db, &world.context(), &world.application(NOON, "answered"), Some(answer("k"))).await.expect("written");
    let key = PortalKey { id: world.new_id(NOON).into(), secret: Secret::new(SECRETS[3]) };
    assert!(portal_keys::create_unless_since(db, &key, NOON).await.expect("written"));
    (world, endpoint)
}

/// Reads the secrets.
async fn read(store: &dyn Store, world: &Fixture) -> Vec<String> {
    let all = endpoints::all_with_secrets(store, world.tenant, world.application).await.expect("read");
    let answer = idempotency::find(store, world.tenant, "k", NOON - DAY).await.expect("read").expect("stored");
    let portal = portal_keys::current(store).await.expect("read").expect("exists").secret;
    let (previous, _) = all[0].rotated.first().expect("rotated");
    let password = all[0].endpoint.config.as_ref().and_then(|config| config.get("password")).expect("a password").to_owned();
    vec![previous.expose().to_owned(), all[0].secret.expose().to_owned(), answer.body, portal.expose().to_owned(), password]
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_sealed_in_their_rows() {
    for place in places().await {
        let store = place.open().await;
        let (world, _) = fill(store.clone()).await;
        assert_eq!(read(&*store, &world).await, SECRETS);
        let sealed = place.sealed().await;
        assert_eq!(sealed.len(), 5);
        let under = format!("enc:v1:{}:", key(1).id());
        assert!(sealed.iter().all(|text| text.starts_with(&under) && !text.contains("marked")), "{sealed:?}");
        store.close().await;
        place.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn locked_store_neither_writes_nor_reads_secrets() {
    for place in places().await {
        let store = place.open_with(&[1]).await;
        let (world, endpoint) = fill(store.clone()).await;
        store.close().await;
        let context = world.context();
        let portal_key = PortalKey { id: world.new_id(NOON).into(), secret: Secret::new("x") };
        drop((store, world.store));
        let store = place.open().await;
        let locked = |error: Error| assert!(matches!(error, Error::Locked), "{error:?}");
        let key = EndpointKey::from(&endpoint);
        locked(endpoints::find(&*store, key).await.expect_err("locked"));
        locked(endpoints::create(&*store, &context, &endpoint, &Secret::new("x"), None, None).await.expect_err("locked"));
        locked(
            endpoints::rotate_secret(&*store, &context, key, Rotation { secret: &Secret::new("x"), old_until: NOON }, None)
                .await
                .expect_err("locked"),
        );
        locked(idempotency::find(&*store, endpoint.tenant, "k", NOON - DAY).await.expect_err("locked"));
        locked(idempotency::store(&*store, endpoint.tenant, answer("l")).await.expect_err("locked"));
        locked(portal_keys::create_unless_since(&*store, &portal_key, NOON + DAY).await.expect_err("locked"));
        locked(vault_keys::rotate(&*store, &mut |_| ()).await.expect_err("locked"));
        store.close().await;
        drop(store);
        place.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_key_is_refused_and_leaves_no_mark() {
    for place in places().await {
        let store = place.open_with(&[1]).await;
        store.close().await;
        drop(store);
        let store = place.open().await;
        let refused = unlock(&*store, &[2, 3]).await.expect_err("refused");
        assert!(matches!(refused, Error::MissingKey { id } if id == key(1).id()), "{refused:?}");
        assert_eq!(vault_keys::known(&*store).await.expect("read").marked, [key(1).id()]);
        unlock(&*store, &[2, 1]).await.expect("both keys are given");
        assert_eq!(vault_keys::known(&*store).await.expect("read").marked.len(), 2);
        store.close().await;
        drop(store);
        place.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_key_generation_agrees_on_one_key() {
    let place = StoreLocation::database().await;
    let (one, two) = (place.open().await, place.open().await);
    let (fresh_one, fresh_two) = (key(1), key(2));
    let (first, second) = tokio::join!(vault_keys::keep_generated(&*one, &fresh_one), vault_keys::keep_generated(&*two, &fresh_two));
    let (first, second) = (first.expect("kept"), second.expect("kept"));
    assert_eq!(first, second);
    assert_eq!(vault_keys::known(&*one).await.expect("read").generated, Some(first));
    one.close().await;
    two.close().await;
    place.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn moved_secret_does_not_open() {
    for place in places().await {
        let store = place.open_with(&[1]).await;
        let (world, endpoint) = fill(store.clone()).await;
        let other = world.endpoint("https://example.com/other");
        endpoints::create(&*store, &world.context(), &other, &Secret::new("theirs"), None, None).await.expect("written");
        let other_secret = place.texts("select secret from endpoints where url = 'https://example.com/other'").await.remove(0);
        let moved = format!("update endpoints set secret = '{other_secret}' where url = 'https://example.com/' returning url");
        assert_eq!(place.texts(&moved).await.len(), 1);
        let error = endpoints::find(&*store, (&endpoint).into()).await.expect_err("sealed for another row");
        assert!(matches!(error, Error::Unopened { cause: Unopened::Damaged, .. }), "{error:?}");
        // The same holds for a former secret moved to the current one's column.
        let swapped = "update endpoints set secret = previous_secrets where url = 'https://example.com/' returning url";
        assert_eq!(place.texts(swapped).await.len(), 1);
        assert!(endpoints::find(&*store, (&endpoint).into()).await.is_err());
        store.close().await;
        drop((store, world.store));
        // The secret stays unchanged and does not block the rotation of the rest, but the earlier key is not retired.
        let store = place.open_with(&[2, 1]).await;
        let rotated = vault_keys::rotate(&*store, &mut |_| ()).await.expect("rotated");
        assert_eq!((rotated.rows, rotated.unopened, rotated.retired.len()), (3, 1, 0));
        assert_eq!(vault_keys::known(&*store).await.expect("read").marked.len(), 2);
        store.close().await;
        drop(store);
        place.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_secrets_are_read_and_sealed_by_the_walk() {
    for place in places().await {
        let store = place.open_with(&[1]).await;
        let (world, _) = fill(store.clone()).await;
        for sql in [
            "update endpoints set secret = 'whsec_marked_new', previous_secrets = '[[\"whsec_marked_old\",4102444800000]]',
                config = '{\"password\":\"marked_password\"}' returning url",
            "update idempotency_keys set body = 'marked_answer' returning key",
            "update settings set value = 'marked_portal_key' where name like 'portal_key.%' returning name",
        ] {
            assert_eq!(place.texts(sql).await.len(), 1, "{sql}");
        }
        assert_eq!(read(&*store, &world).await, SECRETS);
        let mut walk = Walk::new(Outdated::Plain);
        while walk.step(&*store).await.expect("walked") {}
        assert_eq!((walk.rows, walk.unopened), (3, 0));
        assert!(place.sealed().await.iter().all(|text| text.starts_with("enc:v1:")));
        assert_eq!(read(&*store, &world).await, SECRETS);
        store.close().await;
        drop((store, world.store));
        place.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation_seals_every_row_again_and_retires_the_earlier_key() {
    const MANY: usize = 450;
    for place in places().await {
        let store = place.open_with(&[1]).await;
        let (world, _) = fill(store.clone()).await;
        for number in 0..MANY {
            endpoints::create(&*store, &world.context(), &world.endpoint("https://example.com/"), &Secret::new("x"), None, None)
                .await
                .expect("written");
            idempotency::store(&*store, world.tenant, answer(&format!("{number}"))).await.expect("written");
        }
        store.close().await;
        drop((store, world.store.clone()));
        let Fixture { tenant, application, .. } = world;
        drop(world);

        let store = place.open_with(&[2, 1]).await;
        // Interrupted after a slice, and begun again.
        let mut walk = Walk::new(Outdated::PlainOrEarlier);
        for _ in 0..2 {
            assert!(walk.step(&*store).await.expect("walked"));
        }
        let done = walk.rows;
        assert!(done > 1 && done < MANY as u64, "{done}");
        let mut progress = Vec::new();
        let rotated = vault_keys::rotate(&*store, &mut |rows| progress.push(rows)).await.expect("rotated");
        let all = 3 + 2 * MANY as u64;
        let expected = Rotated { rows: all - done, unopened: 0, retired: vec![key(1).id()], is_overtaken: false };
        assert_eq!(rotated, expected);
        assert!(progress.len() > 4 && progress.is_sorted(), "{progress:?}");
        assert!(place.sealed().await.iter().all(|text| text.starts_with(&format!("enc:v1:{}:", key(2).id()))));
        assert_eq!(vault_keys::rotate(&*store, &mut |_| ()).await.expect("rotated").rows, 0);
        store.close().await;
        drop(store);

        // The earlier key is no longer needed.
        let store = place.open_with(&[2]).await;
        assert_eq!(endpoints::all_with_secrets(&*store, tenant, application).await.expect("read").len(), MANY + 1);
        store.close().await;
        drop(store);
        let store = place.open().await;
        assert!(matches!(unlock(&*store, &[1]).await, Err(Error::MissingKey { id }) if id == key(2).id()));
        store.close().await;
        drop(store);
        place.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sealing_under_a_retired_key_is_refused() {
    let place = StoreLocation::database().await;
    let old = place.open_with(&[1, 2]).await;
    let (world, endpoint) = fill(old.clone()).await;
    let new = place.open_with(&[2, 1]).await;
    assert_eq!(vault_keys::rotate(&*new, &mut |_| ()).await.expect("rotated").retired, [key(1).id()]);
    assert_eq!(read(&*old, &world).await, SECRETS, "this node also has the new key");
    let rotated = endpoints::rotate_secret(
        &*old,
        &world.context(),
        (&endpoint).into(),
        Rotation { secret: &Secret::new("x"), old_until: NOON },
        None,
    )
    .await;
    assert!(matches!(rotated, Err(Error::KeyRetired { id }) if id == key(1).id()), "{rotated:?}");
    let changed = endpoints::update(&*old, &world.context(), (&endpoint).into(), |endpoint| -> Result<(), Error> {
        endpoint.description = Some("changed".to_owned());
        Ok(())
    })
    .await;
    assert!(matches!(changed, Err(Error::KeyRetired { .. })), "{changed:?}");
    let refused = idempotency::store(&*old, world.tenant, answer("l")).await;
    assert!(matches!(refused, Err(Error::KeyRetired { .. })), "{refused:?}");
    assert!(place.sealed().await.iter().all(|text| text.starts_with(&format!("enc:v1:{}:", key(2).id()))));
    old.close().await;
    new.close().await;
    place.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn generated_key_is_removed_once_it_seals_nothing() {
    let place = StoreLocation::directory();
    let store = place.open().await;
    let generated = vault_keys::keep_generated(&*store, &key(1)).await.expect("kept");
    unlock(&*store, &[1]).await.expect("unlocked");
    let (world, _) = fill(store.clone()).await;
    vault_keys::forget_generated(&*store).await.expect("left");
    assert_eq!(vault_keys::known(&*store).await.expect("read").generated, Some(generated), "the key is current");
    store.close().await;
    drop((store, world.store));
    let store = place.open_with(&[2, 1]).await;
    vault_keys::forget_generated(&*store).await.expect("left");
    assert!(vault_keys::known(&*store).await.expect("read").generated.is_some(), "rows are sealed under it");
    vault_keys::rotate(&*store, &mut |_| ()).await.expect("rotated");
    vault_keys::forget_generated(&*store).await.expect("forgotten");
    assert_eq!(vault_keys::known(&*store).await.expect("read").generated, None);
    store.close().await;
}
