//! Publishing over AMQP 0-9-1: one persistent message, `mandatory`, confirmed by the broker.
//!
//! Connections are kept per broker, virtual host and credentials ([`broker`]). A channel carries one publish at a time: a
//! broker closes a channel on an error such as an unknown exchange, and this must not fail other endpoints' messages.

mod broker;
mod frames;
mod link;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use hookstream_model::delivery::outcome::{Failure, FailureKind, Outcome};
use lapin::{
    BasicProperties, Confirmation,
    options::BasicPublishOptions,
    types::{AMQPValue, FieldTable, LongString, ShortString},
};

use self::broker::{Broker, BrokerKey, Unavailable};
pub(super) use self::frames::Excess;
use super::{
    classify::{self, of_amqp},
    render,
    settings::{Protocol, RabbitMqSettings},
};
use crate::{
    Envelope,
    net::{
        failure,
        network::Network,
        steps::{self, Phase, Phases},
    },
};

/// Maximum number of brokers with a connection. Each connection has a thread and about two megabytes of buffers.
const BROKERS_MAX: usize = 256;

/// Persistent message, which a broker stores on disk if its queue is durable.
const PERSISTENT: u8 = 2;

/// Connections to brokers.
pub(super) struct Brokers {
    network: Arc<Network>,
    known: Mutex<HashMap<BrokerKey, Arc<Broker>>>,
}

impl fmt::Debug for Brokers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Brokers")
    }
}

impl Brokers {
    pub(super) fn new(network: Arc<Network>) -> Self {
        Self { network, known: Mutex::default() }
    }

    /// Returns the broker of these settings; `None` if the limit is reached and every broker is in use.
    fn of(self: &Arc<Self>, settings: &RabbitMqSettings) -> Option<Arc<Broker>> {
        let key = BrokerKey::of(settings);
        let mut known = self.lock();
        if let Some(broker) = known.get(&key) {
            return Some(Arc::clone(broker));
        }
        if known.len() >= BROKERS_MAX {
            let idle = known.iter().filter(|(_, broker)| is_unused(broker));
            let oldest = idle.min_by_key(|(_, broker)| broker.used_at()).map(|(key, _)| key.clone())?;
            known.remove(&oldest);
        }
        let broker = Arc::new(Broker::default());
        known.insert(key.clone(), Arc::clone(&broker));
        let forgetting = forget_when_idle(Arc::downgrade(self), key, Arc::downgrade(&broker), self.network.idle_timeout);
        #[expect(clippy::disallowed_methods, reason = "the task holds nothing that a stop must wait for")]
        tokio::spawn(forgetting);
        Some(broker)
    }

    /// Forgets a broker that has no connection, unless it is in use or another one has taken its place.
    fn forget_if_unconnected(&self, settings: &RabbitMqSettings, broker: Arc<Broker>) {
        let key = BrokerKey::of(settings);
        let mut known = self.lock();
        drop(broker);
        if known.get(&key).is_some_and(|broker| is_unused(broker) && !broker.is_connected()) {
            known.remove(&key);
        }
    }

    /// Takes a broker out of the table, if it was unused for the idle time.
    fn take_if_idle(&self, key: &BrokerKey, broker: &Weak<Broker>, idle_timeout: Duration) -> Idle {
        let mut known = self.lock();
        let Some(found) = known.get(key).filter(|found| Weak::ptr_eq(&Arc::downgrade(found), broker)) else { return Idle::Gone };
        if !is_unused(found) || found.used_at().elapsed() < idle_timeout {
            return Idle::InUse;
        }
        known.remove(key).map_or(Idle::Gone, Idle::Taken)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BrokerKey, Arc<Broker>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of brokers that are kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }
}

/// Forgets a broker, and so closes its connection, one idle time after its last use.
async fn forget_when_idle(brokers: Weak<Brokers>, key: BrokerKey, broker: Weak<Broker>, idle_timeout: Duration) {
    loop {
        tokio::time::sleep(idle_timeout).await;
        let Some(brokers) = brokers.upgrade() else { return };
        match brokers.take_if_idle(&key, &broker, idle_timeout) {
            Idle::Taken(broker) => return broker.close().await,
            Idle::InUse => {}
            Idle::Gone => return,
        }
    }
}

