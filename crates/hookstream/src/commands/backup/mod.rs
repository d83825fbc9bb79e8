//! `hookstream backup`: a consistent copy of a data directory, made while a server runs on it or while none does.
//!
//! The command copies the files itself, so the target needs to be writable for its user only. A running server pauses
//! writing for the moment of the cut ([`control::while_writing_pauses`]).

pub(crate) mod restore;

use std::{
    fs::File,
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Args;
use hookstream_cli::{clock::SystemClock, duration::parse_duration, say};
use hookstream_model::base::time::Clock;
use hookstream_store::sqlite::backup::{
    Prepared,
    create::{Made, Options, Pace, Target, create_beside},
    cut,
};
use serde_json::json;

use crate::{
    config::{Config, Sources, StorageSettings},
    server::control,
};

/// Data directory, target, and form of the backup.
#[derive(Debug, Args)]
#[command(after_help = "Examples: hookstream backup /backup/hookstream --data-dir /var/lib/hookstream --keep 7d\n\
    \x20         hookstream backup /backup/hookstream.tar.zst\n\n\
    In a directory, each backup is a directory named by its time; days that have not changed are hard links to the backup\n\
    before it, so it takes only the room of what is new. Each file is opened and checked after it was written. The\n\
    encryption key is not included: keep it apart, because a server does not start on the backup without it.\n\
    A server can also make backups by itself: see the setting backup_dir. `hookstream restore` restores one.")]
pub(crate) struct BackupArgs {
    /// A directory of backups, or a new file that ends in .tar.zst
    #[arg(value_name = "DIR|FILE.tar.zst")]
    target: PathBuf,

    /// A TOML file with the server's settings
    #[arg(long, value_name = "FILE", env = "HOOKSTREAM_CONFIG")]
    config: Option<PathBuf>,

    /// The data directory; a server may run on it [default: ./hookstream-data]
    #[arg(long, value_name = "DIR", env = "HOOKSTREAM_DATA_DIR")]
    data_dir: Option<PathBuf>,

    /// Include the file encryption.key. With it, the backup is as sensitive as the secrets themselves
    #[arg(long)]
    include_key: bool,

    /// Leave out the check of the written files
    #[arg(long)]
    no_verify: bool,

    /// Remove backups from the directory that are older, such as 7d; the newest always stays [default: keep all]
    #[arg(long, value_name = "D", value_parser = parse_duration)]
    keep: Option<Duration>,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// Advice for an installation on PostgreSQL.
const ON_POSTGRESQL: &str = "this installation is on PostgreSQL, whose own tools make consistent backups: pg_dump for a snapshot, \
    pg_basebackup with archived WAL for point-in-time recovery. docs/guides/backup.md shows both, and what to do with the encryption key";

/// Makes the backup and prints the result.
pub(crate) async fn run(arguments: BackupArgs) -> anyhow::Result<()> {
    let settings = StorageSettings { data_dir: arguments.data_dir.clone(), ..StorageSettings::default() }.into();
    let sources = Sources { config: arguments.config.clone(), restored: false, forget: false, settings };
    let config = Config::load(sources, &crate::environment())?;
    if config.storage.database.is_some() {
        bail!(ON_POSTGRESQL);
    }
    let target = target_of(&arguments)?;
    let directory = config.storage.data_dir;
    let prepared = Prepared::open(&directory)?;
    // Held until the end, so that no server starts and migrates the files meanwhile.
    let lock: Option<File> = cut::lock(&directory)?;
    let now = SystemClock.now();
    let cut = match &lock {
        Some(_) => prepared.cut()?,
        None => control::while_writing_pauses(&directory, || prepared.cut()).await??,
    };
    let options = Options {
        target,
        include_key: arguments.include_key,
        verify: !arguments.no_verify,
        pace: if lock.is_some() { Pace::Full } else { Pace::Gentle },
        program: env!("CARGO_PKG_VERSION").to_owned(),
        now,
    };
    let stop = Arc::new(AtomicBool::new(false));
    let making = create_beside(cut, options, arguments.keep, Arc::clone(&stop));
    tokio::pin!(making);
    let made = tokio::select! {
        made = making.as_mut() => made,
        stopped = hookstream_cli::signals::until_stop_signal() => {
            stopped?;
            stop.store(true, std::sync::atomic::Ordering::Release);
            making.await
        }
    };
    let (made, removed) = made?;
    say!("{}", if arguments.json { as_value(&made, &removed).to_string() } else { as_text(&made, &removed) });
    Ok(())
}

fn target_of(arguments: &BackupArgs) -> anyhow::Result<Target> {
    let target = std::path::absolute(&arguments.target).context("the target is no path")?;
    let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if !name.ends_with(".tar.zst") {
        if target.is_file() {
            bail!("{} is a file: name a directory, or a new file that ends in .tar.zst", target.display());
        }
        return Ok(Target::Directory(target));
    }
    if arguments.keep.is_some() {
        bail!("--keep is for a directory of backups; an archive is one file");
    }
    Ok(Target::Archive(target))
}

/// Returns a number of bytes for people.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let mut unit = 0;
    #[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
    let mut number = bytes as f64;
    while number >= 1024.0 && unit + 1 < UNITS.len() {
        number /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} bytes") } else { format!("{number:.1} {}", UNITS[unit]) }
}

fn as_text(made: &Made, removed: &[String]) -> String {
    let Made { path, manifest } = made;
    let mut lines = vec![format!(
        "Backup {}: {} in {} days, of which {} are new; {}.",
        path.display(),
        size(manifest.bytes()),
        manifest.days(),
        size(manifest.added_bytes()),
        if manifest.verified { "verified" } else { "not verified" }
    )];
    if !manifest.encryption_key.included {
        lines.push(format!(
            "The encryption key ({}) is not in it: keep it apart, because no server starts on the backup without it.",
            manifest.encryption_key.ids.join(", ")
        ));
    }
    if !removed.is_empty() {
        lines.push(format!("Removed {} older backups: {}.", removed.len(), removed.join(", ")));
    }
    lines.join("\n")
}

fn as_value(made: &Made, removed: &[String]) -> serde_json::Value {
    let Made { path, manifest } = made;
    json!({
        "path": path,
        "created_at": manifest.created_at,
        "bytes": manifest.bytes(),
        "new_bytes": manifest.added_bytes(),
        "days": manifest.days(),
        "duration_ms": manifest.took_ms,
        "verified": manifest.verified,
        "includes_key": manifest.encryption_key.included,
        "key_ids": manifest.encryption_key.ids,
        "removed": removed,
    })
}
