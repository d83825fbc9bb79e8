//! `hookstream torture`: breaks things under load, and checks that no accepted message is lost.
//!
//! The nodes are the real binary in separate processes; senders and receiver run here. The possible faults depend on
//! the nodes' database ([`test_bed`]). A fault's rounds ([`round`]) share one stream of messages and one ledger: every id
//! with a 201 response must end delivered or accounted for ([`traffic::ledger`]).

pub(crate) mod database;
pub(crate) mod faults;
pub(crate) mod installation;
pub(crate) mod power;
pub(crate) mod traffic;

mod account;
mod knobs;
mod plan;
mod report;
mod round;
mod test_bed;

use std::{
    num::NonZeroU32,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Args;
use hookstream_cli::say;
use rand::{Rng, SeedableRng, rngs::StdRng};

use self::{
    report::{Report, Tally},
    test_bed::{DatabaseChoice, Prevented},
};
use crate::torture::faults::fault::Fault;

/// Arguments of `hookstream torture`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example: hookstream torture --rounds 200 --only kill\n         \
    hookstream torture --postgres --nodes 3\n\n\
    Faults on SQLite: kill, pause, receivers, jobs, disk-full, power, clock. On any PostgreSQL: kill, pause, receivers,\n\
    jobs, terminate, connections, locks, clock.\n\
    On new clusters (--postgres): also restart-fast, restart-immediate, failover, disk-full.\n\
    docs/explanation/reliability.md describes each. disk-full needs root to mount a small disk; power and clock need --shim.\n\n\
    Columns: accepted messages; duplicates and their limit; accounted: not delivered, with a recorded reason.\n\
    The command fails if an accepted message is lost or accepted twice, if there are more duplicates than attempts in flight, if an\n\
    order is broken, if a node needs a restart, or if `hookstream doctor` finds a problem at the end.")]
pub struct TortureArgs {
    /// Number of rounds per fault
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rounds: u32,

    /// Faults to inject [default: all that the database allows]
    #[arg(long, value_name = "FAULT[,FAULT…]", value_delimiter = ',', hide_possible_values = true)]
    only: Vec<Fault>,

    /// Disposable PostgreSQL database that nothing else uses
    #[arg(long, value_name = "URL", conflicts_with = "postgres")]
    database_url: Option<String>,

    /// Use new PostgreSQL clusters, created with initdb
    #[arg(long)]
    postgres: bool,

    /// Number of nodes that share the database [default: 3 on PostgreSQL, 1 on SQLite]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=32))]
    nodes: Option<u32>,

    /// Messages per second
    #[arg(long, value_name = "R", default_value = "300")]
    rate: NonZeroU32,

    /// Seed of the random choices, to repeat an earlier run [default: random]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,

    /// Directory for data and logs, kept afterwards [default: a temporary directory, kept after a failure]
    #[arg(long, value_name = "DIR")]
    scratch_dir: Option<PathBuf>,

    /// Library to load into the nodes for the faults power and clock (Linux): it records their writes and shifts
    /// their clock; scripts/torture builds it
    #[arg(long, value_name = "FILE")]
    shim: Option<PathBuf>,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Runs the faults and prints the results.
pub async fn run(arguments: TortureArgs) -> anyhow::Result<()> {
    let scratch = tempfile::Builder::new().prefix("hookstream-torture-").tempdir().context("could not make a scratch directory")?;
    let directory = arguments.scratch_dir.as_deref().map_or(Ok(scratch.path().to_owned()), std::path::absolute)?;
    let report = tokio::select! {
        report = torture(&arguments, &directory) => report,
        stopped = hookstream_cli::signals::until_stop_signal() => stopped.and_then(|()| anyhow::bail!("interrupted")),
    }?;
    if arguments.json {
        say!("{}", report.as_json());
    }
    if report.is_fine() {
        return Ok(());
    }
    if arguments.scratch_dir.is_none() {
        let _ = scratch.keep();
    }
    anyhow::bail!("a promise was broken; logs and data are in {}", directory.display())
}

async fn torture(arguments: &TortureArgs, directory: &Path) -> anyhow::Result<Report> {
    let choice = DatabaseChoice::chosen(arguments)?;
    let nodes = choice.nodes(arguments.nodes)?;
    let seed = match arguments.seed {
        Some(seed) => seed,
        // Short enough to type again.
        None => u64::from(StdRng::try_from_rng(&mut rand::rngs::SysRng).context("the system gives no random numbers")?.next_u32()),
    };
    let mut report = Report::new(&choice, nodes, arguments.rate.get(), seed);
    let say = |line: String| {
        if !arguments.json {
            say!("{line}");
        }
    };
    for fault in Fault::ALL.into_iter().filter(|fault| arguments.only.contains(fault)) {
        if let Some(Prevented::Elsewhere(reason) | Prevented::Machine(reason)) = choice.prevents(fault, arguments.shim.is_some()) {
            anyhow::bail!("{} is not possible here: {reason}", fault.name());
        }
    }
    say(report.head());
    for fault in Fault::ALL {
        if !arguments.only.is_empty() && !arguments.only.contains(&fault) {
            continue;
        }
        match choice.prevents(fault, arguments.shim.is_some()) {
            None => {}
            // The help says so.
            Some(Prevented::Elsewhere(_)) => continue,
            Some(Prevented::Machine(reason)) => {
                say(format!("{:<18}skipped: {reason}", fault.name()));
                report.skipped.push((fault, reason));
                continue;
            }
        }
        // Each fault has its own random numbers, so that one can be repeated without the others.
        let mut rng = StdRng::seed_from_u64(seed ^ (u64::from(fault.number()) << 32));
        let mut tally = Tally::new(fault);
        let plan = crate::torture::plan::Plan {
            fault,
            rounds: arguments.rounds,
            nodes,
            rate: arguments.rate.get(),
            directory: directory.join(fault.name()),
            shim: arguments.shim.clone(),
        };
        if let Err(error) = round::all(&plan, &choice, &mut rng, &mut tally).await {
            tally.failures.push(format!("{error:#}"));
        }
        say(tally.line());
        if let Some(refusals) = tally.odd_refusals() {
            say(format!("  besides 201 and 503, sends were answered {refusals}"));
        }
        for failure in &tally.failures {
            say(format!("  FAILED: {failure}"));
        }
        report.tallies.push(tally);
    }
    Ok(report)
}
