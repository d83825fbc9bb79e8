//! Usage of an environment: messages, deliveries by state, and storage.

use axum::{Json, extract::State};
use hookstream_model::{
    base::time::Day,
    identity::{
        environment::{Limits, Outlook, outlook},
        scopes::Scope,
    },
};
use hookstream_store::{
    delivery::counts::{Counts, DayCounts},
    identity::environments,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    auth::caller::Caller,
    http::{
        error::ApiError,
        params::{QueryParams, TenantQuery},
    },
    state::Api,
};

/// Number of full days that the forecast is based on.
const MEASURED: usize = 7;

/// Exact counts of the deliveries that are kept: `accepted` = `succeeded` + `pending` + `exhausted` + `skipped` + `cancelled`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryCounts {
    /// Deliveries accepted: one for each message and matched endpoint.
    #[schema(example = 1500)]
    accepted: i64,
    /// Deliveries that succeeded.
    #[schema(example = 1480)]
    succeeded: i64,
    /// Deliveries that are pending.
    #[schema(example = 12)]
    pending: i64,
    /// Deliveries whose attempts all failed. Recovering the endpoint sends them again.
    #[schema(example = 5)]
    exhausted: i64,
    /// Deliveries that were not sent, for a stated reason. Recovering the endpoint sends them.
    #[schema(example = 2)]
    skipped: i64,
    /// Deliveries whose endpoint or application was deleted.
    #[schema(example = 1)]
    cancelled: i64,
}

impl From<&Counts> for DeliveryCounts {
    fn from(counts: &Counts) -> Self {
        let pending = counts.pending();
        let Counts { accepted, succeeded, exhausted, skipped, cancelled, .. } = *counts;
        Self { accepted, succeeded, pending, exhausted, skipped, cancelled }
    }
}

/// Counts of messages and of their deliveries.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Figures {
    /// Messages accepted.
    #[schema(example = 1200)]
    messages: i64,
    #[serde(flatten)]
    deliveries: DeliveryCounts,
    /// Bytes of payloads in the store, after compression. Expired payloads do not count.
    #[schema(example = 2_097_152)]
    payload_bytes: i64,
}

impl From<Counts> for Figures {
    fn from(counts: Counts) -> Self {
        Self { messages: counts.messages, deliveries: (&counts).into(), payload_bytes: counts.payload_bytes }
    }
}

/// Counts of deliveries of one day's messages.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DayFigures {
    /// Day (UTC) on which the messages were accepted.
    #[schema(example = "2027-01-31")]
    day: String,
    #[serde(flatten)]
    figures: Figures,
}

/// Disk usage of the whole installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Disk {
    /// Bytes of all stored days, of all environments.
    #[schema(example = 52_428_800)]
    bytes: u64,
    /// Average bytes per day over the last seven full days; `null` if there is none yet.
    #[schema(example = 4_194_304)]
    bytes_per_day: Option<u64>,
    /// Days for which messages are kept.
    #[schema(example = 30)]
    retention_days: u32,
    /// Days until the oldest day is removed and the size levels out, at the current rate.
    #[schema(example = 18)]
    level_in_days: u32,
    /// Forecast of the size then, in bytes.
    #[schema(example = 130_023_424)]
    level_bytes: Option<u64>,
}

/// Storage of an environment, with a forecast.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Storage {
    /// Bytes of payloads in the store.
    #[schema(example = 2_097_152)]
    payload_bytes: u64,
    /// Storage budget in bytes; `null` means no limit.
    #[schema(example = 10_737_418_240_u64)]
    max_payload_bytes: Option<u64>,
    /// Days for which messages are kept: the environment's retention or the installation's, whichever is shorter.
    #[schema(example = 30)]
    retention_days: u32,
    /// Days for which payloads are kept, likewise.
    #[schema(example = 7)]
    payload_retention_days: u32,
    /// Average bytes of stored payloads per day over the last seven full days; `null` if there is none yet.
    #[schema(example = 131_072)]
    bytes_per_day: Option<u64>,
    /// Forecast at the current rate: `levels_out`, `budget_reached` (the oldest payloads will be removed early) or `unknown`.
    #[schema(example = "levels_out")]
    forecast: &'static str,
    /// Days until then; 0 means now. `null` if the forecast is `unknown`.
    #[schema(example = 4)]
    forecast_in_days: Option<u32>,
    /// Forecast of the bytes of payloads, if the size levels out.
    #[schema(example = 1_048_576)]
    level_bytes: Option<u64>,
}

/// Usage of an environment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Usage {
    #[serde(flatten)]
    figures: Figures,
    /// Stored days, newest first.
    days: Vec<DayFigures>,
    storage: Storage,
    /// Disk usage of the whole installation; `null` for callers without the scope `operator:nodes`.
    disk: Option<Disk>,
}

