//! Signing keys of portal tokens. Each is sealed in `settings` under a name with its id. An id contains its creation
//! time: the newest key signs, and a replaced key stays valid as long as the last token that it may have signed.
//!
//! The keys are read for each token that is created or presented, so all nodes agree at once, even about a removed key.

use std::time::Duration;

use hookstream_model::base::{ids::PortalKeyId, secret::Secret, time::Timestamp};

use crate::db::{
    error::Error,
    sealed_write,
    statement::{Columns, Database, Row, Statement},
    vault,
};

/// Prefix of the name of a key. Earlier versions had a single key, named without the dot.
const NAME: &str = "portal_key.";

const CURRENT: &str = "select name, value from settings where name like 'portal\\_key.%' escape '\\' order by name desc limit 1";
const FIND: &str = "select k.value, (select min(n.name) from settings n where n.name like 'portal\\_key.%' escape '\\' and n.name > k.name)
    from settings k where k.name = $1";
const NAMES: &str = "select name from settings where name like 'portal\\_key.%' escape '\\' order by name";
/// Stores a key, unless there is one since $3.
const KEEP: &str = "insert into settings (name, value) select $1, $2
    where not exists (select 1 from settings n where n.name like 'portal\\_key.%' escape '\\' and n.name >= $3)";
const REMOVE: &str = "delete from settings where name = $1";
const REMOVE_OTHERS: &str = "delete from settings where (name = 'portal_key' or name like 'portal\\_key.%' escape '\\') and name <> $1";
const REMOVE_FIRST: &str = "delete from settings where name = 'portal_key'";

/// Time for which a replaced key is accepted: an hour, the lifetime of tokens, plus the allowed clock difference between nodes.
const GRACE: Duration = Duration::from_secs(3600 + 60);

/// Key with its id, which tokens name.
#[derive(Debug, Clone)]
pub struct PortalKey {
    /// Id, which contains the creation time.
    pub id: PortalKeyId,
    /// Signing secret.
    pub secret: Secret,
}

/// Fate of the former keys at a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Former {
    /// Tokens signed by the former keys stay valid until they expire.
    Outlive,
    /// Tokens signed by the former keys become invalid.
    EndNow,
}

/// Returns the signing key, if there is one.
///
/// # Errors
/// Fails if the store fails, or the key cannot be opened.
pub async fn current(db: &dyn Database) -> Result<Option<PortalKey>, Error> {
    let read = |row: Row| {
        let mut columns = row.columns();
        let name = columns.text("setting")?;
        Ok(PortalKey { id: id_of(&name)?, secret: open(db, &name, &mut columns)? })
    };
    db.read(Statement::new(CURRENT, vec![])).await?.into_iter().next().map(read).transpose()
}

/// Returns the secret of the key that a token names; `None` if the key is too old or unknown.
///
/// # Errors
/// Fails if the store fails, or the key cannot be opened.
pub async fn find(db: &dyn Database, id: PortalKeyId, now: Timestamp) -> Result<Option<Secret>, Error> {
    let name = name_of(id);
    let Some(row) = db.read(Statement::new(FIND, vec![name.as_str().into()])).await?.into_iter().next() else { return Ok(None) };
    let mut columns = row.columns();
    let secret = open(db, &name, &mut columns)?;
    let replaced_by = columns.optional_text("setting")?.map(|name| id_of(&name)).transpose()?;
    let is_over = replaced_by.is_some_and(|next| next.timestamp() + GRACE <= now);
    Ok((!is_over).then_some(secret))
}

/// Stores a new signing key, unless there is a key created at `since` or later. Returns whether it was stored.
///
/// # Errors
/// Fails if the store fails or is locked.
pub async fn create_unless_since(db: &dyn Database, fresh: &PortalKey, since: Timestamp) -> Result<bool, Error> {
    let keep = keep(db, fresh, &name_of(PortalKeyId::before_all_at(since)))?.required();
    // The first new key replaces the key of earlier versions.
    Ok(sealed_write::write(db, "store a portal key", vec![keep, Statement::new(REMOVE_FIRST, vec![])]).await?.is_committed())
}

/// Stores a new signing key. `fresh` makes it for `now`, or for a time after the current key if that is later by
/// another node's clock.
///
/// # Errors
/// Fails if the store fails or is locked.
pub async fn rotate(
    db: &dyn Database,
    fresh: &mut (dyn FnMut(Timestamp) -> PortalKey + Send),
    former: Former,
    now: Timestamp,
) -> Result<PortalKey, Error> {
    let current = current(db).await?.map(|key| key.id.timestamp() + Duration::from_millis(1));
    let fresh = fresh(current.map_or(now, |after| after.max(now)));
    let name = name_of(fresh.id);
    // No key has a later id, so the condition always holds.
    let mut statements = vec![keep(db, &fresh, &name_of(PortalKeyId::from_bytes([0xff; 16])))?];
    match former {
        Former::Outlive => {}
        Former::EndNow => statements.push(Statement::new(REMOVE_OTHERS, vec![name.into()])),
    }
    sealed_write::write(db, "rotate the portal key", statements).await?;
    Ok(fresh)
}

/// Deletes the keys that no valid token can name. Returns their number.
///
/// # Errors
/// Fails if the store fails.
pub async fn forget_over(db: &dyn Database, now: Timestamp) -> Result<usize, Error> {
    let names = db.read(Statement::new(NAMES, vec![])).await?.into_iter().map(|row| row.columns().text("setting"));
    let names = names.collect::<Result<Vec<_>, _>>()?;
    let mut over = Vec::new();
    for pair in names.windows(2) {
        if id_of(&pair[1])?.timestamp() + GRACE <= now {
            over.push(Statement::new(REMOVE, vec![pair[0].as_str().into()]));
        }
    }
    let count = over.len();
    if count > 0 {
        db.write("delete old portal keys", over).await?;
    }
    Ok(count)
}

fn keep(db: &dyn Database, fresh: &PortalKey, unless: &str) -> Result<Statement, Error> {
    let name = name_of(fresh.id);
    let sealed = db.vault().seal(&vault::setting_of(&name), fresh.secret.expose())?;
    Ok(Statement::new(KEEP, vec![name.into(), sealed.into(), unless.into()]))
}

fn open(db: &dyn Database, name: &str, columns: &mut Columns) -> Result<Secret, Error> {
    db.vault().open(&vault::setting_of(name), &columns.text("setting")?).map(Secret::new)
}

fn name_of(id: PortalKeyId) -> String {
    format!("{NAME}{id}")
}

fn id_of(name: &str) -> Result<PortalKeyId, Error> {
    name.strip_prefix(NAME).and_then(|id| id.parse().ok()).ok_or(Error::Unreadable { what: "portal key" })
}
