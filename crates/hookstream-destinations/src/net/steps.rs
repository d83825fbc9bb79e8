//! How far an exchange has come, and when it got there.
//!
//! Three tasks have a part in one: the one that sends makes the connection and reads the answer, hyper's
//! task of the connection writes the request, and where another connection became free first, one in the
//! background finishes making ours. [`Steps`] is what they share, one small allocation an exchange.

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
    static CONNECTING_FOR: Arc<Steps>;
}

/// The steps of an exchange, in their order.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    Dns,
    Connect,
    Tls,
    Write,
    FirstByte,
    Read,
}

const STEPS: usize = Step::Read as usize + 1;

/// When the steps of one exchange were done.
pub(crate) struct Steps {
    began: Instant,
    /// In microseconds since it began; 0 for those that are not done.
    done: [AtomicU32; STEPS],
    /// Whether this exchange has made a connection to its end.
    connected: AtomicBool,
}

impl Steps {
    /// Those of an exchange that begins now.
    pub(crate) fn begin() -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), done: Default::default(), connected: AtomicBool::new(false) })
    }

    /// Notes that a step is done.
    pub(crate) fn done(&self, step: Step) {
        let elapsed = u32::try_from(self.began.elapsed().as_micros()).unwrap_or(u32::MAX);
        self.done[step as usize].store(elapsed.max(1), Ordering::Relaxed);
    }

    /// Whether a step is done.
    pub(crate) fn is_done(&self, step: Step) -> bool {
        self.at(step) > 0
    }

    /// How long each step took that is done.
    pub(crate) fn timings(&self) -> Timings {
        let has_connection = self.is_done(Step::Write) || self.is_done(Step::FirstByte);
        // Another connection became free while ours was being made: that one was not waited for.
        let is_reused = has_connection && !self.connected.load(Ordering::Relaxed);
        let mut last = 0;
        let mut part = |step: Step| {
            let at = self.at(step);
            let took = (at > 0).then(|| Duration::from_micros(u64::from(at.saturating_sub(last))));
            last = last.max(at);
            took
        };
        let mut connection = |step: Step| if is_reused { None } else { part(step) };
        let (dns, connect, tls) = (connection(Step::Dns), connection(Step::Connect), connection(Step::Tls));
        Timings { dns, connect, tls, write: part(Step::Write), first_byte: part(Step::FirstByte), read: part(Step::Read) }
    }

    fn at(&self, step: Step) -> u32 {
        self.done[step as usize].load(Ordering::Relaxed)
    }
}

/// Sends within these steps: connections that are made meanwhile note theirs.
pub(crate) fn within<F: Future>(steps: &Arc<Steps>, sending: F) -> TaskLocalFuture<Arc<Steps>, F> {
    CONNECTING_FOR.scope(Arc::clone(steps), sending)
}

/// Notes that a step of making a connection is done.
pub(crate) fn done(step: Step) {
    let _ = CONNECTING_FOR.try_with(|steps| steps.done(step));
}

/// Notes that a connection is made.
pub(crate) fn connected() {
    let _ = CONNECTING_FOR.try_with(|steps| steps.connected.store(true, Ordering::Relaxed));
}

/// A body on its way out, which notes when the last of it was written to the connection.
pub(crate) struct Outgoing {
    bytes: Bytes,
    steps: Arc<Steps>,
}

impl Outgoing {
    pub(crate) fn new(bytes: Bytes, steps: &Arc<Steps>) -> Self {
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
            self.steps.done(Step::Write);
        }
    }
}
