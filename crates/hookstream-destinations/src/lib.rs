//! All outbound connections: deliveries to targets of users, one folder per kind ([`http`], [`rabbitmq`], [`test_receiver`],
//! the services of [`notifications`]), and connections to
//! servers of the operator: a mail server ([`mail`](services::mail)), OpenID Connect providers
//! ([`oidc`](services::oidc)) and a collector of OpenTelemetry ([`collector`](services::collector)).
//!
//! A kind owns its protocol: `settings.rs` checks what a user entered, `render.rs` builds the request from an
//! [`Envelope`], `send.rs` makes one attempt, `classify.rs` decides its [`Outcome`]. A kind never retries, sleeps,
//! records or uses the store. The model decides the consequences of an outcome, for all kinds.

#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod http;
mod instruments;
pub mod net;
pub mod notifications;
pub mod rabbitmq;
pub mod services;
pub mod test_receiver;

use std::{borrow::Cow, collections::BTreeMap, fmt, net::IpAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use hookstream_model::{
    InvalidField,
    base::{ids::TargetId, time::Timestamp, trace_context::TraceContext},
    delivery::{
        outcome::{Failure, FailureKind, Outcome},
        timings::Timings,
    },
    outbound::{
        endpoint::EndpointUrl,
        message::ContentType,
        signature::SigningKeys,
        target::{TargetConfig, TargetKind},
    },
};

use crate::{
    http::HttpDestination,
    net::{Error, Options, Trust, network::Network},
    notifications::{EmailDestination, NotificationDestination},
    rabbitmq::RabbitMqDestination,
    services::mail::Mailer,
    test_receiver::TestReceiverDestination,
};

pub use crate::{
    instruments::Instruments,
    net::guard::{AddressPolicy, Rule},
};

/// Kind of target.
pub trait Destination: Send + Sync + 'static {
    /// Checks the settings of an endpoint and prepares its target. Opens no connection.
    ///
    /// # Errors
    /// Names the field and the rule that it breaks.
    fn check(&self, settings: &Settings<'_>) -> Result<Arc<dyn Target>, InvalidField>;
}

/// Target of deliveries, with its settings parsed once. It holds the connections of its kind, so that settings of one kind
/// cannot be sent with another.
#[async_trait]
pub trait Target: fmt::Debug + Send + Sync {
    /// Checks whether the installation's policy allows the target's current address. A name that does not resolve is
    /// accepted, because every connection checks again.
    async fn check_address(&self) -> Result<(), AddressRefused>;

    /// Makes one attempt. The result is always an outcome, within `timeout` for the whole exchange.
    async fn send(&self, envelope: &Envelope<'_>, timeout: Duration) -> Sent;

    /// Renders the request that an attempt of this envelope sends, for people; `None` if the settings cannot be used.
    fn rendered(&self, envelope: &Envelope<'_>) -> Option<RenderedRequest>;
}

/// Request of an attempt, for people. Values of the endpoint's own headers are contained, so the caller hides them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedRequest {
    /// Method of the protocol.
    pub method: &'static str,
    /// Address, without credentials.
    pub url: String,
    /// Headers that Hookstream sets; those of the transport (`host`, `content-length`) are left out.
    pub headers: Vec<(String, String)>,
}

/// Settings of an endpoint, as stored.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// Kind of the target.
    pub kind: TargetKind,
    /// URL of the receiver or broker.
    pub url: &'a EndpointUrl,
    /// Settings besides the URL; `None` for kinds that have none.
    pub config: Option<&'a TargetConfig>,
    /// Custom headers.
    pub headers: Option<&'a BTreeMap<String, String>>,
}

/// One message or batch to deliver, without any protocol.
#[derive(Debug, Clone)]
pub struct Envelope<'a> {
    /// Id by which receivers recognize a repetition: the message's, or the batch's.
    pub id: Cow<'a, str>,
    /// Target of the delivery.
    pub target_id: TargetId,
    /// Event type; `None` for a batch.
    pub event_type: Option<&'a str>,
    /// Payload, byte for byte.
    pub body: Bytes,
    /// Type of the payload.
    pub content_type: ContentType,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Number of deliveries that led to this one, itself included.
    pub hops: u32,
    /// Number of messages in a batch; `None` for a message by itself.
    pub batch_size: Option<usize>,
    /// Place in the trace of the message, if its receiver is told.
    pub trace: Option<&'a TraceContext>,
    /// Keys that sign.
    pub keys: &'a SigningKeys,
    /// Wall-clock time of the signature, because the receiver compares it with its own clock.
    pub signed_at: Timestamp,
}

impl Envelope<'_> {
    /// Returns the Standard Webhooks signature of id, time and body.
    pub fn signature(&self) -> String {
        self.keys.sign(&self.id, self.signed_at, &self.body)
    }
}

/// Result of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Outcome of the attempt.
    pub outcome: Outcome,
    /// Durations of its parts.
    pub timings: Timings,
}

