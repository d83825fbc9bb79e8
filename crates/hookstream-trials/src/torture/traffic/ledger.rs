//! Ledger of torture: ids with a 201 response, arrivals, and their order.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use http::StatusCode;
use tokio::time::{Instant, sleep};

use super::order::{Event, OrderedBacklog, Share, Verdict};
use crate::torture::knobs::ORDERED_BACKLOGS;

/// Age of a refused attempt below which the next one is too early: the first wait in the nodes' schedule, and a little
/// less, because clocks differ slightly.
const TOO_EARLY: Duration = Duration::from_millis(900);

/// Record of all messages of a fault.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    next: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    accepted: HashSet<String>,
    arrived: HashSet<String>,
    /// Accepted and not arrived.
    pending: HashSet<String>,
    /// First known id of each number.
    ids: HashMap<usize, String>,
    duplicates: u64,
    twice: Vec<[String; 2]>,
    refused: BTreeMap<u16, u64>,
    backlogs: [OrderedBacklog; ORDERED_BACKLOGS],
    /// Arrivals of ordered messages.
    ordered: u64,
    late_duplicates: u64,
    /// Time of a message's refused first attempt, until it arrives.
    failed_first: HashMap<usize, Instant>,
    too_early: u64,
    wrongly_timed: u64,
    /// Pairs in the wrong order; the one that overtook comes first.
    overtakings: Vec<[usize; 2]>,
}

/// Totals of a ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) accepted: u64,
    /// Accepted messages that were delivered.
    pub(crate) delivered: u64,
    /// Arrivals of an id after one with a 2xx response.
    pub(crate) duplicates: u64,
    /// Arrivals of ordered messages.
    pub(crate) ordered: u64,
    /// Ordered messages that arrived before one that they had to follow.
    pub(crate) out_of_order: u64,
    /// Duplicates that arrived after a later message of their order.
    pub(crate) late_duplicates: u64,
    /// Retries before the time of the schedule.
    pub(crate) too_early: u64,
    /// Attempts whose signature had another time than its node's clock.
    pub(crate) wrongly_timed: u64,
}

