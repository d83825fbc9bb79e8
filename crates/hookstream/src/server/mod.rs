//! Running server: its parts, listeners, keys and lifecycle.

pub(crate) mod activity;
pub(crate) mod control;
pub(crate) mod keys;
pub(crate) mod lifecycle;
pub(crate) mod listen;
pub(crate) mod reload;
pub(crate) mod trust;
pub(crate) mod watch;
pub(crate) mod wire;
