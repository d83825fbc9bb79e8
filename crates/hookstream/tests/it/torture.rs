//! `hookstream torture`: it breaks things, tells what became of them, and fails where that is its result.

use std::process::{Command, Output};

use serde_json::Value;

use crate::support::hookstream;

fn torture(arguments: &[&str]) -> Output {
    let mut command: Command = hookstream();
    command.arg("torture").args(arguments).output().expect("it runs")
}

#[test]
fn a_round_of_kill_and_pause_on_sqlite_loses_nothing() {
    let output = torture(&["--rounds", "1", "--only", "kill,pause", "--seed", "1"]);
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    assert!(printed.starts_with("SQLite, 1 node, 300 messages/s, seed 1\n"), "{printed}");
    for fault in ["kill", "pause"] {
        let line = printed.lines().find(|line| line.starts_with(fault)).expect(fault);
        let cells: Vec<u64> = line.split_whitespace().skip(1).take(5).map(|cell| cell.parse().expect("a number")).collect();
        let [rounds, accepted, delivered, accounted, lost] = cells[..] else { panic!("{line}") };
        assert_eq!((rounds, delivered, accounted, lost), (1, accepted, 0, 0), "{line}");
        assert!(accepted > 100, "{line}");
    }
}

#[test]
fn a_full_disk_is_refused_with_503_and_needs_no_restart() {
    let output = torture(&["--rounds", "1", "--only", "disk-full", "--json"]);
    if String::from_utf8_lossy(&output.stderr).contains("disk-full is not possible here") {
        return;
    }
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let fault = &report["faults"][0];
    assert!(output.status.success() && report["fine"] == true, "{report}");
    assert!(fault["refused"]["503"].as_u64().is_some_and(|refused| refused > 0), "{report}");
    assert_eq!((&fault["accepted"], &fault["lost"]), (&fault["delivered"], &0.into()), "{report}");
    assert!(fault["ordered"].as_u64().is_some_and(|ordered| ordered > 10) && fault["out_of_order"] == 0, "{report}");
}

/// Plays a round of a fault after which all must have arrived.
fn check_that_all_arrives(fault: &str) {
    let output = torture(&["--rounds", "1", "--only", fault, "--rate", "100", "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let told = &report["faults"][0];
    assert!(output.status.success() && report["fine"] == true, "{report}");
    assert_eq!((&told["rounds"], &told["accepted"]), (&1.into(), &told["delivered"]), "{report}");
}

#[test]
fn all_arrives_once_a_bad_receiver_is_well_again() {
    check_that_all_arrives("receivers");
}

#[test]
fn all_that_was_skipped_arrives_by_jobs_that_are_broken() {
    check_that_all_arrives("jobs");
}

#[test]
fn what_is_not_possible_is_refused_with_what_it_takes() {
    let check = |arguments: &[&str], said: &str| {
        let output = torture(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(said), "{arguments:?}: {error}");
    };
    check(&["--only", "failover"], "failover is not possible here: it needs --postgres");
    check(&["--only", "locks"], "it needs --postgres or --database-url");
    check(
        &["--only", "fire"],
        "kill, pause, terminate, connections, locks, restart-fast, restart-immediate, failover, disk-full, receivers, jobs",
    );
    check(&["--nodes", "3"], "SQLite has one node");
    check(&["--postgres", "--database-url", "postgres://127.0.0.1/x"], "cannot be used with");
    check(&["--rounds", "0"], "--rounds");
}
