//! The ledger: which ids were answered 201, which arrived, and in what order. It is what torture judges by.

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
use crate::torture::knobs::LINES;

/// A try this soon after one that was refused is one too early: the first wait in the nodes' schedule, and a little less,
/// since clocks that agree are still not the same.
const TOO_EARLY: Duration = Duration::from_millis(900);

/// What is known of all messages of a fault.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    next: AtomicUsize,
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    accepted: HashSet<String>,
    arrived: HashSet<String>,
    /// Accepted and not arrived.
    owed: HashSet<String>,
    /// Under which id a number was first heard of.
    ids: HashMap<usize, String>,
    duplicates: u64,
    twice: Vec<[String; 2]>,
    refused: BTreeMap<u16, u64>,
    lines: [OrderedBacklog; LINES],
    /// Those that arrived of what is in a line.
    ordered: u64,
    came_again_late: u64,
    /// When a message's first try was refused, until it arrives.
    failed_first: HashMap<usize, Instant>,
    too_early: u64,
    wrongly_timed: u64,
    /// What arrived before something that it had to follow: first the one that overtook.
    overtakings: Vec<[usize; 2]>,
}

/// Totals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) accepted: u64,
    /// Of those that were accepted.
    pub(crate) delivered: u64,
    /// Arrivals of an id after one that we answered 2xx.
    pub(crate) duplicates: u64,
    /// Those that arrived of messages in a line.
    pub(crate) ordered: u64,
    /// Of those, how many arrived before one that they had to follow.
    pub(crate) out_of_order: u64,
    /// Duplicates of those that came when something behind them had arrived.
    pub(crate) came_again_late: u64,
    /// Those that came again sooner than the schedule says.
    pub(crate) too_early: u64,
    /// Tries whose signature had another time than its node's clock.
    pub(crate) wrongly_timed: u64,
}

