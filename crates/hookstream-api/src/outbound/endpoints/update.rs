//! Changes of endpoints.

use std::mem::take;

use axum::{Json, extract::State};
use hookstream_model::{
    base::time::Timestamp,
    outbound::{
        endpoint::{Endpoint as Model, EndpointStatus, EndpointUrl},
        target::TargetKind,
    },
};
use hookstream_store::outbound::endpoints::{self, Changed};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    fields::{Batch, check_uid, uid_taken, warnings},
    key, not_found,
    settings::Settings,
    target::{self, ConfigChange, TargetChange, config_change},
    view::{Endpoint, EndpointAnswer},
};
use crate::{
    auth::{
        application_scope::{ApplicationScope, Requester},
        audited_caller::AuditedCaller,
    },
    http::{
        body::{Field, OrText, RawBody, Whole},
        error::ApiError,
        params::{OfId, PathParams},
    },
    state::Api,
};

/// Changes of an endpoint. Fields that are left out keep their values.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateEndpoint<'a> {
    /// Kind of target. It cannot be changed.
    #[serde(default, rename = "type")]
    #[schema(value_type = Option<String>)]
    pub(super) kind: Field<String>,
    /// Settings of a type other than `http`: the fields to change, as text values. Fields that are left out keep their values, `null`
    /// removes one. `password` is required if `url` names another server or protocol.
    #[serde(default, borrow)]
    #[schema(value_type = Option<Object>)]
    pub(super) config: Field<&'a RawValue>,
    /// URL that receives the deliveries: `https` or `http`, at most 2,048 characters, without credentials or fragment. Only for type
    /// `http`.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "https://example.com/webhooks", format = "uri")]
    pub(super) url: Field<String>,
    /// Your own id of the endpoint: 1 to 255 letters, digits and `. _ - ~ : @ +`, unique in the application; `null` removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) uid: Field<String>,
    /// Description: at most 4,096 characters; `null` removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "Billing events")]
    pub(super) description: Field<String>,
    /// Your own data: an object of at most 16 KiB, or its JSON text; `null` removes it.
    #[serde(default, borrow)]
    #[schema(value_type = Option<Object>)]
    pub(super) metadata: Field<&'a RawValue>,
    /// Channels, at most 20. The endpoint receives only messages that share a channel with it. With `null` or `[]` it receives messages
    /// of any channel.
    #[serde(default, borrow)]
    #[schema(value_type = Option<OrText<Vec<String>>>, inline)]
    pub(super) channels: Field<&'a RawValue>,
    /// `active`; `paused` (deliveries stay pending until the endpoint is active again); `disabled` (deliveries are skipped).
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "active")]
    pub(super) status: Field<String>,
    /// Subscribed event types: names, prefixes such as `invoice.*`, and `*`. `null` and `[]` mean all.
    #[serde(default, borrow)]
    #[schema(value_type = Option<OrText<Vec<String>>>, inline)]
    pub(super) filter_types: Field<&'a RawValue>,
    /// Deliveries per second; `null` and 0 mean no limit.
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    pub(super) rate_limit_per_second: Field<Whole<u32>>,
    /// Time after which the endpoint receives no more deliveries: ISO 8601 with an offset, in the future; `null` means never.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) expires_at: Field<String>,
    /// Custom headers that each delivery carries, in place of all current ones: an object of at most 32 names and text values, or its
    /// JSON text; `null` removes them.
    #[serde(default, borrow)]
    #[schema(value_type = Option<Object>)]
    pub(super) headers: Field<&'a RawValue>,
    /// Delays between attempts, in seconds: at most 50 of at most 604800 (7 days); `null` means the installation's schedule.
    #[serde(default, borrow)]
    #[schema(value_type = Option<OrText<Vec<u32>>>, inline)]
    pub(super) retry_schedule: Field<&'a RawValue>,
    /// Timeout of one attempt, in milliseconds: 1000 to 60000; `null` means the installation's timeout.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1000, maximum = 60000)]
    pub(super) timeout_ms: Field<Whole<u32>>,
    /// Delivery order: `none`; `strict` (one message at a time, in the order of acceptance); `key` (the same among messages with the same
    /// key).
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) ordering: Field<String>,
    /// Path of the ordering key in a payload, such as `$.customer.id`. Send it together with `ordering` set to `key`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) ordering_key: Field<String>,
    /// Effect of a failed message on the messages behind it: `block` (they wait until it is delivered); `skip` (they wait until its retry
    /// schedule ends); `park` (they continue after its first failed attempt).
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) on_failure: Field<String>,
    /// Batching: several messages in one request; `null` sends each message as a request of its own.
    #[serde(default, borrow)]
    #[schema(value_type = Option<OrText<Batch>>, inline)]
    pub(super) batch: Field<&'a RawValue>,
}

