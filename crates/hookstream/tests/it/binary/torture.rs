//! `hookstream torture`: it injects faults, reports their effects, and fails if a message is lost.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use hookstream_store::{Retention, Store, sqlite::SqliteStore};
use hookstream_testkit::eventually;
use serde_json::Value;

use crate::{
    outbound::expiry::now,
    support::{KEY, hookstream, scratch},
};

fn torture(arguments: &[&str]) -> Output {
    let mut command: Command = hookstream();
    command.arg("torture").args(arguments).output().expect("the command runs")
}

#[test]
fn kill_and_pause_on_sqlite_lose_nothing() {
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
fn full_disk_responds_503_and_needs_no_restart() {
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

/// Runs a round of a fault after which all messages must have arrived.
fn check_all_arrive(fault: &str) {
    check_all_arrive_with(fault, &[]);
}

fn check_all_arrive_with(fault: &str, arguments: &[&str]) {
    let output = torture(&[&["--rounds", "1", "--only", fault, "--rate", "100", "--json"], arguments].concat());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let fault = &report["faults"][0];
    assert!(output.status.success() && report["fine"] == true, "{report}");
    assert_eq!((&fault["rounds"], &fault["accepted"]), (&1.into(), &fault["delivered"]), "{report}");
}

#[test]
fn all_messages_arrive_after_receiver_faults() {
    check_all_arrive("receivers");
}

#[test]
fn skipped_messages_arrive_by_interrupted_jobs() {
    check_all_arrive("jobs");
}

/// Builds the library that is preloaded into nodes, like `scripts/torture`.
fn shim(directory: &Path) -> PathBuf {
    let (source, library) = (concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/torture-shim.c"), directory.join("torture-shim.so"));
    let mut compiler = Command::new("cc");
    compiler.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(source);
    let output = compiler.output().expect("a C compiler, which the build needs too");
    assert!(output.status.success(), "{output:?}");
    library
}

#[test]
fn accepted_messages_survive_a_power_cut() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let shim = shim(directory.path());
    // With this seed the first cut keeps nothing.
    check_all_arrive_with("power", &["--seed", "1", "--shim", shim.to_str().expect("text")]);
}

#[test]
fn clock_jump_causes_no_storm_and_no_stall() {
    let directory = tempfile::tempdir().expect("a scratch directory");
    let shim = shim(directory.path());
    check_all_arrive_with("clock", &["--seed", "1", "--shim", shim.to_str().expect("text")]);
}

/// Process that is killed on drop.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Parses the records of a shim's journal: kind, file and bytes.
fn records(journal: &[u8]) -> Vec<(u32, u32, String)> {
    let (mut records, mut rest) = (Vec::new(), journal);
    while let Some((head, next)) = rest.split_at_checked(24) {
        let four = |at: usize| u32::from_ne_bytes(head[at..at + 4].try_into().expect("four"));
        let length = usize::try_from(u64::from_ne_bytes(head[16..].try_into().expect("eight"))).expect("the length fits");
        let Some((bytes, next)) = next.split_at_checked(length) else { break };
        records.push((four(0), four(4), String::from_utf8_lossy(bytes).into_owned()));
        rest = next;
    }
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn drop_of_a_day_is_durable_before_its_log_is_deleted() {
    let directory = scratch();
    let (shim, root) = (shim(directory.path()), directory.path().join("data"));
    let day = (now() - Duration::from_secs(100 * 24 * 3600)).day();
    let store = SqliteStore::open(&root).expect("opened");
    store.prepare_day(day).await.expect("created");
    store.close().await;
    drop(store);

    let mut command = hookstream();
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&root).stdout(Stdio::null());
    let journal = directory.path().join("journal");
    command.env("HOOKSTREAM_BOOTSTRAP_API_KEY", KEY).env("LD_PRELOAD", shim).env("TORTURE_JOURNAL", &journal).env("TORTURE_ROOT", &root);
    let server = Killed(command.spawn().expect("the process starts"));
    let name = format!("days/{day}.db");
    let next = eventually("the day was dropped", async || {
        let records = records(&fs::read(&journal).unwrap_or_default());
        let directories: Vec<u32> =
            records.iter().filter(|(kind, _, path)| *kind == 1 && path == "days").map(|(_, file, _)| *file).collect();
        let dropped = records.iter().position(|(kind, _, path)| *kind == 6 && *path == name)?;
        let is_next = |(kind, file, path): &&(u32, u32, String)| {
            (*kind == 6 && path.starts_with(&name)) || (*kind == 5 && directories.contains(file))
        };
        records[dropped + 1..].iter().find(is_next).cloned()
    })
    .await;
    drop(server);
    assert_eq!(next.0, 5, "the next record is a sync of the directory: {next:?}");
}

#[test]
fn impossible_fault_is_rejected_with_its_requirement() {
    let check = |arguments: &[&str], expected: &str| {
        let output = torture(arguments);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && error.contains(expected), "{arguments:?}: {error}");
    };
    check(&["--only", "failover"], "failover is not possible here: it needs --postgres");
    check(&["--only", "power"], "power is not possible here: it needs --shim");
    check(&["--only", "clock"], "clock is not possible here: it needs --shim");
    check(&["--postgres", "--only", "power", "--shim", "x"], "it is for SQLite");
    check(&["--only", "locks"], "it needs --postgres or --database-url");
    check(
        &["--only", "fire"],
        "kill, pause, terminate, connections, locks, restart-fast, restart-immediate, failover, disk-full, receivers, jobs, power, clock",
    );
    check(&["--nodes", "3"], "SQLite has one node");
    check(&["--postgres", "--database-url", "postgres://127.0.0.1/x"], "cannot be used with");
    check(&["--rounds", "0"], "--rounds");
}
