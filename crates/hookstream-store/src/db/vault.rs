//! The store's vault: what is secret is sealed on its way into a row and opened on its way out, here and nowhere else.
//!
//! The functions of [`crate::outbound::endpoints`], [`crate::outbound::idempotency`], [`crate::db::settings`] and [`crate::identity::users`] seal and open; above them
//! secrets are plain, below them sealed. A store is [unlocked](unlock) once, before anything secret is written or read.
//!
//! Each key that a row may be sealed under has a **mark** in `settings` (`encryption_key.<id>`). A start compares
//! them with the keys that it was given. Whoever seals looks for the mark of its key in the same transaction: a key
//! that was [retired](rotate) seals nothing more.

use std::sync::{Mutex, OnceLock, PoisonError};

use hookstream_model::base::{
    ids::{EndpointId, EnvironmentId, UserId},
    vault::{KeyId, Keys, NONCE_BYTES, SealContext, Unopened, VaultKey, is_sealed},
};
use rand::{Rng, rngs::StdRng};

use crate::db::{
    error::Error,
    page::sql_limit,
    settings,
    statement::{Database, Statement, Value, Written},
};

/// The setting with the key that an installation made for itself, where it has no other place for it.
const GENERATED: &str = "encryption_key";
/// What the name of a key's mark begins with.
const MARK: &str = "encryption_key.";
/// What is sealed in a mark, to see whether the key is the one.
const PROOF: &str = "hookstream";
/// Rows of a slice: little enough that nobody waits for it, enough that a commit does not count.
const SLICE: usize = 200;

const MARKS: &str = "select name, value from settings where name >= 'encryption_key.' and name < 'encryption_key/' order by name";
const MAKE_MARK: &str = "insert into settings (name, value) values ($1, $2) on conflict do nothing returning name";
const FIND_MARK: &str = "select name from settings where name = $1";
const REMOVE: &str = "delete from settings where name = $1";
const SETTINGS: &str = "select name, value from settings
    where (name in ('portal_key', 'sign_in_key') or name like 'portal\\_key.%' escape '\\') and name > $1 order by name limit $2";
const ENDPOINTS: &str = "select id, secret, previous_secret from endpoints where id > $1 order by id limit $2";
const USERS: &str = "select id, totp_secret from users where id > $1 and totp_secret is not null order by id limit $2";
const ANSWERS: &str = "select environment_id, key, body from idempotency_keys where (environment_id, key) > ($1, $2)
    order by environment_id, key limit $3";
// Each changes its row only where that is as it was read.
const RESEAL_SETTING: &str = "update settings set value = $2 where name = $1 and value = $3 returning name";
const RESEAL_ENDPOINT: &str = "update endpoints set secret = $2, previous_secret = $3
    where id = $1 and secret = $4 and coalesce(previous_secret, '') = $5 returning id";
const RESEAL_USER: &str = "update users set totp_secret = $2 where id = $1 and totp_secret = $3 returning id";
const RESEAL_ANSWER: &str = "update idempotency_keys set body = $3 where environment_id = $1 and key = $2 and body = $4 returning key";

/// The keys of a store, once it has them.
#[derive(Debug, Default)]
pub struct Vault(OnceLock<Unlocked>);

#[derive(Debug)]
struct Unlocked {
    keys: Keys,
    nonces: Mutex<StdRng>,
}

/// What a store tells about keys before it has any.
#[derive(Debug)]
pub struct Known {
    /// Keys that rows may be sealed under.
    pub marked: Vec<KeyId>,
    /// The key that the installation made for itself and keeps in the store.
    pub generated: Option<VaultKey>,
}

/// Which rows are sealed anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outdated {
    /// Those that are plain.
    Plain,
    /// Those, and those under earlier keys.
    PlainOrEarlier,
}

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// How many rows it sealed anew.
    pub rows: u64,
    /// How many rows it could not open, since they are damaged or their key was not given. They are as they were.
    pub unopened: u64,
    /// Keys that seal nothing any more. None is retired while there are rows that could not be opened.
    pub retired: Vec<KeyId>,
    /// Whether somebody sealed under an earlier key meanwhile: a node that has another current key.
    pub is_overtaken: bool,
}

impl Vault {
    pub(crate) fn seal(&self, place: &SealContext, text: &str) -> Result<String, Error> {
        let unlocked = self.unlocked()?;
        let mut nonce = [0; NONCE_BYTES];
        unlocked.nonces.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut nonce);
        Ok(unlocked.keys.seal(place, text, nonce))
    }

    pub(crate) fn open(&self, place: &SealContext, text: &str) -> Result<String, Error> {
        self.unlocked()?.keys.open(place, text).map_err(|cause| Error::Unopened { what: place.column, cause })
    }

    fn keys(&self) -> Result<&Keys, Error> {
        self.unlocked().map(|unlocked| &unlocked.keys)
    }

    fn unlocked(&self) -> Result<&Unlocked, Error> {
        self.0.get().ok_or(Error::Locked)
    }
}

