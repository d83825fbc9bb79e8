//! States of a delivery, their reasons, and the triggers of an attempt.

use crate::base::time::Timestamp;

/// State of a delivery. The engine only leaves [`Pending`](Self::Pending); the other states are left only by an
/// operator's explicit act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// The delivery waits for its next attempt.
    Pending {
        /// Due time of the next attempt.
        due_at: Timestamp,
    },
    /// The target accepted the message.
    Succeeded,
    /// Every attempt failed.
    Exhausted {
        /// Reason why there was no further attempt.
        reason: ExhaustedReason,
    },
    /// The message was not sent.
    Skipped {
        /// Reason for not sending it.
        reason: SkipReason,
    },
    /// The delivery was cancelled.
    Cancelled {
        /// Reason for cancelling it.
        reason: CancelReason,
    },
}

impl DeliveryState {
    /// Word in the API and in the store.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Succeeded => "succeeded",
            Self::Exhausted { .. } => "exhausted",
            Self::Skipped { .. } => "skipped",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    /// Word of the reason, if the state has one.
    pub const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Pending { .. } | Self::Succeeded => None,
            Self::Exhausted { reason } => Some(reason.as_str()),
            Self::Skipped { reason } => Some(reason.as_str()),
            Self::Cancelled { reason } => Some(reason.as_str()),
        }
    }

    /// Parses the words of [`Self::as_str`] and [`Self::reason`] for a delivery that did not succeed.
    pub fn parse_undelivered(state: &str, reason: &str) -> Option<Self> {
        match state {
            "exhausted" => ExhaustedReason::parse(reason).map(|reason| Self::Exhausted { reason }),
            "skipped" => SkipReason::parse(reason).map(|reason| Self::Skipped { reason }),
            "cancelled" => CancelReason::parse(reason).map(|reason| Self::Cancelled { reason }),
            _ => None,
        }
    }
}

macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// Word in the API and in the store.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// Parses a word that [`Self::as_str`] returned.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

reasons! {
    /// Reason why a pending delivery was not sent.
    SkipReason {
        /// The endpoint is disabled.
        EndpointDisabled => "endpoint_disabled",
        /// The endpoint's `expires_at` has passed.
        EndpointExpired => "endpoint_expired",
        /// The delivery was pending in the backup that the store was restored from.
        Restored => "restored",
    }
}

reasons! {
    /// Reason why there was no further attempt.
    ExhaustedReason {
        /// The schedule has no further delay.
        ScheduleEnded => "schedule_ended",
        /// The receiver responded 410.
        Gone => "gone",
        /// The receiver asked to stop, with a `webhook-delivery` header.
        ReceiverAsked => "receiver_asked",
    }
}

reasons! {
    /// Reason why a delivery was cancelled.
    CancelReason {
        /// The endpoint was deleted.
        EndpointDeleted => "endpoint_deleted",
        /// The application was deleted.
        ApplicationDeleted => "application_deleted",
    }
}

reasons! {
    /// Cause of an attempt: `trigger_type` in the API.
    Trigger {
        /// The message was sent.
        Initial => "initial",
        /// An earlier attempt failed.
        Automatic => "automatic",
        /// A user retried this message.
        Manual => "manual",
        /// A user recovered the missed messages of an endpoint.
        Recover => "recover",
        /// A user replayed a set of messages.
        Replay => "replay",
        /// A user tests an endpoint; there is one attempt only.
        Test => "test",
    }
}

/// Reason why Hookstream disabled an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisabledReason {
    /// The endpoint responded 410.
    Gone,
    /// The endpoint responded with the header `webhook-delivery: disable`.
    AskedToStop,
    /// Every attempt failed for as long as the installation allows.
    KeptFailing,
}

impl DisabledReason {
    /// Word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::AskedToStop => "asked_to_stop",
            Self::KeptFailing => "kept_failing",
        }
    }

    /// Parses a word that [`Self::as_str`] returned.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Gone, Self::AskedToStop, Self::KeptFailing].into_iter().find(|reason| reason.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip() {
        for trigger in [Trigger::Initial, Trigger::Automatic, Trigger::Manual, Trigger::Recover, Trigger::Replay, Trigger::Test] {
            assert_eq!(Trigger::parse(trigger.as_str()), Some(trigger));
        }
        let state = DeliveryState::Skipped { reason: SkipReason::EndpointExpired };
        assert_eq!(DeliveryState::parse_undelivered(state.as_str(), state.reason().expect("a reason")), Some(state));
    }
}
