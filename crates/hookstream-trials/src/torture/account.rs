//! Check of messages that did not arrive: recorded with a reason, or lost.

use anyhow::Context;
use hookstream_model::base::time::{Clock, Timestamp};
use serde_json::Value;

use hookstream_cli::{api::ApiClient, clock::SystemClock};

/// Messages that did not arrive: the number accounted for, and the lost ones with the reason.
pub(crate) struct Accounted {
    pub(crate) accounted: u64,
    pub(crate) lost: Vec<String>,
}

/// Reads the record of each message.
pub(crate) async fn account(client: &ApiClient, application: &str, missing: &[String]) -> anyhow::Result<Accounted> {
    let mut result = Accounted { accounted: 0, lost: vec![] };
    for id in missing {
        let response =
            client.get(&format!("/applications/{application}/messages/{id}")).await.context("could not ask for what is missing")?;
        let verdict = match response.status.as_u16() {
            200 => verdict(&response.body, SystemClock.now()),
            404 => Err("not on record".to_owned()),
            status => anyhow::bail!("asked for message {id}, which is missing, and was answered {status}"),
        };
        match verdict {
            Ok(()) => result.accounted += 1,
            Err(why) => result.lost.push(format!("{id} ({why})")),
        }
    }
    Ok(result)
}

/// Returns whether a recorded message that did not arrive is accounted for; otherwise why not.
fn verdict(detail: &Value, now: Timestamp) -> Result<(), String> {
    let deliveries = detail["deliveries"].as_array().map(Vec::as_slice).unwrap_or_default();
    if deliveries.is_empty() {
        return Err("on record without a delivery".to_owned());
    }
    for delivery in deliveries {
        match delivery["status"].as_str() {
            Some("exhausted" | "skipped" | "cancelled") => {}
            Some("pending") => {
                let due: Option<Timestamp> = delivery["next_attempt_at"].as_str().and_then(|text| text.parse().ok());
                if due.is_none_or(|due| due < now) {
                    return Err(format!("pending and overdue since {}", delivery["next_attempt_at"]));
                }
            }
            Some("succeeded") => return Err("on record as delivered, but it did not arrive".to_owned()),
            _ => return Err(format!("on record as {}", delivery["status"])),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_true_records_account_for_a_message() {
        let now: Timestamp = "2026-01-01T00:00:10.000Z".parse().expect("a time");
        let check = |deliveries: Value, is_accounted: bool| {
            assert_eq!(verdict(&json!({ "deliveries": deliveries }), now).is_ok(), is_accounted, "{deliveries}");
        };
        check(json!([{ "status": "exhausted" }, { "status": "skipped" }, { "status": "cancelled" }]), true);
        check(json!([{ "status": "pending", "next_attempt_at": "2026-01-01T00:00:11.000Z" }]), true);
        check(json!([{ "status": "pending", "next_attempt_at": "2026-01-01T00:00:09.000Z" }]), false);
        check(json!([{ "status": "exhausted" }, { "status": "succeeded" }]), false);
        check(json!([{ "status": "something new" }]), false);
        check(json!([]), false);
        check(Value::Null, false);
    }
}
