//! Relay of events between nodes, through the notifications of the database.
//!
//! A node announces the environments to which it has listeners: at once when they change, every [`ANNOUNCE`], and when
//! another node asks because it has begun to listen to notifications. Other nodes send events of these environments
//! only. An announcement that is not renewed expires, so a dead node costs nothing.
//!
//! Events gather for [`PERIOD`] and leave in one transaction, because PostgreSQL commits transactions with notifications
//! one after the other. More than [`TEXTS_MAX`] texts are left out and counted.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hookstream_model::{base::ids::EnvironmentId, operations::stream::Topic};
use hookstream_store::delivery::cluster::{Audience, RELAYED_MAX, Relayed};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::{
    sync::{Notify, broadcast::error::RecvError},
    time::Instant,
};

use super::{Elsewhere, event::Event};
use crate::core::Core;

/// Minimum interval between two transactions with events.
const PERIOD: Duration = Duration::from_millis(25);
/// Maximum number of texts in a transaction: about 10,000 events a second.
const TEXTS_MAX: usize = 16;
/// Interval between announcements.
const ANNOUNCE: Duration = Duration::from_secs(5);
/// Time for which an announcement is valid.
const EXPIRES: Duration = Duration::from_secs(15);
/// Maximum number of environments that an announcement names; a node with more listens to all.
const NAMED_MAX: usize = 200;
/// Pause after the database refuses.
const RETRY_PAUSE: Duration = Duration::from_millis(500);
/// Time limit of the last announcement of a node that stops.
const FAREWELL_WITHIN: Duration = Duration::from_secs(1);

/// Texts on their way to other nodes.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// Tag of this process, at the start of its texts.
    tag: String,
    packed: Mutex<Packed>,
    filled: Notify,
    /// Wakes the sender for an announcement.
    announce: Notify,
    /// Wakes the sender to ask other nodes for their announcements.
    ask: Notify,
}

#[derive(Debug, Default)]
struct Packed {
    texts: Vec<String>,
    /// Number of events that the texts have or count.
    events: HashMap<EnvironmentId, u64>,
    left_out: HashMap<EnvironmentId, u64>,
}

impl Outbox {
    pub(crate) fn new(tag: [u8; 8]) -> Self {
        let tag = tag.iter().map(|byte| format!("{byte:02x}")).collect();
        Self { tag, packed: Mutex::default(), filled: Notify::new(), announce: Notify::new(), ask: Notify::new() }
    }

    /// Adds an event, unless too many wait.
    pub(crate) fn add(&self, event: &Event) {
        let line = Line::of(event).encoded();
        let mut packed = self.packed.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = packed.add(&self.tag, &line);
        let counts = if has_room { &mut packed.events } else { &mut packed.left_out };
        *counts.entry(event.environment).or_default() += 1;
        drop(packed);
        self.filled.notify_one();
    }

    /// Counts events that were left out before they reached the outbox.
    pub(crate) fn note_left_out(&self, environment: EnvironmentId, count: u64) {
        *self.packed.lock().unwrap_or_else(PoisonError::into_inner).left_out.entry(environment).or_default() += count;
        self.filled.notify_one();
    }

    fn take(&self) -> Packed {
        let mut packed = std::mem::take(&mut *self.packed.lock().unwrap_or_else(PoisonError::into_inner));
        // Beyond the limit: these lines are few and short.
        for (environment, count) in std::mem::take(&mut packed.left_out) {
            *packed.events.entry(environment).or_default() += count;
            packed.append(&self.tag, &Line::of_gap(environment, count).encoded());
        }
        packed
    }
}

impl Packed {
    /// Adds a line to the last text that has room. Returns false if there is none.
    fn add(&mut self, tag: &str, line: &str) -> bool {
        let has_room = self.texts.last().is_some_and(|last| last.len() + 1 + line.len() <= RELAYED_MAX);
        if (self.texts.len() >= TEXTS_MAX && !has_room) || tag.len() + 1 + line.len() > RELAYED_MAX {
            return false;
        }
        self.append(tag, line);
        true
    }

