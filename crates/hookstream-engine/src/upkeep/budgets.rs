//! What environments may have: how many bytes payloads may take in the store, and how many turns in a row.
//!
//! Where an environment has more, its oldest payloads of which nothing is owed are removed. Where there are none
//! left to remove, what is owed alone passes the budget, and its new messages are refused until that changes.
//! Whether a message is refused is known from memory: a task counts now and then, and is woken by what was accepted
//! since.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use hookstream_model::base::ids::EnvironmentId;
use tokio::sync::Notify;

/// What is known of those environments that have a budget.
#[derive(Debug, Default)]
pub(crate) struct Budgets {
    meters: Mutex<HashMap<EnvironmentId, PayloadMeter>>,
    /// Wakes whoever counts.
    pub(crate) passed: Notify,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct PayloadMeter {
    pub(crate) budget: u64,
    /// What there was when it was counted, and what was accepted here since.
    pub(crate) bytes: u64,
    /// What there is is owed, and more than the budget.
    pub(crate) is_full: bool,
}

/// An environment's budget and what its payloads take, where nothing more fits in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full {
    pub(crate) budget: u64,
    pub(crate) bytes: u64,
}

impl Budgets {
    /// Whether new messages of an environment are refused.
    pub(crate) fn full(&self, environment: EnvironmentId) -> Option<Full> {
        let meter = self.meters().get(&environment).copied().filter(|meter| meter.is_full)?;
        Some(Full { budget: meter.budget, bytes: meter.bytes })
    }

    /// Notes a payload that was accepted. Compressed it may take less, which the next count shows.
    pub(crate) fn accepted(&self, environment: EnvironmentId, bytes: usize) {
        if let Some(meter) = self.meters().get_mut(&environment) {
            meter.bytes = meter.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
            if meter.bytes > meter.budget {
                self.passed.notify_one();
            }
        }
    }

    /// Has it counted anew at once, since a budget may be another now.
    pub(crate) fn changed(&self) {
        self.passed.notify_one();
    }

    pub(crate) fn meters(&self) -> MutexGuard<'_, HashMap<EnvironmentId, PayloadMeter>> {
        self.meters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn are_refusing(&self) -> bool {
        self.meters().values().any(|meter| meter.is_full)
    }
}
