//! Heights of warnings that this process has given, so that an endpoint that keeps failing costs no write for each attempt.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use hookstream_model::base::ids::{EnvironmentId, TargetId};

/// Number of heights remembered in memory; beyond it they are forgotten, and the store knows them.
const MAX_KNOWN: usize = 100_000;

/// Heights of endpoints, quotas and budgets. The store knows them too, so a forgotten one is told no second time.
#[derive(Debug, Default)]
pub(crate) struct Heights {
    endpoints: Mutex<HashMap<TargetId, u32>>,
    /// Percent of each environment's payload budget at the last look, and used events of each organization.
    others: Mutex<HashMap<(EnvironmentId, &'static str), u64>>,
}

impl Heights {
    /// Returns whether a warning of this height is new to this process; a height of 0 forgets the earlier ones.
    pub(crate) fn is_new(&self, target: TargetId, level: u32) -> bool {
        let mut known = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        if level == 0 {
            known.remove(&target);
            return false;
        }
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(target, level).is_none_or(|before| before < level)
    }

    pub(crate) fn rises(&self, environment: EnvironmentId, of: &'static str, level: u64) -> bool {
        let mut known = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert((environment, of), level) != Some(level)
    }
}