    fn append(&mut self, tag: &str, line: &str) {
        match self.texts.last_mut().filter(|last| last.len() + 1 + line.len() <= RELAYED_MAX) {
            Some(last) => {
                last.push('\n');
                last.push_str(line);
            }
            None => self.texts.push(format!("{tag}\n{line}")),
        }
    }
}

/// Line of a text: an event, or a number of events that were left out.
#[derive(Debug, Serialize, Deserialize)]
struct Line<'a> {
    environment: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    origin: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    route: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    left_out: Option<u64>,
}

/// Content of a line.
#[derive(Debug, PartialEq, Eq)]
enum Content {
    Event(Event),
    Gap(EnvironmentId, u64),
}

impl<'a> Line<'a> {
    fn of(event: &'a Event) -> Self {
        Self {
            environment: event.environment.to_string(),
            origin: Some(event.origin.to_string()),
            route: event.route.map(|route| route.to_string()),
            topic: Some(event.topic.as_str()),
            data: Some(serde_json::from_str(&event.data).expect("rendered JSON")),
            left_out: None,
        }
    }

    fn of_gap(environment: EnvironmentId, count: u64) -> Self {
        Self { environment: environment.to_string(), origin: None, route: None, topic: None, data: None, left_out: Some(count) }
    }

    fn encoded(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers are JSON")
    }

    /// Reads a line; `None` if this version does not know its content.
    fn content(text: &'a str) -> Option<Content> {
        let line: Self = serde_json::from_str(text).ok()?;
        let environment = line.environment.parse().ok()?;
        if let Some(count) = line.left_out {
            return Some(Content::Gap(environment, count));
        }
        Some(Content::Event(Event {
            environment,
            origin: line.origin?.parse().ok()?,
            route: line.route.map(|route| route.parse()).transpose().ok()?,
            topic: Topic::parse(line.topic?)?,
            data: line.data?.get().into(),
        }))
    }
}

/// Sends events and announcements until the engine has stopped.
pub(crate) async fn send(core: Arc<Core>, outbox: Arc<Outbox>) {
    if core.store.relayed().is_none() {
        return;
    }
    let mut announced_at = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = core.finished.cancelled() => break,
            () = outbox.ask.notified() => {
                relay(&core, Audience::All, vec![format!("asks {}", outbox.tag)]).await;
            }
            () = core.realtime.inboxes_changed() => announce(&core, &outbox, true).await,
            () = outbox.announce.notified() => announce(&core, &outbox, false).await,
            () = tokio::time::sleep_until(announced_at + ANNOUNCE) => {
                announced_at = Instant::now();
                announce(&core, &outbox, false).await;
            }
            () = outbox.filled.notified() => {
                tokio::time::sleep(PERIOD).await;
                let packed = outbox.take();
                if !packed.texts.is_empty() && !relay(&core, Audience::Listeners, packed.texts).await {
                    tokio::time::sleep(RETRY_PAUSE).await;
                    let elsewhere = core.realtime.elsewhere();
                    let lost = packed.events.into_iter().filter(|(environment, _)| elsewhere.has(*environment));
                    lost.for_each(|(environment, count)| outbox.note_left_out(environment, count));
                }
            }
        }
    }
    if !core.realtime.environments_here().is_empty() {
        let farewell = relay(&core, Audience::All, vec![format!("listens {} ", outbox.tag)]);
        let _ = tokio::time::timeout(FAREWELL_WITHIN, farewell).await;
    }
}

/// Announces the environments with listeners here. An empty announcement is made only because of a change.
async fn announce(core: &Core, outbox: &Outbox, is_changed: bool) {
    let here = core.realtime.environments_here();
    core.store.listen_to_stream(!here.is_empty());
    if is_changed || !here.is_empty() {
        relay(core, Audience::All, vec![announcement(&outbox.tag, &here)]).await;
    }
}

