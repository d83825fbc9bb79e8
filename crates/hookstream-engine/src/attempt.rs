//! One try of a delivery: whether it is to be made, making it, and what it decides.

use std::{sync::Arc, time::Duration};

use hookstream_destinations::{Request, Sent};
use hookstream_model::{
    attempt::{Attempt, BODY_KEPT},
    delivery::{self, CancelReason, DeliveryState, ExhaustedReason, Settlement},
    ids::EndpointId,
    line::Line,
    message::ContentType,
    time::Timestamp,
    waterfall::Waterfall,
};
use hookstream_store::deliveries::{Claimed, Next, Settled, Wait};
use http::{HeaderMap, HeaderName, HeaderValue, header::CONTENT_TYPE};
use tokio::time::Instant;

use crate::{
    core::Core,
    dispatch,
    lanes::Turn,
    record::{Effect, Recorded},
    routes::Route,
};

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");
const EVENT_TYPE: HeaderName = HeaderName::from_static("x-hookstream-event-type");
const DELIVERY_ATTEMPT: HeaderName = HeaderName::from_static("x-hookstream-delivery-attempt");

/// How long a delivery waits whose application could not be read.
pub(crate) const UNREADABLE: Duration = Duration::from_secs(1);

/// What is to be done with a delivery whose turn it is.
enum Decision {
    Try(Arc<Route>),
    Settle(Next),
}

/// Delivers, and then whatever is next in turn, until nothing may be begun.
pub(crate) async fn deliver_in_turn(core: Arc<Core>, first: Turn<Claimed>) {
    let mut next = Some(first);
    while let Some(turn) = next {
        let begun = Instant::now();
        tokio::select! {
            biased;
            recorded = deliver(&core, &turn) => {
                let tried = recorded.effect.as_ref().map(|effect| (&effect.outcome, &*effect.route));
                next = dispatch::answered(&core, &turn, tried, begun);
                // Closed only where the engine has stopped; then it falls due again as well.
                let _ = core.outcomes.send(recorded).await;
            }
            // It was begun and not recorded: it falls due again with the next start.
            () = core.finished.cancelled() => return,
        }
    }
}

/// Does what is to be done with a delivery.
async fn deliver(core: &Core, turn: &Turn<Claimed>) -> Recorded {
    let delivery = &turn.delivery;
    let (settled, effect) = match decide(core, turn).await {
        Decision::Settle(next) => (settled(delivery, None, next), None),
        Decision::Try(route) => attempt(core, delivery, route).await,
    };
    Recorded { owner: delivery.owner, line: turn.line, settled, effect }
}

async fn decide(core: &Core, turn: &Turn<Claimed>) -> Decision {
    let (delivery, now) = (&turn.delivery, core.now());
    let routes = match core.routes.get(delivery.message.application_id).await {
        Ok(Some(routes)) => routes,
        Ok(None) => {
            return Decision::Settle(Next::Ended(DeliveryState::Cancelled { reason: CancelReason::ApplicationDeleted }, now));
        }
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "could not read an application to deliver for; trying again");
            return Decision::Settle(Next::Postponed { wait: dispatch::where_it_was(delivery, now + UNREADABLE) });
        }
    };
    let Some(route) = routes.endpoint(EndpointId::from(delivery.target_id)) else {
        return Decision::Settle(Next::Ended(DeliveryState::Cancelled { reason: CancelReason::EndpointDeleted }, now));
    };
    if let Some(reason) = route.endpoint.skips(now) {
        return Decision::Settle(Next::Ended(DeliveryState::Skipped { reason }, now));
    }
    if is_elsewhere(core, route, turn, now) {
        return Decision::Settle(Next::Postponed { wait: dispatch::in_line(route, delivery, now) });
    }
    Decision::Try(Arc::clone(route))
}

/// Whether a delivery must wait in its line after all: what is configured has changed, or another node has
/// the line now.
fn is_elsewhere(core: &Core, route: &Route, turn: &Turn<Claimed>, now: Timestamp) -> bool {
    let Claimed { message, target_id, failed, .. } = &turn.delivery;
    let is_out_of_order = turn.line.is_none() && route.keeps_order(*failed);
    let is_limited = route.policy.is_limited(now);
    is_out_of_order || (is_limited && core.has_line(Line::of_target(message.application_id, *target_id)).is_none())
}

