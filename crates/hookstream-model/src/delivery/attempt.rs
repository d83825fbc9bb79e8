//! Attempts: one send of a delivery, and its result.

use std::time::Duration;

use crate::{
    base::{
        ids::{AttemptId, MessageId, RouteId},
        time::Timestamp,
    },
    delivery::{state::Trigger, timings::Waterfall},
};

/// One attempt of a delivery, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Unique id, generated when the attempt begins.
    pub id: AttemptId,
    /// The message.
    pub message_id: MessageId,
    /// Route of the delivery.
    pub route_id: RouteId,
    /// Attempt number within the delivery: 1 for the first, counting on over manual retries.
    pub number: u32,
    /// Cause of the attempt.
    pub trigger: Trigger,
    /// True if the target accepted the message.
    pub succeeded: bool,
    /// HTTP status of the response.
    pub response_status: Option<u16>,
    /// First 16 KiB of the response body as text; bytes that are not UTF-8 are replaced.
    pub response_body: Option<String>,
    /// Headers of the response, a line each (`name: value`), at most [`HEADERS_KEPT`](super::outcome::HEADERS_KEPT) bytes.
    pub response_headers: Option<String>,
    /// Duration of the whole exchange.
    pub duration: Duration,
    /// Durations of its parts, if known.
    pub waterfall: Option<Waterfall>,
    /// Failure in the fixed vocabulary; `None` for a success.
    pub error: Option<String>,
    /// Time at which the attempt began.
    pub created_at: Timestamp,
}

#[cfg(test)]
mod tests {}
