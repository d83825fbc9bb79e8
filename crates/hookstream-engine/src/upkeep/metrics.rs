//! Metrics counted in memory, until [`metrics_writer`](crate::upkeep::metrics_writer) adds them to the store.
//!
//! A message costs two short locks: one when it is accepted, one when its batch is recorded. Only routes, origins and
//! event types are counted, in the step of the finest resolution; coarser steps and the numbers of whole environments
//! are sums, made beside the hot path. The number of cells is bounded: beyond it, only the environment is counted.
//!
//! A crash loses what is not written yet. Nothing else depends on these numbers: conservation (invariant 13) is counted
//! in the commits themselves.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
};

use hookstream_model::{
    base::{
        ids::{EnvironmentId, MessageId, OriginId, RouteId},
        time::Timestamp,
    },
    delivery::{attempt::Attempt, state::DeliveryState},
    operations::{
        job::DeliveryStatus,
        metrics::{ErrorKey, Key, Resolution, Scope, Stats, error_word},
    },
};
use hookstream_store::{delivery::deliveries::Next, operations::metrics::Amounts};

/// Maximum number of cells between two writes. A cell has some 350 bytes, so this bounds them at about 20 MB: 50,000
/// endpoints and event types that are active within ten seconds.
const MAX_CELLS: usize = 50_000;
/// Maximum number of rows that wait to be written. The store refuses or is slow if they become so many.
const MAX_ROWS: usize = 250_000;

/// Metrics that are not in the store yet.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    counted: Mutex<Counted>,
    rows: Mutex<Rows>,
    /// Held for writing while rows are on their way to the store, so that a reader sees each number once.
    pub(crate) moving: tokio::sync::RwLock<()>,
}

/// Numbers since the last look, by start of the step.
#[derive(Debug, Default)]
struct Counted {
    steps: BTreeMap<Timestamp, HashMap<EnvironmentId, Traffic>>,
    cells: usize,
    /// Number of changes without a cell of their own.
    left_out: u64,
}

/// Numbers of an environment in one step.
#[derive(Debug, Default)]
struct Traffic {
    /// Numbers that have no cell below.
    rest: Cell,
    /// Messages of origins.
    origins: HashMap<OriginId, Cell>,
    /// Deliveries and attempts of routes, with the origin.
    routes: HashMap<RouteId, (OriginId, Cell)>,
    /// All of it by event type.
    event_types: HashMap<Box<str>, Cell>,
}

/// Numbers of one subject and step.
#[derive(Debug, Default, Clone)]
struct Cell {
    stats: Stats,
    errors: Vec<(ErrorKey, i64)>,
}

/// Rows to add to the store.
#[derive(Debug, Default)]
struct Rows {
    waiting: BTreeMap<Key, Amounts>,
    /// Number of rows dropped because too many wait.
    dropped: u64,
}

/// Message of a delivery, as far as it is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) environment: EnvironmentId,
    pub(crate) origin: OriginId,
    pub(crate) event_type: &'a str,
    pub(crate) message: MessageId,
}

/// Recorded delivery.
#[derive(Debug)]
pub(crate) struct Recorded<'a> {
    pub(crate) subject: Subject<'a>,
    pub(crate) route: RouteId,
    pub(crate) attempt: Option<&'a Attempt>,
    pub(crate) next: Next,
}

/// State of a delivery before it was requeued, as far as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    Pending,
    Arrived,
    Ended,
    /// There was no delivery.
    Missing,
}

impl From<Option<&DeliveryState>> for Before {
    fn from(state: Option<&DeliveryState>) -> Self {
        match state {
            None => Self::Missing,
            Some(DeliveryState::Pending { .. }) => Self::Pending,
            Some(DeliveryState::Succeeded) => Self::Arrived,
            Some(DeliveryState::Exhausted { .. } | DeliveryState::Skipped { .. } | DeliveryState::Cancelled { .. }) => Self::Ended,
        }
    }
}

impl From<DeliveryStatus> for Before {
    fn from(status: DeliveryStatus) -> Self {
        match status {
            DeliveryStatus::Pending => Self::Pending,
            DeliveryStatus::Delivered(_) => Self::Arrived,
            DeliveryStatus::Exhausted(_) | DeliveryStatus::Skipped(_) | DeliveryStatus::Cancelled => Self::Ended,
            DeliveryStatus::Missing | DeliveryStatus::TestOfAnother => Self::Missing,
        }
    }
}

