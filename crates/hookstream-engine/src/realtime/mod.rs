//! Live stream: what happens in the engine, for listeners on any node.
//!
//! The hot path calls [`Realtime::wants`], which costs one atomic read while no environment has a listener. An event of
//! an environment with a listener goes into a bounded queue. [`distribute`] takes it from there to the inboxes of this
//! process, and [`relay`] to other nodes that announced a listener. Every buffer is bounded; listeners learn how many
//! events were left out.

pub(crate) mod distribute;
pub(crate) mod event;
pub(crate) mod inbox;
pub(crate) mod listener;
pub(crate) mod relay;

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use hookstream_model::base::ids::EnvironmentId;
use tokio::sync::Notify;

use self::{event::Event, inbox::Inbox};

/// Maximum number of events that wait for distribution: some hundred milliseconds of a busy node, and about 8 MiB.
const QUEUE_MAX: usize = 16_384;

/// Listeners of the live stream, and the events on their way to them.
#[derive(Debug, Default)]
pub(crate) struct Realtime {
    /// Whether any environment has a listener.
    has_listener: AtomicBool,
    wanted: RwLock<Wanted>,
    queue: Mutex<Queue>,
    /// Wakes the distribution.
    queued: Notify,
    /// Inboxes of this process, by environment.
    inboxes: Mutex<HashMap<EnvironmentId, Vec<Arc<Inbox>>>>,
    /// Wakes the relay because the environments with an inbox have changed.
    inboxes_changed: Notify,
}

/// Environments with a listener.
#[derive(Debug, Default)]
struct Wanted {
    here: HashSet<EnvironmentId>,
    elsewhere: Elsewhere,
}

/// Environments with a listener on another node.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Elsewhere {
    /// Whether a node listens to more environments than it names.
    pub(crate) all: bool,
    pub(crate) environments: HashSet<EnvironmentId>,
}

impl Elsewhere {
    pub(crate) fn has(&self, environment: EnvironmentId) -> bool {
        self.all || self.environments.contains(&environment)
    }
}

/// Events that wait for distribution, and the number of those that found no room.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pub(crate) events: VecDeque<Arc<Event>>,
    pub(crate) left_out: HashMap<EnvironmentId, u64>,
}

impl Realtime {
    /// Returns whether events of an environment are wanted.
    pub(crate) fn wants(&self, environment: EnvironmentId) -> bool {
        if !self.has_listener.load(Ordering::Relaxed) {
            return false;
        }
        let wanted = self.wanted.read().unwrap_or_else(PoisonError::into_inner);
        wanted.here.contains(&environment) || wanted.elsewhere.has(environment)
    }

    /// Queues an event for distribution. Never waits.
    pub(crate) fn publish(&self, event: Event) {
        {
            let mut queue = lock(&self.queue);
            if queue.events.len() < QUEUE_MAX {
                queue.events.push_back(Arc::new(event));
            } else {
                *queue.left_out.entry(event.environment).or_default() += 1;
            }
        }
        self.queued.notify_one();
    }

    /// Waits for queued events and takes them all.
    pub(crate) async fn queued(&self) -> Queue {
        loop {
            self.queued.notified().await;
            let queue = std::mem::take(&mut *lock(&self.queue));
            if !queue.events.is_empty() || !queue.left_out.is_empty() {
                return queue;
            }
        }
    }

    /// Adds an inbox of this process.
    pub(crate) fn add(&self, environment: EnvironmentId, inbox: Arc<Inbox>) {
        lock(&self.inboxes).entry(environment).or_default().push(inbox);
        self.note_inboxes();
    }

    /// Removes an inbox.
    pub(crate) fn remove(&self, environment: EnvironmentId, inbox: &Arc<Inbox>) {
        let mut inboxes = lock(&self.inboxes);
        if let Some(of_environment) = inboxes.get_mut(&environment) {
            of_environment.retain(|known| !Arc::ptr_eq(known, inbox));
            if of_environment.is_empty() {
                inboxes.remove(&environment);
            }
        }
        drop(inboxes);
        self.note_inboxes();
    }

    fn note_inboxes(&self) {
        let here: HashSet<_> = lock(&self.inboxes).keys().copied().collect();
        if self.change_wanted(|wanted| std::mem::replace(&mut wanted.here, here.clone()) != here) {
            self.inboxes_changed.notify_one();
        }
    }

    /// Sets the environments with a listener on another node.
    pub(crate) fn set_elsewhere(&self, elsewhere: Elsewhere) {
        self.change_wanted(|wanted| {
            let is_changed = wanted.elsewhere != elsewhere;
            wanted.elsewhere = elsewhere;
            is_changed
        });
    }

    /// Changes the wanted environments. Returns the result of `change`: whether anything changed.
    fn change_wanted(&self, change: impl FnOnce(&mut Wanted) -> bool) -> bool {
        let mut wanted = self.wanted.write().unwrap_or_else(PoisonError::into_inner);
        let is_changed = change(&mut wanted);
        let has_listener = !wanted.here.is_empty() || wanted.elsewhere.all || !wanted.elsewhere.environments.is_empty();
        self.has_listener.store(has_listener, Ordering::Relaxed);
        is_changed
    }

    /// Waits until the environments with an inbox have changed.
    pub(crate) async fn inboxes_changed(&self) {
        self.inboxes_changed.notified().await;
    }

    /// Returns the environments with an inbox in this process.
    pub(crate) fn environments_here(&self) -> HashSet<EnvironmentId> {
        self.wanted.read().unwrap_or_else(PoisonError::into_inner).here.clone()
    }

    /// Returns the environments with a listener on another node.
    pub(crate) fn elsewhere(&self) -> Elsewhere {
        self.wanted.read().unwrap_or_else(PoisonError::into_inner).elsewhere.clone()
    }

    /// Passes an event to the inboxes of its environment.
    pub(crate) fn deliver(&self, event: &Arc<Event>) {
        for inbox in self.inboxes_of(event.environment) {
            inbox.offer(event);
        }
    }

    /// Counts left out events in the inboxes of an environment.
    pub(crate) fn note_left_out(&self, environment: EnvironmentId, count: u64) {
        for inbox in self.inboxes_of(environment) {
            inbox.note_left_out(count);
        }
    }

    fn inboxes_of(&self, environment: EnvironmentId) -> Vec<Arc<Inbox>> {
        lock(&self.inboxes).get(&environment).cloned().unwrap_or_default()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