/// Where an endpoint's current secret belongs.
pub(crate) fn secret_of(id: EndpointId) -> SealContext {
    SealContext { column: "endpoints.secret", row: id.as_bytes().to_vec() }
}

/// Where the one before it belongs.
pub(crate) fn previous_secret_of(id: EndpointId) -> SealContext {
    SealContext { column: "endpoints.previous_secret", row: id.as_bytes().to_vec() }
}

/// Where the answer kept under a key belongs.
pub(crate) fn answer_of(environment: EnvironmentId, key: &str) -> SealContext {
    SealContext { column: "idempotency_keys.body", row: [environment.as_bytes(), key.as_bytes()].concat() }
}

/// Where the secret of somebody's second factor belongs.
pub(crate) fn totp_secret_of(id: UserId) -> SealContext {
    SealContext { column: "users.totp_secret", row: id.as_bytes().to_vec() }
}

/// Where a setting's value belongs.
pub(crate) fn setting_of(name: &str) -> SealContext {
    SealContext { column: "settings.value", row: name.as_bytes().to_vec() }
}

/// What the store tells about keys.
///
/// # Errors
/// Where the store fails, or its own key is unreadable.
pub async fn known(db: &dyn Database) -> Result<Known, Error> {
    // In this order: a key that was generated is kept before it is marked, by another node maybe at this moment.
    let marked = marks(db).await?.into_iter().map(|(id, _)| id).collect();
    let generated = settings::find(db, GENERATED).await?;
    let generated = generated.map(|text| text.parse().map(|keys: Keys| keys.current().clone())).transpose();
    Ok(Known { marked, generated: generated.map_err(|_| Error::Unreadable { what: "encryption key" })? })
}

/// Keeps a key in the store, unless it has one; returns the one that it has then. All who do so agree on one.
///
/// # Errors
/// Where the store fails.
pub async fn keep_generated(db: &dyn Database, fresh: &VaultKey) -> Result<VaultKey, Error> {
    let text = settings::get_or_keep(db, GENERATED, fresh.expose()).await?;
    text.parse().map(|keys: Keys| keys.current().clone()).map_err(|_| Error::Unreadable { what: "encryption key" })
}

/// Gives a store its keys. Only the first call counts.
///
/// # Errors
/// [`Error::MissingKey`] where rows may be sealed under a key that is not among them; where the store fails.
pub async fn unlock(db: &dyn Database, keys: Keys, mut nonces: StdRng) -> Result<(), Error> {
    check(db, &keys).await?;
    let name = mark_of(keys.current().id());
    let mut nonce = [0; NONCE_BYTES];
    nonces.fill_bytes(&mut nonce);
    let proof = keys.seal(&setting_of(&name), PROOF, nonce);
    let mark = Statement::new(MAKE_MARK, vec![name.as_str().into(), proof.into()]);
    let is_new = matches!(db.write("register an encryption key", vec![mark]).await?, Written::Committed(rows) if !rows[0].is_empty());
    // Somebody with another key may have looked and marked at the same time.
    if let Err(error) = check(db, &keys).await {
        if is_new {
            db.write("remove the record of an encryption key", vec![Statement::new(REMOVE, vec![name.into()])]).await?;
        }
        return Err(error);
    }
    let _ = db.vault().0.set(Unlocked { keys, nonces: Mutex::new(nonces) });
    Ok(())
}

/// Removes the marks of keys that are not among `keys`: rows under them are lost.
pub(crate) async fn remove_marks_without_key(db: &dyn Database, keys: &Keys) -> Result<(), Error> {
    let lost = marks(db).await?.into_iter().filter(|(id, _)| keys.find(*id).is_none());
    let statements: Vec<_> = lost.map(|(id, _)| Statement::new(REMOVE, vec![mark_of(id).into()])).collect();
    if !statements.is_empty() {
        db.write("remove the records of lost keys", statements).await?;
    }
    Ok(())
}

/// The id of the key that a store encrypts with.
///
/// # Errors
/// The store is locked.
pub fn current_key(db: &dyn Database) -> Result<KeyId, Error> {
    Ok(db.vault().keys()?.current().id())
}

