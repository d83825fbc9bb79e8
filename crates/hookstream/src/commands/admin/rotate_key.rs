//! `hookstream admin rotate-key`: seals everything under the current key, while nodes serve.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Args;
use hookstream_model::{audit_log::Act, ids::IdSource, time::Clock};
use hookstream_store::vault::{self, Rotated};
use rand::{SeedableRng, rngs::StdRng};

use crate::output::{note, say};
use crate::{clock::SystemClock, commands::existing::ExistingStore, config::Settings, keys};

/// How often it says how far it is.
const TELL: Duration = Duration::from_secs(5);
/// What to do where a server has the directory.
const IN_USE: &str =
    "the server on this data directory does it itself when it starts: give it the new key before the earlier ones, and restart it";

/// Which store, and its keys.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: hookstream admin rotate-key --database-url postgres://hookstream@db.internal/hookstream --encryption-key-file keys\n\n\
    First every node gets both keys, the new one last; then the new one first, node by node. Then this is run, while\n\
    the nodes serve; it may be broken off and run again. Then the old key may go.\n\
    A server on a data directory does the same by itself at its start, as soon as it is given the new key first."
)]
pub(crate) struct RotateKeyArgs {
    #[command(flatten)]
    store: ExistingStore,

    /// The file with the keys, a line each: the new one first. Or HOOKSTREAM_ENCRYPTION_KEY, comma-separated
    #[arg(long, value_name = "FILE", env = "HOOKSTREAM_ENCRYPTION_KEY_FILE")]
    encryption_key_file: Option<PathBuf>,
}

/// Seals everything anew and says how much that was.
pub(crate) async fn run(arguments: RotateKeyArgs) -> anyhow::Result<()> {
    let settings = Settings { encryption_key_file: arguments.encryption_key_file, ..Settings::default() };
    let (config, store) = arguments.store.open(settings, IN_USE).await?;
    let rotated = async {
        let mut rng = StdRng::try_from_rng(&mut rand::rngs::SysRng).context("the system gives no random numbers")?;
        keys::unlock(&*store, &config, &mut rng).await?;
        let mut told = Instant::now();
        let mut tell = |rows| {
            if told.elapsed() >= TELL {
                told = Instant::now();
                note!("{rows} rows so far");
            }
        };
        let rotated = vault::rotate(&*store, &mut tell).await?;
        if config.database.is_none() {
            vault::forget_generated(&*store).await?;
        }
        let mut ids = IdSource::new(rng);
        let mut act = || {
            let now = SystemClock.now();
            Act::of_operator(ids.next(now), now)
        };
        keys::record_rotation(&*store, &rotated, &mut act).await?;
        anyhow::Ok(rotated)
    };
    let rotated = rotated.await;
    store.close().await;
    report(&rotated?)
}

fn report(rotated: &Rotated) -> anyhow::Result<()> {
    say!("sealed {} rows under the current key", rotated.rows);
    for id in &rotated.retired {
        say!("the key {id} seals nothing any more and may be removed");
    }
    if rotated.is_overtaken {
        note!(
            "a node sealed under an earlier key meanwhile; it can seal nothing more until it is restarted with the new key as its current one"
        );
    }
    match rotated.unopened {
        0 => Ok(()),
        1 => bail!(
            "1 row cannot be opened and is as it was; no key was retired. Give the key that the warning names, or delete its endpoint"
        ),
        rows => bail!(
            "{rows} rows cannot be opened and are as they were; no key was retired. Give the keys that the warnings name, or delete the endpoints"
        ),
    }
}
