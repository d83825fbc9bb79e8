//! The files of the store as the writer holds them, with the transactions that are open on them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use hookstream_model::base::{
    ids::{ApplicationId, EnvironmentId},
    time::{Day, Timestamp},
};
use rusqlite::{Connection, OptionalExtension, params};

use super::connection::{FileKind, failed, open_writer};
use crate::{
    db::error::Error,
    delivery::{counts::Counts, deliveries::Versions},
    sqlite::{core_path, day_path, days_directory},
};

const ADD_COUNT: &str = "insert into message_counts (application_id, messages) values (?1, ?2)
    on conflict (application_id) do update set messages = messages + excluded.messages";
const SET_PLACE: &str = "update backlog_places set last = ?1";
const ADD_PLACE: &str = "insert into backlog_places (last) values (?1)";
const LAST_PLACE: &str = "select coalesce(max(last), 0) from backlog_places";
const ADD_DELIVERY_COUNTS: &str = "insert into delivery_counts
    (environment_id, messages, accepted, succeeded, exhausted, skipped, cancelled, payload_bytes, events)
    values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
    on conflict (environment_id) do update set messages = messages + excluded.messages, accepted = accepted + excluded.accepted,
        succeeded = succeeded + excluded.succeeded, exhausted = exhausted + excluded.exhausted, skipped = skipped + excluded.skipped,
        cancelled = cancelled + excluded.cancelled, payload_bytes = payload_bytes + excluded.payload_bytes, events = events + excluded.events";

const VERSIONS: &str = "select a.version, e.version from applications a join environments e on e.id = a.environment_id where a.id = ?1";
/// The most versions that are remembered.
const VERSIONS_KEPT: usize = 10_000;

/// Which file; `None` is `core.db`.
pub(crate) type Key = Option<Day>;

/// What may be in a day's file: false only where it is sure that nothing is.
#[derive(Debug, Clone, Copy)]
struct MayHave {
    owed: bool,
    payloads: bool,
}

impl MayHave {
    const ANYTHING: Self = Self { owed: true, payloads: true };
}

/// The days that have a file, known to the writer, the readers and the checkpointer, with what may be in it.
#[derive(Debug)]
pub(crate) struct KnownDays(Mutex<BTreeMap<Day, MayHave>>);

impl KnownDays {
    /// Looks which there are.
    pub(crate) fn find(directory: &Path) -> Result<Arc<Self>, Error> {
        let days = days_directory(directory);
        let failed = |cause: std::io::Error| Error::Open { what: days.display().to_string(), cause: cause.into() };
        let mut found = BTreeMap::new();
        for entry in std::fs::read_dir(&days).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let day = name.to_str().and_then(|name| name.strip_suffix(".db")).and_then(|day| day.parse::<Day>().ok());
            found.extend(day.map(|day| (day, MayHave::ANYTHING)));
        }
        Ok(Arc::new(Self(Mutex::new(found))))
    }

    /// None yet.
    #[cfg(feature = "in-memory")]
    pub(crate) fn none() -> Arc<Self> {
        Arc::new(Self(Mutex::default()))
    }

    /// All of them, oldest first.
    pub(crate) fn all(&self) -> Vec<Day> {
        self.lock().keys().copied().collect()
    }

    /// Those of which something may be owed, oldest first.
    pub(crate) fn that_may_be_owed(&self) -> Vec<Day> {
        self.lock().iter().filter(|(_, may_have)| may_have.owed).map(|(day, _)| *day).collect()
    }

    /// Those that may have payloads, oldest first.
    pub(crate) fn that_may_have_payloads(&self) -> Vec<Day> {
        self.lock().iter().filter(|(_, may_have)| may_have.payloads).map(|(day, _)| *day).collect()
    }

    /// Notes whether a day may have payloads.
    pub(crate) fn note_payloads(&self, day: Day, may_have_payloads: bool) {
        if let Some(known) = self.lock().get_mut(&day) {
            known.payloads = may_have_payloads;
        }
    }

    /// Whether a day has a file.
    pub(crate) fn contains(&self, day: Day) -> bool {
        self.lock().contains_key(&day)
    }

    fn add(&self, day: Day) {
        self.lock().entry(day).or_insert(MayHave::ANYTHING);
    }

    fn note_owed(&self, day: Day, may_be_owed: bool) {
        if let Some(known) = self.lock().get_mut(&day) {
            known.owed = may_be_owed;
        }
    }

    fn remove(&self, day: Day) {
        self.lock().remove(&day);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<Day, MayHave>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file and whether a transaction is open on it.
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
            // It fails only where SQLite has rolled back by itself, which is what is wanted.
            let _ = self.run("rollback", "roll back");
            self.in_transaction = false;
        }
    }

    fn run(&self, sql: &str, operation: &'static str) -> Result<(), Error> {
        self.connection.prepare_cached(sql).and_then(|mut statement| statement.execute([])).map(|_| ()).map_err(failed(operation))
    }
}

