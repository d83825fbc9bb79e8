//! API errors. Only this file decides on status codes.
//!
//! A handler's error travels as an extension of an empty response; [`crate::http::request`] knows the request id and
//! renders it.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use hookstream_destinations::AddressRefused;
use hookstream_engine::{JobError, RetryError, SendError};
use hookstream_model::{InvalidField, operations::quota::Quota};
use hookstream_store::operations::quotas::Reached;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{
    ToSchema,
    openapi::{self, Content, Ref, ResponseBuilder},
};

/// Error for the client.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
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
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), details: None, retry_after: None, cause: None }
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
        Self::new(StatusCode::BAD_REQUEST, "invalid_field", format!("`{field}` {problem}.")).with_details(json!({ "field": field }))
    }

    pub(crate) fn unknown_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "unknown_route", "Not found. See /docs for the available endpoints.")
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "Method not allowed. The Allow header lists the methods of this path; see /docs.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    pub(crate) fn not_found(what: &'static str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("{what} not found. Check the id, and that it belongs to the environment of the API key."),
        )
    }

    pub(crate) fn no_fields() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "no_fields", "The request contains no field to update. Send at least one.")
    }

    pub(crate) fn rate_limited(has_key: bool) -> Self {
        let message = if has_key {
            "The API key exceeds its request rate. Retry after the time in Retry-After. The RateLimit headers of each answer show the \
             remaining requests."
        } else {
            "Too many requests without a valid API key from this address. Retry after the time in Retry-After."
        };
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message)
    }

    /// Stores an error and its causes for the operator's log.
    pub(crate) fn caused_by(mut self, error: &(dyn std::error::Error + 'static)) -> Self {
        self.cause = Some(chain(error));
        self
    }

    /// Returns true for [`Self::storage_full`].
    pub(crate) fn is_storage_full(&self) -> bool {
        self.code == "storage_full"
    }

    /// Error for a full disk.
    pub(crate) fn storage_full() -> Self {
        let message = "The server's disk is full, so new messages are refused. Accepted messages are still delivered. Retry later, or ask the operator to free space.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "storage_full", message)
    }

    pub(crate) fn panicked(cause: String) -> Self {
        Self { cause: Some(cause), ..Self::internal() }
    }

    fn internal() -> Self {
        let message =
            "Internal server error. Retry the request. If the error persists, give the request_id to the operator of this installation.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// Renders the response, which needs the request id. `headers` are those of the original response, such as
    /// `Allow`.
    pub(crate) fn render(self, request_id: &str) -> Response {
        let (status, retry_after) = (self.status, self.retry_after);
        let mut response = (status, axum::Json(self.body(request_id))).into_response();
        if status == StatusCode::LOOP_DETECTED {
            // The sender is a Hookstream, which must not retry the message.
            response.headers_mut().insert("webhook-delivery", HeaderValue::from_static("abort-message"));
        }
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
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
            error: self.message,
            status: self.status.as_u16(),
            request_id: request_id.to_owned(),
            code: self.code,
            details: self.details,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<InvalidField> for ApiError {
    fn from(error: InvalidField) -> Self {
        Self::invalid(error.field, &error.problem)
    }
}

impl From<AddressRefused> for ApiError {
    fn from(refused: AddressRefused) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "address_not_allowed", format!("`url` {refused}.")).with_details(json!({ "field": "url" }))
    }
}

impl From<hookstream_store::Error> for ApiError {
    fn from(error: hookstream_store::Error) -> Self {
        use hookstream_store::Error;
        let visible = match &error {
            // The store logs a full disk once; a line per refusal would use up the rest of the disk.
            Error::Full { .. } => return Self::storage_full(),
            Error::Unavailable { .. } => {
                let message =
                    "The database is not available at the moment. Retry the request, with an Idempotency-Key if it creates something.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "database_unavailable", message)
            }
            Error::Closed => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "The server is shutting down. Retry the request in a few seconds.")
            }
            Error::Open { .. }
            | Error::InUse { .. }
            | Error::TooNew { .. }
            | Error::Failed { .. }
            | Error::Conflict { .. }
            | Error::Unreadable { .. }
            | Error::Unopened { .. }
            | Error::Locked
            | Error::MissingKey { .. }
            | Error::Encoding { .. }
            | Error::KeyRetired { .. } => Self::internal(),
        };
        Self { cause: Some(chain(&error)), ..visible }
    }
}

