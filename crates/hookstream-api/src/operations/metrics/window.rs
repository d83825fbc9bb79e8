//! Window of a request for metrics: its subject, its time and the length of its steps.

use std::{collections::BTreeMap, time::Duration};

use hookstream_model::{
    base::{ids::RouteId, text::got, time::Timestamp},
    identity::tenancy::Tenant,
    operations::metrics::{Resolution, Scope, Stats, floor},
    outbound::message::check_event_type,
};
use hookstream_store::operations::metrics::Range;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    auth::{application_scope::endpoint_of, caller::Caller},
    http::{error::ApiError, params::time},
    state::Api,
};

/// Maximum number of steps in an answer: a day of minutes, and two months of hours.
const STEPS_MAX: usize = 1_500;
/// Length of the default window.
const DEFAULT: Duration = Duration::from_secs(24 * 3600);

/// Subject and time of metrics.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct MetricsQuery {
    /// Only messages of this application, by its id or `uid`.
    application_id: Option<String>,
    /// Only deliveries to this endpoint, by its id, or together with `application_id` by its `uid`.
    endpoint_id: Option<String>,
    /// Only messages of this event type. It cannot be combined with `application_id` or `endpoint_id`.
    event_type: Option<String>,
    /// Start of the window, inclusive: ISO 8601 with an offset. It is rounded down to a whole step. The default is a day before the end.
    after: Option<String>,
    /// End of the window, exclusive: ISO 8601 with an offset. The default is now.
    before: Option<String>,
    /// Length of a step: `minute` (kept for 48 hours), `half_hour`, `hour` (the default) or `day` (UTC).
    granularity: Option<String>,
    /// Id of the caller's organization. Another one is answered 404.
    org_id: Option<String>,
    /// Id of the caller's environment. Another one is answered 404.
    env_id: Option<String>,
}

/// Length of the steps in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Granularity {
    Minute,
    HalfHour,
    Hour,
    Day,
}

impl Granularity {
    fn parse(word: Option<&str>) -> Result<Self, ApiError> {
        Ok(match word {
            None | Some("hour") => Self::Hour,
            Some("minute") => Self::Minute,
            Some("half_hour") => Self::HalfHour,
            Some("day") => Self::Day,
            Some(word) => {
                let problem = format!("must be `minute`, `half_hour`, `hour` or `day`{}", got(word));
                return Err(ApiError::invalid("granularity", &problem));
            }
        })
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::HalfHour => "half_hour",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    /// Resolution of the stored numbers.
    const fn resolution(self) -> Resolution {
        match self {
            Self::Minute => Resolution::Minute,
            Self::HalfHour | Self::Hour => Resolution::HalfHour,
            Self::Day => Resolution::Day,
        }
    }

    const fn length(self) -> Duration {
        match self {
            Self::Hour => Duration::from_secs(3600),
            Self::Minute | Self::HalfHour | Self::Day => self.resolution().length(),
        }
    }
}

/// Steps of a window.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) granularity: Granularity,
    /// Start of the first step.
    pub(super) after: Timestamp,
    pub(super) before: Timestamp,
}

impl Window {
    fn read(query: &MetricsQuery, now: Timestamp) -> Result<Self, ApiError> {
        let granularity = Granularity::parse(query.granularity.as_deref())?;
        let before = query.before.as_deref().map(|text| time("before", text)).transpose()?.unwrap_or(now);
        let after = query.after.as_deref().map(|text| time("after", text)).transpose()?.unwrap_or(before - DEFAULT);
        if after >= before {
            return Err(ApiError::invalid("after", "must be before `before`, whose default is now"));
        }
        let window = Self { granularity, after: floor(after, granularity.length()), before };
        let steps = window.steps().take(STEPS_MAX + 1).count();
        if steps > STEPS_MAX {
            let problem = format!(
                "must be later: the window has more than {STEPS_MAX} steps of this `granularity`. Shorten the window or choose longer steps"
            );
            return Err(ApiError::invalid("after", &problem));
        }
        Ok(window)
    }

    /// Returns the starts of the steps.
    fn steps(&self) -> impl Iterator<Item = Timestamp> + use<> {
        let (before, length) = (self.before, self.granularity.length());
        std::iter::successors(Some(self.after), move |start| Some(*start + length)).take_while(move |start| *start < before)
    }

    /// Sums stored numbers by step. A step without numbers is present as well, so that a chart needs no gaps filled.
    pub(super) fn fill(&self, stored: BTreeMap<Timestamp, Stats>) -> BTreeMap<Timestamp, Stats> {
        let mut filled: BTreeMap<_, _> = self.steps().map(|start| (start, Stats::default())).collect();
        for (start, stats) in stored {
            *filled.entry(floor(start, self.granularity.length())).or_default() += stats;
        }
        filled
    }
}

/// Subject and window of a request, checked.
pub(super) struct Asked {
    pub(super) tenant: Tenant,
    pub(super) scope: Scope,
    pub(super) window: Window,
}

