//! Work that goes on beside deliveries: retention, budgets, quotas, holds.

pub(crate) mod budgets;
pub(crate) mod deleted;
pub(crate) mod health;
pub(crate) mod holds;
pub(crate) mod quotas;
pub(crate) mod retention;
