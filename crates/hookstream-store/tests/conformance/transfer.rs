//! Transfers between stores: the whole installation arrives, whatever interrupts it.

use std::{ops::ControlFlow, path::PathBuf, sync::Arc, time::Duration};

use hookstream_model::base::secret::Secret;
use hookstream_store::{
    Error as StoreError, Store,
    db::transfer::{Error, Limits, Moved, Report, Side, Transfer, unfinished},
    delivery::{
        cluster::NodeSelf,
        deliveries::{IdempotencyKey, Published},
    },
    postgres::{Options, PostgresStore},
    sqlite::SqliteStore,
};
use hookstream_testkit::postgres::ScratchDatabase;

use crate::{
    support::installation::{ANSWERS, Installation},
    support::{DAY, Fixture, NOON, PLENTY, SECOND, unlock},
};

/// Limits so small that even a small table takes several slices.
const SMALL: Limits = Limits { rows: 2, bytes: 1_000 };

/// Location of a store.
pub(crate) enum StoreLocation {
    Directory(tempfile::TempDir),
    Database(ScratchDatabase),
}

impl StoreLocation {
    pub(crate) fn directory() -> Self {
        Self::Directory(tempfile::tempdir().expect("a scratch directory"))
    }

    pub(crate) async fn database() -> Self {
        Self::Database(ScratchDatabase::create().await)
    }

    /// Opens the store, without its keys.
    pub(crate) async fn open(&self) -> Arc<dyn Side> {
        match self {
            Self::Directory(directory) => Arc::new(SqliteStore::open(directory.path()).expect("a store")),
            Self::Database(database) => {
                let url = Secret::new(database.url());
                let options = Options { url, max_connections: 2, through_pooler: true, lease: Duration::from_secs(10) };
                Arc::new(PostgresStore::open(&options).await.expect("a store"))
            }
        }
    }

    /// Fills the store with an installation.
    async fn fill(&self) -> Installation {
        let store = self.open().await;
        let installation = Installation::make(Arc::clone(&store) as Arc<dyn Store>).await;
        if let Self::Database(database) = self {
            // Expires the lease, as if the process were long gone.
            database.execute("update nodes set lapses_at = now() - interval '1 second'").await;
        }
        store.close().await;
        installation
    }

    pub(crate) async fn end(self) {
        if let Self::Database(database) = self {
            database.drop().await;
        }
    }
}

fn proceed(_: Moved) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

async fn transfer(source: &StoreLocation, target: &StoreLocation) -> Result<Report, Error> {
    let (from, to) = (source.open().await, target.open().await);
    let done = transfer_between(&*from, &*to, Limits::default()).await;
    from.close().await;
    to.close().await;
    done
}

async fn transfer_between(from: &dyn Side, to: &dyn Side, limits: Limits) -> Result<Report, Error> {
    let mut transfer = Transfer::begin(from, "here", to, limits).await?;
    assert!(transfer.copy(&mut proceed).await?);
    let report = transfer.verify().await?;
    assert_eq!(report.differences, []);
    transfer.finish(&report).await?;
    Ok(report)
}

/// Returns the content of an installation.
async fn read(place: &StoreLocation, installation: &Installation) -> Vec<String> {
    let store = place.open().await;
    unlock(&*store, &[1]).await.expect("unlocked");
    let read = installation.read(&*store).await;
    store.close().await;
    read
}

