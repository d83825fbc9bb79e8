//! The keys that sign portal tokens. They stand in `settings`, sealed, each under a name with its id; since an id holds
//! when it was made, the newest is the one that signs, and one that another has replaced is good for as long as the last
//! token that it may have signed.
//!
//! They are read for each token that is made or shown: so all nodes agree at once, also about one that was taken away.

use std::time::Duration;

use hookstream_model::base::{ids::PortalKeyId, secret::Secret, time::Timestamp};

use crate::db::{
    error::Error,
    statement::{Columns, Database, Row, Statement},
    vault,
};

/// What the name of a key begins with. Before there were several, one stood under the name without the point.
const NAME: &str = "portal_key.";

const CURRENT: &str = "select name, value from settings where name like 'portal\\_key.%' escape '\\' order by name desc limit 1";
const FIND: &str = "select k.value, (select min(n.name) from settings n where n.name like 'portal\\_key.%' escape '\\' and n.name > k.name)
    from settings k where k.name = $1";
const NAMES: &str = "select name from settings where name like 'portal\\_key.%' escape '\\' order by name";
/// Unless there is one since $3.
const KEEP: &str = "insert into settings (name, value) select $1, $2
    where not exists (select 1 from settings n where n.name like 'portal\\_key.%' escape '\\' and n.name >= $3)";
const REMOVE: &str = "delete from settings where name = $1";
const REMOVE_OTHERS: &str = "delete from settings where (name = 'portal_key' or name like 'portal\\_key.%' escape '\\') and name <> $1";
const REMOVE_FIRST: &str = "delete from settings where name = 'portal_key'";

/// For how long after it was replaced a key is looked at: an hour, which is how long tokens last, and what clocks of
/// nodes may differ by.
const OUTLIVES: Duration = Duration::from_secs(3600 + 60);

/// A key and its id, which tokens name.
#[derive(Debug, Clone)]
pub struct PortalKey {
    /// Its id; it was made when that was.
    pub id: PortalKeyId,
    /// What signs.
    pub secret: Secret,
}

/// What becomes of the keys before a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Former {
    /// Tokens that they signed are good until their end.
    Outlive,
    /// No token that they signed is good any more.
    EndNow,
}

/// The key that signs, where there is one.
///
/// # Errors
/// Where the store fails, or the key cannot be opened.
pub async fn current(db: &dyn Database) -> Result<Option<PortalKey>, Error> {
    let read = |row: Row| {
        let mut columns = row.columns();
        let name = columns.text("setting")?;
        Ok(PortalKey { id: id_of(&name)?, secret: open(db, &name, &mut columns)? })
    };
    db.read(Statement::new(CURRENT, vec![])).await?.into_iter().next().map(read).transpose()
}

/// What a token that names this key has to be signed with; `None` where it is too old or there is none.
///
/// # Errors
/// Where the store fails, or the key cannot be opened.
pub async fn find(db: &dyn Database, id: PortalKeyId, now: Timestamp) -> Result<Option<Secret>, Error> {
    let name = name_of(id);
    let Some(row) = db.read(Statement::new(FIND, vec![name.as_str().into()])).await?.into_iter().next() else { return Ok(None) };
    let mut columns = row.columns();
    let secret = open(db, &name, &mut columns)?;
    let replaced_by = columns.optional_text("setting")?.map(|name| id_of(&name)).transpose()?;
    let is_over = replaced_by.is_some_and(|next| next.timestamp() + OUTLIVES <= now);
    Ok((!is_over).then_some(secret))
}

/// Keeps a new key, with which everything is signed from here on, unless there is one that was made at `since` or later.
/// Returns whether it was kept.
///
/// # Errors
/// Where the store fails or is locked.
pub async fn make_unless_since(db: &dyn Database, fresh: &PortalKey, since: Timestamp) -> Result<bool, Error> {
    let keep = keep(db, fresh, &name_of(PortalKeyId::before_all_at(since)))?.required();
    // The first of them takes the place of what older versions had.
    Ok(vault::write(db, "store a portal key", vec![keep, Statement::new(REMOVE_FIRST, vec![])]).await?.is_committed())
}

/// Keeps a new key, with which everything is signed from here on. It is made by `fresh` at `now`, or after the one that
/// signs, where that is later by somebody's clock.
///
/// # Errors
/// Where the store fails or is locked.
pub async fn rotate(
    db: &dyn Database,
    fresh: &mut (dyn FnMut(Timestamp) -> PortalKey + Send),
    former: Former,
    now: Timestamp,
) -> Result<PortalKey, Error> {
    let current = current(db).await?.map(|key| key.id.timestamp() + Duration::from_millis(1));
    let fresh = fresh(current.map_or(now, |after| after.max(now)));
    let name = name_of(fresh.id);
    // Of no moment is it later than the last.
    let mut statements = vec![keep(db, &fresh, &name_of(PortalKeyId::from_bytes([0xff; 16])))?];
    match former {
        Former::Outlive => {}
        Former::EndNow => statements.push(Statement::new(REMOVE_OTHERS, vec![name.into()])),
    }
    vault::write(db, "rotate the portal key", statements).await?;
    Ok(fresh)
}

/// Removes the keys that no token may name any more. Returns how many.
///
/// # Errors
/// Where the store fails.
pub async fn forget_over(db: &dyn Database, now: Timestamp) -> Result<usize, Error> {
    let names = db.read(Statement::new(NAMES, vec![])).await?.into_iter().map(|row| row.columns().text("setting"));
    let names = names.collect::<Result<Vec<_>, _>>()?;
    let mut over = Vec::new();
    for pair in names.windows(2) {
        if id_of(&pair[1])?.timestamp() + OUTLIVES <= now {
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