async fn attempt(core: &Core, delivery: &Claimed, route: Arc<Route>) -> (Settled, Option<Effect>) {
    let began_at = core.now();
    let began = Instant::now();
    let request = Request { headers: headers(delivery, &route, began_at), body: delivery.message.payload.body.clone() };
    let sent = core.transport.send(&route.target, request, route.timeout).await;
    let duration = began.elapsed();
    let outcome = &sent.outcome;

    let now = core.now();
    let verdict = delivery::settle(delivery.trigger, delivery.failed, outcome, &route.schedule, now, core.jitter());
    let next = match verdict.settlement {
        Settlement::Succeeded => Next::Succeeded,
        Settlement::RetryAt(due_at) => Next::Retry { wait: retry_at(&route, delivery, due_at, now), failed: delivery.failed + 1 },
        Settlement::Exhausted(reason) => Next::Ended(DeliveryState::Exhausted { reason }, now),
    };
    if let Settlement::Exhausted(reason @ ExhaustedReason::ScheduleEnded) = verdict.settlement {
        tracing::info!(message.id = %delivery.message.id, endpoint.id = %route.endpoint.id, reason = reason.as_str(), "delivery exhausted its retries");
    }
    let attempt = describe(core, delivery, &sent, began_at, duration);
    let effect = Effect { outcome: sent.outcome, disable: verdict.disable, at: now, route };
    (settled(delivery, Some(attempt), next), Some(effect))
}

/// Where the next try waits: in its line, where only the line's node may make it, else for anybody.
fn retry_at(route: &Route, delivery: &Claimed, due_at: Timestamp, now: Timestamp) -> Wait {
    let keeps_place = route.keeps_order(delivery.failed + 1);
    let is_in_line = keeps_place || route.policy.has_rate() || route.policy.is_held(now);
    Wait { due_at, line: is_in_line.then(|| route.line(&delivery.message.payload)), keeps_place }
}

/// What the receiver reads beside the body: Standard Webhooks 1.0.0 and our own.
fn headers(delivery: &Claimed, route: &Route, now: Timestamp) -> HeaderMap {
    let Claimed { message, attempts, .. } = delivery;
    let id = message.id.to_string();
    let signature = route.keys.sign(&id, now, &message.payload.body);
    let value = |text: &str| HeaderValue::from_str(text).expect("ids, numbers, base64 and event types are visible ASCII");
    let mut headers = route.headers.clone();
    if message.payload.content_type == ContentType::Text {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(ContentType::Text.as_str()));
    }
    headers.insert(WEBHOOK_ID, value(&id));
    headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(now.as_seconds()));
    headers.insert(WEBHOOK_SIGNATURE, value(&signature));
    headers.insert(EVENT_TYPE, value(&message.event_type));
    headers.insert(DELIVERY_ATTEMPT, HeaderValue::from(attempts + 1));
    headers
}

fn describe(core: &Core, delivery: &Claimed, sent: &Sent, began_at: Timestamp, duration: Duration) -> Attempt {
    let Sent { outcome, timings } = sent;
    let answer = outcome.answer();
    Attempt {
        id: core.new_id().into(),
        message_id: delivery.message.id,
        target_id: delivery.target_id,
        number: delivery.attempts + 1,
        trigger: delivery.trigger,
        succeeded: outcome.is_accepted(),
        response_status: answer.map(|answer| answer.status),
        response_body: answer.filter(|answer| !answer.body.is_empty()).map(|answer| {
            let kept = &answer.body[..answer.body.len().min(BODY_KEPT)];
            String::from_utf8_lossy(kept).into_owned()
        }),
        duration,
        waterfall: Some(Waterfall { queue: began_at.since(delivery.due_at), exchange: *timings }),
        error: outcome.error(),
        created_at: began_at,
    }
}

fn settled(delivery: &Claimed, attempt: Option<Attempt>, next: Next) -> Settled {
    Settled { environment_id: delivery.environment_id, message_id: delivery.message.id, target_id: delivery.target_id, attempt, next }
}
