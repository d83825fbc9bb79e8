//! Metrics: rows of additive numbers, and of failed attempts by error.
//!
//! The engine counts in memory and adds the amounts here, on any node and in any order. A series of one subject is one
//! range of the primary key.

use std::{collections::BTreeMap, fmt::Write, sync::LazyLock};

use hookstream_model::{
    base::{
        ids::{EnvironmentId, RouteId},
        time::Timestamp,
    },
    operations::metrics::{ErrorKey, Key, Resolution, Scope, Stats},
};

use crate::db::{
    error::Error,
    statement::{Database, Statement, Value},
};

/// Columns of the key.
const KEY: [&str; 5] = ["environment_id", "scope_kind", "scope", "resolution", "starts_at"];
/// Columns of [`Stats::columns`] before the latencies.
const PLAIN: [&str; 12] = [
    "messages",
    "accepted",
    "arrived",
    "ended",
    "succeeded",
    "failed",
    "retried",
    "status_2xx",
    "status_3xx",
    "status_4xx",
    "status_5xx",
    "status_none",
];
/// Rows in one statement; PostgreSQL allows 65,535 values, SQLite 32,766.
const ROWS: usize = 32;
/// Maximum number of rows that [`add`] takes: on a store with one writer, other commits wait for it.
pub const ROWS_PER_COMMIT: usize = 10 * ROWS;

static NUMBERS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let latencies = (0..Stats::COLUMNS - PLAIN.len()).map(|bucket| format!("latency_{bucket:02}"));
    PLAIN.iter().map(ToString::to_string).chain(latencies).collect()
});
static ADD_MANY: LazyLock<String> = LazyLock::new(|| add_numbers(ROWS));
static ADD_ONE: LazyLock<String> = LazyLock::new(|| add_numbers(1));
static ADD_MANY_ERRORS: LazyLock<String> = LazyLock::new(|| add_errors(ROWS));
static ADD_ONE_ERROR: LazyLock<String> = LazyLock::new(|| add_errors(1));
static SERIES: LazyLock<String> =
    LazyLock::new(|| format!("select starts_at, {} from metrics where {IN_RANGE} order by starts_at", NUMBERS.join(", ")));

/// Rows of one subject in a range of time.
const IN_RANGE: &str = "environment_id = $1 and scope_kind = $2 and scope = $3 and resolution = $4 and starts_at >= $5 and starts_at < $6";
static ERRORS: LazyLock<String> =
    LazyLock::new(|| format!("select starts_at, error, status, attempts from metric_errors where {IN_RANGE} order by starts_at"));

const BY_ROUTE: &str = "select scope, accepted, arrived, ended from metrics
    where environment_id = $1 and resolution = $2 and starts_at >= $3 and scope_kind = $4";
/// Selects the sums of all subjects of a kind in a range of time.
static SUMS: LazyLock<String> = LazyLock::new(|| {
    let sums: Vec<_> = NUMBERS.iter().map(|number| format!("cast(sum({number}) as bigint)")).collect();
    format!("select scope, {} from metrics where {OF_ALL} group by scope", sums.join(", "))
});
/// Rows of all subjects of a kind in a range of time, by the index of their age.
const OF_ALL: &str = "environment_id = $1 and resolution = $2 and starts_at >= $3 and starts_at < $4 and scope_kind = $5";
/// Selects the steps in which something is still pending, newest first.
static PENDING: LazyLock<String> = LazyLock::new(|| {
    format!(
        "select scope, starts_at, accepted - arrived - ended as pending from metrics where {OF_ALL} and accepted - arrived - ended <> 0
        order by starts_at desc limit $6"
    )
});
/// Maximum number of these steps that are read.
const PENDING_MAX: i64 = 100_000;
const NEXT_ENVIRONMENT: &str = "select environment_id from metrics where environment_id > $1 order by environment_id limit 1";
/// Oldest step, and removal up to a step, of each table.
const EXPIRY: [(&str, &str); 2] = [
    (
        "select starts_at from metrics where environment_id = $1 and resolution = $2 and starts_at < $3 order by starts_at limit 1",
        "delete from metrics where environment_id = $1 and resolution = $2 and starts_at <= $3",
    ),
    (
        "select starts_at from metric_errors where environment_id = $1 and resolution = $2 and starts_at < $3 order by starts_at limit 1",
        "delete from metric_errors where environment_id = $1 and resolution = $2 and starts_at <= $3",
    ),
];

/// Amounts to add to one row, and the failed attempts by error.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Numbers.
    pub stats: Stats,
    /// Failed attempts by error.
    pub errors: BTreeMap<ErrorKey, i64>,
}

/// Range of a series.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    /// Environment.
    pub environment: EnvironmentId,
    /// Subject.
    pub scope: Scope,
    /// Length of the steps.
    pub resolution: Resolution,
    /// First step, inclusive.
    pub from: Timestamp,
    /// End of the range, exclusive.
    pub before: Timestamp,
}

