//! Parts that the commands share: the client of the public API, output, signals, durations and the machine's clock.

pub mod api;
pub mod clock;
pub mod duration;
pub mod output;
pub mod signals;
