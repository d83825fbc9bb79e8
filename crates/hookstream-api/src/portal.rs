//! Portal tokens: what lets a customer into the portal of one application for an hour.
//!
//! A JWT (RFC 7519) signed with HMAC-SHA256 (RFC 7518 section 3.2): three lines with what signs
//! webhooks anyway, where a library would bring RSA and elliptic curves along.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use hookstream_model::{ids::ApplicationId, secret::Secret, tenancy::Tenant, time::Timestamp};
use serde::Serialize;
use sha2::Sha256;

/// How long a token is valid, in seconds.
pub(crate) const VALID_S: i64 = 3600;

#[derive(Serialize)]
struct Header {
    alg: &'static str,
    typ: &'static str,
}

#[derive(Serialize)]
struct Claims {
    aud: &'static str,
    sub: String,
    org_id: String,
    env_id: String,
    iat: i64,
    exp: i64,
}

/// A token for an application's portal.
pub(crate) fn token(key: &Secret, tenant: Tenant, application: ApplicationId, now: Timestamp) -> String {
    let claims = Claims {
        aud: "portal",
        sub: application.to_string(),
        org_id: tenant.organization.to_string(),
        env_id: tenant.environment.to_string(),
        iat: now.as_seconds(),
        exp: now.as_seconds() + VALID_S,
    };
    let mut token = part(&Header { alg: "HS256", typ: "JWT" });
    token.push('.');
    token.push_str(&part(&claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()).expect("HMAC takes a key of any length");
    mac.update(token.as_bytes());
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()));
    token
}

fn part(value: &impl Serialize) -> String {
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(value).expect("texts and numbers are JSON"))
}
