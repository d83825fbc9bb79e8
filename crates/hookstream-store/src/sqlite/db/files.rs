//! Files of the store as the writer holds them, with their open transactions.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use hookstream_model::base::{
    ids::{EnvironmentId, OriginId},
    time::{Day, Timestamp},
};
use rusqlite::{Connection, OptionalExtension, params};

use super::connection::{FileKind, failed, open_writer};
use crate::{
    db::error::Error,
    delivery::{counts::Counts, deliveries::Versions},
    sqlite::db::directory::{core_path, day_path, days_directory},
};

const ADD_COUNT: &str = "insert into message_counts (origin_id, messages) values (?1, ?2)
    on conflict (origin_id) do update set messages = messages + excluded.messages";
const SET_POSITION: &str = "update backlog_places set last = ?1";
const ADD_POSITION: &str = "insert into backlog_places (last) values (?1)";
const LAST_POSITION: &str = "select coalesce(max(last), 0) from backlog_places";
const ADD_DELIVERY_COUNTS: &str = "insert into delivery_counts
    (environment_id, messages, accepted, succeeded, exhausted, skipped, cancelled, payload_bytes, events)
    values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
    on conflict (environment_id) do update set messages = messages + excluded.messages, accepted = accepted + excluded.accepted,
        succeeded = succeeded + excluded.succeeded, exhausted = exhausted + excluded.exhausted, skipped = skipped + excluded.skipped,
        cancelled = cancelled + excluded.cancelled, payload_bytes = payload_bytes + excluded.payload_bytes, events = events + excluded.events";

const VERSIONS: &str = "select o.version, e.version from origins o join environments e on e.id = o.environment_id where o.id = ?1";
/// Maximum number of cached versions.
const VERSIONS_KEPT: usize = 10_000;

/// Key of a file; `None` for `core.db`.
pub(crate) type Key = Option<Day>;

/// Possible content of a day's file: false only if its absence is certain.
#[derive(Debug, Clone, Copy)]
struct PossibleContent {
    pending: bool,
    payloads: bool,
}

impl PossibleContent {
    const ALL: Self = Self { pending: true, payloads: true };
}

/// Days that have a file, known to the writer, the readers and the checkpointer, with their possible content.
#[derive(Debug)]
pub(crate) struct KnownDays(Mutex<BTreeMap<Day, PossibleContent>>);

