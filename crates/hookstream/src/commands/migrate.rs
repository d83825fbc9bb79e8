//! `hookstream migrate`: schema migrations of the database, without a server.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use hookstream_cli::say;
use hookstream_store::postgres::{PostgresStore, SchemaState};

use crate::config::{Config, Sources, StorageSettings};

/// Database, and mode.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream migrate --check --database-url postgres://hookstream@db.internal/hookstream\n\n\
    Without --apply it prints the schema version and changes nothing; the exit code is 1 if migrations are pending.\n\
    `hookstream serve` migrates at start; use this command if migrations are a step of their own. Each migration also works\n\
    with the version before it, so nodes of both versions may serve meanwhile.")]
pub(crate) struct MigrateArgs {
    /// Print the schema version; exit with 1 if migrations are pending (the default)
    #[arg(long, conflicts_with = "apply")]
    check: bool,

    /// Apply pending migrations
    #[arg(long)]
    apply: bool,

    /// A TOML file with the server's settings
    #[arg(long, value_name = "FILE", env = "HOOKSTREAM_CONFIG")]
    config: Option<PathBuf>,

    /// The PostgreSQL database: postgres://user@host/database
    #[arg(long, value_name = "URL", env = "HOOKSTREAM_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
}

/// Prints the schema version or applies migrations.
pub(crate) async fn run(arguments: MigrateArgs) -> anyhow::Result<()> {
    let MigrateArgs { check: _, apply, config, database_url } = arguments;
    let settings = StorageSettings { database_url, ..StorageSettings::default() }.into();
    let config = Config::load(Sources { config, restored: false, forget: false, settings }, &crate::environment())?;
    let options = config
        .storage
        .database
        .context("there is no database: set --database-url; a data directory is migrated when a server starts on it")?;
    options.probe().await?;
    if apply {
        let SchemaState { found, .. } = PostgresStore::migrate(&options).await?;
        say!("schema version {found}");
        return Ok(());
    }
    let SchemaState { found, known } = PostgresStore::schema(&options).await?;
    say!("schema version {found}, expected {known}");
    match found.cmp(&known) {
        std::cmp::Ordering::Less => bail!("pending migrations; run `hookstream migrate --apply`"),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => bail!("a newer version of hookstream has migrated the database; start that version"),
    }
}
