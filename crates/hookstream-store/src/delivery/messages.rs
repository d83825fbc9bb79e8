//! Messages, deliveries and attempts as they are read back.

use hookstream_model::{
    base::{
        ids::{ApplicationId, EnvironmentId, MessageId, TargetId},
        time::{Day, Timestamp},
    },
    delivery::{
        attempt::Attempt,
        explain::Sendable,
        state::{DeliveryState, Trigger},
    },
    outbound::message::{DeliveryCounts, Payload},
};

/// A message and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// The application it was sent to.
    pub application_id: ApplicationId,
    /// What it is about.
    pub event_type: String,
    /// What its receivers read; `None` once that has expired.
    pub payload: Option<Payload>,
    /// The sender's own id of it.
    pub event_id: Option<String>,
    /// Its channels.
    pub channels: Vec<String>,
    /// How its deliveries stand.
    pub counts: DeliveryCounts,
    /// When it was last tried; when it was accepted, where it never was.
    pub updated_at: Timestamp,
}

impl Message {
    /// What it would be sent as.
    pub fn as_sent(&self) -> Sendable<'_> {
        Sendable { event_type: &self.event_type, channels: &self.channels, has_payload: self.payload.is_some() }
    }
}

/// Reads the channels of a message as they are stored. A text that no version of the program writes reads as none.
pub(crate) fn read_channels(text: Option<&str>) -> Vec<String> {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// A message with all that happened to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageDetail {
    /// The message.
    pub message: Message,
    /// Its attempts, in the order they were made.
    pub attempts: Vec<Attempt>,
    /// Its deliveries, by target.
    pub deliveries: Vec<Delivery>,
}

/// Which messages of an environment are to be removed, with all that is known of them.
#[derive(Debug, Clone, Copy)]
pub struct MessageRemoval {
    /// The environment.
    pub environment: EnvironmentId,
    /// Of days before this one.
    pub before: Day,
    /// Where the slice before this one ended.
    pub after: Option<Position>,
}

/// A place among messages as they are removed: by day, application and id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The application.
    pub application_id: ApplicationId,
    /// The message.
    pub message_id: MessageId,
}

/// What a slice of a removal has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemovedMessages {
    /// How many are gone.
    pub messages: usize,
    /// Where the next slice goes on; `None` where there is nothing more that can be removed.
    pub position: Option<Position>,
}

/// A delivery and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// To whom.
    pub target_id: TargetId,
    /// Where it stands.
    pub state: DeliveryState,
    /// Tries made.
    pub attempts: u32,
    /// When it ended without arriving.
    pub ended_at: Option<Timestamp>,
    /// What its next try will be, where it is pending.
    pub owed: Option<Owed>,
}

/// What is known of a delivery that is owed, besides when it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owed {
    /// Failures since it was last made owed; the place in the retry schedule.
    pub failed: u32,
    /// What makes the next try happen.
    pub trigger: Trigger,
    /// Whether a node has it: it waits in its target's lane there, or is being tried.
    pub is_taken: bool,
    /// Whether it waits in its backlog until its target's lane may have it.
    pub is_in_line: bool,
}

impl MessageDetail {
    /// Puts together what was read apart: how a message stands follows from its attempts and from the
    /// deliveries that are pending or ended without arriving.
    pub(crate) fn assemble(mut message: Message, attempts: Vec<Attempt>, mut deliveries: Vec<Delivery>) -> Self {
        for delivery in &deliveries {
            match delivery.state {
                DeliveryState::Pending { .. } => message.counts.pending += 1,
                DeliveryState::Exhausted { .. } => message.counts.exhausted += 1,
                DeliveryState::Skipped { .. } | DeliveryState::Cancelled { .. } => message.counts.skipped_or_cancelled += 1,
                DeliveryState::Succeeded => {}
            }
        }
        if let Some(last) = attempts.last() {
            message.updated_at = last.created_at;
        }
        // What keeps a place in a backlog has that in the stead of its time.
        for delivery in &mut deliveries {
            if let DeliveryState::Pending { due_at } = &mut delivery.state {
                *due_at = (*due_at).max(message.id.timestamp());
            }
        }
        add_succeeded(&attempts, &mut deliveries);
        deliveries.sort_by_key(|delivery| delivery.target_id);
        Self { message, attempts, deliveries }
    }
}

/// What was tried and is neither pending nor ended otherwise has arrived.
fn add_succeeded(attempts: &[Attempt], deliveries: &mut Vec<Delivery>) {
    for attempt in attempts {
        match deliveries.iter_mut().find(|delivery| delivery.target_id == attempt.target_id) {
            Some(delivery) if delivery.state == DeliveryState::Succeeded => delivery.attempts += 1,
            Some(_) => {}
            None => {
                let (state, target_id) = (DeliveryState::Succeeded, attempt.target_id);
                deliveries.push(Delivery { target_id, state, attempts: 1, ended_at: None, owed: None });
            }
        }
    }
}
