//! Usage and quotas as billing shows them.

use serde_json::json;

use super::*;
use crate::tests::{Installation, refused};

#[tokio::test]
async fn billing_is_not_available() {
    let installation = Installation::start().await;
    for path in ["/v1/billing/checkout", "/v1/billing/portal"] {
        let response = installation.client.post(path, json!({ "plan": "pro" })).await;
        refused(&response, 404, "no_billing");
        assert!(response.1["error"].as_str().is_some_and(|text| text.contains("Billing is not available")), "{}", response.1);
    }
}

#[test]
fn percentage_is_relative_to_the_limit() {
    for (used, limit, expected) in [
        (7, None, 0.0),
        (0, Some(0), 100.0),
        (1, Some(3), 33.33),
        (41_200, Some(100_000), 41.2),
        (3, Some(2), 150.0),
        (u64::MAX, Some(u64::MAX), 100.0),
    ] {
        assert!((percentage(used, limit) - expected).abs() < 1e-9, "{used} of {limit:?}");
    }
}

#[test]
fn retention_is_the_minimum_of_settings_and_quota() {
    let month = Month::of("2027-01-31T12:00:00Z".parse().expect("a time"));
    let check = |quota, expected| {
        let limits = Quotas::default().with(Quota::RetentionDays, quota);
        assert_eq!(show(month, 0, Held::default(), &limits, 30).retention_days, expected);
    };
    check(None, 30);
    check(Some(7), 7);
    check(Some(90), 30);
}
