//! Span `delivery.attempt`: one request to a receiver.
//!
//! First attempt, retry and replay are all children of the span `accept` that was stored with the message: one trace id finds
//! everything that happened to it. A batch is a child of its first recorded message and links to the others.

use hookstream_model::{
    base::{
        spans::{AttributeValue, Span, SpanKind},
        trace_context::{SpanId, TraceContext},
    },
    delivery::attempt::Attempt,
    operations::metrics::error_word,
    outbound::target::TargetKind,
};
use hookstream_store::delivery::deliveries::{Claimed, Next};
use tokio::time::Instant;

use crate::{
    routing::{route::Route, target::Target},
    spans::Spans,
};

/// Links of a span, at most; a batch may have more messages.
const LINKS_MAX: usize = 128;

/// Span of an attempt that is being made.
pub(crate) struct AttemptSpan {
    context: TraceContext,
    parent: SpanId,
    links: Vec<TraceContext>,
    begun: Instant,
}

impl AttemptSpan {
    /// Begins the span, if tracing is on and the trace of a delivery is recorded.
    pub(crate) fn begin<'a>(spans: &Spans, deliveries: impl Iterator<Item = &'a Claimed>) -> Option<Self> {
        let tracer = spans.tracer()?;
        let recorded = |delivery: &'a Claimed| delivery.message.trace.as_deref().filter(|trace| trace.is_sampled());
        let mut recorded = deliveries.filter_map(recorded);
        let accept = recorded.next()?;
        let links = recorded.take(LINKS_MAX).cloned().collect();
        Some(Self { context: accept.child(tracer.new_span()), parent: accept.span(), links, begun: Instant::now() })
    }

    /// Ends the span with the attempt of its first delivery.
    pub(crate) fn end(self, spans: &Spans, route: &Route, delivery: &Claimed, attempt: &Attempt, next: Next) {
        let Some(tracer) = spans.tracer() else { return };
        let Self { context, parent, links, begun } = self;
        tracer.end(Span {
            name: "delivery.attempt",
            kind: SpanKind::Client,
            context,
            parent: Some(parent),
            took: begun.elapsed(),
            is_failed: !attempt.succeeded,
            attributes: attributes(route, delivery, attempt, next),
            links,
        });
    }
}

/// Returns the context that the receiver is told: that of the attempt, or else what the sender gave with a message by itself. `None`
/// unless the environment allows it.
pub(crate) fn told<'a>(
    spans: &Spans,
    target: &Target,
    span: Option<&'a AttemptSpan>,
    mut deliveries: impl ExactSizeIterator<Item = &'a Claimed>,
) -> Option<&'a TraceContext> {
    if !spans.forwards(target.key.tenant.environment) {
        return None;
    }
    let given = || if deliveries.len() == 1 { deliveries.next()?.message.trace.as_deref() } else { None };
    span.map(|span| &span.context).or_else(given)
}

fn attributes(route: &Route, delivery: &Claimed, attempt: &Attempt, next: Next) -> Vec<(&'static str, AttributeValue)> {
    let key = route.target.key;
    let state = match next {
        Next::Succeeded => "succeeded",
        Next::Ended(state, _) => state.as_str(),
        Next::Retry { .. } | Next::Postponed { .. } => "pending",
    };
    let mut attributes = Vec::with_capacity(16);
    attributes.extend([
        ("hookstream.message.id", delivery.message.id.to_string().into()),
        ("hookstream.endpoint.id", key.id.to_string().into()),
        ("hookstream.application.id", key.origin.to_string().into()),
        ("hookstream.environment.id", key.tenant.environment.to_string().into()),
        ("hookstream.event_type", delivery.message.event_type.clone().into()),
        ("hookstream.attempt.id", attempt.id.to_string().into()),
        ("hookstream.attempt.number", attempt.number.into()),
        ("hookstream.attempt.trigger", attempt.trigger.as_str().into()),
        ("hookstream.attempt.outcome", if attempt.succeeded { "success" } else { "failed" }.into()),
        ("hookstream.delivery.state", state.into()),
    ]);
    if let Some(endpoint) = &route.endpoint {
        let url = endpoint.url.to_url();
        match endpoint.kind {
            TargetKind::RabbitMq => attributes.push(("messaging.system", "rabbitmq".into())),
            TargetKind::Http
            | TargetKind::Slack
            | TargetKind::Discord
            | TargetKind::Teams
            | TargetKind::PagerDuty
            | TargetKind::Telegram => {
                attributes.push(("http.request.method", "POST".into()));
            }
            TargetKind::Email | TargetKind::TestReceiver => {}
        }
        // Path, query and credentials may be secret.
        attributes.push(("url.scheme", url.scheme().to_owned().into()));
        attributes.extend(url.host_str().map(|host| ("server.address", host.to_owned().into())));
        attributes.extend(url.port_or_known_default().map(|port| ("server.port", port.into())));
    }
    attributes.extend(attempt.response_status.map(|status| ("http.response.status_code", status.into())));
    // The word alone: the sentence behind it may contain the receiver's words.
    attributes.extend(attempt.error.as_deref().map(|error| ("error.type", error_word(error).to_owned().into())));
    attributes
}
