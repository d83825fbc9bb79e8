//! Idempotency keys whose requests this node is answering now.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

/// Requests with a key that this node is answering.
#[derive(Debug, Default)]
pub(crate) struct KeysInUse(Mutex<HashSet<String>>);

/// One of them, until it is dropped.
pub(crate) struct KeyGuard<'a> {
    among: &'a KeysInUse,
    key: String,
}

impl KeysInUse {
    pub(crate) fn begin(&self, key: &str) -> Option<KeyGuard<'_>> {
        let is_first = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned());
        is_first.then(|| KeyGuard { among: self, key: key.to_owned() })
    }
}

impl Drop for KeyGuard<'_> {
    fn drop(&mut self) {
        self.among.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}
