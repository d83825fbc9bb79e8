//! Messages, deliveries and attempts as responses show them.

use std::time::Duration;

use hookstream_engine::{Accepted, ApplicationRoutes};
use hookstream_model::{
    base::ids::EndpointId,
    delivery::{
        attempt::Attempt as AttemptModel,
        state::DeliveryState,
        timings::{Timings, Waterfall as WaterfallModel},
    },
    identity::tenancy::Tenant,
};
use hookstream_store::delivery::messages::{Delivery as StoredDelivery, Message as Stored};
use serde::Serialize;
use utoipa::ToSchema;

/// Message: an event that is delivered to every matching endpoint of an application.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Message {
    /// Id of the message. Receivers see it as `webhook-id`.
    #[schema(example = "019dc1e2a3b47c5d8e9f001122334455")]
    id: String,
    org_id: String,
    env_id: String,
    application_id: String,
    #[schema(example = "invoice.paid")]
    event_type: String,
    /// Body that receivers get, byte for byte; `null` if the payload has expired.
    #[schema(example = "{\"invoice_id\":42}")]
    payload: Option<String>,
    /// Whether the payload has expired and was removed. Then `payload` is `null`, and the message cannot be sent again.
    payload_expired: bool,
    /// `pending`, `delivered` (to every matched endpoint), `failed` (to at least one, and none is pending) or `skipped`.
    #[schema(example = "pending")]
    status: &'static str,
    /// Your own id of the message; `null` if none is set.
    event_id: Option<String>,
    /// JSON text of the channels; `null` if there are none.
    channels: Option<String>,
    created_at: String,
    updated_at: String,
}

impl Message {
    pub(super) fn from_stored(tenant: Tenant, message: Stored) -> Self {
        Self {
            id: message.id.to_string(),
            org_id: tenant.organization.to_string(),
            env_id: tenant.environment.of_users().to_string(),
            application_id: message.origin_id.to_string(),
            payload_expired: message.payload.is_none(),
            payload: message.payload.map(|payload| payload.as_text().to_owned()),
            status: message.counts.status().as_str(),
            event_type: message.event_type,
            event_id: message.event_id,
            channels: channels_text(&message.channels),
            created_at: message.id.timestamp().to_string(),
            updated_at: message.updated_at.to_string(),
        }
    }

    pub(crate) fn from_accepted(tenant: Tenant, accepted: Accepted) -> Self {
        let Accepted { id, application_id, event_type, payload, event_id, channels, status, is_repeated: _ } = accepted;
        let created_at = id.timestamp().to_string();
        Self {
            id: id.to_string(),
            org_id: tenant.organization.to_string(),
            env_id: tenant.environment.of_users().to_string(),
            application_id: application_id.to_string(),
            payload_expired: payload.is_none(),
            payload: payload.map(|payload| payload.as_text().to_owned()),
            status: status.as_str(),
            event_type,
            event_id,
            channels: channels_text(&channels),
            updated_at: created_at.clone(),
            created_at,
        }
    }
}

fn channels_text(channels: &[String]) -> Option<String> {
    (!channels.is_empty()).then(|| serde_json::to_string(channels).expect("texts are JSON"))
}

/// Duration of each phase of an attempt, in milliseconds with three decimals. A phase that did not take place or did not complete is
/// `null`. A reused connection has no `dns_ms`, `connect_ms` and `tls_ms`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub(crate) struct Waterfall {
    /// Time from when the attempt was due until it began.
    #[schema(example = 1.0)]
    queue_ms: f64,
    /// Resolving the host name.
    #[schema(example = 2.518)]
    dns_ms: Option<f64>,
    /// Establishing the connection.
    #[schema(example = 11.204)]
    connect_ms: Option<f64>,
    /// The TLS handshake.
    #[schema(example = 24.73)]
    tls_ms: Option<f64>,
    /// Sending the request.
    #[schema(example = 0.085)]
    write_ms: Option<f64>,
    /// Waiting for the head of the response.
    #[schema(example = 132.409)]
    first_byte_ms: Option<f64>,
    /// Reading the body of the response.
    #[schema(example = 0.031)]
    read_ms: Option<f64>,
}

