//! What surrounds every request: its id, the catching of panics, the rendering and logging of errors.

use std::panic::AssertUnwindSafe;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, header};

use crate::{error::ApiError, state::Api};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Runs a request and makes its answer whole.
pub(crate) async fn handle(State(api): State<Api>, request: Request, next: Next) -> Response {
    let id = api.next_request_id();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let mut response = match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => axum::response::IntoResponse::into_response(ApiError::panicked(describe(&*panic))),
    };
    if let Some(error) = response.extensions_mut().remove::<ApiError>() {
        if error.status().is_server_error() {
            let cause = error.cause().unwrap_or("unknown");
            tracing::error!(request.id = %id, %method, %path, cause, "request failed");
        }
        let allow = response.headers_mut().remove(header::ALLOW);
        response = error.render(&id);
        response.headers_mut().extend(allow.map(|allow| (header::ALLOW, allow)));
    }
    tracing::debug!(request.id = %id, %method, %path, status = response.status().as_u16(), "request");
    response.headers_mut().insert(X_REQUEST_ID, HeaderValue::from_str(&id).expect("letters, digits and an underscore"));
    response
}

fn describe(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    format!("a handler panicked: {}", text.unwrap_or_default())
}
