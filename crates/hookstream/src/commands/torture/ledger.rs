//! The ledger: which ids were answered 201, and which arrived. It is what torture judges by.

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

/// What is known of all messages of a fault.
#[derive(Debug, Default)]
pub(super) struct Ledger {
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
}

/// Totals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) accepted: u64,
    /// Of those that were accepted.
    pub(super) delivered: u64,
    /// Arrivals of an id after one that we answered 2xx.
    pub(super) duplicates: u64,
}

impl Ledger {
    /// The number of the next message.
    pub(super) fn next(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Notes that a message was answered 201 with this id.
    pub(super) fn accepted(&self, number: usize, id: &str) {
        let mut books = self.books();
        if books.accepted.insert(id.to_owned()) && !books.arrived.contains(id) {
            books.owed.insert(id.to_owned());
        }
        books.name(number, id);
    }

    /// Notes that a message was answered, but not with 201.
    pub(super) fn refused(&self, status: StatusCode) {
        *self.books().refused.entry(status.as_u16()).or_default() += 1;
    }

    /// Notes an arrival that is about to be answered 2xx.
    pub(super) fn arrived(&self, number: usize, id: &str) {
        let mut books = self.books();
        if books.arrived.insert(id.to_owned()) {
            books.owed.remove(id);
        } else {
            books.duplicates += 1;
        }
        books.name(number, id);
    }

    /// Whether an id has arrived.
    pub(super) fn has_arrived(&self, id: &str) -> bool {
        self.books().arrived.contains(id)
    }

    /// How many sends were answered with this status so far.
    pub(super) fn refused_with(&self, status: u16) -> u64 {
        self.books().refused.get(&status).copied().unwrap_or_default()
    }

    /// How many sends were answered otherwise than with 201, by status.
    pub(super) fn all_refused(&self) -> BTreeMap<u16, u64> {
        self.books().refused.clone()
    }

    /// Messages that were accepted under two ids, in spite of their idempotency key.
    pub(super) fn twice(&self) -> Vec<[String; 2]> {
        self.books().twice.clone()
    }

    pub(super) fn totals(&self) -> Totals {
        let books = self.books();
        let accepted = books.accepted.len() as u64;
        Totals { accepted, delivered: accepted - books.owed.len() as u64, duplicates: books.duplicates }
    }

    /// Waits until all that is owed now has arrived, and returns what had not when the time was over.
    pub(super) async fn settled_within(&self, limit: Duration) -> Vec<String> {
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
        assert_eq!(ledger.totals(), Totals { accepted: 2, delivered: 1, duplicates: 0 });
        ledger.arrived(0, "a");
        ledger.arrived(0, "a");
        assert!(ledger.settled_within(Duration::ZERO).await.is_empty());
        assert_eq!(ledger.totals(), Totals { accepted: 2, delivered: 2, duplicates: 1 });
    }

    #[test]
    fn what_arrived_and_was_not_accepted_counts_for_nothing() {
        let ledger = Ledger::default();
        ledger.arrived(0, "a");
        assert_eq!(ledger.totals(), Totals::default());
        assert!(ledger.twice().is_empty());
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
