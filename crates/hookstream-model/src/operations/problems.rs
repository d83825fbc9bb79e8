//! Problems: things that are wrong now, decided from facts, the same for the dashboard, the command line and alerts.
//!
//! An endpoint has at most one problem, its worst. Each names its cause by a code with parameters and as a sentence, and
//! the operation that helps.

use std::time::Duration;

use crate::{
    base::{
        ids::{ApplicationId, EndpointId},
        time::Timestamp,
    },
    delivery::{
        hold::{Circuit, Hold},
        state::DisabledReason,
    },
    operations::metrics::{ErrorKey, Stats, health::drained_in},
    outbound::endpoint::EndpointStatus,
};

/// Time for which an endpoint that was disabled stays a problem: afterwards its owner knows.
pub const DISABLED_SHOWN: Duration = Duration::from_secs(7 * 24 * 3600);
/// Time of failures from which an endpoint counts as failing. A single failed attempt is retried within seconds.
const FAILING_AFTER: Duration = Duration::from_secs(60);
/// Time before its disabling from which a failing endpoint is critical.
const DISABLED_SOON: Duration = Duration::from_secs(24 * 3600);
/// Backlog from which an endpoint has a problem, if it grows.
const BACKLOG_FROM: i64 = 100;
/// Age of a backlog from which it is a problem.
const BACKLOG_AGE: Duration = Duration::from_secs(5 * 60);
/// Share of a quota from which it is near.
const QUOTA_NEAR_PERCENT: u64 = 90;
/// Days before a storage budget is reached from which it is a problem.
const BUDGET_DAYS: u32 = 3;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing arrives, or something is about to be lost.
    Critical,
    /// Something arrives late, or was not delivered.
    Warning,
    /// Something will go wrong if nothing changes.
    Notice,
}

impl Severity {
    /// Word in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }

    /// Parses the word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Critical, Self::Warning, Self::Notice].into_iter().find(|severity| severity.as_str() == word)
    }
}

/// Kind of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Hookstream has disabled an endpoint.
    EndpointDisabled,
    /// The circuit breaker of an endpoint is open.
    CircuitOpen,
    /// An endpoint fails at every attempt.
    EndpointFailing,
    /// More falls due for an endpoint than leaves.
    BacklogGrowing,
    /// An endpoint works, and has deliveries that ended without arriving.
    DeliveriesMissed,
    /// The payloads of the environment reach its storage budget.
    StorageBudget,
    /// The disk is full.
    DiskFull,
    /// A quota of the organization is used up, or nearly.
    Quota,
    /// A node has not renewed its lease.
    NodeLapsed,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::EndpointDisabled,
        Self::CircuitOpen,
        Self::EndpointFailing,
        Self::BacklogGrowing,
        Self::DeliveriesMissed,
        Self::StorageBudget,
        Self::DiskFull,
        Self::Quota,
        Self::NodeLapsed,
    ];

    /// Word in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EndpointDisabled => "endpoint_disabled",
            Self::CircuitOpen => "circuit_open",
            Self::EndpointFailing => "endpoint_failing",
            Self::BacklogGrowing => "backlog_growing",
            Self::DeliveriesMissed => "deliveries_missed",
            Self::StorageBudget => "storage_budget",
            Self::DiskFull => "disk_full",
            Self::Quota => "quota",
            Self::NodeLapsed => "node_lapsed",
        }
    }

    /// Title for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::EndpointDisabled => "Endpoint disabled",
            Self::CircuitOpen => "Circuit open",
            Self::EndpointFailing => "Endpoint failing",
            Self::BacklogGrowing => "Backlog growing",
            Self::DeliveriesMissed => "Deliveries missed",
            Self::StorageBudget => "Storage budget",
            Self::DiskFull => "Disk full",
            Self::Quota => "Quota",
            Self::NodeLapsed => "Node lapsed",
        }
    }
}

/// Subject of a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Endpoint of an application.
    Endpoint(ApplicationId, EndpointId),
    /// The caller's environment.
    Environment,
    /// The caller's organization.
    Organization,
    /// Whole installation.
    Installation,
    /// Node, by its number and name.
    Node(i64, String),
}

/// Cause of a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// Attempts fail with this error most often; `None` if no attempt was made lately.
    Attempts(Option<ErrorKey>),
    /// The endpoint was disabled for this reason.
    Disabled(DisabledReason),
    /// Deliveries are due faster than the endpoint's rate limit allows.
    RateLimit {
        /// Deliveries a second.
        limit: u32,
    },
    /// Deliveries are due faster than the endpoint answers.
    Slow,
    /// Attempts failed while the endpoint did not work.
    Missed,
    /// Payloads reach the budget after this many days; 0 is now.
    BudgetReached {
        /// Days until then.
        in_days: u32,
    },
    /// The store takes no new messages.
    DiskFull,
    /// Events of this month.
    EventsUsed {
        /// Events of this month.
        used: u64,
        /// Limit of the quota.
        limit: u64,
    },
    /// The lease expired at this time.
    LeaseExpired(Timestamp),
}

