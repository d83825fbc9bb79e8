//! Explanation of a message: the accepted message, matched and unmatched endpoints with reasons, attempts, the next
//! attempt, and the action that gets it delivered.
//!
//! The model decides the facts; [`sentences`] words them.

mod sentences;

use axum::{Json, extract::State};
use hookstream_engine::{ApplicationRoutes, EndpointRoute};
use hookstream_model::{
    base::{ids::EndpointId, time::Timestamp},
    delivery::{
        attempt::Attempt as AttemptModel,
        explain::{next_step, remedy, wait_reason, why_unmatched},
        state::{DeliveryState, Trigger},
    },
};
use hookstream_store::delivery::messages::{Delivery, Message, MessageDetail, PendingDetail};
use serde::Serialize;
use utoipa::ToSchema;

use self::sentences::{Statement, Subject};
use super::messages::{
    read::find_anywhere,
    view::{Attempt, show_attempt},
};
use crate::{
    auth::{application_scope::ApplicationScope, caller::Caller},
    http::{
        error::ApiError,
        params::{OfMessage, PathParams, id},
    },
    state::Api,
};

/// Maximum number of endpoints without a delivery that are explained individually.
const UNMATCHED_SHOWN: usize = 100;

/// Answer with an explanation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExplanationAnswer {
    explanation: Explanation,
}

/// Explanation of why a message was or was not delivered.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Explanation {
    message: ExplainedMessage,
    /// Status of the message, in a sentence or two.
    #[schema(example = "Matched 2 endpoints: 1 succeeded, 1 pending. The next attempt is due at 2026-11-24T08:05:00.000Z.")]
    summary: String,
    /// Sentences of `summary`, each with its code and parameters.
    statements: Vec<Statement>,
    /// Time to which the explanation refers.
    as_of: String,
    /// Matched endpoints, followed by unmatched ones; each group oldest first.
    endpoints: Vec<ExplainedEndpoint>,
    /// Number of unmatched endpoints that are not listed: at most 100 are listed.
    unmatched_left_out: usize,
}

/// Message of an explanation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExplainedMessage {
    /// Id of the message. Receivers see it as `webhook-id`.
    #[schema(example = "019dc1e2a3b47c5d8e9f001122334455")]
    id: String,
    application_id: String,
    #[schema(example = "invoice.paid")]
    event_type: String,
    /// Your own id of the message; `null` if none is set.
    event_id: Option<String>,
    /// Size of the payload, in bytes; `null` if the payload has expired.
    #[schema(example = 1234)]
    size_bytes: Option<usize>,
    /// `content-type` that receivers see; `null` if the payload has expired.
    #[schema(example = "application/json")]
    content_type: Option<&'static str>,
    /// Whether the payload has expired and was removed. Then the message cannot be sent again.
    payload_expired: bool,
    /// `pending`, `delivered`, `failed` or `skipped`.
    #[schema(example = "pending")]
    status: &'static str,
    /// Time at which the message was accepted.
    accepted_at: String,
}

/// Explanation for one endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExplainedEndpoint {
    endpoint_id: String,
    /// Current URL of the endpoint; `null` if the endpoint was deleted.
    endpoint_url: Option<String>,
    /// Current status of the endpoint: `active`, `paused`, `disabled`, `expired` or `deleted`.
    #[schema(example = "active")]
    endpoint_status: &'static str,
    /// Whether the message matched the endpoint.
    matched: bool,
    /// Status of the delivery: `pending`, `succeeded`, `exhausted`, `skipped` or `cancelled`; `unmatched` if there is no delivery.
    #[schema(example = "pending")]
    status: &'static str,
    /// Reason, as a word: that of the delivery (`schedule_ended`, `endpoint_disabled`, …), or for an unmatched endpoint
    /// `type_not_wanted`, `other_channels`, `endpoint_created_later`, `endpoint_changed_later` or `test_of_another_endpoint`.
    reason: Option<&'static str>,
    /// Reason, in sentences.
    #[schema(
        example = "The last attempt failed (http_status: the receiver responded with 503). Attempt 2 of 10 is due at 2026-11-24T08:05:00.000Z."
    )]
    why: String,
    /// Action that gets the message delivered; `null` if it was delivered.
    next_step: Option<String>,
    /// Sentences of `why`, followed by that of `next_step`, each with its code and parameters.
    statements: Vec<Statement>,
    /// Next attempt; `null` if none is pending.
    next_attempt: Option<NextAttempt>,
    /// Time at which the delivery ended without success; `null` otherwise.
    ended_at: Option<String>,
    /// Attempts, oldest first.
    attempts: Vec<Attempt>,
}

