//! Base types: ids, time, texts, secrets.

pub mod ids;
pub mod json;
pub mod line_budget;
pub mod secret;
pub mod spans;
pub mod steady_clock;
pub mod text;
pub mod time;
pub mod trace_context;
pub mod vault;
