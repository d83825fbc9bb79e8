//! Tracer of the server: decides which traces are recorded, and keeps ended spans until they are sent.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hookstream_cli::clock::since_1970;
use hookstream_model::base::{
    spans::{AttributeValue, Span, SpanKind, Tracer},
    trace_context::{SpanId, TraceContext, TraceId},
};
use opentelemetry_proto::tonic::{
    common::v1::any_value::Value,
    trace::v1::{self as proto, span, status},
};
use rand::{RngExt, rngs::StdRng};

use super::{buffer::Buffer, counts::Signal, values};
use crate::config::{Batches, Sampler};

/// Tracer whose spans are exported.
pub(crate) struct OtlpTracer {
    is_parent_based: bool,
    /// Trace ids whose last 63 bits are below this are recorded, as the SDKs of OpenTelemetry decide.
    bound: u64,
    rng: Mutex<StdRng>,
    buffer: Arc<Buffer<Ended>>,
}

/// Span with the time of its end, since 1970.
#[derive(Debug)]
pub(super) struct Ended {
    span: Span,
    at: Duration,
}

impl fmt::Debug for OtlpTracer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtlpTracer").field("bound", &self.bound).finish_non_exhaustive()
    }
}

impl OtlpTracer {
    pub(super) fn new(sampler: Sampler, batches: Batches, rng: StdRng) -> Self {
        let Sampler { is_parent_based, ratio } = sampler;
        let buffer = Arc::new(Buffer::new(Signal::Traces, batches));
        Self { is_parent_based, bound: bound(ratio), rng: Mutex::new(rng), buffer }
    }

    pub(super) const fn buffer(&self) -> &Arc<Buffer<Ended>> {
        &self.buffer
    }

    fn records(&self, trace: TraceId) -> bool {
        let last = u64::from_be_bytes(trace.as_bytes()[8..].try_into().expect("8 of 16 bytes"));
        last >> 1 < self.bound
    }

    fn random<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        draw(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Tracer for OtlpTracer {
    fn begin(&self, parent: Option<&TraceContext>) -> Option<TraceContext> {
        let Some(parent) = parent else {
            let trace = TraceId::new(self.random(RngExt::random));
            return self.records(trace).then(|| TraceContext::sampled(trace, self.new_span()));
        };
        let is_recorded = if self.is_parent_based { parent.is_sampled() } else { self.records(parent.trace()) };
        Some(if is_recorded { parent.child(self.new_span()) } else { parent.clone().unsampled() })
    }

    fn new_span(&self) -> SpanId {
        SpanId::new(self.random(RngExt::random))
    }

    fn end(&self, span: Span) {
        self.buffer.push(Ended { span, at: since_1970() });
    }
}

/// Returns the bound of a ratio: a part of 2^63.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the ratio is from 0 to 1")]
fn bound(ratio: f64) -> u64 {
    (ratio * 2_f64.powi(63)) as u64
}

/// Converts spans to the protocol.
pub(super) fn converted(spans: Vec<Ended>) -> Vec<proto::Span> {
    spans.into_iter().map(convert).collect()
}

fn convert(Ended { span, at }: Ended) -> proto::Span {
    let Span { name, kind, context, parent, took, is_failed, attributes, links } = span;
    let kind = match kind {
        SpanKind::Server => span::SpanKind::Server,
        SpanKind::Internal => span::SpanKind::Internal,
        SpanKind::Client => span::SpanKind::Client,
    };
    let attribute = |(key, value): (&'static str, AttributeValue)| {
        let value = match value {
            AttributeValue::Text(text) => values::text(text),
            AttributeValue::Number(number) => values::value(Value::IntValue(number)),
        };
        values::attribute(key, value)
    };
    let link = |context: TraceContext| span::Link {
        trace_id: context.trace().as_bytes().to_vec(),
        span_id: context.span().as_bytes().to_vec(),
        trace_state: context.tracestate().unwrap_or_default().to_owned(),
        flags: u32::from(context.flags()),
        ..span::Link::default()
    };
    proto::Span {
        trace_id: context.trace().as_bytes().to_vec(),
        span_id: context.span().as_bytes().to_vec(),
        trace_state: context.tracestate().unwrap_or_default().to_owned(),
        parent_span_id: parent.map(|parent| parent.as_bytes().to_vec()).unwrap_or_default(),
        flags: u32::from(context.flags()),
        name: name.to_owned(),
        kind: kind.into(),
        start_time_unix_nano: nanos(at.saturating_sub(took)),
        end_time_unix_nano: nanos(at),
        attributes: attributes.into_iter().map(attribute).collect(),
        links: links.into_iter().map(link).collect(),
        // An unset status is the usual one: the specification leaves `ok` to people.
        status: is_failed.then(|| proto::Status { code: status::StatusCode::Error.into(), ..proto::Status::default() }),
        ..proto::Span::default()
    }
}

/// Returns nanoseconds.
pub(super) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const BATCHES: Batches = Batches { queue: 10, size: 10, delay: Duration::from_secs(1) };

    fn tracer(is_parent_based: bool, ratio: f64) -> OtlpTracer {
        OtlpTracer::new(Sampler { is_parent_based, ratio }, BATCHES, StdRng::seed_from_u64(1))
    }

    fn parent(flags: &str) -> TraceContext {
        // The last 63 bits of the trace id are in the middle of their range.
        TraceContext::parse(&format!("00-000000000000000180000000000000ff-b7ad6b7169203331-{flags}"), None).expect("valid")
    }

    #[test]
    fn ratio_decides_about_new_traces() {
        let recorded = |ratio: f64| (0..2_000).filter(|_| tracer_of(ratio).begin(None).is_some()).count();
        fn tracer_of(ratio: f64) -> OtlpTracer {
            OtlpTracer::new(Sampler { is_parent_based: true, ratio }, BATCHES, rand::make_rng())
        }
        assert_eq!((recorded(0.0), recorded(1.0)), (0, 2_000));
        assert!((100..300).contains(&recorded(0.1)), "{}", recorded(0.1));
    }

    #[test]
    fn sender_decides_for_a_parent_based_sampler_only() {
        let is_sampled = |tracer: &OtlpTracer, flags: &str| tracer.begin(Some(&parent(flags))).expect("the trace goes on").is_sampled();
        let never = tracer(true, 0.0);
        assert!(is_sampled(&never, "01") && !is_sampled(&never, "00") && never.begin(None).is_none());
        assert!(!is_sampled(&tracer(true, 1.0), "00"));
        assert!(is_sampled(&tracer(false, 0.6), "00") && !is_sampled(&tracer(false, 0.4), "01"));
    }

    #[test]
    fn recorded_span_has_an_id_of_its_own_and_another_passes_through() {
        let recorded = tracer(true, 1.0).begin(Some(&parent("01"))).expect("recorded");
        assert!(recorded.trace() == parent("01").trace() && recorded.span() != parent("01").span());
        assert_eq!(tracer(true, 1.0).begin(Some(&parent("00"))), Some(parent("00")));
    }
}
