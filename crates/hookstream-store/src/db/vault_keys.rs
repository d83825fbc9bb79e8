//! Encryption keys of a store: marks, unlocking and rotation.

use std::sync::Mutex;

use hookstream_model::base::{
    ids::{EndpointId, EnvironmentId, UserId},
    vault::{KeyId, Keys, NONCE_BYTES, SealContext, Unopened, VaultKey, is_sealed},
};
use rand::{Rng, rngs::StdRng};

use crate::db::{
    error::Error,
    page::sql_limit,
    sealed_write::{MARK, mark_of, write},
    settings,
    statement::{Database, Statement, Value, Written},
    vault::{self, Unlocked, Vault},
};

/// Setting of the key that an installation generated for itself, if the key has no other place.
const GENERATED: &str = "encryption_key";

/// Text sealed in a mark, which shows whether a key is the right one.
const PROOF: &str = "hookstream";

/// Rows of a slice: few enough not to delay others, enough to make the cost of a commit negligible.
pub(crate) const SLICE: usize = 200;

const MARKS: &str = "select name, value from settings where name >= 'encryption_key.' and name < 'encryption_key/' order by name";

const MAKE_MARK: &str = "insert into settings (name, value) values ($1, $2) on conflict do nothing returning name";

pub(crate) const REMOVE: &str = "delete from settings where name = $1";

pub(crate) const SETTINGS: &str = "select name, value from settings
    where (name in ('portal_key', 'sign_in_key') or name like 'portal\\_key.%' escape '\\') and name > $1 order by name limit $2";

pub(crate) const ENDPOINTS: &str = "select id, secret, previous_secrets, config from endpoints where id > $1 order by id limit $2";

pub(crate) const USERS: &str = "select id, totp_secret from users where id > $1 and totp_secret is not null order by id limit $2";

pub(crate) const RESPONSES: &str = "select environment_id, key, body from idempotency_keys where (environment_id, key) > ($1, $2)
    order by environment_id, key limit $3";

const RESEAL_SETTING: &str = "update settings set value = $2 where name = $1 and value = $3 returning name";

const RESEAL_ENDPOINT: &str = "update endpoints set secret = $2, previous_secrets = $3, config = $6
    where id = $1 and secret = $4 and coalesce(previous_secrets, '') = $5 and coalesce(config, '') = $7 returning id";

const RESEAL_USER: &str = "update users set totp_secret = $2 where id = $1 and totp_secret = $3 returning id";

const RESEAL_RESPONSE: &str = "update idempotency_keys set body = $3 where environment_id = $1 and key = $2 and body = $4 returning key";

/// Information about keys in a locked store.
#[derive(Debug)]
pub struct Known {
    /// Keys under which rows may be sealed.
    pub marked: Vec<KeyId>,
    /// Key that the installation generated for itself and keeps in the store.
    pub generated: Option<VaultKey>,
}

/// Rows to seal again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outdated {
    /// Plain rows.
    Plain,
    /// Plain rows and rows under earlier keys.
    PlainOrEarlier,
}

/// Result of a rotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// Number of rows sealed again.
    pub rows: u64,
    /// Number of rows that could not be opened, because they are damaged or their key was not given. They are unchanged.
    pub unopened: u64,
    /// Keys that seal nothing more. No key is retired while there are rows that could not be opened.
    pub retired: Vec<KeyId>,
    /// Whether a node with another current key sealed under an earlier key meanwhile.
    pub is_overtaken: bool,
}

/// Returns the information about keys in the store.
///
/// # Errors
/// Fails if the store fails, or its own key is unreadable.
pub async fn known(db: &dyn Database) -> Result<Known, Error> {
    // Order matters: another node may be generating a key, which it stores before it marks it.
    let marked = marks(db).await?.into_iter().map(|(id, _)| id).collect();
    let generated = settings::find(db, GENERATED).await?;
    let generated = generated.map(|text| text.parse().map(|keys: Keys| keys.current().clone())).transpose();
    Ok(Known { marked, generated: generated.map_err(|_| Error::Unreadable { what: "encryption key" })? })
}

/// Stores a key, unless the store has one; returns the stored key. All concurrent callers get the same key.
///
/// # Errors
/// Fails if the store fails.
pub async fn keep_generated(db: &dyn Database, fresh: &VaultKey) -> Result<VaultKey, Error> {
    let text = settings::get_or_keep(db, GENERATED, fresh.expose()).await?;
    text.parse().map(|keys: Keys| keys.current().clone()).map_err(|_| Error::Unreadable { what: "encryption key" })
}

