//! Endpoints of an application.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use hookstream_destinations::Target;
use hookstream_engine::Draft;
use hookstream_model::{
    base::{
        ids::{EndpointId, EntryId, ResourceId},
        secret::Secret,
        time::Timestamp,
    },
    delivery::{
        batch::{self, BatchPolicy},
        hold::Circuit,
        ordering::{OnFailure, Ordering},
        retry::RetrySchedule,
        state::DisabledReason,
    },
    operations::audit_log::{
        Action, AuditContext, Change as RecordedChange,
        fields::{Fields, HIDDEN},
    },
    outbound::{
        application,
        endpoint::{self as rules, Endpoint as Model, EndpointStatus, EndpointUrl},
        event_type::matches,
        hops::Hops,
        message::Payload,
        signature::{SECRETS_IN_GRACE_MAX, SigningAlgorithm, SigningKey},
    },
};
use hookstream_store::{
    identity::environments,
    operations::audit_log,
    outbound::{
        endpoints::{self, Changed, EndpointKey, Rotated, Rotation},
        event_types,
    },
};
use http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::Instant;
use utoipa::{IntoParams, ToSchema};

use super::{
    applications::metadata,
    messages::{self, MessageAnswer},
};
use crate::{
    auth::{
        application_scope::{ApplicationScope, Requester},
        audited_caller::AuditedCaller,
    },
    http::{
        body::{Field, OrText, RawBody, Whole, json_fields, json_value, whole},
        error::ApiError,
        idempotency,
        limits::Subject,
        page,
        params::{OfId, PathParams, QueryParams},
        shapes::{ListQuery, Success},
    },
    state::Api,
};

/// Maximum grace period of a rotated secret, in seconds: 7 days.
const GRACE_MAX_S: u64 = 7 * 24 * 3600;
/// Test messages per minute that the portal of one application may send.
const PORTAL_TESTS: NonZeroU32 = NonZeroU32::new(10).expect("not 0");
const MINUTE: Duration = Duration::from_secs(60);
/// Default event type of a test message.
const TEST_TYPE: &str = "hookstream.test";

/// Several messages in one request, as a JSON array. The request is sent when `max_size` messages wait, when the array would exceed
/// the payload limit, or when the first message has waited `max_wait_ms`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Batch {
    /// Messages per request, at most: 1 to 500.
    #[schema(example = 100)]
    #[serde(deserialize_with = "whole")]
    max_size: u32,
    /// Wait for further messages, in milliseconds: 0 to 60000.
    #[serde(default = "default_wait", deserialize_with = "whole")]
    #[schema(example = 1000, default = 1000)]
    max_wait_ms: u32,
}

const fn default_wait() -> u32 {
    batch::WAIT_MS_DEFAULT
}

/// Endpoint: a URL that receives an application's messages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Endpoint {
    #[schema(example = "019dc1e2a3b47c5d8e9f001122334455")]
    id: String,
    org_id: String,
    env_id: String,
    application_id: String,
    /// Your own id of the endpoint, unique in the application; `null` if none is set.
    #[schema(example = "main")]
    uid: Option<String>,
    /// URL that receives the deliveries.
    #[schema(example = "https://example.com/webhooks")]
    url: String,
    description: Option<String>,
    /// JSON text of an object.
    #[schema(example = "{\"team\":\"billing\"}")]
    metadata: Option<String>,
    /// Signing algorithm: `hmac-sha256` or `ed25519`.
    #[schema(example = "hmac-sha256")]
    signing_algorithm: &'static str,
    /// `active`, `paused`, `disabled` or, after `expires_at`, `expired`.
    #[schema(example = "active")]
    status: &'static str,
    /// Reason why Hookstream disabled the endpoint: `gone` (it answered 410), `asked_to_stop` (it sent `webhook-delivery: disable`) or
    /// `kept_failing`.
    disabled_reason: Option<&'static str>,
    /// JSON text of the subscribed event types: names, prefixes such as `invoice.*`, and `*`. `null` and `[]` mean all.
    #[schema(example = "[\"invoice.paid\"]")]
    filter_types: Option<String>,
    /// JSON text of the channels. The endpoint receives only messages that share a channel with it. With `null` or `[]` it receives
    /// messages of any channel.
    channels: Option<String>,
    /// Deliveries per second; `null` and 0 mean no limit.
    rate_limit_per_second: Option<u32>,
    /// Time after which the endpoint receives no more deliveries; `null` means never.
    expires_at: Option<String>,
    /// JSON text of the custom headers that each delivery carries.
    headers: Option<String>,
    /// JSON text of the delays between attempts, in seconds; `null` means the installation's schedule.
    retry_schedule: Option<String>,
    /// Timeout of one attempt, in milliseconds; `null` means the installation's timeout.
    timeout_ms: Option<u32>,
    /// Delivery order: `none`; `strict` (one message at a time, in the order of acceptance); `key` (the same among messages with the
    /// same key).
    #[schema(example = "none")]
    ordering: &'static str,
    /// Path of the ordering key in a payload; `null` unless `ordering` is `key`.
    ordering_key: Option<String>,
    /// Effect of a failed message on the messages behind it, if `ordering` is not `none`: `block`, `skip` or `park`.
    #[schema(example = "block")]
    on_failure: &'static str,
    /// Batching; `null` if each message is sent as a request of its own.
    batch: Option<Batch>,
    /// State of the circuit breaker: `closed`; `open` (nothing is sent after repeated failures); `half_open` (one delivery is sent to
    /// test the endpoint).
    #[schema(example = "closed")]
    circuit_state: &'static str,
    /// Time until which nothing is sent; `null` if deliveries are not held.
    held_until: Option<String>,
    /// Reason for the hold: `failing` (circuit breaker) or `retry_after` (the receiver answered `Retry-After`).
    hold_reason: Option<&'static str>,
    /// Public key with which the receiver verifies ed25519 signatures.
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    created_at: String,
    updated_at: String,
    /// Secret with which the receiver verifies signatures. It is returned only in the answer that creates the endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    signing_secret: Option<String>,
}

