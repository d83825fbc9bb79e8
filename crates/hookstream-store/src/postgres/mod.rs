//! Shared store: PostgreSQL (15 or later), for any number of equal nodes.
//!
//! A node holds no durable state. The deliveries that a node works on carry its number in `pending`. A node that does
//! not renew its lease in time loses its number, and its deliveries are released. Nodes never talk to each other
//! directly: they share the database, and notify each other through it.
//!
//! Required features beyond plain SQL: `for update skip locked`, `unnest` of several arrays, data-modifying `with`,
//! range partitions, `pg_advisory_xact_lock` (for migrations and days), and `listen`/`notify` (optional: nodes poll
//! without it).

pub(crate) mod cluster;
pub(crate) mod db;
pub(crate) mod deliveries;
pub(crate) mod history;
pub(crate) mod outbox;
pub(crate) mod retention;

mod text_index;
mod transfer;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use tokio::sync::{Notify, broadcast, watch};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Instruments, Store,
    db::{
        error::Error,
        installation_quotas::InstallationQuotas,
        listeners::Listeners,
        statement::{Database, Row, Statement, Written, announced},
        vault::Vault,
    },
    instruments::{Commits, Connections},
    postgres::{
        db::{
            connection::{Connector, Pool},
            nudge::Inbound,
        },
        deliveries::publish::Publisher,
    },
};

pub use crate::postgres::db::{connection::Options, migrate::SchemaState};

/// Maximum number of unread nudges. A slower reader loses some, and learns that from its channel.
const NUDGES: usize = 64;
/// Maximum number of unread relayed texts: 4 MiB.
const RELAYED: usize = 512;

/// Store in a PostgreSQL database.
pub struct PostgresStore {
    /// Connections for requests.
    plain: Pool,
    /// Connections for the engine's work, which requests must not delay.
    hot: Pool,
    publisher: Publisher,
    instruments: Instruments,
    settles: Commits,
    floor: crate::postgres::deliveries::claim::Floor,
    /// Held while packed rows are settled: two statements that clear different bits of one row at the same moment could
    /// each leave the row to the other.
    settling: tokio::sync::Mutex<()>,
    lease: Duration,
    inbound: Inbound,
    /// Whether this process receives notifications; a pooler in between keeps them.
    can_listen: bool,
    vault: Vault,
    quotas: InstallationQuotas,
    listeners: Listeners,
    /// Time of the last message refused for a full disk; `None` once one was stored.
    full_at: Mutex<Option<Instant>>,
    /// Trigger for notifying the other nodes.
    notify: Arc<Notify>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl PostgresStore {
    /// Opens the store and migrates its database to the schema of this version.
    ///
    /// # Errors
    /// Fails if the database cannot be reached, or a newer version has migrated it.
    pub async fn open(options: &Options) -> Result<Self, Error> {
        let connector = Connector::new(options)?;
        let plain = connector.pool(options.max_connections)?;
        let hot = connector.hot_pool()?;
        crate::postgres::db::migrate::apply(&plain).await?;
        let instruments = Instruments::default();
        let (publisher, publishing) = Publisher::new(hot.clone(), instruments.commits("publish"));
        let store = Self {
            plain,
            hot,
            publisher,
            settles: instruments.commits("settle"),
            instruments,
            floor: crate::postgres::deliveries::claim::Floor::default(),
            settling: tokio::sync::Mutex::default(),
            lease: options.lease,
            inbound: Inbound {
                nudges: broadcast::channel(NUDGES).0,
                relayed: broadcast::channel(RELAYED).0,
                stream: watch::channel(false).0,
            },
            can_listen: connector.can_listen(),
            vault: Vault::default(),
            quotas: InstallationQuotas::default(),
            listeners: Listeners::default(),
            full_at: Mutex::default(),
            notify: Arc::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        let stop = store.stop.clone();
        store.tasks.spawn(async move { stop.run_until_cancelled(publishing).await });
        store.tasks.spawn(crate::postgres::db::nudge::notify(store.plain.clone(), Arc::clone(&store.notify), store.stop.clone()));
        if connector.can_listen() {
            store.tasks.spawn(crate::postgres::db::nudge::listen(connector, store.inbound.clone(), store.stop.clone()));
        }
        Ok(store)
    }

    /// Notes whether the last message found disk space. Logs each change once.
    fn note_full(&self, at: Option<Instant>) {
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        match (full_at.is_some(), at.is_some()) {
            (false, true) => tracing::error!(
                "the database's disk is full: messages are refused until there is room; accepted ones continue to be delivered"
            ),
            (true, false) => tracing::info!("there is room on the database's disk again: messages are accepted"),
            (false, false) | (true, true) => {}
        }
        *full_at = at;
    }

    /// Returns the version of the database server, such as `17.2`.
    ///
    /// # Errors
    /// Fails if the database cannot be reached.
    pub async fn server_version(options: &Options) -> Result<String, Error> {
        crate::postgres::db::migrate::server_version(&Connector::new(options)?.pool(1)?).await
    }

    /// Returns the schema state of the database, without changing it.
    ///
    /// # Errors
    /// Fails if the database cannot be reached.
    pub async fn schema(options: &Options) -> Result<SchemaState, Error> {
        crate::postgres::db::migrate::check(&Connector::new(options)?.pool(1)?).await
    }

    /// Migrates the database to the schema of this version, and does nothing else.
    ///
    /// # Errors
    /// Fails if the database cannot be reached, or a newer version has migrated it.
    pub async fn migrate(options: &Options) -> Result<SchemaState, Error> {
        crate::postgres::db::migrate::apply(&Connector::new(options)?.pool(1)?).await
    }
}

#[async_trait]
impl Database for PostgresStore {
    async fn read(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        crate::postgres::db::plain::read(&self.plain, &statement).await
    }

    async fn write(&self, operation: &'static str, statements: Vec<Statement>) -> Result<Written, Error> {
        let changes = announced(&statements);
        let written = crate::postgres::db::plain::write(&self.plain, operation, &statements).await;
        if Written::may_be_committed(&written) {
            self.listeners.announce(&changes);
        }
        if matches!(written, Err(Error::Full { .. })) {
            self.note_full(Some(Instant::now()));
        }
        written
    }

    fn vault(&self) -> &Vault {
        &self.vault
    }

    fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    fn installation_quotas(&self) -> &InstallationQuotas {
        &self.quotas
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn instruments(&self) -> Instruments {
        for (pool, connections) in [("requests", &self.plain), ("engine", &self.hot)] {
            for (state, number) in connections.usage() {
                let number = i64::try_from(number).unwrap_or(i64::MAX);
                self.instruments.connections.get_or_create(&Connections { pool, state }).set(number);
            }
        }
        self.instruments.clone()
    }

    async fn close(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.plain.close();
        self.hot.close();
    }
}
