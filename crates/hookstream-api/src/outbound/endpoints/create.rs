//! New endpoints.

use axum::{extract::State, response::Response};
use hookstream_model::outbound::{
    endpoint::Endpoint as Model,
    signature::{SigningAlgorithm, SigningKey},
    target::TargetKind,
};
use hookstream_store::outbound::endpoints;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    fields::{Batch, check_uid, uid_taken, warnings},
    secrets::signing_secret,
    target::{self, NewTarget},
    view::{Endpoint, EndpointAnswer},
};
use crate::{
    auth::{
        application_scope::{ApplicationScope, Requester},
        audited_caller::AuditedCaller,
    },
    http::{
        body::{OrText, RawBody, Whole},
        error::ApiError,
        idempotency,
    },
    state::Api,
};

/// New endpoint.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateEndpoint<'a> {
    /// Kind of target: `http` (the default) or `rabbitmq`.
    #[serde(rename = "type")]
    #[schema(example = "http")]
    pub(super) kind: Option<String>,
    /// URL that receives the deliveries: `https` or `http`, at most 2,048 characters, without credentials or fragment. Required for type
    /// `http`, refused for other types.
    #[schema(example = "https://example.com/webhooks", format = "uri")]
    pub(super) url: Option<String>,
    /// Settings of a type other than `http`: an object of text values, or its JSON text. For `rabbitmq`: `url` (`amqps://`, `amqp://`, or
    /// `https://`, `http://` for the management API), `vhost` (the default is `/`), `exchange`, `routing_key`, `username`, `password`.
    #[serde(borrow)]
    #[schema(value_type = Option<Object>)]
    pub(super) config: Option<&'a RawValue>,
    /// Your own id of the endpoint: 1 to 255 letters, digits and `. _ - ~ : @ +`, unique in the application. Every path accepts it in
    /// place of the id.
    #[schema(example = "main")]
    pub(super) uid: Option<String>,
    /// Description: at most 4,096 characters.
    #[schema(example = "Billing events")]
    pub(super) description: Option<String>,
    /// Your own data: an object of at most 16 KiB, or its JSON text.
    #[serde(borrow)]
    #[schema(value_type = Option<Object>)]
    pub(super) metadata: Option<&'a RawValue>,
    /// Subscribed event types: names, prefixes such as `invoice.*`, and `*`. `null` and `[]` mean all.
    #[serde(borrow)]
    #[schema(value_type = Option<OrText<Vec<String>>>, inline)]
    pub(super) filter_types: Option<&'a RawValue>,
    /// Channels, at most 20. The endpoint receives only messages that share a channel with it. With `null` or `[]` it receives messages
    /// of any channel.
    #[serde(borrow)]
    #[schema(value_type = Option<OrText<Vec<String>>>, inline)]
    pub(super) channels: Option<&'a RawValue>,
    /// Deliveries per second; `null` and 0 mean no limit.
    #[schema(value_type = Option<u32>, example = 0)]
    pub(super) rate_limit_per_second: Option<Whole<u32>>,
    /// Time after which the endpoint receives no more deliveries: ISO 8601 with an offset, in the future.
    #[schema(example = "2027-12-31T23:59:59Z", format = DateTime)]
    pub(super) expires_at: Option<String>,
    /// Signing algorithm: `hmac-sha256` (the default) or `ed25519`.
    #[schema(example = "hmac-sha256")]
    pub(super) signing_algorithm: Option<String>,
    /// Existing secret, for moving an endpoint here without a change at the receiver: `whsec_` and base64 of 16 to 128 bytes, `raw:` and a
    /// text of 16 to 128 bytes, or `whsk_` and base64 of an ed25519 key. The default is a new secret.
    pub(super) signing_secret: Option<String>,
    /// Custom headers that each delivery carries: an object of at most 32 names and text values, or its JSON text.
    #[serde(borrow)]
    #[schema(value_type = Option<Object>)]
    pub(super) headers: Option<&'a RawValue>,
    /// Delays between attempts, in seconds, in place of the installation's schedule: at most 50 of at most 604800 (7 days).
    #[serde(borrow)]
    #[schema(value_type = Option<OrText<Vec<u32>>>, inline)]
    pub(super) retry_schedule: Option<&'a RawValue>,
    /// Timeout of one attempt, in milliseconds: 1000 to 60000. The default is the installation's timeout.
    #[schema(value_type = Option<u32>, minimum = 1000, maximum = 60000, example = 15000)]
    pub(super) timeout_ms: Option<Whole<u32>>,
    /// Delivery order: `none` (the default); `strict` (one message at a time, in the order of acceptance); `key` (the same among messages
    /// with the same key).
    #[schema(example = "none")]
    pub(super) ordering: Option<String>,
    /// Path of the ordering key in a payload, such as `$.customer.id`. Required if `ordering` is `key`, refused otherwise.
    pub(super) ordering_key: Option<String>,
    /// Effect of a failed message on the messages behind it: `block` (the default; they wait until it is delivered); `skip` (they wait until
    /// its retry schedule ends); `park` (they continue after its first failed attempt).
    pub(super) on_failure: Option<String>,
    /// Batching: several messages in one request. `null` (the default) sends each message as a request of its own.
    #[serde(borrow)]
    #[schema(value_type = Option<OrText<Batch>>, inline)]
    pub(super) batch: Option<&'a RawValue>,
}

impl CreateEndpoint<'_> {
    /// Refuses fields that a customer may not set: the type, rate, expiry, schedule, order and batching are the sender's.
    fn check_asked_by(&self, scope: &ApplicationScope) -> Result<(), ApiError> {
        let is_other_kind = self.kind.as_deref().is_some_and(|kind| kind != TargetKind::Http.as_str());
        scope.refuse_of_customer(&[("type", is_other_kind), ("config", self.config.is_some())])?;
        self.refuse_reserved(scope)
    }
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
    let mut input: CreateEndpoint<'_> = body.parse()?;
    input.check_asked_by(&scope)?;
    let application_id = scope.resolve(&api).await?;
    let key = idempotency::key(&headers, &format!("POST /v1/applications/{application_id}/endpoints"), &body.0)?;
    let algorithm = input.signing_algorithm.as_deref().map(SigningAlgorithm::parse).transpose()?;
    let secret = signing_secret(&api, algorithm, input.signing_secret.take())?;
    let act = audited.act(&api);
    let now = act.at;
    if let Some(uid) = &input.uid {
        check_uid(&scope, &api, uid, None).await?;
    }
    let NewTarget { kind, url, config } = NewTarget::read(input.kind.as_deref(), input.url.as_deref(), input.config)?;
    let signing_algorithm = SigningKey::parse(&secret)?.algorithm();
    let id = api.engine.new_id().into();
    let mut endpoint = Model { config, signing_algorithm, ..Model::new(id, scope.tenant, application_id, kind, url, now) };
    input.settings(&scope, now)?.apply(&mut endpoint);
    target::check(&api, &endpoint).await?;
    let shown = Endpoint::shown(&scope, endpoint.clone(), &secret, now);
    let warnings = warnings(&api, &scope, endpoint.filter_types.as_deref()).await?;
    let answer = EndpointAnswer { endpoint: shown.with_secret(&secret), warnings };
    let taken = || uid_taken(endpoint.uid.as_deref().unwrap_or_default());
    let of_customer = (scope.requester == Requester::Customer).then_some(api.options.portal_endpoints).flatten();

    idempotency::create_once(&api, scope.tenant, key, &answer, taken, async |kept| {
        endpoints::create(&*api.store, &act, &endpoint, &secret, of_customer, kept).await
    })
    .await
}
