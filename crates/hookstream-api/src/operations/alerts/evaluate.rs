//! Facts about what a rule looks at, and which of them meet its condition.

use std::{collections::BTreeMap, time::Duration};

use hookstream_model::{
    base::{
        ids::{ApplicationId, EndpointId, OriginId, RouteId},
        time::{Day, Timestamp},
    },
    identity::tenancy::Tenant,
    operations::{
        alerts::{
            alert::Subject,
            condition::{Breach, Condition, Per, Test},
            rule::AlertRule,
        },
        metrics::{Resolution, Scope, Stats},
        problems::{Problem, Severity, Subject as ProblemSubject},
    },
    outbound::endpoint::Endpoint,
};
use hookstream_store::{
    identity::{environments, organizations},
    outbound::{applications, endpoints},
};

use crate::{
    http::error::ApiError,
    operations::{
        problems::{self, Beyond},
        usage::disk_full_in,
    },
    state::Api,
};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Returns what meets the condition of a rule now.
pub(super) async fn breaches(api: &Api, rule: &AlertRule, now: Timestamp) -> Result<Vec<Breach>, ApiError> {
    match &rule.condition.test {
        Test::FailureRate { .. } | Test::Latency { .. } | Test::VolumeDrop { .. } => of_numbers(api, rule, now).await,
        Test::BacklogAge { .. } => of_backlog(api, rule, now).await,
        Test::Exhausted { within_days, .. } => of_exhausted(api, rule, *within_days, now).await,
        Test::DiskForecast { .. } => of_disk(api, rule, now).await,
        Test::Problem { .. } => of_problems(api, rule, now).await,
    }
}

/// Kind of subject that a rule looks at one by one, as the metrics know it.
fn kind_of_subject(rule: &AlertRule) -> Scope {
    match rule.condition.per {
        Per::Application => Scope::Origin(OriginId::from_bytes([0; 16])),
        Per::Endpoint => Scope::Route(RouteId::from_bytes([0; 16])),
        Per::Environment => match (rule.application_id, rule.endpoint_id) {
            (_, Some(endpoint)) => Scope::Route(endpoint.into()),
            (Some(application), None) => Scope::Origin(application.into()),
            (None, None) => Scope::Environment,
        },
    }
}

/// Returns the only subject that a rule looks at, unless it looks at all of a kind.
fn only_subject(rule: &AlertRule, scope: &Scope) -> Option<Vec<u8>> {
    match (rule.condition.per, rule.application_id, rule.endpoint_id) {
        (Per::Environment, ..) => Some(scope.id().to_vec()),
        (Per::Application, Some(application), _) => Some(application.as_bytes().to_vec()),
        (Per::Endpoint, _, Some(endpoint)) => Some(endpoint.as_bytes().to_vec()),
        (Per::Application, None, _) | (Per::Endpoint, _, None) => None,
    }
}

async fn of_numbers(api: &Api, rule: &AlertRule, now: Timestamp) -> Result<Vec<Breach>, ApiError> {
    let Condition { window, test, .. } = &rule.condition;
    let environment = rule.tenant.environment;
    let kind = kind_of_subject(rule);
    let only = only_subject(rule, &kind);
    // A rate counts the current minute, too; a drop compares whole minutes.
    let is_drop = matches!(test, Test::VolumeDrop { .. });
    let before = if is_drop { Resolution::Minute.start(now) } else { now + Duration::from_millis(1) };
    let from = Resolution::Minute.start(before - *window);
    let of_window = api.engine.metric_sums(environment, &kind, from, before).await?;
    let of_day_before = if is_drop { api.engine.metric_sums(environment, &kind, from - DAY, before - DAY).await? } else { BTreeMap::new() };
    let mut found = Vec::new();
    // A subject without numbers today had some a day before.
    let ids: std::collections::BTreeSet<&Vec<u8>> = of_window.keys().chain(of_day_before.keys()).collect();
    for id in ids.into_iter().filter(|id| only.as_ref().is_none_or(|only| only == *id)) {
        let of = |numbers: &BTreeMap<Vec<u8>, Stats>| numbers.get(id).copied().unwrap_or_default();
        if let Some((severity, summary)) = rule.condition.of_numbers(&of(&of_window), &of(&of_day_before)) {
            found.extend(breach(api, rule, &kind, id, severity, summary).await?);
        }
    }
    Ok(found)
}

