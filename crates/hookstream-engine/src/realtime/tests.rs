//! Tests of the live stream within a process.

use std::sync::Arc;

use hookstream_model::{
    base::ids::{EnvironmentId, OriginId, RouteId},
    operations::stream::{Channel, Topic},
};

use super::{
    Elsewhere, Realtime,
    event::Event,
    inbox::{EVENTS_MAX, Inbox, Received},
};

const HERE: EnvironmentId = EnvironmentId::from_bytes([1; 16]);
const OTHER: EnvironmentId = EnvironmentId::from_bytes([2; 16]);

fn event(origin: u8, data: &str) -> Arc<Event> {
    Arc::new(Event {
        environment: HERE,
        origin: OriginId::from_bytes([origin; 16]),
        route: Some(RouteId::from_bytes([9; 16])),
        topic: Topic::Message,
        data: data.into(),
    })
}

/// Takes what an inbox has now.
async fn taken(inbox: &Inbox) -> Vec<Received> {
    let mut taken = Vec::new();
    while let Ok(received) = tokio::time::timeout(std::time::Duration::ZERO, inbox.next()).await {
        taken.push(received);
    }
    taken
}

fn described(received: &[Received]) -> Vec<String> {
    let describe = |received: &Received| match received {
        Received::Event { channel, event } => format!("{channel} {}", event.data),
        Received::Gap(count) => format!("gap {count}"),
    };
    received.iter().map(describe).collect()
}

#[tokio::test]
async fn event_arrives_once_for_each_channel_that_carries_it() {
    let inbox = Inbox::new(None);
    inbox.offer(&event(1, "before"));
    assert!(inbox.subscribe("messages", Channel::Messages(None), 3));
    assert!(inbox.subscribe("messages:acme", Channel::Messages(Some(OriginId::from_bytes([1; 16]))), 3));
    assert!(inbox.subscribe("jobs", Channel::Jobs, 3));
    assert!(inbox.subscribe("jobs", Channel::Jobs, 3), "the same again");
    assert!(!inbox.subscribe("attempts", Channel::Attempts(None), 3), "one too many");
    inbox.offer(&event(1, "a"));
    inbox.offer(&event(2, "b"));
    assert!(inbox.unsubscribe("messages") && !inbox.unsubscribe("messages"));
    inbox.offer(&event(2, "c"));
    assert_eq!(described(&taken(&inbox).await), ["messages a", "messages:acme a", "messages b"]);
}

#[tokio::test]
async fn restricted_inbox_gets_its_origin_only() {
    let inbox = Inbox::new(Some(OriginId::from_bytes([1; 16])));
    inbox.subscribe("messages", Channel::Messages(None), 1);
    inbox.offer(&event(2, "theirs"));
    inbox.offer(&event(1, "ours"));
    assert_eq!(described(&taken(&inbox).await), ["messages ours"]);
}

#[tokio::test]
async fn full_inbox_counts_what_it_leaves_out_in_its_place() {
    let inbox = Inbox::new(None);
    inbox.subscribe("messages", Channel::Messages(None), 1);
    (0..EVENTS_MAX + 7).for_each(|number| inbox.offer(&event(1, &number.to_string())));
    let received = taken(&inbox).await;
    assert_eq!(received.len(), EVENTS_MAX + 1);
    assert_eq!(described(&received[EVENTS_MAX..]), ["gap 7"]);
    inbox.offer(&event(1, "after"));
    assert_eq!(described(&taken(&inbox).await), ["messages after"]);
    // Large events fill the buffer earlier.
    let large = event(1, &"x".repeat(100_000));
    (0..10).for_each(|_| inbox.offer(&large));
    let received = taken(&inbox).await;
    assert!(received.len() < 10, "{}", received.len());
    assert!(matches!(received.last(), Some(Received::Gap(1..))));
}

#[tokio::test]
async fn events_are_wanted_only_where_a_listener_is() {
    let realtime = Realtime::default();
    assert!(!realtime.wants(HERE));
    let inbox = Arc::new(Inbox::new(None));
    realtime.add(HERE, Arc::clone(&inbox));
    assert!(realtime.wants(HERE) && !realtime.wants(OTHER));
    realtime.inboxes_changed().await;
    realtime.set_elsewhere(Elsewhere { all: false, environments: [OTHER].into() });
    assert!(realtime.wants(HERE) && realtime.wants(OTHER));
    realtime.remove(HERE, &inbox);
    assert!(!realtime.wants(HERE) && realtime.wants(OTHER));
    realtime.set_elsewhere(Elsewhere::default());
    assert!(!realtime.wants(OTHER));
}

#[tokio::test]
async fn full_queue_counts_events_by_environment() {
    let realtime = Realtime::default();
    let event = Event::clone(&event(1, "{}"));
    (0..super::QUEUE_MAX + 3).for_each(|_| realtime.publish(event.clone()));
    let queue = realtime.queued().await;
    assert_eq!((queue.events.len(), queue.left_out.get(&HERE)), (super::QUEUE_MAX, Some(&3)));
}
