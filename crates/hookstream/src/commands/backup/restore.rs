//! `hookstream restore`: a data directory from a backup.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use hookstream_cli::say;
use hookstream_store::sqlite::backup::restore::{Restored, check, restore};

use super::size;

/// Backup, and new data directory.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream restore /backup/hookstream --data-dir /var/lib/hookstream\n\n\
    Takes a backup, the newest of a directory of backups, or an archive. Every checksum is compared before the files are in\n\
    their places. Deliveries that were pending in the backup have most likely been delivered since: the first start skips\n\
    them, with the reason `restored`, and `hookstream endpoints recover` resends what an endpoint missed. With\n\
    --deliver-pending they are delivered. Restore the encryption key too, if the backup does not include it.")]
pub(crate) struct RestoreArgs {
    /// The backup: its directory, a directory of backups, or a file .tar.zst
    #[arg(value_name = "FROM")]
    from: PathBuf,

    /// The data directory to create; an existing one must be empty
    #[arg(long, value_name = "DIR", env = "HOOKSTREAM_DATA_DIR", required_unless_present = "check")]
    data_dir: Option<PathBuf>,

    /// Deliver what was pending in the backup, again if need be
    #[arg(long)]
    deliver_pending: bool,

    /// Check the backup as a restore would, and restore nothing
    #[arg(long)]
    check: bool,
}

/// Restores or checks the backup.
pub(crate) async fn run(arguments: RestoreArgs) -> anyhow::Result<()> {
    let RestoreArgs { from, data_dir, deliver_pending, check: is_check } = arguments;
    let (Some(directory), false) = (data_dir, is_check) else {
        let checked = tokio::task::spawn_blocking(move || {
            let scratch = tempfile::tempdir().context("could not create a temporary directory for the check")?;
            anyhow::Ok(check(&from, scratch.path())?)
        });
        let Restored { from, manifest, .. } = checked.await??;
        say!("{} is intact: {} in {} files, of {}.", from.display(), size(manifest.bytes()), manifest.files.len(), manifest.created_at);
        return Ok(());
    };
    let into = directory.clone();
    let restored = tokio::task::spawn_blocking(move || restore(&from, &into, deliver_pending)).await??;
    let Restored { from, manifest, has_key } = restored;
    let mut lines = vec![format!(
        "Restored {} of {} to {}: {} in {} days.",
        from.display(),
        manifest.created_at,
        directory.display(),
        size(manifest.bytes()),
        manifest.days()
    )];
    if !has_key && !manifest.encryption_key.ids.is_empty() {
        lines.push(format!(
            "The encryption key {} is needed to start: copy the former encryption.key into {}, or set encryption_key or encryption_key_file.",
            manifest.encryption_key.ids.join(", "),
            directory.display()
        ));
    }
    lines.push(if deliver_pending {
        "Deliveries that were pending in the backup are delivered, also those that arrived since.".to_owned()
    } else {
        "Deliveries that were pending in the backup are skipped at the first start; `hookstream endpoints recover` resends what was missed."
            .to_owned()
    });
    lines.push(format!("Start: hookstream serve --data-dir {}", directory.display()));
    say!("{}", lines.join("\n"));
    Ok(())
}
