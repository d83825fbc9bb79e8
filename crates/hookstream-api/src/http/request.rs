//! What surrounds every request: its id, who makes it and whether they may make so many, the catching of panics, the
//! rendering and logging of errors, what browsers are told.

use std::{num::NonZeroU32, panic::AssertUnwindSafe};

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, StatusCode, header};
use tokio::time::Instant;

use crate::{
    auth::credentials::{Credentials, CredentialsError, Principal},
    http::{
        address::client_network,
        body,
        error::ApiError,
        headers, idempotency,
        limits::{RateLimitStatus, Subject},
        names,
        request_id::RequestId,
    },
    state::Api,
};

/// Requests a second of one application's portal: a page makes a few.
const PER_PORTAL: NonZeroU32 = NonZeroU32::new(50).expect("not 0");

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Runs a request and makes its answer whole.
pub(crate) async fn handle(State(api): State<Api>, request: Request, next: Next) -> Response {
    let number = api.next_request_id();
    let id = number.to_string();
    let method = request.method().clone();
    let uri = request.uri().clone();
    // Terminals and log viewers obey control characters. Formatting costs time, so only a line that is written does it.
    let path = || uri.path().escape_debug();
    let (standing, answered) = match admit(&api, number, request).await {
        Ok((standing, request)) => (standing, AssertUnwindSafe(idempotency::answer_once(&api, request, next)).catch_unwind().await),
        Err((standing, error)) => (standing, Ok(error.into_response())),
    };
    let mut response = answered.unwrap_or_else(|panic| ApiError::panicked(describe(&*panic)).into_response());
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        // What this installation does not have is no fault of it, and a full disk is logged once.
        if error.status().is_server_error() && error.status() != StatusCode::NOT_IMPLEMENTED && !error.is_storage_full() {
            let cause = error.cause().unwrap_or("unknown");
            tracing::error!(request.id = %id, %method, path = %path(), cause, "request failed");
        }
        let allow = response.headers_mut().remove(header::ALLOW);
        response = error.render(&id);
        response.headers_mut().extend(allow.map(|allow| (header::ALLOW, allow)));
    }
    tracing::debug!(request.id = %id, %method, path = %path(), status = response.status().as_u16(), "request");
    headers::write(response.headers_mut(), api.options.is_secure);
    if let Some(standing) = standing {
        standing.write(response.headers_mut());
    }
    response.headers_mut().insert(X_REQUEST_ID, HeaderValue::from_str(&id).expect("letters, digits and an underscore"));
    response
}

/// Finds the caller and counts the request: one too many is refused before anything is read of it.
async fn admit(
    api: &Api,
    number: RequestId,
    request: Request,
) -> Result<(Option<RateLimitStatus>, Request), (Option<RateLimitStatus>, ApiError)> {
    let (mut parts, mut body) = request.into_parts();
    let limits = &api.options.rate_limits;
    let address = client_network(&parts, &api.options.trusted_proxies).map(Subject::Address);
    // Credentials that nobody knows cost the store a query each; an address that has used up its rate gets none.
    let exhausted = || address.and_then(|address| api.limiter.refusal(address, limits.per_address, Instant::now()));
    let presented = Credentials::of(parts.uri.path(), &parts.headers, number, api, || exhausted().is_none()).await;
    let presented = presented.map_err(|unread| match unread {
        CredentialsError::NotNow => (exhausted(), ApiError::rate_limited(false)),
        CredentialsError::Store(error) => (None, error.into()),
    })?;
    let counted = match presented.principal() {
        Principal::Key(key) => Some((Subject::Key(key.id), limits.per_key)),
        Principal::Session(signed_in) => Some((Subject::Person(signed_in.user.id), limits.per_key)),
        Principal::Portal(pass) => Some((Subject::Portal(pass.application), PER_PORTAL.min(limits.per_key))),
        Principal::Nothing => address.map(|address| (address, limits.per_address)),
    };
    let standing = counted.map(|(subject, limit)| api.limiter.count(subject, limit, Instant::now()));
    let is_known = !matches!(presented.principal(), Principal::Nothing);
    if let Some(standing) = standing.filter(|standing| standing.wait.is_some()) {
        return Err((Some(standing), ApiError::rate_limited(is_known)));
    }
    if is_known && let Some(pattern) = parts.extensions.get::<MatchedPath>() {
        names::check_query(&parts.method, pattern.as_str(), &parts.uri).map_err(|error| (standing, error))?;
    }
    let has_body = parts.headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    let is_without = |pattern: &MatchedPath| names::takes_no_body(&parts.method, pattern.as_str());
    if has_body && is_known && parts.extensions.get::<MatchedPath>().is_some_and(is_without) {
        // Boxed: the usual request does not carry the memory of this one.
        let request = Request::from_parts(parts.clone(), body);
        Box::pin(body::refuse_fields(request, api)).await.map_err(|error| (standing, error))?;
        body = Body::empty();
        parts.headers.remove(header::CONTENT_LENGTH);
    }
    idempotency::claim(&mut parts.headers, presented.principal()).map_err(|error| (standing, error))?;
    if let Some((subject, _)) = counted {
        parts.extensions.insert(subject);
    }
    parts.extensions.insert(presented);
    Ok((standing, Request::from_parts(parts, body)))
}

fn describe(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    format!("a handler panicked: {}", text.unwrap_or_default())
}
