//! States of a delivery, their reasons, and what triggers an attempt.

use crate::base::time::Timestamp;

/// Where a delivery stands. Only [`Pending`](Self::Pending) is ever left by itself; the others are
/// left by an operator's explicit act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It is owed; the next try is due then.
    Pending {
        /// When the next try is due.
        due_at: Timestamp,
    },
    /// The target took it.
    Succeeded,
    /// Every try failed.
    Exhausted {
        /// Why no further try was made.
        reason: ExhaustedReason,
    },
    /// It was not sent.
    Skipped {
        /// Why.
        reason: SkipReason,
    },
    /// It was called off.
    Cancelled {
        /// Why.
        reason: CancelReason,
    },
}

impl DeliveryState {
    /// Its word in the API and in the store.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Succeeded => "succeeded",
            Self::Exhausted { .. } => "exhausted",
            Self::Skipped { .. } => "skipped",
            Self::Cancelled { .. } => "cancelled",
        }
    }

    /// The word for why, where the state has a reason.
    pub const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Pending { .. } | Self::Succeeded => None,
            Self::Exhausted { reason } => Some(reason.as_str()),
            Self::Skipped { reason } => Some(reason.as_str()),
            Self::Cancelled { reason } => Some(reason.as_str()),
        }
    }

    /// Reads what [`Self::as_str`] and [`Self::reason`] wrote of a delivery that did not arrive.
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
            /// Its word in the API and in the store.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// Reads a word that [`Self::as_str`] wrote.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

reasons! {
    /// Why something that was owed was not sent.
    SkipReason {
        /// The endpoint is switched off.
        EndpointDisabled => "endpoint_disabled",
        /// The endpoint's `expires_at` has come.
        EndpointExpired => "endpoint_expired",
        /// It was owed when the backup was made that the store was restored from.
        Restored => "restored",
    }
}

reasons! {
    /// Why no further try was made.
    ExhaustedReason {
        /// The schedule has no further wait.
        ScheduleEnded => "schedule_ended",
        /// The receiver answered 410.
        Gone => "gone",
        /// The receiver asked to stop, with a `webhook-delivery` header.
        ReceiverAsked => "receiver_asked",
    }
}

reasons! {
    /// Why a delivery was called off.
    CancelReason {
        /// The endpoint was deleted.
        EndpointDeleted => "endpoint_deleted",
        /// The application was deleted.
        ApplicationDeleted => "application_deleted",
    }
}

reasons! {
    /// What makes a try happen: `trigger_type` in the API.
    Trigger {
        /// The message was sent.
        Initial => "initial",
        /// An earlier try failed.
        Automatic => "automatic",
        /// Somebody asked for this message again.
        Manual => "manual",
        /// Somebody asked for what an endpoint missed.
        Recover => "recover",
        /// Somebody asked for a set of messages again.
        Replay => "replay",
        /// Somebody tests an endpoint; there is one try only.
        Test => "test",
    }
}

/// Why Hookstream disabled an endpoint by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisabledReason {
    /// It answered 410.
    Gone,
    /// It answered with the header `webhook-delivery: disable`.
    AskedToStop,
    /// Every try failed for as long as the installation allows.
    KeptFailing,
}

impl DisabledReason {
    /// Its word in the API and in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::AskedToStop => "asked_to_stop",
            Self::KeptFailing => "kept_failing",
        }
    }

    /// Reads a word that [`Self::as_str`] wrote.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Gone, Self::AskedToStop, Self::KeptFailing].into_iter().find(|reason| reason.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back_as_what_they_were() {
        for trigger in [Trigger::Initial, Trigger::Automatic, Trigger::Manual, Trigger::Recover, Trigger::Replay, Trigger::Test] {
            assert_eq!(Trigger::parse(trigger.as_str()), Some(trigger));
        }
        let state = DeliveryState::Skipped { reason: SkipReason::EndpointExpired };
        assert_eq!(DeliveryState::parse_undelivered(state.as_str(), state.reason().expect("a reason")), Some(state));
    }
}
