//! What goes into and comes out of the store on the hot path.

use std::sync::Arc;

use hookstream_model::{
    base::{
        ids::{ApplicationId, EnvironmentId, MessageId, TargetId},
        time::Timestamp,
    },
    delivery::{
        attempt::Attempt,
        queue::Backlog,
        state::{DeliveryState, SkipReason, Trigger},
    },
    identity::tenancy::Tenant,
    outbound::message::{Message, MessageStatus},
};

/// A process that works on deliveries: a number that grows with each start. What it claimed, only it
/// may settle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner(i64);

impl Owner {
    /// The owner with this number; 0 is nobody's.
    pub(crate) const fn new(number: i64) -> Self {
        Self(number)
    }

    /// Its number.
    pub const fn number(self) -> i64 {
        self.0
    }
}

/// A message to store, with all that must become durable together with it.
#[derive(Debug)]
pub struct Publication {
    /// Whose it is.
    pub tenant: Tenant,
    /// The message; shared with whoever delivers it.
    pub message: Arc<Message>,
    /// Its deliveries.
    pub deliveries: Vec<NewDelivery>,
    /// What makes their first try happen.
    pub trigger: Trigger,
    /// What was known when the deliveries were decided.
    pub seen: Versions,
    /// The sender's own id of the message, unique per application since `window_start`.
    pub event_id: Option<String>,
    /// The channels of the message.
    pub channels: Vec<String>,
    /// The request's idempotency key, unique per environment since `window_start`.
    pub idempotency: Option<IdempotencyKey>,
    /// From when on earlier ids and keys count.
    pub window_start: Timestamp,
    /// Whether it counts as an event of its organization's quota.
    pub is_event: bool,
}

impl Publication {
    /// The channels as they are stored: JSON text, or nothing where there are none.
    pub(crate) fn channels_text(&self) -> Option<String> {
        (!self.channels.is_empty()).then(|| serde_json::to_string(&self.channels).expect("texts are JSON"))
    }

    /// The status that the message's first answer carries.
    pub fn first_status(&self) -> MessageStatus {
        let is_owed = self.deliveries.iter().any(|delivery| matches!(delivery.state, NewState::Owed { .. }));
        if is_owed { MessageStatus::Pending } else { MessageStatus::Skipped }
    }
}

/// Numbers that grow with each change of what decides about a message's deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    /// Of the application and its endpoints.
    pub application: i64,
    /// Of the environment's event types.
    pub environment: i64,
}

/// An idempotency key and what it was used for.
#[derive(Debug, Clone)]
pub struct IdempotencyKey {
    /// The key, as the sender wrote it.
    pub key: String,
    /// A hash of the request it came with.
    pub fingerprint: [u8; 32],
}

/// A delivery that comes into being with its message.
#[derive(Debug, Clone, Copy)]
pub struct NewDelivery {
    /// To whom.
    pub target_id: TargetId,
    /// How it begins.
    pub state: NewState,
}

/// How a delivery begins.
#[derive(Debug, Clone, Copy)]
pub enum NewState {
    /// Owed and due at once.
    Owed {
        /// Who delivers it, where somebody has room for it.
        owner: Option<Owner>,
        /// The backlog it waits in, or goes back to when its owner lets go of it.
        backlog: Option<Backlog>,
        /// Whether it has a place in the backlog, behind all that was stored before.
        in_order: bool,
    },
    /// Not sent, but on record and recoverable.
    Skipped(SkipReason),
}

/// What came of publishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// It is stored and scheduled.
    Stored,
    /// The idempotency key stands for this earlier message, which was answered with that status.
    Repeated {
        /// The earlier message.
        message_id: MessageId,
        /// The status of its first answer.
        first_status: MessageStatus,
    },
    /// The idempotency key was used for another request.
    KeyReused,
    /// The application, its endpoints or the event types have changed since [`Publication::seen`].
    Stale,
    /// The application has a message with this `event_id` already.
    DuplicateEventId {
        /// The earlier message.
        message_id: MessageId,
    },
}

/// How much to claim at the most.
#[derive(Debug, Clone, Copy)]
pub struct ClaimLimits {
    /// So many deliveries.
    pub deliveries: usize,
    /// So many bytes of payload; the delivery that passes it is still claimed.
    pub bytes: usize,
}

/// Deliveries that were claimed.
#[derive(Debug, Default)]
pub struct Claim {
    /// They are the claimer's now.
    pub deliveries: Vec<Claimed>,
    /// When the next one that nobody owns falls due, as far as is known; it may be past.
    pub next_due: Option<Timestamp>,
}

