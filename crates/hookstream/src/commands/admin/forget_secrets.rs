//! `hookstream admin forget-secrets`: recovery after the loss of the encryption key. Secrets that no key decrypts are
//! replaced by new ones.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use hookstream_cli::{clock::SystemClock, say};
use hookstream_model::{
    base::{ids::IdSource, time::Clock},
    operations::audit_log::AuditContext,
};
use hookstream_store::{
    Store,
    db::lost_key::{self, Forgotten},
};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::{
    commands::existing::{ExistingStore, Opened},
    config::{Config, StorageSettings},
    server::keys,
};

/// Store, and confirmation.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream admin forget-secrets --data-dir /var/lib/hookstream --the-encryption-key-is-lost\n\n\
    Use it if no server starts because the encryption key is lost. Stop all servers first. Secrets that a given key\n\
    decrypts stay. Of the others:\n\
    - each endpoint gets a new signing secret, which its receiver needs: rotate it with the API to see it\n\
    - endpoints of a type other than http lose their config and fail until it is sent again\n\
    - users lose their second factor and sign in with their password alone until they set up another\n\
    - portal tokens and stored answers of idempotency keys are no longer valid\n\
    Messages, attempts, API keys and passwords are not affected. It can be interrupted and run again.")]
pub(crate) struct ForgetSecretsArgs {
    /// Confirms that the key is lost; secrets are replaced for good
    #[arg(long)]
    the_encryption_key_is_lost: bool,

    #[command(flatten)]
    store: ExistingStore,

    /// The file with the new encryption key. Or HOOKSTREAM_ENCRYPTION_KEY [default: one is generated]
    #[arg(long, value_name = "FILE", env = "HOOKSTREAM_ENCRYPTION_KEY_FILE")]
    encryption_key_file: Option<PathBuf>,
}

/// Replaces the secrets and prints the consequences.
pub(crate) async fn run(arguments: ForgetSecretsArgs) -> anyhow::Result<()> {
    if !arguments.the_encryption_key_is_lost {
        bail!("nothing was changed: secrets are replaced for good, so confirm with --the-encryption-key-is-lost");
    }
    let settings = StorageSettings { encryption_key_file: arguments.encryption_key_file, ..StorageSettings::default() };
    let config = arguments.store.config(settings)?;
    let store = match arguments.store.open(&config).await? {
        Opened::Store(store) => store,
        Opened::InUse => bail!("a server runs on this data directory, so it has its encryption key: nothing was changed"),
    };
    let forgotten = forget(&*store, &config).await;
    store.close().await;
    say!("{}", as_text(&forgotten?));
    Ok(())
}

async fn forget(store: &dyn Store, config: &Config) -> anyhow::Result<Forgotten> {
    let now = SystemClock.now();
    // A node on a database has the lost key in memory and would continue to encrypt with it.
    if let Some(node) = store.nodes().await?.into_iter().find(|node| node.lapses_at.is_some_and(|lapses| lapses > now)) {
        bail!("the node {} is running on this database, so it has the encryption key: stop it first", node.name);
    }
    let mut rng = StdRng::try_from_rng(&mut rand::rngs::SysRng).context("the system gives no random numbers")?;
    let keys = keys::after_loss(store, config, &mut rng).await?;
    let (mut secrets, nonces) = (StdRng::from_rng(&mut rng), StdRng::from_rng(&mut rng));
    let mut random = || {
        let mut bytes = [0; 32];
        secrets.fill_bytes(&mut bytes);
        bytes
    };
    let mut ids = IdSource::new(rng);
    let mut act = || {
        let now = SystemClock.now();
        AuditContext::of_operator(ids.next(now), now)
    };
    Ok(lost_key::forget(store, keys, nonces, &mut random, &mut act).await?)
}

fn as_text(forgotten: &Forgotten) -> String {
    let Forgotten { endpoints, configs, users, responses, settings } = forgotten;
    let mut lines = vec![format!(
        "Replaced {} signing secrets, removed {} second factors, {responses} stored answers and {settings} keys of the installation.",
        endpoints.len(),
        users.len()
    )];
    lines.extend(endpoints.iter().map(|id| format!("  endpoint {id}: rotate its secret and give the new one to its receiver")));
    lines.extend(configs.iter().map(|id| format!("  endpoint {id}: send its config again")));
    lines.extend(users.iter().map(|email| format!("  user {email}: set up a second factor again")));
    lines.push("A server can start now.".to_owned());
    lines.join("\n")
}
