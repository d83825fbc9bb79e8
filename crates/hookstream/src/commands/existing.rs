//! Opening a store that is there already, for commands that look at one or work on it.

use std::{path::Path, sync::Arc};

use anyhow::{Context, bail};
use hookstream_store::{
    Error as StoreError, Store,
    postgres::{Options as DatabaseOptions, PostgresStore},
    sqlite::SqliteStore,
};

/// The store in a database whose schema is of this version.
pub(crate) async fn open_database(mut options: DatabaseOptions) -> anyhow::Result<Arc<dyn Store>> {
    // Nobody listens and nothing is set for a session: it works either way.
    options.through_pooler = true;
    let schema = PostgresStore::schema(&options).await?;
    if schema.found == 0 {
        bail!("there is no store in {}", options.address()?);
    }
    if schema.found < schema.known {
        bail!("the schema is at step {} of {}: bring it to this version with `hookstream migrate --apply`", schema.found, schema.known);
    }
    Ok(Arc::new(PostgresStore::open(&options).await?))
}

/// The store in a directory. `in_use` says what to do where a server has it.
pub(crate) async fn open_directory(directory: &Path, in_use: &'static str) -> anyhow::Result<Arc<dyn Store>> {
    if !SqliteStore::is_in(directory) {
        bail!("there is no store in {}; give --data-dir or --database-url", directory.display());
    }
    let path = directory.to_owned();
    match tokio::task::spawn_blocking(move || SqliteStore::open(&path)).await? {
        Ok(store) => Ok(Arc::new(store)),
        Err(error @ StoreError::InUse { .. }) => Err(error).context(in_use),
        Err(error) => Err(error.into()),
    }
}