/// Unlocks a store with its keys. Only the first call has an effect.
///
/// # Errors
/// [`Error::MissingKey`] if rows may be sealed under a key that is not given. Also fails if the store fails.
pub async fn unlock(db: &dyn Database, keys: Keys, mut nonces: StdRng) -> Result<(), Error> {
    check(db, &keys).await?;
    let name = mark_of(keys.current().id());
    let mut nonce = [0; NONCE_BYTES];
    nonces.fill_bytes(&mut nonce);
    let proof = keys.seal(&vault::setting_of(&name), PROOF, nonce);
    let mark = Statement::new(MAKE_MARK, vec![name.as_str().into(), proof.into()]);
    let is_new = matches!(db.write("register an encryption key", vec![mark]).await?, Written::Committed(rows) if !rows[0].is_empty());
    // Another process with another key may have checked and marked at the same time.
    if let Err(error) = check(db, &keys).await {
        if is_new {
            db.write("remove the record of an encryption key", vec![Statement::new(REMOVE, vec![name.into()])]).await?;
        }
        return Err(error);
    }
    let _ = db.vault().0.set(Unlocked { keys, nonces: Mutex::new(nonces) });
    Ok(())
}

/// Removes the marks of keys that are not given: rows under them are lost.
pub(crate) async fn remove_marks_without_key(db: &dyn Database, keys: &Keys) -> Result<(), Error> {
    let lost = marks(db).await?.into_iter().filter(|(id, _)| keys.find(*id).is_none());
    let statements: Vec<_> = lost.map(|(id, _)| Statement::new(REMOVE, vec![mark_of(id).into()])).collect();
    if !statements.is_empty() {
        db.write("remove the records of lost keys", statements).await?;
    }
    Ok(())
}

/// Returns the id of the key with which a store encrypts.
///
/// # Errors
/// Fails if the store is locked.
pub fn current_key(db: &dyn Database) -> Result<KeyId, Error> {
    Ok(db.vault().keys()?.current().id())
}

/// Compares the marks with the given keys.
pub(crate) async fn check(db: &dyn Database, keys: &Keys) -> Result<(), Error> {
    for (id, proof) in marks(db).await? {
        match keys.open(&vault::setting_of(&mark_of(id)), &proof) {
            Ok(text) if text == PROOF => {}
            Err(Unopened::NoKey(id)) => return Err(Error::MissingKey { id }),
            Ok(_) | Err(Unopened::Damaged) => return Err(Error::Unreadable { what: "mark of an encryption key" }),
        }
    }
    Ok(())
}

pub(crate) async fn marks(db: &dyn Database) -> Result<Vec<(KeyId, String)>, Error> {
    let rows = db.read(Statement::new(MARKS, vec![])).await?;
    let read = |row: crate::db::statement::Row| {
        let mut columns = row.columns();
        let id = columns.word("mark of an encryption key", |name| KeyId::parse(name.strip_prefix(MARK)?))?;
        Ok((id, columns.text("mark of an encryption key")?))
    };
    rows.into_iter().map(read).collect()
}

/// Seals everything under the current key and retires the other keys, while other processes read and write. May be
/// interrupted anywhere and repeated. `watch` receives the number of rows sealed so far.
///
/// # Errors
/// Fails if the store fails or is locked.
pub async fn rotate(db: &dyn Database, watch: &mut (dyn FnMut(u64) + Send)) -> Result<Rotated, Error> {
    let current = db.vault().keys()?.current().id();
    let mut walk = Walk::new(Outdated::PlainOrEarlier);
    while walk.step(db).await? {
        watch(walk.rows);
    }
    let mut rotated = Rotated { rows: walk.rows, unopened: walk.unopened, retired: Vec::new(), is_overtaken: false };
    if walk.unopened > 0 {
        return Ok(rotated);
    }
    let before: Vec<_> = marks(db).await?.into_iter().map(|(id, _)| id).filter(|id| *id != current).collect();
    if before.is_empty() {
        return Ok(rotated);
    }
    let remove = |id: &KeyId| Statement::new(REMOVE, vec![mark_of(*id).into()]);
    write(db, "retire encryption keys", before.iter().map(remove).collect()).await?;
    // From here on no write under an earlier key can begin; the second walk finds those that were in progress.
    let mut second = Walk::new(Outdated::PlainOrEarlier);
    while second.step(db).await? {
        watch(walk.rows + second.rows);
    }
    rotated.rows += second.rows;
    rotated.unopened = second.unopened;
    rotated.is_overtaken = second.rows > 0 || second.unopened > 0;
    rotated.retired = before;
    Ok(rotated)
}

