//! Monthly event quotas of organizations. Accepted events are counted in memory, so that a send costs one atomic
//! operation, and compared with the store periodically.
//!
//! An application's routes hold the meter of its organization, so a message needs no lookup. A meter without a limit
//! counts nothing. Each message takes its reservation before it is stored and returns it on failure, so a single node
//! is exact. Several nodes count each other's events once a second, and together may exceed a limit by the events of
//! that time.
//!
//! An organization's limit is read with its first application, and then learned from the environments that are read
//! anyway ([`crate::upkeep::budgets`]).

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use hookstream_model::{
    base::{ids::OrganizationId, time::Timestamp},
    identity::{environment::Environment, tenancy::Tenant},
    operations::quota::{Month, Quota},
};
use hookstream_store::{Error, Store, identity::environments, operations::quotas};
use tokio::sync::Notify;

/// Stored form of "no limit".
const UNLIMITED: i64 = -1;
/// Number of low bits that hold the count; the month is above them.
const MONTH_SHIFT: u32 = 48;
const USED: u64 = (1 << MONTH_SHIFT) - 1;

/// Meters of all organizations in use.
#[derive(Debug, Default)]
pub(crate) struct Quotas {
    meters: Mutex<HashMap<OrganizationId, Arc<EventMeter>>>,
    /// Wakes the counting task.
    pub(crate) learned: Notify,
}

/// Monthly limit of an organization, and its use.
#[derive(Debug)]
pub(crate) struct EventMeter {
    most: AtomicI64,
    /// Number of the month, followed by its known use.
    used: AtomicU64,
    /// Total of reservations taken here and not returned.
    taken: AtomicU64,
    /// Reservations whose message is stored.
    pub(crate) stored: AtomicU64,
    /// Whether the last count was made without reservations in progress here: it is exact, unless other nodes accept
    /// events.
    pub(crate) is_exact: AtomicBool,
}

/// Quota that leaves no room for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reached {
    pub(crate) most: u64,
    /// Time from which there is room again.
    pub(crate) until: Timestamp,
}

/// Reservation of a message, returned on drop unless the message is stored.
#[derive(Debug)]
pub(crate) struct Reservation(Option<(Arc<EventMeter>, u16)>);

impl Reservation {
    /// Builds the reservation of a message that counts towards no quota.
    pub(crate) const fn uncounted() -> Self {
        Self(None)
    }
}

impl Default for EventMeter {
    fn default() -> Self {
        Self {
            most: AtomicI64::new(UNLIMITED),
            used: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            stored: AtomicU64::new(0),
            is_exact: AtomicBool::new(false),
        }
    }
}

impl EventMeter {
    /// Takes a reservation for a message accepted at `at`.
    pub(crate) fn take(self: &Arc<Self>, at: Timestamp) -> Result<Reservation, Reached> {
        let Ok(most) = u64::try_from(self.most.load(Ordering::Relaxed)) else { return Ok(Reservation(None)) };
        let month = Month::of(at);
        let number = month.number();
        let one_more = |known: u64| {
            let (of_month, used) = split(known);
            // A message accepted before midnight and counted after it belongs to a month that no longer counts.
            match of_month.cmp(&number) {
                std::cmp::Ordering::Greater => Some(known),
                std::cmp::Ordering::Less => (most > 0).then(|| join(number, 1)),
                std::cmp::Ordering::Equal => (used < most).then(|| join(number, used + 1)),
            }
        };
        match self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_more) {
            Ok(_) => {
                self.taken.fetch_add(1, Ordering::AcqRel);
                Ok(Reservation(Some((Arc::clone(self), number))))
            }
            Err(_) => Err(Reached { most, until: month.end().start() }),
        }
    }

    fn return_one(&self, month: u16) {
        self.taken.fetch_sub(1, Ordering::AcqRel);
        let one_less = |known: u64| {
            let (of_month, used) = split(known);
            (of_month == month).then(|| join(month, used.saturating_sub(1)))
        };
        let _ = self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, one_less);
    }

    /// Sets the use to the store's count, which already includes `stored` messages of this node. Messages stored during
    /// the count may be counted twice until the next one.
    pub(crate) fn count(&self, month: Month, counted: u64, stored: u64) {
        let known = |known: u64| {
            let ours = self.taken.load(Ordering::Acquire).saturating_sub(stored);
            (split(known).0 <= month.number()).then(|| join(month.number(), counted.saturating_add(ours)))
        };
        let _ = self.used.fetch_update(Ordering::AcqRel, Ordering::Acquire, known);
        let taken = self.taken.load(Ordering::Acquire);
        self.is_exact.store(taken == stored && self.stored.load(Ordering::Acquire) == stored, Ordering::Release);
    }

    /// Returns the use of a month, and the limit.
    pub(crate) fn usage(&self, month: Month) -> (u64, u64) {
        let (of, used) = split(self.used.load(Ordering::Acquire));
        let most = u64::try_from(self.most.load(Ordering::Acquire)).unwrap_or(u64::MAX);
        (if of == month.number() { used } else { 0 }, most)
    }

    fn is_limited(&self) -> bool {
        self.most.load(Ordering::Relaxed) >= 0
    }
}

