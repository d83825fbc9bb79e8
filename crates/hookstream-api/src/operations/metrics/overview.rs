//! Overview of an environment: today against yesterday, and the sum of all deliveries.

use std::time::Duration;

use axum::{Json, extract::State};
use hookstream_model::{
    base::time::Timestamp,
    operations::metrics::{Resolution, Scope, Stats},
};
use hookstream_store::{delivery::counts::Counts, operations::metrics::Range};
use serde::Serialize;
use utoipa::ToSchema;

use super::window::total;
use crate::{
    auth::caller::Caller,
    http::{
        error::ApiError,
        params::{QueryParams, TenantQuery},
    },
    metrics::figures::{DeliveryNumbers, LatencyNumbers},
    operations::usage::DeliveryCounts,
    state::Api,
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Numbers of a part of a day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DayNumbers {
    /// Start of the part.
    from: String,
    /// End of the part.
    to: String,
    /// Messages accepted.
    #[schema(example = 1200)]
    event_count: i64,
    #[serde(flatten)]
    deliveries: DeliveryNumbers,
    /// Latency of the attempts.
    latency: LatencyNumbers,
}

/// Overview of an environment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Overview {
    /// Messages accepted today (UTC).
    #[schema(example = 1200)]
    events_today: i64,
    /// Messages accepted today and in the six days before.
    #[schema(example = 8400)]
    events_this_week: i64,
    /// Deliveries of today's messages.
    #[schema(example = 1500)]
    deliveries_today: i64,
    /// Of these, those that have arrived.
    #[schema(example = 1480)]
    success_today: i64,
    /// Of these, those that ended without arriving.
    #[schema(example = 5)]
    failed_today: i64,
    /// Share of today's deliveries that has arrived, in percent with two decimals; 100 if there was none.
    #[schema(example = 98.66)]
    success_rate_today: f64,
    /// Exhausted deliveries that are kept. Recovering the endpoint sends them again.
    #[schema(example = 5)]
    dlq_count: i64,
    /// Active sources; 0 in this version, which has no inbound events.
    active_sources: i64,
    /// Active destinations; 0 in this version.
    active_destinations: i64,
    /// Open issues; 0 in this version.
    open_issues: i64,
    /// Active collections; 0 in this version.
    active_collections: i64,
    /// Today (UTC) until now.
    today: DayNumbers,
    /// Yesterday until the same time.
    yesterday: DayNumbers,
    /// Sum of all deliveries that are kept.
    conservation: DeliveryCounts,
}

/// Get the overview of metrics
///
/// The answer compares today with yesterday until the same time, and sums up all deliveries that are kept. `GET /v1/problems` lists what is
/// wrong.
#[utoipa::path(
    get, path = "/metrics/overview", operation_id = "getMetricsOverview", tag = "Metrics", params(TenantQuery),
    responses((status = 200, description = "Overview.", body = Overview))
)]
pub(crate) async fn overview(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(query): QueryParams<TenantQuery>,
) -> Result<Json<Overview>, ApiError> {
    caller.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    let (tenant, now) = (caller.tenant, api.now());
    let midnight = now.day().start();
    let of = async |from: Timestamp, to: Timestamp| {
        let stats = total(&api, tenant, &Scope::Environment, from, to).await?;
        Ok::<_, ApiError>((stats, day_numbers(from, to, &stats)))
    };
    // The end is exclusive, and the current minute belongs to today.
    let (of_today, today) = of(midnight, now + Duration::from_millis(1)).await?;
    let (_, yesterday) = of(midnight - DAY, now - DAY).await?;
    let week = Range {
        environment: tenant.environment,
        scope: Scope::Environment,
        resolution: Resolution::Day,
        from: midnight - DAY * 6,
        before: midnight + DAY,
    };
    let events_this_week = api.engine.metrics(&week).await?.values().map(|stats| stats.messages).sum();
    let mut counts = Counts::default();
    api.store.delivery_counts(tenant).await?.iter().for_each(|of_day| counts += of_day.counts);
    Ok(Json(Overview {
        events_today: of_today.messages,
        events_this_week,
        deliveries_today: of_today.accepted,
        success_today: of_today.arrived,
        failed_today: of_today.ended,
        success_rate_today: of_today.success_rate().unwrap_or(100.0),
        dlq_count: counts.exhausted,
        active_sources: 0,
        active_destinations: 0,
        open_issues: 0,
        active_collections: 0,
        today,
        yesterday,
        conservation: (&counts).into(),
    }))
}

fn day_numbers(from: Timestamp, to: Timestamp, stats: &Stats) -> DayNumbers {
    DayNumbers {
        from: from.to_string(),
        to: to.to_string(),
        event_count: stats.messages,
        deliveries: stats.into(),
        latency: (&stats.latencies).into(),
    }
}
