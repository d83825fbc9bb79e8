//! Receivers that do as they are told: they accept, refuse, ask to wait, hang, reset, and recover.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use hookstream_destinations::{AddressRefused, Request, Sent, Target, Transport};
use hookstream_model::{
    base::ids::{EndpointId, MessageId},
    delivery::{
        outcome::{Failure, FailureKind, Outcome, ReceiverResponse},
        retry::RetryAfter,
        timings::Timings,
    },
};
use rand::{RngExt, rngs::StdRng};

use super::{
    gate::Gate,
    history::{History, Try},
};

/// The header that says to a receiver which endpoint it is; endpoints have it among their own headers.
pub(super) const ENDPOINT: &str = "x-endpoint";

/// Where a payload has its key, which is one letter.
pub(super) const KEY_AT: usize = 6;

/// How a receiver behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    /// It accepts everything.
    Well,
    /// It refuses about every third.
    Flaky,
    /// It answers with this status.
    Refuses(u16),
    /// It asks to wait for so many seconds.
    AsksToWait(u16, u64),
    /// It takes what comes and does not answer.
    Hangs,
    /// It resets the connection.
    Resets,
}

/// All receivers of a simulation.
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

    pub(super) fn all_well(&self) {
        self.lock().1.clear();
    }

    /// What a receiver does with the next try, and after how long.
    fn decide(&self, endpoint: EndpointId, timeout: Duration) -> (Duration, Outcome) {
        let mut state = self.lock();
        let behaviour = state.1.get(&endpoint).copied().unwrap_or(Behaviour::Well);
        let rng = &mut state.0;
        let after = Duration::from_millis(rng.random_range(0..60));
        let answer = |status| Outcome::from_response(ReceiverResponse { status, ..ReceiverResponse::default() });
        let failed = |kind| Outcome::Failed(Failure::new(kind, "as it was told"));
        match behaviour {
            Behaviour::Well => (after, answer(200)),
            Behaviour::Flaky if rng.random_ratio(1, 3) => (after, answer(500)),
            Behaviour::Flaky => (after, answer(204)),
            Behaviour::Refuses(status) => (after, answer(status)),
            Behaviour::AsksToWait(status, seconds) => {
                let retry_after = Some(RetryAfter::Seconds(seconds));
                (after, Outcome::from_response(ReceiverResponse { status, retry_after, ..ReceiverResponse::default() }))
            }
            Behaviour::Hangs => (timeout, failed(FailureKind::Timeout)),
            Behaviour::Resets => (after / 8, failed(FailureKind::ConnectionReset)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, (StdRng, BTreeMap<EndpointId, Behaviour>)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A node's way to the receivers.
pub(super) struct Wire {
    pub(super) receivers: Arc<Receivers>,
    pub(super) gate: Arc<Gate>,
}

/// A request that is under way, and the tries in it; where nobody waits for it any more, its connection is closed.
struct UnderWay<'a> {
    history: &'a History,
    tries: std::ops::Range<usize>,
}

impl UnderWay<'_> {
    fn ends(&self, accepted: bool) {
        for number in self.tries.clone() {
            self.history.change(|past, now| {
                let under_way = &mut past.tries[number];
                if under_way.ended.is_none() {
                    (under_way.ended, under_way.accepted) = (Some(now), accepted);
                }
            });
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.ends(false);
    }
}

/// The messages of a request, each with the key in its payload.
fn messages(request: &Request) -> Vec<(MessageId, u8)> {
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok());
    if header("x-hookstream-batch-size").is_none() {
        let message = header("webhook-id").unwrap_or_default().parse().expect("each try has it");
        return vec![(message, request.body.get(KEY_AT).copied().unwrap_or_default())];
    }
    let entries: Vec<serde_json::Value> = serde_json::from_slice(&request.body).expect("a batch is an array");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let message = |entry: &serde_json::Value| {
        let key = text(&entry["payload"]["k"]).bytes().next().unwrap_or_default();
        (text(&entry["id"]).parse().expect("each message has its id"), key)
    };
    entries.iter().map(message).collect()
}

#[async_trait]
impl Transport for Wire {
    async fn check(&self, _: &Target) -> Result<(), AddressRefused> {
        Ok(())
    }

    async fn send(&self, _: &Target, request: Request, timeout: Duration) -> Sent {
        let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let endpoint: EndpointId = header(ENDPOINT).parse().expect("each endpoint has its id among its headers");
        let messages = messages(&request);
        self.gate.pass().await;
        let (node, history) = (self.gate.node, &*self.receivers.history);
        let mut under_way = UnderWay { history, tries: 0..0 };
        for (place, (message, key)) in messages.iter().enumerate() {
            let number = history.change(|past, begun| {
                let delivery = (*message, endpoint);
                past.tries.push(Try { node, delivery, key: *key, rides: place > 0, begun, ended: None, accepted: false });
                past.tries.len() - 1
            });
            under_way.tries = if place == 0 { number..number + 1 } else { under_way.tries.start..number + 1 };
            history.note(format_args!("node {node} sends {message} to {endpoint}"));
        }
        let (after, outcome) = self.receivers.decide(endpoint, timeout);
        tokio::time::sleep(after).await;
        under_way.ends(outcome.is_accepted());
        for (message, _) in &messages {
            history.note(format_args!("{endpoint} has {message}: {:?}", outcome.response().map(|answer| answer.status)));
        }
        self.gate.pass().await;
        Sent { outcome, timings: Timings::default() }
    }
}
