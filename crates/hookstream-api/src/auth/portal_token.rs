//! Portal tokens, which admit a customer to the portal of one application for an hour.
//!
//! A token is a JWT (RFC 7519) signed with HMAC-SHA256 (RFC 7518 section 3.2). The implementation is a few lines over
//! the HMAC that signs webhooks; a library would add RSA, elliptic curves and `none`. A token names its key, is valid
//! for the portal only, and is the only part of a request that names the tenant.

use std::time::Duration;

use axum::extract::MatchedPath;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use hookstream_model::{
    base::{
        ids::{ApplicationId, PortalKeyId},
        secret::Secret,
        time::Timestamp,
    },
    identity::tenancy::Tenant,
    operations::audit_log::{Action, AuditContext, Change, fields::Fields},
};
use hookstream_store::{
    Error,
    identity::portal_keys::{self, PortalKey},
    operations::audit_log,
};
use http::{HeaderMap, request::Parts};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{
    auth::{
        bearer::bearer_of,
        permissions::{self, Need},
    },
    http::error::{ApiError, ErrorCode},
    state::Api,
};

/// Validity of a token, in seconds.
pub(crate) const VALID_S: i64 = 3600;
/// Longest time from portal access to the end of the last renewed token, in seconds.
pub(crate) const SESSION_S: i64 = 24 * 3600;
/// Allowed difference between the clocks of nodes, in seconds.
const SKEW_S: i64 = 60;
/// Audience of tokens.
const AUDIENCE: &str = "portal";
/// Path prefix of operations for customers. Only these take a token, and they take no other credentials.
const PATH: &str = "/v1/portal/";

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    aud: String,
    sub: String,
    org_id: String,
    env_id: String,
    /// Time of the portal access that the token or its predecessors began with.
    auth_time: i64,
    /// Whether the token admits to reading only. Tokens of earlier versions do not have it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    read_only: bool,
    iat: i64,
    exp: i64,
}

/// Application and tenant of a customer's portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PortalClaims {
    pub(crate) tenant: Tenant,
    pub(crate) application: ApplicationId,
    /// Time of the portal access, in Unix seconds.
    pub(crate) accessed_at: i64,
    /// Whether the customer may read only.
    pub(crate) is_read_only: bool,
}

/// Result of checking a token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TokenState {
    Good(PortalClaims),
    Expired,
    Invalid,
}

/// Returns true if the path is of an operation for customers.
pub(crate) fn is_for_customers(path: &str) -> bool {
    path.starts_with(PATH)
}

/// Returns true if the request carries a token.
pub(crate) fn is_presented(headers: &HeaderMap) -> bool {
    bearer_of(headers).is_some_and(|token| key_of(token).is_some())
}

/// Refuses a read-only token for an operation that changes something. Checked before a stored answer of an idempotency
/// key is returned, because tokens of one application share their keys.
pub(crate) fn check_read_only(claims: &PortalClaims, parts: &Parts) -> Result<(), ApiError> {
    let pattern = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    if claims.is_read_only && permissions::needed(&parts.method, pattern) == Some(Need::CustomerWrite) {
        let message = "The portal access is read-only. Ask the sender for access that may change endpoints.";
        return Err(ApiError::new(ErrorCode::ReadOnly, message));
    }
    Ok(())
}

/// Creates a token for an application's portal. Returns it with the seconds for which it is valid.
pub(crate) fn token(key: &PortalKey, portal: PortalClaims, now: Timestamp) -> (String, i64) {
    let PortalClaims { tenant, application, accessed_at, is_read_only } = portal;
    let valid_s = VALID_S.min(accessed_at + SESSION_S - now.as_seconds());
    let claims = Claims {
        aud: AUDIENCE.to_owned(),
        sub: application.to_string(),
        org_id: tenant.organization.to_string(),
        env_id: tenant.environment.to_string(),
        auth_time: accessed_at,
        read_only: is_read_only,
        iat: now.as_seconds(),
        exp: now.as_seconds() + valid_s,
    };
    let mut token = part(&Header { alg: "HS256".to_owned(), typ: "JWT".to_owned(), kid: key.id.to_string() });
    token.push('.');
    token.push_str(&part(&claims));
    let signature = mac(&key.secret, &token).finalize().into_bytes();
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(signature));
    (token, valid_s)
}

