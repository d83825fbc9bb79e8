//! One attempt of a delivery: decides whether to make it, makes it, and settles the result.

use std::{borrow::Cow, sync::Arc, time::Duration};

use hookstream_destinations::{Envelope, Sent};
use hookstream_model::{
    base::{
        ids::{ResourceId, TargetId},
        time::Timestamp,
        trace_context::TraceContext,
    },
    delivery::{
        attempt::Attempt,
        batch,
        outcome::{BODY_KEPT, HEADERS_KEPT},
        placement::{self, Placement, Source},
        queue::Backlog,
        settlement::{self, Settlement},
        state::{CancelReason, DeliveryState, ExhaustedReason, Trigger},
        timings::Waterfall,
    },
    operations::operational_event::{self, EndpointCause, OperationalEvent},
    outbound::message::ContentType,
};
use hookstream_store::delivery::deliveries::{Claimed, Next, Settled, Wait};
use tokio::time::Instant;

use crate::{
    attempts::{
        attempt_span::{self, AttemptSpan},
        pending_record::{Effect, PendingRecord},
    },
    core::Core,
    queues::{
        lanes::Batch,
        requeue::{self, UNREADABLE_DELAY, works_on_shard},
    },
    routing::{origin::Origin, route::Route, target::Target},
};

/// Minimum size of the response body kept with each attempt of a batch, in bytes.
const BATCH_BODY_KEPT: usize = 512;

/// Decision about a delivery whose turn it is.
enum Decision {
    Send(Arc<Route>),
    Settle(Next),
}

/// Handles a batch: makes one attempt of the deliveries to send and settles the others. The effect of the attempt is
/// stored with its first delivery.
pub(crate) async fn deliver(core: &Core, batch: &Batch<Claimed>) -> Vec<PendingRecord> {
    let Batch { target: lane, delivery, backlog, others, .. } = batch;
    let origin = core.origins.get(delivery.message.origin_id).await;
    if let Err(error) = &origin {
        tracing::error!(error = error as &dyn std::error::Error, "could not read an origin to deliver for; retrying");
    }
    let now = core.now();
    let all = std::iter::once((delivery, *backlog)).chain(others.iter().map(|(delivery, backlog)| (delivery, *backlog)));
    let (mut recorded, mut to_send, mut target) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()), None);
    for (delivery, backlog) in all {
        let next = match decide(core, &origin, delivery, backlog, now) {
            // All deliveries have the same target. If it no longer takes batches, one is sent now.
            Decision::Send(route) if to_send.is_empty() || route.target.policy.gather.is_some() => {
                to_send.push((delivery, backlog));
                target = Some(route);
                continue;
            }
            Decision::Send(_) => Next::Postponed { wait: requeue::unchanged_wait(delivery, now) },
            Decision::Settle(next) => next,
        };
        recorded.push(PendingRecord {
            owner: delivery.owner,
            target: *lane,
            backlog,
            settled: settled(delivery, None, next),
            message: Arc::clone(&delivery.message),
            effect: None,
        });
    }
    if let Some(route) = target {
        recorded.extend(attempt(core, route, *lane, &to_send).await);
    }
    recorded
}

fn decide(
    core: &Core,
    origin: &Result<Option<Arc<Origin>>, hookstream_store::Error>,
    delivery: &Claimed,
    backlog: Option<Backlog>,
    now: Timestamp,
) -> Decision {
    let origin = match origin {
        Ok(Some(origin)) => origin,
        Ok(None) => {
            return Decision::Settle(Next::Ended(DeliveryState::Cancelled { reason: CancelReason::ApplicationDeleted }, now));
        }
        Err(_) => return Decision::Settle(Next::Postponed { wait: requeue::unchanged_wait(delivery, now + UNREADABLE_DELAY) }),
    };
    let Some(route) = origin.route(delivery.route_id) else {
        return Decision::Settle(Next::Ended(DeliveryState::Cancelled { reason: origin.target_state.route_deleted() }, now));
    };
    let target = &route.target;
    if let Some(reason) = target.skips(now) {
        return Decision::Settle(Next::Ended(DeliveryState::Skipped { reason }, now));
    }
    // The configuration has changed, or another node has the shard now.
    let restrictions = target.restrictions(delivery.failed, now);
    let placement = placement::place(restrictions, Source::Turn { in_order: backlog.is_some() }, works_on_shard(core, target));
    if target.policy.is_paused || placement == Placement::Backlog {
        return Decision::Settle(Next::Postponed { wait: requeue::backlog_wait(target, delivery, now) });
    }
    Decision::Send(Arc::clone(route))
}