/// All kinds of targets of an installation.
pub struct Registry {
    kinds: BTreeMap<&'static str, Box<dyn Destination>>,
    network: Option<Arc<Network>>,
}

impl Registry {
    /// Builds a registry of all kinds, over one network. Without a mailer, e-mail is not available.
    ///
    /// # Errors
    /// If TLS or name resolution cannot be set up.
    pub fn new(options: Options, mailer: Option<Arc<Mailer>>) -> Result<Self, Error> {
        let network = Arc::new(Network::new(options)?);
        let mut kinds: Vec<(TargetKind, Box<dyn Destination>)> = vec![
            (TargetKind::Http, Box::new(HttpDestination(Arc::clone(&network)))),
            (TargetKind::TestReceiver, Box::new(TestReceiverDestination(Arc::clone(&network)))),
            (TargetKind::RabbitMq, Box::new(RabbitMqDestination::new(Arc::clone(&network)))),
            (TargetKind::Email, Box::new(EmailDestination(mailer))),
        ];
        for kind in TargetKind::SERVICES.into_iter().filter(|kind| *kind != TargetKind::Email) {
            kinds.push((kind, Box::new(NotificationDestination::new(kind, Arc::clone(&network)))));
        }
        Ok(Self { network: Some(network), ..Self::of(kinds) })
    }

    /// Builds a registry of given kinds, such as the receivers of a simulation.
    pub fn of(kinds: impl IntoIterator<Item = (TargetKind, Box<dyn Destination>)>) -> Self {
        Self { kinds: kinds.into_iter().map(|(kind, destination)| (kind.as_str(), destination)).collect(), network: None }
    }

    /// Checks the settings of an endpoint before they are saved.
    ///
    /// # Errors
    /// Names the field and the rule that it breaks.
    pub fn check(&self, settings: &Settings<'_>) -> Result<Arc<dyn Target>, InvalidField> {
        match self.kinds.get(settings.kind.as_str()) {
            Some(destination) => destination.check(settings),
            None => Err(InvalidField::new("type", format!("`{}` is not available in this installation", settings.kind.as_str()))),
        }
    }

    /// Prepares the target of stored settings. Settings that this version refuses make a target whose attempts fail with
    /// the reason, so that one endpoint does not stop the others of its application.
    pub fn target(&self, settings: &Settings<'_>) -> Arc<dyn Target> {
        self.check(settings).unwrap_or_else(|invalid| Arc::new(Unusable(invalid)))
    }

    /// Returns the instruments of the network; empty ones for a registry without one.
    pub fn instruments(&self) -> Instruments {
        self.network.as_ref().map(|network| network.shared.instruments.clone()).unwrap_or_default()
    }

    /// Replaces the trust settings for new connections; existing ones are unchanged.
    ///
    /// # Errors
    /// If the settings are invalid; the previous ones remain.
    pub fn trust(&self, trust: Trust) -> Result<(), Error> {
        self.network.as_ref().map_or(Ok(()), |network| network.trust(trust))
    }

    /// Replaces the address policy for new connections; existing ones are unchanged.
    pub fn allow(&self, policy: AddressPolicy) {
        if let Some(network) = &self.network {
            network.allow(policy);
        }
    }
}

/// Target whose stored settings cannot be used.
#[derive(Debug)]
struct Unusable(InvalidField);

#[async_trait]
impl Target for Unusable {
    async fn check_address(&self) -> Result<(), AddressRefused> {
        Ok(())
    }

    async fn send(&self, _: &Envelope<'_>, _: Duration) -> Sent {
        let failure = Failure::new(FailureKind::SettingsInvalid, format!("{}. Update the endpoint", self.0));
        Sent { outcome: Outcome::Retryable(failure), timings: Timings::default() }
    }

    fn rendered(&self, _: &Envelope<'_>) -> Option<RenderedRequest> {
        None
    }
}

/// Address that the installation's policy does not allow.
///
/// The text continues the name of a URL: "`url` leads to …". The text is for the tenant. It contains the address only
/// if the URL does, because addresses in the operator's network are confidential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressRefused {
    /// Rejected address.
    pub address: IpAddr,
    /// Rule that rejects it.
    pub rule: Rule,
    /// True if the address was resolved from a name.
    pub is_of_name: bool,
}

impl fmt::Display for AddressRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, rule, is_of_name } = self;
        if *is_of_name {
            return write!(
                f,
                "leads to an address that this installation does not allow ({rule}). Its operator can allow networks with the setting \
                 allow_targets; the server's log names the address"
            );
        }
        let bits = if address.is_ipv4() { 32 } else { 128 };
        write!(
            f,
            "leads to {address} ({rule}), which this installation does not allow. Its operator can allow it with the setting \
             allow_targets (--allow-targets {address}/{bits})"
        )
    }
}

impl std::error::Error for AddressRefused {}
