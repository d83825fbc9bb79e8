//! Keys that encrypt secrets in the store: those of the settings, or a key that the installation generates and
//! stores.
//!
//! The server and `admin rotate-key` unlock their store with them before any secret is read or written.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use hookstream_model::{
    base::vault::{KeyId, Keys, VaultKey},
    operations::audit_log::{Action, AuditContext, Change, fields::Fields},
};
use hookstream_store::{
    Database, Error as StoreError, Store,
    db::vault_keys::{self, Known, Outdated, Rotated, Walk},
    operations::audit_log,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, key_source::KeySource};

/// Returns temporary keys for a store that is deleted with its process.
///
/// # Errors
/// The system provides no random numbers.
pub(crate) fn temporary() -> anyhow::Result<Keys> {
    let mut rng = StdRng::try_from_rng(&mut rand::rngs::SysRng).context("the system gives no random numbers")?;
    Keys::new([fresh(&mut rng)]).context("it is one key")
}

/// Returns the path of the generated key in a data directory.
pub(crate) fn own_file(data_dir: &Path) -> PathBuf {
    data_dir.join("encryption.key")
}

/// Returns the keys of the settings, if there are any.
///
/// # Errors
/// The file cannot be read or contains no keys.
pub(crate) fn given(config: &Config) -> anyhow::Result<Option<Keys>> {
    match &config.storage.encryption {
        KeySource::Given(keys) => Ok(Some(keys.clone())),
        KeySource::File(path) => read("encryption_key_file", path).map(Some),
        KeySource::Own => Ok(None),
    }
}

/// Unlocks a store with its keys, and generates a key if there is none yet.
///
/// # Errors
/// The settings' keys cannot be read, or secrets are encrypted with a key that is missing.
pub(crate) async fn unlock(store: &dyn Store, config: &Config, rng: &mut StdRng) -> anyhow::Result<()> {
    let known = vault_keys::known(store).await?;
    let given = given(config)?;
    let keys = match &config.storage.database {
        None => in_directory(given, &known, &config.storage.data_dir, rng)?,
        Some(_) => in_database(store, given, &known, rng).await?,
    };
    match vault_keys::unlock(store, keys, StdRng::from_rng(rng)).await {
        Err(StoreError::MissingKey { id }) => bail!(missing(id)),
        other => Ok(other?),
    }
}

/// Returns the keys for a store whose earlier keys are lost: those of the settings, the directory's own, or a new
/// one.
///
/// # Errors
/// A key file cannot be read or written.
pub(crate) async fn after_loss(store: &dyn Store, config: &Config, rng: &mut StdRng) -> anyhow::Result<Keys> {
    let given = given(config)?;
    let known = Known { marked: Vec::new(), generated: vault_keys::known(store).await?.generated };
    match &config.storage.database {
        None => in_directory(given, &known, &config.storage.data_dir, rng),
        Some(_) => in_database(store, given, &known, rng).await,
    }
}

/// Returns the keys that rows may be encrypted with and that a server with these settings would lack.
///
/// # Errors
/// The store fails, or a key file cannot be read.
pub(crate) async fn absent(store: &dyn Store, config: &Config) -> anyhow::Result<Vec<KeyId>> {
    let known = vault_keys::known(store).await?;
    let path = own_file(&config.storage.data_dir);
    let own = if config.storage.database.is_none() && path.exists() { Some(read("the data directory's key file", &path)?) } else { None };
    let available: Vec<_> =
        [given(config)?, own].into_iter().flatten().flat_map(Keys::into_all).chain(known.generated).map(|key| key.id()).collect();
    Ok(known.marked.into_iter().filter(|id| !available.contains(id)).collect())
}

/// Returns the keys of the settings, else the directory's key, else a new one. Adds the other known keys for
/// decryption only: the directory's, and one that a transfer from a database brought.
fn in_directory(given: Option<Keys>, known: &Known, data_dir: &Path, rng: &mut StdRng) -> anyhow::Result<Keys> {
    let path = own_file(data_dir);
    let own = if path.exists() { Some(read("the data directory's key file", &path)?) } else { None };
    let keys = match (given, own) {
        (Some(given), own) => given.and(own.into_iter().flat_map(Keys::into_all)),
        (None, Some(own)) => own,
        (None, None) => {
            refuse_if_sealed(known)?;
            let key = fresh(rng);
            write(&path, &key).with_context(|| format!("could not write the encryption key {}", path.display()))?;
            tracing::warn!(
                path = %path.display(),
                key = %key.id(),
                "generated the encryption key of this data directory; back it up separately from the data, or set \
                 HOOKSTREAM_ENCRYPTION_KEY or encryption_key_file"
            );
            Keys::new([key]).context("it is one key")?
        }
    };
    Ok(keys.and(known.generated.clone()))
}