impl Range {
    fn values(&self) -> Vec<Value> {
        vec![
            self.environment.as_bytes().into(),
            self.scope.kind().into(),
            Value::Blob(self.scope.id().to_vec()),
            self.resolution.number().into(),
            self.from.into(),
            self.before.into(),
        ]
    }
}

/// Adds amounts to their rows, which have different keys, in one commit.
///
/// # Errors
/// Fails if the store fails. With [`Error::Unavailable`] the amounts may be stored.
pub async fn add(db: &dyn Database, rows: &[(Key, Amounts)]) -> Result<(), Error> {
    debug_assert!(rows.len() <= ROWS_PER_COMMIT, "{} rows", rows.len());
    let mut statements = numbers(rows);
    statements.extend(errors(rows));
    db.write("add metrics", statements).await?;
    Ok(())
}

/// Returns the numbers of a series by the start of their step; steps without numbers are missing.
///
/// # Errors
/// Fails if the store fails.
pub async fn series(db: &dyn Database, range: &Range) -> Result<BTreeMap<Timestamp, Stats>, Error> {
    let mut series = BTreeMap::new();
    for row in db.read(Statement::new(&SERIES, range.values())).await? {
        let mut columns = row.columns();
        let starts_at = columns.time("starts_at")?;
        let mut numbers = [0; Stats::COLUMNS];
        for number in &mut numbers {
            *number = columns.integer("metric")?;
        }
        series.insert(starts_at, Stats::from_columns(&numbers));
    }
    Ok(series)
}

/// Returns the failed attempts of a series by the start of their step and by error.
///
/// # Errors
/// Fails if the store fails.
pub async fn errors_of(db: &dyn Database, range: &Range) -> Result<BTreeMap<Timestamp, BTreeMap<ErrorKey, i64>>, Error> {
    let mut series: BTreeMap<_, BTreeMap<ErrorKey, i64>> = BTreeMap::new();
    for row in db.read(Statement::new(&ERRORS, range.values())).await? {
        let mut columns = row.columns();
        let starts_at = columns.time("starts_at")?;
        let word = columns.text("error")?;
        let status = u16::try_from(columns.integer("status")?).map_err(|_| Error::Unreadable { what: "status" })?;
        series.entry(starts_at).or_default().insert(ErrorKey { word, status }, columns.integer("attempts")?);
    }
    Ok(series)
}

/// Returns the deliveries of an environment's routes since the start of a day: accepted, arrived and ended.
///
/// # Errors
/// Fails if the store fails.
pub async fn by_route(db: &dyn Database, environment: EnvironmentId, from: Timestamp) -> Result<BTreeMap<RouteId, Stats>, Error> {
    let (day, kind) = (Resolution::Day.number(), Scope::Route(RouteId::from_bytes([0; 16])).kind());
    let values = vec![environment.as_bytes().into(), day.into(), from.into(), kind.into()];
    let mut routes: BTreeMap<RouteId, Stats> = BTreeMap::new();
    for row in db.read(Statement::new(BY_ROUTE, values)).await? {
        let mut columns = row.columns();
        let route = columns.id("scope", RouteId::from_bytes)?;
        let [accepted, arrived, ended] = [columns.integer("accepted")?, columns.integer("arrived")?, columns.integer("ended")?];
        *routes.entry(route).or_default() += Stats { accepted, arrived, ended, ..Stats::default() };
    }
    Ok(routes)
}

/// Returns the sums of all subjects of a kind in a range of minutes, by the id of the subject ([`Scope::id`]).
///
/// # Errors
/// Fails if the store fails.
pub async fn sums(
    db: &dyn Database,
    environment: EnvironmentId,
    of: &Scope,
    from: Timestamp,
    before: Timestamp,
) -> Result<BTreeMap<Vec<u8>, Stats>, Error> {
    let mut sums = BTreeMap::new();
    for row in db.read(Statement::new(&SUMS, of_all(environment, of, from, before))).await? {
        let mut columns = row.columns();
        let scope = columns.blob("scope")?;
        let mut numbers = [0; Stats::COLUMNS];
        for number in &mut numbers {
            *number = columns.integer("metric")?;
        }
        sums.insert(scope, Stats::from_columns(&numbers));
    }
    Ok(sums)
}

/// Returns the minutes in which something fell due that is still pending, newest first, with the number: of all subjects of a kind, by
/// their ids.
///
/// # Errors
/// Fails if the store fails.
pub async fn pending(
    db: &dyn Database,
    environment: EnvironmentId,
    of: &Scope,
    from: Timestamp,
    before: Timestamp,
) -> Result<BTreeMap<Vec<u8>, Vec<(Timestamp, i64)>>, Error> {
    let mut values = of_all(environment, of, from, before);
    values.push(PENDING_MAX.into());
    let mut pending: BTreeMap<Vec<u8>, Vec<(Timestamp, i64)>> = BTreeMap::new();
    for row in db.read(Statement::new(&PENDING, values)).await? {
        let mut columns = row.columns();
        let scope = columns.blob("scope")?;
        pending.entry(scope).or_default().push((columns.time("starts_at")?, columns.integer("pending")?));
    }
    Ok(pending)
}

