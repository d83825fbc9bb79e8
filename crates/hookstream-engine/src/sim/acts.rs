//! Steps of a simulation: each is drawn, and so are its details.

use std::{sync::Arc, time::Duration};

use hookstream_model::{
    base::{
        ids::{ApplicationId, EndpointId, EntryId},
        time::{Clock, Timestamp},
    },
    identity::tenancy::Tenant,
    operations::{
        audit_log::AuditContext,
        job::{JobKind, JobRequest},
    },
    outbound::{
        endpoint::{Endpoint, EndpointStatus},
        hops::Hops,
        message::{ContentType, Payload},
    },
};
use hookstream_store::{
    db::listeners::Change,
    delivery::{cluster::Nudge, deliveries::IdempotencyKey},
    operations::jobs,
    outbound::endpoints::{self, EndpointKey},
};
use rand::RngExt;
use tokio::task::JoinSet;

use super::{
    gate::State,
    history::{AcceptedMessage, History, Loss, Moment},
    receivers::Behaviour,
    world::{PATIENCE, STARTS, Simulation},
};
use crate::{Draft, Handle, cluster::change_feed};

/// Message that a sender repeats until it gets a response.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    application: ApplicationId,
    key: u8,
    number: u32,
    idempotency: Option<String>,
    sent: Option<Moment>,
}

impl Simulation {
    /// Makes one drawn step.
    pub(super) async fn step(&mut self, step: usize) {
        let drawn = self.rng.random_range(0..100);
        match drawn {
            0..=29 => self.publish().await,
            30..=44 => self.sleep(1, 50).await,
            45..=59 => self.sleep(100, 2_000).await,
            60..=62 => self.sleep(5_000, 30_000).await,
            63..=70 => self.change_receiver(),
            71..=77 => self.kill().await,
            78..=80 => self.stop().await,
            81..=84 => self.freeze_or_thaw(),
            85..=88 => self.change_endpoint().await,
            89..=90 => self.delete_endpoint().await,
            91..=93 => self.retry_by_hand().await,
            94..=95 => self.job().await,
            96 => self.set_clock(),
            _ => self.change_faults(),
        }
        if self.nodes.is_empty() || (self.hub.is_some() && self.nodes.len() < 2 && self.rng.random_ratio(1, 3)) {
            self.start_node().await;
        }
        self.history.note(format_args!("step {step} is over"));
    }

