//! Usage and limits of an organization. A self-hosted installation has no billing; operations that would lead to a
//! payment respond with that error.

use axum::{Json, extract::State};
use hookstream_model::operations::quota::{Month, Quota, Quotas};
use hookstream_store::operations::quotas::{self, Held};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    auth::caller::Caller,
    http::{
        error::{ApiError, ErrorCode},
        params::{QueryParams, TenantQuery},
    },
    state::Api,
};

/// Usage and limit of a resource.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Amount {
    /// Number in use.
    #[schema(example = 12)]
    used: u64,
    /// Limit; `null` means no limit.
    #[schema(example = 100)]
    limit: Option<u64>,
}

/// Usage and limit of messages in a month.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Events {
    /// Messages accepted in the current month (UTC), including test messages and messages that were removed since.
    #[schema(example = 41_200)]
    used: u64,
    /// Limit; `null` means no limit.
    #[schema(example = 100_000)]
    limit: Option<u64>,
    /// Percentage of the limit in use; 0 if there is no limit.
    #[schema(example = 41.2)]
    percentage: f64,
    /// Start of the month.
    since: String,
    /// Start of the next month, when counting starts again.
    resets_at: String,
}

/// Usage and quotas of an organization.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BillingUsage {
    /// Always `self_hosted`: the operator of the installation sets the limits.
    #[schema(example = "self_hosted")]
    plan: &'static str,
    events: Events,
    sources: Amount,
    destinations: Amount,
    /// Applications of all environments that are not deleted.
    applications: Amount,
    /// Event types of all environments that are not deleted.
    event_types: Amount,
    environments: Amount,
    /// Limit of endpoints per application; `null` means no limit.
    #[schema(example = 10)]
    endpoints_per_application: Option<u64>,
    /// Days for which messages are kept, at most. An environment may set fewer.
    #[schema(example = 30)]
    retention_days: u32,
}

/// Get quotas
///
/// The answer reports the organization's messages in the current month, and its applications, event types and environments, each with the
/// limit that the operator has set.
#[utoipa::path(
    get, path = "/billing/usage", operation_id = "getBillingUsage", tag = "Usage",
    params(TenantQuery),
    responses((status = 200, description = "Usage and limits.", body = BillingUsage))
)]
pub(crate) async fn usage(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(query): QueryParams<TenantQuery>,
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

/// Refuses operations that would lead to a payment: a self-hosted installation has no billing. The status is 404,
/// because clients retry a 5xx.
pub(crate) async fn no_billing() -> ApiError {
    let message = "Billing is not available on this installation. GET /v1/billing/usage reports usage and limits.";
    ApiError::new(ErrorCode::NoBilling, message)
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
        // Sources and destinations do not exist yet, so they have no limit.
        sources: none(),
        destinations: none(),
        applications: of(held.applications, Quota::Applications),
        event_types: of(held.event_types, Quota::EventTypes),
        environments: of(held.environments, Quota::Environments),
        endpoints_per_application: limits.get(Quota::EndpointsPerApplication),
        retention_days: longest.map_or(retention_days, |days| days.min(retention_days)),
    }
}

/// Returns the percentage with at most two decimals. A limit of 0 counts as fully used.
fn percentage(used: u64, limit: Option<u64>) -> f64 {
    let hundredths = match limit {
        None => 0,
        Some(0) => 10_000,
        Some(limit) => u128::from(used) * 10_000 / u128::from(limit),
    };
    f64::from(u32::try_from(hundredths).unwrap_or(u32::MAX)) / 100.0
}

#[cfg(test)]
mod tests;
