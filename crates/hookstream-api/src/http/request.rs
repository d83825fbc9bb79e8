//! Layers around every request: its id, its caller and rate limit, panics, the rendering and logging of errors, and
//! the security headers.

use std::{fmt, num::NonZeroU32, panic::AssertUnwindSafe};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, Version, header};
use tokio::time::Instant;

use crate::{
    access_log::Answered,
    auth::{
        credentials::{Credentials, CredentialsError, Principal},
        portal_token,
    },
    http::{
        address::{client_address_of, client_network},
        body,
        error::ApiError,
        headers, idempotency,
        limits::{RateLimitStatus, Subject},
        names,
        request_id::RequestId,
    },
    request_trace::{Handled, RequestSpan},
    state::Api,
};

/// Requests per second of one application's portal; a page makes a few.
const PER_PORTAL: NonZeroU32 = NonZeroU32::new(50).expect("not 0");

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Runs a request and completes its response.
pub(crate) async fn handle(State(api): State<Api>, request: Request, next: Next) -> Response {
    let number = api.next_request_id();
    let id = number.to_string();
    let method = request.method().clone();
    let uri = request.uri().clone();
    let version = request.version();
    // Control characters are escaped, because terminals and log viewers obey them. Formatting is lazy, because it
    // takes time.
    let path = || uri.path().escape_debug();
    let began = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let client = client_address_of(&request, &api.options.live.get().trusted_proxies);
    api.instruments.used(request.headers());
    let mut credentials = None;
    let mut span = None;
    let (rate_limit, answered) = match admit(&api, number, request, &mut credentials).await {
        Ok((rate_limit, mut request)) => {
            if api.tracer.is_some() {
                span = begin_span(&api, &mut request, credentials.as_ref(), began);
            }
            (rate_limit, AssertUnwindSafe(idempotency::answer_once(&api, request, next)).catch_unwind().await)
        }
        Err((rate_limit, error)) => (rate_limit, Ok(error.into_response())),
    };
    let mut response = answered.unwrap_or_else(|panic| ApiError::panicked(describe(&*panic)).into_response());
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        if error.is_for_the_log() {
            let cause = error.cause().unwrap_or("unknown");
            tracing::error!(request.id = %id, %method, path = %path(), cause, "request failed");
        }
        if let Some(quota) = error.quota() {
            api.instruments.quota_refused(quota);
        }
        let allow = response.headers_mut().remove(header::ALLOW);
        response = error.render(&id);
        response.headers_mut().extend(allow.map(|allow| (header::ALLOW, allow)));
    }
    let (status, took) = (response.status(), began.elapsed());
    let pattern = route.as_ref().map(MatchedPath::as_str);
    api.instruments.answered(&method, pattern, status, took);
    let trace = span.as_ref().map(|span| span.context().trace());
    api.access_log.note(&Answered {
        id: &id,
        method: &method,
        uri: &uri,
        status,
        took,
        caller: &Caller(credentials.as_ref()),
        client,
        trace,
    });
    if let Some(span) = span {
        span.end(&api, &Handled { method: &method, route: pattern, status, id: &id });
    }
    headers::write(response.headers_mut(), api.options.is_secure);
    if let Some(rate_limit) = rate_limit {
        rate_limit.write(response.headers_mut());
    }
    if version <= Version::HTTP_11 && api.is_draining() {
        // HTTP/2 has no such header; its connections get a GOAWAY when the server stops.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response.headers_mut().insert(X_REQUEST_ID, HeaderValue::from_str(&id).expect("letters, digits and an underscore"));
    response
}

/// Begins the span of a request, and notes its place in the trace for the handlers.
fn begin_span(api: &Api, request: &mut Request, credentials: Option<&Credentials>, began: Instant) -> Option<RequestSpan> {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let pattern = route.as_ref().map(MatchedPath::as_str);
    let (span, trace) = RequestSpan::begin(api, credentials?.principal(), request.headers(), pattern, began)?;
    request.extensions_mut().insert(trace);
    span
}

