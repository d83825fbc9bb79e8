//! Trials of a running server, each a command of the binary: `torture` breaks it under load and checks its promises,
//! `bench` measures its speed.
//!
//! The servers are the real binary in separate processes; a trial is their client.

pub mod bench;
pub mod torture;
mod traffic;
