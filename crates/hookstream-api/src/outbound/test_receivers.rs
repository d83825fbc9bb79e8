//! New test receivers: endpoints of type `test_receiver`, in one request without a path of an application.

use std::{collections::BTreeMap, fmt::Display, ops::RangeInclusive};

use axum::{extract::State, response::Response};
use hookstream_destinations::test_receiver::{DELAYS_MS, STATUSES};
use hookstream_model::outbound::endpoint as rules;
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use utoipa::ToSchema;

use super::endpoints::{create::create_in, requests::CreateEndpoint, view::EndpointAnswer};
use crate::{
    auth::{application_scope::ApplicationScope, audited_caller::AuditedCaller, caller::Caller},
    http::{
        body::{OrText, RawBody, Whole, json_value},
        error::ApiError,
        idempotency,
    },
    state::Api,
};

/// New test receiver.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateTestReceiver<'a> {
    /// Id or `uid` of the application that the receiver belongs to.
    #[schema(example = "my-saas-app")]
    application_id: String,
    /// HTTP status that the receiver responds with: 200 to 599. The default is 200.
    #[schema(value_type = Option<u32>, minimum = 200, maximum = 599, example = 200)]
    status: Option<Whole<u32>>,
    /// Time before the response, in milliseconds, on average: 0 to 60000. The default is 0.
    #[schema(value_type = Option<u32>, minimum = 0, maximum = 60000, example = 0)]
    delay_ms: Option<Whole<u32>>,
    /// Description: at most 4,096 characters.
    #[schema(example = "Test receiver")]
    description: Option<String>,
    /// Subscribed event types: names, prefixes such as `invoice.*`, and `*`. `null` and `[]` mean all.
    #[serde(borrow)]
    #[schema(value_type = Option<OrText<Vec<String>>>, inline)]
    event_types: Option<&'a RawValue>,
}

/// Create a test receiver
///
/// Creates an endpoint of type `test_receiver`: a receiver inside of the server, which opens no connection and shows what arrived as
/// attempts of the endpoint. It is an endpoint in every other way, so the operations of endpoints change and delete it.
#[utoipa::path(
    post, path = "/test-receivers", operation_id = "createTestReceiver", tag = "Endpoints",
    request_body = CreateTestReceiver,
    responses((status = 201, description = "Created.", body = EndpointAnswer))
)]
pub(crate) async fn create(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, ApiError> {
    let input: CreateTestReceiver<'_> = body.parse()?;
    let config = config(input.status.map(Whole::number), input.delay_ms.map(Whole::number))?;
    let filter_types = input.event_types.map(event_types).transpose()?;
    let scope = ApplicationScope::of_sender(caller.tenant, &input.application_id);
    let key = idempotency::key(&headers, "POST /v1/test-receivers", &body.0)?;
    let endpoint = CreateEndpoint::test_receiver(&config, input.description, filter_types.as_deref());
    create_in(&api, &scope, &audited, endpoint, key).await
}

/// Returns the `config` of a receiver, whose values are texts.
fn config(status: Option<u32>, delay_ms: Option<u32>) -> Result<Box<RawValue>, ApiError> {
    let status = status.map(|value| within("status", value, &STATUSES)).transpose()?;
    let delay_ms = delay_ms.map(|value| within("delay_ms", value, &DELAYS_MS)).transpose()?;
    let given = [("status", status), ("delay_ms", delay_ms)];
    Ok(raw(&given.into_iter().filter_map(|(field, value)| Some((field, value?))).collect::<BTreeMap<_, _>>()))
}

/// Returns the text of a number after checking it.
fn within<T: TryFrom<u32> + PartialOrd + Display>(
    field: &'static str,
    value: u32,
    allowed: &RangeInclusive<T>,
) -> Result<String, ApiError> {
    match T::try_from(value) {
        Ok(number) if allowed.contains(&number) => Ok(number.to_string()),
        Ok(_) | Err(_) => Err(ApiError::invalid(field, &format!("must be from {} to {}; got {value}", allowed.start(), allowed.end()))),
    }
}

/// Checks the subscribed event types under the name that this operation gives them.
fn event_types(given: &RawValue) -> Result<Box<RawValue>, ApiError> {
    let types: Vec<String> = json_value("event_types", given, "an array of event type names, prefixes such as invoice.*, and *")?;
    rules::check_filter_types(&types).map_err(|error| ApiError::invalid("event_types", &error.problem))?;
    Ok(raw(&types))
}

fn raw(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("maps and lists of texts are JSON")
}

#[cfg(test)]
mod tests;