fn announcement(tag: &str, here: &HashSet<EnvironmentId>) -> String {
    if here.len() > NAMED_MAX {
        return format!("listens {tag} *");
    }
    let names: Vec<_> = here.iter().map(ToString::to_string).collect();
    format!("listens {tag} {}", names.join(","))
}

/// Sends texts. Returns false if they are lost.
async fn relay(core: &Core, audience: Audience, texts: Vec<String>) -> bool {
    let sent = core.store.relay(audience, texts).await;
    if let Err(error) = &sent {
        tracing::debug!(error = error as &dyn std::error::Error, "could not notify the other nodes of events");
    }
    sent.is_ok()
}

/// Receives events and announcements of other nodes until the engine has stopped.
pub(crate) async fn receive(core: Arc<Core>, outbox: Arc<Outbox>) {
    let Some(mut relayed) = core.store.relayed() else { return };
    let mut peers = Peers::default();
    loop {
        let received = tokio::select! {
            biased;
            () = core.finished.cancelled() => return,
            received = relayed.recv() => received,
            () = tokio::time::sleep(ANNOUNCE) => Err(RecvError::Lagged(0)),
        };
        match received {
            Ok(Relayed::Resumed) => {
                outbox.ask.notify_one();
                outbox.announce.notify_one();
                note_lost(&core, 1);
            }
            Ok(Relayed::Text(Audience::All, text)) => {
                if peers.take(&text, &outbox.tag, Instant::now()) {
                    outbox.announce.notify_one();
                }
            }
            Ok(Relayed::Text(Audience::Listeners, text)) => take_events(&core, &text, &outbox.tag),
            Err(RecvError::Lagged(texts)) => note_lost(&core, texts),
            Err(RecvError::Closed) => return,
        }
        core.realtime.set_elsewhere(peers.wanted(Instant::now()));
    }
}

/// Tells every listener here that an unknown number of events was lost, at least one for each text.
fn note_lost(core: &Core, texts: u64) {
    if texts > 0 {
        for environment in core.realtime.environments_here() {
            core.realtime.note_left_out(environment, texts);
        }
    }
}

fn take_events(core: &Core, text: &str, own: &str) {
    let mut lines = text.lines();
    if lines.next() == Some(own) {
        return;
    }
    for content in lines.filter_map(Line::content) {
        match content {
            Content::Event(event) => core.realtime.deliver(&Arc::new(event)),
            Content::Gap(environment, count) => core.realtime.note_left_out(environment, count),
        }
    }
}

/// Announcements of other nodes, with the times at which they expire.
#[derive(Debug, Default)]
struct Peers(HashMap<String, (Elsewhere, Instant)>);

impl Peers {
    /// Takes a text to every process. Returns whether it asks for this node's announcement.
    fn take(&mut self, text: &str, own: &str, now: Instant) -> bool {
        let mut words = text.splitn(3, ' ');
        let (Some(word), Some(tag)) = (words.next(), words.next()) else { return false };
        if tag == own {
            return false;
        }
        if word == "listens" {
            let names = words.next().unwrap_or_default();
            let elsewhere = Elsewhere { all: names == "*", environments: names.split(',').filter_map(|id| id.parse().ok()).collect() };
            self.0.insert(tag.to_owned(), (elsewhere, now + EXPIRES));
        }
        word == "asks"
    }

    /// Returns the environments with a listener on another node; forgets expired announcements.
    fn wanted(&mut self, now: Instant) -> Elsewhere {
        self.0.retain(|_, (elsewhere, expires)| *expires > now && *elsewhere != Elsewhere::default());
        self.0.values().fold(Elsewhere::default(), |mut union, (elsewhere, _)| {
            union.all |= elsewhere.all;
            union.environments.extend(&elsewhere.environments);
            union
        })
    }
}

#[cfg(test)]
mod tests {
    use hookstream_model::base::ids::{OriginId, RouteId};