/// Returns the key that a token names; `None` if the token is not one of ours.
pub(crate) fn key_of(token: &str) -> Option<PortalKeyId> {
    let header: Header = decode(token.split('.').next()?)?;
    let id = header.kid.parse::<PortalKeyId>().ok()?;
    // Only our own spelling is accepted, because the key is looked up by it.
    (header.alg == "HS256" && id.to_string() == header.kid).then_some(id)
}

/// Checks a token. No claim is used before the signature is verified.
pub(crate) fn read(key: &Secret, token: &str, now: Timestamp) -> TokenState {
    let Some((signed, signature)) = token.rsplit_once('.') else { return TokenState::Invalid };
    let is_signed = URL_SAFE_NO_PAD.decode(signature).is_ok_and(|signature| mac(key, signed).verify_slice(&signature).is_ok());
    let mut parts = signed.split('.');
    let claims = match (is_signed, parts.next(), parts.next(), parts.next()) {
        (true, Some(_), Some(claims), None) => decode::<Claims>(claims),
        _ => None,
    };
    let Some(claims) = claims.filter(|claims| claims.aud == AUDIENCE) else { return TokenState::Invalid };
    let ids = (claims.org_id.parse(), claims.env_id.parse(), claims.sub.parse());
    let (Ok(organization), Ok(environment), Ok(application)) = ids else { return TokenState::Invalid };
    let now = now.as_seconds();
    if claims.exp <= now {
        return TokenState::Expired;
    }
    // No token is issued with a longer validity, so this one is not ours.
    if claims.exp > now + VALID_S + SKEW_S {
        return TokenState::Invalid;
    }
    TokenState::Good(PortalClaims {
        tenant: Tenant { organization, environment },
        application,
        accessed_at: claims.auth_time,
        is_read_only: claims.read_only,
    })
}

fn mac(key: &Secret, signed: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()).expect("HMAC takes a key of any length");
    mac.update(signed.as_bytes());
    mac
}

fn part(value: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).expect("texts and numbers are JSON"))
}

