//! Quotas of organizations: the limits set for each, the check for one more resource, and the number of events in a month.
//!
//! A quota is enforced in the creating transaction ([`Guard`]): lock the organization's row, insert, count. So the
//! second of two concurrent transactions counts the first. Without a limit there is no lock.
//!
//! An **event** is an accepted message. Events are counted by environment and day in the commits that store them
//! (`delivery_counts.events`), which no removal lowers. The counts move to `event_counts` when their day is dropped,
//! or their environment is removed, before the end of the month.

use std::collections::{BTreeMap, HashMap};

use hookstream_model::{
    base::{
        ids::{ApplicationId, EnvironmentId, OrganizationId},
        time::Day,
    },
    identity::tenancy::Tenant,
    operations::{
        audit_log::{Action, AuditContext, Change},
        quota::{Month, Quota, QuotaLimit, QuotaLimits},
    },
};

use crate::{
    Store,
    db::{
        error::Error,
        statement::{Columns, Database, Row, Statement, Value},
    },
    identity::organizations,
    operations::audit_log,
};

/// Columns in the order of [`Quota::ALL`].
const FIND: &str = "select quota_events_per_month, quota_applications, quota_endpoints_per_application, quota_event_types,
    quota_environments, quota_retention_days from organizations where id = $1 and deleted_at is null";
/// Sets quotas that are unchanged since they were read; -2 stands for null.
const SET: &str = "update organizations set quota_events_per_month = $2, quota_applications = $3, quota_endpoints_per_application = $4,
        quota_event_types = $5, quota_environments = $6, quota_retention_days = $7
    where id = $1 and deleted_at is null and coalesce(quota_events_per_month, -2) = $8 and coalesce(quota_applications, -2) = $9
        and coalesce(quota_endpoints_per_application, -2) = $10 and coalesce(quota_event_types, -2) = $11
        and coalesce(quota_environments, -2) = $12 and coalesce(quota_retention_days, -2) = $13";
const KEEP_EVENTS: &str = "insert into event_counts (environment_id, day, organization_id, events)
    select e.id, $2, e.organization_id, $3 from environments e where e.id = $1
    on conflict (environment_id, day) do update set events = excluded.events";
const KEPT_EVENTS: &str = "select environment_id, day, organization_id, events from event_counts where day >= $1 and day < $2";
const KEPT_EVENTS_OF: &str =
    "select environment_id, day, organization_id, events from event_counts where organization_id = $3 and day >= $1 and day < $2";
const ENVIRONMENTS: &str = "select id, organization_id from environments";
const ENVIRONMENTS_OF: &str = "select id, organization_id from environments where organization_id = $1";
const FORGET_EVENTS: &str = "delete from event_counts where day < $1";
const COUNT_APPLICATIONS: &str = "select count(*) from applications a join environments e on e.id = a.environment_id
    where e.organization_id = $1 and e.is_system = 0 and e.deleted_at is null";
const COUNT_EVENT_TYPES: &str = "select count(*) from event_types t join environments e on e.id = t.environment_id
    where e.organization_id = $1 and e.deleted_at is null";
const COUNT_ENVIRONMENTS: &str = "select count(*) from environments where organization_id = $1 and is_system = 0 and deleted_at is null";

/// Lock that serializes the creation of resources, if there is a limit. $2 is the installation's limit.
macro_rules! queue {
    ($column:literal) => {
        concat!("update organizations set name = name where id = $1 and coalesce(", $column, ", $2, -1) >= 0")
    };
}

/// Returns a row, unless the limit is exceeded.
macro_rules! check {
    ($column:literal, $count:literal) => {
        concat!(
            "select cast(1 as bigint) where not exists (select 1 from organizations o where o.id = $1 and coalesce(o.",
            $column,
            ", $2, -1) between 0 and (",
            $count,
            ") - 1)"
        )
    };
}

const CHECK_OF_CUSTOMER: &str = "select cast(1 as bigint)
    where (select count(*) from endpoints p where p.environment_id = $1 and p.application_id = $2) <= $3";
/// Number of days before the dropped ones for which events stay counted: two months.
const DAYS_KEPT: i64 = 62;
/// Column value for "no limit"; null means the installation's limit.
const UNLIMITED: i64 = -1;
/// Value for null in a comparison.
const UNSET: i64 = -2;

/// Quota that is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// Quota.
    pub quota: Quota,
    /// Limit.
    pub most: u64,
}

/// Check that a quota allows one more resource.
#[derive(Debug)]
pub(crate) struct Guard {
    quota: Quota,
    organization: OrganizationId,
    installation: Option<u64>,
    /// Application, for a quota per application.
    within: Option<(EnvironmentId, ApplicationId)>,
    /// Limit for a customer who creates the resource.
    of_customer: Option<u64>,
}

impl Guard {
    /// Builds the guard of a resource that is counted over the whole organization.
    pub(crate) fn of(db: &dyn Database, organization: OrganizationId, quota: Quota) -> Self {
        Self { quota, organization, installation: db.installation_quotas().get().get(quota), within: None, of_customer: None }
    }