/// Answer with an environment's usage.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsageAnswer {
    usage: Usage,
}

/// Get usage
///
/// The answer counts the stored messages of the environment and their deliveries, in total and by day. The counts are exact: `accepted` is
/// always the sum of the other counts. Messages removed at the end of their retention are not counted. `storage` reports the storage budget
/// and when it is reached or the size levels out. `disk` concerns the whole installation.
#[utoipa::path(
    get,
    path = "/usage",
    operation_id = "getUsage",
    tag = "Usage",
    params(TenantQuery),
    responses((status = 200, description = "Usage.", body = UsageAnswer))
)]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(query): QueryParams<TenantQuery>,
) -> Result<Json<UsageAnswer>, ApiError> {
    caller.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    let counted = api.store.delivery_counts(caller.tenant).await?;
    let mut total = Counts::default();
    counted.iter().for_each(|of_day| total += of_day.counts);
    let bytes = |of_day: &DayCounts| (of_day.day, u64::try_from(of_day.counts.payload_bytes).unwrap_or(0));
    let payloads: Vec<_> = counted.iter().map(bytes).collect();
    let day = |of_day: DayCounts| DayFigures { day: of_day.day.to_string(), figures: of_day.counts.into() };
    let days = counted.into_iter().rev().map(day).collect();
    let environment = environments::find(&*api.store, caller.tenant.organization, caller.tenant.environment).await?;
    let environment = environment.ok_or_else(|| ApiError::not_found("Environment"))?;
    let storage = storage(&payloads, api.now().day(), environment.limits(api.installation_limits()));
    let disk = if caller.scopes.allow(Scope::OPERATOR_NODES) {
        Some(forecast(&api.store.day_sizes().await?, api.now().day(), api.engine.options().retention_days))
    } else {
        None
    };
    Ok(Json(UsageAnswer { usage: Usage { figures: total.into(), days, storage, disk } }))
}

/// Returns the average bytes of payloads per day over the last full days, and the age of the oldest payload in days.
pub(super) fn payload_rate(payloads: &[(Day, u64)], today: Day) -> (Option<u64>, u32) {
    let kept: Vec<_> = payloads.iter().filter(|(_, bytes)| *bytes > 0).collect();
    let oldest = kept.first().map_or(today, |(day, _)| *day).min(today);
    // Days without messages have no figures, but they count.
    let full: Vec<_> = std::iter::successors(Some(oldest), |day| Some(day.next())).take_while(|day| *day < today).take(10_000).collect();
    let measured = &full[full.len().saturating_sub(MEASURED)..];
    let of_measured = kept.iter().filter(|(day, _)| measured.contains(day)).map(|(_, bytes)| *bytes);
    let bytes_per_day = of_measured.sum::<u64>().checked_div(u64::try_from(measured.len()).unwrap_or(u64::MAX));
    let age = u32::try_from(full.len()).unwrap_or(u32::MAX);
    (bytes_per_day, age)
}

/// Returns the size of payloads by the day of their messages, and the forecast.
fn storage(payloads: &[(Day, u64)], today: Day, limits: Limits) -> Storage {
    let payload_bytes = payloads.iter().map(|(_, bytes)| bytes).sum();
    let (bytes_per_day, age) = payload_rate(payloads, today);
    let (forecast, forecast_in_days, level_bytes) = match outlook(limits, payload_bytes, bytes_per_day, age) {
        Outlook::Unknown => ("unknown", None, None),
        Outlook::Level { bytes, in_days } => ("levels_out", Some(in_days), Some(bytes)),
        Outlook::BudgetReached { in_days } => ("budget_reached", Some(in_days), None),
    };
    let Limits { retention_days, payload_retention_days, max_payload_bytes } = limits;
    Storage {
        payload_bytes,
        max_payload_bytes,
        retention_days,
        payload_retention_days,
        bytes_per_day,
        forecast,
        forecast_in_days,
        level_bytes,
    }
}