/// Next attempt of a delivery.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NextAttempt {
    /// Time at which the attempt is due.
    due_at: String,
    /// `attempt_number` that the attempt will have.
    #[schema(example = 2)]
    attempt_number: u32,
    /// Step of the retry schedule, counted from 1. A manual retry starts the schedule again.
    #[schema(example = 2)]
    step: u32,
    /// Number of steps of the retry schedule.
    #[schema(example = 10)]
    steps: u32,
    /// Whether a node has claimed the delivery: then it is queued for its endpoint there, or the attempt is in progress.
    is_taken: bool,
}

/// Explain a message
///
/// The explanation says why the message was or was not delivered: matched and unmatched endpoints with their reasons, each attempt with the
/// duration of its phases, the next attempt, and the action that gets the message delivered.
#[utoipa::path(
    get, path = "/applications/{appId}/messages/{msgId}/explain", operation_id = "explainMessage", tag = "Messages",
    params(("appId" = String, Path, description = "The application's id or `uid`."), ("msgId" = String, Path, description = "The message's id.")),
    responses((status = 200, description = "Explanation.", body = ExplanationAnswer))
)]
pub(crate) async fn explain(
    State(api): State<Api>,
    scope: ApplicationScope,
    PathParams(OfMessage { message }): PathParams<OfMessage>,
) -> Result<Json<ExplanationAnswer>, ApiError> {
    let routes = scope.routes(&api).await?;
    let message = id(&message, "Message")?;
    let found = api.store.message(scope.tenant, routes.id().into(), message).await?.ok_or_else(|| ApiError::not_found("Message"))?;
    Ok(Json(ExplanationAnswer { explanation: explanation(&routes, found, api.now()) }))
}

/// Explain a message by its id
///
/// The application need not be known. The answer is that of explaining a message of an application.
#[utoipa::path(
    get, path = "/messages/{msgId}/explain", operation_id = "explainMessageById", tag = "Messages",
    params(("msgId" = String, Path, description = "The message's id.")),
    responses((status = 200, description = "Explanation.", body = ExplanationAnswer))
)]
pub(crate) async fn explain_by_id(
    State(api): State<Api>,
    caller: Caller,
    PathParams(OfMessage { message }): PathParams<OfMessage>,
) -> Result<Json<ExplanationAnswer>, ApiError> {
    let (routes, found) = find_anywhere(&api, caller.tenant, &message).await?;
    Ok(Json(ExplanationAnswer { explanation: explanation(&routes, found, api.now()) }))
}

fn explanation(routes: &ApplicationRoutes, found: MessageDetail, now: Timestamp) -> Explanation {
    let MessageDetail { message, attempts, deliveries } = found;
    let matched = deliveries.iter().map(|delivery| explain_delivery(routes, &message, delivery, &attempts, now));
    let has_delivery =
        |route: &EndpointRoute<'_>| deliveries.iter().any(|delivery| EndpointId::from(delivery.route_id) == route.endpoint.id);
    let is_test = attempts.iter().map(|attempt| attempt.trigger).chain(deliveries.iter().filter_map(trigger)).any(|t| t == Trigger::Test);
    let unmatched: Vec<_> = routes.endpoints().filter(|route| !has_delivery(route)).collect();
    let shown = unmatched.iter().take(UNMATCHED_SHOWN).map(|route| explain_unmatched(*route, &message, is_test, now));
    let statements = sentences::summary(&message, &deliveries, routes.endpoints().next().is_none(), now);
    Explanation {
        summary: sentences::text(&statements),
        statements,
        as_of: now.to_string(),
        endpoints: matched.chain(shown).collect(),
        unmatched_left_out: unmatched.len().saturating_sub(UNMATCHED_SHOWN),
        message: ExplainedMessage {
            id: message.id.to_string(),
            application_id: message.origin_id.to_string(),
            size_bytes: message.payload.as_ref().map(|payload| payload.body.len()),
            content_type: message.payload.as_ref().map(|payload| payload.content_type.as_str()),
            payload_expired: message.payload.is_none(),
            status: message.counts.status().as_str(),
            accepted_at: message.id.timestamp().to_string(),
            event_type: message.event_type,
            event_id: message.event_id,
        },
    }
}