impl Asked {
    pub(super) async fn read(api: &Api, caller: &Caller, query: &MetricsQuery) -> Result<Self, ApiError> {
        caller.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
        let window = Window::read(query, api.now())?;
        let scope = scope(api, caller.tenant, query).await?;
        Ok(Self { tenant: caller.tenant, scope, window })
    }

    /// Returns the range of stored numbers.
    pub(super) fn range(&self) -> Range {
        let Window { granularity, after, before } = self.window;
        let (environment, scope) = (self.tenant.environment, self.scope.clone());
        Range { environment, scope, resolution: granularity.resolution(), from: after, before }
    }

    /// Returns the numbers of each step.
    pub(super) async fn series(&self, api: &Api) -> Result<BTreeMap<Timestamp, Stats>, ApiError> {
        Ok(self.window.fill(api.engine.metrics(&self.range()).await?))
    }
}

async fn scope(api: &Api, tenant: Tenant, query: &MetricsQuery) -> Result<Scope, ApiError> {
    let MetricsQuery { application_id, endpoint_id, event_type, .. } = query;
    if let Some(event_type) = event_type {
        if application_id.is_some() || endpoint_id.is_some() {
            return Err(ApiError::invalid("event_type", "cannot be combined with `application_id` or `endpoint_id`"));
        }
        check_event_type(event_type)?;
        return Ok(Scope::EventType(event_type.clone()));
    }
    let routes = match application_id {
        None => None,
        Some(reference) => {
            let found = api.engine.applications().resolve_now(tenant, reference).await?;
            Some(found.ok_or_else(|| ApiError::not_found("Application"))?)
        }
    };
    if let Some(reference) = endpoint_id {
        return Ok(Scope::Route(RouteId::from(endpoint_of(routes.as_ref(), reference)?)));
    }
    Ok(routes.map_or(Scope::Environment, |routes| Scope::Origin(routes.id().into())))
}

/// Returns the totals of a subject from `from` to `before`, exact to the minute within the last 48 hours.
pub(super) async fn total(api: &Api, tenant: Tenant, scope: &Scope, from: Timestamp, before: Timestamp) -> Result<Stats, ApiError> {
    let half_hour = Resolution::HalfHour;
    // Whole half hours, and the minutes of the part behind them.
    let (first, last) = (half_hour.start(from), half_hour.start(before));
    let parts = [(half_hour, first, last), (Resolution::Minute, last, before)];
    let mut sum = Stats::default();
    for (resolution, from, before) in parts {
        let range = Range { environment: tenant.environment, scope: scope.clone(), resolution, from, before };
        api.engine.metrics(&range).await?.into_values().for_each(|stats| sum += stats);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2027-01-31T12:34:56Z";

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn query(granularity: &str, after: Option<&str>, before: Option<&str>) -> MetricsQuery {
        let text = |text: Option<&str>| text.map(ToOwned::to_owned);
        MetricsQuery { granularity: Some(granularity.to_owned()), after: text(after), before: text(before), ..MetricsQuery::default() }
    }

    #[test]
    fn window_begins_at_a_whole_step_and_is_a_day_by_default() {
        let check = |granularity, after, before, first: &str, steps| {
            let window = Window::read(&query(granularity, after, before), at(NOW)).expect("accepted");
            assert_eq!((window.after, window.steps().count()), (at(first), steps), "{granularity} {after:?} {before:?}");
        };
        check("hour", None, None, "2027-01-30T12:00:00Z", 25);
        check("minute", None, None, "2027-01-30T12:34:00Z", 1_441);
        check("half_hour", Some("2027-01-31T11:59:00Z"), Some("2027-01-31T12:30:00Z"), "2027-01-31T11:30:00Z", 2);
        check("day", Some("2027-01-01T23:00:00Z"), None, "2027-01-01T00:00:00Z", 31);
    }

    #[test]
    fn window_that_is_empty_or_too_long_is_refused() {
        for (granularity, after, before) in [
            ("hour", Some(NOW), None),
            ("hour", Some("2027-02-01T00:00:00Z"), Some("2027-01-01T00:00:00Z")),
            ("minute", Some("2027-01-30T00:00:00Z"), None),
            ("day", Some("1970-01-01T00:00:00Z"), None),
            ("week", None, None),
            ("hour", Some("yesterday"), None),
        ] {
            assert!(Window::read(&query(granularity, after, before), at(NOW)).is_err(), "{granularity} {after:?}");
        }
    }

    #[test]
    fn hours_are_the_sum_of_their_halves_and_empty_ones_are_present() {
        let window = Window::read(&query("hour", Some("2027-01-31T10:00:00Z"), Some("2027-01-31T13:00:00Z")), at(NOW)).expect("accepted");
        let stats = |accepted| Stats { accepted, ..Stats::default() };
        let stored = BTreeMap::from([(at("2027-01-31T11:00:00Z"), stats(2)), (at("2027-01-31T11:30:00Z"), stats(3))]);
        let filled: Vec<_> = window.fill(stored).into_values().map(|stats| stats.accepted).collect();
        assert_eq!(filled, [0, 5, 0]);
    }
}
