//! `hookstream transfer`: moves all data from one store to another.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Args;
use hookstream_cli::{note, say};
use hookstream_model::base::secret::Secret;
use hookstream_store::{
    db::{
        transfer::{Limits, Moved, Report, Side, Transfer},
        vault_keys,
    },
    postgres::{self, PostgresStore},
    sqlite::SqliteStore,
};
use serde_json::{Value, json};

use crate::server::keys::own_file;

/// Database connections of a transfer, which reads and writes one slice at a time.
const CONNECTIONS: usize = 2;
/// Interval of progress reports.
const REPORT_EVERY: Duration = Duration::from_secs(5);

/// Source and target.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: hookstream transfer --from sqlite:/var/lib/hookstream --to postgres://hookstream@db.example.com/hookstream\n\n\
    Stop the server first. The target must be empty; no server starts on it until the transfer is finished.\n\
    An interrupted transfer continues when the same command is run again. The source is not changed.\n\
    Secrets stay encrypted: the server on the target needs the source's encryption key.\n\
    Prefer HOOKSTREAM_TRANSFER_FROM and HOOKSTREAM_TRANSFER_TO for a URL with a password: the list of processes\n\
    shows flags."
)]
pub(crate) struct TransferArgs {
    /// The store to move: sqlite:DIR or postgres://user@host/database
    #[arg(long, value_name = "STORE", env = "HOOKSTREAM_TRANSFER_FROM", hide_env_values = true)]
    from: String,

    /// The empty store to move it to: sqlite:DIR or postgres://user@host/database
    #[arg(long, value_name = "STORE", env = "HOOKSTREAM_TRANSFER_TO", hide_env_values = true)]
    to: String,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Location of a store.
#[derive(Debug)]
enum StoreLocation {
    Directory(PathBuf),
    Database(postgres::Options),
}

/// Moves all data, compares the stores, and prints the counts.
pub(crate) async fn run(arguments: TransferArgs) -> anyhow::Result<()> {
    let began = Instant::now();
    let (from, to) = (StoreLocation::parse(&arguments.from).context("--from")?, StoreLocation::parse(&arguments.to).context("--to")?);
    let (from_name, to_name) = (from.name().context("--from")?, to.name().context("--to")?);
    if from_name == to_name {
        bail!("--from and --to are the same store, {from_name}");
    }
    let source = from.open_existing().await.context("--from")?;
    let target = to.open().await.context("--to")?;
    let moved = transfer(&*source, &from_name, &*target).await;
    let keys = keys_needed(&*source).await;
    target.close().await;
    source.close().await;
    let (report, keys) = (moved?, keys?);
    let took = began.elapsed();
    if arguments.json {
        say!("{}", as_json(&report, &from_name, &to_name, took, &keys));
    } else {
        say!("{}", as_text(&report, &from_name, &to_name, took));
        if !keys.is_empty() {
            say!("{}", about_keys(&from, &keys));
        }
    }
    if !report.is_equal() {
        bail!("the target differs from the source, and no server starts on it; empty the target and run the transfer again");
    }
    Ok(())
}

async fn transfer(source: &dyn Side, name: &str, target: &dyn Side) -> anyhow::Result<Report> {
    let mut transfer = Transfer::begin(source, name, target, Limits::default()).await?;
    if transfer.is_resumed() {
        note!("continuing the interrupted transfer");
    }
    let mut reported = Instant::now();
    let mut tell = |moved: Moved| {
        if reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            let day = moved.day.map_or_else(String::new, |day| format!(" of {day}"));
            note!("{} rows, at {}{day}", grouped(moved.rows), moved.table);
        }
        ControlFlow::Continue(())
    };
    transfer.copy(&mut tell).await?;
    note!("copied; comparing");
    let report = transfer.verify().await?;
    if report.is_equal() {
        transfer.finish(&report).await?;
    }
    Ok(report)
}

/// Returns the ids of the keys that rows are encrypted with, except the one that is moved along.
async fn keys_needed(source: &dyn Side) -> anyhow::Result<Vec<String>> {
    let known = vault_keys::known(source).await?;
    let moved = known.generated.map(|key| key.id());
    Ok(known.marked.into_iter().filter(|id| Some(*id) != moved).map(|id| id.to_string()).collect())
}

fn about_keys(from: &StoreLocation, keys: &[String]) -> String {
    let kept = match from {
        StoreLocation::Directory(directory) => {
            let path = own_file(directory);
            if path.exists() { format!("; the key that the source generated is in {}", path.display()) } else { String::new() }
        }
        StoreLocation::Database(_) => String::new(),
    };
    format!(
        "secrets are encrypted with the key {}: set it for the server on the target, in HOOKSTREAM_ENCRYPTION_KEY or \
         encryption_key_file{kept}",
        keys.join(" and ")
    )
}