/// Compares the marks with the keys that are given.
async fn check(db: &dyn Database, keys: &Keys) -> Result<(), Error> {
    for (id, proof) in marks(db).await? {
        match keys.open(&setting_of(&mark_of(id)), &proof) {
            Ok(text) if text == PROOF => {}
            Err(Unopened::NoKey(id)) => return Err(Error::MissingKey { id }),
            Ok(_) | Err(Unopened::Damaged) => return Err(Error::Unreadable { what: "mark of an encryption key" }),
        }
    }
    Ok(())
}

async fn marks(db: &dyn Database) -> Result<Vec<(KeyId, String)>, Error> {
    let rows = db.read(Statement::new(MARKS, vec![])).await?;
    let read = |row: crate::db::statement::Row| {
        let mut columns = row.columns();
        let id = columns.word("mark of an encryption key", |name| KeyId::parse(name.strip_prefix(MARK)?))?;
        Ok((id, columns.text("mark of an encryption key")?))
    };
    rows.into_iter().map(read).collect()
}

fn mark_of(id: KeyId) -> String {
    format!("{MARK}{id}")
}

/// Writes what was sealed, in a transaction in which its key still stands.
pub(crate) async fn write(db: &dyn Database, operation: &'static str, statements: Vec<Statement>) -> Result<Written, Error> {
    let id = db.vault().keys()?.current().id();
    let mut all = vec![Statement::new(FIND_MARK, vec![mark_of(id).into()]).required()];
    all.extend(statements);
    match db.write(operation, all).await? {
        Written::Unmet(0) => Err(Error::KeyRetired { id }),
        Written::Unmet(index) => Ok(Written::Unmet(index - 1)),
        Written::Committed(mut rows) => {
            rows.remove(0);
            Ok(Written::Committed(rows))
        }
    }
}

/// Seals everything under the current key and retires the others, while others read and write. It may be broken off
/// anywhere and done again. `watch` is told how many rows were sealed anew so far.
///
/// # Errors
/// Where the store fails or is locked.
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
    // From here on nobody begins to seal under an earlier key; what was being sealed meanwhile is found now.
    let mut again = Walk::new(Outdated::PlainOrEarlier);
    while again.step(db).await? {
        watch(walk.rows + again.rows);
    }
    rotated.rows += again.rows;
    rotated.unopened = again.unopened;
    rotated.is_overtaken = again.rows > 0 || again.unopened > 0;
    rotated.retired = before;
    Ok(rotated)
}

/// Forgets the key that the installation made for itself, where it is not the current one. Only for a store that has
/// one process: another might go on to seal under it until it hears that it was retired.
///
/// # Errors
/// Where the store fails or is locked.
pub async fn forget_generated(db: &dyn Database) -> Result<(), Error> {
    let known = known(db).await?;
    let current = db.vault().keys()?.current();
    if known.generated.is_some_and(|key| key != *current && !known.marked.contains(&key.id())) {
        db.write("remove an encryption key", vec![Statement::new(REMOVE, vec![GENERATED.into()])]).await?;
    }
    Ok(())
}

/// Goes through all rows that hold something secret, a slice at a time, and seals those anew that are outdated.
#[derive(Debug)]
pub struct Walk {
    outdated: Outdated,
    at: At,
    /// How many rows were sealed anew so far.
    pub rows: u64,
    /// How many could not be opened.
    pub unopened: u64,
}

/// After which row a walk is.
#[derive(Debug, Clone)]
enum At {
    Settings(String),
    Endpoints(Vec<u8>),
    Answers(Vec<u8>, String),
    Users(Vec<u8>),
    End,
}

/// A row's statement that seals it anew, where it is outdated and opens.
type Resealed = Result<Option<Statement>, Error>;

impl Walk {
    /// A walk from the first row on.
    pub const fn new(outdated: Outdated) -> Self {
        Self { outdated, at: At::Settings(String::new()), rows: 0, unopened: 0 }
    }