/// Returns the content as PostgreSQL stores it, without NUL.
fn without_nul(read: &[String]) -> Vec<String> {
    read.iter().map(|text| text.replace("nul\\0led", "nul\u{fffd}led")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_moves_to_postgres_and_back() {
    let places = [
        StoreLocation::directory(),
        StoreLocation::database().await,
        StoreLocation::database().await,
        StoreLocation::directory(),
        StoreLocation::directory(),
    ];
    let installation = places[0].fill().await;
    let before = read(&places[0], &installation).await;
    assert!(before.iter().any(|text| text.contains("nul\\0led")) && before.iter().any(|text| text.contains(&ANSWERS[0][..7])));
    let mut checksums = Vec::new();
    for pair in places.windows(2) {
        let report = transfer(&pair[0], &pair[1]).await.expect("moved");
        assert!(report.is_equal() && report.rows() > 100, "{report:?}");
        assert!(report.tables.iter().all(|table| table.source.rows > 0), "{report:?}");
        assert_eq!(read(&pair[1], &installation).await, without_nul(&before));
        assert_eq!(read(&pair[0], &installation).await.len(), before.len(), "the source is kept");
        checksums.push(report.tables.iter().map(|table| table.target).collect::<Vec<_>>());
    }
    assert!(checksums.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(read(&places[0], &installation).await, before, "the source is unchanged");
    for place in places {
        check_pending_is_claimed(&place, &installation).await;
        place.end().await;
    }
}

/// Checks that pending deliveries can be claimed, whichever process owned them.
async fn check_pending_is_claimed(place: &StoreLocation, installation: &Installation) {
    let store = place.open().await;
    let owner =
        store.enlist(&NodeSelf { name: "next".to_owned(), role: "all", version: "0", replaces: None }, NOON).await.expect("enlisted");
    let claimed = store.claim_due(owner, NOON + DAY * 9, PLENTY).await.expect("claimed").deliveries;
    assert_eq!(claimed.len(), 3 * 2 + 2 + 2);
    assert!(claimed.iter().any(|claimed| claimed.message.id == installation.owned));
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_event_ids_stay_valid_after_transfer() {
    let (source, target) = (StoreLocation::directory(), StoreLocation::database().await);
    let from = source.open().await;
    let world = Fixture::in_store(Arc::clone(&from) as Arc<dyn Store>).await;
    let publication = || {
        let mut publication = world.publication(world.message(NOON, "{}"), vec![]);
        publication.idempotency = Some(IdempotencyKey { key: "k".to_owned(), fingerprint: [1; 32] });
        publication.event_id = Some("e".to_owned());
        publication
    };
    let first = publication();
    let message_id = first.message.id;
    assert_eq!(from.publish(first).await.expect("stored"), Published::Stored);
    let to = target.open().await;
    transfer_between(&*from, &*to, SMALL).await.expect("moved");
    let repeated = to.publish(publication()).await.expect("a result");
    assert!(matches!(repeated, Published::Repeated { message_id: id, .. } if id == message_id), "{repeated:?}");
    let mut other = publication();
    other.idempotency = None;
    assert_eq!(to.publish(other).await.expect("a result"), Published::DuplicateEventId { message_id });
    to.close().await;
    from.close().await;
    target.end().await;
}

async fn interrupt_after_every_slice(source: StoreLocation, target: StoreLocation) {
    let installation = source.fill().await;
    let before = read(&source, &installation).await;
    let mut slices = 0;
    let report = loop {
        let (from, to) = (source.open().await, target.open().await);
        let mut transfer = Transfer::begin(&*from, "here", &*to, SMALL).await.expect("begun");
        assert_eq!(transfer.is_resumed(), slices > 0);
        let is_done = transfer.copy(&mut |_| ControlFlow::Break(())).await.expect("copied");
        assert_eq!(unfinished(&*to).await.expect("read").as_deref(), Some("here"));
        if is_done {
            let report = transfer.verify().await.expect("compared");
            transfer.finish(&report).await.expect("finished");
            assert_eq!(unfinished(&*to).await.expect("read"), None);
            from.close().await;
            to.close().await;
            break report;
        }
        slices += 1;
        from.close().await;
        to.close().await;
    };
    assert!(report.is_equal() && slices > 50, "{slices} slices: {report:?}");
    assert_eq!(without_nul(&read(&target, &installation).await), without_nul(&before));
    source.end().await;
    target.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_transfer_to_postgres_continues() {
    interrupt_after_every_slice(StoreLocation::directory(), StoreLocation::database().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_transfer_to_sqlite_continues() {
    interrupt_after_every_slice(StoreLocation::database().await, StoreLocation::directory()).await;
}

/// On SQLite the rows of a slice become durable before the mark.
#[tokio::test(flavor = "multi_thread")]
async fn repeated_slice_is_stored_once() {
    let (source, target) = (StoreLocation::directory(), StoreLocation::directory());
    let installation = source.fill().await;
    let (from, to) = (source.open().await, target.open().await);
    let mut transfer = Transfer::begin(&*from, "here", &*to, SMALL).await.expect("begun");
    transfer.copy(&mut proceed).await.expect("copied");
    drop(transfer);
    to.close().await;
    drop(to);
    let fresh = format!(r#"{{"source":"here","starts":{},"step":null,"after":[]}}"#, from.starts().await.expect("read"));
    set_mark(&target, &fresh);
    let to = target.open().await;
    let report = transfer_between(&*from, &*to, SMALL).await.expect("moved");
    assert!(report.is_equal());
    to.close().await;
    from.close().await;
    drop((from, to));
    assert_eq!(read(&target, &installation).await, read(&source, &installation).await);
}

fn core(place: &StoreLocation) -> PathBuf {
    let StoreLocation::Directory(directory) = place else { panic!("no directory") };
    directory.path().join("core.db")
}

fn set_mark(place: &StoreLocation, mark: &str) {
    let connection = rusqlite::Connection::open(core(place)).expect("opened");
    let changed = connection.execute("update settings set value = ?1 where name = 'transfer_from'", [mark]).expect("written");
    assert_eq!(changed, 1);
}

async fn refused(source: &StoreLocation, target: &StoreLocation) -> String {
    transfer(source, target).await.expect_err("refused").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_source_and_filled_target_are_refused() {
    let (source, target, empty) = (StoreLocation::directory(), StoreLocation::database().await, StoreLocation::directory());
    assert!(refused(&empty, &target).await.contains("no installation"));
    source.fill().await;
    transfer(&source, &target).await.expect("moved");
    let message = refused(&source, &target).await;
    assert!(message.contains("not empty: it contains organizations, environments, api_keys"), "{message}");
    let message = refused(&target, &source).await;
    assert!(message.contains("not empty"), "{message}");

    // A server that runs on the source.
    let store = target.open().await;
    let node = NodeSelf { name: "front".to_owned(), role: "all", version: "0", replaces: None };
    store.enlist(&node, NOON).await.expect("enlisted");
    let StoreLocation::Database(database) = &target else { panic!("a database") };
    database.execute("update nodes set lapses_at = now() + interval '60 s'").await;
    let message = refused(&target, &empty).await;
    assert!(message.contains("the source is in use: node \"front\""), "{message}");
    store.close().await;
    target.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_transfer_requires_the_same_source() {
    let (source, target, third) = (StoreLocation::directory(), StoreLocation::directory(), StoreLocation::directory());
    source.fill().await;
    let (from, to) = (source.open().await, target.open().await);
    let begin = async |name| Transfer::begin(&*from, name, &*to, SMALL).await;
    begin("here").await.expect("begun").copy(&mut |_| ControlFlow::Break(())).await.expect("copied");
    let message = begin("there").await.err().expect("refused").to_string();
    assert!(message.contains("an unfinished transfer from another source, here"), "{message}");
    let next = third.open().await;
    let message = Transfer::begin(&*to, "half", &*next, SMALL).await.err().expect("refused").to_string();
    assert!(message.contains("the source is an unfinished transfer from here"), "{message}");
    from.enlist(&NodeSelf { name: "front".to_owned(), role: "all", version: "0", replaces: None }, NOON + SECOND).await.expect("enlisted");
    let message = begin("here").await.err().expect("refused").to_string();
    assert!(message.contains("a server was started on the source"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_transfers_to_one_target_do_not_mix() {
    let (source, target) = (StoreLocation::database().await, StoreLocation::database().await);
    source.fill().await;
    let (from, to) = (source.open().await, target.open().await);
    let mut first = Transfer::begin(&*from, "here", &*to, SMALL).await.expect("begun");
    let mut second = Transfer::begin(&*from, "here", &*to, SMALL).await.expect("begun");
    first.copy(&mut |_| ControlFlow::Break(())).await.expect("copied");
    assert!(matches!(second.copy(&mut proceed).await, Err(Error::Overtaken)));
    first.copy(&mut proceed).await.expect("copied");
    let report = first.verify().await.expect("compared");
    first.finish(&report).await.expect("finished");
    from.close().await;
    to.close().await;
    source.end().await;
    target.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn difference_is_found_and_named() {
    let (source, target) = (StoreLocation::directory(), StoreLocation::database().await);
    source.fill().await;
    let (from, to) = (source.open().await, target.open().await);
    let mut transfer = Transfer::begin(&*from, "here", &*to, Limits::default()).await.expect("begun");
    transfer.copy(&mut proceed).await.expect("copied");
    let StoreLocation::Database(database) = &target else { panic!("a database") };
    database.execute("update payloads set body = body || '\\x00' where size > 1000000").await;
    database.execute("delete from pending where message_id = (select message_id from pending order by 1 limit 1)").await;
    let report = transfer.verify().await.expect("compared");
    let found: Vec<_> =
        report.differences.iter().map(|found| (found.table, found.day, found.source.rows.abs_diff(found.target.rows))).collect();
    assert_eq!(found, [("pending", Some(NOON.day()), 1), ("payloads", Some((NOON + DAY).day()), 0)]);
    assert!(matches!(transfer.finish(&report).await, Err(Error::Different)));
    assert!(unfinished(&*to).await.expect("read").is_some());
    from.close().await;
    to.close().await;
    target.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn directory_in_use_cannot_be_opened() {
    let source = StoreLocation::directory();
    source.fill().await;
    let _server = source.open().await;
    let StoreLocation::Directory(directory) = &source else { panic!("a directory") };
    assert!(matches!(SqliteStore::open(directory.path()), Err(StoreError::InUse { .. })));
}