/// Remedy of a problem, by the operation that applies it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Close the circuit breaker, which sends a probe.
    ProbeNow,
    /// Tell the customer: only the receiver's owner can help.
    NotifyCustomer,
    /// Raise the rate limit of the endpoint.
    RaiseLimit,
    /// Send what did not arrive.
    Recover,
    /// Enable the endpoint, then send what did not arrive.
    EnableAndRecover,
    /// Shorten the retention or raise the budget.
    ChangeRetention,
    /// Raise the quota: the operator's command does.
    RaiseQuota,
    /// Free disk space.
    FreeDisk,
    /// Start the node again, or leave it: other nodes have taken over.
    RestartNode,
}

impl Remedy {
    /// Word in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ProbeNow => "probe_now",
            Self::NotifyCustomer => "notify_customer",
            Self::RaiseLimit => "raise_limit",
            Self::Recover => "recover",
            Self::EnableAndRecover => "enable_and_recover",
            Self::ChangeRetention => "change_retention",
            Self::RaiseQuota => "raise_quota",
            Self::FreeDisk => "free_disk",
            Self::RestartNode => "restart_node",
        }
    }

    /// Returns the `operationId` of the API's operation, if there is one.
    pub const fn operation(self) -> Option<&'static str> {
        match self {
            Self::ProbeNow => Some("resetCircuit"),
            Self::RaiseLimit | Self::EnableAndRecover => Some("updateEndpoint"),
            Self::Recover => Some("recoverEndpoint"),
            Self::ChangeRetention => Some("updateEnvironment"),
            Self::NotifyCustomer | Self::RaiseQuota | Self::FreeDisk | Self::RestartNode => None,
        }
    }
}

/// Problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Kind.
    pub kind: Kind,
    /// How bad it is.
    pub severity: Severity,
    /// Subject.
    pub subject: Subject,
    /// Cause.
    pub cause: Cause,
    /// Time since which it lasts, if known.
    pub since: Option<Timestamp>,
    /// Deliveries that wait, or that were missed.
    pub waiting: i64,
    /// Time at which the oldest of them fell due, if known.
    pub oldest: Option<Timestamp>,
    /// Time at which the endpoint is disabled if nothing changes.
    pub disables_at: Option<Timestamp>,
    /// Remedy.
    pub remedy: Remedy,
}

/// Facts about an endpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct EndpointFacts {
    /// Application.
    pub application_id: ApplicationId,
    /// Endpoint.
    pub endpoint_id: EndpointId,
    /// State set by its owner.
    pub status: EndpointStatus,
    /// Reason why Hookstream disabled it.
    pub disabled_reason: Option<DisabledReason>,
    /// Time of the disabling.
    pub disabled_at: Option<Timestamp>,
    /// First failure since the last success.
    pub failing_since: Option<Timestamp>,
    /// Hold.
    pub hold: Option<Hold>,
    /// Limit in deliveries per second.
    pub rate_limit: Option<u32>,
    /// Pending deliveries.
    pub pending: i64,
    /// Time at which the oldest of them fell due.
    pub oldest: Option<Timestamp>,
    /// Numbers of the last 24 hours.
    pub day: Stats,
    /// Deliveries that fell due a second, lately.
    pub arriving: f64,
    /// Attempts answered a second, lately.
    pub leaving: Option<f64>,
    /// Most frequent error lately.
    pub error: Option<ErrorKey>,
}

/// Returns the worst problem of an endpoint. Failing endpoints are disabled after `disable_after`.
pub fn of_endpoint(facts: &EndpointFacts, disable_after: Duration, now: Timestamp) -> Option<Problem> {
    let found = |kind, severity, cause, since, remedy| Problem {
        kind,
        severity,
        subject: Subject::Endpoint(facts.application_id, facts.endpoint_id),
        cause,
        since,
        waiting: facts.pending,
        oldest: facts.oldest,
        disables_at: None,
        remedy,
    };
    match facts.status {
        EndpointStatus::Disabled => {
            let reason = facts.disabled_reason?;
            let is_recent = facts.disabled_at.is_none_or(|at| now.since(at) < DISABLED_SHOWN);
            let cause = Cause::Disabled(reason);
            let problem = found(Kind::EndpointDisabled, Severity::Critical, cause, facts.disabled_at, Remedy::EnableAndRecover);
            return is_recent.then_some(Problem { waiting: facts.day.ended.max(0), ..problem });
        }
        EndpointStatus::Paused => return None,
        EndpointStatus::Active => {}
    }
    let disables_at = facts.failing_since.map(|since| since + disable_after);
    let is_disabled_soon = disables_at.is_some_and(|at| at.since(now) < DISABLED_SOON);
    let cause = || Cause::Attempts(facts.error.clone());
    let circuit = Circuit::of(facts.hold, now);
    if circuit != Circuit::Closed {
        let since = facts.hold.map(|hold| hold.since);
        // A probe fails as long as only the receiver's owner can help.
        let remedy = if needs_customer(facts.error.as_ref()) { Remedy::NotifyCustomer } else { Remedy::ProbeNow };
        return Some(Problem { disables_at, ..found(Kind::CircuitOpen, Severity::Critical, cause(), since, remedy) });
    }
    if let Some(since) = facts.failing_since.filter(|since| now.since(*since) >= FAILING_AFTER) {
        let severity = if is_disabled_soon { Severity::Critical } else { Severity::Warning };
        return Some(Problem { disables_at, ..found(Kind::EndpointFailing, severity, cause(), Some(since), Remedy::NotifyCustomer) });
    }
    let is_old = facts.oldest.is_some_and(|oldest| now.since(oldest) >= BACKLOG_AGE);
    let grows = drained_in(facts.pending, facts.leaving, facts.arriving).is_none();
    if facts.pending >= BACKLOG_FROM && is_old && grows {
        let limit = facts.rate_limit.filter(|limit| *limit > 0 && facts.arriving >= f64::from(*limit));
        let (cause, remedy) = match limit {
            Some(limit) => (Cause::RateLimit { limit }, Remedy::RaiseLimit),
            None => (Cause::Slow, Remedy::NotifyCustomer),
        };
        return Some(found(Kind::BacklogGrowing, Severity::Warning, cause, facts.oldest, remedy));
    }
    if facts.day.ended > 0 && facts.failing_since.is_none() {
        let problem = found(Kind::DeliveriesMissed, Severity::Warning, Cause::Missed, None, Remedy::Recover);
        return Some(Problem { waiting: facts.day.ended, oldest: None, ..problem });
    }
    None
}

