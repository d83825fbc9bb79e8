//! Fields of an endpoint that creating and updating it check alike.

use std::collections::BTreeMap;

use hookstream_model::{
    base::{ids::EndpointId, secret::HIDDEN, time::Timestamp},
    delivery::{
        batch::{self, BatchPolicy},
        ordering::Ordering,
        retry::RetrySchedule,
    },
    operations::operational_event::OperationalType,
    outbound::{application, endpoint as rules, event_type::matches},
};
use hookstream_store::outbound::event_types;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::{
    auth::application_scope::{ApplicationScope, Requester},
    http::{
        body::{json_fields, json_value, whole},
        error::{ApiError, ErrorCode},
    },
    state::Api,
};

/// Maximum number of event types that are searched for warnings.
const CATALOGUE_MAX: usize = 10_000;
/// Maximum number of warnings in a response.
const WARNINGS_MAX: usize = 20;

/// Several messages in one request, as a JSON array. The request is sent when `max_size` messages wait, when the array would exceed
/// the payload limit, or when the first message has waited `max_wait_ms`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    /// Messages per request, at most: 1 to 500.
    #[schema(example = 100)]
    #[serde(deserialize_with = "whole")]
    pub(super) max_size: u32,
    /// Wait for further messages, in milliseconds: 0 to 60000.
    #[serde(default = "default_wait", deserialize_with = "whole")]
    #[schema(example = 1000, default = 1000)]
    pub(super) max_wait_ms: u32,
}

const fn default_wait() -> u32 {
    batch::WAIT_MS_DEFAULT
}

/// Checks a `uid`: its form, and that it is not the id of another endpoint, because paths accept both.
pub(super) async fn check_uid(scope: &ApplicationScope, api: &Api, uid: &str, own: Option<EndpointId>) -> Result<(), ApiError> {
    application::check_uid(uid)?;
    let routes = scope.routes(api).await?;
    let meant = uid.parse().ok().and_then(|id| routes.endpoint(id));
    if meant.is_some_and(|route| Some(route.endpoint.id) != own) { Err(uid_taken(uid)) } else { Ok(()) }
}

pub(super) fn uid_taken(uid: &str) -> ApiError {
    let message = format!("Another endpoint of this application has the uid or id {uid:?}. Choose another uid, or update that endpoint.");
    ApiError::new(ErrorCode::UidTaken, message)
}

/// Returns warnings for filter entries that match no event type of the catalog. Such entries are accepted, but may be
/// mistyped.
pub(super) async fn warnings(api: &Api, scope: &ApplicationScope, filter: Option<&[String]>) -> Result<Vec<String>, ApiError> {
    let Some(filter) = filter.filter(|filter| !filter.is_empty()) else { return Ok(Vec::new()) };
    let names = if scope.tenant.environment.is_system() {
        OperationalType::ALL.iter().map(|kind| kind.as_str().to_owned()).collect()
    } else {
        event_types::names(&*api.store, scope.tenant, CATALOGUE_MAX).await?
    };
    let is_unknown = |pattern: &&String| *pattern != "*" && !names.iter().any(|name| matches(pattern, name));
    let warn = |pattern: &String| match pattern.strip_suffix(".*") {
        Some(prefix) => format!("filter_types contains {pattern}, but no event type has a name that begins with {prefix}."),
        None => format!("filter_types contains {pattern}, but no event type has that name."),
    };
    Ok(filter.iter().filter(is_unknown).take(WARNINGS_MAX).map(warn).collect())
}

pub(super) fn description(text: String) -> Result<String, ApiError> {
    application::check_description(&text)?;
    Ok(text)
}

pub(super) fn filter_types(raw: &RawValue) -> Result<Vec<String>, ApiError> {
    let types: Vec<String> = json_value("filter_types", raw, "an array of event type names, prefixes such as invoice.*, and *")?;
    rules::check_filter_types(&types)?;
    Ok(types)
}

pub(super) fn channels(raw: &RawValue) -> Result<Vec<String>, ApiError> {
    let channels: Vec<String> = json_value("channels", raw, "an array of channels")?;
    rules::check_channels(&channels)?;
    Ok(channels)
}

pub(super) fn own_headers(scope: &ApplicationScope, raw: &RawValue) -> Result<BTreeMap<String, String>, ApiError> {
    let headers: BTreeMap<String, String> = json_value("headers", raw, "an object of header names and text values")?;
    rules::check_headers(&headers)?;
    if scope.requester == Requester::Customer && headers.values().any(|value| value == HIDDEN) {
        return Err(ApiError::invalid(
            "headers",
            "contains the value `***`, which stands for a hidden value. Send all headers with their values",
        ));
    }
    Ok(headers)
}

pub(super) fn retry_schedule(raw: &RawValue) -> Result<RetrySchedule, ApiError> {
    let seconds: Vec<u32> = json_value("retry_schedule", raw, "an array of whole seconds")?;
    Ok(RetrySchedule::from_seconds(seconds)?)
}

pub(super) fn batch_policy(raw: &RawValue) -> Result<BatchPolicy, ApiError> {
    let Batch { max_size, max_wait_ms } = json_fields("batch", raw, "an object with `max_size` and `max_wait_ms`")?;
    Ok(BatchPolicy::new(max_size, max_wait_ms)?)
}

pub(super) fn timeout_ms(given: u32) -> Result<u32, ApiError> {
    rules::check_timeout_ms(given)?;
    Ok(given)
}

pub(super) fn ordering(word: Option<String>, key: Option<String>) -> Result<Option<Ordering>, ApiError> {
    match (word, key) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(ApiError::invalid("ordering_key", "requires `ordering` set to `key` in the same request")),
        (Some(word), key) => Ok(Some(Ordering::from_parts(&word, key.as_deref())?)),
    }
}

pub(super) fn expiry(text: &str, now: Timestamp) -> Result<Timestamp, ApiError> {
    let refuse = |problem: &str| ApiError::invalid("expires_at", problem);
    let at: Timestamp = text.parse().map_err(|error: hookstream_model::base::time::InvalidTime| refuse(&error.to_string()))?;
    if at <= now {
        return Err(refuse(&format!(
            "must be in the future; got {at}, and the current time is {now}. To stop an endpoint at once, disable it"
        )));
    }
    Ok(at)
}
