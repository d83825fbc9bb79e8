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

use super::{
    fields::{check_uid, uid_taken, warnings},
    key, not_found,
    requests::UpdateEndpoint,
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
        body::RawBody,
        error::ApiError,
        params::{OfId, PathParams},
    },
    state::Api,
};

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
            let is_disabled = status == EndpointStatus::Disabled;
            endpoint.disabled_at = is_disabled.then(|| endpoint.disabled_at.unwrap_or(now));
            endpoint.status = status;
            // The caller decided on the status, so an earlier reason and failing period no longer count.
            endpoint.disabled_reason = None;
            endpoint.failing_since = None;
            endpoint.hold = None;
        }
        endpoint.updated_at = now;
    }
}
