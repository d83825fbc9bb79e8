//! Metrics: additive rows, their series and their expiry.

use std::{collections::BTreeMap, time::Duration};

use hookstream_model::{
    base::{
        ids::{EnvironmentId, RouteId},
        time::Timestamp,
    },
    operations::metrics::{ErrorKey, Key, Resolution, Scope, Stats},
};
use hookstream_store::{
    Store,
    operations::metrics::{self, Amounts, Range},
};

use crate::support::{DAY, Fixture, NOON, SECOND};

const MINUTE: Duration = Duration::from_secs(60);

fn key(world: &Fixture, scope: Scope, resolution: Resolution, start: Timestamp) -> Key {
    Key { environment: world.tenant.environment, scope, resolution, start }
}

/// Amounts whose columns are `number`, 2 × `number`, and so on.
fn amounts(number: i64) -> Amounts {
    let mut columns = [0; Stats::COLUMNS];
    columns.iter_mut().zip(1..).for_each(|(column, factor)| *column = number * factor);
    Amounts { stats: Stats::from_columns(&columns), errors: BTreeMap::new() }
}

fn failed(word: &str, status: u16, attempts: i64) -> Amounts {
    let stats = Stats { failed: attempts, ..Stats::default() };
    Amounts { stats, errors: BTreeMap::from([(ErrorKey { word: word.to_owned(), status }, attempts)]) }
}

async fn add(world: &Fixture, rows: &[(Key, Amounts)]) {
    for rows in rows.chunks(metrics::ROWS_PER_COMMIT) {
        metrics::add(&*world.store, rows).await.expect("added");
    }
}

fn range(world: &Fixture, scope: Scope, resolution: Resolution) -> Range {
    let (from, before) = (NOON - Duration::from_secs(365 * 86_400), NOON + Duration::from_secs(365 * 86_400));
    Range { environment: world.tenant.environment, scope, resolution, from, before }
}

async fn series(world: &Fixture, scope: Scope, resolution: Resolution) -> BTreeMap<Timestamp, Stats> {
    metrics::series(&*world.store, &range(world, scope, resolution)).await.expect("read")
}

/// Stores metrics of the fixture's environment, for the tests of transfers.
pub(crate) async fn fill(world: &Fixture) {
    let key = key(world, Scope::EventType("größe".to_owned()), Resolution::HalfHour, NOON);
    add(world, &[(key, Amounts { stats: amounts(3).stats, ..failed("http_status", 503, 4) })]).await;
}

/// Returns what [`fill`] stored.
pub(crate) async fn filled(store: &dyn Store, environment: EnvironmentId) -> impl std::fmt::Debug + use<> {
    let (from, before) = (NOON, NOON + SECOND);
    let range = Range { environment, scope: Scope::EventType("größe".to_owned()), resolution: Resolution::HalfHour, from, before };
    let series = metrics::series(store, &range).await.expect("read");
    let errors = metrics::errors_of(store, &range).await.expect("read");
    assert!(!series.is_empty() && !errors.is_empty());
    (series, errors)
}

pub(crate) async fn amounts_add_up(world: &Fixture) {
    let (first, second) = (key(world, Scope::Environment, Resolution::Minute, NOON), NOON + MINUTE);
    let second = Key { start: second, ..first.clone() };
    add(world, &[(first.clone(), amounts(1)), (second.clone(), amounts(2))]).await;
    add(world, &[(first, amounts(10))]).await;
    let expected = BTreeMap::from([(NOON, amounts(11).stats), (NOON + MINUTE, amounts(2).stats)]);
    assert_eq!(series(world, Scope::Environment, Resolution::Minute).await, expected);
    let narrow = Range { from: NOON + SECOND, ..range(world, Scope::Environment, Resolution::Minute) };
    assert_eq!(metrics::series(&*world.store, &narrow).await.expect("read").len(), 1);
    let before = Range { before: NOON + MINUTE, ..range(world, Scope::Environment, Resolution::Minute) };
    assert_eq!(metrics::series(&*world.store, &before).await.expect("read").len(), 1);
}

pub(crate) async fn subjects_resolutions_and_tenants_are_apart(world: &Fixture) {
    let route = world.target();
    let scopes = [
        Scope::Environment,
        Scope::Origin(world.application.into()),
        Scope::Route(route),
        Scope::EventType("rechnung.bezahlt ü".to_owned()),
    ];
    let rows = |number: i64, resolution| {
        let row = |(scope, more): (&Scope, i64)| (key(world, scope.clone(), resolution, NOON), amounts(number + more));
        scopes.iter().zip(0..).map(row).collect::<Vec<_>>()
    };
    add(world, &rows(1, Resolution::Minute)).await;
    add(world, &rows(11, Resolution::Day)).await;
    let elsewhere = Key { environment: world.stranger.environment, ..key(world, Scope::Environment, Resolution::Minute, NOON) };
    add(world, &[(elsewhere, amounts(100))]).await;
    for (scope, more) in scopes.iter().zip(0..) {
        let found = series(world, scope.clone(), Resolution::Minute).await;
        assert_eq!(found, BTreeMap::from([(NOON, amounts(1 + more).stats)]), "{scope:?}");
        let found = series(world, scope.clone(), Resolution::Day).await;
        assert_eq!(found, BTreeMap::from([(NOON, amounts(11 + more).stats)]), "{scope:?}");
        assert!(series(world, scope.clone(), Resolution::HalfHour).await.is_empty());
    }
}

