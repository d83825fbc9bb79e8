//! Errors as a client reads them. This is the only place that picks status codes.
//!
//! A handler's error travels as an extension of an empty response; [`crate::request`] knows the
//! request's id and renders it.

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use hookstream_destinations::AddressRefused;
use hookstream_engine::{JobError, RetryError, SendError};
use hookstream_model::{InvalidField, quota::Quota};
use hookstream_store::quotas::Reached;
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

/// An error on its way to the client.
#[derive(Debug, Clone)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    details: Option<Value>,
    /// When to try again, in seconds.
    retry_after: Option<u64>,
    /// For the operator's log only.
    cause: Option<String>,
}

/// The body of every error.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// What was wrong and what to do, in a sentence.
    #[schema(example = "`url` must start with https:// or http://.")]
    error: String,
    /// The HTTP status.
    #[schema(example = 400)]
    status: u16,
    /// The request's id; it is in the `X-Request-Id` header and in the log as well.
    #[schema(example = "req_3f9a0c5d7e21")]
    request_id: String,
    /// A stable word for programs.
    #[schema(example = "invalid_field")]
    code: &'static str,
    /// What a program may want to know besides, depending on `code`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    details: Option<Value>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), details: None, retry_after: None, cause: None }
    }

    pub(crate) fn with_details(mut self, details: Value) -> Self {
        self.details = Some(details);
        self
    }

    /// Tells when to try again, in whole seconds, rounded up.
    pub(crate) fn with_retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait.as_secs() + u64::from(wait.subsec_nanos() > 0));
        self
    }

    pub(crate) fn invalid(field: &str, problem: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_field", format!("`{field}` {problem}.")).with_details(json!({ "field": field }))
    }

    pub(crate) fn unknown_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "unknown_route", "There is no such route. See /docs for those there are.")
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "This route does not have that method. The Allow header names those it has, /docs tells more.";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
    }

    pub(crate) fn not_found(what: &'static str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("{what} not found. Check the id, and that it belongs to the API key's environment."),
        )
    }

    pub(crate) fn no_fields() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "no_fields", "There are no fields to update. Send at least one that can be changed.")
    }

    pub(crate) fn rate_limited(has_key: bool) -> Self {
        let message = if has_key {
            "The API key makes too many requests. Wait for as long as Retry-After says; the RateLimit headers of each answer say how many are \
             left."
        } else {
            "Too many requests without a valid API key come from this address. Wait for as long as Retry-After says."
        };
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message)
    }

    /// Keeps what the operator's log is to say of a server's error, the causes included.
    pub(crate) fn caused_by(mut self, error: &(dyn std::error::Error + 'static)) -> Self {
        self.cause = Some(chain(error));
        self
    }

    /// Whether it is [`Self::storage_full`].
    pub(crate) fn is_storage_full(&self) -> bool {
        self.code == "storage_full"
    }

    /// The disk is full.
    pub(crate) fn storage_full() -> Self {
        let message = "The disk is full: new messages are refused until there is room. Accepted messages continue to be delivered.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "storage_full", message)
    }

    pub(crate) fn panicked(cause: String) -> Self {
        Self { cause: Some(cause), ..Self::internal() }
    }

    fn internal() -> Self {
        let message = "Something went wrong on our side. Try again; if it stays, give the request_id to whoever runs this installation.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }

    pub(crate) fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// The response, once the request's id is known. `headers` are those of the original, such as
    /// `Allow`.
    pub(crate) fn render(self, request_id: &str) -> Response {
        let (status, retry_after) = (self.status, self.retry_after);
        let mut response = (status, axum::Json(self.body(request_id))).into_response();
        if status == StatusCode::LOOP_DETECTED {
            // What sent it is a Hookstream, which must not try it again.
            response.headers_mut().insert("webhook-delivery", HeaderValue::from_static("abort-message"));
        }
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNSUPPORTED_MEDIA_TYPE {
            // RFC 9110, section 12.5.3: what the server accepts as the coding of a request's body.
            response.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"hookstream\""));
        }
        response
    }
}

