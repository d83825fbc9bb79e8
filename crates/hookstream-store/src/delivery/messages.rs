//! Messages, deliveries and attempts as they are read back.

use hookstream_model::{
    base::{
        ids::{EnvironmentId, MessageId, OriginId, RouteId},
        time::{Day, Timestamp},
    },
    delivery::{
        attempt::Attempt,
        explain::Sendable,
        state::{DeliveryState, Trigger},
    },
    outbound::message::{DeliveryCounts, Payload},
};

/// Message with the counts of its deliveries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Message id.
    pub id: MessageId,
    /// Origin that accepted the message.
    pub origin_id: OriginId,
    /// Event type.
    pub event_type: String,
    /// Content for the receivers; `None` once it has expired.
    pub payload: Option<Payload>,
    /// Sender's own id of the message.
    pub event_id: Option<String>,
    /// Channels.
    pub channels: Vec<String>,
    /// Counts of the deliveries by state.
    pub counts: DeliveryCounts,
    /// Time of the last attempt; without one, the time of acceptance.
    pub updated_at: Timestamp,
}

impl Message {
    /// Returns the properties by which routes decide about sending.
    pub fn as_sent(&self) -> Sendable<'_> {
        Sendable { event_type: &self.event_type, channels: &self.channels, has_payload: self.payload.is_some() }
    }
}

/// Reads the channels of a message from their stored form. A text that no version of the program writes reads as none.
pub(crate) fn read_channels(text: Option<&str>) -> Vec<String> {
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// Message with its whole history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageDetail {
    /// Message.
    pub message: Message,
    /// Attempts, in the order in which they were made.
    pub attempts: Vec<Attempt>,
    /// Deliveries, by route.
    pub deliveries: Vec<Delivery>,
}

/// Messages of an environment to be removed, with everything recorded about them.
#[derive(Debug, Clone, Copy)]
pub struct MessageRemoval {
    /// Environment.
    pub environment: EnvironmentId,
    /// Upper bound: only messages of days before this one.
    pub before: Day,
    /// End of the previous slice.
    pub after: Option<Position>,
}

/// Position among messages in the order of removal: day, origin, id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Origin.
    pub origin_id: OriginId,
    /// Message.
    pub message_id: MessageId,
}

/// Result of one slice of a removal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemovedMessages {
    /// Number of removed messages.
    pub messages: usize,
    /// Start of the next slice; `None` if nothing more can be removed.
    pub position: Option<Position>,
}

/// Delivery with its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Route.
    pub route_id: RouteId,
    /// State.
    pub state: DeliveryState,
    /// Attempts made.
    pub attempts: u32,
    /// Time at which the delivery ended without success.
    pub ended_at: Option<Timestamp>,
    /// Details of the next attempt, if the delivery is pending.
    pub pending: Option<PendingDetail>,
}

/// Details of a pending delivery, besides its due time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PendingDetail {
    /// Failures since the delivery last became pending; the position in the retry schedule.
    pub failed: u32,
    /// Trigger of the next attempt.
    pub trigger: Trigger,
    /// Whether a node owns the delivery: it waits in its target's lane there, or is being attempted.
    pub is_taken: bool,
    /// Whether the delivery waits in its backlog until its target's lane has room.
    pub is_in_backlog: bool,
}

impl MessageDetail {
    /// Combines parts that were read separately. The counts follow from the attempts and from the deliveries that are
    /// pending or ended without success.
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
        // A delivery that keeps its position in a backlog stores the position in place of the due time.
        for delivery in &mut deliveries {
            if let DeliveryState::Pending { due_at } = &mut delivery.state {
                *due_at = (*due_at).max(message.id.timestamp());
            }
        }
        add_succeeded(&attempts, &mut deliveries);
        deliveries.sort_by_key(|delivery| delivery.route_id);
        Self { message, attempts, deliveries }
    }
}

/// Adds the succeeded deliveries: those with an attempt that are neither pending nor ended otherwise.
fn add_succeeded(attempts: &[Attempt], deliveries: &mut Vec<Delivery>) {
    for attempt in attempts {
        match deliveries.iter_mut().find(|delivery| delivery.route_id == attempt.route_id) {
            Some(delivery) if delivery.state == DeliveryState::Succeeded => delivery.attempts += 1,
            Some(_) => {}
            None => {
                let (state, route_id) = (DeliveryState::Succeeded, attempt.route_id);
                deliveries.push(Delivery { route_id, state, attempts: 1, ended_at: None, pending: None });
            }
        }
    }
}
