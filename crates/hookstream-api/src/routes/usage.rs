//! How much an environment sends, where its deliveries stand, and what the store takes on disk.

use axum::{Json, extract::State};
use hookstream_model::{
    environment::{Limits, Outlook, outlook},
    scopes::Scope,
    time::Day,
};
use hookstream_store::{
    counts::{Counts, DayCounts},
    environments,
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{auth::Caller, error::ApiError, params::QueryParams, state::Api};

/// Days before today whose sizes the forecast is made from.
const MEASURED: usize = 7;

/// Where deliveries stand: accepted = succeeded + pending + exhausted + skipped + cancelled.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Figures {
    /// Messages accepted.
    #[schema(example = 1200)]
    messages: i64,
    /// Deliveries accepted: one for each message and endpoint that it is owed to.
    #[schema(example = 1500)]
    accepted: i64,
    #[schema(example = 1480)]
    succeeded: i64,
    /// Still owed.
    #[schema(example = 12)]
    pending: i64,
    /// Given up; a recovery sends them again.
    #[schema(example = 5)]
    exhausted: i64,
    /// Not sent, with a reason; a recovery sends them.
    #[schema(example = 2)]
    skipped: i64,
    /// Called off: their endpoint or application was deleted.
    #[schema(example = 1)]
    cancelled: i64,
    /// What their payloads take in the store, compressed where that is worth it. What has expired takes nothing.
    #[schema(example = 2_097_152)]
    payload_bytes: i64,
}

impl From<Counts> for Figures {
    fn from(counts: Counts) -> Self {
        let pending = counts.pending();
        let Counts { messages, accepted, succeeded, exhausted, skipped, cancelled, payload_bytes, .. } = counts;
        Self { messages, accepted, succeeded, pending, exhausted, skipped, cancelled, payload_bytes }
    }
}

/// The same of the messages of one day.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DayFigures {
    /// The day of UTC on which they were accepted.
    #[schema(example = "2027-01-31")]
    day: String,
    #[serde(flatten)]
    figures: Figures,
}

/// What the days of the whole installation take on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Disk {
    /// All days that are kept, of all environments.
    #[schema(example = 52_428_800)]
    bytes: u64,
    /// What one of the last seven full days takes on average; `null` where there is none yet.
    #[schema(example = 4_194_304)]
    bytes_per_day: Option<u64>,
    /// For how many days messages are kept.
    #[schema(example = 30)]
    retention_days: u32,
    /// In how many days the oldest is dropped and the size levels out, at the present rate.
    #[schema(example = 18)]
    level_in_days: u32,
    /// What it takes then.
    #[schema(example = 130_023_424)]
    level_bytes: Option<u64>,
}

/// What an environment may keep of its messages, and where the size of its payloads goes.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Storage {
    /// What its payloads take in the store.
    #[schema(example = 2_097_152)]
    payload_bytes: u64,
    /// What they may take; `null` means no limit.
    #[schema(example = 10_737_418_240_u64)]
    max_payload_bytes: Option<u64>,
    /// For how many days its messages are kept: its own age or the server's, whichever is shorter.
    #[schema(example = 30)]
    retention_days: u32,
    /// The same of their payloads.
    #[schema(example = 7)]
    payload_retention_days: u32,
    /// What came in on one of the last seven full days on average, as far as their payloads are kept; `null` where there
    /// is none yet.
    #[schema(example = 131_072)]
    bytes_per_day: Option<u64>,
    /// At the present rate: `levels_out`, `budget_reached` (then the oldest payloads go before their time) or `unknown`.
    #[schema(example = "levels_out")]
    forecast: &'static str,
    /// In how many days that is; 0 is now.
    #[schema(example = 4)]
    forecast_in_days: Option<u32>,
    /// What the payloads take then, where the size levels out.
    #[schema(example = 1_048_576)]
    level_bytes: Option<u64>,
}

/// What is kept of an environment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Usage {
    #[serde(flatten)]
    figures: Figures,
    /// The days that are kept, newest first.
    days: Vec<DayFigures>,
    storage: Storage,
    /// `null` for callers without the scope `operator:nodes`.
    disk: Option<Disk>,
}

/// An environment's usage.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsageAnswer {
    usage: Usage,
}

/// Whose usage.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct UsageQuery {
    /// The caller's own organization; another's is not found.
    org_id: Option<String>,
    /// The caller's own environment; another's is not found.
    env_id: Option<String>,
}