async fn of_backlog(api: &Api, rule: &AlertRule, now: Timestamp) -> Result<Vec<Breach>, ApiError> {
    let environment = rule.tenant.environment;
    let kind = kind_of_subject(rule);
    let only = only_subject(rule, &kind);
    let counted = api.store.delivery_counts(rule.tenant).await?;
    let exact: BTreeMap<Day, i64> = counted.into_iter().map(|of_day| (of_day.day, of_day.counts.pending())).collect();
    let all: i64 = exact.values().sum();
    if all <= 0 {
        return Ok(Vec::new());
    }
    let from = Resolution::Minute.start(now - Resolution::MINUTES_KEPT);
    let pending = api.engine.metric_pending(environment, &kind, from, now + Duration::from_millis(1)).await?;
    // Of days before the minutes, the exact counts of the environment know more.
    let older = exact.iter().find(|(day, pending)| **pending > 0 && day.next().start() <= from).map(|(day, _)| day.start());
    let mut found = Vec::new();
    if kind == Scope::Environment {
        let steps = pending.get(kind.id()).map_or(&[][..], Vec::as_slice);
        let oldest = older.or_else(|| oldest_of(steps, all));
        if let Some((severity, summary)) = rule.condition.of_oldest(oldest, all, now) {
            found.extend(breach(api, rule, &kind, kind.id(), severity, summary).await?);
        }
        return Ok(found);
    }
    for (id, steps) in pending.iter().filter(|(id, _)| only.as_ref().is_none_or(|only| only == *id)) {
        let number: i64 = steps.iter().map(|(_, pending)| pending).sum();
        let oldest = oldest_of(steps, all);
        if let Some((severity, summary)) = rule.condition.of_oldest(oldest, number.min(all), now) {
            found.extend(breach(api, rule, &kind, id, severity, summary).await?);
        }
    }
    Ok(found)
}

/// Returns the minute of the oldest pending delivery. `steps` are the minutes with pending ones, newest first, and `most` is the exact
/// number of all: a crash may leave minutes whose numbers no longer add up, and the oldest of them would be such a one for days.
fn oldest_of(steps: &[(Timestamp, i64)], most: i64) -> Option<Timestamp> {
    let mut left = most;
    let mut oldest = None;
    for (start, pending) in steps {
        if left <= 0 {
            break;
        }
        oldest = Some(*start);
        left -= pending;
    }
    oldest
}

async fn of_exhausted(api: &Api, rule: &AlertRule, within_days: u32, now: Timestamp) -> Result<Vec<Breach>, ApiError> {
    let first = (now - DAY * within_days.saturating_sub(1)).day();
    let counted = api.store.delivery_counts(rule.tenant).await?;
    let exhausted: i64 = counted.iter().filter(|of_day| of_day.day >= first).map(|of_day| of_day.counts.exhausted).sum();
    let Some((severity, summary)) = rule.condition.of_exhausted(exhausted) else { return Ok(Vec::new()) };
    Ok(breach(api, rule, &Scope::Environment, &[], severity, summary).await?.into_iter().collect())
}

async fn of_disk(api: &Api, rule: &AlertRule, now: Timestamp) -> Result<Vec<Breach>, ApiError> {
    let mut found = Vec::new();
    let budget = problems::budget_reached_in(api, rule.tenant, now).await?;
    if let Some((severity, summary)) = rule.condition.of_days_left("the storage budget of the environment", budget) {
        found.extend(breach(api, rule, &Scope::Environment, &[], severity, summary).await?);
    }
    if is_of_operator(api, rule.tenant).await?
        && let Some((severity, summary)) = rule.condition.of_days_left("the disk of the installation", disk_full_in(api).await?)
    {
        let subject = Subject { key: "disk".to_owned(), ..Subject::environment("Disk of the installation") };
        found.push(Breach { subject, severity, summary });
    }
    Ok(found)
}

async fn of_problems(api: &Api, rule: &AlertRule, now: Timestamp) -> Result<Vec<Breach>, ApiError> {
    let with = Beyond { limits: true, installation: is_of_operator(api, rule.tenant).await? };
    let current = problems::current(api, rule.tenant, with, now).await?;
    let mut found = Vec::new();
    for problem in &current.problems {
        if rule.condition.of_problem(problem.kind, problem.severity) {
            found.push(of_problem(api, rule.tenant, problem, &current.suspects).await?);
        }
    }
    Ok(found)
}

