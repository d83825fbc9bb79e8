//! Attempts and their record, retries by hand and jobs.

pub(crate) mod attempt;
pub(crate) mod attempt_log;
pub(crate) mod attempt_span;
pub(crate) mod jobs;
pub(crate) mod pending_record;
pub(crate) mod record;
pub(crate) mod redeliver;