impl Metrics {
    /// Counts an accepted message with its deliveries: the route of each, and whether it was skipped.
    pub(crate) fn accepted(&self, subject: Subject<'_>, deliveries: impl Iterator<Item = (RouteId, bool)>) {
        let start = Resolution::Minute.start(subject.message.timestamp());
        let mut counted = self.counted();
        let (mut accepted, mut skipped) = (0, 0);
        let mut place = counted.place(start, subject.environment);
        for (route, is_skipped) in deliveries {
            accepted += 1;
            skipped += i64::from(is_skipped);
            place.route(subject.origin, route, |cell| {
                cell.stats.accepted += 1;
                cell.stats.ended += i64::from(is_skipped);
            });
        }
        place.origin(subject.origin, |cell| cell.stats.messages += 1);
        place.event_type(subject.event_type, |cell| {
            cell.stats.messages += 1;
            cell.stats.accepted += accepted;
            cell.stats.ended += skipped;
        });
    }

    /// Counts a recorded batch.
    pub(crate) fn recorded<'a>(&self, batch: impl Iterator<Item = Recorded<'a>>, now: Timestamp) {
        let mut counted = self.counted();
        for Recorded { subject, route, attempt, next } in batch {
            let (arrived, ended) = match next {
                Next::Succeeded => (1, 0),
                Next::Ended(..) => (0, 1),
                Next::Retry { .. } | Next::Postponed { .. } => (0, 0),
            };
            let settle = |cell: &mut Cell| {
                cell.stats.arrived += arrived;
                cell.stats.ended += ended;
            };
            let settled_in = (arrived + ended > 0).then(|| step_of(subject.message, now));
            match attempt {
                Some(attempt) => {
                    let start = Resolution::Minute.start(attempt.created_at);
                    let is_one_step = settled_in == Some(start);
                    counted.place(start, subject.environment).delivery(subject, route, |cell| {
                        cell.note_attempt(attempt);
                        if is_one_step {
                            settle(cell);
                        }
                    });
                    if let Some(start) = settled_in.filter(|_| !is_one_step) {
                        counted.place(start, subject.environment).delivery(subject, route, settle);
                    }
                }
                None => {
                    if let Some(start) = settled_in {
                        counted.place(start, subject.environment).delivery(subject, route, settle);
                    }
                }
            }
        }
    }

    /// Counts a delivery that was made pending again: it no longer counts as arrived or ended.
    pub(crate) fn requeued(&self, subject: Subject<'_>, route: RouteId, before: Before, now: Timestamp) {
        let change = |cell: &mut Cell| match before {
            Before::Missing => cell.stats.accepted += 1,
            Before::Arrived => cell.stats.arrived -= 1,
            Before::Ended => cell.stats.ended -= 1,
            Before::Pending => {}
        };
        if before != Before::Pending {
            let mut counted = self.counted();
            counted.place(step_of(subject.message, now), subject.environment).delivery(subject, route, change);
        }
    }

    /// Turns the counted numbers into rows.
    pub(crate) fn gather(&self, now: Timestamp) {
        let counted = std::mem::take(&mut *self.counted());
        if counted.left_out > 0 {
            tracing::warn!(
                changes = counted.left_out,
                limit = MAX_CELLS,
                "too many endpoints and event types are active at once; their metrics are counted for the environment only"
            );
        }
        let mut rows = self.rows();
        for (start, environments) in counted.steps {
            for (environment, traffic) in environments {
                traffic.add_to(&mut rows, environment, start, now);
            }
        }
        if rows.dropped > 0 {
            tracing::error!(rows = rows.dropped, "metrics were dropped because too many wait to be written");
            rows.dropped = 0;
        }
    }

    /// Returns the keys of the rows that wait, of some resolutions.
    pub(crate) fn waiting(&self, is_wanted: impl Fn(Resolution) -> bool) -> Vec<Key> {
        self.rows().waiting.keys().filter(|key| is_wanted(key.resolution)).cloned().collect()
    }

    /// Takes rows that wait.
    pub(crate) fn take(&self, keys: &[Key]) -> Vec<(Key, Amounts)> {
        let mut rows = self.rows();
        keys.iter().filter_map(|key| rows.waiting.remove_entry(key)).collect()
    }

    /// Returns rows that the store did not take.
    pub(crate) fn put_back(&self, taken: Vec<(Key, Amounts)>) {
        let mut rows = self.rows();
        for (key, amounts) in taken {
            rows.add(key, amounts.stats, amounts.errors);
        }
    }

    /// Returns the rows of a range that are not in the store yet. To see each number once, hold `moving` meanwhile.
    pub(crate) fn unwritten(&self, range: &hookstream_store::operations::metrics::Range, now: Timestamp) -> Vec<(Timestamp, Amounts)> {
        self.gather(now);
        let key = |start| Key { environment: range.environment, scope: range.scope.clone(), resolution: range.resolution, start };
        let (from, before) = (key(range.from), key(range.before.max(range.from)));
        self.rows().waiting.range(from..before).map(|(key, amounts)| (key.start, amounts.clone())).collect()
    }

    /// Returns the numbers of an environment's routes that are not in the store yet, since the start of a day.
    pub(crate) fn unwritten_by_route(&self, environment: EnvironmentId, from: Timestamp, now: Timestamp) -> Vec<(RouteId, Stats)> {
        self.gather(now);
        let rows = self.rows();
        let of_environment =
            rows.waiting.range(Key { environment, scope: Scope::Environment, resolution: Resolution::Minute, start: from }..);
        let of_environment = of_environment.take_while(|(key, _)| key.environment == environment);
        let wanted = of_environment.filter_map(|(key, amounts)| match key.scope {
            Scope::Route(route) if key.resolution == Resolution::Day && key.start >= from => Some((route, amounts.stats)),
            Scope::Environment | Scope::Origin(_) | Scope::Route(_) | Scope::EventType(_) => None,
        });
        wanted.collect()
    }

    /// Returns the numbers of minutes that are not in the store yet, of all subjects of a kind.
    pub(crate) fn unwritten_sums(
        &self,
        environment: EnvironmentId,
        kind: i64,
        (from, before): (Timestamp, Timestamp),
        now: Timestamp,
    ) -> Vec<(Vec<u8>, Timestamp, Stats)> {
        self.gather(now);
        let rows = self.rows();
        let first = Key { environment, scope: Scope::Environment, resolution: Resolution::Minute, start: Timestamp::EPOCH };
        let of_environment = rows.waiting.range(first..).take_while(|(key, _)| key.environment == environment);
        let is_wanted = |key: &Key| key.scope.kind() == kind && key.resolution == Resolution::Minute && (from..before).contains(&key.start);
        of_environment.filter(|(key, _)| is_wanted(key)).map(|(key, amounts)| (key.scope.id().to_vec(), key.start, amounts.stats)).collect()
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the step of a message's deliveries. Minutes that are not kept any more need no steps of their own: a job over
/// days would otherwise fill the memory.
fn step_of(message: MessageId, now: Timestamp) -> Timestamp {
    let at = message.timestamp();
    if now.since(at) < Resolution::MINUTES_KEPT { Resolution::Minute.start(at) } else { Resolution::HalfHour.start(at) }
}

/// Numbers of an environment and step, with the count of all cells.
struct Place<'a> {
    traffic: &'a mut Traffic,
    cells: &'a mut usize,
    left_out: &'a mut u64,
}

