//! How far an exchange has come, and when it got there.
//!
//! Three tasks have a part in one: the one that sends makes the connection and reads the answer, hyper's
//! task of the connection writes the request, and where another connection became free first, one in the
//! background finishes making ours. [`Phases`] is what they share, one small allocation an exchange.

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
    /// The exchange for which a connection is being made. Not set where one is finished in the background,
    /// which is nobody's exchange.
    static CONNECTING_FOR: Arc<Phases>;
}

/// The steps of an exchange, in their order.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Phase {
    Dns,
    Connect,
    Tls,
    Write,
    FirstByte,
    Read,
}

const STEPS: usize = Phase::Read as usize + 1;

/// When the steps of one exchange were done.
pub(crate) struct Phases {
    began: Instant,
    /// In microseconds since it began; 0 for those that are not done.
    done: [AtomicU32; STEPS],
    /// Whether this exchange has made a connection to its end.
    connected: AtomicBool,
}

impl Phases {
    /// Those of an exchange that begins now.
    pub(crate) fn begin() -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), done: Default::default(), connected: AtomicBool::new(false) })
    }

    /// Notes that a step is done.
    pub(crate) fn done(&self, step: Phase) {
        let elapsed = u32::try_from(self.began.elapsed().as_micros()).unwrap_or(u32::MAX);
        self.done[step as usize].store(elapsed.max(1), Ordering::Relaxed);
    }

    /// Whether a step is done.
    pub(crate) fn is_done(&self, step: Phase) -> bool {
        self.at(step) > 0
    }

    /// How long each step took that is done.
    pub(crate) fn timings(&self) -> Timings {
        let has_connection = self.is_done(Phase::Write) || self.is_done(Phase::FirstByte);
        // Another connection became free while ours was being made: that one was not waited for.
        let is_reused = has_connection && !self.connected.load(Ordering::Relaxed);
        let mut last = 0;
        let mut part = |step: Phase| {
            let at = self.at(step);
            let took = (at > 0).then(|| Duration::from_micros(u64::from(at.saturating_sub(last))));
            last = last.max(at);
            took
        };
        let mut connection = |step: Phase| if is_reused { None } else { part(step) };
        let (dns, connect, tls) = (connection(Phase::Dns), connection(Phase::Connect), connection(Phase::Tls));
        Timings { dns, connect, tls, write: part(Phase::Write), first_byte: part(Phase::FirstByte), read: part(Phase::Read) }
    }

    fn at(&self, step: Phase) -> u32 {
        self.done[step as usize].load(Ordering::Relaxed)
    }
}

/// Sends within these steps: connections that are made meanwhile note theirs.
pub(crate) fn within<F: Future>(steps: &Arc<Phases>, sending: F) -> TaskLocalFuture<Arc<Phases>, F> {
    CONNECTING_FOR.scope(Arc::clone(steps), sending)
}

/// Notes that a step of making a connection is done.
pub(crate) fn done(step: Phase) {
    let _ = CONNECTING_FOR.try_with(|steps| steps.done(step));
}

/// Notes that a connection is made.
pub(crate) fn connected() {
    let _ = CONNECTING_FOR.try_with(|steps| steps.connected.store(true, Ordering::Relaxed));
}

/// A body on its way out, which notes when the last of it was written to the connection.
pub(crate) struct Outgoing {
    bytes: Bytes,
    steps: Arc<Phases>,
}

impl Outgoing {
    pub(crate) fn new(bytes: Bytes, steps: &Arc<Phases>) -> Self {
        Self { bytes, steps: Arc::clone(steps) }
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
            self.steps.done(Phase::Write);
        }
    }
}
