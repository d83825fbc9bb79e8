//! `hookstream admin rotate-key`: encrypts all secrets with the current key while nodes serve.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Args;
use hookstream_cli::{clock::SystemClock, note};
use hookstream_model::{
    base::{ids::IdSource, time::Clock},
    operations::audit_log::AuditContext,
};
use hookstream_store::db::vault_keys::{self, Rotated};
use rand::{SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

use super::installation::Installation;
use crate::{commands::existing::ExistingStore, config::StorageSettings, server::keys};

/// Interval of progress reports.
const REPORT_EVERY: Duration = Duration::from_secs(5);
/// Store and its keys.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: hookstream admin rotate-key --database-url postgres://hookstream@db.internal/hookstream --encryption-key-file keys\n\n\
    First give every node both keys, the new one last; then the new one first, node by node. Then run this command while\n\
    the nodes serve; it can be interrupted and run again. Then remove the old key.\n\
    A server on a data directory does the same by itself when it starts with the new key first."
)]
pub(crate) struct RotateKeyArgs {
    #[command(flatten)]
    store: ExistingStore,

    /// The file with the keys, a line each: the new one first. Or HOOKSTREAM_ENCRYPTION_KEY, comma-separated
    #[arg(long, value_name = "FILE", env = "HOOKSTREAM_ENCRYPTION_KEY_FILE")]
    encryption_key_file: Option<PathBuf>,
}

/// Reads the arguments: the store, its settings, and the request.
pub(crate) fn read(arguments: RotateKeyArgs) -> anyhow::Result<(ExistingStore, StorageSettings, Rotation)> {
    let settings = StorageSettings { encryption_key_file: arguments.encryption_key_file, ..StorageSettings::default() };
    Ok((arguments.store, settings, Rotation::default()))
}

/// Expected current key.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Rotation {
    /// Id of the first given key, if any.
    pub(crate) current: Option<String>,
}

/// Encrypts all secrets again with the current key of the store.
pub(super) async fn perform(on: &Installation<'_>, rotation: Rotation) -> anyhow::Result<String> {
    let current = vault_keys::current_key(on.store)?.to_string();
    if rotation.current.is_some_and(|given| given != current) {
        bail!(
            "the running server encrypts with the key {current}, not with the one given. It encrypts everything again by itself when it \
             starts: put the new key before the earlier ones in its settings, and restart it"
        );
    }
    let mut reported = Instant::now();
    let mut tell = |rows| {
        if on.is_watched && reported.elapsed() >= REPORT_EVERY {
            reported = Instant::now();
            note!("{rows} rows so far");
        }
    };
    let rotated = vault_keys::rotate(on.store, &mut tell).await?;
    if on.is_alone {
        vault_keys::forget_generated(on.store).await?;
    }
    let rng = StdRng::try_from_rng(&mut rand::rngs::SysRng).context("the system gives no random numbers")?;
    let mut ids = IdSource::new(rng);
    let mut act = || {
        let now = SystemClock.now();
        AuditContext::of_operator(ids.next(now), now)
    };
    keys::record_rotation(on.store, &rotated, &mut act).await?;
    report(&rotated)
}

fn report(rotated: &Rotated) -> anyhow::Result<String> {
    let mut lines = vec![format!("encrypted {} rows under the current key", rotated.rows)];
    lines.extend(rotated.retired.iter().map(|id| format!("the key {id} encrypts nothing any more and may be removed")));
    if rotated.is_overtaken {
        lines.push(
            "a node encrypted rows under an earlier key meanwhile; it can encrypt nothing more until it is restarted with the new key as its \
             current one"
                .to_owned(),
        );
    }
    match rotated.unopened {
        0 => Ok(lines.join("\n")),
        rows => bail!(
            "{}\n{rows} rows could not be decrypted and are unchanged; no key was retired. Give the keys that the warnings name, or delete \
             the endpoints",
            lines.join("\n")
        ),
    }
}
