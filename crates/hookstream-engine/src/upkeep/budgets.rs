//! Budgets of environments: the bytes that payloads may take in the store, and the turns in a row.
//!
//! If an environment exceeds its budget, its oldest payloads without a pending delivery are removed. If none are left
//! to remove, pending payloads alone exceed the budget, and new messages are refused until that changes. Publishing
//! checks the budget in memory: a task counts periodically, and accepted messages wake it.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use hookstream_model::base::ids::EnvironmentId;
use tokio::sync::Notify;

/// Meters of the environments with a budget.
#[derive(Debug, Default)]
pub(crate) struct Budgets {
    meters: Mutex<HashMap<EnvironmentId, PayloadMeter>>,
    /// Wakes the counting task.
    pub(crate) passed: Notify,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct PayloadMeter {
    pub(crate) budget: u64,
    /// Bytes at the last count, plus those accepted here since.
    pub(crate) bytes: u64,
    /// Whether pending payloads alone exceed the budget.
    pub(crate) is_full: bool,
}

/// Budget of an environment, and the bytes of its payloads, if no more fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full {
    pub(crate) budget: u64,
    pub(crate) bytes: u64,
}

impl Budgets {
    /// Returns the exceeded budget if new messages of an environment are refused.
    pub(crate) fn full(&self, environment: EnvironmentId) -> Option<Full> {
        let meter = self.meters().get(&environment).copied().filter(|meter| meter.is_full)?;
        Some(Full { budget: meter.budget, bytes: meter.bytes })
    }

    /// Adds an accepted payload. Compression may make it smaller, which the next count shows.
    pub(crate) fn accepted(&self, environment: EnvironmentId, bytes: usize) {
        if let Some(meter) = self.meters().get_mut(&environment) {
            meter.bytes = meter.bytes.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
            if meter.bytes > meter.budget {
                self.passed.notify_one();
            }
        }
    }

    /// Requests a new count, because a budget may have changed.
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
