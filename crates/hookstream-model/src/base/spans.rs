//! Spans of traces: timed steps of a request or delivery, for an operator who has turned tracing on.
//!
//! The engine and the API build a [`Span`] only for a sampled trace, and hand it to the [`Tracer`] when it has ended.

use std::{borrow::Cow, fmt, time::Duration};

use super::trace_context::{SpanId, TraceContext};

/// Sampler and sink of spans. Without one, tracing is off and costs one branch.
pub trait Tracer: fmt::Debug + Send + Sync + 'static {
    /// Begins a span of a new trace, or below the sender's span, and decides whether it is recorded. A trace that is not recorded keeps
    /// the context of its sender, if there is one.
    fn begin(&self, parent: Option<&TraceContext>) -> Option<TraceContext>;

    /// Returns a fresh id for a span below another.
    fn new_span(&self) -> SpanId;

    /// Takes a span that ends now. It never blocks; spans that do not fit the buffer are dropped and counted.
    fn end(&self, span: Span);
}

/// Ended step of a trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Name of the step, the same for all its spans.
    pub name: &'static str,
    /// Role of the step.
    pub kind: SpanKind,
    /// Trace, and the span's own id.
    pub context: TraceContext,
    /// Span that caused it; `None` for the root of a trace.
    pub parent: Option<SpanId>,
    /// Duration; the span ends when the tracer takes it.
    pub took: Duration,
    /// Whether the step failed.
    pub is_failed: bool,
    /// Attributes, without payloads, secrets and values of headers.
    pub attributes: Vec<(&'static str, AttributeValue)>,
    /// Spans of other traces that also caused it.
    pub links: Vec<TraceContext>,
}

/// Role of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// Handles a request of a client.
    Server,
    /// Step within the process.
    Internal,
    /// Calls another system.
    Client,
}

/// Value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeValue {
    /// Text.
    Text(Cow<'static, str>),
    /// Whole number.
    Number(i64),
}

impl From<&'static str> for AttributeValue {
    fn from(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }
}

impl From<String> for AttributeValue {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<u32> for AttributeValue {
    fn from(number: u32) -> Self {
        Self::Number(i64::from(number))
    }
}

impl From<u16> for AttributeValue {
    fn from(number: u16) -> Self {
        Self::Number(i64::from(number))
    }
}