/// State of a broker when its idle time may have ended.
enum Idle {
    /// The broker is no longer in the table.
    Taken(Arc<Broker>),
    /// The broker was used meanwhile.
    InUse,
    /// The broker was forgotten before; another one may have taken its place.
    Gone,
}

/// Returns true if only the table refers to the broker.
fn is_unused(broker: &Arc<Broker>) -> bool {
    Arc::strong_count(broker) == 1
}

/// Makes one attempt.
pub(super) async fn publish(
    brokers: &Arc<Brokers>,
    settings: &RabbitMqSettings,
    envelope: &Envelope<'_>,
    phases: &Arc<Phases>,
    timeout: Duration,
) -> Outcome {
    let Some(broker) = brokers.of(settings) else {
        let detail = format!("all {BROKERS_MAX} connections to brokers that this installation may have are in use");
        return Outcome::Retryable(Failure::new(FailureKind::ConnectionFailed, detail));
    };
    let exchange = steps::within(phases, exchange(brokers, &broker, settings, envelope, phases));
    let outcome = match tokio::time::timeout(timeout, exchange).await {
        Ok(Ok(confirmation)) => confirmed(&confirmation, settings),
        Ok(Err(Unavailable::Connect(error))) => Outcome::Retryable(failure::classify_connect(&error)),
        Ok(Err(Unavailable::Amqp(error))) => Outcome::Retryable(of_amqp::failure(&error, settings)),
        Err(_) if broker.is_blocked() => {
            let detail = format!("no confirmation within {} ms: the broker blocks publishers (memory or disk alarm)", timeout.as_millis());
            Outcome::Retryable(Failure::new(FailureKind::Timeout, detail))
        }
        Err(_) => Outcome::Retryable(failure::no_response_within(timeout)),
    };
    broker.note_use();
    if !outcome.is_accepted() {
        brokers.forget_if_unconnected(settings, broker);
    }
    outcome
}

/// Publishes and waits for the confirmation.
async fn exchange(
    brokers: &Arc<Brokers>,
    broker: &Arc<Broker>,
    settings: &RabbitMqSettings,
    envelope: &Envelope<'_>,
    phases: &Phases,
) -> Result<Confirmation, Unavailable> {
    let with_tls = matches!(settings.protocol, Protocol::Amqp { with_tls: true });
    let channel = broker.channel(&brokers.network.shared, settings, with_tls).await?;
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let (exchange, key) = (ShortString::from(settings.exchange.as_str()), ShortString::from(settings.routing_key.as_str()));
    let publishing = channel.publish(exchange, key, options, &envelope.body, properties(settings, envelope)).await?;
    phases.done(Phase::Write);
    let confirmation = publishing.await.map_err(Unavailable::Amqp)?;
    phases.done(Phase::FirstByte);
    channel.release();
    Ok(confirmation)
}

fn properties(settings: &RabbitMqSettings, envelope: &Envelope<'_>) -> BasicProperties {
    let mut headers = FieldTable::default();
    for (name, value) in render::headers(settings, envelope) {
        // A name longer than AMQP allows has no place in the table.
        if let Ok(name) = ShortString::try_new(name) {
            headers.insert(name, AMQPValue::LongString(LongString::from(value)));
        }
    }
    let properties = BasicProperties::default()
        .with_content_type(envelope.content_type.as_str().into())
        .with_delivery_mode(PERSISTENT)
        .with_message_id(envelope.id.as_ref().into())
        .with_timestamp(render::seconds(envelope.signed_at))
        .with_headers(headers);
    match envelope.event_type {
        Some(event_type) => properties.with_type(event_type.into()),
        None => properties,
    }
}

/// Decides about a confirmation. A broker returns an unroutable message before it confirms it.
fn confirmed(confirmation: &Confirmation, settings: &RabbitMqSettings) -> Outcome {
    match confirmation {
        Confirmation::Ack(None) => Outcome::Accepted { response: None, asks_to_stop: false },
        Confirmation::Ack(Some(_)) => Outcome::Retryable(classify::unroutable(settings)),
        Confirmation::Nack(_) => {
            let detail = "the broker could not store the message (basic.nack), for example because a queue is full";
            Outcome::Retryable(Failure::new(FailureKind::MessageRefused, detail).overloaded(None))
        }
        Confirmation::NotRequested => {
            Outcome::Retryable(Failure::new(FailureKind::ResponseInvalid, "the broker does not confirm messages"))
        }
    }
}