impl Endpoint {
    fn new(endpoint: Model, secret: &Secret, now: Timestamp) -> Self {
        let json = |value: Result<String, serde_json::Error>| value.expect("lists and maps of text and numbers are JSON");
        let hold = endpoint.hold.filter(|hold| hold.holds(now));
        Self {
            status: endpoint.shown_status(now),
            id: endpoint.id.to_string(),
            org_id: endpoint.tenant.organization.to_string(),
            env_id: endpoint.tenant.environment.to_string(),
            application_id: endpoint.application_id.to_string(),
            uid: endpoint.uid,
            url: endpoint.url.as_str().to_owned(),
            description: endpoint.description,
            metadata: endpoint.metadata,
            signing_algorithm: endpoint.signing_algorithm.as_str(),
            disabled_reason: endpoint.disabled_reason.map(DisabledReason::as_str),
            filter_types: endpoint.filter_types.map(|types| json(serde_json::to_string(&types))),
            channels: endpoint.channels.map(|channels| json(serde_json::to_string(&channels))),
            rate_limit_per_second: endpoint.rate_limit_per_second,
            expires_at: endpoint.expires_at.map(|at| at.to_string()),
            headers: endpoint.headers.map(|headers| json(serde_json::to_string(&headers))),
            retry_schedule: endpoint.retry_schedule.map(|schedule| json(serde_json::to_string(schedule.as_seconds()))),
            timeout_ms: endpoint.timeout_ms,
            ordering: endpoint.ordering.as_str(),
            ordering_key: endpoint.ordering.key_path().map(ToString::to_string),
            on_failure: endpoint.on_failure.as_str(),
            batch: endpoint.batch.map(|batch| Batch { max_size: batch.max_size(), max_wait_ms: batch.max_wait_ms() }),
            circuit_state: Circuit::of(endpoint.hold, now).as_str(),
            held_until: hold.map(|hold| hold.until.to_string()),
            hold_reason: hold.map(|hold| hold.reason.as_str()),
            public_key: SigningKey::parse(secret).ok().and_then(|key| key.public_key()),
            created_at: endpoint.created_at.to_string(),
            updated_at: endpoint.updated_at.to_string(),
            signing_secret: None,
        }
    }

    /// Returns the endpoint as the caller may see it: a customer sees the names of custom headers without their
    /// values, and no metadata, which belongs to the sender.
    fn shown(scope: &ApplicationScope, mut endpoint: Model, secret: &Secret, now: Timestamp) -> Self {
        if scope.requester == Requester::Customer {
            endpoint.metadata = None;
        }
        if let (Requester::Customer, Some(headers)) = (scope.requester, &mut endpoint.headers) {
            headers.values_mut().for_each(|value| HIDDEN.clone_into(value));
        }
        Self::new(endpoint, secret, now)
    }
}

/// Answer with an endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EndpointAnswer {
    endpoint: Endpoint,
    /// Warnings about values that were accepted but may be mistakes. Present only on create and update.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(example = json!(["filter_types contains invoice.piad, but no event type has that name."]))]
    warnings: Vec<String>,
}

impl EndpointAnswer {
    const fn new(endpoint: Endpoint) -> Self {
        Self { endpoint, warnings: Vec::new() }
    }
}

/// Page of endpoints.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EndpointList {
    endpoints: Vec<Endpoint>,
    /// Cursor of the next page; `null` on the last page.
    cursor: Option<String>,
    has_more: bool,
}

/// New endpoint.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateEndpoint<'a> {
    /// URL that receives the deliveries: `https` or `http`, at most 2,048 characters, without credentials or fragment.
    #[schema(example = "https://example.com/webhooks", format = "uri")]
    url: String,
    /// Your own id of the endpoint: 1 to 255 letters, digits and `. _ - ~ : @ +`, unique in the application. Every path accepts it in
    /// place of the id.
    #[schema(example = "main")]
    uid: Option<String>,
    /// Description: at most 4,096 characters.
    #[schema(example = "Billing events")]
    description: Option<String>,
    /// Your own data: an object of at most 16 KiB, or its JSON text.
    #[serde(borrow)]
    #[schema(value_type = Option<Object>)]
    metadata: Option<&'a RawValue>,
    /// Subscribed event types: names, prefixes such as `invoice.*`, and `*`. `null` and `[]` mean all.
    #[serde(borrow)]
    #[schema(value_type = Option<OrText<Vec<String>>>, inline)]
    filter_types: Option<&'a RawValue>,
    /// Channels, at most 20. The endpoint receives only messages that share a channel with it. With `null` or `[]` it receives messages
    /// of any channel.
    #[serde(borrow)]
    #[schema(value_type = Option<OrText<Vec<String>>>, inline)]
    channels: Option<&'a RawValue>,
    /// Deliveries per second; `null` and 0 mean no limit.
    #[schema(value_type = Option<u32>, example = 0)]
    rate_limit_per_second: Option<Whole<u32>>,
    /// Time after which the endpoint receives no more deliveries: ISO 8601 with an offset, in the future.
    #[schema(example = "2027-12-31T23:59:59Z", format = DateTime)]
    expires_at: Option<String>,
    /// Signing algorithm: `hmac-sha256` (the default) or `ed25519`.
    #[schema(example = "hmac-sha256")]
    signing_algorithm: Option<String>,
    /// Existing secret, for moving an endpoint here without a change at the receiver: `whsec_` and base64 of 16 to 128 bytes, `raw:` and a
    /// text of 16 to 128 bytes, or `whsk_` and base64 of an ed25519 key. The default is a new secret.
    signing_secret: Option<String>,
    /// Custom headers that each delivery carries: an object of at most 32 names and text values, or its JSON text.
    #[serde(borrow)]
    #[schema(value_type = Option<Object>)]
    headers: Option<&'a RawValue>,
    /// Delays between attempts, in seconds, in place of the installation's schedule: at most 50 of at most 604800 (7 days).
    #[serde(borrow)]
    #[schema(value_type = Option<OrText<Vec<u32>>>, inline)]
    retry_schedule: Option<&'a RawValue>,
    /// Timeout of one attempt, in milliseconds: 1000 to 60000. The default is the installation's timeout.
    #[schema(value_type = Option<u32>, minimum = 1000, maximum = 60000, example = 15000)]
    timeout_ms: Option<Whole<u32>>,
    /// Delivery order: `none` (the default); `strict` (one message at a time, in the order of acceptance); `key` (the same among messages
    /// with the same key).
    #[schema(example = "none")]
    ordering: Option<String>,
    /// Path of the ordering key in a payload, such as `$.customer.id`. Required if `ordering` is `key`, refused otherwise.
    ordering_key: Option<String>,
    /// Effect of a failed message on the messages behind it: `block` (the default; they wait until it is delivered); `skip` (they wait until
    /// its retry schedule ends); `park` (they continue after its first failed attempt).
    on_failure: Option<String>,
    /// Batching: several messages in one request. `null` (the default) sends each message as a request of its own.
    #[serde(borrow)]
    #[schema(value_type = Option<OrText<Batch>>, inline)]
    batch: Option<&'a RawValue>,
}