    /// Builds the guard of an application's endpoints. `of_customer` is the limit for a customer.
    pub(crate) fn of_endpoints(db: &dyn Database, tenant: Tenant, application: ApplicationId, of_customer: Option<u64>) -> Self {
        let within = Some((tenant.environment, application));
        Self { within, of_customer, ..Self::of(db, tenant.organization, Quota::EndpointsPerApplication) }
    }

    /// Returns the statement that must run before the insert.
    pub(crate) fn queue(&self) -> Statement {
        let sql = match self.quota {
            Quota::Applications => queue!("quota_applications"),
            Quota::EndpointsPerApplication => queue!("quota_endpoints_per_application"),
            Quota::EventTypes => queue!("quota_event_types"),
            Quota::Environments => queue!("quota_environments"),
            Quota::EventsPerMonth | Quota::RetentionDays => unreachable!("these quotas limit no created resource"),
        };
        Statement::new(sql, self.values())
    }

    /// Returns the statements that must run after the insert: they undo it if a limit is exceeded.
    pub(crate) fn checks(&self) -> Vec<Statement> {
        let of_customer = self.within.zip(self.of_customer).map(|((environment, application), most)| {
            let values = vec![environment.as_bytes().into(), application.as_bytes().into(), number(most).into()];
            Statement::new(CHECK_OF_CUSTOMER, values).required()
        });
        [self.check()].into_iter().chain(of_customer).collect()
    }

    /// Returns the check of the quota itself.
    pub(crate) fn check(&self) -> Statement {
        let sql = match self.quota {
            Quota::Applications => check!(
                "quota_applications",
                "select count(*) from applications a join environments e on e.id = a.environment_id
                    where e.organization_id = $1 and e.is_system = 0 and e.deleted_at is null"
            ),
            Quota::EndpointsPerApplication => check!(
                "quota_endpoints_per_application",
                "select count(*) from endpoints p where p.environment_id = $3 and p.application_id = $4"
            ),
            Quota::EventTypes => check!(
                "quota_event_types",
                "select count(*) from event_types t join environments e on e.id = t.environment_id
                    where e.organization_id = $1 and e.deleted_at is null"
            ),
            Quota::Environments => {
                check!(
                    "quota_environments",
                    "select count(*) from environments e where e.organization_id = $1 and e.is_system = 0 and e.deleted_at is null"
                )
            }
            Quota::EventsPerMonth | Quota::RetentionDays => unreachable!("these quotas limit no created resource"),
        };
        let mut values = self.values();
        if let Some((environment, application)) = &self.within {
            values.extend([environment.as_bytes().into(), application.as_bytes().into()]);
        }
        Statement::new(sql, values).required()
    }

    /// Returns the limit that the failed check of this index found exceeded.
    pub(crate) async fn reached(&self, db: &dyn Database, check: usize) -> Result<Reached, Error> {
        if let (1, Some(most)) = (check, self.of_customer) {
            return Ok(Reached { quota: self.quota, most });
        }
        let own = find(db, self.organization).await?.unwrap_or_default().get(self.quota);
        Ok(Reached { quota: self.quota, most: own.or(self.installation).unwrap_or_default() })
    }

    fn values(&self) -> Vec<Value> {
        vec![self.organization.as_bytes().into(), self.installation.map(number).into()]
    }
}

/// Returns the limits set for an organization; `None` if it does not exist or is deleted.
///
/// # Errors
/// Fails if the store fails.
pub async fn find(db: &dyn Database, organization: OrganizationId) -> Result<Option<QuotaLimits>, Error> {
    let rows = db.read(Statement::new(FIND, vec![organization.as_bytes().into()])).await?;
    rows.into_iter().next().map(|row| read(&mut row.columns())).transpose()
}

/// Changes the limits of an organization. Returns its limits; `None` if it does not exist or is deleted. Nodes are
/// notified as of other changes.
///
/// # Errors
/// Fails if the store fails, or with the error of `change`.
pub async fn set<E: From<Error>>(
    db: &dyn Database,
    context: &AuditContext,
    organization: OrganizationId,
    change: impl Fn(&mut QuotaLimits) -> Result<(), E>,
) -> Result<Option<QuotaLimits>, E> {
    while let Some(before) = find(db, organization).await? {
        let mut after = before;
        change(&mut after)?;
        let Some(entry_change) = Change::between(&before, &after) else { return Ok(Some(after)) };
        let mut values: Vec<Value> = vec![organization.as_bytes().into()];
        values.extend(Quota::ALL.map(|quota| column(after.get(quota)).into()));
        values.extend(Quota::ALL.map(|quota| column(before.get(quota)).unwrap_or(UNSET).into()));
        let entry =
            audit_log::entry_of_organization(organization, context, Action::OrganizationSetQuotas, organization.as_bytes(), &entry_change);
        let statements = vec![Statement::new(SET, values).required(), organizations::record(organization), entry];
        if db.write("set quotas", statements).await?.is_committed() {
            return Ok(Some(after));
        }
        // Changed concurrently: start again from the current state.
    }
    Ok(None)
}

