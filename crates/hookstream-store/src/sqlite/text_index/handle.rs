//! Index as the store holds it: the indexer behind a lock, and the indexed interval beside it.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::write::{Indexer, Reached};

/// Index of a store with a directory. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    indexer: Arc<Mutex<Indexer>>,
    pub(super) state: Arc<Reached>,
}

impl Index {
    pub(crate) fn of(directory: &Path) -> Self {
        let state = Arc::<Reached>::default();
        Self { indexer: Arc::new(Mutex::new(Indexer::new(directory.to_owned(), Arc::clone(&state)))), state }
    }

    /// Locks the indexer, for a slice at most.
    pub(super) fn lock(&self) -> MutexGuard<'_, Indexer> {
        self.indexer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