impl Counted {
    fn place(&mut self, start: Timestamp, environment: EnvironmentId) -> Place<'_> {
        let traffic = self.steps.entry(start).or_default().entry(environment).or_default();
        Place { traffic, cells: &mut self.cells, left_out: &mut self.left_out }
    }
}

impl Place<'_> {
    /// Applies a change to the cells of a delivery.
    fn delivery(&mut self, subject: Subject<'_>, route: RouteId, change: impl Fn(&mut Cell)) {
        self.route(subject.origin, route, &change);
        self.event_type(subject.event_type, change);
    }

    fn route(&mut self, origin: OriginId, route: RouteId, change: impl Fn(&mut Cell)) {
        match cell(&mut self.traffic.routes, route, self.cells, || (origin, Cell::default())) {
            Some((_, cell)) => change(cell),
            None => {
                *self.left_out += 1;
                change(&mut self.traffic.rest);
            }
        }
    }

    fn origin(&mut self, origin: OriginId, change: impl Fn(&mut Cell)) {
        match cell(&mut self.traffic.origins, origin, self.cells, Cell::default) {
            Some(cell) => change(cell),
            None => {
                *self.left_out += 1;
                change(&mut self.traffic.rest);
            }
        }
    }

    fn event_type(&mut self, event_type: &str, change: impl Fn(&mut Cell)) {
        if let Some(cell) = self.traffic.event_types.get_mut(event_type) {
            change(cell);
        } else if *self.cells < MAX_CELLS {
            // The only allocation: once for each event type and step.
            *self.cells += 1;
            change(self.traffic.event_types.entry(event_type.into()).or_default());
        } else {
            *self.left_out += 1;
        }
    }
}