impl ApiError {
    /// All that the client is told.
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
            // The store logs it once for all; a line for each refusal would fill what is left of the disk.
            Error::Full { .. } => return Self::storage_full(),
            Error::Unavailable { .. } => {
                let message = "The database is not available at the moment. Try again; an Idempotency-Key makes that harmless.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "database_unavailable", message)
            }
            Error::Closed => Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "This server is stopping. Try again in a moment."),
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
                let message = "The application is disabled and takes no messages. Set its `status` to `active` first.";
                Self::new(StatusCode::BAD_REQUEST, "application_disabled", message)
            }
            SendError::EndpointSkips(reason) => endpoint_skips(reason),
            SendError::Invalid(error) => error.into(),
            SendError::PayloadTooLarge { size, limit } => {
                let message = format!("The payload has {size} bytes; the limit is {limit} bytes (setting payload_limit_bytes).");
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", message).with_details(json!({ "limit": limit, "size": size }))
            }
            SendError::Loop(hops) => {
                let message = format!(
                    "{} deliveries led to this message, one after the other: an endpoint leads back here. Find it by its URL and remove it.",
                    hops.count()
                );
                Self::new(StatusCode::LOOP_DETECTED, "loop_detected", message)
            }
            SendError::StorageBudgetReached { budget, bytes } => {
                let message = format!(
                    "The environment's payloads that are still owed take {bytes} bytes, more than its budget of {budget}. Send it again \
                     later: what is delivered makes room. Or raise the budget: `max_payload_bytes` of PATCH /v1/environments/{{id}}, or the \
                     setting max_payload_bytes."
                );
                Self::new(StatusCode::TOO_MANY_REQUESTS, "storage_budget_reached", message)
                    .with_details(json!({ "max_payload_bytes": budget, "payload_bytes": bytes }))
            }
            SendError::QuotaReached { most, until, wait } => {
                let message = format!(
                    "The organization has had {most} events in this month, which is its quota (events_per_month). The next month begins at \
                     {until}; whoever runs this installation can raise the quota."
                );
                Self::new(StatusCode::TOO_MANY_REQUESTS, "quota_reached", message)
                    .with_details(json!({ "quota": Quota::EventsPerMonth.as_str(), "limit": most, "resets_at": until.to_string() }))
                    .with_retry_after(wait)
            }
            SendError::SchemaViolated(violations) => {
                let first = violations.first().map_or_else(String::new, |v| format!(" at {:?} ({}): {}", v.path, v.rule, v.message));
                let all: Vec<_> = violations.iter().map(|v| json!({ "path": v.path, "rule": v.rule, "message": v.message })).collect();
                let message = format!("`payload` breaks the JSON Schema of its event type{first}.");
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "schema_violated", message).with_details(json!({ "violations": all }))
            }
            SendError::SchemaTooExpensive => {
                let message = "Checking `payload` against the JSON Schema of its event type takes more work than one message may. Simplify the \
                    schema: fewer alternatives, references and patterns; or send a smaller payload.";
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "schema_too_expensive", message)
            }
            SendError::PayloadUnreadable(problem) => {
                let message = format!(
                    "`payload` can't be checked against the JSON Schema of its event type: {problem}. Send JSON that is nested at most 128 levels \
                     deep, or remove the schema."
                );
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "payload_not_checkable", message)
            }
            SendError::DuplicateEventId(message_id) => {
                let message = format!("The application has a message with this `event_id` already: {message_id}.");
                Self::new(StatusCode::CONFLICT, "duplicate_event_id", message).with_details(json!({ "message_id": message_id.to_string() }))
            }
            SendError::KeyReused => Self::key_reused(),
            SendError::KeepsChanging => {
                let message = "The application or its event types keep changing while the message is accepted. Try again.";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "keeps_changing", message)
            }
            SendError::Store(error) => error.into(),
        }
    }
}

impl From<Reached> for ApiError {
    fn from(Reached { quota, most }: Reached) -> Self {
        let what = match quota {
            Quota::Applications => format!("The organization may have {most} applications and has as many. Delete one"),
            Quota::EndpointsPerApplication => format!("An application may have {most} endpoints and this one has as many. Delete one"),
            Quota::EventTypes => format!("The organization may have {most} event types and has as many. Delete one"),
            Quota::Environments => format!("The organization may have {most} environments and has as many. Delete one"),
            Quota::RetentionDays => format!("The organization's environments may keep messages for {most} days. Choose fewer"),
            Quota::EventsPerMonth => format!("The organization may have {most} events in a month. Wait for the next"),
        };
        let message = format!("{what}, or ask whoever runs this installation to raise the quota {}.", quota.as_str());
        Self::new(StatusCode::FORBIDDEN, "quota_reached", message).with_details(json!({ "quota": quota.as_str(), "limit": most }))
    }
}

impl ApiError {
    pub(crate) fn key_reused() -> Self {
        let message = "This Idempotency-Key was used for another request. Use a new key for each request that is not a repetition.";
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", message)
    }
}

fn endpoint_skips(reason: &'static str) -> ApiError {
    let message = format!("The endpoint receives nothing as it stands ({reason}). Enable it, or change its `expires_at`, first.");
    ApiError::new(StatusCode::BAD_REQUEST, reason, message)
}

impl From<RetryError> for ApiError {
    fn from(error: RetryError) -> Self {
        match error {
            RetryError::NotFound => Self::not_found("Message"),
            RetryError::EndpointNotFound => Self::not_found("Endpoint"),
            RetryError::PayloadExpired => {
                let message = "The message's payload has expired and was removed, so there is nothing to send again. Send it as a new \
                    message; payload_retention_days and the environment's budget say how long payloads are kept.";
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
                let message = format!("{running} jobs of this environment run already. Wait for some to end, or cancel them.");
                Self::new(StatusCode::CONFLICT, "too_many_jobs", message).with_details(json!({ "running": running }))
            }
            JobError::Store(error) => error.into(),
        }
    }
}

/// An error and its causes, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
