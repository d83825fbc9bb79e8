//! Trials of a running server, each a command of the binary: `torture` breaks it under load and checks its promises, `bench` measures
//! its speed.
//!
//! The servers are the real binary in processes of their own; a trial is a client of them.

pub mod bench;
pub mod torture;
mod traffic;