/// Caller of a request, as the log names it.
struct Caller<'a>(Option<&'a Credentials>);

impl fmt::Display for Caller<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.map(Credentials::principal) {
            Some(Principal::Key(key)) => write!(f, "key {}", key.id),
            Some(Principal::Session(signed_in)) => write!(f, "user {}", signed_in.user.id),
            Some(Principal::Portal(claims)) => write!(f, "portal {}", claims.application),
            Some(Principal::Nothing) | None => f.write_str("none"),
        }
    }
}

/// Finds the caller and counts the request. A request over the limit is refused before anything is read of it.
async fn admit(
    api: &Api,
    number: RequestId,
    request: Request,
    known: &mut Option<Credentials>,
) -> Result<(Option<RateLimitStatus>, Request), (Option<RateLimitStatus>, ApiError)> {
    let (mut parts, mut body) = request.into_parts();
    let live = api.options.live.get();
    let limits = live.rate_limits;
    let address = client_network(&parts, &live.trusted_proxies).map(Subject::Address);
    // Each unknown credential costs a query to the store; an address that has used up its rate gets none.
    let exhausted = || address.and_then(|address| api.limiter.refusal(address, limits.per_address, Instant::now()));
    let credentials = Credentials::of(&parts.uri, &parts.headers, number, api, || exhausted().is_none()).await;
    let credentials = credentials.map_err(|unread| match unread {
        CredentialsError::NotNow => (exhausted(), ApiError::rate_limited(false)),
        CredentialsError::Store(error) => (None, error.into()),
    })?;
    let counted = match credentials.principal() {
        Principal::Key(key) => Some((Subject::Key(key.id), limits.per_key)),
        Principal::Session(signed_in) => Some((Subject::Person(signed_in.user.id), limits.per_key)),
        Principal::Portal(claims) => Some((Subject::Portal(claims.application), PER_PORTAL.min(limits.per_key))),
        Principal::Nothing => address.map(|address| (address, limits.per_address)),
    };
    let rate_limit = counted.map(|(subject, limit)| api.limiter.count(subject, limit, Instant::now()));
    let is_known = !matches!(credentials.principal(), Principal::Nothing);
    if let Some(rate_limit) = rate_limit.filter(|rate_limit| rate_limit.wait.is_some()) {
        return Err((Some(rate_limit), ApiError::rate_limited(is_known)));
    }
    if let Principal::Portal(claims) = credentials.principal() {
        portal_token::check_read_only(claims, &parts).map_err(|error| (rate_limit, error))?;
    }
    if is_known && let Some(pattern) = parts.extensions.get::<MatchedPath>() {
        names::check_query(&parts.method, pattern.as_str(), &parts.uri).map_err(|error| (rate_limit, error))?;
    }
    let has_body = parts.headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    let is_without = |pattern: &MatchedPath| names::takes_no_body(&parts.method, pattern.as_str());
    if has_body && is_known && parts.extensions.get::<MatchedPath>().is_some_and(is_without) {
        // Boxed, so that usual requests do not carry its memory.
        let request = Request::from_parts(parts.clone(), body);
        Box::pin(body::refuse_fields(request, api)).await.map_err(|error| (rate_limit, error))?;
        body = Body::empty();
        parts.headers.remove(header::CONTENT_LENGTH);
    }
    idempotency::claim(&mut parts.headers, credentials.principal()).map_err(|error| (rate_limit, error))?;
    if let Some((subject, _)) = counted {
        parts.extensions.insert(subject);
    }
    *known = Some(credentials.clone());
    parts.extensions.insert(credentials);
    Ok((rate_limit, Request::from_parts(parts, body)))
}

fn describe(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    format!("a handler panicked: {}", text.unwrap_or_default())
}

#[cfg(test)]
mod tests;
