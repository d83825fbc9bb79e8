//! Target of deliveries: everything that one attempt needs, whatever the kind of target.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{self, AtomicI64},
    },
    time::Duration,
};

use hookstream_destinations::Target as Receiver;
use hookstream_model::{
    base::{ids::LimitScopeId, time::Timestamp},
    delivery::{
        batch::BatchPolicy,
        hold::Hold,
        ordering::{OnFailure, Ordering},
        placement::Restrictions,
        queue::Backlog,
        retry::RetrySchedule,
        state::SkipReason,
    },
    outbound::{message::Payload, signature::SigningKeys},
};

use crate::{
    queues::lanes::{Gather, LanePolicy},
    routing::target_state::TargetKey,
};

/// Value of `failing_since` for a target that does not fail.
const NOT_FAILING: i64 = i64::MIN;

/// Target, ready for delivery.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) key: TargetKey,
    /// Settings and connections of its kind.
    pub(crate) receiver: Arc<dyn Receiver>,
    pub(crate) keys: SigningKeys,
    pub(crate) schedule: RetrySchedule,
    pub(crate) timeout: Duration,
    pub(crate) policy: Arc<LanePolicy>,
    pub(crate) ordering: Ordering,
    pub(crate) on_failure: OnFailure,
    pub(crate) switch: Switch,
    /// Stored time since which the target fails, in milliseconds; [`NOT_FAILING`] if it does not fail. Changes without a
    /// new version of the target.
    failing_since: AtomicI64,
}

/// Whether a target takes messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Switch {
    pub(crate) is_disabled: bool,
    pub(crate) expires_at: Option<Timestamp>,
}

impl Switch {
    /// Returns the reason to skip a delivery that is due now.
    fn skips(self, now: Timestamp) -> Option<SkipReason> {
        if self.is_disabled {
            Some(SkipReason::EndpointDisabled)
        } else {
            self.expires_at.filter(|at| *at <= now).map(|_| SkipReason::EndpointExpired)
        }
    }
}

/// Settings of a target, as its front reads them.
pub(crate) struct TargetSettings {
    pub(crate) key: TargetKey,
    pub(crate) receiver: Arc<dyn Receiver>,
    pub(crate) keys: SigningKeys,
    /// Own retry schedule of the target, or the installation's.
    pub(crate) schedule: RetrySchedule,
    pub(crate) timeout: Duration,
    pub(crate) ordering: Ordering,
    pub(crate) on_failure: OnFailure,
    pub(crate) switch: Switch,
    pub(crate) failing_since: Option<Timestamp>,
    pub(crate) limits: Limits,
}

/// Limits of a target that its lane keeps.
pub(crate) struct Limits {
    /// Version of the configuration.
    pub(crate) version: i64,
    /// Targets of one scope share a rate, turns and a shard.
    pub(crate) scope: LimitScopeId,
    pub(crate) scope_rate: Option<NonZeroU32>,
    pub(crate) rate: Option<NonZeroU32>,
    pub(crate) batch: Option<BatchPolicy>,
    /// Maximum size of a batch, in bytes.
    pub(crate) batch_bytes: usize,
    pub(crate) hold: Option<Hold>,
    pub(crate) is_paused: bool,
}

impl Target {
    pub(crate) fn new(settings: TargetSettings) -> Self {
        let TargetSettings { key, receiver, keys, schedule, timeout, ordering, on_failure, switch, failing_since, limits } = settings;
        let gather = limits.batch.map(|batch| Gather {
            most: usize::try_from(batch.max_size()).unwrap_or(usize::MAX),
            bytes: limits.batch_bytes,
            wait: Duration::from_millis(u64::from(batch.max_wait_ms())),
        });
        let is_ordered = ordering != Ordering::None;
        Self {
            policy: Arc::new(LanePolicy {
                version: limits.version,
                target: key.id,
                environment: key.tenant.environment,
                scope: limits.scope,
                rate: limits.rate,
                scope_rate: limits.scope_rate,
                is_ordered,
                gather,
                hold: limits.hold,
                is_paused: limits.is_paused,
            }),
            // In an ordered target that blocks on failure, retries go on as long as the target is enabled.
            schedule: if is_ordered && on_failure == OnFailure::Block { schedule.without_end() } else { schedule },
            failing_since: AtomicI64::new(failing_since.map_or(NOT_FAILING, Timestamp::as_millis)),
            key,
            receiver,
            keys,
            timeout,
            ordering,
            on_failure,
            switch,
        }
    }

    /// Returns the reason to skip a delivery that is due now, or `None` if it is to be sent.
    pub(crate) fn skips(&self, now: Timestamp) -> Option<SkipReason> {
        self.switch.skips(now)
    }

    /// Sets the time since which the target fails; `None` after a success.
    pub(crate) fn note_failing_since(&self, failing_since: Option<Timestamp>) {
        self.failing_since.store(failing_since.map_or(NOT_FAILING, Timestamp::as_millis), atomic::Ordering::Relaxed);
    }

    /// Returns the stored time since which the target fails.
    pub(crate) fn failing_since(&self) -> Option<Timestamp> {
        let millis = self.failing_since.load(atomic::Ordering::Relaxed);
        (millis != NOT_FAILING).then(|| Timestamp::from_millis(millis))
    }

    /// Returns the backlog of a payload: that of its ordering key if the target orders by key. Messages without the key
    /// share one backlog.
    pub(crate) fn backlog(&self, payload: &Payload) -> Backlog {
        match &self.ordering {
            Ordering::None | Ordering::Strict => Backlog::of_target(self.policy.scope, self.key.id),
            Ordering::ByKey(path) => {
                let key = path.find(&payload.body).unwrap_or_default();
                Backlog::of_key(self.policy.scope, self.key.id, key.as_bytes())
            }
        }
    }

    /// Returns what restricts a delivery with this many failures.
    pub(crate) fn restrictions(&self, failed: u32, now: Timestamp) -> Restrictions {
        self.policy.restrictions(self.keeps_order(failed), now)
    }

    /// Returns whether a delivery with this many failures keeps its position in its backlog.
    pub(crate) fn keeps_order(&self, failed: u32) -> bool {
        match self.ordering {
            Ordering::None => false,
            Ordering::Strict | Ordering::ByKey(_) => match self.on_failure {
                OnFailure::Block | OnFailure::Skip => true,
                OnFailure::Park => failed == 0,
            },
        }
    }
}