/// Returns the cell of a key, a new one if there is room.
fn cell<'a, K: Eq + Hash, C>(cells: &'a mut HashMap<K, C>, key: K, number: &mut usize, new: impl FnOnce() -> C) -> Option<&'a mut C> {
    match cells.entry(key) {
        Entry::Occupied(found) => Some(found.into_mut()),
        Entry::Vacant(vacant) if *number < MAX_CELLS => {
            *number += 1;
            Some(vacant.insert(new()))
        }
        Entry::Vacant(_) => None,
    }
}

impl Cell {
    fn note_attempt(&mut self, attempt: &Attempt) {
        self.stats.note_attempt(attempt);
        let Some(error) = attempt.error.as_deref() else { return };
        let (word, status) = (error_word(error), attempt.response_status.unwrap_or(0));
        match self.errors.iter().position(|(key, _)| key.word == word && key.status == status) {
            Some(known) => self.errors[known].1 += 1,
            None if self.errors.len() < ErrorKey::MAX => self.errors.push((ErrorKey { word: word.to_owned(), status }, 1)),
            // A receiver may answer with any status.
            None => self.add_errors(ErrorKey::other(), 1),
        }
    }

    fn add_errors(&mut self, error: ErrorKey, number: i64) {
        match self.errors.iter_mut().find(|(known, _)| *known == error) {
            Some((_, known)) => *known += number,
            None => self.errors.push((error, number)),
        }
    }
}

impl Traffic {
    /// Adds the numbers of a step to the rows of all subjects and resolutions.
    fn add_to(self, rows: &mut Rows, environment: EnvironmentId, start: Timestamp, now: Timestamp) {
        let Self { rest, origins, routes, event_types } = self;
        let mut cells: BTreeMap<Scope, Cell> = BTreeMap::new();
        let mut add = |scope, cell: &Cell| cells.entry(scope).or_default().add(cell);
        add(Scope::Environment, &rest);
        for (origin, cell) in origins {
            add(Scope::Environment, &cell);
            add(Scope::Origin(origin), &cell);
        }
        // In a fixed order, because the number of errors kept apart is limited.
        for (route, (origin, cell)) in routes.into_iter().collect::<BTreeMap<_, _>>() {
            add(Scope::Environment, &cell);
            add(Scope::Origin(origin), &cell);
            add(Scope::Route(route), &cell);
        }
        for (event_type, cell) in event_types {
            add(Scope::EventType(event_type.into()), &cell);
        }
        let has_minutes = now.since(start) < Resolution::MINUTES_KEPT;
        for (scope, cell) in cells {
            for resolution in Resolution::ALL {
                if resolution != Resolution::Minute || has_minutes {
                    let key = Key { environment, scope: scope.clone(), resolution, start: resolution.start(start) };
                    rows.add(key, cell.stats, cell.errors.iter().cloned());
                }
            }
        }
    }
}

impl Cell {
    fn add(&mut self, more: &Self) {
        self.stats += more.stats;
        for (error, number) in &more.errors {
            self.add_errors(error.clone(), *number);
        }
    }
}

impl Rows {
    fn add(&mut self, key: Key, stats: Stats, errors: impl IntoIterator<Item = (ErrorKey, i64)>) {
        if self.waiting.len() >= MAX_ROWS && !self.waiting.contains_key(&key) {
            self.dropped += 1;
            return;
        }
        let amounts = self.waiting.entry(key).or_default();
        amounts.stats += stats;
        for (error, number) in errors {
            let is_room = amounts.errors.len() < ErrorKey::MAX || amounts.errors.contains_key(&error);
            let error = if is_room { error } else { ErrorKey::other() };
            *amounts.errors.entry(error).or_default() += number;
        }
    }
}

#[cfg(test)]
mod tests;
