//! Metrics as several domains show them: the forms of their numbers, and their reading.

pub(crate) mod figures;
pub(crate) mod reading;
