//! Opening a store that is there already, for commands that look at one or work on it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use clap::Args;
use hookstream_store::{
    Error as StoreError, Store,
    postgres::{Options as DatabaseOptions, PostgresStore},
    sqlite::SqliteStore,
    transfer,
};

use crate::config::{Config, Settings, Sources};

/// Which store a command works on, among its arguments.
#[derive(Debug, Args)]
pub(crate) struct ExistingStore {
    /// A TOML file with the server's settings
    #[arg(long, value_name = "FILE", env = "HOOKSTREAM_CONFIG")]
    config: Option<PathBuf>,

    /// The data directory, where no server runs on it [default: ./hookstream-data]
    #[arg(long, value_name = "DIR", env = "HOOKSTREAM_DATA_DIR", conflicts_with = "database_url")]
    data_dir: Option<PathBuf>,

    /// The PostgreSQL database: postgres://user@host/database
    #[arg(long, value_name = "URL", env = "HOOKSTREAM_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
}

impl ExistingStore {
    /// Opens it, to work on it: not where it is but a part of one. `settings` are what else the command was given;
    /// `in_use` says what to do where a server has the directory.
    pub(crate) async fn open(self, settings: Settings, in_use: &'static str) -> anyhow::Result<(Config, Arc<dyn Store>)> {
        let Self { config, data_dir, database_url } = self;
        let settings = Settings { data_dir, database_url, ..settings };
        let config = Config::load(Sources { config, restored: false, forget: false, settings }, &crate::environment())?;
        let store = match &config.database {
            Some(options) => open_database(options.clone()).await?,
            None => open_directory(&config.data_dir, in_use).await?,
        };
        let unfinished = transfer::unfinished(&*store).await;
        if !matches!(unfinished, Ok(None)) {
            store.close().await;
        }
        if let Some(from) = unfinished? {
            bail!("what is stored here is an unfinished transfer from {from}; finish it with the same `hookstream transfer` again");
        }
        Ok((config, store))
    }
}

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
