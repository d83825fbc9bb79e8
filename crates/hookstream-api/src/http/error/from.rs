//! Errors of the model, the store and the engine, as errors for the client.

use hookstream_engine::{JobError, RetryError, SendError};
use hookstream_model::{
    InvalidField,
    operations::{
        quota::Quota,
        view::{TooManyViews, VIEWS_MAX},
    },
};
use hookstream_store::operations::quotas::Reached;
use serde_json::json;

use super::{ApiError, ErrorCode};

impl From<InvalidField> for ApiError {
    fn from(error: InvalidField) -> Self {
        Self::invalid(error.field, &error.problem)
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
                Self::new(ErrorCode::DatabaseUnavailable, message)
            }
            Error::Closed => Self::new(ErrorCode::Stopping, "The server is shutting down. Retry the request in a few seconds."),
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
        visible.caused_by(&error)
    }
}

impl From<SendError> for ApiError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::ApplicationNotFound => Self::not_found("Application"),
            SendError::EndpointNotFound => Self::not_found("Endpoint"),
            SendError::ApplicationDisabled => {
                let message = "The application is disabled and accepts no messages. Set its `status` to `active` first.";
                Self::new(ErrorCode::ApplicationDisabled, message)
            }
            SendError::EndpointSkips(reason) => endpoint_skips(reason),
            SendError::Invalid(error) => error.into(),
            SendError::PayloadTooLarge { size, limit } => {
                let message = format!(
                    "The payload has {size} bytes; at most {limit} bytes are allowed (setting payload_limit_bytes). Send a smaller payload."
                );
                Self::new(ErrorCode::PayloadTooLarge, message).with_details(json!({ "limit": limit, "size": size }))
            }
            SendError::Loop(hops) => {
                let message = format!(
                    "Delivery loop: this message is the result of {} successive deliveries. Delete the endpoint whose URL leads back to this \
                     installation.",
                    hops.count()
                );
                Self::new(ErrorCode::LoopDetected, message)
            }
            SendError::StorageBudgetReached { budget, bytes } => {
                let message = format!(
                    "Payloads of pending deliveries use {bytes} bytes, more than the environment's storage budget of {budget} bytes. Retry when \
                     deliveries have succeeded, or raise the budget: `max_payload_bytes` of PATCH /v1/environments/{{id}}, or the setting \
                     max_payload_bytes."
                );
                Self::new(ErrorCode::StorageBudgetReached, message)
                    .with_details(json!({ "max_payload_bytes": budget, "payload_bytes": bytes }))
            }
            SendError::QuotaReached { most, until, wait } => {
                let message = format!(
                    "The organization has sent {most} messages this month, which is its quota (events_per_month). Retry after {until}, when the \
                     next month begins, or ask the operator of this installation to raise the quota."
                );
                Self::new(ErrorCode::MonthlyQuotaReached, message)
                    .with_details(json!({ "quota": Quota::EventsPerMonth.as_str(), "limit": most, "resets_at": until.to_string() }))
                    .with_retry_after(wait)
            }
            SendError::SchemaViolated(violations) => {
                let first = violations.first().map_or_else(String::new, |v| format!(" at {:?} ({}): {}", v.path, v.rule, v.message));
                let all: Vec<_> = violations.iter().map(|v| json!({ "path": v.path, "rule": v.rule, "message": v.message })).collect();
                let message = format!("`payload` does not match the JSON Schema of its event type{first}.");
                Self::new(ErrorCode::SchemaViolated, message).with_details(json!({ "violations": all }))
            }
            SendError::SchemaTooExpensive => {
                let message = "Checking `payload` against the JSON Schema of its event type takes too much work. Simplify the schema (fewer \
                    alternatives, references and patterns), or send a smaller payload.";
                Self::new(ErrorCode::SchemaTooExpensive, message)
            }
            SendError::PayloadUnreadable(problem) => {
                let message = format!(
                    "`payload` can't be checked against the JSON Schema of its event type: {problem}. Send JSON with at most 128 levels of \
                     nesting, or remove the schema."
                );
                Self::new(ErrorCode::PayloadNotCheckable, message)
            }
            SendError::DuplicateEventId(message_id) => {
                let message = format!(
                    "Another message of the application has this `event_id`: {message_id}. Use that message, or send another `event_id`."
                );
                Self::new(ErrorCode::DuplicateEventId, message).with_details(json!({ "message_id": message_id.to_string() }))
            }
            SendError::KeyReused => Self::key_reused(),
            SendError::KeepsChanging => {
                let message =
                    "The application or its event types changed repeatedly while the message was being accepted. Retry the request.";
                Self::new(ErrorCode::KeepsChanging, message)
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
        Self::new(ErrorCode::QuotaReached, message).with_details(json!({ "quota": quota.as_str(), "limit": most }))
    }
}

impl From<TooManyViews> for ApiError {
    fn from(TooManyViews { shared }: TooManyViews) -> Self {
        let message = if shared {
            format!("The environment has {VIEWS_MAX} shared views, which is the limit. Delete one first.")
        } else {
            format!("You have {VIEWS_MAX} views of your own in this environment, which is the limit. Delete one first.")
        };
        Self::new(ErrorCode::TooManyViews, message).with_details(json!({ "limit": VIEWS_MAX }))
    }
}

fn endpoint_skips(reason: &'static str) -> ApiError {
    let message = format!(
        "The endpoint does not receive messages at the moment ({reason}). Set its `status` to `active`, or change its `expires_at`, first."
    );
    let code = match reason {
        "endpoint_paused" => ErrorCode::EndpointPaused,
        "endpoint_expired" => ErrorCode::EndpointExpired,
        _ => ErrorCode::EndpointDisabled,
    };
    ApiError::new(code, message)
}

impl From<RetryError> for ApiError {
    fn from(error: RetryError) -> Self {
        match error {
            RetryError::NotFound => Self::not_found("Message"),
            RetryError::EndpointNotFound => Self::not_found("Endpoint"),
            RetryError::PayloadExpired => {
                let message = "The message's payload has expired and was removed, so the message can't be retried. Send a new message. The \
                    setting payload_retention_days and the environment's storage budget limit how long payloads are kept.";
                Self::new(ErrorCode::PayloadExpired, message)
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
                Self::new(ErrorCode::TooManyJobs, message).with_details(json!({ "running": running }))
            }
            JobError::Store(error) => error.into(),
        }
    }
}