/// The file of a day.
#[derive(Debug)]
pub(crate) struct DayFile {
    file: OpenFile,
    /// Messages added in the open transaction, by application.
    added: HashMap<ApplicationId, i64>,
    /// How deliveries have moved in the open transaction, by environment.
    moved: HashMap<EnvironmentId, Counts>,
    /// The last place in a backlog that was given in the open transaction.
    place: Option<i64>,
}

impl DayFile {
    /// The connection, with a transaction open on it.
    pub(crate) const fn connection(&self) -> &Connection {
        &self.file.connection
    }

    /// Counts a message that is being added.
    pub(crate) fn count(&mut self, application: ApplicationId) {
        *self.added.entry(application).or_default() += 1;
    }

    /// Counts a message that is being removed.
    pub(crate) fn uncount(&mut self, application: ApplicationId) {
        *self.added.entry(application).or_default() -= 1;
    }

    /// Counts what becomes of deliveries.
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
        for (application, added) in self.added.drain() {
            let mut statement = self.file.connection.prepare_cached(ADD_COUNT).map_err(failed("count messages"))?;
            statement.execute(params![application.as_bytes(), added]).map_err(failed("count messages"))?;
        }
        if let Some(place) = self.place.take() {
            self.keep_place(place).map_err(failed("store a position in a backlog"))?;
        }
        self.file.commit()
    }

    fn keep_place(&self, place: i64) -> rusqlite::Result<()> {
        let connection = &self.file.connection;
        if connection.prepare_cached(SET_PLACE)?.execute([place])? == 0 {
            connection.prepare_cached(ADD_PLACE)?.execute([place])?;
        }
        Ok(())
    }

    fn roll_back(&mut self) {
        self.added.clear();
        self.moved.clear();
        self.place = None;
        self.file.roll_back();
    }
}

/// Where the files are.
#[derive(Debug)]
enum Place {
    Directory(PathBuf),
    /// Nowhere: each is as long as its connection is open.
    #[cfg(feature = "in-memory")]
    Memory,
}

impl Place {
    fn open_day(&self, day: Day) -> Result<Connection, Error> {
        match self {
            Self::Directory(directory) => open_writer(&day_path(directory, day), FileKind::Day),
            #[cfg(feature = "in-memory")]
            Self::Memory => super::connection::open_in_memory(FileKind::Day),
        }
    }