impl Ledger {
    /// The number of the next message.
    pub(crate) fn next(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes that a message is about to be sent.
    pub(crate) fn begun(&self, number: usize) {
        self.books().order(number, Event::Begun(number));
    }

    /// Notes that a message was answered 201 with this id.
    pub(crate) fn accepted(&self, number: usize, id: &str) {
        let mut books = self.books();
        books.order(number, Event::Answered(number));
        if books.accepted.insert(id.to_owned()) && !books.arrived.contains(id) {
            books.owed.insert(id.to_owned());
        }
        books.name(number, id);
    }

    /// Notes that a message was answered, but not with 201.
    pub(crate) fn refused(&self, status: StatusCode) {
        *self.books().refused.entry(status.as_u16()).or_default() += 1;
    }

    /// Notes that the first try of a message is about to be refused.
    pub(crate) fn failed_first(&self, number: usize) {
        self.books().failed_first.insert(number, Instant::now());
    }

    /// Notes a try whose signature has another time than its node's clock.
    pub(crate) fn wrongly_timed(&self) {
        self.books().wrongly_timed += 1;
    }

    /// Notes an arrival that is about to be answered 2xx.
    pub(crate) fn arrived(&self, number: usize, id: &str) {
        let mut books = self.books();
        books.order(number, Event::Arrived(number));
        let failed = books.failed_first.remove(&number);
        books.too_early += u64::from(failed.is_some_and(|failed| failed.elapsed() < TOO_EARLY));
        if books.arrived.insert(id.to_owned()) {
            books.ordered += u64::from(Share::of(number).line().is_some());
            books.owed.remove(id);
        } else {
            books.duplicates += 1;
        }
        books.name(number, id);
    }

    /// Whether an id has arrived.
    pub(crate) fn has_arrived(&self, id: &str) -> bool {
        self.books().arrived.contains(id)
    }

    /// How many sends were answered with this status so far.
    pub(crate) fn refused_with(&self, status: u16) -> u64 {
        self.books().refused.get(&status).copied().unwrap_or_default()
    }

    /// How many sends were answered otherwise than with 201, by status.
    pub(crate) fn all_refused(&self) -> BTreeMap<u16, u64> {
        self.books().refused.clone()
    }

    /// Messages that were accepted under two ids, in spite of their idempotency key.
    pub(crate) fn twice(&self) -> Vec<[String; 2]> {
        self.books().twice.clone()
    }

    /// The first few that arrived out of order, as people read it.
    pub(crate) fn overtakings(&self) -> Vec<String> {
        let books = self.books();
        let name = |number: &usize| books.ids.get(number).map_or("?", String::as_str);
        let told = books.overtakings.iter().take(5);
        told.map(|[one, other]| format!("{} arrived before {}, which had been answered before it was sent", name(one), name(other)))
            .collect()
    }

    pub(crate) fn totals(&self) -> Totals {
        let books = self.books();
        let accepted = books.accepted.len() as u64;
        Totals {
            accepted,
            delivered: accepted - books.owed.len() as u64,
            duplicates: books.duplicates,
            ordered: books.ordered,
            out_of_order: books.overtakings.len() as u64,
            came_again_late: books.came_again_late,
            too_early: books.too_early,
            wrongly_timed: books.wrongly_timed,
        }
    }

    /// Waits until all that is owed now has arrived, and returns what had not when the time was over.
    pub(crate) async fn settled_within(&self, limit: Duration) -> Vec<String> {
        let end = Instant::now() + limit;
        let mut waiting: Vec<String> = self.books().owed.iter().cloned().collect();
        loop {
            self.books().keep_owed(&mut waiting);
            if waiting.is_empty() || Instant::now() >= end {
                return waiting;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Books {
    fn keep_owed(&self, ids: &mut Vec<String>) {
        ids.retain(|id| self.owed.contains(id));
    }

    /// Notes what happened to a message that is in a line.
    fn order(&mut self, number: usize, event: Event) {
        let Some(line) = Share::of(number).line() else { return };
        match self.lines[line].note(event) {
            Verdict::Fits => {}
            Verdict::Overtook(earlier) => self.overtakings.push([number, earlier]),
            Verdict::CameAgainLate => self.came_again_late += 1,
        }
    }

    /// Notes under which id a number goes, which must be one.
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
    async fn what_was_accepted_is_owed_until_it_arrives() {
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
    fn what_arrived_and_was_not_accepted_counts_for_nothing() {
        let ledger = Ledger::default();
        ledger.arrived(1, "a");
        assert_eq!(ledger.totals(), Totals::default());
        assert!(ledger.twice().is_empty());
    }

    #[test]
    fn what_arrives_before_what_it_had_to_follow_is_noticed_and_named() {
        let ledger = Ledger::default();
        for (number, id) in [(0, "a"), (10, "b"), (11, "in no line")] {
            ledger.begun(number);
            ledger.accepted(number, id);
        }
        for (number, id) in [(11, "in no line"), (10, "b"), (0, "a"), (10, "b")] {
            ledger.arrived(number, id);
        }
        let Totals { ordered, out_of_order, came_again_late, .. } = ledger.totals();
        assert_eq!([ordered, out_of_order, came_again_late], [2, 1, 1]);
        assert_eq!(ledger.overtakings(), ["b arrived before a, which had been answered before it was sent"]);
    }

    #[test]
    fn what_comes_again_too_early_is_noticed() {
        let ledger = Ledger::default();
        for (number, ago) in [(1, TOO_EARLY / 2), (2, TOO_EARLY)] {
            let failed = Instant::now().checked_sub(ago).expect("the machine runs for longer");
            ledger.books().failed_first.insert(number, failed);
        }
        [1, 2].into_iter().for_each(|number| ledger.arrived(number, &number.to_string()));
        assert_eq!(ledger.totals().too_early, 1);
    }

    #[test]
    fn a_message_under_two_ids_is_noticed_once() {
        let ledger = Ledger::default();
        ledger.accepted(0, "a");
        ledger.arrived(0, "b");
        ledger.arrived(0, "b");
        ledger.accepted(1, "c");
        assert_eq!(ledger.twice(), [["a".to_owned(), "b".to_owned()]]);
    }
}