impl CreateEndpoint<'_> {
    /// Refuses fields that a customer may not set: rate, expiry, schedule, order and batching are the sender's.
    fn check_asked_by(&self, scope: &ApplicationScope) -> Result<(), ApiError> {
        scope.refuse_of_customer(&[
            ("uid", self.uid.is_some()),
            ("metadata", self.metadata.is_some()),
            ("channels", self.channels.is_some()),
            ("rate_limit_per_second", self.rate_limit_per_second.is_some()),
            ("expires_at", self.expires_at.is_some()),
            ("retry_schedule", self.retry_schedule.is_some()),
            ("timeout_ms", self.timeout_ms.is_some()),
            ("ordering", self.ordering.is_some()),
            ("ordering_key", self.ordering_key.is_some()),
            ("on_failure", self.on_failure.is_some()),
            ("batch", self.batch.is_some()),
        ])
    }
}

/// Changes of an endpoint. Fields that are left out keep their values.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateEndpoint<'a> {
    /// URL that receives the deliveries: `https` or `http`, at most 2,048 characters, without credentials or fragment.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "https://example.com/webhooks", format = "uri")]
    url: Field<String>,
    /// Your own id of the endpoint: 1 to 255 letters, digits and `. _ - ~ : @ +`, unique in the application; `null` removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    uid: Field<String>,
    /// Description: at most 4,096 characters; `null` removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "Billing events")]
    description: Field<String>,
    /// Your own data: an object of at most 16 KiB, or its JSON text; `null` removes it.
    #[serde(default, borrow)]
    #[schema(value_type = Option<Object>)]
    metadata: Field<&'a RawValue>,
    /// Channels, at most 20. The endpoint receives only messages that share a channel with it. With `null` or `[]` it receives messages
    /// of any channel.
    #[serde(default, borrow)]
    #[schema(value_type = Option<OrText<Vec<String>>>, inline)]
    channels: Field<&'a RawValue>,
    /// `active`; `paused` (deliveries stay pending until the endpoint is active again); `disabled` (deliveries are skipped).
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "active")]
    status: Field<String>,
    /// Subscribed event types: names, prefixes such as `invoice.*`, and `*`. `null` and `[]` mean all.
    #[serde(default, borrow)]
    #[schema(value_type = Option<OrText<Vec<String>>>, inline)]
    filter_types: Field<&'a RawValue>,
    /// Deliveries per second; `null` and 0 mean no limit.
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    rate_limit_per_second: Field<Whole<u32>>,
    /// Time after which the endpoint receives no more deliveries: ISO 8601 with an offset, in the future; `null` means never.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    expires_at: Field<String>,
    /// Custom headers that each delivery carries, in place of all current ones: an object of at most 32 names and text values, or its
    /// JSON text; `null` removes them.
    #[serde(default, borrow)]
    #[schema(value_type = Option<Object>)]
    headers: Field<&'a RawValue>,
    /// Delays between attempts, in seconds: at most 50 of at most 604800 (7 days); `null` means the installation's schedule.
    #[serde(default, borrow)]
    #[schema(value_type = Option<OrText<Vec<u32>>>, inline)]
    retry_schedule: Field<&'a RawValue>,
    /// Timeout of one attempt, in milliseconds: 1000 to 60000; `null` means the installation's timeout.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1000, maximum = 60000)]
    timeout_ms: Field<Whole<u32>>,
    /// Delivery order: `none`; `strict` (one message at a time, in the order of acceptance); `key` (the same among messages with the same
    /// key).
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    ordering: Field<String>,
    /// Path of the ordering key in a payload, such as `$.customer.id`. Send it together with `ordering` set to `key`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    ordering_key: Field<String>,
    /// Effect of a failed message on the messages behind it: `block` (they wait until it is delivered); `skip` (they wait until its retry
    /// schedule ends); `park` (they continue after its first failed attempt).
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    on_failure: Field<String>,
    /// Batching: several messages in one request; `null` sends each message as a request of its own.
    #[serde(default, borrow)]
    #[schema(value_type = Option<OrText<Batch>>, inline)]
    batch: Field<&'a RawValue>,
}

impl UpdateEndpoint<'_> {
    /// Refuses fields that a customer may not set, as in a new endpoint.
    fn check_asked_by(&self, scope: &ApplicationScope) -> Result<(), ApiError> {
        scope.refuse_of_customer(&[
            ("uid", !self.uid.is_absent()),
            ("metadata", !self.metadata.is_absent()),
            ("channels", !self.channels.is_absent()),
            ("rate_limit_per_second", !self.rate_limit_per_second.is_absent()),
            ("expires_at", !self.expires_at.is_absent()),
            ("retry_schedule", !self.retry_schedule.is_absent()),
            ("timeout_ms", !self.timeout_ms.is_absent()),
            ("ordering", !self.ordering.is_absent()),
            ("ordering_key", !self.ordering_key.is_absent()),
            ("on_failure", !self.on_failure.is_absent()),
            ("batch", !self.batch.is_absent()),
        ])
    }
}