/// A backlog with something in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BacklogHead {
    /// Which backlog.
    pub backlog: Backlog,
    /// The application of what is first in it.
    pub application_id: ApplicationId,
    /// Its target.
    pub target_id: TargetId,
    /// When it falls due; it may be past. Where an order is kept this is its place, unless `retry_at` says more.
    pub due_at: Timestamp,
    /// When its next try is due, where it has failed or was postponed.
    pub retry_at: Option<Timestamp>,
}

/// How much to take from a backlog.
#[derive(Debug, Clone, Copy)]
pub struct BacklogRequest {
    /// Which backlog.
    pub backlog: Backlog,
    /// So many deliveries at the most.
    pub deliveries: usize,
    /// Whether nothing may be taken that stands behind one whose next try is not due yet.
    pub in_order: bool,
}

/// One of them.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// Whose it is now.
    pub owner: Owner,
    /// The environment of its message, in which it counts.
    pub environment_id: EnvironmentId,
    /// What is owed.
    pub message: Arc<Message>,
    /// To whom.
    pub target_id: TargetId,
    /// The backlog it waited in, where it did.
    pub backlog: Option<Backlog>,
    /// Tries made so far, over its whole life.
    pub attempts: u32,
    /// Failures since it was last made owed; the place in the retry schedule.
    pub failed: u32,
    /// What makes the next try happen.
    pub trigger: Trigger,
    /// Since when it is due: for a first try, since the message was accepted.
    pub due_at: Timestamp,
}

/// What became of a claimed delivery.
#[derive(Debug, Clone)]
pub struct Settled {
    /// The environment of its message, in which it counts.
    pub environment_id: EnvironmentId,
    /// The message.
    pub message_id: MessageId,
    /// The target.
    pub target_id: TargetId,
    /// The try that was made, where one was.
    pub attempt: Option<Attempt>,
    /// Where it stands now.
    pub next: Next,
}

/// Where a delivery stands after it was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// It arrived.
    Succeeded,
    /// It is owed still, after so many failures.
    Retry {
        /// Where and until when it waits.
        wait: Wait,
        /// Failures since it was last made owed.
        failed: u32,
    },
    /// It was not tried; it is owed still.
    Postponed {
        /// Where and until when it waits.
        wait: Wait,
    },
    /// It ended without arriving: exhausted, skipped or cancelled, at that time.
    Ended(DeliveryState, Timestamp),
}

/// How something waits that is owed still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// When it is due again. For what keeps its place the epoch is at once, whatever a clock says later.
    pub due_at: Timestamp,
    /// The backlog it waits in; otherwise anybody takes it then.
    pub backlog: Option<Backlog>,
    /// Whether it keeps its place in the backlog, and what stands behind it waits too.
    pub keeps_place: bool,
}

impl Wait {
    /// Until then, for anybody to take.
    pub const fn until(due_at: Timestamp) -> Self {
        Self { due_at, backlog: None, keeps_place: false }
    }

    /// What stands in the columns `owner` and `backlog`.
    pub(crate) fn line_number(self) -> i64 {
        self.backlog.map_or(0, Backlog::number)
    }

    /// What stands in the columns `due_at`, where it changes, and `retry_at`. In a backlog that keeps an order `due_at`
    /// is a place, of which no clock decides whether it is due: `retry_at` alone does.
    pub(crate) fn times(self) -> (Option<i64>, Option<i64>) {
        let at = Some(self.due_at.as_millis());
        match (self.keeps_place, self.backlog) {
            (true, _) => (None, at.filter(|_| self.due_at > Timestamp::EPOCH)),
            (false, Some(_)) => (at, at),
            (false, None) => (at, None),
        }
    }
}

/// What came of making a message owed again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redelivered {
    /// It is owed to so many targets.
    Owed(usize),
    /// There is no such message.
    NotThere,
    /// Its payload has expired: there is nothing to send.
    PayloadExpired,
}

/// A message to be made owed again.
#[derive(Debug)]
pub struct Redelivery {
    /// Whose it is.
    pub tenant: Tenant,
    /// The application.
    pub application_id: ApplicationId,
    /// The message.
    pub message_id: MessageId,
    /// To whom.
    pub targets: Vec<TargetId>,
    /// What makes the try happen.
    pub trigger: Trigger,
    /// Since when it is due.
    pub now: Timestamp,
}