    /// Makes durable that a file is there or is not; SQLite does so when it makes a log, and never else.
    fn sync_names(&self) -> Result<(), Error> {
        match self {
            Self::Directory(directory) => {
                let directory = days_directory(directory);
                let synced = crate::sqlite::sync_directory(&directory);
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
                // Before its log goes: were the file there again after a power cut, and that not, it would be what it was once.
                self.sync_names()?;
                for suffix in ["-wal", "-shm"] {
                    // They go with the last connection; where a reader is still at work, they stay until here.
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
    place: Place,
    core: OpenFile,
    days: BTreeMap<Day, DayFile>,
    known: Arc<KnownDays>,
    /// Versions as they stand in `core.db`; `None` for an application that is not there. Only the writer
    /// changes them, so they hold until it does.
    versions: HashMap<ApplicationId, Option<Versions>>,
    /// The last place that was given in a backlog that keeps an order, once it was looked for.
    last_place: Option<i64>,
    /// The files used since [`take_touched`](Self::take_touched) was last called.
    touched: BTreeSet<Key>,
}

impl Files {
    /// Opens `core.db`; the days are opened when they are needed.
    pub(crate) fn open(directory: &Path, known: Arc<KnownDays>) -> Result<Self, Error> {
        Ok(Self::with(Place::Directory(directory.to_owned()), open_writer(&core_path(directory), FileKind::Core)?, known))
    }

    /// The same in memory.
    #[cfg(feature = "in-memory")]
    pub(crate) fn in_memory(known: Arc<KnownDays>) -> Result<Self, Error> {
        Ok(Self::with(Place::Memory, super::connection::open_in_memory(FileKind::Core)?, known))
    }

    fn with(place: Place, core: Connection, known: Arc<KnownDays>) -> Self {
        let core = OpenFile::new(core);
        Self { place, core, days: BTreeMap::new(), known, versions: HashMap::new(), last_place: None, touched: BTreeSet::new() }
    }

    /// Whether nobody else is to be told of changes: a directory is one process's alone.
    pub(crate) const fn is_alone(&self) -> bool {
        match self.place {
            Place::Directory(_) => true,
            #[cfg(feature = "in-memory")]
            Place::Memory => false,
        }
    }

    /// The connection to `core.db`, with a transaction open on it.
    pub(crate) fn core(&mut self) -> Result<&Connection, Error> {
        self.touched.insert(None);
        self.core.begin()?;
        Ok(&self.core.connection)
    }

    /// The versions that decide about messages to an application; `None` where it is not there.
    pub(crate) fn versions(&mut self, application: ApplicationId) -> Result<Option<Versions>, Error> {
        if let Some(known) = self.versions.get(&application) {
            return Ok(*known);
        }
        let read = |row: &rusqlite::Row<'_>| Ok(Versions { application: row.get(0)?, environment: row.get(1)? });
        let find = self.core.connection.prepare_cached(VERSIONS);
        let found = find
            .and_then(|mut find| find.query_row([application.as_bytes()], read).optional())
            .map_err(failed("read endpoint versions"))?;
        if self.versions.len() >= VERSIONS_KEPT {
            self.versions.clear();
        }
        self.versions.insert(application, found);
        Ok(found)
    }

    /// To be called when something in `core.db` may change.
    pub(crate) fn forget_versions(&mut self) {
        self.versions.clear();
    }

    /// A day's file with a transaction open on it; it is made where it is not there.
    pub(crate) fn day(&mut self, day: Day) -> Result<&mut DayFile, Error> {
        if !self.days.contains_key(&day) {
            let connection = self.place.open_day(day)?;
            if !self.known.contains(day) {
                self.place.sync_names()?;
                self.known.add(day);
            }
            self.days.insert(day, DayFile { file: OpenFile::new(connection), added: HashMap::new(), moved: HashMap::new(), place: None });
        }
        self.touched.insert(Some(day));
        let file = self.days.get_mut(&day).expect("it was there or was just made");
        file.file.begin()?;
        Ok(file)
    }

    /// A place behind all that were given before, for something that is accepted then and stored in that day's file.
    pub(crate) fn next_place(&mut self, day: Day, accepted_at: Timestamp) -> Result<i64, Error> {
        let last = match self.last_place {
            Some(last) => last,
            None => self.find_last_place()?,
        };
        let place = accepted_at.as_millis().max(last + 1);
        self.last_place = Some(place);
        self.day(day)?.place = Some(place);
        Ok(place)
    }

    fn find_last_place(&mut self) -> Result<i64, Error> {
        let mut last = 0;
        for day in self.days_that_may_be_owed() {
            let read = self.day(day)?.connection().query_row(LAST_PLACE, [], |row| row.get(0));
            last = last.max(read.map_err(failed("read the last position in a backlog"))?);
        }
        Ok(last)
    }

    /// The same for a day that may have no file.
    pub(crate) fn existing_day(&mut self, day: Day) -> Result<Option<&mut DayFile>, Error> {
        if self.known.contains(day) { self.day(day).map(Some) } else { Ok(None) }
    }

    /// The days that have a file, oldest first.
    pub(crate) fn days(&self) -> Vec<Day> {
        self.known.all()
    }

    /// Those of them of which something may be owed.
    pub(crate) fn days_that_may_be_owed(&self) -> Vec<Day> {
        self.known.that_may_be_owed()
    }

    /// Notes whether something of a day may be owed; false only where it is sure that nothing is.
    pub(crate) fn note_owed(&self, day: Day, may_be_owed: bool) {
        self.known.note_owed(day, may_be_owed);
    }

    /// Notes that a day may have payloads.
    pub(crate) fn note_payloads(&self, day: Day) {
        self.known.note_payloads(day, true);
    }

    /// The files that were used since this was last called.
    pub(crate) fn take_touched(&mut self) -> BTreeSet<Key> {
        std::mem::take(&mut self.touched)
    }

    /// Closes a day's file and removes it from the disk.
    pub(crate) fn remove_day(&mut self, day: Day) -> Result<(), Error> {
        self.known.remove(day);
        if let Some(mut file) = self.days.remove(&day) {
            file.roll_back();
        }
        self.place.remove_day(day)
    }

    /// Commits what is open on every file, each by itself. Returns the files whose commit failed; what
    /// was open on them is still to be undone.
    pub(crate) fn commit(&mut self) -> Vec<(Key, Error)> {
        let days = self.days.iter_mut().map(|(day, file)| (Some(*day), file.commit()));
        let core = std::iter::once((None, self.core.commit()));
        days.chain(core).filter_map(|(key, committed)| committed.err().map(|error| (key, error))).collect()
    }

    /// Undoes what is open on every file.
    pub(crate) fn roll_back(&mut self) {
        self.forget_versions();
        self.core.roll_back();
        self.days.values_mut().for_each(DayFile::roll_back);
    }

    /// The connection that has what was committed, for who reads while nothing is under way.
    #[cfg(feature = "in-memory")]
    pub(crate) fn committed(&self, key: Key) -> Option<&Connection> {
        match key {
            None => Some(&self.core.connection),
            Some(day) => self.days.get(&day).map(DayFile::connection),
        }
    }
}
