//! Path and query parameters, with errors in the API's own form.

use axum::extract::{FromRequestParts, Path, Query};
use hookstream_model::base::time::{InvalidTime, Timestamp};
use http::request::Parts;
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::IntoParams;

use crate::{
    http::error::{ApiError, ErrorCode},
    state::Api,
};

/// Parameters of the path, decoded.
pub(crate) struct PathParams<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Api> for PathParams<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        // The parameters are text; bytes that are not UTF-8 name nothing that exists.
        Path::from_request_parts(parts, api).await.map(|Path(params)| Self(params)).map_err(|_| ApiError::unknown_route())
    }
}

/// Parameters of the query. Others than those of `T` are ignored.
pub(crate) struct QueryParams<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<Api> for QueryParams<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        Query::from_request_parts(parts, api).await.map(|Query(params)| Self(params)).map_err(|error| {
            let message = format!("The query is invalid: {}. Send each parameter once, percent-encoded.", error.body_text());
            ApiError::new(ErrorCode::InvalidQuery, message)
        })
    }
}

/// Tenant of a query, for a caller that wants to be sure.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct TenantQuery {
    /// Id of the caller's organization. Another one is answered 404.
    pub(crate) org_id: Option<String>,
    /// Id of the caller's environment. Another one is answered 404.
    pub(crate) env_id: Option<String>,
}

/// Endpoint or job of a path.
#[derive(Deserialize)]
pub(crate) struct OfId {
    pub(crate) id: String,
}

/// Message of a path.
#[derive(Deserialize)]
pub(crate) struct OfMessage {
    #[serde(rename = "msgId")]
    pub(crate) message: String,
}

/// Parses a time in a query.
pub(crate) fn time(field: &'static str, text: &str) -> Result<Timestamp, ApiError> {
    text.parse().map_err(|error: InvalidTime| ApiError::invalid(field, &error.to_string()))
}

/// Parses the id of a resource in a path. A malformed id names nothing that exists.
pub(crate) fn id<Id: std::str::FromStr>(text: &str, what: &'static str) -> Result<Id, ApiError> {
    text.parse().map_err(|_| ApiError::not_found(what))
}
