//! Telemetry of the server for its operator: metrics and logs.

mod disk;
mod exposition;
pub(crate) mod logs;
mod process;
#[cfg(test)]
mod reference;

pub(crate) use self::exposition::{Exposition, Sources};
