//! Endpoint as answers show it.

use hookstream_model::{
    base::{
        secret::{HIDDEN, Secret},
        time::Timestamp,
    },
    delivery::{hold::Circuit, state::DisabledReason},
    outbound::{endpoint::Endpoint as Model, signature::SigningKey, target::TargetConfig},
};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::fields::Batch;
use crate::auth::application_scope::{ApplicationScope, Requester};

/// Endpoint: a URL that receives an application's messages.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Endpoint {
    #[schema(example = "019dc1e2a3b47c5d8e9f001122334455")]
    id: String,
    org_id: String,
    env_id: String,
    application_id: String,
    /// Your own id of the endpoint, unique in the application; `null` if none is set.
    #[schema(example = "main")]
    uid: Option<String>,
    /// Kind of target: `http`, `rabbitmq` or `test_receiver`.
    #[serde(rename = "type")]
    #[schema(example = "http")]
    kind: &'static str,
    /// Settings of a type other than `http`; `***` stands for a password. `null` for `http`, and in the portal.
    #[schema(value_type = Option<Object>)]
    config: Option<Map<String, Value>>,
    /// URL that receives the deliveries: of the receiver, or of the broker.
    #[schema(example = "https://example.com/webhooks")]
    url: String,
    description: Option<String>,
    /// JSON text of an object.
    #[schema(example = "{\"team\":\"billing\"}")]
    metadata: Option<String>,
    /// Signing algorithm: `hmac-sha256` or `ed25519`.
    #[schema(example = "hmac-sha256")]
    signing_algorithm: &'static str,
    /// `active`, `paused`, `disabled` or, after `expires_at`, `expired`.
    #[schema(example = "active")]
    status: &'static str,
    /// Reason why Hookstream disabled the endpoint: `gone` (it answered 410), `asked_to_stop` (it sent `webhook-delivery: disable`) or
    /// `kept_failing`.
    disabled_reason: Option<&'static str>,
    /// Time since which the endpoint is disabled; `null` unless it is.
    disabled_at: Option<String>,
    /// JSON text of the subscribed event types: names, prefixes such as `invoice.*`, and `*`. `null` and `[]` mean all.
    #[schema(example = "[\"invoice.paid\"]")]
    filter_types: Option<String>,
    /// JSON text of the channels. The endpoint receives only messages that share a channel with it. With `null` or `[]` it receives
    /// messages of any channel.
    channels: Option<String>,
    /// Deliveries per second; `null` and 0 mean no limit.
    rate_limit_per_second: Option<u32>,
    /// Time after which the endpoint receives no more deliveries; `null` means never.
    expires_at: Option<String>,
    /// JSON text of the custom headers that each delivery carries.
    headers: Option<String>,
    /// JSON text of the delays between attempts, in seconds; `null` means the installation's schedule.
    retry_schedule: Option<String>,
    /// Timeout of one attempt, in milliseconds; `null` means the installation's timeout.
    timeout_ms: Option<u32>,
    /// Delivery order: `none`; `strict` (one message at a time, in the order of acceptance); `key` (the same among messages with the
    /// same key).
    #[schema(example = "none")]
    ordering: &'static str,
    /// Path of the ordering key in a payload; `null` unless `ordering` is `key`.
    ordering_key: Option<String>,
    /// Effect of a failed message on the messages behind it, if `ordering` is not `none`: `block`, `skip` or `park`.
    #[schema(example = "block")]
    on_failure: &'static str,
    /// Batching; `null` if each message is sent as a request of its own.
    batch: Option<Batch>,
    /// State of the circuit breaker: `closed`; `open` (nothing is sent after repeated failures); `half_open` (one delivery is sent to
    /// test the endpoint).
    #[schema(example = "closed")]
    circuit_state: &'static str,
    /// Time until which nothing is sent; `null` if deliveries are not held.
    held_until: Option<String>,
    /// Reason for the hold: `failing` (circuit breaker) or `retry_after` (the receiver responded with `Retry-After`).
    hold_reason: Option<&'static str>,
    /// Public key with which the receiver verifies ed25519 signatures.
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    created_at: String,
    updated_at: String,
    /// Secret with which the receiver verifies signatures. It is returned only in the answer that creates the endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    signing_secret: Option<String>,
}

