//! Background work: retention, budgets, quotas, holds.

pub(crate) mod budget_task;
pub(crate) mod budgets;
pub(crate) mod deleted;
pub(crate) mod health;
pub(crate) mod health_writer;
pub(crate) mod hold_writer;
pub(crate) mod holds;
pub(crate) mod quota_task;
pub(crate) mod quotas;
pub(crate) mod retention;
