//! Refusals of credentials, as API errors.

use hookstream_model::identity::scopes::Scope;

use crate::http::error::{ApiError, ErrorCode};

/// Reason why credentials do not suffice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No key and no session.
    Nothing,
    /// A key or a session that is not valid.
    Invalid,
    /// A key with a malformed text.
    MalformedKey,
    /// Credentials whose permissions changed while they were in use.
    Changed,
    /// No portal token, although one is needed.
    NoToken,
    /// An invalid portal token.
    InvalidToken,
    /// An expired portal token.
    ExpiredToken,
    /// A portal token of an application that was deleted or disabled.
    PortalClosed,
}

pub(crate) fn forbidden(needed: Scope, message: String) -> ApiError {
    ApiError::new(ErrorCode::Forbidden, message).with_details(serde_json::json!({ "scope": needed.to_string() }))
}

/// Returns the error for a key of one environment in an operation on the organization.
pub(crate) fn organization_key_needed() -> ApiError {
    let message = "This operation concerns the organization, and the API key has the level `environment`. Use an API key with the level \
        `organization`, or sign in.";
    ApiError::new(ErrorCode::OrganizationKeyNeeded, message)
}

pub(crate) fn unauthorized(refusal: Refusal) -> ApiError {
    let (code, message) = match refusal {
        Refusal::Invalid => (
            ErrorCode::Unauthorized,
            "Invalid API key or session. Check that the API key is complete, belongs to this installation and is not revoked, or sign in again.",
        ),
        Refusal::Changed => (
            ErrorCode::Unauthorized,
            "The permissions of the API key or session have changed. Connect again to continue with the new ones.",
        ),
        Refusal::MalformedKey => (
            ErrorCode::Unauthorized,
            "Malformed API key: `hs_live_` or `hs_test_` and 64 hexadecimal characters are expected. Check that the key was copied completely.",
        ),
        Refusal::Nothing => (
            ErrorCode::Unauthorized,
            "The request has no API key. Send one in the header X-API-Key or as Authorization: Bearer, or sign in.",
        ),
        Refusal::NoToken => (
            ErrorCode::Unauthorized,
            "The request has no portal token. Send one as Authorization: Bearer; API keys and sessions are not accepted here.",
        ),
        Refusal::InvalidToken => (ErrorCode::Unauthorized, "Invalid portal token. Request a new one from the sender."),
        Refusal::ExpiredToken => {
            (ErrorCode::TokenExpired, "The portal token has expired; it is valid for an hour. Request a new one from the sender.")
        }
        Refusal::PortalClosed => {
            (ErrorCode::PortalClosed, "The portal is closed: its application is disabled or was deleted. Contact the sender.")
        }
    };
    ApiError::new(code, message)
}
