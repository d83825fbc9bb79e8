//! Span `api.request`: one request to the API, below the span of its sender.
//!
//! The sender's `traceparent` counts for callers with a key or a session only: customers in a portal and strangers decide nothing about
//! an operator's traces.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use hookstream_model::base::{
    spans::{AttributeValue, Span, SpanKind},
    trace_context::{self, SpanId, TraceContext},
};
use http::{HeaderMap, Method, StatusCode, request::Parts};
use tokio::time::Instant;

use crate::{auth::credentials::Principal, state::Api};

/// Place of a request in its trace, for the handlers that pass it on.
#[derive(Debug, Clone, Default)]
pub(crate) struct RequestTrace(pub(crate) Option<Box<TraceContext>>);

impl FromRequestParts<Api> for RequestTrace {
    type Rejection = Infallible;

    /// Takes what [`RequestSpan::begin`] decided, or while tracing is off the headers of the sender.
    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Infallible> {
        let decided = parts.extensions.get::<Self>().cloned();
        Ok(decided.unwrap_or_else(|| Self(of_sender(&parts.headers).map(Box::new))))
    }
}

/// Span of a request that is being handled, if its trace is recorded.
#[derive(Debug)]
pub(crate) struct RequestSpan {
    context: TraceContext,
    parent: Option<SpanId>,
    begun: Instant,
}

/// Answered request, for the attributes of its span.
pub(crate) struct Handled<'a> {
    pub(crate) method: &'a Method,
    pub(crate) route: Option<&'a str>,
    pub(crate) status: StatusCode,
    pub(crate) id: &'a str,
}

impl RequestSpan {
    /// Begins the span of a request that arrived at `begun`, and returns its place in the trace. `None` for both while tracing is off, and
    /// for routes without a span: pages, probes and metrics.
    pub(crate) fn begin(
        api: &Api,
        principal: &Principal,
        headers: &HeaderMap,
        route: Option<&str>,
        begun: Instant,
    ) -> Option<(Option<Self>, RequestTrace)> {
        let tracer = api.tracer.as_ref()?;
        route.filter(|route| route.starts_with("/v1/") && !route.starts_with("/v1/health"))?;
        let sender = match principal {
            Principal::Key(_) | Principal::Session(_) => of_sender(headers),
            Principal::Portal(_) | Principal::Nothing => None,
        };
        let context = tracer.begin(sender.as_ref());
        let recorded = context.as_ref().filter(|context| context.is_sampled()).cloned();
        let span = recorded.map(|context| Self { context, parent: sender.map(|sender| sender.span()), begun });
        Some((span, RequestTrace(context.map(Box::new))))
    }

    /// Context of the span.
    pub(crate) const fn context(&self) -> &TraceContext {
        &self.context
    }

    /// Ends the span with the response.
    pub(crate) fn end(self, api: &Api, handled: &Handled<'_>) {
        let Some(tracer) = &api.tracer else { return };
        let Self { context, parent, begun } = self;
        let Handled { method, route, status, id } = *handled;
        let is_failed = status.is_server_error();
        let mut attributes: Vec<(&'static str, AttributeValue)> = vec![
            ("http.request.method", method.as_str().to_owned().into()),
            ("http.response.status_code", status.as_u16().into()),
            ("url.scheme", if api.options.is_secure { "https" } else { "http" }.into()),
            ("hookstream.request.id", id.to_owned().into()),
        ];
        attributes.extend(route.map(|route| ("http.route", route.to_owned().into())));
        attributes.extend(is_failed.then(|| ("error.type", status.as_u16().to_string().into())));
        let took = begun.elapsed();
        tracer.end(Span { name: "api.request", kind: SpanKind::Server, context, parent, took, is_failed, attributes, links: Vec::new() });
    }
}

/// Reads the trace context that a sender gave. Several lines of `tracestate` are one list.
fn of_sender(headers: &HeaderMap) -> Option<TraceContext> {
    let traceparent = headers.get(trace_context::TRACEPARENT)?;
    let states: Vec<_> = headers.get_all(trace_context::TRACESTATE).iter().filter_map(|state| state.to_str().ok()).collect();
    TraceContext::parse(traceparent.to_str().ok()?, Some(states.join(",")).as_deref())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn lines_of_tracestate_are_one_list() {
        let mut headers = HeaderMap::new();
        assert_eq!(of_sender(&headers), None);
        headers.append("tracestate", HeaderValue::from_static("a=1"));
        assert_eq!(of_sender(&headers), None);
        headers.append("traceparent", HeaderValue::from_static("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
        headers.append("tracestate", HeaderValue::from_static("b=2"));
        assert_eq!(of_sender(&headers).expect("valid").tracestate(), Some("a=1,b=2"));
    }
}
