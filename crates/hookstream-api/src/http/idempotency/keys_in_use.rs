//! Idempotency keys whose requests are in progress on this node.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

/// Keys of requests in progress.
#[derive(Debug, Default)]
pub(crate) struct KeysInUse(Mutex<HashSet<String>>);

/// Key of a request in progress, released on drop.
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