    /// Does the next slice, as one transaction. Returns whether there may be more.
    ///
    /// # Errors
    /// Where the store fails or is locked.
    pub async fn step(&mut self, db: &dyn Database) -> Result<bool, Error> {
        let vault = db.vault();
        let (next, found) = match self.at.clone() {
            At::Settings(after) => self.settings(db, vault, after).await?,
            At::Endpoints(after) => self.endpoints(db, vault, after).await?,
            At::Answers(environment, key) => self.answers(db, vault, environment, key).await?,
            At::Users(after) => self.users(db, vault, after).await?,
            At::End => return Ok(false),
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
        Ok(!matches!(self.at, At::End))
    }

    fn is_outdated(&self, vault: &Vault, text: &str) -> Result<bool, Error> {
        Ok(match self.outdated {
            Outdated::Plain => !is_sealed(text),
            Outdated::PlainOrEarlier => !vault.keys()?.is_current(text),
        })
    }

    fn reseal(&self, vault: &Vault, place: &SealContext, text: &str) -> Result<String, Error> {
        if self.is_outdated(vault, text)? { vault.seal(place, &vault.open(place, text)?) } else { Ok(text.to_owned()) }
    }

    async fn settings(&self, db: &dyn Database, vault: &Vault, after: String) -> Result<(At, Vec<Resealed>), Error> {
        let rows = db.read(Statement::new(SETTINGS, vec![after.into(), sql_limit(SLICE).into()])).await?;
        let mut next = At::Endpoints(Vec::new());
        let is_full = rows.len() == SLICE;
        let mut found = Vec::new();
        for row in rows {
            let mut columns = row.columns();
            let (name, value) = (columns.text("setting")?, columns.text("setting")?);
            found.push(self.reseal(vault, &setting_of(&name), &value).map(|sealed| {
                (sealed != value).then(|| Statement::new(RESEAL_SETTING, vec![name.as_str().into(), sealed.into(), value.into()]))
            }));
            if is_full {
                next = At::Settings(name);
            }
        }
        Ok((next, found))
    }

    async fn endpoints(&self, db: &dyn Database, vault: &Vault, after: Vec<u8>) -> Result<(At, Vec<Resealed>), Error> {
        let rows = db.read(Statement::new(ENDPOINTS, vec![Value::Blob(after), sql_limit(SLICE).into()])).await?;
        let mut next = At::Answers(Vec::new(), String::new());
        let is_full = rows.len() == SLICE;
        let mut found = Vec::new();
        for row in rows {
            let mut columns = row.columns();
            let id = columns.id("endpoint id", EndpointId::from_bytes)?;
            let (secret, previous) = (columns.text("secret")?, columns.optional_text("previous_secret")?);
            found.push(self.reseal_endpoint(vault, id, secret, previous));
            if is_full {
                next = At::Endpoints(id.as_bytes().to_vec());
            }
        }
        Ok((next, found))
    }

    fn reseal_endpoint(&self, vault: &Vault, id: EndpointId, secret: String, previous: Option<String>) -> Resealed {
        let new_secret = self.reseal(vault, &secret_of(id), &secret)?;
        let new_previous = previous.as_deref().map(|text| self.reseal(vault, &previous_secret_of(id), text)).transpose()?;
        if new_secret == secret && new_previous == previous {
            return Ok(None);
        }
        let values = vec![id.as_bytes().into(), new_secret.into(), new_previous.into(), secret.into(), previous.unwrap_or_default().into()];
        Ok(Some(Statement::new(RESEAL_ENDPOINT, values)))
    }

    async fn users(&self, db: &dyn Database, vault: &Vault, after: Vec<u8>) -> Result<(At, Vec<Resealed>), Error> {
        let rows = db.read(Statement::new(USERS, vec![Value::Blob(after), sql_limit(SLICE).into()])).await?;
        let mut next = At::End;
        let is_full = rows.len() == SLICE;
        let mut found = Vec::new();
        for row in rows {
            let mut columns = row.columns();
            let (id, secret) = (columns.id("user id", UserId::from_bytes)?, columns.text("totp_secret")?);
            found.push(self.reseal(vault, &totp_secret_of(id), &secret).map(|sealed| {
                (sealed != secret).then(|| Statement::new(RESEAL_USER, vec![id.as_bytes().into(), sealed.into(), secret.into()]))
            }));
            if is_full {
                next = At::Users(id.as_bytes().to_vec());
            }
        }
        Ok((next, found))
    }

    async fn answers(&self, db: &dyn Database, vault: &Vault, environment: Vec<u8>, key: String) -> Result<(At, Vec<Resealed>), Error> {
        let values = vec![Value::Blob(environment), key.into(), sql_limit(SLICE).into()];
        let rows = db.read(Statement::new(ANSWERS, values)).await?;
        let mut next = At::Users(Vec::new());
        let is_full = rows.len() == SLICE;
        let mut found = Vec::new();
        for row in rows {
            let mut columns = row.columns();
            let environment = columns.id("environment id", EnvironmentId::from_bytes)?;
            let (key, body) = (columns.text("idempotency key")?, columns.text("answer")?);
            found.push(self.reseal(vault, &answer_of(environment, &key), &body).map(|sealed| {
                let values = |sealed: String| vec![environment.as_bytes().into(), key.as_str().into(), sealed.into(), body.as_str().into()];
                (sealed != body).then(|| Statement::new(RESEAL_ANSWER, values(sealed)))
            }));
            if is_full {
                next = At::Answers(environment.as_bytes().to_vec(), key);
            }
        }
        Ok((next, found))
    }
}
