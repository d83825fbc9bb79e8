//! Messages, deliveries and attempts as they are read back.

use hookstream_model::{
    attempt::Attempt,
    delivery::DeliveryState,
    ids::{ApplicationId, MessageId, TargetId},
    message::{DeliveryCounts, Payload},
    time::Timestamp,
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
    /// What its receivers read.
    pub payload: Payload,
    /// The sender's own id of it.
    pub event_id: Option<String>,
    /// How its deliveries stand.
    pub counts: DeliveryCounts,
    /// When it was last tried; when it was accepted, where it never was.
    pub updated_at: Timestamp,
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
}
