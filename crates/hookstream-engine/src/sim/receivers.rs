//! Receivers with a set behaviour: they accept, refuse, ask to wait, hang, reset, and recover.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use hookstream_destinations::{
    AddressRefused, Destination, Envelope, RenderedRequest, Sent, Settings, Target, http::classify::HttpResponse,
};
use hookstream_model::{
    InvalidField,
    base::ids::{EndpointId, MessageId},
    delivery::{
        outcome::{Failure, FailureKind, Outcome},
        retry::RetryAfter,
        timings::Timings,
    },
};
use rand::{RngExt, rngs::StdRng};

use super::{
    gate::Gate,
    history::{Attempt, History},
};

/// Position of the key in a payload; the key is one letter.
pub(super) const KEY_AT: usize = 6;

/// Behaviour of a receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// Accepts everything.
    Accepts,
    /// Refuses about every third request.
    Flaky,
    /// Responds with this status.
    Refuses(u16),
    /// Responds with this status and a `Retry-After` of this many seconds.
    AsksToWait(u16, u64),
    /// Takes requests and does not respond.
    Hangs,
    /// Resets the connection.
    Resets,
}

/// Receivers of a simulation.
pub(super) struct Receivers {
    state: Mutex<(StdRng, BTreeMap<EndpointId, Behaviour>)>,
    history: Arc<History>,
}

impl Receivers {
    pub(super) fn new(rng: StdRng, history: Arc<History>) -> Self {
        Self { state: Mutex::new((rng, BTreeMap::new())), history }
    }

    pub(super) fn set(&self, endpoint: EndpointId, behaviour: Behaviour) {
        self.lock().1.insert(endpoint, behaviour);
    }

    pub(super) fn accept_all(&self) {
        self.lock().1.clear();
    }

    /// Draws the outcome of the next attempt and its delay.
    fn decide(&self, endpoint: EndpointId, timeout: Duration) -> (Duration, Outcome) {
        let mut state = self.lock();
        let behaviour = state.1.get(&endpoint).copied().unwrap_or(Behaviour::Accepts);
        let rng = &mut state.0;
        let after = Duration::from_millis(rng.random_range(0..60));
        let response = |status| HttpResponse { status, ..HttpResponse::default() }.outcome();
        let failed = |kind| Outcome::Retryable(Failure::new(kind, "simulated"));
        match behaviour {
            Behaviour::Accepts => (after, response(200)),
            Behaviour::Flaky if rng.random_ratio(1, 3) => (after, response(500)),
            Behaviour::Flaky => (after, response(204)),
            Behaviour::Refuses(status) => (after, response(status)),
            Behaviour::AsksToWait(status, seconds) => {
                let retry_after = Some(RetryAfter::Seconds(seconds));
                (after, HttpResponse { status, retry_after, ..HttpResponse::default() }.outcome())
            }
            Behaviour::Hangs => (timeout, failed(FailureKind::Timeout)),
            Behaviour::Resets => (after / 8, failed(FailureKind::ConnectionReset)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, (StdRng, BTreeMap<EndpointId, Behaviour>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connection of a node to the receivers.
#[derive(Clone)]
pub(super) struct Wire {
    pub(super) receivers: Arc<Receivers>,
    pub(super) gate: Arc<Gate>,
}

/// Request in flight with its attempts; dropping it closes the connection.
struct InFlight<'a> {
    history: &'a History,
    attempts: std::ops::Range<usize>,
}

impl InFlight<'_> {
    fn end(&self, accepted: bool) {
        for number in self.attempts.clone() {
            self.history.change(|past, now| {
                let in_flight = &mut past.attempts[number];
                if in_flight.ended.is_none() {
                    (in_flight.ended, in_flight.accepted) = (Some(now), accepted);
                }
            });
        }
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.end(false);
    }
}

/// Returns the messages of an envelope, each with the key of its payload.
fn messages(envelope: &Envelope<'_>) -> Vec<(MessageId, u8)> {
    if envelope.batch_size.is_none() {
        let message = envelope.id.parse().expect("a message has its id");
        return vec![(message, envelope.body.get(KEY_AT).copied().unwrap_or_default())];
    }
    let entries: Vec<serde_json::Value> = serde_json::from_slice(&envelope.body).expect("a batch is an array");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let message = |entry: &serde_json::Value| {
        let key = text(&entry["payload"]["k"]).bytes().next().unwrap_or_default();
        (text(&entry["id"]).parse().expect("each message has its id"), key)
    };
    entries.iter().map(message).collect()
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wire")
    }
}

impl Destination for Wire {
    fn check(&self, _: &Settings<'_>) -> Result<Arc<dyn Target>, InvalidField> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Target for Wire {
    async fn check_address(&self) -> Result<(), AddressRefused> {
        Ok(())
    }

    async fn send(&self, envelope: &Envelope<'_>, timeout: Duration) -> Sent {
        let endpoint = EndpointId::from(envelope.target_id);
        let messages = messages(envelope);
        self.gate.pass().await;
        let (node, history) = (self.gate.node, &*self.receivers.history);
        let mut in_flight = InFlight { history, attempts: 0..0 };
        for (position, (message, key)) in messages.iter().enumerate() {
            let number = history.change(|past, begun| {
                let delivery = (*message, endpoint);
                past.attempts.push(Attempt { node, delivery, key: *key, is_batched: position > 0, begun, ended: None, accepted: false });
                past.attempts.len() - 1
            });
            in_flight.attempts = if position == 0 { number..number + 1 } else { in_flight.attempts.start..number + 1 };
            history.note(format_args!("node {node} sends {message} to {endpoint}"));
        }
        let (after, outcome) = self.receivers.decide(endpoint, timeout);
        tokio::time::sleep(after).await;
        in_flight.end(outcome.is_accepted());
        for (message, _) in &messages {
            history.note(format_args!("{endpoint} has {message}: {:?}", outcome.response().and_then(|response| response.status)));
        }
        self.gate.pass().await;
        Sent { outcome, timings: Timings::default() }
    }

    fn rendered(&self, _: &Envelope<'_>) -> Option<RenderedRequest> {
        None
    }
}
