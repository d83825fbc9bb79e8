//! Values that the installation generates once and keeps.

use hookstream_model::base::secret::Secret;

use crate::db::{
    error::Error,
    sealed_write,
    statement::{Database, Statement},
    vault,
};

const FIND: &str = "select value from settings where name = $1";
const REMOVE: &str = "delete from settings where name = $1";
const KEEP: &str = "insert into settings (name, value) values ($1, $2) on conflict do nothing";

/// Returns the value stored under `name`; stores `fresh` first if there is none.
///
/// # Errors
/// Fails if the store fails.
pub async fn get_or_keep(db: &dyn Database, name: &str, fresh: String) -> Result<String, Error> {
    db.write("store a setting", vec![Statement::new(KEEP, vec![name.into(), fresh.into()])]).await?;
    find(db, name).await?.ok_or(Error::Unreadable { what: "setting" })
}

/// Returns the secret stored sealed under `name`; stores `fresh` first if there is none.
///
/// # Errors
/// Fails if the store fails or is locked.
pub async fn get_or_keep_secret(db: &dyn Database, name: &str, fresh: &Secret) -> Result<Secret, Error> {
    let found = match find(db, name).await? {
        Some(found) => found,
        None => {
            let sealed = db.vault().seal(&vault::setting_of(name), fresh.expose())?;
            sealed_write::write(db, "store a secret", vec![Statement::new(KEEP, vec![name.into(), sealed.into()])]).await?;
            // Another process may have been faster.
            find(db, name).await?.ok_or(Error::Unreadable { what: "setting" })?
        }
    };
    db.vault().open(&vault::setting_of(name), &found).map(Secret::new)
}

/// Removes the value under `name`, if there is one.
///
/// # Errors
/// Fails if the store fails.
pub async fn remove(db: &dyn Database, name: &str) -> Result<(), Error> {
    db.write("remove a setting", vec![Statement::new(REMOVE, vec![name.into()])]).await?;
    Ok(())
}

/// Returns the stored form of the value under `name`.
///
/// # Errors
/// Fails if the store fails.
pub async fn find(db: &dyn Database, name: &str) -> Result<Option<String>, Error> {
    let rows = db.read(Statement::new(FIND, vec![name.into()])).await?;
    rows.into_iter().next().map(|row| row.columns().text("setting")).transpose()
}