/// Query of a rotation.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RotateQuery {
    /// Seconds for which the previous secret signs too: 0 to 604800. The body takes the same field.
    #[param(value_type = Option<u32>)]
    grace_seconds: Option<String>,
}

/// Options of a rotation. All fields are optional, and so is the body.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateSecret {
    /// Existing secret in place of a new one, in the forms that creating an endpoint accepts.
    signing_secret: Option<String>,
    /// Seconds for which the previous secret signs too: 0 (it ends at once) to 604800. The default is the setting
    /// `secret_grace_hours`, 24 hours unless it is changed.
    #[schema(value_type = Option<u64>, minimum = 0, maximum = 604_800, example = 86400)]
    grace_seconds: Option<Whole<u64>>,
}

/// Signing secrets of an endpoint.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevealedSecrets {
    /// Current secret.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw…")]
    signing_secret: String,
    /// Public key of an ed25519 endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    /// Rotated secrets that still sign, ordered by the end of their grace period.
    previous_secrets: Vec<PreviousSecret>,
}

/// Rotated secret that still signs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PreviousSecret {
    /// Rotated secret.
    signing_secret: String,
    /// End of the grace period.
    expires_at: String,
}

/// Result of a rotation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RotatedSecret {
    /// New secret. It is returned only once.
    #[schema(example = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw…")]
    signing_secret: String,
    /// Public key of an ed25519 endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    /// Time until which the previous secret signs too.
    previous_secret_expires_at: String,
}

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

/// List endpoints
#[utoipa::path(
    get, path = "/applications/{appId}/endpoints", operation_id = "listEndpoints", tag = "Endpoints",
    params(("appId" = String, Path, description = "The application's id or `uid`."), ListQuery),
    responses((status = 200, description = "Page of endpoints, newest first.", body = EndpointList))
)]
pub(crate) async fn list(
    State(api): State<Api>,
    scope: ApplicationScope,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Json<EndpointList>, ApiError> {
    scope.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    let request = page::request(query.limit.as_deref(), query.cursor.as_deref(), EndpointId::from_bytes)?;
    let application = scope.resolve(&api).await?;
    let page = endpoints::list(&*api.store, scope.tenant, application, request).await?;
    let cursor = page::cursor(&page, |(endpoint, _)| *endpoint.id.as_bytes());
    let (has_more, now) = (page.has_more, api.now());
    let endpoints = page.items.into_iter().map(|(endpoint, secret)| Endpoint::shown(&scope, endpoint, &secret, now)).collect();
    Ok(Json(EndpointList { endpoints, cursor, has_more }))
}

/// Create an endpoint
///
/// The answer contains the signing secret. No other answer returns it, except that of an operation that reveals or rotates it. A host
/// name that does not resolve is accepted. An address that the installation does not allow is refused.
#[utoipa::path(
    post, path = "/applications/{appId}/endpoints", operation_id = "createEndpoint", tag = "Endpoints",
    params(("appId" = String, Path, description = "The application's id or `uid`.")),
    request_body = CreateEndpoint,
    responses(
        (status = 201, description = "Created.", body = EndpointAnswer),
        (status = 409, description = "Another endpoint of the application has this `uid` (`uid_taken`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn create(
    State(api): State<Api>,
    scope: ApplicationScope,
    audited: AuditedCaller,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, ApiError> {
    let input: CreateEndpoint<'_> = body.parse()?;
    input.check_asked_by(&scope)?;
    let application_id = scope.resolve(&api).await?;
    let key = idempotency::key(&headers, &format!("POST /v1/applications/{application_id}/endpoints"), &body.0)?;
    if let Some(description) = &input.description {
        application::check_description(description)?;
    }
    let algorithm = input.signing_algorithm.as_deref().map(SigningAlgorithm::parse).transpose()?;
    let secret = signing_secret(&api, algorithm, input.signing_secret)?;
    let act = audited.act(&api);
    let now = act.at;
    if let Some(uid) = &input.uid {
        check_uid(&scope, &api, uid, None).await?;
    }
    let endpoint = Model {
        id: api.engine.new_id().into(),
        tenant: scope.tenant,
        application_id,
        uid: input.uid,
        url: EndpointUrl::parse(&input.url)?,
        description: input.description,
        metadata: input.metadata.map(metadata).transpose()?,
        signing_algorithm: SigningKey::parse(&secret)?.algorithm(),
        status: EndpointStatus::Active,
        disabled_reason: None,
        filter_types: input.filter_types.map(filter_types).transpose()?,
        channels: input.channels.map(channels).transpose()?,
        rate_limit_per_second: input.rate_limit_per_second.map(Whole::number),
        expires_at: input.expires_at.as_deref().map(|text| expiry(text, now)).transpose()?,
        headers: input.headers.map(|raw| own_headers(&scope, raw)).transpose()?,
        retry_schedule: input.retry_schedule.map(retry_schedule).transpose()?,
        timeout_ms: input.timeout_ms.map(Whole::number).map(timeout_ms).transpose()?,
        ordering: Ordering::from_parts(input.ordering.as_deref().unwrap_or("none"), input.ordering_key.as_deref())?,
        on_failure: input.on_failure.as_deref().map_or(Ok(OnFailure::default()), OnFailure::parse)?,
        batch: input.batch.map(batch_policy).transpose()?,
        failing_since: None,
        hold: None,
        created_at: now,
        updated_at: now,
    };
    api.transport.check(&Target::http(&endpoint.url)).await?;
    let shown = Endpoint::shown(&scope, endpoint.clone(), &secret, now);
    let warnings = warnings(&api, &scope, endpoint.filter_types.as_deref()).await?;
    let answer = EndpointAnswer { endpoint: Endpoint { signing_secret: Some(secret.expose().to_owned()), ..shown }, warnings };
    let taken = || uid_taken(endpoint.uid.as_deref().unwrap_or_default());
    let of_customer = (scope.requester == Requester::Customer).then_some(api.options.portal_endpoints).flatten();
    let answer = idempotency::create_once(&api, scope.tenant, key, &answer, taken, async |kept| {
        endpoints::create(&*api.store, &act, &endpoint, &secret, of_customer, kept).await
    })
    .await;
    api.engine.application_changed(application_id);
    answer
}

/// Get an endpoint
#[utoipa::path(
    get, path = "/applications/{appId}/endpoints/{id}", operation_id = "getEndpoint", tag = "Endpoints",
    params(("appId" = String, Path, description = "The application's id or `uid`."), ("id" = String, Path, description = "The endpoint's id or `uid`.")),
    responses((status = 200, description = "Endpoint, without its secret.", body = EndpointAnswer))
)]
pub(crate) async fn get(
    State(api): State<Api>,
    scope: ApplicationScope,
    PathParams(OfId { id: endpoint }): PathParams<OfId>,
) -> Result<Json<EndpointAnswer>, ApiError> {
    let key = key(&api, &scope, &endpoint).await?;
    let (found, secret) = endpoints::find(&*api.store, key).await?.ok_or_else(not_found)?;
    Ok(Json(EndpointAnswer::new(Endpoint::shown(&scope, found, &secret, api.now()))))
}

/// Update an endpoint
///
/// Pending deliveries use the endpoint's configuration at the time of each attempt.
#[utoipa::path(
    patch, path = "/applications/{appId}/endpoints/{id}", operation_id = "updateEndpoint", tag = "Endpoints",
    params(("appId" = String, Path, description = "The application's id or `uid`."), ("id" = String, Path, description = "The endpoint's id or `uid`.")),
    request_body = UpdateEndpoint,
    responses(
        (status = 200, description = "Updated endpoint.", body = EndpointAnswer),
        (status = 409, description = "Another endpoint of the application has this `uid` (`uid_taken`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn update(
    State(api): State<Api>,
    scope: ApplicationScope,
    audited: AuditedCaller,
    PathParams(OfId { id: endpoint }): PathParams<OfId>,
    body: RawBody,
) -> Result<Json<EndpointAnswer>, ApiError> {
    let change = EndpointPatch::read(&scope, body.parse()?, api.now())?;
    let key = key(&api, &scope, &endpoint).await?;
    if let Some(Some(uid)) = &change.uid {
        check_uid(&scope, &api, uid, Some(key.id)).await?;
    }
    if let Some(url) = &change.url {
        api.transport.check(&Target::http(url)).await?;
    }
    let act = audited.act(&api);
    let now = act.at;
    let changed = endpoints::update(&*api.store, &act, key, |endpoint: &mut Model| -> Result<(), ApiError> {
        change.check_moved_by(&scope, endpoint)?;
        change.apply(endpoint, now);
        Ok(())
    })
    .await?;
    api.engine.application_changed(key.application_id);
    let (endpoint, secret) = match changed {
        Changed::Done(changed) => *changed,
        Changed::NotFound => return Err(not_found()),
        Changed::UidTaken => return Err(uid_taken(change.uid.flatten().as_deref().unwrap_or_default())),
    };
    let filter = change.filter_types.as_ref().and_then(Option::as_deref);
    let warnings = warnings(&api, &scope, filter).await?;
    Ok(Json(EndpointAnswer { endpoint: Endpoint::shown(&scope, endpoint, &secret, now), warnings }))
}

/// Delete an endpoint
///
/// Its pending deliveries are cancelled.
#[utoipa::path(
    delete, path = "/applications/{appId}/endpoints/{id}", operation_id = "deleteEndpoint", tag = "Endpoints",
    params(("appId" = String, Path, description = "The application's id or `uid`."), ("id" = String, Path, description = "The endpoint's id or `uid`.")),
    responses((status = 200, description = "Deleted.", body = Success))
)]
pub(crate) async fn delete(
    State(api): State<Api>,
    scope: ApplicationScope,
    audited: AuditedCaller,
    PathParams(OfId { id: endpoint }): PathParams<OfId>,
) -> Result<Json<Success>, ApiError> {
    let key = key(&api, &scope, &endpoint).await?;
    let was_there = endpoints::delete(&*api.store, &audited.act(&api), key).await?;
    api.engine.application_changed(key.application_id);
    if was_there { Ok(Json(Success::new())) } else { Err(not_found()) }
}

