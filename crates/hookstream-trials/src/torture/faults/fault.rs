//! Kinds of faults.

use std::time::Duration;

use clap::ValueEnum;
use rand::{RngExt, rngs::StdRng};
use tokio::time::Instant;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Fault {
    /// A node is killed (SIGKILL) and started again.
    Kill,
    /// A node is stopped (SIGSTOP), on PostgreSQL for longer than its lease, and goes on (SIGCONT).
    Pause,
    /// Every connection to the database is ended by `pg_terminate_backend`.
    Terminate,
    /// Every connection is ended and others take the places until there are none left.
    Connections,
    /// Every table is locked.
    Locks,
    /// PostgreSQL is stopped in fast mode and started again.
    RestartFast,
    /// PostgreSQL is stopped in immediate mode, which is a crash, and started again.
    RestartImmediate,
    /// The primary is stopped in immediate mode and its synchronous replica promoted.
    Failover,
    /// The disk that the database stands on is full.
    DiskFull,
    /// The receiver refuses, resets, hangs, trickles or is not there.
    Receivers,
    /// An endpoint is off for a moment, and the job that sends what it missed is broken midway.
    Jobs,
    /// A node is killed, and its disk has kept what was synced and any part of what was not.
    Power,
    /// A node's clock jumps, and is put right.
    Clock,
}

/// Result of a fault.
pub(crate) struct Broken {
    /// Time at which everything was repaired.
    pub(crate) ended: Instant,
    /// Number of nodes that may have lost track of deliveries in flight.
    pub(crate) nodes: u32,
}

impl Fault {
    pub(crate) const ALL: [Self; 13] = [
        Self::Kill,
        Self::Pause,
        Self::Terminate,
        Self::Connections,
        Self::Locks,
        Self::RestartFast,
        Self::RestartImmediate,
        Self::Failover,
        Self::DiskFull,
        Self::Receivers,
        Self::Jobs,
        Self::Power,
        Self::Clock,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Pause => "pause",
            Self::Terminate => "terminate",
            Self::Connections => "connections",
            Self::Locks => "locks",
            Self::RestartFast => "restart-fast",
            Self::RestartImmediate => "restart-immediate",
            Self::Failover => "failover",
            Self::DiskFull => "disk-full",
            Self::Receivers => "receivers",
            Self::Jobs => "jobs",
            Self::Power => "power",
            Self::Clock => "clock",
        }
    }

    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    /// Returns whether the fault delays deliveries that must all arrive in the end: a recorded reason is not enough.
    pub(crate) fn only_delays(self) -> bool {
        matches!(self, Self::Receivers | Self::Jobs | Self::Clock)
    }
}

/// Returns a random time in milliseconds.
pub(crate) fn between(rng: &mut StdRng, least: u64, most: u64) -> Duration {
    Duration::from_millis(rng.random_range(least..=most))
}