impl UpdateEndpoint<'_> {
    /// Refuses fields that a customer may not set, as in a new endpoint.
    fn check_asked_by(&self, scope: &ApplicationScope) -> Result<(), ApiError> {
        scope.refuse_of_customer(&[("type", !self.kind.is_absent()), ("config", !self.config.is_absent())])?;
        self.refuse_reserved(scope)
    }
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
    if let Some(Some(uid)) = &change.settings.uid {
        check_uid(&scope, &api, uid, Some(key.id)).await?;
    }
    if !change.target().is_empty() {
        let (mut changed, _) = endpoints::find(&*api.store, key).await?.ok_or_else(not_found)?;
        change.target().apply(&api.destinations, &mut changed)?;
        target::check(&api, &changed).await?;
    }
    let act = audited.act(&api);
    let now = act.at;
    let changed = endpoints::update(&*api.store, &act, key, |endpoint: &mut Model| -> Result<(), ApiError> {
        change.check_moved_by(&scope, endpoint)?;
        change.target().apply(&api.destinations, endpoint)?;
        change.apply(endpoint, now);
        Ok(())
    })
    .await?;
    let (endpoint, secret) = match changed {
        Changed::Done(changed) => *changed,
        Changed::NotFound => return Err(not_found()),
        Changed::UidTaken => return Err(uid_taken(change.settings.uid.flatten().as_deref().unwrap_or_default())),
    };
    let filter = change.settings.filter_types.as_ref().and_then(Option::as_deref);
    let warnings = warnings(&api, &scope, filter).await?;
    Ok(Json(EndpointAnswer { endpoint: Endpoint::shown(&scope, endpoint, &secret, now), warnings }))
}

/// Checked change of an endpoint.
struct EndpointPatch {
    kind: Option<TargetKind>,
    url: Option<EndpointUrl>,
    config: Option<ConfigChange>,
    status: Option<EndpointStatus>,
    settings: Settings,
}

impl EndpointPatch {
    fn read(scope: &ApplicationScope, mut input: UpdateEndpoint<'_>, now: Timestamp) -> Result<Self, ApiError> {
        input.check_asked_by(scope)?;
        let change = Self {
            kind: take(&mut input.kind).required("type")?.map(|word| TargetKind::parse(&word)).transpose()?,
            url: take(&mut input.url).required("url")?.map(|text| EndpointUrl::parse(&text)).transpose()?,
            config: take(&mut input.config).try_map(config_change)?.required("config")?,
            status: take(&mut input.status).required("status")?.map(|word| EndpointStatus::parse(&word)).transpose()?,
            settings: input.settings(scope, now)?,
        };
        if change.is_empty() { Err(ApiError::no_fields()) } else { Ok(change) }
    }

    /// Refuses to let a customer change the URL's origin while the endpoint has custom headers: their values are
    /// hidden from the customer and must not go elsewhere.
    fn check_moved_by(&self, scope: &ApplicationScope, endpoint: &Model) -> Result<(), ApiError> {
        let moves = self.url.as_ref().is_some_and(|url| url.to_url().origin() != endpoint.url.to_url().origin());
        let has_headers = endpoint.headers.as_ref().is_some_and(|headers| !headers.is_empty());
        match scope.requester {
            Requester::Customer if moves && has_headers && self.settings.headers.is_none() => Err(ApiError::invalid(
                "url",
                "can't move to another origin while the endpoint has headers whose values are hidden from you. Send `headers` in the same \
                 request: your own headers, or null to remove them",
            )),
            Requester::Customer | Requester::Sender => Ok(()),
        }
    }

    /// Change of the target.
    const fn target(&self) -> TargetChange<'_> {
        TargetChange { kind: self.kind, url: self.url.as_ref(), config: self.config.as_ref() }
    }

    const fn is_empty(&self) -> bool {
        self.target().is_empty() && self.status.is_none() && self.settings.is_empty()
    }

    fn apply(&self, endpoint: &mut Model, now: Timestamp) {
        self.settings.apply(endpoint);
        if self.url.is_some() || self.config.is_some() {
            // The failures concerned the previous target.
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