impl Reservation {
    /// Keeps the reservation, because the message is stored.
    pub(crate) fn keep(mut self) {
        if let Some((meter, _)) = self.0.take() {
            meter.stored.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some((meter, month)) = self.0.take() {
            meter.return_one(month);
        }
    }
}

impl Quotas {
    /// Returns the meter of a tenant's organization, with or without a limit. On first use, the limit and the use are
    /// read, so that no message is accepted before they are known.
    pub(crate) async fn known_meter(&self, store: &dyn Store, tenant: Tenant, now: Timestamp) -> Result<Arc<EventMeter>, Error> {
        let organization = tenant.organization;
        if let Some(meter) = self.meters().get(&organization) {
            return Ok(Arc::clone(meter));
        }
        let environment = environments::find_any(store, tenant.environment).await?;
        let most = environment.and_then(|environment| environment.quotas.get(Quota::EventsPerMonth));
        let meter = EventMeter { most: AtomicI64::new(limit(most)), ..EventMeter::default() };
        if meter.is_limited() {
            let month = Month::of(now);
            let counted = quotas::events(store, month, Some(organization)).await?;
            meter.count(month, counted.get(&organization).copied().unwrap_or(0), 0);
        }
        // Of two concurrent readers, one meter is kept.
        let meter = Arc::clone(self.meters().entry(organization).or_insert_with(|| Arc::new(meter)));
        if meter.is_limited() {
            // Events of other nodes count from now on.
            self.learned.notify_one();
        }
        Ok(meter)
    }

    fn meters(&self) -> MutexGuard<'_, HashMap<OrganizationId, Arc<EventMeter>>> {
        self.meters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the limits from environments. An organization without an environment in the list keeps its limit, which
    /// may be newer than the list.
    pub(crate) fn learn(&self, environments: &[Environment]) {
        let limits: HashMap<_, _> = environments
            .iter()
            .map(|environment| (environment.organization_id, limit(environment.quotas.get(Quota::EventsPerMonth))))
            .collect();
        let mut meters = self.meters();
        let mut has_changed = false;
        for (organization, most) in limits {
            if most == UNLIMITED {
                let meter = meters.get(&organization);
                if let Some(meter) = meter.filter(|meter| meter.most.swap(UNLIMITED, Ordering::AcqRel) != UNLIMITED) {
                    // Events accepted from here on are not counted.
                    meter.used.store(0, Ordering::Release);
                    meter.is_exact.store(false, Ordering::Release);
                }
            } else if let Some(meter) = meters.get_mut(&organization) {
                has_changed |= meter.most.swap(most, Ordering::AcqRel) != most;
            }
        }
        drop(meters);
        if has_changed {
            self.learned.notify_one();
        }
    }

    pub(crate) fn limited(&self) -> Vec<(OrganizationId, Arc<EventMeter>)> {
        let meters = self.meters();
        meters.iter().filter(|(_, meter)| meter.is_limited()).map(|(id, meter)| (*id, Arc::clone(meter))).collect()
    }
}

/// Returns a quota in the meter's form.
fn limit(most: Option<u64>) -> i64 {
    most.map_or(UNLIMITED, |most| i64::try_from(most).unwrap_or(i64::MAX))
}

fn join(month: u16, used: u64) -> u64 {
    (u64::from(month) << MONTH_SHIFT) | used.min(USED)
}

fn split(known: u64) -> (u16, u64) {
    (u16::try_from(known >> MONTH_SHIFT).unwrap_or(u16::MAX), known & USED)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: &str = "2027-01-31T12:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    pub(crate) fn limited(most: i64) -> Arc<EventMeter> {
        Arc::new(EventMeter { most: AtomicI64::new(most), ..EventMeter::default() })
    }

    #[test]
    fn reservations_stop_at_the_limit_and_return_if_unstored() {
        let meter = limited(2);
        meter.take(at(NOON)).expect("the first").keep();
        let second = meter.take(at(NOON)).expect("the second");
        let reached = Reached { most: 2, until: at("2027-02-01T00:00:00Z") };
        assert_eq!(meter.take(at(NOON)).expect_err("there is no third"), reached);
        drop(second);
        meter.take(at(NOON)).expect("the reservation was returned").keep();
        assert_eq!(meter.take(at(NOON)).expect_err("full"), reached);
        // A new month begins at zero.
        meter.take(at("2027-02-01T00:00:00Z")).expect("another month").keep();
        // A late message belongs to the previous month.
        meter.take(at(NOON)).expect("the month is over").keep();
        meter.take(at("2027-02-01T00:00:00Z")).expect("the second of it").keep();
        assert!(meter.take(at("2027-02-01T00:00:00Z")).is_err());
        assert!(limited(0).take(at(NOON)).is_err());
    }

    #[test]
    fn unlimited_meter_counts_nothing() {
        let meter = limited(UNLIMITED);
        for _ in 0..3 {
            meter.take(at(NOON)).expect("no limit").keep();
        }
        assert_eq!((meter.used.load(Ordering::Relaxed), meter.taken.load(Ordering::Relaxed)), (0, 0));
    }

    #[test]
    fn count_includes_other_nodes_and_own_reservations() {
        let meter = limited(10);
        meter.take(at(NOON)).expect("a reservation").keep();
        let under_way = meter.take(at(NOON)).expect("a reservation");
        let stored = meter.stored.load(Ordering::Relaxed);
        // The store has one event of this node and seven of others; one of this node is in progress.
        meter.count(Month::of(at(NOON)), 8, stored);
        meter.take(at(NOON)).expect("the tenth").keep();
        assert!(meter.take(at(NOON)).is_err());
        under_way.keep();
        assert!(meter.take(at(NOON)).is_err());
    }

    #[test]
    fn concurrent_reservations_stay_within_the_limit() {
        let meter = limited(1_000);
        let taken: usize = std::thread::scope(|scope| {
            let takers: Vec<_> =
                (0..4).map(|_| scope.spawn(|| (0..500).filter_map(|_| meter.take(at(NOON)).ok()).map(Reservation::keep).count())).collect();
            takers.into_iter().map(|taker| taker.join().expect("it does not panic")).sum()
        });
        assert_eq!(taken, 1_000);
    }
}
