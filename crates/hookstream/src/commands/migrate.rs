//! `hookstream migrate`: the database's schema, apart from a start of the server.

use anyhow::{Context, bail};
use clap::Args;
use hookstream_store::postgres::{PostgresStore, SchemaState};

use crate::config::{Config, Sources};
use crate::output::say;

/// Whether to look or to change.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream migrate --check --database-url postgres://hookstream@db.internal/hookstream\n\n\
    `hookstream serve` migrates at start; this is for those who do it apart. A step works with the version\n\
    before it too, so nodes of both may serve while it is applied.")]
pub(crate) struct MigrateArgs {
    /// Say how far the schema is; fails where steps are missing
    #[arg(long, conflicts_with = "apply", required_unless_present = "apply")]
    check: bool,

    /// Apply what is missing
    #[arg(long)]
    apply: bool,

    #[command(flatten)]
    sources: Sources,
}

/// Looks at the schema or brings it to this version.
pub(crate) async fn run(arguments: MigrateArgs) -> anyhow::Result<()> {
    let config = Config::load(arguments.sources, &crate::environment())?;
    let options = config.database.context("there is no database: give --database-url; the embedded store is migrated at start")?;
    if arguments.apply {
        let SchemaState { found, .. } = PostgresStore::migrate(&options).await?;
        say!("the schema is at step {found}");
        return Ok(());
    }
    let SchemaState { found, known } = PostgresStore::schema(&options).await?;
    say!("the schema is at step {found}; this version knows {known}");
    match found.cmp(&known) {
        std::cmp::Ordering::Less => bail!("steps are missing: hookstream migrate --apply"),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => bail!("a newer version has migrated the database; start that version"),
    }
}
