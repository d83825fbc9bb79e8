//! Inbox of one listener: a bounded buffer of events, with the number of those left out in their place.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use hookstream_model::{base::ids::OriginId, operations::stream::Channel};
use tokio::sync::Notify;

use super::event::Event;

/// Maximum number of buffered events. A client that reads too slowly for it loses events and is told so.
pub(crate) const EVENTS_MAX: usize = 512;
/// Maximum size of the buffered events, in bytes. The listeners of an environment share the events.
const BYTES_MAX: usize = 512 * 1024;

/// Item of the stream, in its order.
#[derive(Debug, Clone)]
pub enum Received {
    /// Event on a channel, by the name that the client gave.
    Event {
        /// Name of the channel.
        channel: Arc<str>,
        /// Event.
        event: Arc<Event>,
    },
    /// Number of events that were left out here.
    Gap(u64),
}

/// Buffer of one listener.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// Origin to which the listener is restricted.
    only: Option<OriginId>,
    state: Mutex<State>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct State {
    channels: Vec<(Arc<str>, Channel)>,
    items: VecDeque<Received>,
    events: usize,
    bytes: usize,
    /// Whether events are left out until half of the buffer is free, so that gaps are few.
    is_overflowing: bool,
}

impl Inbox {
    pub(crate) fn new(only: Option<OriginId>) -> Self {
        Self { only, state: Mutex::default(), filled: Notify::new() }
    }

    /// Subscribes to a channel; the same name again replaces it. Returns whether there was room for it.
    pub(crate) fn subscribe(&self, name: &str, channel: Channel, most: usize) -> bool {
        let mut state = self.state();
        if let Some(known) = state.channels.iter_mut().find(|(known, _)| **known == *name) {
            known.1 = channel;
            return true;
        }
        if state.channels.len() >= most {
            return false;
        }
        state.channels.push((name.into(), channel));
        true
    }

    /// Ends a subscription. Returns whether there was one.
    pub(crate) fn unsubscribe(&self, name: &str) -> bool {
        let mut state = self.state();
        let before = state.channels.len();
        state.channels.retain(|(known, _)| **known != *name);
        state.channels.len() < before
    }

    /// Buffers an event once for each channel that carries it.
    pub(crate) fn offer(&self, event: &Arc<Event>) {
        if self.only.is_some_and(|only| only != event.origin) {
            return;
        }
        let mut state = self.state();
        let state = &mut *state;
        let mut is_wanted = false;
        for (name, _) in state.channels.iter().filter(|(_, channel)| channel.carries(event.topic, event.origin, event.route)) {
            is_wanted = true;
            let is_full = state.events >= EVENTS_MAX || state.bytes + event.size() > BYTES_MAX;
            state.is_overflowing |= is_full;
            if state.is_overflowing {
                add_to_gap(&mut state.items, 1);
                continue;
            }
            state.events += 1;
            state.bytes += event.size();
            state.items.push_back(Received::Event { channel: Arc::clone(name), event: Arc::clone(event) });
        }
        if is_wanted {
            self.filled.notify_one();
        }
    }

    /// Notes events that were left out before they reached the inbox.
    pub(crate) fn note_left_out(&self, count: u64) {
        let mut state = self.state();
        if !state.channels.is_empty() {
            add_to_gap(&mut state.items, count);
            self.filled.notify_one();
        }
    }

    /// Waits for the next item.
    pub(crate) async fn next(&self) -> Received {
        loop {
            if let Some(item) = self.take() {
                return item;
            }
            self.filled.notified().await;
        }
    }

    fn take(&self) -> Option<Received> {
        let mut state = self.state();
        let item = state.items.pop_front()?;
        if let Received::Event { event, .. } = &item {
            state.events -= 1;
            state.bytes -= event.size();
        }
        if state.events <= EVENTS_MAX / 2 && state.bytes <= BYTES_MAX / 2 {
            state.is_overflowing = false;
        }
        Some(item)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts left out events in the gap at the end, which is made if there is none.
fn add_to_gap(items: &mut VecDeque<Received>, count: u64) {
    match items.back_mut() {
        Some(Received::Gap(left_out)) => *left_out += count,
        Some(Received::Event { .. }) | None => items.push_back(Received::Gap(count)),
    }
}