async fn of_problem(api: &Api, tenant: Tenant, problem: &Problem, suspects: &[Endpoint]) -> Result<Breach, ApiError> {
    let mut subject = match &problem.subject {
        ProblemSubject::Endpoint(application, endpoint) => {
            let known = suspects.iter().find(|known| known.id == *endpoint);
            Subject::endpoint(*application, *endpoint, known.map_or_else(|| endpoint.to_string(), name_of))
        }
        ProblemSubject::Environment => Subject::environment(&environment_name(api, tenant).await?),
        ProblemSubject::Organization => Subject { key: "organization".to_owned(), ..Subject::environment("Organization") },
        ProblemSubject::Installation => Subject { key: "installation".to_owned(), ..Subject::environment("Installation") },
        ProblemSubject::Node(number, name) => Subject { key: format!("node:{number}"), ..Subject::environment(&format!("Node {name}")) },
    };
    // One subject may have several problems; each is an alert.
    subject.key = format!("{}:{}", problem.kind.as_str(), subject.key);
    let mut summary = format!("{}: {}", problem.kind.title(), problems::sentence(&problem.cause));
    if problem.waiting > 0 {
        summary = format!("{summary} {} deliveries wait or were missed.", problem.waiting);
    }
    Ok(Breach { subject, severity: problem.severity, summary })
}

/// Builds a breach; `None` if its subject was deleted.
async fn breach(
    api: &Api,
    rule: &AlertRule,
    kind: &Scope,
    id: &[u8],
    severity: Severity,
    summary: String,
) -> Result<Option<Breach>, ApiError> {
    let bytes = || <[u8; 16]>::try_from(id).ok();
    let subject = match kind {
        Scope::Origin(_) => match bytes().map(ApplicationId::from_bytes) {
            Some(id) => applications::find(&*api.store, rule.tenant, id).await?.map(|found| Subject::application(id, found.name)),
            None => None,
        },
        Scope::Route(_) => match bytes().map(EndpointId::from_bytes) {
            Some(id) => {
                let found = endpoints::find_in_environment(&*api.store, rule.tenant, id).await?;
                let found = found.filter(|endpoint| rule.application_id.is_none_or(|application| application == endpoint.application_id));
                found.map(|endpoint| Subject::endpoint(endpoint.application_id, id, name_of(&endpoint)))
            }
            None => None,
        },
        Scope::Environment | Scope::EventType(_) => Some(Subject::environment(&environment_name(api, rule.tenant).await?)),
    };
    Ok(subject.map(|subject| Breach { subject, severity, summary }))
}

fn name_of(endpoint: &Endpoint) -> String {
    let described = endpoint.description.clone().filter(|text| !text.is_empty());
    described.unwrap_or_else(|| endpoint.url.as_str().to_owned())
}

async fn environment_name(api: &Api, tenant: Tenant) -> Result<String, ApiError> {
    let found = environments::find(&*api.store, tenant.organization, tenant.environment).await?;
    Ok(found.map_or_else(|| "Environment".to_owned(), |environment| environment.name))
}

/// Returns whether the tenant is the first organization, whose owners run the installation.
async fn is_of_operator(api: &Api, tenant: Tenant) -> Result<bool, ApiError> {
    Ok(organizations::first(&*api.store).await?.is_some_and(|first| first.organization == tenant.organization))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_pending_delivery_is_within_the_newest_minutes_that_add_up() {
        let at = |minute: i64| Timestamp::from_millis(minute * 60_000);
        let steps = [(at(9), 2), (at(5), 3), (at(1), 4)];
        assert_eq!(oldest_of(&steps, 9), Some(at(1)));
        assert_eq!(oldest_of(&steps, 6), Some(at(1)));
        // The numbers of the first minute are left from a crash.
        assert_eq!(oldest_of(&steps, 5), Some(at(5)));
        assert_eq!(oldest_of(&steps, 1), Some(at(9)));
        assert_eq!(oldest_of(&steps, 0), None);
        assert_eq!(oldest_of(&[], 3), None);
    }
}
