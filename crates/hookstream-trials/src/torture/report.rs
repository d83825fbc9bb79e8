//! Report: one line per fault.

use std::{collections::BTreeMap, io::IsTerminal, time::Duration};

use serde_json::{Value, json};

use super::test_bed::DatabaseChoice;
use crate::torture::{faults::fault::Fault, traffic::ledger::Totals};

/// Result of a fault's rounds.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) fault: Fault,
    pub(crate) rounds: u32,
    pub(crate) totals: Totals,
    /// Messages not delivered, but recorded with the reason.
    pub(crate) accounted: u64,
    pub(crate) lost: u64,
    /// Allowed number of duplicates over all rounds.
    pub(crate) duplicates_allowed: u64,
    /// Longest recovery.
    pub(crate) recovery: Duration,
    /// Sends with a response other than 201, by status.
    pub(crate) refused: BTreeMap<u16, u64>,
    pub(crate) failures: Vec<String>,
}

/// Shows the progress of a fault on a terminal.
pub(crate) fn progress(fault: Fault, round: u32, rounds: u32) {
    if std::io::stderr().is_terminal() {
        // The line of the table overwrites it.
        hookstream_cli::output::error(format_args!("\r{:<18}{round:>6} of {rounds}\r", fault.name()));
    }
}

/// Report of a whole run.
#[derive(Debug)]
pub(crate) struct Report {
    database: &'static str,
    nodes: u32,
    rate: u32,
    seed: u64,
    pub(crate) tallies: Vec<Tally>,
    pub(crate) skipped: Vec<(Fault, String)>,
}

impl Tally {
    pub(crate) fn new(fault: Fault) -> Self {
        Self {
            fault,
            rounds: 0,
            totals: Totals::default(),
            accounted: 0,
            lost: 0,
            duplicates_allowed: 0,
            recovery: Duration::ZERO,
            refused: BTreeMap::new(),
            failures: vec![],
        }
    }

    /// Returns the line of the table.
    pub(crate) fn line(&self) -> String {
        let Totals { accepted, delivered, duplicates, ordered, out_of_order, .. } = self.totals;
        let out_of_order = format!("{out_of_order} (of {ordered})");
        let duplicates = format!("{duplicates} (of {})", self.duplicates_allowed);
        let recovery = format!("{} ms", self.recovery.as_millis());
        let [fault, rounds, accounted, lost] =
            [self.fault.name().to_owned(), self.rounds.to_string(), self.accounted.to_string(), self.lost.to_string()];
        row(&[&fault, &rounds, &accepted.to_string(), &delivered.to_string(), &accounted, &lost, &out_of_order, &duplicates, &recovery])
    }

    /// Returns responses that are not part of a fault, such as `500 (3 times)`.
    pub(crate) fn odd_refusals(&self) -> Option<String> {
        let odd = self.refused.iter().filter(|(status, _)| **status != 503);
        let listed: Vec<_> = odd.map(|(status, count)| format!("{status} ({count} times)")).collect();
        (!listed.is_empty()).then(|| listed.join(", "))
    }

    fn as_json(&self) -> Value {
        json!({
            "fault": self.fault.name(),
            "rounds": self.rounds,
            "accepted": self.totals.accepted,
            "delivered": self.totals.delivered,
            "accounted": self.accounted,
            "lost": self.lost,
            "ordered": self.totals.ordered,
            "out_of_order": self.totals.out_of_order,
            "duplicates": self.totals.duplicates,
            "duplicates_late": self.totals.late_duplicates,
            "too_early": self.totals.too_early,
            "wrongly_timed": self.totals.wrongly_timed,
            "duplicates_allowed": self.duplicates_allowed,
            "longest_recovery_ms": u64::try_from(self.recovery.as_millis()).unwrap_or(u64::MAX),
            "refused": self.refused.iter().map(|(status, count)| (status.to_string(), json!(count))).collect::<serde_json::Map<_, _>>(),
            "failures": self.failures,
        })
    }
}

impl Report {
    pub(crate) fn new(choice: &DatabaseChoice, nodes: u32, rate: u32, seed: u64) -> Self {
        Self { database: choice.name(), nodes, rate, seed, tallies: vec![], skipped: vec![] }
    }

    /// Returns whether all promises held.
    pub(crate) fn is_fine(&self) -> bool {
        self.tallies.iter().all(|tally| tally.failures.is_empty())
    }

    /// Returns the text before the first fault.
    pub(crate) fn head(&self) -> String {
        let Self { database, nodes, rate, seed, .. } = self;
        let plural = if *nodes == 1 { "" } else { "s" };
        let columns = ["fault", "rounds", "accepted", "delivered", "accounted", "lost", "out of order", "duplicates", "longest recovery"];
        format!("{database}, {nodes} node{plural}, {rate} messages/s, seed {seed}\n\n{}", row(&columns))
    }

    pub(crate) fn as_json(&self) -> Value {
        let skipped = |(fault, reason): &(Fault, String)| json!({ "fault": fault.name(), "reason": reason });
        json!({
            "database": self.database,
            "nodes": self.nodes,
            "rate": self.rate,
            "seed": self.seed,
            "fine": self.is_fine(),
            "faults": self.tallies.iter().map(Tally::as_json).collect::<Vec<_>>(),
            "skipped": self.skipped.iter().map(skipped).collect::<Vec<_>>(),
        })
    }
}

fn row(cells: &[&str; 9]) -> String {
    let [fault, rounds, accepted, delivered, accounted, lost, out_of_order, duplicates, recovery] = cells;
    format!("{fault:<18}{rounds:>6}{accepted:>10}{delivered:>11}{accounted:>11}{lost:>6}{out_of_order:>16}{duplicates:>18}{recovery:>18}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_aligned_and_one_failure_fails_the_run() {
        let mut report = Report::new(&DatabaseChoice::Sqlite, 1, 300, 7);
        let mut tally = Tally::new(Fault::RestartImmediate);
        tally.totals = Totals { accepted: 3, delivered: 2, duplicates: 1, ordered: 2, ..Totals::default() };
        tally.lost = 1;
        report.tallies.push(tally);
        assert!(report.is_fine());
        insta::assert_snapshot!(format!("{}\n{}", report.head(), report.tallies[0].line()), @"
        SQLite, 1 node, 300 messages/s, seed 7

        fault             rounds  accepted  delivered  accounted  lost    out of order        duplicates  longest recovery
        restart-immediate      0         3          2          0     1        0 (of 2)          1 (of 0)              0 ms
        ");
        report.tallies[0].failures.push("1 lost".to_owned());
        assert!(!report.is_fine());
        assert_eq!(report.as_json()["fine"], false);
    }
}
