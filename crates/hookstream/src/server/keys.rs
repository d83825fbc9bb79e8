//! The keys that secrets in the store are sealed under: those of the settings, else one that the installation makes
//! for itself and keeps where it can.
//!
//! The server and `admin rotate-key` unlock their store with it, before anything secret is read or written.

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
    db::vault::{self, Known, Outdated, Rotated, Walk},
    operations::audit_log,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, key_source::KeySource};

/// Keys that nobody has, for a store that is gone with its process.
///
/// # Errors
/// Where the system gives no random numbers.
pub(crate) fn passing() -> anyhow::Result<Keys> {
    let mut rng = StdRng::try_from_rng(&mut rand::rngs::SysRng).context("the system gives no random numbers")?;
    Keys::new([fresh(&mut rng)]).context("it is one key")
}

/// The file in a data directory with the key that was made there.
pub(crate) fn own_file(data_dir: &Path) -> PathBuf {
    data_dir.join("encryption.key")
}

/// The keys of the settings, where they name some.
///
/// # Errors
/// Where the file cannot be read or holds no keys.
pub(crate) fn given(config: &Config) -> anyhow::Result<Option<Keys>> {
    match &config.encryption {
        KeySource::Given(keys) => Ok(Some(keys.clone())),
        KeySource::File(path) => read("encryption_key_file", path).map(Some),
        KeySource::Own => Ok(None),
    }
}

/// Gives a store its keys, and makes one where there is none at all yet.
///
/// # Errors
/// Where the settings' keys cannot be read, or secrets are sealed under a key that is not among them.
pub(crate) async fn unlock(store: &dyn Store, config: &Config, rng: &mut StdRng) -> anyhow::Result<()> {
    let known = vault::known(store).await?;
    let given = given(config)?;
    let keys = match &config.database {
        None => in_directory(given, &known, &config.data_dir, rng)?,
        Some(_) => in_database(store, given, &known, rng).await?,
    };
    match vault::unlock(store, keys, StdRng::from_rng(rng)).await {
        Err(StoreError::MissingKey { id }) => bail!(missing(id)),
        other => Ok(other?),
    }
}

/// The keys that a store is unlocked with once the earlier ones are lost: those given, the directory's own, else a new one.
///
/// # Errors
/// Where a key file cannot be read or written.
pub(crate) async fn after_loss(store: &dyn Store, config: &Config, rng: &mut StdRng) -> anyhow::Result<Keys> {
    let given = given(config)?;
    let known = Known { marked: Vec::new(), generated: vault::known(store).await?.generated };
    match &config.database {
        None => in_directory(given, &known, &config.data_dir, rng),
        Some(_) => in_database(store, given, &known, rng).await,
    }
}

/// The keys that rows may be encrypted with and that a server with these settings would not have.
///
/// # Errors
/// Where the store fails or a key file cannot be read.
pub(crate) async fn absent(store: &dyn Store, config: &Config) -> anyhow::Result<Vec<KeyId>> {
    let known = vault::known(store).await?;
    let path = own_file(&config.data_dir);
    let own = if config.database.is_none() && path.exists() { Some(read("the data directory's key file", &path)?) } else { None };
    let available: Vec<_> =
        [given(config)?, own].into_iter().flatten().flat_map(Keys::into_all).chain(known.generated).map(|key| key.id()).collect();
    Ok(known.marked.into_iter().filter(|id| !available.contains(id)).collect())
}

/// Those given; to open only, the one of the directory and one that came with a transfer from a database.
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

/// Those given; else the one that the nodes made and keep in the database.
async fn in_database(store: &dyn Database, given: Option<Keys>, known: &Known, rng: &mut StdRng) -> anyhow::Result<Keys> {
    if let Some(given) = given {
        return Ok(given.and(known.generated.clone()));
    }
    refuse_if_sealed(known)?;
    let key = vault::keep_generated(store, &fresh(rng)).await?;
    tracing::warn!(
        key = %key.id(),
        "the encryption key is stored in the same database as the secrets, which protects against little; set \
         HOOKSTREAM_ENCRYPTION_KEY or encryption_key_file to the same value on every node"
    );
    Keys::new([key]).context("it is one key")
}

/// Where no key is given and secrets are sealed already, a new key would be of no use.
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

/// Writes a key so that it is there whole or not at all, for its owner only.
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

/// Tells the audit log of every organization, since the secrets of all were sealed anew; nothing where none was and no
/// key was retired. `act` makes it into an act for each.
///
/// # Errors
/// Where the store fails.
pub(crate) async fn record_rotation(
    store: &dyn Database,
    rotated: &Rotated,
    act: &mut (dyn FnMut() -> AuditContext + Send),
) -> Result<(), StoreError> {
    if rotated.rows == 0 && rotated.retired.is_empty() {
        return Ok(());
    }
    let retired: Vec<_> = rotated.retired.iter().map(ToString::to_string).collect();
    let told = Change::done(&Fields::default().with("rows", rotated.rows).with("retired_keys", retired));
    audit_log::record_everywhere(store, act, Action::InstallationRotateKey, &told).await
}

/// Seals what is plain, and in a data directory also what is under an earlier key: its lock is this process's, so
/// that no other command could do it. Nodes on a database leave earlier keys to `admin rotate-key`, since another
/// node may not have the new one yet.
///
/// `act` makes what it does into an act for the audit log.
pub(crate) async fn seal_outdated(
    store: Arc<dyn Store>,
    is_alone: bool,
    mut act: impl FnMut() -> AuditContext + Send,
    stop: CancellationToken,
) {
    let work = async {
        if is_alone {
            let rotated = vault::rotate(&*store, &mut |_| ()).await?;
            vault::forget_generated(&*store).await?;
            record_rotation(&*store, &rotated, &mut act).await?;
            return Ok((rotated.rows, rotated.unopened, rotated.retired));
        }
        let mut walk = Walk::new(Outdated::Plain);
        while walk.step(&*store).await? {}
        Ok::<_, StoreError>((walk.rows, walk.unopened, Vec::new()))
    };
    match stop.run_until_cancelled(work).await {
        // What was not done is done after the next start.
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
