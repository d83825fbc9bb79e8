//! The explanation of a message: one screen that says what was accepted, who gets it and who does not and
//! why, what was tried, what comes next, and what would make it go.
//!
//! What is so is decided in the model, what is said of it in [`sentences`].

mod sentences;

use axum::{Json, extract::State};
use hookstream_engine::{ApplicationRoutes, Route};
use hookstream_model::{
    attempt::Attempt as AttemptModel,
    delivery::{DeliveryState, Trigger},
    explain::{kept_back, next_step, remedy, why_unmatched},
    ids::EndpointId,
    time::Timestamp,
};
use hookstream_store::messages::{Delivery, Message, MessageDetail, Owed};
use serde::Serialize;
use utoipa::ToSchema;

use self::sentences::{Statement, Subject};
use super::messages::{Attempt, find_anywhere, show_attempt};
use crate::{
    auth::Caller,
    error::ApiError,
    params::{OfMessage, PathParams, id},
    state::Api,
};

/// The most endpoints without a delivery that are explained one by one.
const UNMATCHED_SHOWN: usize = 100;

/// Why a message came or did not come, wrapped.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExplanationAnswer {
    explanation: Explanation,
}

/// Why a message came or did not come.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Explanation {
    message: ExplainedMessage,
    /// How it stands, in a sentence or two.
    #[schema(example = "Matched 2 endpoints: 1 succeeded, 1 pending. The next attempt is due at 2026-11-24T08:05:00.000Z.")]
    summary: String,
    /// The sentences of `summary`, each with its code and parameters.
    statements: Vec<Statement>,
    /// When all this was so.
    as_of: String,
    /// The endpoints it is for, and after them those it is not for; either oldest first.
    endpoints: Vec<ExplainedEndpoint>,
    /// How many more endpoints it is not for: only the first 100 are listed.
    unmatched_left_out: usize,
}

/// What was accepted, and when.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExplainedMessage {
    /// Also the `webhook-id` that receivers see.
    #[schema(example = "019dc1e2a3b47c5d8e9f001122334455")]
    id: String,
    application_id: String,
    #[schema(example = "invoice.paid")]
    event_type: String,
    /// The sender's own id for it.
    event_id: Option<String>,
    /// The payload's size; `null` once it has expired.
    #[schema(example = 1234)]
    size_bytes: Option<usize>,
    /// The `content-type` that receivers see; `null` once the payload has expired.
    #[schema(example = "application/json")]
    content_type: Option<&'static str>,
    /// Whether the payload's time is over and it was removed: the message cannot be sent again.
    payload_expired: bool,
    /// `pending`, `delivered`, `failed` or `skipped`.
    #[schema(example = "pending")]
    status: &'static str,
    accepted_at: String,
}

/// Why an endpoint has the message, or has it not.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExplainedEndpoint {
    endpoint_id: String,
    /// As it is now; `null` where the endpoint was deleted.
    endpoint_url: Option<String>,
    /// As it is now: `active`, `paused`, `disabled`, `expired` or `deleted`.
    #[schema(example = "active")]
    endpoint_status: &'static str,
    /// Whether the message is for it.
    matched: bool,
    /// `pending`, `succeeded`, `exhausted`, `skipped`, `cancelled`; `unmatched` where the message is not
    /// for it.
    #[schema(example = "pending")]
    status: &'static str,
    /// Why, in a word: that of the delivery (`schedule_ended`, `endpoint_disabled`, …), or of an unmatched
    /// endpoint `type_not_wanted`, `other_channels`, `endpoint_made_later`, `endpoint_changed_later` or
    /// `test_of_another_endpoint`.
    reason: Option<&'static str>,
    /// Why, in a sentence.
    #[schema(
        example = "The last attempt failed (http_status: the receiver answered 503). Attempt 2 of 10 is due at 2026-11-24T08:05:00.000Z."
    )]
    why: String,
    /// What would make it go; `null` where it arrived.
    next_step: Option<String>,
    /// The sentences of `why`, and after them that of `next_step`, each with its code and parameters.
    statements: Vec<Statement>,
    /// The next try, where one is owed.
    next_attempt: Option<NextAttempt>,
    /// When the delivery ended without arriving.
    ended_at: Option<String>,
    /// Its tries, in the order they were made.
    attempts: Vec<Attempt>,
}

/// The next try of a delivery.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NextAttempt {
    /// When it is due.
    due_at: String,
    /// Its `attempt_number`.
    #[schema(example = 2)]
    attempt_number: u32,
    /// Its place in the retry schedule, counted anew where a message is asked for again.
    #[schema(example = 2)]
    step: u32,
    /// The tries of the schedule.
    #[schema(example = 10)]
    steps: u32,
    /// Whether a node has it already: then it waits in its endpoint's lane there, or is being tried.
    is_taken: bool,
}

