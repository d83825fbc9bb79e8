//! `hookstream admin rotate-portal-key`: replaces the key that signs portal tokens while nodes serve.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use hookstream_cli::clock::SystemClock;
use hookstream_model::{
    base::{ids::IdSource, secret::Secret, time::Clock},
    operations::audit_log::{Action, AuditContext, Change, fields::Fields},
};
use hookstream_store::{
    Store,
    identity::portal_keys::{self, Former, PortalKey},
    operations::audit_log,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

use super::installation::Installation;
use crate::{commands::existing::ExistingStore, config::StorageSettings};

/// Store, and treatment of existing tokens.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream admin rotate-portal-key --now --database-url postgres://hookstream@db.internal/hookstream\n\n\
    Every node signs with the new key from then on. Without --now existing tokens stay valid until they expire, at most\n\
    an hour; with it they are refused at once, and every customer needs a new one.\n\
    Without this command, keys are replaced every portal_key_days.")]
pub(crate) struct RotatePortalKeyArgs {
    /// Revokes all existing portal tokens: use it if the key may be compromised
    #[arg(long)]
    now: bool,

    #[command(flatten)]
    store: ExistingStore,

    /// The file with the encryption key. Or HOOKSTREAM_ENCRYPTION_KEY
    #[arg(long, value_name = "FILE", env = "HOOKSTREAM_ENCRYPTION_KEY_FILE")]
    encryption_key_file: Option<PathBuf>,
}

/// Treatment of existing tokens.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Rotation {
    now: bool,
}

/// Reads the arguments: the store, its settings, and the request.
pub(crate) fn read(arguments: RotatePortalKeyArgs) -> anyhow::Result<(ExistingStore, StorageSettings, Rotation)> {
    let RotatePortalKeyArgs { now, store, encryption_key_file } = arguments;
    let settings = StorageSettings { encryption_key_file, ..StorageSettings::default() };
    Ok((store, settings, Rotation { now }))
}

/// Creates the key.
pub(super) async fn perform(on: &Installation<'_>, rotation: Rotation) -> anyhow::Result<String> {
    let former = if rotation.now { Former::EndNow } else { Former::Outlive };
    let key = rotate(on.store, former).await?;
    Ok(match former {
        Former::Outlive => format!("portal tokens are signed with the key {} from now on; earlier tokens expire within an hour", key.id),
        Former::EndNow => format!("portal tokens are signed with the key {} from now on; earlier tokens are refused", key.id),
    })
}

async fn rotate(store: &dyn Store, former: Former) -> anyhow::Result<PortalKey> {
    let mut rng = StdRng::try_from_rng(&mut rand::rngs::SysRng).context("the system gives no random numbers")?;
    let mut ids = IdSource::new(StdRng::from_rng(&mut rng));
    let mut fresh = |at| {
        let mut random = [0; 32];
        rng.fill_bytes(&mut random);
        let secret = random.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        PortalKey { id: ids.next(at).into(), secret: Secret::new(secret) }
    };
    let key = portal_keys::rotate(store, &mut fresh, former, SystemClock.now()).await?;
    let treatment = match former {
        Former::Outlive => "outlives",
        Former::EndNow => "ended",
    };
    let mut act = || {
        let now = SystemClock.now();
        AuditContext::of_operator(ids.next(now), now)
    };
    let change = Change::done(&Fields::default().with("former", treatment));
    audit_log::record_everywhere(store, &mut act, Action::InstallationRotatePortalKey, &change).await?;
    Ok(key)
}
