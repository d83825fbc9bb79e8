//! Signing keys of portal tokens.

use std::time::Duration;

use hookstream_model::base::{
    ids::{IdSource, PortalKeyId},
    secret::Secret,
    time::Timestamp,
};
use hookstream_store::{
    db::settings,
    identity::portal_keys::{self, Former, PortalKey},
};
use rand::{SeedableRng, rngs::StdRng};

use crate::support::{DAY, Fixture, NOON, SECOND};

const HOUR: Duration = Duration::from_secs(3600);

fn portal_key(at: Timestamp, secret: &str) -> PortalKey {
    let seed = u64::try_from(at.as_millis()).expect("later");
    PortalKey { id: IdSource::new(StdRng::seed_from_u64(seed)).next(at).into(), secret: Secret::new(secret) }
}

pub(crate) async fn newest_key_signs_and_replaced_key_is_valid_for_an_hour(world: &Fixture) {
    let db = &*world.store;
    let find = async |id: PortalKeyId, now: Timestamp| portal_keys::find(db, id, now).await.expect("read");
    let current = async || portal_keys::current(db).await.expect("read").map(|key| key.id);
    assert_eq!(current().await, None);
    let first = portal_key(NOON, "one");
    assert!(portal_keys::create_unless_since(db, &first, NOON - DAY).await.expect("kept"));
    // A recent key stays the signing key.
    assert!(!portal_keys::create_unless_since(db, &portal_key(NOON + HOUR, "no"), NOON).await.expect("not kept"));
    assert_eq!((current().await, find(first.id, NOON + DAY).await), (Some(first.id), Some(Secret::new("one"))));

    let second = portal_key(NOON + DAY, "two");
    assert!(portal_keys::create_unless_since(db, &second, NOON + SECOND).await.expect("kept"));
    assert_eq!(current().await, Some(second.id));
    assert_eq!(find(first.id, NOON + DAY + HOUR).await, Some(Secret::new("one")));
    assert_eq!(portal_keys::forget_over(db, NOON + DAY + HOUR).await.expect("looked"), 0);
    // After that the key is rejected, whether its row still exists or not.
    assert_eq!(find(first.id, NOON + DAY + HOUR * 2).await, None);
    assert_eq!(portal_keys::forget_over(db, NOON + DAY + HOUR * 2).await.expect("forgotten"), 1);
    assert_eq!(find(first.id, NOON).await, None);
    assert_eq!(find(second.id, NOON + DAY * 100).await, Some(Secret::new("two")));
    assert_eq!(find(PortalKeyId::from_bytes([9; 16]), NOON).await, None);
}

pub(crate) async fn manual_rotation_can_end_former_keys_at_once(world: &Fixture) {
    let db = &*world.store;
    // Key of earlier versions.
    settings::get_or_keep(db, "portal_key", "plain".to_owned()).await.expect("kept");
    let first = portal_key(NOON, "one");
    assert!(portal_keys::create_unless_since(db, &first, NOON).await.expect("kept"));
    assert_eq!(settings::find(db, "portal_key").await.expect("read"), None);
    // A clock that is behind.
    let mut fresh = |at| portal_key(at, "two");
    let second = portal_keys::rotate(db, &mut fresh, Former::Outlive, NOON - HOUR).await.expect("rotated");
    assert_eq!(portal_keys::current(db).await.expect("read").map(|key| key.id), Some(second.id));
    assert_eq!(portal_keys::find(db, first.id, NOON).await.expect("read"), Some(Secret::new("one")));
    let mut fresh = |at| portal_key(at, "three");
    let third = portal_keys::rotate(db, &mut fresh, Former::EndNow, NOON + HOUR).await.expect("rotated");
    for (id, expected) in [(first.id, None), (second.id, None), (third.id, Some(Secret::new("three")))] {
        assert_eq!(portal_keys::find(db, id, NOON + HOUR).await.expect("read"), expected);
    }
}