/// Returns the size of all days, and the forecast. A day is dropped when it is more than `retention_days` old, so the
/// store levels out at that many days and today.
fn forecast(sizes: &[(Day, u64)], today: Day, retention_days: u32) -> Disk {
    let bytes = sizes.iter().map(|(_, bytes)| bytes).sum();
    let full: Vec<_> = sizes.iter().rev().filter(|(day, _)| *day < today).take(MEASURED).map(|(_, bytes)| *bytes).collect();
    let count = u64::try_from(full.len()).unwrap_or(u64::MAX);
    let bytes_per_day = full.iter().sum::<u64>().checked_div(count);
    let oldest = sizes.first().map_or(today, |(day, _)| *day).min(today);
    let age = std::iter::successors(Some(oldest), |day| Some(day.next())).take_while(|day| *day < today).take(10_000).count();
    let level_in_days = retention_days.saturating_sub(u32::try_from(age).unwrap_or(u32::MAX));
    let level_bytes = bytes_per_day.map(|bytes| bytes.saturating_mul(u64::from(retention_days) + 1));
    Disk { bytes, bytes_per_day, retention_days, level_in_days, level_bytes }
}

/// Returns the days until the disk of the data directory is full at the current rate, if it will be; 0 is now.
pub(crate) async fn disk_full_in(api: &Api) -> Result<Option<u32>, ApiError> {
    if api.store.is_full() {
        return Ok(Some(0));
    }
    let Some(free) = api.store.free_bytes() else { return Ok(None) };
    let Disk { bytes, bytes_per_day, level_bytes, .. } =
        forecast(&api.store.day_sizes().await?, api.now().day(), api.engine.options().retention_days);
    Ok(full_in(free, bytes, bytes_per_day, level_bytes))
}

fn full_in(free: u64, bytes: u64, bytes_per_day: Option<u64>, level_bytes: Option<u64>) -> Option<u32> {
    let grows_by = level_bytes?.saturating_sub(bytes);
    let days = free.checked_div(bytes_per_day?)?;
    (grows_by > free).then(|| u32::try_from(days).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disk_is_full_if_the_size_levels_out_beyond_it() {
        assert_eq!(full_in(100, 50, Some(30), Some(120)), None);
        assert_eq!(full_in(100, 50, Some(30), Some(151)), Some(3));
        assert_eq!(full_in(10, 50, Some(30), Some(151)), Some(0));
        assert_eq!(full_in(100, 50, None, None), None);
        assert_eq!(full_in(100, 50, Some(0), Some(50)), None);
    }

    fn day(text: &str) -> Day {
        text.parse().expect("a day")
    }

    #[test]
    fn rate_is_measured_on_full_days_with_payloads() {
        let today = day("2027-01-31");
        let limits = Limits { retention_days: 30, payload_retention_days: 9, max_payload_bytes: Some(2_000) };
        let check = |payloads: &[(&str, u64)], per_day: Option<u64>, expected: (&str, Option<u32>, Option<u64>)| {
            let payloads: Vec<_> = payloads.iter().map(|(text, bytes)| (day(text), *bytes)).collect();
            let Storage { bytes_per_day, forecast, forecast_in_days, level_bytes, .. } = storage(&payloads, today, limits);
            assert_eq!((bytes_per_day, (forecast, forecast_in_days, level_bytes)), (per_day, expected), "{payloads:?}");
        };
        check(&[], None, ("unknown", None, None));
        check(&[("2027-01-31", 500)], None, ("unknown", None, None));
        // One of the two days had no messages.
        check(&[("2027-01-29", 200), ("2027-01-31", 50)], Some(100), ("levels_out", Some(7), Some(1_000)));
        // Expired payloads do not influence the rate.
        check(&[("2027-01-10", 0), ("2027-01-29", 0), ("2027-01-30", 300)], Some(300), ("budget_reached", Some(5), None));
        // Only the last seven days count.
        check(&[("2027-01-20", 700), ("2027-01-30", 70)], Some(10), ("levels_out", Some(0), Some(100)));
        check(&[("2027-01-30", 5_000)], Some(5_000), ("budget_reached", Some(0), None));
    }

    #[test]
    fn size_levels_out_when_the_oldest_day_is_dropped() {
        let today = day("2027-01-31");
        let check = |sizes: &[(&str, u64)], expected: (u64, Option<u64>, u32, Option<u64>)| {
            let sizes: Vec<_> = sizes.iter().map(|(text, bytes)| (day(text), *bytes)).collect();
            let Disk { bytes, bytes_per_day, level_in_days, level_bytes, .. } = forecast(&sizes, today, 30);
            assert_eq!((bytes, bytes_per_day, level_in_days, level_bytes), expected);
        };
        check(&[], (0, None, 30, None));
        // Today is incomplete, and tomorrow's file is created in advance.
        check(&[("2027-01-31", 50), ("2027-02-01", 1)], (51, None, 30, None));
        check(&[("2027-01-29", 100), ("2027-01-30", 300), ("2027-01-31", 50)], (450, Some(200), 28, Some(6_200)));
        check(&[("2026-12-01", 9_000), ("2027-01-31", 50)], (9_050, Some(9_000), 0, Some(279_000)));
    }
}