/// Makes one attempt of deliveries to one target, each with its backlog.
async fn attempt(core: &Core, route: Arc<Route>, lane: TargetId, deliveries: &[(&Claimed, Option<Backlog>)]) -> Vec<PendingRecord> {
    let target = &route.target;
    let began_at = core.now();
    let began = Instant::now();
    // The wall clock, because the receiver compares the timestamp with its own clock.
    let signed_at = core.clock.wall();
    let span = AttemptSpan::begin(&core.spans, deliveries.iter().map(|(delivery, _)| *delivery));
    let trace = attempt_span::told(&core.spans, target, span.as_ref(), deliveries.iter().map(|(delivery, _)| *delivery));
    let sent = target.receiver.send(&envelope(target, deliveries, trace, signed_at), target.timeout).await;
    let exchange = Exchange { sent, began_at, duration: began.elapsed(), batched: deliveries.len() };

    let (outcome, now) = (&exchange.sent.outcome, core.now());
    let (mut disable, mut span) = (None, span);
    let mut recorded = Vec::with_capacity(deliveries.len());
    for (delivery, backlog) in deliveries {
        let verdict = settlement::settle(delivery.trigger, delivery.failed, outcome, &target.schedule, now, core.jitter());
        disable = verdict.disable;
        let next = match verdict.settlement {
            Settlement::Succeeded => Next::Succeeded,
            Settlement::RetryAt(due_at) => Next::Retry { wait: retry_at(target, delivery, due_at, now), failed: delivery.failed + 1 },
            Settlement::Exhausted(reason) => Next::Ended(DeliveryState::Exhausted { reason }, now),
        };
        if let Settlement::Exhausted(reason @ ExhaustedReason::ScheduleEnded) = verdict.settlement {
            tracing::info!(message.id = %delivery.message.id, endpoint.id = %target.key.id, reason = reason.as_str(), "delivery exhausted its retries");
        }
        let attempt = describe(core, delivery, &exchange);
        if let Some(span) = span.take() {
            span.end(&core.spans, &route, delivery, &attempt, next);
        }
        let event = event_of(core, target, delivery, &attempt, verdict.settlement);
        let settled = Settled { event, ..settled(delivery, Some(attempt), next) };
        let message = Arc::clone(&delivery.message);
        recorded.push(PendingRecord { owner: delivery.owner, target: lane, backlog: *backlog, settled, message, effect: None });
    }
    if let Some(first) = recorded.first_mut() {
        first.effect = Some(Effect { outcome: exchange.sent.outcome, disable, at: now, route });
    }
    recorded
}

/// Builds the envelope.
fn envelope<'a>(
    target: &'a Target,
    deliveries: &[(&'a Claimed, Option<Backlog>)],
    trace: Option<&'a TraceContext>,
    signed_at: Timestamp,
) -> Envelope<'a> {
    let envelope = match deliveries {
        [(delivery, _)] if target.policy.gather.is_none() => single(target, delivery, signed_at),
        _ => batched(target, deliveries, signed_at),
    };
    Envelope { trace, ..envelope }
}

/// Returns the wait of the next attempt: in its backlog if only the backlog's node may make it, otherwise unbound.
fn retry_at(target: &Target, delivery: &Claimed, due_at: Timestamp, now: Timestamp) -> Wait {
    let keeps_position = target.keeps_order(delivery.failed + 1);
    let is_in_backlog = keeps_position || target.policy.has_rate() || target.policy.is_held(now);
    Wait { due_at, backlog: is_in_backlog.then(|| target.backlog(&delivery.message.payload)), keeps_position }
}

