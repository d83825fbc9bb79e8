//! Test messages to an endpoint.

use std::{num::NonZeroU32, time::Duration};

use axum::{extract::State, response::Response};
use hookstream_engine::Draft;
use hookstream_model::{
    base::ids::EntryId,
    operations::audit_log::{Action, AuditContext, Change, fields::Fields},
    outbound::{hops::Hops, message::Payload},
};
use hookstream_store::operations::audit_log::{self, AboutEndpoint};
use http::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::not_found;
use crate::{
    auth::{
        application_scope::{ApplicationScope, Requester},
        audited_caller::AuditedCaller,
    },
    http::{
        body::RawBody,
        error::{ApiError, ErrorCode},
        idempotency,
        limits::Subject,
        params::{OfId, PathParams},
    },
    outbound::messages::send::{MessageAnswer, accepted_answer},
    request_trace::RequestTrace,
    state::Api,
};

/// Test messages per minute that the portal of one application may send.
const PORTAL_TESTS: NonZeroU32 = NonZeroU32::new(10).expect("not 0");
const MINUTE: Duration = Duration::from_secs(60);
/// Default event type of a test message.
const TEST_TYPE: &str = "hookstream.test";

/// Test message. All fields are optional, and so is the body.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TestEndpoint {
    /// Event type. The default is `hookstream.test`.
    #[schema(example = "invoice.paid")]
    event_type: Option<String>,
    /// Payload. The default is a short object that marks a test.
    #[schema(value_type = Option<Value>)]
    payload: Option<Box<RawValue>>,
}

/// Send a test message to an endpoint
///
/// The message goes to this endpoint only, whatever its `filter_types` and `channels`. It is attempted once.
#[utoipa::path(
    post, path = "/applications/{appId}/endpoints/{id}/test", operation_id = "testEndpoint", tag = "Endpoints",
    params(("appId" = String, Path, description = "The application's id or `uid`."), ("id" = String, Path, description = "The endpoint's id or `uid`.")),
    request_body = Option<TestEndpoint>,
    responses((status = 201, description = "Test message. Get it to see its attempt.", body = MessageAnswer))
)]
pub(crate) async fn test(
    State(api): State<Api>,
    scope: ApplicationScope,
    audited: AuditedCaller,
    PathParams(OfId { id: endpoint }): PathParams<OfId>,
    RequestTrace(trace): RequestTrace,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, ApiError> {
    let input: TestEndpoint = body.parse_optional()?;
    // Receivers cannot distinguish a test from a message, so a customer's test has a fixed type and payload.
    scope.refuse_of_customer(&[("event_type", input.event_type.is_some()), ("payload", input.payload.is_some())])?;
    let (routes, endpoint) = scope.endpoint(&api, &endpoint).await?;
    let application_id = routes.id();
    if let Requester::Customer = scope.requester {
        let rate_limit = api.limiter.count_in(Subject::PortalTests(application_id), PORTAL_TESTS, MINUTE, Instant::now());
        if let Some(wait) = rate_limit.wait {
            let message = format!("The portal sends at most {PORTAL_TESTS} test messages a minute. Retry later.");
            return Err(ApiError::new(ErrorCode::RateLimited, message).with_retry_after(wait));
        }
    }
    let default = RawValue::from_string(format!(r#"{{"test":true,"endpoint_id":"{endpoint}"}}"#));
    let payload = match input.payload {
        Some(payload) => payload,
        None => default.map_err(|_| not_found())?,
    };
    let draft = Draft {
        event_type: input.event_type.unwrap_or_else(|| TEST_TYPE.to_owned()),
        payload: Payload::from_json(Some(&payload))?,
        event_id: None,
        channels: vec![],
        idempotency: idempotency::key(&headers, &format!("{application_id}/{endpoint}/test"), &body.0)?,
        hops: Hops::default(),
        trace,
        is_event: scope.requester == Requester::Sender && !scope.tenant.environment.is_system(),
    };
    let accepted = api.engine.send_test(scope.tenant, &application_id.to_string(), endpoint, draft).await?;
    // The entry has the message's id, so that a repeated request leaves one entry.
    let act = AuditContext { entry: EntryId::from_bytes(*accepted.id.as_bytes()), ..audited.act(&api) };
    let fields = Fields::default().with("message_id", accepted.id.to_string()).with("event_type", accepted.event_type.as_str());
    let about = AboutEndpoint { application: application_id, endpoint };
    audit_log::record_of_endpoint(&*api.store, &act, scope.tenant, about, Action::EndpointTest, &Change::done(&fields)).await?;
    Ok(accepted_answer(scope.tenant, accepted))
}
