//! Bounded buffer between the threads that produce telemetry and the task that sends it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::counts::{self, Outcome, Signal};
use crate::config::Batches;

/// Buffer of one signal.
#[derive(Debug)]
pub(super) struct Buffer<T> {
    signal: Signal,
    batches: Batches,
    items: Mutex<Vec<T>>,
    /// Wakes the sending task when a batch is complete, so that it is not woken for each item.
    full: Notify,
}

impl<T> Buffer<T> {
    pub(super) fn new(signal: Signal, batches: Batches) -> Self {
        Self { signal, batches, items: Mutex::default(), full: Notify::new() }
    }

    /// Adds an item, or drops and counts it if the buffer is full. Never blocks for longer than another thread adds one.
    pub(super) fn push(&self, item: T) {
        let mut items = self.items();
        if items.len() >= self.batches.queue {
            drop(items);
            counts::add(self.signal, Outcome::Dropped, 1);
            return;
        }
        items.push(item);
        let is_batch = items.len() == self.batches.size;
        drop(items);
        if is_batch {
            self.full.notify_one();
        }
    }

    /// Takes the oldest items, at most so many.
    pub(super) fn take(&self, most: usize) -> Vec<T> {
        let mut items = self.items();
        if items.len() <= most {
            return std::mem::take(&mut items);
        }
        let rest = items.split_off(most);
        std::mem::replace(&mut items, rest)
    }

    /// Waits until a batch is complete.
    pub(super) async fn until_full(&self) {
        self.full.notified().await;
    }

    fn items(&self) -> MutexGuard<'_, Vec<T>> {
        self.items.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn full_buffer_drops_new_items_and_keeps_the_order() {
        let batches = Batches { queue: 3, size: 2, delay: Duration::from_secs(1) };
        let buffer = Buffer::new(Signal::Traces, batches);
        let dropped = counts::number(Signal::Traces, Outcome::Dropped);
        for item in 0..5 {
            buffer.push(item);
        }
        buffer.until_full().await;
        assert_eq!((buffer.take(2), buffer.take(2), buffer.take(2)), (vec![0, 1], vec![2], vec![]));
        assert_eq!(counts::number(Signal::Traces, Outcome::Dropped) - dropped, 2);
    }
}