/// Numbers of an organization's resources that are counted over all of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// Applications.
    pub applications: u64,
    /// Event types.
    pub event_types: u64,
    /// Environments.
    pub environments: u64,
}

/// Returns these numbers, without deleted environments.
///
/// # Errors
/// Fails if the store fails.
pub async fn held(db: &dyn Database, organization: OrganizationId) -> Result<Held, Error> {
    let count = async |sql: &'static str| {
        let rows = db.read(Statement::new(sql, vec![organization.as_bytes().into()])).await?;
        let row = rows.into_iter().next().ok_or(Error::Unreadable { what: "count" })?;
        u64::try_from(row.columns().integer("count")?).map_err(|_| Error::Unreadable { what: "count" })
    };
    Ok(Held {
        applications: count(COUNT_APPLICATIONS).await?,
        event_types: count(COUNT_EVENT_TYPES).await?,
        environments: count(COUNT_ENVIRONMENTS).await?,
    })
}

/// Events of an environment on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayEvents {
    /// Environment.
    pub environment: EnvironmentId,
    /// Day of acceptance.
    pub day: Day,
    /// Number of events.
    pub events: u64,
}

/// Returns the number of events of each organization in a month, or only of one organization.
///
/// # Errors
/// Fails if the store fails.
pub async fn events(store: &dyn Store, month: Month, only: Option<OrganizationId>) -> Result<HashMap<OrganizationId, u64>, Error> {
    let environments = match only {
        Some(organization) => Statement::new(ENVIRONMENTS_OF, vec![organization.as_bytes().into()]),
        None => Statement::new(ENVIRONMENTS, vec![]),
    };
    let mut owners = HashMap::new();
    for row in store.read(environments).await? {
        let mut columns = row.columns();
        let environment = columns.id("environment id", EnvironmentId::from_bytes)?;
        owners.insert(environment, columns.id("organization id", OrganizationId::from_bytes)?);
    }
    let (first, end) = (month.first(), month.end());
    // Kept counts of removed days and environments first, then the existing days. A count that moves in between is
    // missed once and correct the next time; one that is in both is counted once.
    let mut values: Vec<Value> = vec![first.number().into(), end.number().into()];
    let kept = match only {
        Some(organization) => {
            values.push(organization.as_bytes().into());
            KEPT_EVENTS_OF
        }
        None => KEPT_EVENTS,
    };
    let mut of_day = BTreeMap::new();
    for row in store.read(Statement::new(kept, values)).await? {
        let (events, organization) = read_kept(row)?;
        of_day.insert((events.environment, events.day), (organization, events.events));
    }
    for DayEvents { environment, day, events } in store.events(first, end, owners.keys().copied().collect()).await? {
        if let Some(organization) = owners.get(&environment) {
            of_day.insert((environment, day), (*organization, events));
        }
    }
    let mut sums = HashMap::new();
    of_day.into_values().for_each(|(organization, events)| *sums.entry(organization).or_default() += events);
    Ok(sums)
}

/// Returns the statement that keeps events whose day or environment is about to be removed.
pub(crate) fn keep_events(of_day: &DayEvents) -> Statement {
    let DayEvents { environment, day, events } = of_day;
    Statement::new(KEEP_EVENTS, vec![environment.as_bytes().into(), day.number().into(), number(*events).into()])
}

/// Returns the statement that deletes events that no quota concerns any more, when days before this one are dropped.
pub(crate) fn forget_events(before: Day) -> Statement {
    Statement::new(FORGET_EVENTS, vec![(before.number() - DAYS_KEPT).into()])
}

/// Reads an organization's columns, in the order of [`Quota::ALL`].
pub(crate) fn read(columns: &mut Columns) -> Result<QuotaLimits, Error> {
    let mut limits = QuotaLimits::default();
    for quota in Quota::ALL {
        let limit = match columns.optional_integer(quota.as_str())? {
            None => QuotaLimit::Default,
            Some(UNLIMITED) => QuotaLimit::Unlimited,
            Some(most) => QuotaLimit::Most(u64::try_from(most).map_err(|_| Error::Unreadable { what: quota.as_str() })?),
        };
        limits.set(quota, limit).map_err(|_| Error::Unreadable { what: quota.as_str() })?;
    }
    Ok(limits)
}

fn read_kept(row: Row) -> Result<(DayEvents, OrganizationId), Error> {
    let mut columns = row.columns();
    let environment = columns.id("environment id", EnvironmentId::from_bytes)?;
    let day = Day::of_number(columns.integer("day")?);
    let organization = columns.id("organization id", OrganizationId::from_bytes)?;
    let events = u64::try_from(columns.integer("events")?).map_err(|_| Error::Unreadable { what: "events" })?;
    Ok((DayEvents { environment, day, events }, organization))
}

fn column(limit: QuotaLimit) -> Option<i64> {
    match limit {
        QuotaLimit::Default => None,
        QuotaLimit::Unlimited => Some(UNLIMITED),
        QuotaLimit::Most(most) => Some(number(most)),
    }
}

fn number(most: u64) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}