pub(crate) async fn many_rows_are_added_in_parts(world: &Fixture) {
    let rows: Vec<_> =
        (0..1_000_u32).map(|step| (key(world, Scope::Environment, Resolution::Minute, NOON + MINUTE * step), amounts(1))).collect();
    add(world, &rows).await;
    add(world, &rows[..33]).await;
    let found = series(world, Scope::Environment, Resolution::Minute).await;
    assert_eq!(found.len(), 1_000);
    assert_eq!((found[&(NOON + MINUTE * 32)], found[&(NOON + MINUTE * 33)]), (amounts(2).stats, amounts(1).stats));
}

pub(crate) async fn routes_are_summed_over_days(world: &Fixture) {
    let (route, midnight) = (world.target(), NOON.day().start());
    let row = |scope, start, number| (key(world, scope, Resolution::Day, start), amounts(number));
    add(
        world,
        &[
            row(Scope::Route(route), midnight - DAY * 2, 100),
            row(Scope::Route(route), midnight - DAY, 2),
            row(Scope::Route(route), midnight, 1),
        ],
    )
    .await;
    add(world, &[row(Scope::Environment, midnight, 50), row(Scope::Origin(world.application.into()), midnight, 50)]).await;
    let found = metrics::by_route(&*world.store, world.tenant.environment, midnight - DAY).await.expect("read");
    let Stats { accepted, arrived, ended, .. } = amounts(3).stats;
    assert_eq!(found, BTreeMap::from([(route, Stats { accepted, arrived, ended, ..Stats::default() })]));
    let of_stranger = metrics::by_route(&*world.store, world.stranger.environment, midnight - DAY).await.expect("read");
    assert_eq!(of_stranger, BTreeMap::new());
}

pub(crate) async fn errors_are_counted_apart(world: &Fixture) {
    let key = key(world, Scope::Route(RouteId::from_bytes([7; 16])), Resolution::HalfHour, NOON);
    add(world, &[(key.clone(), failed("http_status", 503, 2))]).await;
    add(world, &[(key.clone(), failed("http_status", 500, 1))]).await;
    add(world, &[(key.clone(), failed("timeout", 0, 5))]).await;
    add(world, &[(key.clone(), failed("http_status", 503, 3))]).await;
    let found = metrics::errors_of(&*world.store, &range(world, key.scope, key.resolution)).await.expect("read");
    let of = |word: &str, status| found[&NOON].get(&ErrorKey { word: word.to_owned(), status }).copied();
    assert_eq!((of("http_status", 503), of("http_status", 500), of("timeout", 0)), (Some(5), Some(1), Some(5)));
    assert_eq!(found[&NOON].len(), 3);
}

pub(crate) async fn expired_steps_are_removed_one_by_one(world: &Fixture) {
    let environment = world.tenant.environment;
    let rows: Vec<_> = (0..4_u32)
        .map(|step| (key(world, Scope::Environment, Resolution::Minute, NOON + MINUTE * step), failed("timeout", 0, 1)))
        .chain([(key(world, Scope::Environment, Resolution::Day, NOON), failed("timeout", 0, 1))])
        .chain([(Key { environment: world.stranger.environment, ..key(world, Scope::Environment, Resolution::Minute, NOON) }, amounts(1))])
        .collect();
    add(world, &rows).await;
    let expire = async |resolution, before| metrics::expire(&*world.store, environment, resolution, before).await.expect("expired");
    let before = NOON + MINUTE * 2;
    assert!(expire(Resolution::Minute, before).await);
    let starts: Vec<_> = series(world, Scope::Environment, Resolution::Minute).await.into_keys().collect();
    assert_eq!(starts, [NOON + MINUTE, NOON + MINUTE * 2, NOON + MINUTE * 3]);
    assert!(expire(Resolution::Minute, before).await);
    assert!(!expire(Resolution::Minute, before).await, "nothing older is left");
    let minutes = range(world, Scope::Environment, Resolution::Minute);
    let starts: Vec<_> = metrics::errors_of(&*world.store, &minutes).await.expect("read").into_keys().collect();
    assert_eq!(starts, [NOON + MINUTE * 2, NOON + MINUTE * 3]);
    // Days and other environments stay.
    assert_eq!(series(world, Scope::Environment, Resolution::Day).await.len(), 1);
    let mut found = Vec::new();
    let mut after = EnvironmentId::from_bytes([0; 16]);
    while let Some(next) = metrics::next_environment(&*world.store, after).await.expect("read") {
        found.push(next);
        after = next;
    }
    let mut expected = [environment, world.stranger.environment];
    expected.sort();
    assert_eq!(found, expected);
}
