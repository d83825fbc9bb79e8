//! Values that the installation makes for itself once and keeps.

use crate::{
    error::Error,
    statement::{Database, Statement},
};

const FIND: &str = "select value from settings where name = $1";
const KEEP: &str = "insert into settings (name, value) values ($1, $2) on conflict do nothing";

/// The value kept under `name`; where there is none yet, `fresh` becomes it.
///
/// # Errors
/// Where the store fails.
pub async fn get_or_keep(db: &dyn Database, name: &str, fresh: String) -> Result<String, Error> {
    db.write("keep a setting", vec![Statement::new(KEEP, vec![name.into(), fresh.into()])]).await?;
    find(db, name).await?.ok_or(Error::Unreadable { what: "setting" })
}

/// The value kept under `name`, as it stands in its row.
///
/// # Errors
/// Where the store fails.
pub async fn find(db: &dyn Database, name: &str) -> Result<Option<String>, Error> {
    let rows = db.read(Statement::new(FIND, vec![name.into()])).await?;
    rows.into_iter().next().map(|row| row.columns().text("setting")).transpose()
}