/// Explain a message
///
/// Why it came or did not come: which endpoints it was for, which not and why, each try with how long its
/// parts took, what is due when, and what would make it go.
#[utoipa::path(
    get, path = "/applications/{appId}/messages/{msgId}/explain", operation_id = "explainMessage", tag = "Messages",
    params(("appId" = String, Path, description = "The application's id or `uid`."), ("msgId" = String, Path, description = "The message's id.")),
    responses((status = 200, description = "What happened to it, and why.", body = ExplanationAnswer))
)]
pub(crate) async fn explain(
    State(api): State<Api>,
    caller: Caller,
    PathParams((app, message)): PathParams<(String, String)>,
) -> Result<Json<ExplanationAnswer>, ApiError> {
    let routes = api.engine.routes().resolve_now(caller.tenant, &app).await?.ok_or_else(|| ApiError::not_found("Application"))?;
    let message = id(&message, "Message")?;
    let found = api.store.message(caller.tenant, routes.application.id, message).await?.ok_or_else(|| ApiError::not_found("Message"))?;
    Ok(Json(ExplanationAnswer { explanation: explanation(&routes, found, api.now()) }))
}

/// Explain a message by its id alone
///
/// The same as for a message of an application, for whoever knows only the message.
#[utoipa::path(
    get, path = "/messages/{msgId}/explain", operation_id = "explainMessageById", tag = "Messages",
    params(("msgId" = String, Path, description = "The message's id.")),
    responses((status = 200, description = "What happened to it, and why.", body = ExplanationAnswer))
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
    let has_delivery = |route: &Route| deliveries.iter().any(|delivery| EndpointId::from(delivery.target_id) == route.endpoint.id);
    let is_test = attempts.iter().map(|attempt| attempt.trigger).chain(deliveries.iter().filter_map(trigger)).any(|t| t == Trigger::Test);
    let unmatched: Vec<_> = routes.endpoints.iter().filter(|route| !has_delivery(route)).collect();
    let shown = unmatched.iter().take(UNMATCHED_SHOWN).map(|route| explain_unmatched(route, &message, is_test, now));
    let statements = sentences::summary(&message, &deliveries, routes.endpoints.is_empty(), now);
    Explanation {
        summary: sentences::text(&statements),
        statements,
        as_of: now.to_string(),
        endpoints: matched.chain(shown).collect(),
        unmatched_left_out: unmatched.len().saturating_sub(UNMATCHED_SHOWN),
        message: ExplainedMessage {
            id: message.id.to_string(),
            application_id: message.application_id.to_string(),
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
    delivery.owed.map(|owed| owed.trigger)
}

fn explain_delivery(
    routes: &ApplicationRoutes,
    message: &Message,
    delivery: &Delivery,
    attempts: &[AttemptModel],
    now: Timestamp,
) -> ExplainedEndpoint {
    let id = EndpointId::from(delivery.target_id);
    let route = routes.endpoint(id);
    let endpoint = route.map(|route| &route.endpoint);
    let attempts: Vec<_> = attempts.iter().filter(|attempt| attempt.target_id == delivery.target_id).collect();
    let step = match (delivery.owed, route) {
        (Some(Owed { failed, trigger, .. }), Some(route)) => Some(next_step(trigger, failed, &route.schedule)),
        (None, _) | (_, None) => None,
    };
    let has_rate = routes.application.rate_limit.is_some_and(|rate| rate > 0);
    let kept_back = endpoint.and_then(|endpoint| kept_back(endpoint, has_rate, now));
    let subject = Subject { message, endpoint: id, now };
    let remedy = remedy(Some(delivery.state), endpoint, message.as_sent(), now);
    let why = sentences::why(subject, delivery, step, kept_back, attempts.last().copied());
    let next_step = sentences::remedy(subject, &remedy);
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
        next_attempt: match (delivery.state, delivery.owed, step) {
            (DeliveryState::Pending { due_at }, Some(owed), Some(step)) => Some(NextAttempt {
                due_at: due_at.to_string(),
                attempt_number: delivery.attempts + 1,
                step: step.number,
                steps: step.of,
                is_taken: owed.is_taken,
            }),
            _ => None,
        },
        ended_at: delivery.ended_at.map(|at| at.to_string()),
        attempts: attempts.into_iter().map(|attempt| show_attempt(routes.application.tenant, routes, attempt.clone())).collect(),
    }
}

fn explain_unmatched(route: &Route, message: &Message, is_test: bool, now: Timestamp) -> ExplainedEndpoint {
    let endpoint = &route.endpoint;
    let reason = why_unmatched(endpoint, message.as_sent(), message.id.timestamp(), is_test);
    let subject = Subject { message, endpoint: endpoint.id, now };
    let why = sentences::why_unmatched(subject, endpoint, reason);
    let next_step = sentences::remedy(subject, &remedy(None, Some(endpoint), message.as_sent(), now));
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