fn of_all(environment: EnvironmentId, of: &Scope, from: Timestamp, before: Timestamp) -> Vec<Value> {
    vec![environment.as_bytes().into(), Resolution::Minute.number().into(), from.into(), before.into(), of.kind().into()]
}

/// Returns the first environment after `after` that has metrics, whether it still exists or not.
///
/// # Errors
/// Fails if the store fails.
pub async fn next_environment(db: &dyn Database, after: EnvironmentId) -> Result<Option<EnvironmentId>, Error> {
    let rows = db.read(Statement::new(NEXT_ENVIRONMENT, vec![after.as_bytes().into()])).await?;
    rows.into_iter().next().map(|row| row.columns().id("environment_id", EnvironmentId::from_bytes)).transpose()
}

/// Removes the oldest step of an environment before this time, as a slice that delays no other operation. Returns
/// whether there was one.
///
/// # Errors
/// Fails if the store fails.
pub async fn expire(db: &dyn Database, environment: EnvironmentId, resolution: Resolution, before: Timestamp) -> Result<bool, Error> {
    let mut has_removed = false;
    for (oldest, remove) in EXPIRY {
        let key = [environment.as_bytes().into(), Value::from(resolution.number())];
        let with = |time: Timestamp| key.iter().cloned().chain([time.into()]).collect();
        let rows = db.read(Statement::new(oldest, with(before))).await?;
        let Some(row) = rows.into_iter().next() else { continue };
        let starts_at = row.columns().time("starts_at")?;
        db.write("delete expired metrics", vec![Statement::new(remove, with(starts_at))]).await?;
        has_removed = true;
    }
    Ok(has_removed)
}

fn numbers(rows: &[(Key, Amounts)]) -> Vec<Statement> {
    let rows: Vec<_> = rows.iter().filter(|(_, amounts)| !amounts.stats.is_empty()).collect();
    let values = |(key, amounts): &&(Key, Amounts)| {
        let mut values = key_values(key);
        values.extend(amounts.stats.columns().map(Value::Integer));
        values
    };
    statements(rows.iter().map(values).collect(), &ADD_MANY, &ADD_ONE)
}

fn errors(rows: &[(Key, Amounts)]) -> Vec<Statement> {
    let of_row = |(key, amounts): &(Key, Amounts)| {
        let values = |(error, attempts): (&ErrorKey, &i64)| {
            let mut values = key_values(key);
            values.extend([error.word.as_str().into(), i64::from(error.status).into(), (*attempts).into()]);
            values
        };
        amounts.errors.iter().map(values).collect::<Vec<_>>()
    };
    statements(rows.iter().flat_map(of_row).collect(), &ADD_MANY_ERRORS, &ADD_ONE_ERROR)
}

/// Returns statements that add rows: full ones, and single ones for the rest, so that there are two prepared statements.
fn statements(rows: Vec<Vec<Value>>, many: &'static str, one: &'static str) -> Vec<Statement> {
    let mut statements = Vec::new();
    let mut rows = rows.into_iter();
    while rows.len() >= ROWS {
        statements.push(Statement::new(many, rows.by_ref().take(ROWS).flatten().collect()));
    }
    statements.extend(rows.map(|row| Statement::new(one, row)));
    statements
}

fn key_values(key: &Key) -> Vec<Value> {
    vec![
        key.environment.as_bytes().into(),
        key.scope.kind().into(),
        Value::Blob(key.scope.id().to_vec()),
        key.resolution.number().into(),
        key.start.into(),
    ]
}

fn add_numbers(rows: usize) -> String {
    let numbers: Vec<_> = NUMBERS.iter().map(String::as_str).collect();
    upsert("metrics", &KEY, &numbers, rows)
}

fn add_errors(rows: usize) -> String {
    let key: Vec<_> = KEY.into_iter().chain(["error", "status"]).collect();
    upsert("metric_errors", &key, &["attempts"], rows)
}

/// Returns a statement that adds the numbers of some rows to those stored under their keys.
fn upsert(table: &str, key: &[&str], numbers: &[&str], rows: usize) -> String {
    let width = key.len() + numbers.len();
    let columns: Vec<_> = key.iter().chain(numbers).copied().collect();
    let row = |row: usize| {
        let parameters: Vec<_> = (1..=width).map(|column| format!("${}", row * width + column)).collect();
        format!("({})", parameters.join(", "))
    };
    let values: Vec<_> = (0..rows).map(row).collect();
    let mut sql = format!(
        "insert into {table} ({}) values {} on conflict ({}) do update set ",
        columns.join(", "),
        values.join(", "),
        key.join(", ")
    );
    for (place, number) in numbers.iter().enumerate() {
        let separator = if place == 0 { "" } else { ", " };
        let _ = write!(sql, "{separator}{number} = {table}.{number} + excluded.{number}");
    }
    sql
}
