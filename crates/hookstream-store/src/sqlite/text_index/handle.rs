//! Index as the store holds it: the indexer behind a lock, and the indexed interval beside it.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
};

use super::write::{Indexer, Reached};

/// Index of a store with a directory. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    indexer: Arc<Mutex<Indexer>>,
    pub(super) state: Arc<Reached>,
    files: Arc<RwLock<()>>,
}

impl Index {
    pub(crate) fn of(directory: &Path) -> Self {
        let (state, files) = (Arc::<Reached>::default(), Arc::<RwLock<()>>::default());
        let indexer = Indexer::new(directory.to_owned(), Arc::clone(&state), Arc::clone(&files));
        Self { indexer: Arc::new(Mutex::new(indexer)), state, files }
    }

    /// Locks the indexer, for a slice at most.
    pub(super) fn lock(&self) -> MutexGuard<'_, Indexer> {
        self.indexer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps files from being created and removed, for a search at most.
    pub(super) fn hold_files(&self) -> RwLockReadGuard<'_, ()> {
        self.files.read().unwrap_or_else(PoisonError::into_inner)
    }
}
