//! Attempts: one try of a delivery, and what came of it.

use std::time::Duration;

use crate::{
    base::{
        ids::{AttemptId, MessageId, TargetId},
        time::Timestamp,
    },
    delivery::{state::Trigger, timings::Waterfall},
};

/// One try of a delivery, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Its id, made when the try began.
    pub id: AttemptId,
    /// The message.
    pub message_id: MessageId,
    /// Where it went.
    pub target_id: TargetId,
    /// 1 for a delivery's first try, counting on over manual retries.
    pub number: u32,
    /// What made it happen.
    pub trigger: Trigger,
    /// Whether the target took it.
    pub succeeded: bool,
    /// The status that was answered.
    pub response_status: Option<u16>,
    /// The first 16 KiB of what was answered, as text; bytes that are no UTF-8 are replaced.
    pub response_body: Option<String>,
    /// How long the whole exchange took.
    pub duration: Duration,
    /// How long each part of it took, where that is known.
    pub waterfall: Option<Waterfall>,
    /// Why it failed, in the fixed vocabulary.
    pub error: Option<String>,
    /// When the try began.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {}
