//! Background checkpoints, which move the logs into their files, so that the writer seldom has to.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::Duration,
};

use rusqlite::Connection;

use super::{connection::open_checkpointer, files::KnownDays, space::Space};
use crate::{
    db::error::Error,
    sqlite::db::directory::{core_path, day_path},
};

/// Interval between checks of the logs.
const PERIOD: Duration = Duration::from_millis(250);
/// Number of intervals between checks for free space on a full disk: one second.
const SPACE_CHECK_ROUNDS: u32 = 4;
/// Minimum size of a log for a checkpoint, in bytes.
const MIN_LOG_BYTES: u64 = 4 * 1024 * 1024;

/// Handle of the checkpoint thread, which ends when the handle is dropped.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    _stop: Sender<()>,
}

impl Checkpointer {
    pub(crate) fn start(directory: PathBuf, known: Arc<KnownDays>, space: Arc<Space>) -> Result<Self, Error> {
        let (stop, stopped) = channel();
        let thread =
            std::thread::Builder::new().name("store-checkpoint".to_owned()).spawn(move || work(&directory, &known, &space, &stopped));
        thread.map_err(|cause| Error::Open { what: "the checkpointer's thread".to_owned(), cause: cause.into() })?;
        Ok(Self { _stop: stop })
    }
}

fn work(directory: &Path, known: &KnownDays, space: &Space, stopped: &Receiver<()>) {
    // Data version of each file at the last checkpoint: an unchanged file has nothing to move.
    let mut open: HashMap<PathBuf, (Connection, u64)> = HashMap::new();
    let mut rounds = 0_u32;
    while stopped.recv_timeout(PERIOD) == Err(RecvTimeoutError::Timeout) {
        rounds = rounds.wrapping_add(1);
        if rounds.is_multiple_of(SPACE_CHECK_ROUNDS) {
            space.recheck();
        }
        let mut paths = vec![core_path(directory)];
        paths.extend(known.all().into_iter().map(|day| day_path(directory, day)));
        open.retain(|path, _| paths.contains(path));
        for path in paths {
            let length = std::fs::metadata(path.with_extension("db-wal")).map_or(0, |log| log.len());
            if length >= MIN_LOG_BYTES {
                checkpoint(&mut open, path);
            }
        }
    }
}

fn checkpoint(open: &mut HashMap<PathBuf, (Connection, u64)>, path: PathBuf) {
    let changes = |connection: &Connection| connection.query_row("pragma data_version", [], |row| row.get::<_, u64>(0));
    let (connection, seen) = match open.entry(path) {
        std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
        std::collections::hash_map::Entry::Vacant(entry) => match open_checkpointer(entry.key()) {
            Ok(connection) => entry.insert((connection, u64::MAX)),
            Err(error) => return tracing::warn!(%error, "could not open a database file for a checkpoint"),
        },
    };
    let done = changes(connection).and_then(|now| {
        if now == *seen {
            return Ok(());
        }
        *seen = now;
        connection.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(()))
    });
    if let Err(error) = done {
        tracing::warn!(%error, "could not checkpoint a database file; the writer will");
    }
}