/// Read the usage
///
/// What is kept of the caller's environment, in all and by the day of the messages, and where its deliveries
/// stand at this moment. The figures are exact: they are counted in the commits that store them, and
/// `accepted` is always the sum of the others. What was dropped at the end of its retention is in none of them.
/// `storage` says what the environment may keep and when its budget is reached or its size levels out. The disk's
/// figures are of the whole installation.
#[utoipa::path(
    get,
    path = "/usage",
    operation_id = "getUsage",
    tag = "Usage",
    params(UsageQuery),
    responses((status = 200, description = "The usage.", body = UsageAnswer))
)]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(query): QueryParams<UsageQuery>,
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
    let storage = storage(&payloads, api.now().day(), environment.limits(super::environments::installation(&api)));
    let disk = if caller.scopes.allow(Scope::OPERATOR_NODES) {
        Some(forecast(&api.store.day_sizes().await?, api.now().day(), api.engine.options().retention_days))
    } else {
        None
    };
    Ok(Json(UsageAnswer { usage: Usage { figures: total.into(), days, storage, disk } }))
}

/// What payloads take by day of their messages, and what they will.
fn storage(payloads: &[(Day, u64)], today: Day, limits: Limits) -> Storage {
    let payload_bytes = payloads.iter().map(|(_, bytes)| bytes).sum();
    let kept: Vec<_> = payloads.iter().filter(|(_, bytes)| *bytes > 0).collect();
    let oldest = kept.first().map_or(today, |(day, _)| *day).min(today);
    // A day without messages has no figures, and is one all the same.
    let full: Vec<_> = std::iter::successors(Some(oldest), |day| Some(day.next())).take_while(|day| *day < today).take(10_000).collect();
    let measured = &full[full.len().saturating_sub(MEASURED)..];
    let of_measured = kept.iter().filter(|(day, _)| measured.contains(day)).map(|(_, bytes)| *bytes);
    let bytes_per_day = of_measured.sum::<u64>().checked_div(u64::try_from(measured.len()).unwrap_or(u64::MAX));
    let age = u32::try_from(full.len()).unwrap_or(u32::MAX);
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

/// What the days take, and what they will. A day is dropped once it is more than `retention_days` old, so as
/// many and today's are there in the end.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().expect("a day")
    }

    #[test]
    fn the_rate_is_that_of_full_days_whose_payloads_are_kept() {
        let today = day("2027-01-31");
        let limits = Limits { retention_days: 30, payload_retention_days: 9, max_payload_bytes: Some(2_000) };
        let check = |payloads: &[(&str, u64)], per_day: Option<u64>, expected: (&str, Option<u32>, Option<u64>)| {
            let payloads: Vec<_> = payloads.iter().map(|(text, bytes)| (day(text), *bytes)).collect();
            let Storage { bytes_per_day, forecast, forecast_in_days, level_bytes, .. } = storage(&payloads, today, limits);
            assert_eq!((bytes_per_day, (forecast, forecast_in_days, level_bytes)), (per_day, expected), "{payloads:?}");
        };
        check(&[], None, ("unknown", None, None));
        check(&[("2027-01-31", 500)], None, ("unknown", None, None));
        // One day of two had no messages.
        check(&[("2027-01-29", 200), ("2027-01-31", 50)], Some(100), ("levels_out", Some(7), Some(1_000)));
        // What has expired says nothing of the rate.
        check(&[("2027-01-10", 0), ("2027-01-29", 0), ("2027-01-30", 300)], Some(300), ("budget_reached", Some(5), None));
        // Only the last seven count.
        check(&[("2027-01-20", 700), ("2027-01-30", 70)], Some(10), ("levels_out", Some(0), Some(100)));
        check(&[("2027-01-30", 5_000)], Some(5_000), ("budget_reached", Some(0), None));
    }

    #[test]
    fn the_size_levels_out_when_the_oldest_day_is_dropped() {
        let today = day("2027-01-31");
        let check = |sizes: &[(&str, u64)], expected: (u64, Option<u64>, u32, Option<u64>)| {
            let sizes: Vec<_> = sizes.iter().map(|(text, bytes)| (day(text), *bytes)).collect();
            let Disk { bytes, bytes_per_day, level_in_days, level_bytes, .. } = forecast(&sizes, today, 30);
            assert_eq!((bytes, bytes_per_day, level_in_days, level_bytes), expected);
        };
        check(&[], (0, None, 30, None));
        // Today's is not full yet, and tomorrow's is made ahead.
        check(&[("2027-01-31", 50), ("2027-02-01", 1)], (51, None, 30, None));
        check(&[("2027-01-29", 100), ("2027-01-30", 300), ("2027-01-31", 50)], (450, Some(200), 28, Some(6_200)));
        check(&[("2026-12-01", 9_000), ("2027-01-31", 50)], (9_050, Some(9_000), 0, Some(279_000)));
    }
}