    async fn sleep(&mut self, least: u64, most: u64) {
        let ms = self.rng.random_range(least..most);
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    /// Publishes some messages, in sequence or concurrently.
    async fn publish(&mut self) {
        let mut outgoing = std::mem::take(&mut self.unacknowledged);
        for _ in 0..self.rng.random_range(1..=8) {
            self.messages_made += 1;
            let number = self.messages_made;
            outgoing.push(Outgoing {
                application: self.applications[self.rng.random_range(0..self.applications.len())],
                key: b'a' + self.rng.random_range(0..3_u8),
                number,
                idempotency: self.rng.random_ratio(1, 2).then(|| format!("key-{number}")),
                sent: None,
            });
        }
        let is_at_once = self.rng.random_ratio(1, 3);
        let mut in_flight = JoinSet::new();
        for message in outgoing {
            let Some(node) = self.any_node() else { return };
            in_flight.spawn(send(Arc::clone(&self.history), self.nodes[node].handle.clone(), self.tenant, message));
            if !is_at_once {
                self.await_responses(&mut in_flight).await;
                // So that a later id has a later millisecond.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        self.await_responses(&mut in_flight).await;
    }

    async fn await_responses(&mut self, in_flight: &mut JoinSet<Option<Outgoing>>) {
        while let Some(unacknowledged) = in_flight.join_next().await {
            // Without an idempotency key, a sender does not repeat the message.
            self.unacknowledged.extend(unacknowledged.expect("a sender does not panic").filter(|message| message.idempotency.is_some()));
        }
    }

    fn change_receiver(&mut self) {
        let Some(key) = self.any_endpoint() else { return };
        let behaviour = match self.rng.random_range(0..10) {
            0..=3 => Behaviour::Accepts,
            4 | 5 => Behaviour::Flaky,
            6 => Behaviour::Refuses(if self.rng.random_ratio(1, 6) { 410 } else { 500 }),
            7 => Behaviour::AsksToWait(if self.rng.random_ratio(1, 2) { 429 } else { 503 }, self.rng.random_range(0..5)),
            8 => Behaviour::Hangs,
            _ => Behaviour::Resets,
        };
        self.history.note(format_args!("receiver {} now: {behaviour:?}", key.id));
        if behaviour == Behaviour::Refuses(410) {
            self.note_disabled(key.id);
        }
        self.receivers.set(key.id, behaviour);
    }

    fn note_disabled(&self, endpoint: EndpointId) {
        self.history
            .change(|past, _| past.endpoints.iter_mut().filter(|past| past.id == endpoint).for_each(|past| past.was_disabled = true));
    }

    /// Kills a node as by SIGKILL: now, or at a later await.
    async fn kill(&mut self) {
        let Some(node) = self.any_node() else { return };
        let gate = Arc::clone(&self.nodes[node].gate);
        if self.rng.random_ratio(1, 3) {
            return gate.kill();
        }
        gate.kill_after(self.rng.random_range(1..60));
        if self.rng.random_ratio(1, 2) {
            self.publish().await;
        }
    }

    /// Stops a node in order.
    async fn stop(&mut self) {
        let Some(node) = self.any_node().filter(|node| self.nodes[*node].gate.state() == State::Open) else { return };
        let node = self.nodes.swap_remove(node);
        self.history.note(format_args!("node {} stops", node.gate.node));
        // Attempts that end too late, or cannot be recorded any more, fall due again.
        node.gate.lost(Loss::Ended);
        node.handle.stop(Duration::from_secs(1), tokio::time::Instant::now() + Duration::from_secs(1)).await;
        node.gate.kill();
    }

    fn freeze_or_thaw(&mut self) {
        let frozen = self.nodes.iter().position(|node| node.gate.state() == State::Frozen);
        match frozen {
            Some(frozen) => self.nodes[frozen].gate.thaw(),
            None if self.hub.is_some() => {
                if let Some(node) = self.any_node() {
                    self.nodes[node].gate.freeze();
                }
            }
            // A directory belongs to one process: starting another there ends the first.
            None => {}
        }
    }

    async fn change_endpoint(&mut self) {
        let Some(key) = self.any_endpoint() else { return };
        let drawn = self.rng.random_range(0..5);
        let rate = [None, Some(2), Some(5), Some(20)][self.rng.random_range(0..4)];
        let now = self.clock.now();
        match drawn {
            0 | 1 => self.note_disabled(key.id),
            2 | 3 => {}
            _ => self.history.change(|past, at| {
                past.endpoints.iter_mut().filter(|past| past.id == key.id).for_each(|past| past.rates.push((at, rate)));
            }),
        }
        self.history.note(format_args!("endpoint {} is changed: {drawn} {rate:?}", key.id));
        let change = |endpoint: &mut Endpoint| {
            match drawn {
                0 | 1 => (endpoint.status, endpoint.hold) = (EndpointStatus::Disabled, None),
                2 | 3 => (endpoint.status, endpoint.disabled_reason, endpoint.hold) = (EndpointStatus::Active, None, None),
                _ => endpoint.rate_limit_per_second = rate,
            }
            endpoint.updated_at = now;
            Ok::<_, hookstream_store::Error>(())
        };
        endpoints::update(&*self.inner, &self.audit_context(), key, change).await.expect("changed");
        self.notify(key.application_id);
    }

    /// Audit context of the simulation. All entries share one id, because drawing one would change the meaning of the
    /// seeds.
    fn audit_context(&self) -> AuditContext {
        AuditContext::of_system(EntryId::from_bytes([0; 16]), self.clock.now())
    }

    async fn delete_endpoint(&mut self) {
        if self.endpoints.len() < 2 {
            return;
        }
        let key = self.endpoints.swap_remove(self.rng.random_range(0..self.endpoints.len()));
        endpoints::delete(&*self.inner, &self.audit_context(), key).await.expect("deleted");
        let informed = self.notify(key.application_id);
        self.history.note(format_args!("endpoint {} is deleted", key.id));
        self.history.change(|past, now| {
            past.endpoints.iter_mut().filter(|past| past.id == key.id).for_each(|past| past.deleted = Some((now, informed)));
        });
    }

    /// Notifies one node of a change, as its API would, and the others as the store would. Returns the number of the
    /// first.
    fn notify(&mut self, application: ApplicationId) -> Option<u32> {
        if let Some(hub) = &self.hub {
            let _ = hub.nudges.send(Nudge::Changed);
        }
        let node = self.any_node()?;
        change_feed::apply(&self.nodes[node].handle.core, Change::Application(application));
        Some(self.nodes[node].gate.node)
    }

    async fn retry_by_hand(&mut self) {
        let accepted: Vec<_> = self.history.look(|past| past.accepted.iter().map(|message| (message.id, message.application)).collect());
        if accepted.is_empty() {
            return;
        }
        let (message, application) = accepted[self.rng.random_range(0..accepted.len())];
        if let Some(node) = self.any_node() {
            self.history.note(format_args!("{message} is to be sent again"));
            let handle = self.nodes[node].handle.clone();
            let _ = tokio::time::timeout(
                PATIENCE,
                handle.retry(self.tenant, &application.to_string(), message, crate::RetrySelection::default()),
            )
            .await;
        }
    }

    async fn job(&mut self) {
        let (Some(key), Some(node)) = (self.any_endpoint(), self.any_node()) else { return };
        let kind = if self.rng.random_ratio(1, 3) { JobKind::Replay } else { JobKind::Recover };
        let request = JobRequest {
            kind,
            since: Timestamp::from_millis(STARTS[0] - 3_600_000 * 24),
            until: None,
            statuses: None,
            event_types: None,
            rate_limit: Some(self.rng.random_range(5..200)),
            max_messages: Some(self.rng.random_range(1..100)),
        };
        let (handle, inner, tenant, act) = (self.nodes[node].handle.clone(), Arc::clone(&self.inner), self.tenant, self.audit_context());
        self.history.note(format_args!("a job for {}: {}", key.id, kind.as_str()));
        let create = async {
            if let Ok((job, _)) = handle.plan(tenant, &key.application_id.to_string(), key.id, &request).await {
                jobs::create(&*inner, &act, &job, None).await.expect("a job");
                handle.note_job();
            }
        };
        let _ = tokio::time::timeout(PATIENCE, create).await;
    }

    fn set_clock(&mut self) {
        let is_behind = self.history.look(|past| past.clock_behind.last().is_some_and(|(_, until)| until.is_none()));
        let by = if is_behind || self.rng.random_ratio(1, 2) { 3_600_000 } else { -3_600_000 };
        self.history.note(format_args!("the clock is set by {by} ms"));
        let is_behind = self.clock.jump(by);
        self.history.change(|past, now| match past.clock_behind.last_mut() {
            Some((_, until @ None)) if !is_behind => *until = Some(now),
            Some((_, None)) => {}
            Some(_) | None if is_behind => past.clock_behind.push((now, None)),
            Some(_) | None => {}
        });
    }

    fn change_faults(&mut self) {
        let (before, after) = match self.rng.random_range(0..3) {
            0 => (0, 0),
            1 => (self.rng.random_range(10..100), self.rng.random_range(0..50)),
            _ => (self.rng.random_range(100..400), self.rng.random_range(0..200)),
        };
        self.history.note(format_args!("faults in a thousand: {before} before a commit, {after} after it"));
        self.faults.set(before, after);
    }

    fn any_node(&mut self) -> Option<usize> {
        (!self.nodes.is_empty()).then(|| self.rng.random_range(0..self.nodes.len()))
    }

    fn any_endpoint(&mut self) -> Option<EndpointKey> {
        (!self.endpoints.is_empty()).then(|| self.endpoints[self.rng.random_range(0..self.endpoints.len())])
    }
}

/// Sends a message and notes the response. Returns the message if there was none.
pub(super) async fn send(history: Arc<History>, handle: Handle, tenant: Tenant, mut message: Outgoing) -> Option<Outgoing> {
    let sent = *message.sent.get_or_insert_with(|| history.now());
    let body = format!(r#"{{"k":"{}","n":{}}}"#, char::from(message.key), message.number);
    let mut fingerprint = [0; 32];
    fingerprint[..4].copy_from_slice(&message.number.to_be_bytes());
    let draft = Draft {
        is_event: true,
        channels: vec![],
        event_type: "a.b".to_owned(),
        payload: Payload { body: body.into(), content_type: ContentType::Json },
        event_id: None,
        idempotency: message.idempotency.clone().map(|key| IdempotencyKey { key, fingerprint }),
        hops: Hops::default(),
        trace: None,
    };
    let application = message.application;
    match tokio::time::timeout(PATIENCE, handle.send(tenant, &application.to_string(), draft)).await {
        Ok(Ok(accepted)) => {
            let id = accepted.id;
            history.note(format_args!("{id} is accepted, {} of {application}", char::from(message.key)));
            let (key, idempotency) = (message.key, message.idempotency);
            history.change(|past, responded| past.accepted.push(AcceptedMessage { id, application, key, idempotency, sent, responded }));
            None
        }
        Ok(Err(_)) | Err(_) => Some(message),
    }
}