impl From<SendError> for ApiError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::ApplicationNotFound => Self::not_found("Application"),
            SendError::EndpointNotFound => Self::not_found("Endpoint"),
            SendError::ApplicationDisabled => {
                let message = "The application is disabled and accepts no messages. Set its `status` to `active` first.";
                Self::new(StatusCode::BAD_REQUEST, "application_disabled", message)
            }
            SendError::EndpointSkips(reason) => endpoint_skips(reason),
            SendError::Invalid(error) => error.into(),
            SendError::PayloadTooLarge { size, limit } => {
                let message = format!(
                    "The payload has {size} bytes; at most {limit} bytes are allowed (setting payload_limit_bytes). Send a smaller payload."
                );
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", message).with_details(json!({ "limit": limit, "size": size }))
            }
            SendError::Loop(hops) => {
                let message = format!(
                    "Delivery loop: this message is the result of {} successive deliveries. Delete the endpoint whose URL leads back to this \
                     installation.",
                    hops.count()
                );
                Self::new(StatusCode::LOOP_DETECTED, "loop_detected", message)
            }
            SendError::StorageBudgetReached { budget, bytes } => {
                let message = format!(
                    "Payloads of pending deliveries use {bytes} bytes, more than the environment's storage budget of {budget} bytes. Retry when \
                     deliveries have succeeded, or raise the budget: `max_payload_bytes` of PATCH /v1/environments/{{id}}, or the setting \
                     max_payload_bytes."
                );
                Self::new(StatusCode::TOO_MANY_REQUESTS, "storage_budget_reached", message)
                    .with_details(json!({ "max_payload_bytes": budget, "payload_bytes": bytes }))
            }
            SendError::QuotaReached { most, until, wait } => {
                let message = format!(
                    "The organization has sent {most} messages this month, which is its quota (events_per_month). Retry after {until}, when the \
                     next month begins, or ask the operator of this installation to raise the quota."
                );
                Self::new(StatusCode::TOO_MANY_REQUESTS, "quota_reached", message)
                    .with_details(json!({ "quota": Quota::EventsPerMonth.as_str(), "limit": most, "resets_at": until.to_string() }))
                    .with_retry_after(wait)
            }
            SendError::SchemaViolated(violations) => {
                let first = violations.first().map_or_else(String::new, |v| format!(" at {:?} ({}): {}", v.path, v.rule, v.message));
                let all: Vec<_> = violations.iter().map(|v| json!({ "path": v.path, "rule": v.rule, "message": v.message })).collect();
                let message = format!("`payload` does not match the JSON Schema of its event type{first}.");
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "schema_violated", message).with_details(json!({ "violations": all }))
            }
            SendError::SchemaTooExpensive => {
                let message = "Checking `payload` against the JSON Schema of its event type takes too much work. Simplify the schema (fewer \
                    alternatives, references and patterns), or send a smaller payload.";
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "schema_too_expensive", message)
            }
            SendError::PayloadUnreadable(problem) => {
                let message = format!(
                    "`payload` can't be checked against the JSON Schema of its event type: {problem}. Send JSON with at most 128 levels of \
                     nesting, or remove the schema."
                );
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "payload_not_checkable", message)
            }
            SendError::DuplicateEventId(message_id) => {
                let message = format!(
                    "Another message of the application has this `event_id`: {message_id}. Use that message, or send another `event_id`."
                );
                Self::new(StatusCode::CONFLICT, "duplicate_event_id", message).with_details(json!({ "message_id": message_id.to_string() }))
            }
            SendError::KeyReused => Self::key_reused(),
            SendError::KeepsChanging => {
                let message =
                    "The application or its event types changed repeatedly while the message was being accepted. Retry the request.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "keeps_changing", message)
            }
            SendError::Store(error) => error.into(),
        }
    }
}

impl From<Reached> for ApiError {
    fn from(Reached { quota, most }: Reached) -> Self {
        let what = match quota {
            Quota::Applications => format!("The organization has reached its quota of {most} applications. Delete one"),
            Quota::EndpointsPerApplication => format!("The application has reached its quota of {most} endpoints. Delete one"),
            Quota::EventTypes => format!("The organization has reached its quota of {most} event types. Delete one"),
            Quota::Environments => format!("The organization has reached its quota of {most} environments. Delete one"),
            Quota::RetentionDays => format!("The organization's quota is {most} days of retention. Set `retention_days` to at most {most}"),
            Quota::EventsPerMonth => format!("The organization has reached its quota of {most} messages a month. Wait for the next month"),
        };
        let message = format!("{what}, or ask the operator of this installation to raise the quota {}.", quota.as_str());
        Self::new(StatusCode::FORBIDDEN, "quota_reached", message).with_details(json!({ "quota": quota.as_str(), "limit": most }))
    }
}

impl ApiError {
    pub(crate) fn key_reused() -> Self {
        let message = "This Idempotency-Key was already used for another request. Use a new key for each new request.";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", message)
    }
}

fn endpoint_skips(reason: &'static str) -> ApiError {
    let message = format!(
        "The endpoint does not receive messages at the moment ({reason}). Set its `status` to `active`, or change its `expires_at`, first."
    );
    ApiError::new(StatusCode::BAD_REQUEST, reason, message)
}

impl From<RetryError> for ApiError {
    fn from(error: RetryError) -> Self {
        match error {
            RetryError::NotFound => Self::not_found("Message"),
            RetryError::EndpointNotFound => Self::not_found("Endpoint"),
            RetryError::PayloadExpired => {
                let message = "The message's payload has expired and was removed, so the message can't be retried. Send a new message. The \
                    setting payload_retention_days and the environment's storage budget limit how long payloads are kept.";
                Self::new(StatusCode::GONE, "payload_expired", message)
            }
            RetryError::Store(error) => error.into(),
        }
    }
}

impl From<JobError> for ApiError {
    fn from(error: JobError) -> Self {
        match error {
            JobError::NotFound => Self::not_found("Endpoint"),
            JobError::Skips(reason) => endpoint_skips(reason),
            JobError::Invalid(error) => error.into(),
            JobError::TooMany(running) => {
                let message = format!(
                    "{running} jobs of this environment are already running, which is the limit. Wait until one ends, or cancel one."
                );
                Self::new(StatusCode::CONFLICT, "too_many_jobs", message).with_details(json!({ "running": running }))
            }
            JobError::Store(error) => error.into(),
        }
    }
}

/// Returns the text of an error and its causes, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
