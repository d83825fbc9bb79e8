//! Progress of an exchange, with the times of its phases.
//!
//! Up to three tasks take part. The sending task opens the connection and reads the response. Hyper's connection task
//! writes the request. If another connection becomes free first, a background task finishes ours. They share
//! [`Phases`], one small allocation per exchange.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::{Buf, Bytes};
use hookstream_model::delivery::timings::Timings;
use tokio::{task::futures::TaskLocalFuture, time::Instant};

tokio::task_local! {
    /// Exchange for which a connection is being opened. Not set in the background task, whose connection belongs to
    /// no exchange.
    static CONNECTING_FOR: Arc<Phases>;
}

/// Phases of an exchange, in order.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Phase {
    Dns,
    Connect,
    Tls,
    Write,
    FirstByte,
    Read,
}

const PHASES: usize = Phase::Read as usize + 1;

/// Completion times of the phases of one exchange.
pub(crate) struct Phases {
    began: Instant,
    /// Microseconds since `began`; 0 for a phase that is not complete.
    done: [AtomicU32; PHASES],
    /// True if this exchange has opened its own connection.
    connected: AtomicBool,
}

impl Phases {
    /// Starts the measurement of an exchange.
    pub(crate) fn begin() -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), done: Default::default(), connected: AtomicBool::new(false) })
    }

    /// Records the completion of a phase.
    pub(crate) fn done(&self, phase: Phase) {
        let elapsed = u32::try_from(self.began.elapsed().as_micros()).unwrap_or(u32::MAX);
        self.done[phase as usize].store(elapsed.max(1), Ordering::Relaxed);
    }

    /// Returns true if a phase is complete.
    pub(crate) fn is_done(&self, phase: Phase) -> bool {
        self.at(phase) > 0
    }

    /// Returns the duration of each completed phase.
    pub(crate) fn timings(&self) -> Timings {
        let has_connection = self.is_done(Phase::Write) || self.is_done(Phase::FirstByte);
        // A reused connection became free while ours was being opened, so ours did not delay the exchange.
        let is_reused = has_connection && !self.connected.load(Ordering::Relaxed);
        let mut last = 0;
        let mut part = |phase: Phase| {
            let at = self.at(phase);
            let duration = (at > 0).then(|| Duration::from_micros(u64::from(at.saturating_sub(last))));
            last = last.max(at);
            duration
        };
        let mut connection = |phase: Phase| if is_reused { None } else { part(phase) };
        let (dns, connect, tls) = (connection(Phase::Dns), connection(Phase::Connect), connection(Phase::Tls));
        Timings { dns, connect, tls, write: part(Phase::Write), first_byte: part(Phase::FirstByte), read: part(Phase::Read) }
    }

    fn at(&self, phase: Phase) -> u32 {
        self.done[phase as usize].load(Ordering::Relaxed)
    }
}

/// Runs `sending` with these phases: connections that it opens record theirs.
pub(crate) fn within<F: Future>(phases: &Arc<Phases>, sending: F) -> TaskLocalFuture<Arc<Phases>, F> {
    CONNECTING_FOR.scope(Arc::clone(phases), sending)
}

/// Records the completion of a connection phase.
pub(crate) fn done(phase: Phase) {
    let _ = CONNECTING_FOR.try_with(|phases| phases.done(phase));
}

/// Records that the connection is open.
pub(crate) fn connected() {
    let _ = CONNECTING_FOR.try_with(|phases| phases.connected.store(true, Ordering::Relaxed));
}

/// Request body that records when its last byte was written to the connection.
pub(crate) struct Outgoing {
    bytes: Bytes,
    phases: Arc<Phases>,
}

impl Outgoing {
    pub(crate) fn new(bytes: Bytes, phases: &Arc<Phases>) -> Self {
        Self { bytes, phases: Arc::clone(phases) }
    }
}

impl Buf for Outgoing {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        if count > 0 && !self.bytes.has_remaining() {
            self.phases.done(Phase::Write);
        }
    }
}
