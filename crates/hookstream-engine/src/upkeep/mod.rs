//! Background work: retention, budgets, quotas, holds, metrics.

pub(crate) mod budget_task;
pub(crate) mod budgets;
pub(crate) mod deleted;
pub(crate) mod health;
pub(crate) mod health_writer;
pub(crate) mod hold_writer;
pub(crate) mod holds;
pub(crate) mod metrics;
mod metrics_reader;
pub(crate) mod metrics_writer;
pub(crate) mod process_load;
pub(crate) mod quota_task;
pub(crate) mod quotas;
pub(crate) mod retention;
pub(crate) mod text_index;