/// Builds the envelope of one message: the payload, byte for byte.
fn single<'a>(target: &'a Target, delivery: &'a Claimed, signed_at: Timestamp) -> Envelope<'a> {
    let Claimed { message, attempts, .. } = delivery;
    Envelope {
        id: Cow::Owned(message.id.to_string()),
        target_id: target.key.id,
        event_type: Some(&message.event_type),
        body: message.payload.body.clone(),
        content_type: message.payload.content_type,
        attempt: attempts + 1,
        hops: message.hops.next().count(),
        batch_size: None,
        trace: None,
        keys: &target.keys,
        signed_at,
    }
}

/// Builds the envelope of a batch.
fn batched<'a>(target: &'a Target, deliveries: &[(&'a Claimed, Option<Backlog>)], signed_at: Timestamp) -> Envelope<'a> {
    let messages = || deliveries.iter().map(|(delivery, _)| &*delivery.message);
    Envelope {
        id: Cow::Owned(batch::id(messages())),
        target_id: target.key.id,
        event_type: None,
        body: batch::body(messages()),
        content_type: ContentType::Json,
        attempt: 1 + deliveries.iter().map(|(delivery, _)| delivery.attempts).max().unwrap_or_default(),
        hops: messages().map(|message| message.hops.next().count()).max().unwrap_or_default(),
        batch_size: Some(deliveries.len()),
        trace: None,
        keys: &target.keys,
        signed_at,
    }
}

/// Attempt and its result.
struct Exchange {
    sent: Sent,
    began_at: Timestamp,
    duration: Duration,
    /// Number of deliveries in the attempt.
    batched: usize,
}

fn describe(core: &Core, delivery: &Claimed, exchange: &Exchange) -> Attempt {
    let Exchange { sent: Sent { outcome, timings }, began_at, duration, batched } = exchange;
    let response = outcome.response();
    // Each delivery of a batch keeps its part of the shared response body.
    let most = (BODY_KEPT / batched).max(BATCH_BODY_KEPT);
    Attempt {
        id: core.new_id().into(),
        message_id: delivery.message.id,
        route_id: delivery.route_id,
        number: delivery.attempts + 1,
        trigger: delivery.trigger,
        succeeded: outcome.is_accepted(),
        response_status: response.and_then(|response| response.status),
        response_body: response.filter(|response| !response.body.is_empty()).map(|response| {
            let kept = &response.body[..response.body.len().min(most)];
            String::from_utf8_lossy(kept).into_owned()
        }),
        response_headers: response.filter(|response| !response.headers.is_empty()).map(|response| {
            let headers = &response.headers;
            let most = headers.floor_char_boundary(HEADERS_KEPT / batched);
            // Whole lines only.
            let kept = if most == headers.len() { most } else { headers[..most].rfind('\n').map_or(0, |end| end + 1) };
            headers[..kept].to_owned()
        }),
        duration: *duration,
        waterfall: Some(Waterfall { queue: began_at.since(delivery.due_at), exchange: *timings }),
        error: outcome.error(),
        created_at: *began_at,
    }
}

/// Returns the operational event that an attempt causes, if someone is told.
fn event_of(core: &Core, target: &Target, delivery: &Claimed, attempt: &Attempt, settlement: Settlement) -> Option<Box<OperationalEvent>> {
    if delivery.trigger == Trigger::Test || !core.told.contains(delivery.environment_id) {
        return None;
    }
    let kind = operational_event::of_settlement(settlement, delivery.failed)?;
    let cause = EndpointCause {
        id: ResourceId::from_bytes(*attempt.id.as_bytes()),
        tenant: target.key.tenant,
        application: target.key.origin.into(),
        endpoint: target.key.id.into(),
        at: attempt.created_at,
    };
    let data = operational_event::attempt_data(delivery.message.id, &delivery.message.event_type, attempt);
    Some(Box::new(cause.event(kind, data)))
}

fn settled(delivery: &Claimed, attempt: Option<Attempt>, next: Next) -> Settled {
    let Claimed { environment_id, route_id, packed, .. } = *delivery;
    Settled { environment_id, message_id: delivery.message.id, route_id, packed, attempt, next, event: None }
}