/// Removes the key that the installation generated for itself, unless it is the current one. Only for a store with
/// one process: another process might seal under the key until it learns that the key was retired.
///
/// # Errors
/// Fails if the store fails or is locked.
pub async fn forget_generated(db: &dyn Database) -> Result<(), Error> {
    let known = known(db).await?;
    let current = db.vault().keys()?.current();
    if known.generated.is_some_and(|key| key != *current && !known.marked.contains(&key.id())) {
        db.write("remove an encryption key", vec![Statement::new(REMOVE, vec![GENERATED.into()])]).await?;
    }
    Ok(())
}

/// Walk through all rows with secrets, slice by slice, which seals outdated rows again.
#[derive(Debug)]
pub struct Walk {
    outdated: Outdated,
    at: WalkPosition,
    /// Number of rows sealed so far.
    pub rows: u64,
    /// Number of rows that could not be opened.
    pub unopened: u64,
}

/// Position of a walk: the last visited row.
#[derive(Debug, Clone)]
enum WalkPosition {
    Settings(String),
    Endpoints(Vec<u8>),
    Responses(Vec<u8>, String),
    Users(Vec<u8>),
    End,
}

/// Sealed columns of an endpoint.
struct SealedEndpoint {
    secret: String,
    previous: Option<String>,
    config: Option<String>,
}

/// Statement that seals a row again; `None` if the row is up to date.
type Resealed = Result<Option<Statement>, Error>;

impl Walk {
    /// Creates a walk from the first row.
    pub const fn new(outdated: Outdated) -> Self {
        Self { outdated, at: WalkPosition::Settings(String::new()), rows: 0, unopened: 0 }
    }

    /// Processes the next slice as one transaction. Returns whether there may be more.
    ///
    /// # Errors
    /// Fails if the store fails or is locked.
    pub async fn step(&mut self, db: &dyn Database) -> Result<bool, Error> {
        let vault = db.vault();
        let (next, found) = match self.at.clone() {
            WalkPosition::Settings(after) => self.settings(db, vault, after).await?,
            WalkPosition::Endpoints(after) => self.endpoints(db, vault, after).await?,
            WalkPosition::Responses(environment, key) => self.responses(db, vault, environment, key).await?,
            WalkPosition::Users(after) => self.users(db, vault, after).await?,
            WalkPosition::End => return Ok(false),
        };
        let mut statements = Vec::new();
        for resealed in found {
            match resealed {
                Ok(statement) => statements.extend(statement),
                Err(Error::Unopened { what, cause }) => {
                    tracing::warn!(what, error = &cause as &dyn std::error::Error, "a secret in the store cannot be decrypted");
                    self.unopened += 1;
                }
                Err(error) => return Err(error),
            }
        }
        if !statements.is_empty()
            && let Written::Committed(rows) = write(db, "encrypt secrets again", statements).await?
        {
            self.rows += rows.iter().filter(|row| !row.is_empty()).count() as u64;
        }
        self.at = next;
        Ok(!matches!(self.at, WalkPosition::End))
    }

    fn is_outdated(&self, vault: &Vault, text: &str) -> Result<bool, Error> {
        Ok(match self.outdated {
            Outdated::Plain => !is_sealed(text),
            Outdated::PlainOrEarlier => !vault.keys()?.is_current(text),
        })
    }

    fn reseal(&self, vault: &Vault, context: &SealContext, text: &str) -> Result<String, Error> {
        if self.is_outdated(vault, text)? { vault.seal(context, &vault.open(context, text)?) } else { Ok(text.to_owned()) }
    }

    async fn settings(&self, db: &dyn Database, vault: &Vault, after: String) -> Result<(WalkPosition, Vec<Resealed>), Error> {
        let rows = db.read(Statement::new(SETTINGS, vec![after.into(), sql_limit(SLICE).into()])).await?;
        let mut next = WalkPosition::Endpoints(Vec::new());
        let is_full = rows.len() == SLICE;
        let mut found = Vec::new();
        for row in rows {
            let mut columns = row.columns();
            let (name, value) = (columns.text("setting")?, columns.text("setting")?);
            found.push(self.reseal(vault, &vault::setting_of(&name), &value).map(|sealed| {
                (sealed != value).then(|| Statement::new(RESEAL_SETTING, vec![name.as_str().into(), sealed.into(), value.into()]))
            }));
            if is_full {
                next = WalkPosition::Settings(name);
            }
        }
        Ok((next, found))
    }