fn trigger(delivery: &Delivery) -> Option<Trigger> {
    delivery.pending.map(|pending| pending.trigger)
}

fn explain_delivery(
    routes: &ApplicationRoutes,
    message: &Message,
    delivery: &Delivery,
    attempts: &[AttemptModel],
    now: Timestamp,
) -> ExplainedEndpoint {
    let id = EndpointId::from(delivery.route_id);
    let route = routes.endpoint(id);
    let endpoint = route.map(|route| route.endpoint);
    let attempts: Vec<_> = attempts.iter().filter(|attempt| attempt.route_id == delivery.route_id).collect();
    let step = match (delivery.pending, route) {
        (Some(PendingDetail { failed, trigger, .. }), Some(route)) => Some(next_step(trigger, failed, route.schedule)),
        (None, _) | (_, None) => None,
    };
    let has_rate = routes.application().rate_limit.is_some_and(|rate| rate > 0);
    let wait_reason = endpoint.and_then(|endpoint| wait_reason(endpoint, has_rate, now));
    let subject = Subject { message, endpoint: id, now };
    let remedy = remedy(Some(delivery.state), endpoint, message.as_sent(), now);
    let why = sentences::why(subject, delivery, step, wait_reason, attempts.last().copied());
    let next_step = sentences::remedy(subject, &remedy, wait_reason);
    ExplainedEndpoint {
        endpoint_id: id.to_string(),
        endpoint_url: endpoint.map(|endpoint| endpoint.url.as_str().to_owned()),
        endpoint_status: endpoint.map_or("deleted", |endpoint| endpoint.shown_status(now)),
        matched: true,
        status: delivery.state.as_str(),
        reason: delivery.state.reason(),
        why: sentences::text(&why),
        next_step: next_step.as_ref().map(|statement| statement.sentence.clone()),
        statements: why.into_iter().chain(next_step).collect(),
        next_attempt: match (delivery.state, delivery.pending, step) {
            (DeliveryState::Pending { due_at }, Some(pending), Some(step)) => Some(NextAttempt {
                due_at: due_at.to_string(),
                attempt_number: delivery.attempts + 1,
                step: step.number,
                steps: step.of,
                is_taken: pending.is_taken,
            }),
            _ => None,
        },
        ended_at: delivery.ended_at.map(|at| at.to_string()),
        attempts: attempts.into_iter().map(|attempt| show_attempt(routes.application().tenant, routes, attempt.clone())).collect(),
    }
}

fn explain_unmatched(route: EndpointRoute<'_>, message: &Message, is_test: bool, now: Timestamp) -> ExplainedEndpoint {
    let endpoint = route.endpoint;
    let reason = why_unmatched(endpoint, message.as_sent(), message.id.timestamp(), is_test);
    let subject = Subject { message, endpoint: endpoint.id, now };
    let why = sentences::why_unmatched(subject, endpoint, reason);
    let next_step = sentences::remedy(subject, &remedy(None, Some(endpoint), message.as_sent(), now), None);
    ExplainedEndpoint {
        endpoint_id: endpoint.id.to_string(),
        endpoint_url: Some(endpoint.url.as_str().to_owned()),
        endpoint_status: endpoint.shown_status(now),
        matched: false,
        status: "unmatched",
        reason: Some(reason.as_str()),
        why: why.sentence.clone(),
        next_step: next_step.as_ref().map(|statement| statement.sentence.clone()),
        statements: [why].into_iter().chain(next_step).collect(),
        next_attempt: None,
        ended_at: None,
        attempts: vec![],
    }
}

#[cfg(test)]
mod tests;
