//! Times of each message of a run: when it was due to be sent, and when it arrived at each endpoint.

use std::{
    sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

const ACCEPTED: u8 = 1;

const REFUSED: u8 = 2;

/// Run of a benchmark. Messages are numbered from 0; times are microseconds since its start.
pub(super) struct Run {
    began: Instant,
    endpoints: usize,
    next: AtomicU64,
    messages: Vec<MessageRun>,
    /// Time of the first arrival by message and endpoint; 0 if none yet.
    arrived: Vec<AtomicU64>,
    /// Arrivals beyond the first.
    pub(super) duplicates: AtomicU64,
    /// Deliveries with an invalid signature.
    pub(super) unverified: AtomicU64,
    accepted: AtomicU64,
    first_arrivals: AtomicU64,
}

struct MessageRun {
    sent: AtomicU64,
    /// Response time; 0 if none yet.
    responded: AtomicU32,
    state: AtomicU8,
}

impl Run {
    /// Builds a run of at most `room` messages, each for this number of endpoints.
    pub(super) fn new(room: usize, endpoints: usize) -> Self {
        let message = || MessageRun { sent: AtomicU64::new(0), responded: AtomicU32::new(0), state: AtomicU8::new(0) };
        Self {
            began: Instant::now(),
            endpoints,
            next: AtomicU64::new(0),
            messages: std::iter::repeat_with(message).take(room).collect(),
            arrived: std::iter::repeat_with(|| AtomicU64::new(0)).take(room * endpoints).collect(),
            duplicates: AtomicU64::new(0),
            unverified: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
            first_arrivals: AtomicU64::new(0),
        }
    }

    /// Returns microseconds since the run began.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    pub(super) fn instant(&self, micros: u64) -> Instant {
        self.began + Duration::from_micros(micros)
    }

    /// Returns the number of the next message; `None` if the run is full.
    pub(super) fn next(&self) -> Option<usize> {
        usize::try_from(self.next.fetch_add(1, Ordering::Relaxed)).ok().filter(|number| *number < self.messages.len())
    }

    /// Notes the time at which a message was due to be sent.
    pub(super) fn sent(&self, number: usize, at: u64) {
        self.messages[number].sent.store(at.max(1), Ordering::Release);
    }

    /// Notes a response.
    pub(super) fn responded(&self, number: usize, accepted: bool) {
        let message = &self.messages[number];
        let took = self.now().saturating_sub(message.sent.load(Ordering::Acquire));
        message.responded.store(u32::try_from(took).unwrap_or(u32::MAX).max(1), Ordering::Release);
        message.state.store(if accepted { ACCEPTED } else { REFUSED }, Ordering::Release);
        self.accepted.fetch_add(u64::from(accepted), Ordering::Relaxed);
    }

    /// Notes an arrival.
    pub(super) fn arrived(&self, number: usize, endpoint: usize) {
        let Some(arrived) = self.arrived.get(number * self.endpoints + endpoint) else { return };
        match arrived.compare_exchange(0, self.now().max(1), Ordering::AcqRel, Ordering::Relaxed) {
            Ok(_) => self.first_arrivals.fetch_add(1, Ordering::Relaxed),
            Err(_) => self.duplicates.fetch_add(1, Ordering::Relaxed),
        };
    }

    /// Waits until every accepted message has arrived everywhere, or until the timeout.
    pub(super) async fn until_all_arrived(&self, timeout: Duration) {
        let end = Instant::now() + timeout;
        while Instant::now() < end && self.lost() > 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Returns the number of accepted messages that have not arrived everywhere.
    pub(super) fn lost(&self) -> u64 {
        let expected = self.accepted.load(Ordering::Relaxed) * self.endpoints as u64;
        // Counted exactly only if the totals are not conclusive: refused messages may have arrived too.
        if self.first_arrivals.load(Ordering::Relaxed) >= expected && self.refused() == 0 {
            return 0;
        }
        self.numbers().filter(|number| self.is_accepted(*number) && self.arrivals(*number).any(|at| at == 0)).count() as u64
    }

    pub(super) fn refused(&self) -> u64 {
        self.numbers().filter(|number| self.messages[*number].state.load(Ordering::Acquire) == REFUSED).count() as u64
    }

    /// Returns the times of accepted messages that were due since `from`: response times, arrival times, and the last
    /// arrival.
    pub(super) fn counted(&self, from: u64) -> Counted {
        let mut counted = Counted::default();
        for number in self.numbers().filter(|number| self.is_accepted(*number)) {
            let message = &self.messages[number];
            let sent = message.sent.load(Ordering::Acquire);
            if sent < from {
                continue;
            }
            counted.responses.push(message.responded.load(Ordering::Acquire));
            for at in self.arrivals(number).filter(|at| *at > 0) {
                counted.arrivals.push(u32::try_from(at.saturating_sub(sent)).unwrap_or(u32::MAX));
                counted.last_arrival = counted.last_arrival.max(at);
            }
        }
        counted.responses.sort_unstable();
        counted.arrivals.sort_unstable();
        counted
    }

    /// Returns the number of accepted messages, warm-up included.
    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    fn numbers(&self) -> std::ops::Range<usize> {
        0..usize::try_from(self.next.load(Ordering::Relaxed)).unwrap_or(usize::MAX).min(self.messages.len())
    }

    fn is_accepted(&self, number: usize) -> bool {
        self.messages[number].state.load(Ordering::Acquire) == ACCEPTED
    }

    fn arrivals(&self, number: usize) -> impl Iterator<Item = u64> {
        self.arrived[number * self.endpoints..(number + 1) * self.endpoints].iter().map(|at| at.load(Ordering::Acquire))
    }
}

/// Reported times of a run: microseconds, sorted.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) responses: Vec<u32>,
    pub(super) arrivals: Vec<u32>,
    pub(super) last_arrival: u64,
}