    async fn endpoints(&self, db: &dyn Database, vault: &Vault, after: Vec<u8>) -> Result<(WalkPosition, Vec<Resealed>), Error> {
        let rows = db.read(Statement::new(ENDPOINTS, vec![Value::Blob(after), sql_limit(SLICE).into()])).await?;
        let mut next = WalkPosition::Responses(Vec::new(), String::new());
        let is_full = rows.len() == SLICE;
        let mut found = Vec::new();
        for row in rows {
            let mut columns = row.columns();
            let id = columns.id("endpoint id", EndpointId::from_bytes)?;
            let sealed = SealedEndpoint {
                secret: columns.text("secret")?,
                previous: columns.optional_text("previous_secrets")?,
                config: columns.optional_text("config")?,
            };
            found.push(self.reseal_endpoint(vault, id, sealed));
            if is_full {
                next = WalkPosition::Endpoints(id.as_bytes().to_vec());
            }
        }
        Ok((next, found))
    }

    fn reseal_endpoint(&self, vault: &Vault, id: EndpointId, sealed: SealedEndpoint) -> Resealed {
        let SealedEndpoint { secret, previous, config } = sealed;
        let new_secret = self.reseal(vault, &vault::secret_of(id), &secret)?;
        let new_previous = previous.as_deref().map(|text| self.reseal(vault, &vault::previous_secrets_of(id), text)).transpose()?;
        let new_config = config.as_deref().map(|text| self.reseal(vault, &vault::config_of(id), text)).transpose()?;
        if new_secret == secret && new_previous == previous && new_config == config {
            return Ok(None);
        }
        let values = vec![
            id.as_bytes().into(),
            new_secret.into(),
            new_previous.into(),
            secret.into(),
            previous.unwrap_or_default().into(),
            new_config.into(),
            config.unwrap_or_default().into(),
        ];
        Ok(Some(Statement::new(RESEAL_ENDPOINT, values)))
    }

    async fn users(&self, db: &dyn Database, vault: &Vault, after: Vec<u8>) -> Result<(WalkPosition, Vec<Resealed>), Error> {
        let rows = db.read(Statement::new(USERS, vec![Value::Blob(after), sql_limit(SLICE).into()])).await?;
        let mut next = WalkPosition::End;
        let is_full = rows.len() == SLICE;
        let mut found = Vec::new();
        for row in rows {
            let mut columns = row.columns();
            let (id, secret) = (columns.id("user id", UserId::from_bytes)?, columns.text("totp_secret")?);
            found.push(self.reseal(vault, &vault::totp_secret_of(id), &secret).map(|sealed| {
                (sealed != secret).then(|| Statement::new(RESEAL_USER, vec![id.as_bytes().into(), sealed.into(), secret.into()]))
            }));
            if is_full {
                next = WalkPosition::Users(id.as_bytes().to_vec());
            }
        }
        Ok((next, found))
    }

    async fn responses(
        &self,
        db: &dyn Database,
        vault: &Vault,
        environment: Vec<u8>,
        key: String,
    ) -> Result<(WalkPosition, Vec<Resealed>), Error> {
        let values = vec![Value::Blob(environment), key.into(), sql_limit(SLICE).into()];
        let rows = db.read(Statement::new(RESPONSES, values)).await?;
        let mut next = WalkPosition::Users(Vec::new());
        let is_full = rows.len() == SLICE;
        let mut found = Vec::new();
        for row in rows {
            let mut columns = row.columns();
            let environment = columns.id("environment id", EnvironmentId::from_bytes)?;
            let (key, body) = (columns.text("idempotency key")?, columns.text("response")?);
            found.push(self.reseal(vault, &vault::response_of(environment, &key), &body).map(|sealed| {
                let values = |sealed: String| vec![environment.as_bytes().into(), key.as_str().into(), sealed.into(), body.as_str().into()];
                (sealed != body).then(|| Statement::new(RESEAL_RESPONSE, values(sealed)))
            }));
            if is_full {
                next = WalkPosition::Responses(environment.as_bytes().to_vec(), key);
            }
        }
        Ok((next, found))
    }
}
