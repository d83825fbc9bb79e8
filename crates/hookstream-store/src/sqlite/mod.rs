//! Embedded store: SQLite in one data directory, for one process.
//!
//! `core.db` holds the configuration, `days/<date>.db` the messages of that day, `search/<date>.db` the index of their words. One thread writes: it runs all
//! waiting operations in one transaction per file, commits (an fsync in WAL mode with `synchronous = FULL`) and then
//! replies. Several connections read at the same time.
//!
//! A transaction spans one file. Everything about a message is in its day's file, so each operation on a message is
//! atomic. An operation over several days is one transaction per day.

pub mod backup;
pub(crate) mod cluster;
pub(crate) mod db;
pub(crate) mod deliveries;
pub(crate) mod history;
pub mod look;
pub(crate) mod outbox;
pub(crate) mod retention;
mod text_index;
mod transfer;

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
};

use async_trait::async_trait;
use tokio::sync::broadcast;

use crate::{
    Instruments, Store,
    db::{
        error::Error,
        installation_quotas::InstallationQuotas,
        listeners::Listeners,
        statement::{Database, Row, Statement, Written, announced},
        vault::Vault,
    },
    delivery::{
        cluster::{Node, Nudge},
        deliveries::Owner,
    },
    sqlite::db::{
        checkpoint::Checkpointer,
        directory::{core_path, create_directory, lock},
        files::{Files, KnownDays},
        readers::Readers,
        space::Space,
        writer::Writer,
    },
    sqlite::text_index::handle::Index,
};

/// The only node.
#[derive(Debug, Default)]
pub(crate) struct SingleNode {
    pub(crate) node: Option<Node>,
    /// Former owner numbers that still have deliveries.
    pub(crate) earlier: Vec<Owner>,
}

/// Store in a data directory.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Writer,
    readers: Arc<Readers>,
    known: Arc<KnownDays>,
    node: Mutex<SingleNode>,
    /// Data directory; `None` for a store in memory.
    directory: Option<PathBuf>,
    /// Never sends: no other process shares the directory.
    nudges: broadcast::Sender<Nudge>,
    vault: Vault,
    quotas: InstallationQuotas,
    listeners: Listeners,
    /// Index of words, if there is a directory.
    text_index: Option<Index>,
    instruments: Instruments,
    /// Whether a day may have events that wait: true at first, and after each that was written.
    pub(crate) may_have_events: AtomicBool,
    /// State of the free disk space, if there is a directory.
    space: Option<Arc<Space>>,
    /// Background thread and lock of the directory, if there is one.
    _guards: Option<(Checkpointer, File)>,
}

impl SqliteStore {
    /// Returns whether `directory` contains a store.
    pub fn is_in(directory: &Path) -> bool {
        core_path(directory).is_file()
    }

    /// Opens the store in `directory`, creates both if they do not exist, and migrates the files to the schema of this version.
    ///
    /// # Errors
    /// Fails if the directory cannot be used, another process uses it, or a newer version wrote it.
    pub fn open(directory: &Path) -> Result<Self, Error> {
        create_directory(directory)?;
        let lock = lock(directory)?;
        let space = Arc::new(Space::prepare(directory));
        let known = KnownDays::find(directory)?;
        let files = Files::open(directory, Arc::clone(&known))?;
        let instruments = Instruments::default();
        Ok(Self {
            writer: Writer::start(files, instruments.commits("write"))?,
            instruments,
            may_have_events: AtomicBool::new(true),
            readers: Arc::new(Readers::new(directory.to_owned(), Arc::clone(&known))),
            _guards: Some((Checkpointer::start(directory.to_owned(), Arc::clone(&known), Arc::clone(&space))?, lock)),
            space: Some(space),
            known,
            node: Mutex::default(),
            text_index: Some(Index::of(directory)),
            directory: Some(directory.to_owned()),
            nudges: broadcast::channel(1).0,
            vault: Vault::default(),
            quotas: InstallationQuotas::default(),
            listeners: Listeners::default(),
        })
    }

    pub(crate) fn single_node(&self) -> MutexGuard<'_, SingleNode> {
        self.node.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Database for SqliteStore {
    async fn read(&self, statement: Statement) -> Result<Vec<Row>, Error> {
        self.readers.core(move |connection| crate::sqlite::db::plain::read(connection, &statement)).await
    }

    async fn write(&self, operation: &'static str, statements: Vec<Statement>) -> Result<Written, Error> {
        let changes = announced(&statements);
        let written = self.writer.run(move |files| crate::sqlite::db::plain::write(files, operation, &statements)).await;
        if Written::may_be_committed(&written) {
            self.listeners.announce(&changes);
        }
        if let (Err(Error::Full { .. }), Some(space)) = (&written, &self.space) {
            space.note_full();
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
impl Store for SqliteStore {
    fn instruments(&self) -> Instruments {
        self.instruments.clone()
    }

    async fn close(&self) {
        self.writer.stop().await;
        self.readers.close();
    }

    fn data_directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    async fn between_commits(&self, work: Box<dyn FnOnce() + Send>) -> Result<(), Error> {
        let mut work = Some(work);
        self.writer
            .run_alone(move |_| {
                if let Some(work) = work.take() {
                    work();
                }
                Ok(())
            })
            .await
    }
}
