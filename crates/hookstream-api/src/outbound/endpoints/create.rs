//! New endpoints.

use axum::{extract::State, response::Response};
use hookstream_model::outbound::{
    endpoint::Endpoint as Model,
    signature::{SigningAlgorithm, SigningKey},
    target::TargetKind,
};
use hookstream_store::{delivery::deliveries::IdempotencyKey, outbound::endpoints};
use http::HeaderMap;
use serde_json::value::RawValue;

use super::{
    fields::{check_uid, uid_taken, warnings},
    requests::CreateEndpoint,
    secrets::signing_secret,
    target::{self, NewTarget},
    view::{Endpoint, EndpointAnswer},
};
use crate::{
    auth::{
        application_scope::{ApplicationScope, Requester},
        audited_caller::AuditedCaller,
    },
    http::{body::RawBody, error::ApiError, idempotency},
    state::Api,
};

impl<'a> CreateEndpoint<'a> {
    /// Request for a test receiver.
    pub(crate) fn test_receiver(config: &'a RawValue, description: Option<String>, filter_types: Option<&'a RawValue>) -> Self {
        let kind = Some(TargetKind::TestReceiver.as_str().to_owned());
        Self { kind, config: Some(config), description, filter_types, ..Self::default() }
    }

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
    let input: CreateEndpoint<'_> = body.parse()?;
    input.check_asked_by(&scope)?;
    let application_id = scope.resolve(&api).await?;
    let key = idempotency::key(&headers, &format!("POST /v1/applications/{application_id}/endpoints"), &body.0)?;
    create_in(&api, &scope, &audited, input, key).await
}

/// Creates an endpoint of the scope's application.
pub(crate) async fn create_in(
    api: &Api,
    scope: &ApplicationScope,
    audited: &AuditedCaller,
    mut input: CreateEndpoint<'_>,
    key: Option<IdempotencyKey>,
) -> Result<Response, ApiError> {
    let application_id = scope.resolve(api).await?;
    let algorithm = input.signing_algorithm.as_deref().map(SigningAlgorithm::parse).transpose()?;
    let secret = signing_secret(api, algorithm, input.signing_secret.take())?;
    let act = audited.act(api);
    let now = act.at;
    if let Some(uid) = &input.uid {
        check_uid(scope, api, uid, None).await?;
    }
    let NewTarget { kind, url, config } = NewTarget::read(input.kind.as_deref(), input.url.as_deref(), input.config)?;
    let signing_algorithm = SigningKey::parse(&secret)?.algorithm();
    let id = api.engine.new_id().into();
    let mut endpoint = Model { config, signing_algorithm, ..Model::new(id, scope.tenant, application_id, kind, url, now) };
    input.settings(scope, now)?.apply(&mut endpoint);
    target::check(api, &endpoint).await?;
    let shown = Endpoint::shown(scope, endpoint.clone(), &secret, now);
    let warnings = warnings(api, scope, endpoint.filter_types.as_deref()).await?;
    let answer = EndpointAnswer { endpoint: shown.with_secret(&secret), warnings };
    let taken = || uid_taken(endpoint.uid.as_deref().unwrap_or_default());
    let of_customer = (scope.requester == Requester::Customer).then_some(api.options.portal_endpoints).flatten();

    idempotency::create_once(api, scope.tenant, key, &answer, taken, async |kept| {
        endpoints::create(&*api.store, &act, &endpoint, &secret, of_customer, kept).await
    })
    .await
}
