//! Index of the words of messages. A store in memory has none, so these tests run on the other stores only.

use std::sync::Arc;

use hookstream_model::{
    base::{ids::MessageId, secret::Secret, time::Timestamp},
    identity::tenancy::Tenant,
    outbound::{
        message::{Message, Payload},
        text_search::TextQuery,
    },
};
use hookstream_store::{
    Store, TextIndex,
    delivery::{
        deliveries::Published,
        finding::{Direction, Found, IdBytes, MessageFilter, MessageSearch, Payloads, Range},
        messages::Message as Stored,
        text_index::{IndexSlice, IndexState},
    },
    postgres::{self, PostgresStore},
    sqlite::SqliteStore,
};
use hookstream_testkit::postgres::ScratchDatabase;

use crate::support::{DAY, Fixture, NOON, SECOND};

/// Generates one test per database and behaviour.
macro_rules! on_both {
    ($($name:ident)*) => {$(
        mod $name {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite() {
                super::behaviour::$name(&crate::support::Fixture::on_sqlite().await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres() {
                let world = crate::support::Fixture::on_postgres().await;
                super::behaviour::$name(&world).await;
                world.end().await;
            }
        }
    )*};
}

on_both! {
    messages_are_found_by_all_of_their_words
    other_tenants_and_applications_are_not_found
    messages_outside_of_the_index_are_found_by_id_and_type
    pages_go_both_ways_over_days_and_filters
    slices_continue_where_the_last_one_ended
    old_days_leave_the_index
    large_index_loses_its_oldest_days
    words_of_an_environment_are_forgotten
    dropped_index_is_built_again
    searches_succeed_while_the_index_comes_and_goes
}

/// Publishes a message with a body.
async fn publish(world: &Fixture, at: Timestamp, body: &str) -> MessageId {
    publish_as(world, at, body, "invoice.paid", None).await
}

async fn publish_as(world: &Fixture, at: Timestamp, body: &str, event_type: &str, event_id: Option<&str>) -> MessageId {
    let message = world.message(at, "");
    let payload = Payload { body: body.to_owned().into(), ..message.payload };
    let message = Message { payload, event_type: event_type.to_owned(), ..message };
    let id = message.id;
    let mut publication = world.publication(message, vec![]);
    publication.event_id = event_id.map(str::to_owned);
    assert_eq!(world.store.publish(publication).await.expect("published"), Published::Stored);
    id
}

/// Slice that begins a day before `NOON` and ends at this time.
fn slice(until: Timestamp, most: usize) -> IndexSlice {
    IndexSlice { since: MessageId::before_all_at((NOON - DAY).day().start()), until: MessageId::before_all_at(until), most }
}

/// Indexes everything before this time.
async fn index(store: &dyn Store, until: Timestamp) -> usize {
    let mut messages = 0;
    loop {
        let indexed = store.index_text(slice(until, 3)).await.expect("indexed").expect("an index");
        messages += indexed.messages;
        if indexed.is_caught_up {
            return messages;
        }
    }
}

fn search(tenant: Tenant, text: &str) -> (MessageSearch, Option<TextQuery>) {
    let range = Range { tenant, origin: None, lowest: [0; 16], below: [0xff; 16], direction: Direction::Older };
    let filter = MessageFilter { search: Some(text.to_lowercase()), ..MessageFilter::default() };
    (MessageSearch { range, filter, limit: 50, payloads: Payloads::Included }, TextQuery::parse(text).expect("a query"))
}

async fn found_by(store: &dyn Store, tenant: Tenant, text: &str) -> Vec<MessageId> {
    let (search, query) = search(tenant, text);
    let (found, _) = store.find_text(search, query).await.expect("found");
    assert_eq!(found.next, None, "{text}");
    ids(&found)
}

fn ids(found: &Found<Stored, IdBytes>) -> Vec<MessageId> {
    found.items.iter().map(|message| message.id).collect()
}

mod behaviour {
    use super::*;

    pub(super) async fn messages_are_found_by_all_of_their_words(world: &Fixture) {
        let (one, two) = (NOON, NOON + SECOND);
        let first = publish(world, one, r#"{"customer":"Ada Lovelace","mail":"ada@example.com","order_id":"ord_7f3a-99"}"#).await;
        let second =
            publish_as(world, two, r#"{"customer":"Ada\u0020Byron","note":"Caf\u00e9 \u00c9T\u00c9"}"#, "order.made", Some("Order-77"))
                .await;
        assert_eq!(index(&*world.store, NOON + SECOND * 10).await, 2);
        let check = async |text: &str, expected: &[MessageId]| {
            assert_eq!(found_by(&*world.store, world.tenant, text).await, expected, "{text}");
        };
        check("ada", &[second, first]).await;
        check("ADA lovelace", &[first]).await;
        check("lovelace, Ada", &[first]).await;
        check("ada@example.com", &[first]).await;
        check("ord_7f3a-99", &[first]).await;
        check("ord_7f3", &[]).await;
        check("ord_7f3*", &[first]).await;
        check("café été", &[second]).await;
        check("customer", &[second, first]).await;
        check("order-77", &[second]).await;
        check("order.made", &[second]).await;
        check(&first.to_string(), &[first]).await;
        check(&format!("{}*", &second.to_string()[..20]), &[second]).await;
        check("ada nobody", &[]).await;
        // Syntax of full-text engines is text like any other.
        for text in [
            "ada OR lovelace",
            "ada -lovelace\" --",
            "\"ada",
            "lovelace | byron",
            "words : ada",
            "ada & !byron",
            "ada' ); drop",
            "NEAR(ada byron)",
        ] {
            found_by(&*world.store, world.tenant, text).await;
        }
        check("ada | lovelace", &[first]).await;
        check("ada & !byron", &[second]).await;
    }

    pub(super) async fn other_tenants_and_applications_are_not_found(world: &Fixture) {
        let mark = format!("~e{} ~o{} secret", world.stranger.environment, world.application);
        let own = publish(world, NOON, &mark).await;
        index(&*world.store, NOON + SECOND * 10).await;
        assert_eq!(found_by(&*world.store, world.tenant, "secret").await, [own]);
        assert_eq!(found_by(&*world.store, world.stranger, "secret").await, []);
        let (mut search, query) = search(world.tenant, "secret");
        search.range.origin = Some(world.application.into());
        assert_eq!(ids(&world.store.find_text(search.clone(), query.clone()).await.expect("found").0), [own]);
        search.range.origin = Some(hookstream_model::base::ids::OriginId::from_bytes([9; 16]));
        assert_eq!(ids(&world.store.find_text(search, query).await.expect("found").0), []);
    }

    pub(super) async fn messages_outside_of_the_index_are_found_by_id_and_type(world: &Fixture) {
        let old = publish_as(world, NOON - DAY * 3, r#""needle""#, "needle.old", Some("x-needle-1")).await;
        let indexed = publish(world, NOON, r#""needle""#).await;
        let by_word = publish(world, NOON + SECOND * 20, r#""needle""#).await;
        let by_type = publish_as(world, NOON + SECOND * 21, "1", "a.needle", None).await;
        let by_event_id = publish_as(world, NOON + SECOND * 22, "2", "a.b", Some("the-NEEDLE-7")).await;
        assert_eq!(found_by(&*world.store, world.tenant, "needle").await, [by_event_id, by_type, old], "there is no index");
        assert_eq!(world.store.text_index_state().await.expect("read"), None);
        index(&*world.store, NOON + SECOND * 10).await;
        assert_eq!(found_by(&*world.store, world.tenant, "needle").await, [by_event_id, by_type, indexed, old]);
        let state = world.store.text_index_state().await.expect("read").expect("an index");
        let expected = slice(NOON + SECOND * 10, 1);
        assert_eq!(state, IndexState { since: *expected.since.as_bytes(), until: *expected.until.as_bytes() });
        // A text without a word is looked for in ids.
        assert_eq!(found_by(&*world.store, world.tenant, "-n").await, [by_event_id, old]);
        index(&*world.store, NOON + SECOND * 30).await;
        assert_eq!(found_by(&*world.store, world.tenant, "needle").await, [by_event_id, by_type, by_word, indexed, old]);
    }

    pub(super) async fn pages_go_both_ways_over_days_and_filters(world: &Fixture) {
        let mut expected = Vec::new();
        for number in 0..12_u32 {
            let at = NOON - DAY + DAY / 8 * number;
            let event_type = if number % 3 == 0 { "other.type" } else { "invoice.paid" };
            let id = publish_as(world, at, &format!(r#"{{"common":true,"number":"n{number}"}}"#), event_type, None).await;
            if number % 3 != 0 {
                expected.push(id);
            }
        }
        index(&*world.store, NOON + DAY).await;
        let (mut search, query) = search(world.tenant, "common");
        search.filter.event_types = vec!["invoice.paid".to_owned()];
        search.limit = 3;
        for direction in [Direction::Older, Direction::Newer] {
            search.range = Range { direction, lowest: [0; 16], below: [0xff; 16], ..search.range };
            let mut all = Vec::new();
            loop {
                let (found, _) = world.store.find_text(search.clone(), query.clone()).await.expect("found");
                let mut page = ids(&found);
                if direction == Direction::Newer {
                    page.reverse();
                }
                all.extend(page);
                let Some(next) = found.next else { break };
                match direction {
                    Direction::Older => search.range.below = next,
                    Direction::Newer => search.range.lowest = next,
                }
            }
            if direction == Direction::Older {
                all.reverse();
            }
            assert_eq!(all, expected, "{direction:?}");
        }
        search.range =
            Range { direction: Direction::Older, lowest: *expected[2].as_bytes(), below: *expected[5].as_bytes(), ..search.range };
        search.payloads = Payloads::LeftOut;
        let (found, _) = world.store.find_text(search, query).await.expect("found");
        assert_eq!(ids(&found), [expected[4], expected[3], expected[2]]);
        assert!(found.items.iter().all(|message| message.payload.is_none()));
    }

    pub(super) async fn slices_continue_where_the_last_one_ended(world: &Fixture) {
        let mut expected = Vec::new();
        for number in 0..7 {
            expected.push(publish(world, NOON + SECOND * number, "\"same word\"").await);
        }
        let until = NOON + SECOND * 30;
        // Two processes may work for a moment after the role has changed hands.
        let (one, two) = tokio::join!(world.store.index_text(slice(until, 4)), world.store.index_text(slice(until, 4)));
        one.expect("indexed");
        two.expect("indexed");
        index(&*world.store, until).await;
        expected.reverse();
        assert_eq!(found_by(&*world.store, world.tenant, "word").await, expected, "each message once");
        assert_eq!(index(&*world.store, until).await, 0);
        let newest = publish(world, NOON + SECOND * 40, "\"word\"").await;
        assert_eq!(index(&*world.store, NOON + SECOND * 50).await, 1);
        expected.insert(0, newest);
        assert_eq!(found_by(&*world.store, world.tenant, "word").await, expected);
    }

    pub(super) async fn old_days_leave_the_index(world: &Fixture) {
        let before = publish(world, NOON - DAY, "\"needle\"").await;
        let after = publish(world, NOON, "\"needle\"").await;
        index(&*world.store, NOON + SECOND * 30).await;
        assert_eq!(found_by(&*world.store, world.tenant, "needle").await, [after, before]);
        world.store.trim_text_index(NOON.day(), u64::MAX).await.expect("trimmed");
        let state = world.store.text_index_state().await.expect("read").expect("an index");
        assert_eq!(state.since, *MessageId::before_all_at(NOON.day().start()).as_bytes());
        assert_eq!(found_by(&*world.store, world.tenant, "needle").await, [after]);
        // The newest day leaves as well, once it is old.
        let other = publish(world, NOON + DAY, "\"needle\"").await;
        world.store.trim_text_index((NOON + DAY).day(), u64::MAX).await.expect("trimmed");
        assert_eq!(found_by(&*world.store, world.tenant, "needle").await, []);
        assert_eq!(index(&*world.store, NOON + DAY + SECOND * 30).await, 1);
        assert_eq!(found_by(&*world.store, world.tenant, "needle").await, [other]);
        // The messages of a dropped day are not found, whatever the index has.
        world.store.drop_days_before((NOON + DAY * 2).day()).await.expect("dropped");
        assert_eq!(found_by(&*world.store, world.tenant, "needle").await, []);
    }

    pub(super) async fn large_index_loses_its_oldest_days(world: &Fixture) {
        publish(world, NOON - DAY, "\"needle\"").await;
        let after = publish(world, NOON, "\"needle\"").await;
        index(&*world.store, NOON + SECOND * 30).await;
        world.store.trim_text_index((NOON - DAY).day(), 1).await.expect("trimmed");
        assert_eq!(found_by(&*world.store, world.tenant, "needle").await, [after], "the newest day stays");
    }

    pub(super) async fn words_of_an_environment_are_forgotten(world: &Fixture) {
        let mut ids = Vec::new();
        for at in [NOON - DAY, NOON, NOON + SECOND] {
            ids.push(publish(world, at, "\"needle\"").await);
        }
        index(&*world.store, NOON + SECOND * 30).await;
        world.store.forget_text(world.stranger.environment, ids[2]).await.expect("forgotten");
        assert_eq!(found_by(&*world.store, world.tenant, "needle").await, [ids[2], ids[1], ids[0]]);
        world.store.forget_text(world.tenant.environment, ids[2]).await.expect("forgotten");
        assert_eq!(found_by(&*world.store, world.tenant, "needle").await, [ids[2]]);
    }

    pub(super) async fn dropped_index_is_built_again(world: &Fixture) {
        let id = publish(world, NOON, "\"needle\"").await;
        index(&*world.store, NOON + SECOND * 30).await;
        world.store.drop_text_index().await.expect("dropped");
        assert_eq!(world.store.text_index_state().await.expect("read"), None);
        assert_eq!(found_by(&*world.store, world.tenant, "needle").await, []);
        assert_eq!(index(&*world.store, NOON + SECOND * 30).await, 1);
        assert_eq!(found_by(&*world.store, world.tenant, "needle").await, [id]);
    }

    pub(super) async fn searches_succeed_while_the_index_comes_and_goes(world: &Fixture) {
        let id = publish(world, NOON, "\"needle\"").await;
        let rounds = async {
            for _ in 0..20 {
                index(&*world.store, NOON + SECOND * 30).await;
                world.store.drop_text_index().await.expect("dropped");
            }
        };
        let searches = async {
            loop {
                let found = found_by(&*world.store, world.tenant, "needle").await;
                assert!(found.is_empty() || found == [id], "{found:?}");
                world.store.text_index_state().await.expect("read");
            }
        };
        tokio::select! {
            () = rounds => {}
            () = searches => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn index_survives_a_restart() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let world = Fixture::in_store(Arc::new(SqliteStore::open(directory.path()).expect("a store"))).await;
    let before = publish(&world, NOON - DAY, "\"needle\"").await;
    let id = publish(&world, NOON, "\"needle\"").await;
    index(&*world.store, NOON + SECOND * 30).await;
    let (tenant, state) = (world.tenant, world.store.text_index_state().await.expect("read").expect("an index"));
    world.store.close().await;
    drop(world);
    let store = SqliteStore::open(directory.path()).expect("a store");
    let read = store.text_index_state().await.expect("read").expect("an index");
    assert_eq!((read.since, read.until <= state.until), (state.since, true));
    assert_eq!(found_by(&store, tenant, "needle").await, [id, before]);
    assert_eq!(index(&store, NOON + SECOND * 30).await, 0, "nothing is indexed twice");
    store.close().await;
}

/// Number of messages of the measurement.
const MESSAGES: usize = 1_000_000;

/// Measures searches in a million messages: `cargo nextest run -p hookstream-store --run-ignored only million --no-capture`.
mod million {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "takes minutes"]
    async fn on_sqlite() {
        let directory = tempfile::tempdir().expect("a scratch directory");
        let store = Arc::new(SqliteStore::open(directory.path()).expect("a store"));
        measure(&Fixture::in_store(store).await).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "takes minutes"]
    async fn on_postgres() {
        let database = ScratchDatabase::create().await;
        let options = postgres::Options { url: Secret::new(database.url()), max_connections: 8, through_pooler: false, lease: SECOND * 10 };
        let store = Arc::new(PostgresStore::open(&options).await.expect("a store"));
        let world = Fixture::in_store(store).await;
        measure(&world).await;
        world.store.close().await;
        database.drop().await;
    }

    /// Body of some 500 bytes: a word of every message, of every thousandth, and of this one.
    fn body(number: usize) -> String {
        let filler: Vec<_> = (0..20).map(|place| format!("\"field_{place}\":\"value{}\"", (number * 31 + place * 7) % 5_000)).collect();
        format!(r#"{{"common":"yes","group":"g{}","unique":"u{number}",{}}}"#, number % 1_000, filler.join(","))
    }

    #[expect(clippy::print_stdout, reason = "the measurement is for a person")]
    async fn measure(world: &Fixture) {
        let begun = tokio::time::Instant::now();
        let parallel = 64;
        let publish_part = async |part: usize| {
            for number in (part..MESSAGES).step_by(parallel) {
                let at = NOON - SECOND * 3_600 + std::time::Duration::from_millis((number / 280) as u64);
                super::publish(world, at, &body(number)).await;
            }
        };
        futures_util::future::join_all((0..parallel).map(publish_part)).await;
        println!("{MESSAGES} messages stored in {:.0?}", begun.elapsed());
        let begun = tokio::time::Instant::now();
        loop {
            let indexed = world.store.index_text(slice(NOON + SECOND, 2_000)).await.expect("indexed").expect("an index");
            if indexed.is_caught_up {
                break;
            }
        }
        println!("indexed in {:.0?}", begun.elapsed());
        for text in ["u123456", "u999999", "g77", "common", "common g77 u500077", "u12345*", "value42 value49", "absent", "yes g1 absent"] {
            let mut times = Vec::new();
            let mut rows = 0;
            for _ in 0..20 {
                let begun = tokio::time::Instant::now();
                let (search, query) = search(world.tenant, text);
                rows = world.store.find_text(search, query).await.expect("found").0.items.len();
                times.push(begun.elapsed());
            }
            times.sort_unstable();
            println!("{text:>22}: {rows:>2} rows, median {:.1?}, slowest {:.1?}", times[times.len() / 2], times[times.len() - 1]);
        }
    }
}
