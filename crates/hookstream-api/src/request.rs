//! What surrounds every request: its id, who makes it and whether they may make so many, the catching of panics, the
//! rendering and logging of errors, what browsers are told.

use std::{fmt, panic::AssertUnwindSafe};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, StatusCode, header};
use tokio::time::Instant;

use crate::{
    address::client_address,
    auth::{Presented, Recognised},
    error::ApiError,
    headers,
    limits::{Standing, Subject},
    state::Api,
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A request's id, by which its answer, the log and the audit log speak of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestId(pub(crate) u64);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "req_{:012x}", self.0)
    }
}

/// Runs a request and makes its answer whole.
pub(crate) async fn handle(State(api): State<Api>, request: Request, next: Next) -> Response {
    let number = api.next_request_id();
    let id = number.to_string();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let (standing, answered) = match admit(&api, number, request).await {
        Ok((standing, request)) => (standing, AssertUnwindSafe(next.run(request)).catch_unwind().await),
        Err((standing, error)) => (standing, Ok(error.into_response())),
    };
    let mut response = answered.unwrap_or_else(|panic| ApiError::panicked(describe(&*panic)).into_response());
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        // What this installation does not have is no fault of it, and a full disk is logged once.
        if error.status().is_server_error() && error.status() != StatusCode::NOT_IMPLEMENTED && !error.is_storage_full() {
            let cause = error.cause().unwrap_or("unknown");
            tracing::error!(request.id = %id, %method, %path, cause, "request failed");
        }
        let allow = response.headers_mut().remove(header::ALLOW);
        response = error.render(&id);
        response.headers_mut().extend(allow.map(|allow| (header::ALLOW, allow)));
    }
    tracing::debug!(request.id = %id, %method, %path, status = response.status().as_u16(), "request");
    headers::write(response.headers_mut(), api.options.is_secure);
    if let Some(standing) = standing {
        standing.write(response.headers_mut());
    }
    response.headers_mut().insert(X_REQUEST_ID, HeaderValue::from_str(&id).expect("letters, digits and an underscore"));
    response
}

/// Finds who asks, and whether they may: one too many is refused before anything is read of it.
async fn admit(api: &Api, number: RequestId, request: Request) -> Result<(Option<Standing>, Request), (Option<Standing>, ApiError)> {
    let (mut parts, body) = request.into_parts();
    let presented = Presented::of(parts.uri.path(), &parts.headers, number, api).await.map_err(|error| (None, error.into()))?;
    let limits = &api.options.rate_limits;
    let subject = match presented.recognised() {
        Recognised::Key(key) => Some((Subject::Key(key.id), limits.per_key)),
        Recognised::Session(signed_in) => Some((Subject::Person(signed_in.user.id), limits.per_key)),
        Recognised::Portal(pass) => Some((Subject::Portal(pass.application), limits.per_key)),
        Recognised::Nothing => {
            client_address(&parts, &api.options.trusted_proxies).map(|address| (Subject::Address(address), limits.per_address))
        }
    };
    let standing = subject.map(|(subject, limit)| api.limiter.count(subject, limit, Instant::now()));
    if let Some(standing) = standing.filter(|standing| standing.wait.is_some()) {
        let is_known = !matches!(presented.recognised(), Recognised::Nothing);
        return Err((Some(standing), ApiError::rate_limited(is_known)));
    }
    parts.extensions.insert(presented);
    Ok((standing, Request::from_parts(parts, body)))
}

fn describe(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    format!("a handler panicked: {}", text.unwrap_or_default())
}