/// Returns true if only the receiver's owner can end an error: its certificate, its name, its credentials.
fn needs_customer(error: Option<&ErrorKey>) -> bool {
    error.is_some_and(|ErrorKey { word, status }| {
        word.starts_with("tls_") || word == "dns_failed" || word == "access_refused" || matches!(status, 401 | 403 | 404)
    })
}

/// Returns the problem of a storage budget that is reached in some days; `None` if it is not near.
pub fn of_storage(budget_in_days: Option<u32>) -> Option<Problem> {
    let in_days = budget_in_days.filter(|days| *days <= BUDGET_DAYS)?;
    // The oldest payloads are removed early; pending ones are kept.
    let severity = if in_days == 0 { Severity::Warning } else { Severity::Notice };
    Some(of_installation(Kind::StorageBudget, severity, Subject::Environment, Cause::BudgetReached { in_days }, Remedy::ChangeRetention))
}

/// Returns the problem of a full disk.
pub fn of_full_disk() -> Problem {
    of_installation(Kind::DiskFull, Severity::Critical, Subject::Installation, Cause::DiskFull, Remedy::FreeDisk)
}

/// Returns the problem of an event quota that is used up, or nearly.
pub fn of_quota(used: u64, limit: Option<u64>) -> Option<Problem> {
    let limit = limit?;
    let is_near = u128::from(used) * 100 >= u128::from(limit) * u128::from(QUOTA_NEAR_PERCENT);
    let severity = if used >= limit { Severity::Critical } else { Severity::Notice };
    let cause = Cause::EventsUsed { used, limit };
    is_near.then(|| of_installation(Kind::Quota, severity, Subject::Organization, cause, Remedy::RaiseQuota))
}

/// Returns the problem of a node whose lease has expired.
pub fn of_node(number: i64, name: &str, lapses_at: Option<Timestamp>, now: Timestamp) -> Option<Problem> {
    let at = lapses_at.filter(|at| *at < now)?;
    let subject = Subject::Node(number, name.to_owned());
    let problem = of_installation(Kind::NodeLapsed, Severity::Warning, subject, Cause::LeaseExpired(at), Remedy::RestartNode);
    Some(Problem { since: Some(at), ..problem })
}

fn of_installation(kind: Kind, severity: Severity, subject: Subject, cause: Cause, remedy: Remedy) -> Problem {
    Problem { kind, severity, subject, cause, since: None, waiting: 0, oldest: None, disables_at: None, remedy }
}

/// Sorts problems, the worst first: by severity, then by what waits, then by duration.
pub fn sort(problems: &mut [Problem]) {
    let since = |problem: &Problem| problem.since.map_or(i64::MAX, Timestamp::as_millis);
    problems.sort_by_key(|problem| (problem.severity, std::cmp::Reverse(problem.waiting), since(problem)));
}

impl Cause {
    /// Word in the API.
    pub fn code(&self) -> String {
        match self {
            Self::Attempts(Some(error)) => error.word.clone(),
            Self::Attempts(None) => "no_attempt".to_owned(),
            Self::Disabled(reason) => format!("disabled_{}", reason.as_str()),
            Self::RateLimit { .. } => "rate_limit".to_owned(),
            Self::Slow => "slow".to_owned(),
            Self::Missed => "missed".to_owned(),
            Self::BudgetReached { .. } => "budget_reached".to_owned(),
            Self::DiskFull => "disk_full".to_owned(),
            Self::EventsUsed { .. } => "events_used".to_owned(),
            Self::LeaseExpired(_) => "lease_expired".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