/// Rotate an endpoint's signing secret
///
/// Each rotated secret continues to sign, besides the new one, until its own grace period ends. At most ten rotated secrets sign at
/// once.
#[utoipa::path(
    post, path = "/applications/{appId}/endpoints/{id}/rotate-secret", operation_id = "rotateSigningSecret", tag = "Endpoints",
    params(("appId" = String, Path, description = "The application's id or `uid`."), ("id" = String, Path, description = "The endpoint's id or `uid`."), RotateQuery),
    request_body = Option<RotateSecret>,
    responses(
        (status = 200, description = "New secret.", body = RotatedSecret),
        (status = 409, description = "Ten rotated secrets still sign (`too_many_secrets`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn rotate_secret(
    State(api): State<Api>,
    scope: ApplicationScope,
    audited: AuditedCaller,
    PathParams(OfId { id: endpoint }): PathParams<OfId>,
    QueryParams(query): QueryParams<RotateQuery>,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, ApiError> {
    let input: RotateSecret = body.parse_optional()?;
    let seconds = grace_seconds(query, input.grace_seconds.map(Whole::number))?;
    let grace = seconds.map_or(api.options.secret_grace, Duration::from_secs);
    let key = key(&api, &scope, &endpoint).await?;
    let in_query = seconds.filter(|_| input.grace_seconds.is_none());
    let operation =
        format!("POST {}/{}/rotate-secret?{}", key.application_id, key.id, in_query.map(|seconds| seconds.to_string()).unwrap_or_default());
    let idempotency_key = idempotency::key(&headers, &operation, &body.0)?;
    let (endpoint, _) = endpoints::find(&*api.store, key).await?.ok_or_else(not_found)?;
    let secret = signing_secret(&api, Some(endpoint.signing_algorithm), input.signing_secret)?;
    let act = audited.act(&api);
    let old_until = act.at + grace;
    let answer = RotatedSecret {
        public_key: SigningKey::parse(&secret)?.public_key(),
        signing_secret: secret.expose().to_owned(),
        previous_secret_expires_at: old_until.to_string(),
    };
    let answer = idempotency::change_once(&api, scope.tenant, idempotency_key, &answer, async |kept| {
        let rotation = Rotation { secret: &secret, old_until };
        match endpoints::rotate_secret(&*api.store, &act, key, rotation, kept).await? {
            Rotated::Done => Ok(true),
            Rotated::KeyTaken => Ok(false),
            Rotated::NotFound => Err(not_found()),
            Rotated::Same => Err(ApiError::invalid(
                "signing_secret",
                "is already the endpoint's current secret. Send another secret, or leave the field out to generate one",
            )),
            Rotated::TooMany { until } => Err(too_many_secrets(until)),
        }
    })
    .await;
    api.engine.application_changed(key.application_id);
    answer
}

fn grace_seconds(query: RotateQuery, in_body: Option<u64>) -> Result<Option<u64>, ApiError> {
    let refuse = || ApiError::invalid("grace_seconds", "must be a whole number of seconds from 0 to 604800 (7 days)");
    let in_query = query.grace_seconds.map(|text| text.parse::<u64>().map_err(|_| refuse())).transpose()?;
    let seconds = match (in_query, in_body) {
        (Some(in_query), Some(in_body)) if in_query != in_body => {
            let problem = format!("is {in_query} in the query and {in_body} in the body. Send it once");
            return Err(ApiError::invalid("grace_seconds", &problem));
        }
        (in_query, in_body) => in_query.or(in_body),
    };
    if seconds.is_some_and(|seconds| seconds > GRACE_MAX_S) { Err(refuse()) } else { Ok(seconds) }
}

fn too_many_secrets(until: Timestamp) -> ApiError {
    let message = format!(
        "{SECRETS_IN_GRACE_MAX} rotated secrets of this endpoint still sign; at most {SECRETS_IN_GRACE_MAX} are allowed. The grace period of the \
            oldest ends at {until}. Rotate after that time, or send `grace_seconds` 0 to end the current secret at once."
    );
    let details = serde_json::json!({ "limit": SECRETS_IN_GRACE_MAX, "oldest_ends_at": until.to_string() });
    ApiError::new(StatusCode::CONFLICT, "too_many_secrets", message).with_details(details)
}

/// Reveal an endpoint's signing secret
///
/// Requires the scope `endpoints:secret`, which `*` does not include. The audit log records each call.
#[utoipa::path(
    get, path = "/applications/{appId}/endpoints/{id}/secret", operation_id = "revealSigningSecret", tag = "Endpoints",
    params(("appId" = String, Path, description = "The application's id or `uid`."), ("id" = String, Path, description = "The endpoint's id or `uid`.")),
    responses(
        (status = 200, description = "Current secret, and rotated secrets that still sign.", body = RevealedSecrets),
        (status = 403, description = "The installation does not reveal secrets (`reveal_disabled`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn reveal_secret(
    State(api): State<Api>,
    scope: ApplicationScope,
    audited: AuditedCaller,
    PathParams(OfId { id: endpoint }): PathParams<OfId>,
) -> Result<Response, ApiError> {
    if !api.options.reveal_secrets {
        let message = "This installation does not reveal signing secrets (setting reveal_secrets). Rotate the secret to get a new one.";
        return Err(ApiError::new(StatusCode::FORBIDDEN, "reveal_disabled", message));
    }
    if scope.requester == Requester::Customer {
        let environment = environments::find_any(&*api.store, scope.tenant.environment).await?;
        if !environment.is_some_and(|environment| environment.portal_reveal_secrets) {
            let message = "This portal does not reveal signing secrets. Rotate the secret to get a new one.";
            return Err(ApiError::new(StatusCode::FORBIDDEN, "reveal_disabled", message));
        }
    }
    let key = key(&api, &scope, &endpoint).await?;
    let act = audited.act(&api);
    let found = endpoints::reveal_secrets(&*api.store, &act, key).await?.ok_or_else(not_found)?;
    let mut rotated = found.rotated;
    rotated.retain(|(_, until)| *until > act.at);
    rotated.sort_by_key(|(_, until)| *until);
    let previous =
        |(secret, until): (Secret, Timestamp)| PreviousSecret { signing_secret: secret.expose().to_owned(), expires_at: until.to_string() };
    let answer = RevealedSecrets {
        public_key: SigningKey::parse(&found.secret)?.public_key(),
        signing_secret: found.secret.expose().to_owned(),
        previous_secrets: rotated.into_iter().map(previous).collect(),
    };
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

/// Reset an endpoint's circuit breaker
///
/// The circuit breaker closes, and a wait that the receiver requested with `Retry-After` ends. Pending deliveries are sent from now on, at
/// a rate that starts low.
#[utoipa::path(
    post, path = "/applications/{appId}/endpoints/{id}/reset-circuit", operation_id = "resetCircuit", tag = "Endpoints",
    params(("appId" = String, Path, description = "The application's id or `uid`."), ("id" = String, Path, description = "The endpoint's id or `uid`.")),
    responses((status = 200, description = "Endpoint, with its deliveries no longer held.", body = EndpointAnswer))
)]
pub(crate) async fn reset_circuit(
    State(api): State<Api>,
    scope: ApplicationScope,
    audited: AuditedCaller,
    PathParams(OfId { id: endpoint }): PathParams<OfId>,
) -> Result<Json<EndpointAnswer>, ApiError> {
    let key = key(&api, &scope, &endpoint).await?;
    let was_there = endpoints::reset_hold(&*api.store, &audited.act(&api), key).await?;
    api.engine.application_changed(key.application_id);
    if !was_there {
        return Err(not_found());
    }
    let (found, secret) = endpoints::find(&*api.store, key).await?.ok_or_else(not_found)?;
    Ok(Json(EndpointAnswer::new(Endpoint::shown(&scope, found, &secret, api.now()))))
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
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, ApiError> {
    let input: TestEndpoint = body.parse_optional()?;
    // Receivers cannot distinguish a test from a message, so a customer's test has a fixed type and payload.
    scope.refuse_of_customer(&[("event_type", input.event_type.is_some()), ("payload", input.payload.is_some())])?;
    let (routes, endpoint) = scope.endpoint(&api, &endpoint).await?;
    let application_id = routes.application.id;
    if let Requester::Customer = scope.requester {
        let rate_limit = api.limiter.count_in(Subject::PortalTests(application_id), PORTAL_TESTS, MINUTE, Instant::now());
        if let Some(wait) = rate_limit.wait {
            let message = format!("The portal sends at most {PORTAL_TESTS} test messages a minute. Retry later.");
            return Err(ApiError::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", message).with_retry_after(wait));
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
        is_event: scope.requester == Requester::Sender,
    };
    let accepted = api.engine.send_test(scope.tenant, &application_id.to_string(), endpoint, draft).await?;
    // The entry has the message's id, so that a repeated request leaves one entry.
    let act = AuditContext { entry: EntryId::from_bytes(*accepted.id.as_bytes()), ..audited.act(&api) };
    let fields = Fields::default().with("message_id", accepted.id.to_string()).with("event_type", accepted.event_type.as_str());
    let resource = ResourceId::from_bytes(*endpoint.as_bytes());
    audit_log::record(&*api.store, &act, scope.tenant, Action::EndpointTest, resource, &RecordedChange::done(&fields)).await?;
    Ok(messages::accepted_answer(scope.tenant, accepted))
}

/// Checked change of an endpoint.
struct EndpointPatch {
    uid: Option<Option<String>>,
    metadata: Option<Option<String>>,
    channels: Option<Option<Vec<String>>>,
    url: Option<EndpointUrl>,
    description: Option<Option<String>>,
    status: Option<EndpointStatus>,
    filter_types: Option<Option<Vec<String>>>,
    rate_limit_per_second: Option<Option<u32>>,
    expires_at: Option<Option<Timestamp>>,
    headers: Option<Option<BTreeMap<String, String>>>,
    retry_schedule: Option<Option<RetrySchedule>>,
    timeout_ms: Option<Option<u32>>,
    ordering: Option<Ordering>,
    on_failure: Option<OnFailure>,
    batch: Option<Option<BatchPolicy>>,
}

impl EndpointPatch {
    fn read(scope: &ApplicationScope, input: UpdateEndpoint<'_>, now: Timestamp) -> Result<Self, ApiError> {
        input.check_asked_by(scope)?;
        let change = Self {
            uid: input.uid.nullable(),
            metadata: input.metadata.try_map(metadata)?.nullable(),
            channels: input.channels.try_map(channels)?.nullable(),
            url: input.url.required("url")?.map(|text| EndpointUrl::parse(&text)).transpose()?,
            description: input.description.nullable(),
            status: input.status.required("status")?.map(|word| EndpointStatus::parse(&word)).transpose()?,
            filter_types: input.filter_types.try_map(filter_types)?.nullable(),
            rate_limit_per_second: input.rate_limit_per_second.number().nullable(),
            expires_at: input.expires_at.try_map(|text| expiry(&text, now))?.nullable(),
            headers: input.headers.try_map(|raw| own_headers(scope, raw))?.nullable(),
            retry_schedule: input.retry_schedule.try_map(retry_schedule)?.nullable(),
            timeout_ms: input.timeout_ms.number().try_map(timeout_ms)?.nullable(),
            ordering: ordering(input.ordering.required("ordering")?, input.ordering_key.nullable().flatten())?,
            on_failure: input.on_failure.required("on_failure")?.map(|word| OnFailure::parse(&word)).transpose()?,
            batch: input.batch.try_map(batch_policy)?.nullable(),
        };
        if let Some(Some(description)) = &change.description {
            application::check_description(description)?;
        }
        if change.is_empty() { Err(ApiError::no_fields()) } else { Ok(change) }
    }

    /// Refuses to let a customer change the URL's origin while the endpoint has custom headers: their values are
    /// hidden from the customer and must not go elsewhere.
    fn check_moved_by(&self, scope: &ApplicationScope, endpoint: &Model) -> Result<(), ApiError> {
        let moves = self.url.as_ref().is_some_and(|url| url.to_url().origin() != endpoint.url.to_url().origin());
        let has_headers = endpoint.headers.as_ref().is_some_and(|headers| !headers.is_empty());
        match scope.requester {
            Requester::Customer if moves && has_headers && self.headers.is_none() => Err(ApiError::invalid(
                "url",
                "can't move to another origin while the endpoint has headers whose values are hidden from you. Send `headers` in the same \
                 request: your own headers, or null to remove them",
            )),
            Requester::Customer | Requester::Sender => Ok(()),
        }
    }

    const fn is_empty(&self) -> bool {
        self.uid.is_none()
            && self.metadata.is_none()
            && self.channels.is_none()
            && self.url.is_none()
            && self.description.is_none()
            && self.status.is_none()
            && self.filter_types.is_none()
            && self.rate_limit_per_second.is_none()
            && self.expires_at.is_none()
            && self.headers.is_none()
            && self.retry_schedule.is_none()
            && self.timeout_ms.is_none()
            && self.ordering.is_none()
            && self.on_failure.is_none()
            && self.batch.is_none()
    }

    fn apply(&self, endpoint: &mut Model, now: Timestamp) {
        set(&mut endpoint.uid, self.uid.as_ref());
        set(&mut endpoint.metadata, self.metadata.as_ref());
        set(&mut endpoint.channels, self.channels.as_ref());
        set(&mut endpoint.url, self.url.as_ref());
        set(&mut endpoint.description, self.description.as_ref());
        set(&mut endpoint.filter_types, self.filter_types.as_ref());
        set(&mut endpoint.rate_limit_per_second, self.rate_limit_per_second.as_ref());
        set(&mut endpoint.expires_at, self.expires_at.as_ref());
        set(&mut endpoint.headers, self.headers.as_ref());
        set(&mut endpoint.retry_schedule, self.retry_schedule.as_ref());
        set(&mut endpoint.timeout_ms, self.timeout_ms.as_ref());
        set(&mut endpoint.ordering, self.ordering.as_ref());
        set(&mut endpoint.on_failure, self.on_failure.as_ref());
        set(&mut endpoint.batch, self.batch.as_ref());
        if self.url.is_some() {
            // The failures concerned the previous URL.
            endpoint.hold = None;
        }
        if let Some(status) = self.status {
            endpoint.status = status;
            // The caller decided on the status, so an earlier reason and failing period no longer count.
            endpoint.disabled_reason = None;
            endpoint.failing_since = None;
            endpoint.hold = None;
        }
        endpoint.updated_at = now;
    }
}

fn set<T: Clone>(field: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        field.clone_from(value);
    }
}

async fn key(api: &Api, scope: &ApplicationScope, endpoint: &str) -> Result<EndpointKey, ApiError> {
    let (routes, id) = scope.endpoint(api, endpoint).await?;
    Ok(EndpointKey { tenant: scope.tenant, application_id: routes.application.id, id })
}

/// Checks a `uid`: its form, and that it is not the id of another endpoint, because paths accept both.
async fn check_uid(scope: &ApplicationScope, api: &Api, uid: &str, own: Option<EndpointId>) -> Result<(), ApiError> {
    application::check_uid(uid)?;
    let routes = scope.routes(api).await?;
    let meant = uid.parse().ok().and_then(|id| routes.endpoint(id));
    if meant.is_some_and(|route| Some(route.endpoint.id) != own) { Err(uid_taken(uid)) } else { Ok(()) }
}

fn uid_taken(uid: &str) -> ApiError {
    let message = format!("Another endpoint of this application has the uid or id {uid:?}. Choose another uid, or update that endpoint.");
    ApiError::new(StatusCode::CONFLICT, "uid_taken", message)
}

/// Maximum number of event types that are searched for warnings.
const CATALOGUE_MAX: usize = 10_000;
/// Maximum number of warnings in a response.
const WARNINGS_MAX: usize = 20;

/// Returns warnings for filter entries that match no event type of the catalog. Such entries are accepted, but may be
/// mistyped.
async fn warnings(api: &Api, scope: &ApplicationScope, filter: Option<&[String]>) -> Result<Vec<String>, ApiError> {
    let Some(filter) = filter.filter(|filter| !filter.is_empty()) else { return Ok(Vec::new()) };
    let names = event_types::names(&*api.store, scope.tenant, CATALOGUE_MAX).await?;
    let is_unknown = |pattern: &&String| *pattern != "*" && !names.iter().any(|name| matches(pattern, name));
    let warn = |pattern: &String| match pattern.strip_suffix(".*") {
        Some(prefix) => format!("filter_types contains {pattern}, but no event type has a name that begins with {prefix}."),
        None => format!("filter_types contains {pattern}, but no event type has that name."),
    };
    Ok(filter.iter().filter(is_unknown).take(WARNINGS_MAX).map(warn).collect())
}

/// Returns the given secret, if it fits the algorithm, or a new one.
fn signing_secret(api: &Api, algorithm: Option<SigningAlgorithm>, given: Option<String>) -> Result<Secret, ApiError> {
    let Some(given) = given.map(|text| Secret::new(text.trim())) else {
        return Ok(SigningKey::generate(algorithm.unwrap_or(SigningAlgorithm::HmacSha256), &api.engine.random_bytes()));
    };
    let own = SigningKey::parse(&given)?.algorithm();
    if let Some(algorithm) = algorithm.filter(|algorithm| *algorithm != own) {
        let problem = format!(
            "is for {}, but the endpoint signs with {}. Send a secret for the endpoint's algorithm",
            own.as_str(),
            algorithm.as_str()
        );
        return Err(ApiError::invalid("signing_secret", &problem));
    }
    Ok(given)
}

fn filter_types(raw: &RawValue) -> Result<Vec<String>, ApiError> {
    let types: Vec<String> = json_value("filter_types", raw, "an array of event type names, prefixes such as invoice.*, and *")?;
    rules::check_filter_types(&types)?;
    Ok(types)
}

fn channels(raw: &RawValue) -> Result<Vec<String>, ApiError> {
    let channels: Vec<String> = json_value("channels", raw, "an array of channels")?;
    rules::check_channels(&channels)?;
    Ok(channels)
}

fn own_headers(scope: &ApplicationScope, raw: &RawValue) -> Result<BTreeMap<String, String>, ApiError> {
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

fn retry_schedule(raw: &RawValue) -> Result<RetrySchedule, ApiError> {
    let seconds: Vec<u32> = json_value("retry_schedule", raw, "an array of whole seconds")?;
    Ok(RetrySchedule::from_seconds(seconds)?)
}

fn batch_policy(raw: &RawValue) -> Result<BatchPolicy, ApiError> {
    let Batch { max_size, max_wait_ms } = json_fields("batch", raw, "an object with `max_size` and `max_wait_ms`")?;
    Ok(BatchPolicy::new(max_size, max_wait_ms)?)
}

fn timeout_ms(given: u32) -> Result<u32, ApiError> {
    rules::check_timeout_ms(given)?;
    Ok(given)
}

fn ordering(word: Option<String>, key: Option<String>) -> Result<Option<Ordering>, ApiError> {
    match (word, key) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(ApiError::invalid("ordering_key", "requires `ordering` set to `key` in the same request")),
        (Some(word), key) => Ok(Some(Ordering::from_parts(&word, key.as_deref())?)),
    }
}

fn expiry(text: &str, now: Timestamp) -> Result<Timestamp, ApiError> {
    let refuse = |problem: &str| ApiError::invalid("expires_at", problem);
    let at: Timestamp = text.parse().map_err(|error: hookstream_model::base::time::InvalidTime| refuse(&error.to_string()))?;
    if at <= now {
        return Err(refuse(&format!(
            "must be in the future; got {at}, and the current time is {now}. To stop an endpoint at once, disable it"
        )));
    }
    Ok(at)
}

fn not_found() -> ApiError {
    ApiError::not_found("Endpoint")
}
