//! Identity providers, and what a browser keeps while its owner is there.
//!
//! Whoever begins to sign in with a provider gets a cookie that says which, and with which secrets; only the browser
//! that has it can end what it began, so nobody can be signed in as somebody else by a link. It is signed, short-lived,
//! and nothing is kept here meanwhile: any node ends what another began.

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

/// How long somebody may take at the provider.
pub(crate) const FLOW_FOR: Duration = Duration::from_secs(600);

/// A provider that people may sign in with.
#[derive(Clone)]
pub struct IdentityProvider {
    /// Its name in addresses: letters, digits and dashes.
    pub name: String,
    /// What people read.
    pub title: String,
    /// The domains of addresses that it is good for; all, where there are none.
    pub email_domains: Vec<String>,
    /// What asks it.
    pub client: Arc<Provider>,
}

/// What was begun, as the cookie has it.
#[derive(Serialize, Deserialize, PartialEq, Eq)]
pub(crate) struct Flow {
    /// With which provider.
    pub(crate) provider: String,
    /// What comes back in the address.
    pub(crate) state: String,
    /// What the token repeats.
    pub(crate) nonce: String,
    /// What the provider is shown when the code is redeemed (RFC 7636).
    pub(crate) verifier: String,
    /// Who connects the provider to their account; `None` where somebody signs in.
    pub(crate) connecting: Option<String>,
    /// Until when it may end, in milliseconds.
    until: i64,
}

impl Flow {
    /// Begins one, with secrets made of random bytes.
    pub(crate) fn begin(provider: &str, connecting: Option<UserId>, random: [[u8; 32]; 3], now: Timestamp) -> Self {
        let [state, nonce, verifier] = random.map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
        let connecting = connecting.map(|user| user.to_string());
        Self { provider: provider.to_owned(), state, nonce, verifier, connecting, until: (now + FLOW_FOR).as_millis() }
    }

    /// What the provider gets to see of the verifier.
    pub(crate) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.as_bytes()))
    }

    /// The cookie's value.
    pub(crate) fn seal(&self, key: &Secret) -> String {
        let text = URL_SAFE_NO_PAD.encode(serde_json::to_vec(self).expect("texts and a number are JSON"));
        let signature = URL_SAFE_NO_PAD.encode(mac(key, &text).finalize().into_bytes());
        format!("{text}.{signature}")
    }

    /// What a cookie says, where it is ours and not over.
    pub(crate) fn open(cookie: &str, key: &Secret, now: Timestamp) -> Option<Self> {
        let (text, signature) = cookie.split_once('.')?;
        mac(key, text).verify_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
        let flow: Self = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        (flow.until > now.as_millis()).then_some(flow)
    }
}

/// Flows that were ended, so that none is ended twice. Each is remembered until it would be over.
#[derive(Debug, Default)]
pub(crate) struct Flows(Mutex<HashMap<String, Timestamp>>);

/// The most flows remembered; with more than that under way, further ones wait for the oldest to be over.
const FLOWS_KEPT: usize = 10_000;

impl Flows {
    /// Ends a flow. Returns whether it had not ended before.
    pub(crate) fn use_once(&self, state: &str, now: Timestamp) -> bool {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if used.len() >= FLOWS_KEPT {
            used.retain(|_, until| *until > now);
        }
        used.len() < FLOWS_KEPT && used.insert(state.to_owned(), now + FLOW_FOR).is_none()
    }
}

/// What is signed says what it is, should the key ever sign something else.
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
    fn only_what_was_begun_here_and_is_not_over_is_ended() {
        let (key, now) = (Secret::new("a key"), Timestamp::from_millis(1_000_000_000_000));
        let flow = Flow::begin("google", Some(UserId::from_bytes([9; 16])), [[1; 32], [2; 32], [3; 32]], now);
        let cookie = flow.seal(&key);
        assert!(Flow::open(&cookie, &key, now) == Some(flow));
        assert!(Flow::open(&cookie, &key, now + FLOW_FOR).is_none(), "it is over");
        assert!(Flow::open(&cookie, &Secret::new("another"), now).is_none());
        let (text, signature) = cookie.split_once('.').expect("two parts");
        let other = Flow::begin("other", None, [[1; 32], [2; 32], [3; 32]], now).seal(&key);
        let (other, _) = other.split_once('.').expect("two parts");
        for forged in ["", ".", text, &format!("{text}."), &format!("{other}.{signature}"), &format!("{text}.{}", &signature[1..])] {
            assert!(Flow::open(forged, &key, now).is_none(), "{forged}");
        }
    }

    #[test]
    fn a_flow_is_ended_once() {
        let (flows, now) = (Flows::default(), Timestamp::EPOCH);
        assert!(flows.use_once("a", now) && !flows.use_once("a", now) && flows.use_once("b", now));
        for number in 0..FLOWS_KEPT {
            flows.use_once(&number.to_string(), now);
        }
        assert!(!flows.use_once("one too many", now));
        assert!(flows.use_once("later", now + FLOW_FOR));
    }

    #[test]
    fn the_challenge_is_that_of_the_standard() {
        // RFC 7636, appendix B.
        let now = Timestamp::EPOCH;
        let flow = Flow { verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned(), ..Flow::begin("a", None, [[0; 32]; 3], now) };
        assert_eq!(flow.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
