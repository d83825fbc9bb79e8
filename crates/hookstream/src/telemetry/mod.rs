//! Telemetry of the server for its operator: metrics, logs, and their export with traces.

mod disk;
mod exposition;
pub(crate) mod logs;
pub(crate) mod otlp;
mod process;
#[cfg(test)]
mod reference;

pub(crate) use self::exposition::{Exposition, Sources};