/// Returns the keys of the settings, else the key that the nodes share in the database, which the first of them
/// generates.
async fn in_database(store: &dyn Database, given: Option<Keys>, known: &Known, rng: &mut StdRng) -> anyhow::Result<Keys> {
    if let Some(given) = given {
        return Ok(given.and(known.generated.clone()));
    }
    refuse_if_sealed(known)?;
    let key = vault_keys::keep_generated(store, &fresh(rng)).await?;
    tracing::warn!(
        key = %key.id(),
        "the encryption key is stored in the same database as the secrets, which protects against little; set \
         HOOKSTREAM_ENCRYPTION_KEY or encryption_key_file to the same value on every node"
    );
    Keys::new([key]).context("it is one key")
}

/// Refuses to generate a key if secrets are already encrypted, because a new key could not decrypt them.
fn refuse_if_sealed(known: &Known) -> anyhow::Result<()> {
    let own = known.generated.as_ref().map(VaultKey::id);
    match known.marked.iter().find(|id| Some(**id) != own) {
        Some(id) => bail!(missing(*id)),
        None => Ok(()),
    }
}

fn missing(id: KeyId) -> String {
    format!(
        "secrets in the store are encrypted with the key {id}, which was not given. Add it after the current key: comma-separated in \
         HOOKSTREAM_ENCRYPTION_KEY, or as a further line of encryption_key_file. A server without a configured key generates one in \
         `encryption.key` in its data directory. After `hookstream admin rotate-key` the earlier key is no longer needed. If the key is \
         lost, `hookstream admin forget-secrets` replaces what it protects"
    )
}

fn fresh(rng: &mut StdRng) -> VaultKey {
    let mut random = [0; 32];
    rng.fill_bytes(&mut random);
    VaultKey::from_bytes(random)
}

fn read(what: &str, path: &Path) -> anyhow::Result<Keys> {
    let text = fs::read_to_string(path).with_context(|| format!("could not read {what} {}", path.display()))?;
    text.parse().map_err(|problem| anyhow::anyhow!("{what} {} {problem}", path.display()))
}

/// Writes a key atomically, readable by its owner only.
fn write(path: &Path, key: &VaultKey) -> std::io::Result<()> {
    let partial = path.with_extension("key.tmp");
    let mut options = File::options();
    options.create(true).truncate(true).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&partial)?;
    write!(
        file,
        "# The first key encrypts the secrets in this data directory; further lines are earlier keys, which decrypt only.\n{}\n",
        key.expose()
    )?;
    file.sync_all()?;
    fs::rename(&partial, path)?;
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

/// Records a rotation in the audit log of every organization, because the secrets of all were encrypted again.
/// Records nothing if no secret was encrypted and no key retired. `act` creates the audit context of each entry.
///
/// # Errors
/// The store fails.
pub(crate) async fn record_rotation(
    store: &dyn Database,
    rotated: &Rotated,
    act: &mut (dyn FnMut() -> AuditContext + Send),
) -> Result<(), StoreError> {
    if rotated.rows == 0 && rotated.retired.is_empty() {
        return Ok(());
    }
    let retired: Vec<_> = rotated.retired.iter().map(ToString::to_string).collect();
    let recorded = Change::done(&Fields::default().with("rows", rotated.rows).with("retired_keys", retired));
    audit_log::record_everywhere(store, act, Action::InstallationRotateKey, &recorded).await
}

/// Encrypts plain secrets. In a data directory it also encrypts secrets of earlier keys again, because this process
/// holds the lock and no other command could. Nodes on a database leave that to `admin rotate-key`, because another
/// node may not have the new key yet.
///
/// `act` creates the audit context of each entry.
pub(crate) async fn seal_outdated(
    store: Arc<dyn Store>,
    is_alone: bool,
    mut act: impl FnMut() -> AuditContext + Send,
    stop: CancellationToken,
) {
    let work = async {
        if is_alone {
            let rotated = vault_keys::rotate(&*store, &mut |_| ()).await?;
            vault_keys::forget_generated(&*store).await?;
            record_rotation(&*store, &rotated, &mut act).await?;
            return Ok((rotated.rows, rotated.unopened, rotated.retired));
        }
        let mut walk = Walk::new(Outdated::Plain);
        while walk.step(&*store).await? {}
        Ok::<_, StoreError>((walk.rows, walk.unopened, Vec::new()))
    };
    match stop.run_until_cancelled(work).await {
        // The rest is done after the next start.
        None | Some(Err(StoreError::Closed)) => {}
        Some(Err(error)) => {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "could not encrypt all secrets with the current key; the next start continues"
            );
        }
        Some(Ok((_, unopened, _))) if unopened > 0 => {
            tracing::warn!(secrets = unopened, "some secrets cannot be decrypted: their rows are damaged, or their key was not given");
        }
        Some(Ok((0, _, retired))) if retired.is_empty() => {}
        Some(Ok((rows, _, retired))) => {
            let retired = retired.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            tracing::info!(rows, retired, "encrypted secrets with the current key");
        }
    }
}