impl Endpoint {
    fn new(endpoint: Model, secret: &Secret, now: Timestamp) -> Self {
        let json = |value: Result<String, serde_json::Error>| value.expect("lists and maps of text and numbers are JSON");
        let hold = endpoint.hold.filter(|hold| hold.holds(now));
        Self {
            status: endpoint.shown_status(now),
            id: endpoint.id.to_string(),
            org_id: endpoint.tenant.organization.to_string(),
            env_id: endpoint.tenant.environment.of_users().to_string(),
            application_id: endpoint.application_id.to_string(),
            uid: endpoint.uid,
            kind: endpoint.kind.as_str(),
            config: endpoint.config.as_ref().map(TargetConfig::shown),
            url: endpoint.url.as_str().to_owned(),
            description: endpoint.description,
            metadata: endpoint.metadata,
            signing_algorithm: endpoint.signing_algorithm.as_str(),
            disabled_reason: endpoint.disabled_reason.map(DisabledReason::as_str),
            disabled_at: endpoint.disabled_at.map(|at| at.to_string()),
            filter_types: endpoint.filter_types.map(|types| json(serde_json::to_string(&types))),
            channels: endpoint.channels.map(|channels| json(serde_json::to_string(&channels))),
            rate_limit_per_second: endpoint.rate_limit_per_second,
            expires_at: endpoint.expires_at.map(|at| at.to_string()),
            headers: endpoint.headers.map(|headers| json(serde_json::to_string(&headers))),
            retry_schedule: endpoint.retry_schedule.map(|schedule| json(serde_json::to_string(schedule.as_seconds()))),
            timeout_ms: endpoint.timeout_ms,
            ordering: endpoint.ordering.as_str(),
            ordering_key: endpoint.ordering.key_path().map(ToString::to_string),
            on_failure: endpoint.on_failure.as_str(),
            batch: endpoint.batch.map(|batch| Batch { max_size: batch.max_size(), max_wait_ms: batch.max_wait_ms() }),
            circuit_state: Circuit::of(endpoint.hold, now).as_str(),
            held_until: hold.map(|hold| hold.until.to_string()),
            hold_reason: hold.map(|hold| hold.reason.as_str()),
            public_key: SigningKey::parse(secret).ok().and_then(|key| key.public_key()),
            created_at: endpoint.created_at.to_string(),
            updated_at: endpoint.updated_at.to_string(),
            signing_secret: None,
        }
    }

    /// Returns the endpoint as the caller may see it: a customer sees the names of custom headers without their
    /// values, and neither metadata nor config, which belong to the sender.
    pub(super) fn shown(scope: &ApplicationScope, mut endpoint: Model, secret: &Secret, now: Timestamp) -> Self {
        if scope.requester == Requester::Customer {
            endpoint.metadata = None;
            endpoint.config = None;
        }
        if let (Requester::Customer, Some(headers)) = (scope.requester, &mut endpoint.headers) {
            headers.values_mut().for_each(|value| HIDDEN.clone_into(value));
        }
        Self::new(endpoint, secret, now)
    }

    /// Returns the endpoint as its sender sees it.
    pub(super) fn for_sender(endpoint: Model, secret: &Secret, now: Timestamp) -> Self {
        Self::new(endpoint, secret, now)
    }

    /// Returns the endpoint with its signing secret, for the answer that creates it.
    pub(super) fn with_secret(self, secret: &Secret) -> Self {
        Self { signing_secret: Some(secret.expose().to_owned()), ..self }
    }
}

/// Answer with an endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EndpointAnswer {
    pub(super) endpoint: Endpoint,
    /// Warnings about values that were accepted but may be mistakes. Present only on create and update.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["filter_types contains invoice.piad, but no event type has that name."]))]
    pub(super) warnings: Vec<String>,
}

impl EndpointAnswer {
    pub(super) const fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, warnings: Vec::new() }
    }
}

/// Page of endpoints.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EndpointList {
    pub(super) endpoints: Vec<Endpoint>,
    /// Cursor of the next page; `null` on the last page.
    pub(super) cursor: Option<String>,
    pub(super) has_more: bool,
}
