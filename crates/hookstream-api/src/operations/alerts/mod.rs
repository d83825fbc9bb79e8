//! Alerts: rules, the alerts that they raised, and the task that evaluates the rules.

mod evaluate;
pub(crate) mod list;
pub(crate) mod rules;
mod task;
#[cfg(test)]
mod tests;

use crate::operation::{Operations, operations};

/// Operations on alert rules and alerts.
pub(super) fn operations<A: Operations>(all: A) -> A {
    operations!(
        all,
        rules::{list, create, get, update, delete},
        list::{list},
    )
}