    use super::*;

    fn environment(number: u8) -> EnvironmentId {
        EnvironmentId::from_bytes([number; 16])
    }

    fn event(data: &str) -> Event {
        Event {
            environment: environment(1),
            origin: OriginId::from_bytes([2; 16]),
            route: Some(RouteId::from_bytes([3; 16])),
            topic: Topic::Delivery,
            data: data.into(),
        }
    }

    fn contents(texts: &[String]) -> Vec<Content> {
        texts.iter().flat_map(|text| text.lines().skip(1).filter_map(Line::content).collect::<Vec<_>>()).collect()
    }

    #[test]
    fn events_survive_the_relay_unchanged() {
        let outbox = Outbox::new([7; 8]);
        let events = [event(r#"{"a":"line\nbreak","b":1e400}"#), Event { route: None, topic: Topic::Message, ..event("{}") }];
        events.iter().for_each(|event| outbox.add(event));
        outbox.note_left_out(environment(4), 9);
        let texts = outbox.take().texts;
        assert_eq!(texts.len(), 1);
        assert!(texts[0].starts_with("0707070707070707\n"), "{}", texts[0]);
        let [first, second] = events;
        assert_eq!(contents(&texts), [Content::Event(first), Content::Event(second), Content::Gap(environment(4), 9)]);
        assert!(outbox.take().texts.is_empty());
    }

    #[test]
    fn burst_is_counted_beyond_the_limit_and_no_text_is_too_long() {
        let outbox = Outbox::new([7; 8]);
        let data = format!(r#"{{"a":"{}"}}"#, "x".repeat(2_000));
        let sent = 200;
        (0..sent).for_each(|_| outbox.add(&event(&data)));
        outbox.add(&event(&format!(r#"{{"a":"{}"}}"#, "x".repeat(RELAYED_MAX))));
        let texts = outbox.take().texts;
        assert!(texts.len() <= TEXTS_MAX + 1 && texts.iter().all(|text| text.len() <= RELAYED_MAX), "{}", texts.len());
        let contents = contents(&texts);
        let events = contents.iter().filter(|content| matches!(content, Content::Event(_))).count();
        let left_out: u64 = contents.iter().map(|content| if let Content::Gap(_, count) = content { *count } else { 0 }).sum();
        assert!(events >= TEXTS_MAX, "{events}");
        assert_eq!(u64::try_from(events).expect("few") + left_out, sent + 1);
    }

    #[test]
    fn announcement_expires_unless_renewed() {
        let (mut peers, now) = (Peers::default(), Instant::now());
        let named = announcement("b", &HashSet::from([environment(1), environment(2)]));
        assert!(!peers.take(&named, "a", now));
        assert!(!peers.take(&announcement("a", &HashSet::from([environment(3)])), "a", now), "its own");
        let wanted = peers.wanted(now);
        assert!(wanted.has(environment(1)) && wanted.has(environment(2)) && !wanted.has(environment(3)));
        assert_eq!(peers.wanted(now + EXPIRES), Elsewhere::default());
        assert!(peers.take("asks b", "a", now) && !peers.take("asks a", "a", now) && !peers.take("", "a", now));
        let many = (0..=NAMED_MAX).map(|number| EnvironmentId::from_bytes(u128::try_from(number).expect("small").to_be_bytes()));
        assert!(!peers.take(&announcement("c", &many.collect()), "a", now));
        assert!(peers.wanted(now).has(environment(3)));
        assert!(!peers.take(&announcement("c", &HashSet::new()), "a", now));
        assert_eq!(peers.wanted(now), Elsewhere::default());
    }

    #[test]
    fn longest_announcement_fits_into_a_text() {
        let most = (0..NAMED_MAX).map(|number| EnvironmentId::from_bytes(u128::try_from(number).expect("small").to_be_bytes()));
        assert!(announcement("0707070707070707", &most.collect()).len() <= RELAYED_MAX);
    }
}
