//! The program itself: commands, listeners, certificates, torture. Only on SQLite.

pub(crate) mod commands;
pub(crate) mod configuration;
pub(crate) mod listen;
pub(crate) mod program;
pub(crate) mod reference;
pub(crate) mod restart;
pub(crate) mod samples;
pub(crate) mod torture;
pub(crate) mod trust;
pub(crate) mod upgrade;