impl KnownDays {
    /// Finds the days' files in the data directory.
    pub(crate) fn find(directory: &Path) -> Result<Arc<Self>, Error> {
        let days = days_directory(directory);
        let failed = |cause: std::io::Error| Error::Open { what: days.display().to_string(), cause: cause.into() };
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir(&days).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let day = name.to_str().and_then(|name| name.strip_suffix(".db")).and_then(|day| day.parse::<Day>().ok());
            found.extend(day.map(|day| (day, PossibleContent::ALL)));
        }
        Ok(Arc::new(Self(Mutex::new(found))))
    }

    /// Returns an empty set of days.
    #[cfg(feature = "in-memory")]
    pub(crate) fn none() -> Arc<Self> {
        Arc::new(Self(Mutex::default()))
    }

    /// Returns all days, oldest first.
    pub(crate) fn all(&self) -> Vec<Day> {
        self.lock().keys().copied().collect()
    }

    /// Returns the days that may have pending deliveries, oldest first.
    pub(crate) fn that_may_have_pending(&self) -> Vec<Day> {
        self.lock().iter().filter(|(_, content)| content.pending).map(|(day, _)| *day).collect()
    }

    /// Returns the days that may have payloads, oldest first.
    pub(crate) fn that_may_have_payloads(&self) -> Vec<Day> {
        self.lock().iter().filter(|(_, content)| content.payloads).map(|(day, _)| *day).collect()
    }

    /// Notes whether a day may have payloads.
    pub(crate) fn note_payloads(&self, day: Day, may_have_payloads: bool) {
        if let Some(known) = self.lock().get_mut(&day) {
            known.payloads = may_have_payloads;
        }
    }

    /// Returns whether a day has a file.
    pub(crate) fn contains(&self, day: Day) -> bool {
        self.lock().contains_key(&day)
    }

    fn add(&self, day: Day) {
        self.lock().entry(day).or_insert(PossibleContent::ALL);
    }

    fn note_pending(&self, day: Day, may_have_pending: bool) {
        if let Some(known) = self.lock().get_mut(&day) {
            known.pending = may_have_pending;
        }
    }

    fn remove(&self, day: Day) {
        self.lock().remove(&day);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Day, PossibleContent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// File and the state of its transaction.
#[derive(Debug)]
struct OpenFile {
    connection: Connection,
    in_transaction: bool,
}

impl OpenFile {
    const fn new(connection: Connection) -> Self {
        Self { connection, in_transaction: false }
    }

    fn begin(&mut self) -> Result<(), Error> {
        if !self.in_transaction {
            self.run("begin immediate", "begin a transaction")?;
            self.in_transaction = true;
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Error> {
        if self.in_transaction {
            self.run("commit", "commit")?;
            self.in_transaction = false;
        }
        Ok(())
    }

    fn roll_back(&mut self) {
        if self.in_transaction {
            // A rollback fails only if SQLite has already rolled back, which has the same effect.
            let _ = self.run("rollback", "roll back");
            self.in_transaction = false;
        }
    }

    fn run(&self, sql: &str, operation: &'static str) -> Result<(), Error> {
        self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute([])).map(|_| ()).map_err(failed(operation))
    }
}

/// File of a day.
#[derive(Debug)]
pub(crate) struct DayFile {
    file: OpenFile,
    /// Messages added in the open transaction, by origin.
    added: HashMap<OriginId, i64>,
    /// Changes of the delivery counts in the open transaction, by environment.
    moved: HashMap<EnvironmentId, Counts>,
    /// Last backlog position assigned in the open transaction.
    position: Option<i64>,
}

impl DayFile {
    /// Returns the connection, with a transaction open on it.
    pub(crate) const fn connection(&self) -> &Connection {
        &self.file.connection
    }

    /// Counts an added message.
    pub(crate) fn count(&mut self, origin: OriginId) {
        *self.added.entry(origin).or_default() += 1;
    }

    /// Counts a removed message.
    pub(crate) fn uncount(&mut self, origin: OriginId) {
        *self.added.entry(origin).or_default() -= 1;
    }

    /// Adds to the delivery counts.
    pub(crate) fn count_deliveries(&mut self, environment: EnvironmentId, moved: Counts) {
        *self.moved.entry(environment).or_default() += moved;
    }

    fn commit(&mut self) -> Result<(), Error> {
        for (environment, moved) in self.moved.drain().filter(|(_, moved)| *moved != Counts::default()) {
            let [messages, accepted, succeeded, exhausted, skipped, cancelled, bytes] = moved.columns();
            let events = moved.events;
            let values = params![environment.as_bytes(), messages, accepted, succeeded, exhausted, skipped, cancelled, bytes, events];
            let mut statement = self.file.connection.prepare_cached(ADD_DELIVERY_COUNTS).map_err(failed("count deliveries"))?;
            statement.execute(values).map_err(failed("count deliveries"))?;
        }
        for (origin, added) in self.added.drain() {
            let mut statement = self.file.connection.prepare_cached(ADD_COUNT).map_err(failed("count messages"))?;
            statement.execute(params![origin.as_bytes(), added]).map_err(failed("count messages"))?;
        }
        if let Some(position) = self.position.take() {
            self.store_position(position).map_err(failed("store a position in a backlog"))?;
        }
        self.file.commit()
    }

    fn store_position(&self, position: i64) -> rusqlite::Result<()> {
        let connection = &self.file.connection;
        if connection.prepare_cached(SET_POSITION)?.execute([position])? == 0 {
            connection.prepare_cached(ADD_POSITION)?.execute([position])?;
        }
        Ok(())
    }

    fn roll_back(&mut self) {
        self.added.clear();
        self.moved.clear();
        self.position = None;
        self.file.roll_back();
    }
}

/// Location of the files.
#[derive(Debug)]
enum Location {
    Directory(PathBuf),
    /// Memory: a file lives as long as its connection.
    #[cfg(feature = "in-memory")]
    Memory,
}

impl Location {
    fn open_day(&self, day: Day) -> Result<Connection, Error> {
        match self {
            Self::Directory(directory) => open_writer(&day_path(directory, day), FileKind::Day),
            #[cfg(feature = "in-memory")]
            Self::Memory => super::connection::open_in_memory(FileKind::Day),
        }
    }

    /// Makes the creation or removal of a file durable; SQLite does so only when it creates a log.
    fn sync_names(&self) -> Result<(), Error> {
        match self {
            Self::Directory(directory) => {
                let directory = days_directory(directory);
                let synced = crate::sqlite::db::directory::sync_directory(&directory);
                synced.map_err(|cause| Error::Open { what: directory.display().to_string(), cause: cause.into() })
            }
            #[cfg(feature = "in-memory")]
            Self::Memory => Ok(()),
        }
    }

    fn remove_day(&self, day: Day) -> Result<(), Error> {
        match self {
            Self::Directory(directory) => {
                let path = day_path(directory, day);
                std::fs::remove_file(&path)
                    .map_err(|cause| Error::Failed { operation: "delete a day of messages", cause: cause.into() })?;
                // Sync before the log is removed: after a power loss, a restored file without its log would show an old state.
                self.sync_names()?;
                for suffix in ["-wal", "-shm"] {
                    // The last connection removes these files; an active reader delays that until here.
                    let _ = std::fs::remove_file(path.with_extension(format!("db{suffix}")));
                }
                Ok(())
            }
            #[cfg(feature = "in-memory")]
            Self::Memory => Ok(()),
        }
    }
}

/// All files, for the writer.
#[derive(Debug)]
pub(crate) struct Files {
    location: Location,
    core: OpenFile,
    days: BTreeMap<Day, DayFile>,
    known: Arc<KnownDays>,
    /// Versions from `core.db`; `None` for a missing origin. Only the writer changes them, so they stay valid
    /// until it does.
    versions: HashMap<OriginId, Option<Versions>>,
    /// Last position assigned in ordered backlogs, once known.
    last_position: Option<i64>,
    /// Files used since the last call of [`take_touched`](Self::take_touched).
    touched: BTreeSet<Key>,
}

impl Files {
    /// Opens `core.db`; the days are opened on demand.
    pub(crate) fn open(directory: &Path, known: Arc<KnownDays>) -> Result<Self, Error> {
        Ok(Self::with(Location::Directory(directory.to_owned()), open_writer(&core_path(directory), FileKind::Core)?, known))
    }

    /// Opens all files in memory.
    #[cfg(feature = "in-memory")]
    pub(crate) fn in_memory(known: Arc<KnownDays>) -> Result<Self, Error> {
        Ok(Self::with(Location::Memory, super::connection::open_in_memory(FileKind::Core)?, known))
    }

    fn with(location: Location, core: Connection, known: Arc<KnownDays>) -> Self {
        let core = OpenFile::new(core);
        Self { location, core, days: BTreeMap::new(), known, versions: HashMap::new(), last_position: None, touched: BTreeSet::new() }
    }

    /// Returns whether no other process needs notifications of changes: a directory belongs to one process.
    pub(crate) const fn is_single_process(&self) -> bool {
        match self.location {
            Location::Directory(_) => true,
            #[cfg(feature = "in-memory")]
            Location::Memory => false,
        }
    }

    /// Returns the connection to `core.db`, with a transaction open on it.
    pub(crate) fn core(&mut self) -> Result<&Connection, Error> {
        self.touched.insert(None);
        self.core.begin()?;
        Ok(&self.core.connection)
    }

    /// Returns the versions that decide about messages of an origin; `None` if it does not exist.
    pub(crate) fn versions(&mut self, origin: OriginId) -> Result<Option<Versions>, Error> {
        if let Some(known) = self.versions.get(&origin) {
            return Ok(*known);
        }
        let read = |row: &rusqlite::Row<'_>| Ok(Versions { origin: row.get(0)?, environment: row.get(1)? });
        let find = self.core.connection.prepare_cached(VERSIONS);
        let found =
            find.and_then(|mut find| find.query_row([origin.as_bytes()], read).optional()).map_err(failed("read endpoint versions"))?;
        if self.versions.len() >= VERSIONS_KEPT {
            self.versions.clear();
        }
        self.versions.insert(origin, found);
        Ok(found)
    }

    /// Discards the cached versions. Must be called before `core.db` may change.
    pub(crate) fn forget_versions(&mut self) {
        self.versions.clear();
    }

    /// Returns a day's file with a transaction open on it; creates a missing file.
    pub(crate) fn day(&mut self, day: Day) -> Result<&mut DayFile, Error> {
        if !self.days.contains_key(&day) {
            let connection = self.location.open_day(day)?;
            if !self.known.contains(day) {
                self.location.sync_names()?;
                self.known.add(day);
            }
            self.days
                .insert(day, DayFile { file: OpenFile::new(connection), added: HashMap::new(), moved: HashMap::new(), position: None });
        }
        self.touched.insert(Some(day));
        let file = self.days.get_mut(&day).expect("inserted above");
        file.file.begin()?;
        Ok(file)
    }

    /// Returns a position behind all earlier ones, for a message accepted at this time and stored in this day's file.
    pub(crate) fn next_position(&mut self, day: Day, accepted_at: Timestamp) -> Result<i64, Error> {
        let last = match self.last_position {
            Some(last) => last,
            None => self.find_last_position()?,
        };
        let position = accepted_at.as_millis().max(last + 1);
        self.last_position = Some(position);
        self.day(day)?.position = Some(position);
        Ok(position)
    }

    fn find_last_position(&mut self) -> Result<i64, Error> {
        let mut last = 0;
        for day in self.days_that_may_have_pending() {
            let read = self.day(day)?.connection().query_row(LAST_POSITION, [], |row| row.get(0));
            last = last.max(read.map_err(failed("read the last position in a backlog"))?);
        }
        Ok(last)
    }

    /// Returns a day's file with a transaction open on it; `None` if the day has no file.
    pub(crate) fn existing_day(&mut self, day: Day) -> Result<Option<&mut DayFile>, Error> {
        if self.known.contains(day) { self.day(day).map(Some) } else { Ok(None) }
    }

    /// Returns the days that have a file, oldest first.
    pub(crate) fn days(&self) -> Vec<Day> {
        self.known.all()
    }

    /// Returns the days that may have pending deliveries, oldest first.
    pub(crate) fn days_that_may_have_pending(&self) -> Vec<Day> {
        self.known.that_may_have_pending()
    }

    /// Notes whether a day may have pending deliveries; false only if it certainly has none.
    pub(crate) fn note_pending(&self, day: Day, may_have_pending: bool) {
        self.known.note_pending(day, may_have_pending);
    }

    /// Notes that a day may have payloads.
    pub(crate) fn note_payloads(&self, day: Day) {
        self.known.note_payloads(day, true);
    }

    /// Returns the files used since the last call.
    pub(crate) fn take_touched(&mut self) -> BTreeSet<Key> {
        std::mem::take(&mut self.touched)
    }

    /// Closes a day's file and removes it from the disk.
    pub(crate) fn remove_day(&mut self, day: Day) -> Result<(), Error> {
        self.known.remove(day);
        if let Some(mut file) = self.days.remove(&day) {
            file.roll_back();
        }
        self.location.remove_day(day)
    }

    /// Commits the open transaction of each file separately. Returns the files whose commit failed; their
    /// transactions must still be rolled back.
    pub(crate) fn commit(&mut self) -> Vec<(Key, Error)> {
        let days = self.days.iter_mut().map(|(day, file)| (Some(*day), file.commit()));
        let core = std::iter::once((None, self.core.commit()));
        days.chain(core).filter_map(|(key, committed)| committed.err().map(|error| (key, error))).collect()
    }

    /// Rolls back all open transactions.
    pub(crate) fn roll_back(&mut self) {
        self.forget_versions();
        self.core.roll_back();
        self.days.values_mut().for_each(DayFile::roll_back);
    }

    /// Returns the connection with the committed data, for reads while no transaction is open.
    #[cfg(feature = "in-memory")]
    pub(crate) fn committed(&self, key: Key) -> Option<&Connection> {
        match key {
            None => Some(&self.core.connection),
            Some(day) => self.days.get(&day).map(DayFile::connection),
        }
    }
}
