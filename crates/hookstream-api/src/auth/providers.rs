//! Identity providers, and the state of a sign-in that a browser keeps in a cookie.
//!
//! Beginning a sign-in sets a cookie that names the provider and holds the secrets of the flow. Only the browser with
//! this cookie can complete the flow, so a link cannot sign a user in to another account. The cookie is signed and
//! short-lived; the server stores nothing, so any node can complete the flow.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use hookstream_destinations::services::oidc::Provider;
use hookstream_model::base::{ids::UserId, secret::Secret, time::Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Maximum duration of a flow.
pub(crate) const FLOW_FOR: Duration = Duration::from_secs(600);

/// Identity provider.
#[derive(Clone)]
pub struct IdentityProvider {
    /// Name in addresses: letters, digits and dashes.
    pub name: String,
    /// Title shown to users.
    pub title: String,
    /// Domains of email addresses that the provider may assert; empty for all.
    pub email_domains: Vec<String>,
    /// Client of the provider.
    pub client: Arc<Provider>,
}

/// Flow that was begun, as stored in the cookie.
#[derive(Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Flow {
    /// Name of the provider.
    pub(crate) provider: String,
    /// State, which the provider returns in the address.
    pub(crate) state: String,
    /// Nonce, which the ID token repeats.
    pub(crate) nonce: String,
    /// Code verifier, sent when the code is redeemed (RFC 7636).
    pub(crate) verifier: String,
    /// User who connects the provider to their account; `None` for a sign-in.
    pub(crate) connecting: Option<String>,
    /// End of the flow's validity, in milliseconds.
    until: i64,
}

impl Flow {
    /// Begins a flow, with secrets made of random bytes.
    pub(crate) fn begin(provider: &str, connecting: Option<UserId>, random: [[u8; 32]; 3], now: Timestamp) -> Self {
        let [state, nonce, verifier] = random.map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        let connecting = connecting.map(|user| user.to_string());
        Self { provider: provider.to_owned(), state, nonce, verifier, connecting, until: (now + FLOW_FOR).as_millis() }
    }

    /// Code challenge of the verifier.
    pub(crate) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.as_bytes()))
    }

    /// Returns the cookie's value.
    pub(crate) fn seal(&self, key: &Secret) -> String {
        let text = URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).expect("texts and a number are JSON"));
        let signature = URL_SAFE_NO_PAD.encode(mac(key, &text).finalize().into_bytes());
        format!("{text}.{signature}")
    }

    /// Returns the flow of a cookie if the cookie is authentic and not expired.
    pub(crate) fn open(cookie: &str, key: &Secret, now: Timestamp) -> Option<Self> {
        let (text, signature) = cookie.split_once('.')?;
        mac(key, text).verify_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        let flow: Self = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        (flow.until > now.as_millis()).then_some(flow)
    }
}

/// Flows that were completed, so that none is completed twice. Each is remembered until it expires.
#[derive(Debug, Default)]
pub(crate) struct Flows(Mutex<HashMap<String, Timestamp>>);

/// Maximum number of remembered flows; beyond that, further flows are refused until the oldest expires.
const FLOWS_KEPT: usize = 10_000;

impl Flows {
    /// Completes a flow. Returns true if it was not completed before.
    pub(crate) fn use_once(&self, state: &str, now: Timestamp) -> bool {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= FLOWS_KEPT {
            used.retain(|_, until| *until > now);
        }
        used.len() < FLOWS_KEPT && used.insert(state.to_owned(), now + FLOW_FOR).is_none()
    }
}

/// Computes the signature. The signed text begins with its purpose, so that the key can also sign other things.
fn mac(key: &Secret, text: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()).expect("HMAC takes a key of any length");
    mac.update(b"sign-in with a provider\n");
    mac.update(text.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authentic_and_unexpired_flow_is_accepted() {
        let (key, now) = (Secret::new("a key"), Timestamp::from_millis(1_000_000_000_000));
        let flow = Flow::begin("google", Some(UserId::from_bytes([9; 16])), [[1; 32], [2; 32], [3; 32]], now);
        let cookie = flow.seal(&key);
        assert!(Flow::open(&cookie, &key, now) == Some(flow));
        assert!(Flow::open(&cookie, &key, now + FLOW_FOR).is_none(), "the flow has expired");
        assert!(Flow::open(&cookie, &Secret::new("another"), now).is_none());
        let (text, signature) = cookie.split_once('.').expect("two parts");
        let other = Flow::begin("other", None, [[1; 32], [2; 32], [3; 32]], now).seal(&key);
        let (other, _) = other.split_once('.').expect("two parts");
        for forged in ["", ".", text, &format!("{text}."), &format!("{other}.{signature}"), &format!("{text}.{}", &signature[1..])] {
            assert!(Flow::open(forged, &key, now).is_none(), "{forged}");
        }
    }

    #[test]
    fn flow_completes_once() {
        let (flows, now) = (Flows::default(), Timestamp::EPOCH);
        assert!(flows.use_once("a", now) && !flows.use_once("a", now) && flows.use_once("b", now));
        for number in 0..FLOWS_KEPT {
            flows.use_once(&number.to_string(), now);
        }
        assert!(!flows.use_once("one too many", now));
        assert!(flows.use_once("later", now + FLOW_FOR));
    }

    #[test]
    fn challenge_matches_rfc_7636() {
        // RFC 7636, appendix B.
        let now = Timestamp::EPOCH;
        let flow = Flow { verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned(), ..Flow::begin("a", None, [[0; 32]; 3], now) };
        assert_eq!(flow.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
