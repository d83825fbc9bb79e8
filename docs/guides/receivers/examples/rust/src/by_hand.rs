// #region verify
use std::time::{SystemTime, UNIX_EPOCH};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use http::HeaderMap;
use sha2::Sha256;

const TOLERANCE_S: u64 = 5 * 60;

/// Returns whether a request is from the sender and recent. `body` is the body as it arrived, not parsed.
fn verify(secret: &str, headers: &HeaderMap, body: &[u8]) -> bool {
    let header = |name: &str| headers.get(name)?.to_str().ok();
    let (Some(id), Some(timestamp), Some(signatures)) =
        (header("webhook-id"), header("webhook-timestamp"), header("webhook-signature"))
    else {
        return false;
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    if timestamp.parse::<u64>().map_or(true, |seconds| seconds.abs_diff(now) > TOLERANCE_S) {
        return false;
    }
    let Ok(key) = STANDARD.decode(secret.trim_start_matches("whsec_")) else { return false };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else { return false };
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    signatures.split(' ').filter_map(|signature| signature.strip_prefix("v1,")).any(|given| {
        // The comparison takes the same time for every signature.
        STANDARD.decode(given).is_ok_and(|given| mac.clone().verify_slice(&given).is_ok())
    })
}
// #endregion verify

fn main() {
    let mut headers = HeaderMap::new();
    for (name, variable) in
        [("webhook-id", "WEBHOOK_ID"), ("webhook-timestamp", "WEBHOOK_TIMESTAMP"), ("webhook-signature", "WEBHOOK_SIGNATURE")]
    {
        if let Ok(value) = std::env::var(variable) {
            headers.insert(name, value.parse().expect("a header's value"));
        }
    }
    let mut body = Vec::new();
    std::io::Read::read_to_end(&mut std::io::stdin(), &mut body).expect("a body");
    let secret = std::env::var("WEBHOOK_SECRET").expect("WEBHOOK_SECRET is set");
    println!("{}", if verify(&secret, &headers, &body) { "valid" } else { "invalid" });
}
