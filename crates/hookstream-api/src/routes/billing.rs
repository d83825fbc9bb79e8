//! What an organization has of what it may have. There is no billing in an installation of one's own: what would lead to
//! a payment says so.

use axum::{Json, extract::State};
use hookstream_model::quota::{Month, Quota, Quotas};
use hookstream_store::quotas::{self, Held};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{auth::Caller, error::ApiError, params::QueryParams, state::Api};

/// How much there is of something, and how much there may be.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Amount {
    #[schema(example = 12)]
    used: u64,
    /// `null` means no limit.
    #[schema(example = 100)]
    limit: Option<u64>,
}

/// The messages of a month.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Events {
    /// Messages accepted since the month (UTC) began, tests included; whether they are still kept does not matter.
    #[schema(example = 41_200)]
    used: u64,
    /// `null` means no limit.
    #[schema(example = 100_000)]
    limit: Option<u64>,
    /// Of the limit; 0 where there is none.
    #[schema(example = 41.2)]
    percentage: f64,
    /// When the month began.
    since: String,
    /// When the next one begins, and counting with it.
    resets_at: String,
}

/// What an organization has of what it may have.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BillingUsage {
    /// Always `self_hosted`: the limits are those that whoever runs this installation has set.
    #[schema(example = "self_hosted")]
    plan: &'static str,
    events: Events,
    sources: Amount,
    destinations: Amount,
    /// Over all environments that are not deleted.
    applications: Amount,
    /// Over all environments that are not deleted.
    event_types: Amount,
    environments: Amount,
    /// How many endpoints each application may have; `null` means no limit.
    #[schema(example = 10)]
    endpoints_per_application: Option<u64>,
    /// For how many days messages are kept at the most; an environment may say fewer.
    #[schema(example = 30)]
    retention_days: u32,
}

/// Whose usage.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct BillingQuery {
    /// The caller's own organization; another's is not found.
    org_id: Option<String>,
    /// The caller's own environment; another's is not found.
    env_id: Option<String>,
}

/// Read what an organization may have
///
/// How many events it has had in this month, and how many applications, event types and environments it has, each with
/// the limit that whoever runs this installation has set, if any.
#[utoipa::path(
    get, path = "/billing/usage", operation_id = "getBillingUsage", tag = "Usage",
    params(BillingQuery),
    responses((status = 200, description = "The usage and the limits.", body = BillingUsage))
)]
pub(crate) async fn usage(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(query): QueryParams<BillingQuery>,
) -> Result<Json<BillingUsage>, ApiError> {
    caller.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    let organization = caller.tenant.organization;
    let own = quotas::find(&*api.store, organization).await?.unwrap_or_default();
    let limits = own.or(&api.store.installation_quotas().get());
    let month = Month::of(api.now());
    let events = quotas::events(&*api.store, month, Some(organization)).await?.remove(&organization).unwrap_or(0);
    let held = quotas::held(&*api.store, organization).await?;
    Ok(Json(show(month, events, held, &limits, api.engine.options().retention_days)))
}

/// Answers what would charge somebody: a self-hosted installation has no billing. Clients retry a 5xx, so it is a 404.
pub(crate) async fn no_billing() -> ApiError {
    let message = "This installation has no billing. GET /v1/billing/usage reports usage and limits.";
    ApiError::new(StatusCode::NOT_FOUND, "no_billing", message)
}

fn show(month: Month, events: u64, held: Held, limits: &Quotas, retention_days: u32) -> BillingUsage {
    let of = |used, quota| Amount { used, limit: limits.get(quota) };
    let none = || Amount { used: 0, limit: None };
    let longest = limits.get(Quota::RetentionDays).and_then(|days| u32::try_from(days).ok());
    BillingUsage {
        plan: "self_hosted",
        events: Events {
            used: events,
            limit: limits.get(Quota::EventsPerMonth),
            percentage: percentage(events, limits.get(Quota::EventsPerMonth)),
            since: month.first().start().to_string(),
            resets_at: month.end().start().to_string(),
        },
        // There are none of these yet, and so no limit.
        sources: none(),
        destinations: none(),
        applications: of(held.applications, Quota::Applications),
        event_types: of(held.event_types, Quota::EventTypes),
        environments: of(held.environments, Quota::Environments),
        endpoints_per_application: limits.get(Quota::EndpointsPerApplication),
        retention_days: longest.map_or(retention_days, |days| days.min(retention_days)),
    }
}

/// With two digits behind the point at the most. Of a limit of nothing everything is used.
fn percentage(used: u64, limit: Option<u64>) -> f64 {
    let hundredths = match limit {
        None => 0,
        Some(0) => 10_000,
        Some(limit) => u128::from(used) * 10_000 / u128::from(limit),
    };
    f64::from(u32::try_from(hundredths).unwrap_or(u32::MAX)) / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_of_the_limit() {
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
    fn what_is_kept_is_the_least_of_what_the_settings_and_the_quota_say() {
        let month = Month::of("2027-01-31T12:00:00Z".parse().expect("a time"));
        let check = |quota, expected| {
            let limits = Quotas::default().with(Quota::RetentionDays, quota);
            assert_eq!(show(month, 0, Held::default(), &limits, 30).retention_days, expected);
        };
        check(None, 30);
        check(Some(7), 7);
        check(Some(90), 30);
    }
}
