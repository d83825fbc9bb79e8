//! Log records for the collector: the events that pass the filter of the log.

use std::{
    error::Error,
    fmt::{self, Write},
    sync::{Arc, OnceLock},
};

use hookstream_cli::clock::since_1970;
use hookstream_model::base::trace_context::TraceId;
use opentelemetry_proto::tonic::{
    common::v1::{KeyValue, any_value::Value},
    logs::v1::{LogRecord, SeverityNumber},
};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use super::{buffer::Buffer, counts::Signal, export, tracer::nanos, values};
use crate::config::Batches;

/// Targets that are not exported: sending their events would cause more of them.
const LEFT_OUT: [&str; 5] = [export::TARGET, "h2", "hickory", "hyper", "rustls"];

/// Field that becomes the trace of a record.
const TRACE_FIELD: &str = "trace_id";

static BUFFER: OnceLock<Arc<Buffer<LogRecord>>> = OnceLock::new();

/// Layer of the log that keeps events for the collector.
pub(in crate::telemetry) struct LogLayer(Arc<Buffer<LogRecord>>);

impl LogLayer {
    /// Builds a layer over the buffer of the process.
    pub(in crate::telemetry) fn new(batches: Batches) -> Self {
        Self(Self::buffer(batches))
    }

    /// Returns the buffer of the process. Logging starts before the server, so it exists before the task that empties it.
    pub(super) fn buffer(batches: Batches) -> Arc<Buffer<LogRecord>> {
        Arc::clone(BUFFER.get_or_init(|| Arc::new(Buffer::new(Signal::Logs, batches))))
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if LEFT_OUT.iter().any(|left_out| metadata.target().starts_with(left_out)) {
            return;
        }
        let (severity, text) = severity(*metadata.level());
        let mut fields = Fields::default();
        event.record(&mut fields);
        fields.attributes.push(values::attribute("target", values::text(metadata.target())));
        let at = nanos(since_1970());
        self.0.push(LogRecord {
            time_unix_nano: at,
            observed_time_unix_nano: at,
            severity_number: severity.into(),
            severity_text: text.to_owned(),
            body: Some(values::text(fields.message)),
            attributes: fields.attributes,
            trace_id: fields.trace.map(|trace| trace.as_bytes().to_vec()).unwrap_or_default(),
            ..LogRecord::default()
        });
    }
}

const fn severity(level: Level) -> (SeverityNumber, &'static str) {
    match level {
        Level::ERROR => (SeverityNumber::Error, "ERROR"),
        Level::WARN => (SeverityNumber::Warn, "WARN"),
        Level::INFO => (SeverityNumber::Info, "INFO"),
        Level::DEBUG => (SeverityNumber::Debug, "DEBUG"),
        Level::TRACE => (SeverityNumber::Trace, "TRACE"),
    }
}

/// Fields of an event.
#[derive(Default)]
struct Fields {
    message: String,
    attributes: Vec<KeyValue>,
    trace: Option<TraceId>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        self.attributes.push(values::attribute(field.name(), values::value(value)));
    }

    fn add_text(&mut self, field: &Field, text: String) {
        match field.name() {
            "message" => self.message = text,
            TRACE_FIELD => self.trace = u128::from_str_radix(&text, 16).ok().map(|id| TraceId::new(id.to_be_bytes())),
            name => self.attributes.push(values::attribute(name, values::text(text))),
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field, Value::DoubleValue(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::IntValue(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        // The protocol has no larger number.
        self.add(field, i64::try_from(value).map_or_else(|_| Value::StringValue(value.to_string()), Value::IntValue));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::BoolValue(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add_text(field, value.to_owned());
    }

    fn record_error(&mut self, field: &Field, error: &(dyn Error + 'static)) {
        let (mut text, mut cause) = (error.to_string(), error.source());
        while let Some(found) = cause {
            let _ = write!(text, ": {found}");
            cause = found.source();
        }
        self.add_text(field, text);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add_text(field, format!("{value:?}"));
    }
}