fn decode<T: for<'de> Deserialize<'de>>(part: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

impl Api {
    /// Returns the key that signs tokens now; creates the first one.
    pub(crate) async fn portal_key(&self) -> Result<PortalKey, Error> {
        loop {
            if let Some(key) = portal_keys::current(&*self.store).await? {
                return Ok(key);
            }
            portal_keys::create_unless_since(&*self.store, &self.fresh_portal_key(), Timestamp::EPOCH).await?;
        }
    }

    /// Rotates the signing key if it is old, and deletes keys that no valid token names.
    pub(crate) async fn maintain_portal_keys(&self) -> Result<(), Error> {
        let now = self.now();
        let since = now - self.options.portal_key_age;
        let is_first = portal_keys::current(&*self.store).await?.is_none();
        if portal_keys::create_unless_since(&*self.store, &self.fresh_portal_key(), since).await? && !is_first {
            tracing::info!("portal tokens are now signed with a new key");
            let recorded = Change::done(&Fields::default().with("former", "outlives"));
            let mut act = || AuditContext::of_system(self.engine.new_id(), self.now());
            audit_log::record_everywhere(&*self.store, &mut act, Action::InstallationRotatePortalKey, &recorded).await?;
        }
        portal_keys::forget_over(&*self.store, now).await?;
        Ok(())
    }

    fn fresh_portal_key(&self) -> PortalKey {
        let secret = self.engine.random_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        PortalKey { id: self.engine.new_id().into(), secret: Secret::new(secret) }
    }
}

/// Returns the validity of a token.
pub(crate) fn validity() -> Duration {
    Duration::from_secs(VALID_S.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use hookstream_model::base::ids::{EnvironmentId, OrganizationId};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_521_600_000);
    const PASS: PortalClaims = PortalClaims {
        tenant: Tenant { organization: OrganizationId::from_bytes([1; 16]), environment: EnvironmentId::from_bytes([2; 16]) },
        application: ApplicationId::from_bytes([3; 16]),
        accessed_at: 1_795_521_600,
        is_read_only: false,
    };

    fn key(text: &str) -> PortalKey {
        PortalKey { id: PortalKeyId::from_bytes([4; 16]), secret: Secret::new(text) }
    }

    fn made() -> String {
        token(&key("one"), PASS, NOW).0
    }

    fn signed_by_us(header: &str, claims: &str) -> String {
        let text = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = mac(&key("one").secret, &text).finalize().into_bytes();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    #[test]
    fn token_is_valid_for_an_hour_and_with_its_key_only() {
        let token = made();
        assert_eq!(key_of(&token), Some(key("one").id));
        let read_at = |secret: &str, seconds: u64| read(&key(secret).secret, &token, NOW + Duration::from_secs(seconds));
        assert_eq!(read_at("one", 0), TokenState::Good(PASS));
        assert_eq!(read_at("one", 3_599), TokenState::Good(PASS));
        assert_eq!(read_at("one", 3_600), TokenState::Expired);
        assert_eq!(read_at("another", 0), TokenState::Invalid);
    }

    #[test]
    fn read_only_is_part_of_the_signed_claims() {
        let read_only = PortalClaims { is_read_only: true, ..PASS };
        let token = token(&key("one"), read_only, NOW).0;
        assert_eq!(read(&key("one").secret, &token, NOW), TokenState::Good(read_only));
    }

    #[test]
    fn renewed_tokens_end_a_day_after_portal_access() {
        let valid_s = |hours: u64| token(&key("one"), PASS, NOW + Duration::from_secs(hours * 3600 + 1800)).1;
        assert_eq!([0, 22, 23, 24].map(valid_s), [3600, 3600, 1800, -1800]);
    }

    #[test]
    fn changed_byte_invalidates_token() {
        let token = made();
        for index in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[index] = if bytes[index] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).expect("text");
            assert_eq!(read(&key("one").secret, &changed, NOW), TokenState::Invalid, "{index}");
        }
        for text in ["", ".", "..", "a.b.c", &token[..token.len() - 1], &format!("{token}.x"), &format!("{token}A")] {
            assert_eq!(read(&key("one").secret, text, NOW), TokenState::Invalid, "{text}");
        }
    }

    #[test]
    fn signed_claims_of_another_kind_are_invalid() {
        let header = r#"{"alg":"HS256","typ":"JWT","kid":"04040404040404040404040404040404"}"#;
        let claims = |audience: &str, subject: &str, ends: i64| {
            let (organization, environment) = (PASS.tenant.organization, PASS.tenant.environment);
            format!(
                r#"{{"aud":"{audience}","sub":"{subject}","org_id":"{organization}","env_id":"{environment}","auth_time":1795521600,"iat":0,"exp":{ends}}}"#
            )
        };
        let (application, soon) = (PASS.application.to_string(), NOW.as_seconds() + 10);
        let check = |claims: &str, expected| assert_eq!(read(&key("one").secret, &signed_by_us(header, claims), NOW), expected, "{claims}");
        check(&claims("portal", &application, soon), TokenState::Good(PASS));
        check(&claims("dashboard", &application, soon), TokenState::Invalid);
        check(&claims("portal", "acme", soon), TokenState::Invalid);
        check(&claims("portal", &application, NOW.as_seconds() + 2 * VALID_S), TokenState::Invalid);
        check("{}", TokenState::Invalid);
        for header in [
            r#"{"alg":"none","typ":"JWT","kid":"04040404040404040404040404040404"}"#,
            r#"{"alg":"HS256","typ":"JWT"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"portal_key"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"x_04040404040404040404040404040404"}"#,
        ] {
            assert_eq!(key_of(&signed_by_us(header, "{}")), None, "{header}");
        }
    }
}
