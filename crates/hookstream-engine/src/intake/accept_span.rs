//! Span `accept`: from the request to the commit of the message and its deliveries. Its context is stored with the message, so that
//! every attempt is its child: after a restart, days later, or on another node.

use hookstream_model::{
    base::{
        ids::{ApplicationId, EnvironmentId},
        spans::{Span, SpanKind},
        trace_context::{SpanId, TraceContext},
    },
    outbound::message::Message,
};
use tokio::time::Instant;

use crate::spans::Spans;

/// Trace of a message that is being accepted.
#[derive(Debug)]
pub(crate) struct AcceptSpan {
    /// Context that is stored with the message.
    pub(crate) stored: Option<Box<TraceContext>>,
    /// Start and parent of the span, if the trace is recorded.
    begun: Option<(Instant, SpanId)>,
}

impl AcceptSpan {
    /// Begins the span of a recorded trace. The context of another trace is stored only if the environment passes it on.
    pub(crate) fn begin(spans: &Spans, environment: EnvironmentId, request: Option<Box<TraceContext>>) -> Self {
        let Some(request) = request else { return Self { stored: None, begun: None } };
        if let Some(tracer) = spans.tracer().filter(|_| request.is_sampled()) {
            let context = request.child(tracer.new_span());
            return Self { stored: Some(Box::new(context)), begun: Some((Instant::now(), request.span())) };
        }
        Self { stored: Some(request).filter(|_| spans.forwards(environment)), begun: None }
    }

    /// Ends the span, when the message is stored.
    pub(crate) fn end(&self, spans: &Spans, message: &Message, application: ApplicationId, environment: EnvironmentId, deliveries: usize) {
        let (Some(tracer), Some((begun, parent)), Some(context)) = (spans.tracer(), self.begun, &self.stored) else { return };
        tracer.end(Span {
            name: "accept",
            kind: SpanKind::Internal,
            context: (**context).clone(),
            parent: Some(parent),
            took: begun.elapsed(),
            is_failed: false,
            attributes: vec![
                ("hookstream.message.id", message.id.to_string().into()),
                ("hookstream.application.id", application.to_string().into()),
                ("hookstream.environment.id", environment.to_string().into()),
                ("hookstream.event_type", message.event_type.clone().into()),
                ("hookstream.deliveries", u32::try_from(deliveries).unwrap_or(u32::MAX).into()),
            ],
            links: Vec::new(),
        });
    }
}
