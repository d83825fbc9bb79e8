//! Metrics: time series and totals of messages, deliveries and attempts, from rollups that the engine keeps.

pub(crate) mod errors;
pub(crate) mod overview;
pub(crate) mod series;
mod window;

#[cfg(test)]
mod tests;
