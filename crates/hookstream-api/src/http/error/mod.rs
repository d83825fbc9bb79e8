//! API errors; [`code`] has the status of each.
//!
//! A handler's error travels as an extension of an empty response; [`crate::http::request`] knows the request id and
//! renders it.

mod code;
mod from;

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{
    ToSchema,
    openapi::{self, Content, Ref, ResponseBuilder},
};

pub(crate) use self::code::ErrorCode;

/// Error for the client.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    code: ErrorCode,
    message: String,
    details: Option<Value>,
    /// `Retry-After`, in seconds.
    retry_after: Option<u64>,
    /// Cause, for the operator's log only.
    cause: Option<String>,
}

/// Body of every error.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// Sentences: what was wrong, what is allowed, what to do.
    #[schema(example = "`url` must start with https:// or http://.")]
    error: String,
    /// HTTP status code.
    #[schema(example = 400)]
    status: u16,
    /// Id of the request, as in the header `X-Request-Id` and in the log.
    #[schema(example = "req_3f9a0c5d7e21")]
    request_id: String,
    /// Stable word for programs.
    #[schema(example = "invalid_field")]
    code: &'static str,
    /// Further values for programs, depending on `code`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    details: Option<Value>,
}

impl ErrorBody {
    /// Returns the response with this body, for the OpenAPI document.
    pub(crate) fn response(description: &str) -> openapi::Response {
        let content = Content::new(Some(Ref::from_schema_name("ErrorBody")));
        ResponseBuilder::new().description(description).content("application/json", content).build()
    }
}

impl ApiError {
    /// Returns the text for the operator's log, where no request has the error.
    pub(crate) fn for_log(&self) -> &str {
        self.cause.as_deref().unwrap_or(&self.message)
    }

    pub(crate) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: None, retry_after: None, cause: None }
    }

    pub(crate) fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// Sets `Retry-After`, in whole seconds, rounded up.
    pub(crate) fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        self
    }

    pub(crate) fn invalid(field: &str, problem: &str) -> Self {
        Self::new(ErrorCode::InvalidField, format!("`{field}` {problem}.")).with_details(json!({ "field": field }))
    }

    pub(crate) fn unknown_route() -> Self {
        Self::new(ErrorCode::UnknownRoute, "Not found. See /docs for the available endpoints.")
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "Method not allowed. The Allow header lists the methods of this path; see /docs.";
        Self::new(ErrorCode::MethodNotAllowed, message)
    }

    pub(crate) fn not_found(what: &'static str) -> Self {
        Self::new(ErrorCode::NotFound, format!("{what} not found. Check the id, and that it belongs to the environment of the API key."))
    }

    pub(crate) fn no_fields() -> Self {
        Self::new(ErrorCode::NoFields, "The request contains no field to update. Send at least one.")
    }

    pub(crate) fn rate_limited(has_key: bool) -> Self {
        let message = if has_key {
            "The API key exceeds its request rate. Retry after the time in Retry-After. The RateLimit headers of each answer show the \
             remaining requests."
        } else {
            "Too many requests without a valid API key from this address. Retry after the time in Retry-After."
        };
        Self::new(ErrorCode::RateLimited, message)
    }

    /// Returns the quota that refused the request, if one did.
    pub(crate) fn quota(&self) -> Option<&str> {
        self.details.as_ref()?.get("quota")?.as_str()
    }

    /// Stores an error and its causes for the operator's log.
    pub(crate) fn caused_by(mut self, error: &(dyn std::error::Error + 'static)) -> Self {
        self.cause = Some(chain(error));
        self
    }

    /// Error for a full disk.
    pub(crate) fn storage_full() -> Self {
        let message = "The server's disk is full, so new messages are refused. Accepted messages are still delivered. Retry later, or ask the operator to free space.";
        Self::new(ErrorCode::StorageFull, message)
    }

    /// Error of the readiness probe while the server is about to stop.
    pub(crate) fn draining() -> Self {
        let message = "The server is about to stop. It still serves requests, and a load balancer should send new ones to another server.";
        Self::new(ErrorCode::Draining, message)
    }

    /// Error for a database that did not answer in time.
    pub(crate) fn database_silent(within: Duration) -> Self {
        let message = format!("The database did not answer within {} s. Retry later.", within.as_secs());
        Self { cause: Some("the readiness check timed out".to_owned()), ..Self::new(ErrorCode::DatabaseUnavailable, message) }
    }

    pub(crate) fn panicked(cause: String) -> Self {
        Self { cause: Some(cause), ..Self::internal() }
    }

    fn internal() -> Self {
        let message =
            "Internal server error. Retry the request. If the error persists, give the request_id to the operator of this installation.";
        Self::new(ErrorCode::Internal, message)
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.code.status()
    }

    /// Returns true for an error of the server, which the operator should see. The store logs a full disk once, and the
    /// server its stop.
    pub(crate) fn is_for_the_log(&self) -> bool {
        self.status().is_server_error() && !matches!(self.code, ErrorCode::StorageFull | ErrorCode::Draining)
    }

    pub(crate) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// Renders the response, which needs the request id. `headers` are those of the original response, such as
    /// `Allow`.
    pub(crate) fn render(self, request_id: &str) -> Response {
        let (status, retry_after) = (self.status(), self.retry_after);
        let mut response = (status, axum::Json(self.body(request_id))).into_response();
        if status == StatusCode::LOOP_DETECTED {
            // The sender is a Hookstream, which must not retry the message.
            response.headers_mut().insert("webhook-delivery", HeaderValue::from_static("abort-message"));
        }
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UPGRADE_REQUIRED {
            // RFC 9110 section 15.5.22.
            response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        }
        if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            // Content codings that the server accepts in requests (RFC 9110 section 12.5.3).
            response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"hookstream\""));
        }
        response
    }
}

impl ApiError {
    /// Returns the body, which is all that the client sees of the error.
    pub(crate) fn body(self, request_id: &str) -> ErrorBody {
        ErrorBody {
            status: self.status().as_u16(),
            error: self.message,
            request_id: request_id.to_owned(),
            code: self.code.as_str(),
            details: self.details,
        }
    }
}

impl ApiError {
    pub(crate) fn key_reused() -> Self {
        let message = "This Idempotency-Key was already used for another request. Use a new key for each new request.";
        Self::new(ErrorCode::IdempotencyKeyReused, message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Returns the text of an error and its causes, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests;