impl StoreLocation {
    /// Parses a location. Errors do not contain the text, because it may contain a password.
    fn parse(text: &str) -> anyhow::Result<Self> {
        if let Some(directory) = text.strip_prefix("sqlite:").filter(|directory| !directory.is_empty()) {
            return Ok(Self::Directory(std::path::absolute(directory)?));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Database(postgres::Options {
                url: Secret::new(text),
                max_connections: CONNECTIONS,
                // No session state and no notifications are used, so a pooler is fine in any case.
                through_pooler: true,
                lease: Duration::ZERO,
            }));
        }
        bail!("it must be sqlite:DIR or postgres://user@host/database");
    }

    /// Returns the name of the location, without its secrets.
    fn name(&self) -> anyhow::Result<String> {
        match self {
            Self::Directory(directory) => Ok(format!("sqlite:{}", real(directory).display())),
            Self::Database(options) => Ok(options.address()?),
        }
    }

    async fn open_existing(&self) -> anyhow::Result<Box<dyn Side>> {
        if let Self::Database(options) = self {
            options.probe().await?;
        }
        let is_there = match self {
            Self::Directory(directory) => SqliteStore::is_in(directory),
            Self::Database(options) => PostgresStore::schema(options).await?.found > 0,
        };
        if !is_there {
            bail!("there is no store in {}", self.name()?);
        }
        self.open().await
    }

    async fn open(&self) -> anyhow::Result<Box<dyn Side>> {
        match self {
            Self::Directory(directory) => {
                let directory = directory.clone();
                Ok(Box::new(tokio::task::spawn_blocking(move || SqliteStore::open(&directory)).await??))
            }
            Self::Database(options) => {
                options.probe().await?;
                Ok(Box::new(PostgresStore::open(options).await?))
            }
        }
    }
}

/// Returns the canonical path of a directory, as far as it exists.
fn real(directory: &Path) -> PathBuf {
    if let Ok(real) = directory.canonicalize() {
        return real;
    }
    match (directory.parent(), directory.file_name()) {
        (Some(parent), Some(name)) => real(parent).join(name),
        (Some(_) | None, _) => directory.to_owned(),
    }
}

fn as_text(report: &Report, from: &str, to: &str, took: Duration) -> String {
    let mut lines = vec![format!("{:<18}{:>6}{:>14}  checksum", "table", "days", "rows")];
    for table in &report.tables {
        let days = if table.days == 0 { String::new() } else { table.days.to_string() };
        let differ = report.differences.iter().filter(|difference| difference.table == table.table).count();
        let verdict = if differ == 0 { "ok" } else { "DIFFERS" };
        lines.push(format!("{:<18}{days:>6}{:>14}  {verdict}", table.table, grouped(table.source.rows)));
    }
    for difference in &report.differences {
        let day = difference.day.map_or_else(String::new, |day| format!(" of {day}"));
        let (source, target) = (difference.source.rows, difference.target.rows);
        lines.push(format!("{}{day} differs: {} rows in the source, {} in the target", difference.table, grouped(source), grouped(target)));
    }
    let done = if report.is_equal() { "moved" } else { "NOT moved" };
    lines.push(format!("{done} {} rows from {from} to {to} in {:.1} s", grouped(report.rows()), took.as_secs_f64()));
    lines.join("\n")
}

fn as_json(report: &Report, from: &str, to: &str, took: Duration, keys: &[String]) -> Value {
    let tables = report.tables.iter().map(|table| {
        json!({
            "table": table.table,
            "days": table.days,
            "rows": table.source.rows,
            "checksum": table.source.hex(),
            "equal": table.source == table.target,
        })
    });
    let differences = report.differences.iter().map(|difference| {
        json!({
            "table": difference.table,
            "day": difference.day.map(|day| day.to_string()),
            "source_rows": difference.source.rows,
            "target_rows": difference.target.rows,
        })
    });
    json!({
        "from": from,
        "to": to,
        "equal": report.is_equal(),
        "rows": report.rows(),
        "seconds": took.as_secs_f64(),
        "tables": tables.collect::<Vec<_>>(),
        "differences": differences.collect::<Vec<_>>(),
        "encryption_keys": keys,
    })
}

/// Formats a number with thousands separators.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn location_is_a_directory_or_database_without_password() {
        let name = |text: &str| StoreLocation::parse(text).and_then(|location| location.name());
        assert_eq!(name("sqlite:/nowhere/data").expect("a location"), "sqlite:/nowhere/data");
        assert_eq!(name("postgres://u:hunter2@h/db").expect("a location"), "postgres://h:5432/db");
        for wrong in ["postgre://u:hunter2@h/db", "sqlite:", "/var/lib/hookstream", "postgres://u:hunter2@h:port/db"] {
            let error = format!("{:#}", name(wrong).expect_err(wrong));
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn numbers_have_thousands_separators() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
