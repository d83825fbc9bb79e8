//! Signing secrets of endpoints: rotate and reveal.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use hookstream_model::{
    base::{secret::Secret, time::Timestamp},
    outbound::signature::{SECRETS_IN_GRACE_MAX, SigningAlgorithm, SigningKey},
};
use hookstream_store::{
    identity::environments,
    outbound::endpoints::{self, Rotated, Rotation},
};
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{key, not_found};
use crate::{
    auth::{
        application_scope::{ApplicationScope, Requester},
        audited_caller::AuditedCaller,
    },
    http::{
        body::{RawBody, Whole},
        error::{ApiError, ErrorCode},
        idempotency,
        params::{OfId, PathParams, QueryParams},
    },
    state::Api,
};

/// Maximum grace period of a rotated secret, in seconds: 7 days.
const GRACE_MAX_S: u64 = 7 * 24 * 3600;

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

    idempotency::change_once(&api, scope.tenant, idempotency_key, &answer, async |kept| {
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
    .await
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
        return Err(ApiError::new(ErrorCode::RevealDisabled, message));
    }
    if scope.requester == Requester::Customer {
        let environment = environments::find_any(&*api.store, scope.tenant.environment).await?;
        if !environment.is_some_and(|environment| environment.portal_reveal_secrets) {
            let message = "This portal does not reveal signing secrets. Rotate the secret to get a new one.";
            return Err(ApiError::new(ErrorCode::RevealDisabled, message));
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

/// Returns the given secret, if it fits the algorithm, or a new one.
pub(super) fn signing_secret(api: &Api, algorithm: Option<SigningAlgorithm>, given: Option<String>) -> Result<Secret, ApiError> {
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
    ApiError::new(ErrorCode::TooManySecrets, message).with_details(details)
}