impl From<WaterfallModel> for Waterfall {
    fn from(waterfall: WaterfallModel) -> Self {
        let WaterfallModel { queue, exchange } = waterfall;
        let Timings { dns, connect, tls, write, first_byte, read } = exchange;
        // An integer is divided once, so the result prints with at most three decimals.
        let ms = |part: Duration| part.as_micros() as f64 / 1_000.0;
        Self {
            queue_ms: ms(queue),
            dns_ms: dns.map(ms),
            connect_ms: connect.map(ms),
            tls_ms: tls.map(ms),
            write_ms: write.map(ms),
            first_byte_ms: first_byte.map(ms),
            read_ms: read.map(ms),
        }
    }
}

/// Attempt of a delivery.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Attempt {
    id: String,
    org_id: String,
    env_id: String,
    message_id: String,
    endpoint_id: String,
    /// Status code of the response; `null` if there was no response.
    #[schema(example = 200)]
    response_status: Option<u16>,
    /// First 16 KiB of the response's body; `null` if there was no response.
    response_body: Option<String>,
    /// Duration of the attempt, in milliseconds.
    duration_ms: u64,
    /// Duration of each phase; `null` if it is not known.
    waterfall: Option<Waterfall>,
    /// Outcome: `success` or `failed`.
    #[schema(example = "success")]
    status: &'static str,
    /// Reason of the failure: a word of a fixed vocabulary, a colon and a sentence; `null` on success.
    #[schema(example = "timeout: no answer within 20 s")]
    error: Option<String>,
    /// Number of the attempt, counted from 1.
    attempt_number: u32,
    /// Cause of the attempt: `initial`, `automatic` (a retry by the schedule), `manual`, `recover`, `replay` or `test`.
    #[schema(example = "initial")]
    trigger_type: &'static str,
    created_at: String,
    /// Current URL of the endpoint; `null` if the endpoint was deleted.
    endpoint_url: Option<String>,
}

/// Delivery of a message to one endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Delivery {
    endpoint_id: String,
    /// Current URL of the endpoint; `null` if the endpoint was deleted.
    endpoint_url: Option<String>,
    /// `pending`, `succeeded`, `exhausted` (all attempts failed), `skipped` or `cancelled`.
    #[schema(example = "pending")]
    status: &'static str,
    /// Reason why the delivery ended without success, such as `endpoint_disabled`; `null` otherwise.
    reason: Option<&'static str>,
    /// Number of attempts.
    attempt_count: u32,
    /// Time of the next attempt; `null` unless the delivery is pending.
    next_attempt_at: Option<String>,
    /// Time at which the delivery ended without success; `null` otherwise.
    ended_at: Option<String>,
}

fn endpoint_url(routes: &ApplicationRoutes, endpoint: EndpointId) -> Option<String> {
    routes.endpoint(endpoint).map(|route| route.endpoint.url.as_str().to_owned())
}

pub(crate) fn show_attempt(tenant: Tenant, routes: &ApplicationRoutes, attempt: AttemptModel) -> Attempt {
    let endpoint = EndpointId::from(attempt.route_id);
    Attempt {
        id: attempt.id.to_string(),
        org_id: tenant.organization.to_string(),
        env_id: tenant.environment.of_users().to_string(),
        message_id: attempt.message_id.to_string(),
        endpoint_id: endpoint.to_string(),
        response_status: attempt.response_status,
        response_body: attempt.response_body,
        duration_ms: u64::try_from(attempt.duration.as_millis()).unwrap_or(u64::MAX),
        waterfall: attempt.waterfall.map(Waterfall::from),
        status: if attempt.succeeded { "success" } else { "failed" },
        error: attempt.error,
        attempt_number: attempt.number,
        trigger_type: attempt.trigger.as_str(),
        created_at: attempt.created_at.to_string(),
        endpoint_url: endpoint_url(routes, endpoint),
    }
}

pub(super) fn show_delivery(routes: &ApplicationRoutes, delivery: &StoredDelivery) -> Delivery {
    let endpoint = EndpointId::from(delivery.route_id);
    Delivery {
        endpoint_id: endpoint.to_string(),
        endpoint_url: endpoint_url(routes, endpoint),
        status: delivery.state.as_str(),
        reason: delivery.state.reason(),
        attempt_count: delivery.attempts,
        next_attempt_at: match delivery.state {
            DeliveryState::Pending { due_at } => Some(due_at.to_string()),
            DeliveryState::Succeeded
            | DeliveryState::Exhausted { .. }
            | DeliveryState::Skipped { .. }
            | DeliveryState::Cancelled { .. } => None,
        },
        ended_at: delivery.ended_at.map(|at| at.to_string()),
    }
}
