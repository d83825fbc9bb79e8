//! Access to an existing store, for commands that inspect or change one.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use clap::Args;
use hookstream_store::{
    Error as StoreError, Store,
    db::transfer,
    postgres::{Options as DatabaseOptions, PostgresStore},
    sqlite::SqliteStore,
};

use crate::config::{Config, Sources, StorageSettings};

/// Arguments that name the store of a command.
#[derive(Debug, Args)]
pub(crate) struct ExistingStore {
    /// A TOML file with the server's settings
    #[arg(long, value_name = "FILE", env = "HOOKSTREAM_CONFIG")]
    config: Option<PathBuf>,

    /// The data directory; a server may run on it [default: ./hookstream-data]
    #[arg(long, value_name = "DIR", env = "HOOKSTREAM_DATA_DIR", conflicts_with = "database_url")]
    data_dir: Option<PathBuf>,

    /// The PostgreSQL database: postgres://user@host/database
    #[arg(long, value_name = "URL", env = "HOOKSTREAM_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
}

/// Existing store.
pub(crate) enum Opened {
    /// The open store; no server uses it exclusively.
    Store(Arc<dyn Store>),
    /// A server uses the data directory.
    InUse,
}

impl ExistingStore {
    /// Returns the server's settings: those of this command, and `settings` for further ones.
    pub(crate) fn config(&self, settings: StorageSettings) -> anyhow::Result<Config> {
        let Self { config, data_dir, database_url } = self;
        let settings = StorageSettings { data_dir: data_dir.clone(), database_url: database_url.clone(), ..settings }.into();
        Config::load(Sources { config: config.clone(), restored: false, forget: false, settings }, &crate::environment())
    }

    /// Opens the store. Refuses the target of an unfinished transfer.
    pub(crate) async fn open(&self, config: &Config) -> anyhow::Result<Opened> {
        let store = match &config.storage.database {
            Some(options) => open_database(options.clone()).await?,
            None => match try_directory(&config.storage.data_dir).await? {
                Ok(store) => store,
                Err(StoreError::InUse { .. }) => return Ok(Opened::InUse),
                Err(error) => return Err(error.into()),
            },
        };
        let unfinished = transfer::unfinished(&*store).await;
        if !matches!(unfinished, Ok(None)) {
            store.close().await;
        }
        if let Some(from) = unfinished? {
            bail!("this store is an unfinished transfer from {from}; run the same `hookstream transfer` again to finish it");
        }
        Ok(Opened::Store(store))
    }
}

/// Opens the store in a database whose schema has this version.
pub(crate) async fn open_database(mut options: DatabaseOptions) -> anyhow::Result<Arc<dyn Store>> {
    // No session state and no notifications are used, so a pooler is fine in any case.
    options.through_pooler = true;
    options.probe().await?;
    let schema = PostgresStore::schema(&options).await?;
    if schema.found == 0 {
        bail!("there is no store in {}", options.address()?);
    }
    if schema.found < schema.known {
        bail!("the schema version is {}, expected {}; run `hookstream migrate --apply`", schema.found, schema.known);
    }
    Ok(Arc::new(PostgresStore::open(&options).await?))
}

/// Opens the store in a directory. `in_use` is the advice if a server uses it.
pub(crate) async fn open_directory(directory: &Path, in_use: &'static str) -> anyhow::Result<Arc<dyn Store>> {
    match try_directory(directory).await? {
        Ok(store) => Ok(store),
        Err(error @ StoreError::InUse { .. }) => Err(error).context(in_use),
        Err(error) => Err(error.into()),
    }
}

async fn try_directory(directory: &Path) -> anyhow::Result<Result<Arc<dyn Store>, StoreError>> {
    if !SqliteStore::is_in(directory) {
        bail!("there is no store in {}; set --data-dir or --database-url", directory.display());
    }
    let path = directory.to_owned();
    Ok(tokio::task::spawn_blocking(move || SqliteStore::open(&path)).await?.map(|store| Arc::new(store) as Arc<dyn Store>))
}
