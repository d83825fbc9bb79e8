//! Access log: one line for each request, with its id and caller. A budget bounds the lines of a second.

use std::{fmt, net::IpAddr, time::Duration};

use hookstream_model::base::{
    line_budget::{Line, LineBudget},
    trace_context::TraceId,
};
use http::{Method, StatusCode, Uri};

/// Target of the lines, for filters such as `info,hookstream::access=off`.
const TARGET: &str = "hookstream::access";

/// Access log of a server.
#[derive(Debug)]
pub(crate) struct AccessLog {
    budget: LineBudget,
}

/// Answered request.
pub(crate) struct Answered<'a> {
    pub(crate) id: &'a str,
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) status: StatusCode,
    pub(crate) took: Duration,
    pub(crate) caller: &'a dyn fmt::Display,
    pub(crate) client: Option<IpAddr>,
    /// Trace of the request, if it is recorded.
    pub(crate) trace: Option<TraceId>,
}

impl AccessLog {
    pub(crate) const fn new(budget: LineBudget) -> Self {
        Self { budget }
    }

    /// Writes the line of a request, unless lines of this second are used up. A failure of the server always has one.
    pub(crate) fn note(&self, answered: &Answered<'_>) {
        if !tracing::enabled!(target: TARGET, tracing::Level::INFO) {
            return;
        }
        let left_out = match self.budget.decide(std::time::Instant::now()) {
            Line::Write { left_out } => left_out,
            Line::LeaveOut if answered.status.is_server_error() => 0,
            Line::LeaveOut => return,
        };
        if left_out > 0 {
            tracing::info!(target: TARGET, left_out, "lines of requests were left out: log_lines_per_second");
        }
        let Answered { id, method, uri, status, took, caller, client, trace } = answered;
        let (client, trace_id) = (client.map(tracing::field::display), trace.map(tracing::field::display));
        // The query may contain a token, so the path alone. Control characters are escaped, because terminals and log viewers
        // obey them.
        let (path, duration_ms) = (uri.path().escape_debug(), milliseconds(*took));
        let status = status.as_u16();
        tracing::info!(target: TARGET, { request.id = id, %method, %path, status, duration_ms, %caller, client, trace_id }, "request");
    }
}

/// Returns a duration in milliseconds, with three decimals.
fn milliseconds(duration: Duration) -> f64 {
    f64::from(u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)) / 1_000.0
}
