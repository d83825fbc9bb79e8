// #region verify
use http::HeaderMap;
use standardwebhooks::{Webhook, WebhookError};

/// Checks that a request is from the sender and recent.
fn verify(secret: &str, headers: &HeaderMap, body: &[u8]) -> Result<(), WebhookError> {
    Webhook::new(secret)?.verify(body, headers)
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
    println!("{}", if verify(&secret, &headers, &body).is_ok() { "valid" } else { "invalid" });
}