impl Ledger {
    /// Returns the number of the next message.
    pub(crate) fn next(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes that a message is about to be sent.
    pub(crate) fn begun(&self, number: usize) {
        self.state().order(number, Event::Begun(number));
    }

    /// Notes a 201 response with this id.
    pub(crate) fn accepted(&self, number: usize, id: &str) {
        let mut state = self.state();
        state.order(number, Event::Responded(number));
        if state.accepted.insert(id.to_owned()) && !state.arrived.contains(id) {
            state.pending.insert(id.to_owned());
        }
        state.name(number, id);
    }

    /// Notes a response other than 201.
    pub(crate) fn refused(&self, status: StatusCode) {
        *self.state().refused.entry(status.as_u16()).or_default() += 1;
    }

    /// Notes that the first attempt of a message is about to be refused.
    pub(crate) fn failed_first(&self, number: usize) {
        self.state().failed_first.insert(number, Instant::now());
    }

    /// Notes an attempt whose signature has another time than its node's clock.
    pub(crate) fn wrongly_timed(&self) {
        self.state().wrongly_timed += 1;
    }

    /// Notes an arrival that is about to get a 2xx response.
    pub(crate) fn arrived(&self, number: usize, id: &str) {
        let mut state = self.state();
        state.order(number, Event::Arrived(number));
        let failed = state.failed_first.remove(&number);
        state.too_early += u64::from(failed.is_some_and(|failed| failed.elapsed() < TOO_EARLY));
        if state.arrived.insert(id.to_owned()) {
            state.ordered += u64::from(Share::of(number).backlog().is_some());
            state.pending.remove(id);
        } else {
            state.duplicates += 1;
        }
        state.name(number, id);
    }

    /// Returns whether an id has arrived.
    pub(crate) fn has_arrived(&self, id: &str) -> bool {
        self.state().arrived.contains(id)
    }

    /// Returns the number of sends with this response status so far.
    pub(crate) fn refused_with(&self, status: u16) -> u64 {
        self.state().refused.get(&status).copied().unwrap_or_default()
    }

    /// Returns the number of sends with a response other than 201, by status.
    pub(crate) fn all_refused(&self) -> BTreeMap<u16, u64> {
        self.state().refused.clone()
    }

    /// Returns messages that were accepted under two ids, despite their idempotency key.
    pub(crate) fn accepted_twice(&self) -> Vec<[String; 2]> {
        self.state().twice.clone()
    }

    /// Describes the first few messages that arrived out of order.
    pub(crate) fn overtakings(&self) -> Vec<String> {
        let state = self.state();
        let name = |number: &usize| state.ids.get(number).map_or("?", String::as_str);
        let listed = state.overtakings.iter().take(5);
        listed
            .map(|[one, other]| format!("{} arrived before {}, which had been answered before it was sent", name(one), name(other)))
            .collect()
    }

    pub(crate) fn totals(&self) -> Totals {
        let state = self.state();
        let accepted = state.accepted.len() as u64;
        Totals {
            accepted,
            delivered: accepted - state.pending.len() as u64,
            duplicates: state.duplicates,
            ordered: state.ordered,
            out_of_order: state.overtakings.len() as u64,
            late_duplicates: state.late_duplicates,
            too_early: state.too_early,
            wrongly_timed: state.wrongly_timed,
        }
    }

    /// Waits until all pending messages have arrived. Returns those that have not at the time limit.
    pub(crate) async fn settled_within(&self, limit: Duration) -> Vec<String> {
        let end = Instant::now() + limit;
        let mut waiting: Vec<String> = self.state().pending.iter().cloned().collect();
        loop {
            self.state().keep_pending(&mut waiting);
            if waiting.is_empty() || Instant::now() >= end {
                return waiting;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn keep_pending(&self, ids: &mut Vec<String>) {
        ids.retain(|id| self.pending.contains(id));
    }

    /// Notes an event of an ordered message.
    fn order(&mut self, number: usize, event: Event) {
        let Some(backlog) = Share::of(number).backlog() else { return };
        match self.backlogs[backlog].note(event) {
            Verdict::Fits => {}
            Verdict::Overtook(earlier) => self.overtakings.push([number, earlier]),
            Verdict::LateDuplicate => self.late_duplicates += 1,
        }
    }

    /// Notes the id of a number; there must be only one.
    fn name(&mut self, number: usize, id: &str) {
        let known = self.ids.entry(number).or_insert_with(|| id.to_owned());
        let pair = [known.clone(), id.to_owned()];
        if pair[0] != pair[1] && !self.twice.contains(&pair) {
            self.twice.push(pair);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn accepted_message_is_pending_until_arrival() {
        let ledger = Ledger::default();
        ledger.accepted(0, "a");
        ledger.arrived(1, "b");
        ledger.accepted(1, "b");
        assert_eq!(ledger.settled_within(Duration::from_millis(20)).await, ["a"]);
        assert_eq!(ledger.totals(), Totals { accepted: 2, delivered: 1, ..Totals::default() });
        ledger.arrived(0, "a");
        ledger.arrived(0, "a");
        assert!(ledger.settled_within(Duration::ZERO).await.is_empty());
        assert_eq!(ledger.totals(), Totals { accepted: 2, delivered: 2, duplicates: 1, ordered: 1, ..Totals::default() });
    }

    #[test]
    fn arrival_of_an_unaccepted_message_does_not_count() {
        let ledger = Ledger::default();
        ledger.arrived(1, "a");
        assert_eq!(ledger.totals(), Totals::default());
        assert!(ledger.accepted_twice().is_empty());
    }

    #[test]
    fn wrong_order_is_counted_and_named() {
        let ledger = Ledger::default();
        for (number, id) in [(0, "a"), (10, "b"), (11, "in no backlog")] {
            ledger.begun(number);
            ledger.accepted(number, id);
        }
        for (number, id) in [(11, "in no backlog"), (10, "b"), (0, "a"), (10, "b")] {
            ledger.arrived(number, id);
        }
        let Totals { ordered, out_of_order, late_duplicates, .. } = ledger.totals();
        assert_eq!([ordered, out_of_order, late_duplicates], [2, 1, 1]);
        assert_eq!(ledger.overtakings(), ["b arrived before a, which had been answered before it was sent"]);
    }

    #[test]
    fn too_early_retry_is_counted() {
        let ledger = Ledger::default();
        for (number, ago) in [(1, TOO_EARLY / 2), (2, TOO_EARLY)] {
            let failed = Instant::now().checked_sub(ago).expect("the machine runs for longer");
            ledger.state().failed_first.insert(number, failed);
        }
        [1, 2].into_iter().for_each(|number| ledger.arrived(number, &number.to_string()));
        assert_eq!(ledger.totals().too_early, 1);
    }

    #[test]
    fn message_under_two_ids_is_listed_once() {
        let ledger = Ledger::default();
        ledger.accepted(0, "a");
        ledger.arrived(0, "b");
        ledger.arrived(0, "b");
        ledger.accepted(1, "c");
        assert_eq!(ledger.accepted_twice(), [["a".to_owned(), "b".to_owned()]]);
    }
}
