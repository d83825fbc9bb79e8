//! Audit log: an entry for each change, written in the commit of the change, and never changed afterwards.
//!
//! The functions that change the configuration take an [`AuditContext`] and add [`entry`] to their statements. Both
//! databases refuse to change an entry; only [`forget_before`] deletes entries, when they expire.

use hookstream_model::{
    base::{
        ids::{ApplicationId, EndpointId, EntryId, EnvironmentId, OrganizationId, ResourceId},
        time::Timestamp,
    },
    identity::tenancy::Tenant,
    operations::audit_log::{Action, AuditContext, Change},
};
use serde_json::{Map, Value as Json};

use crate::db::{
    error::Error,
    page::{ABOVE_ALL, Page, PageRequest, sql_limit},
    statement::{Database, Row, Statement, Value, Written},
};

macro_rules! columns {
    () => {
        "id, organization_id, environment_id, actor_kind, actor_id, actor_name, address, request_id, action, resource_type, resource_id,
            before, after"
    };
}

/// Selects entries. An empty filter accepts all. `among` is the condition that an index serves.
macro_rules! select {
    ($among:literal, $order:literal) => {
        concat!(
            "select ",
            columns!(),
            " from audit_log where organization_id = $1",
            $among,
            " and id > $2 and id < $3 and ($4 = '' or action = $4) and ($5 = '' or resource_type = $5)
                and (length($6) = 0 or actor_id = $6) and (length($7) = 0 or environment_id = $7) and (length($8) = 0 or resource_id = $8)
                order by id",
            $order,
            " limit $9"
        )
    };
}

/// Stores an entry. An action recorded twice leaves one entry.
const INSERT: &str = concat!(
    "insert into audit_log (",
    columns!(),
    ") values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) on conflict do nothing"
);
/// Same with the application and the endpoint.
const INSERT_OF_ENDPOINT: &str = concat!(
    "insert into audit_log (",
    columns!(),
    ", application_id, endpoint_id) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) on conflict do nothing"
);
const NEWEST: &str = select!("", " desc");
const NEWEST_OF_ENVIRONMENT: &str = select!(" and environment_id = $7", " desc");
const NEWEST_OF_RESOURCE: &str = select!(" and resource_id = $8", " desc");
const OLDEST: &str = select!("", "");
const OLDEST_OF_ENVIRONMENT: &str = select!(" and environment_id = $7", "");
const OLDEST_OF_RESOURCE: &str = select!(" and resource_id = $8", "");
/// Entries of an application, each with the last state of its endpoint if that is deleted.
const ACTIVITY: &str = "select entry.id, entry.actor_kind, entry.action, entry.endpoint_id, entry.before, entry.after,
        (select deletion.before from audit_log deletion where deletion.organization_id = $1
            and deletion.resource_id = entry.endpoint_id and deletion.action = 'endpoint.delete' limit 1)
    from audit_log entry
    where entry.organization_id = $1 and entry.environment_id = $2 and entry.application_id = $3 and entry.id < $4
    order by entry.id desc limit $5";
const DELETE_OLD: &str = "delete from audit_log where id in (select id from audit_log where id < $1 order by id limit $2) returning id";
const ORGANIZATIONS: &str = "select id from organizations order by id";

/// Maximum number of entries in one transaction.
const BATCH: usize = 500;

/// Stored entry. Its words are plain text, because a newer version may have written them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Entry id, which contains the time of the action.
    pub id: EntryId,
    /// Organization.
    pub organization: OrganizationId,
    /// Environment; `None` for the organization as a whole.
    pub environment: Option<EnvironmentId>,
    /// Kind of the actor.
    pub actor_kind: String,
    /// Id of the actor.
    pub actor_id: Option<ResourceId>,
    /// Name of the actor at that time.
    pub actor_name: Option<String>,
    /// Address of the request.
    pub address: Option<String>,
    /// Request id.
    pub request_id: Option<String>,
    /// Action.
    pub action: String,
    /// Type of the resource.
    pub resource_type: String,
    /// Id of the resource.
    pub resource_id: Option<ResourceId>,
    /// State before, as JSON text of an object.
    pub before: Option<String>,
    /// State after, as JSON text of an object.
    pub after: Option<String>,
}

/// Endpoint that an entry is about, with its application. The entry is part of the application's activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AboutEndpoint {
    /// Application of the endpoint.
    pub application: ApplicationId,
    /// Endpoint.
    pub endpoint: EndpointId,
}

/// Entry about an endpoint of an application, without the names and addresses of its actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activity {
    /// Entry id, which contains the time of the action.
    pub id: EntryId,
    /// Kind of the actor.
    pub actor_kind: String,
    /// Action.
    pub action: String,
    /// Endpoint.
    pub endpoint: EndpointId,
    /// State before, as JSON text of an object.
    pub before: Option<String>,
    /// State after, as JSON text of an object.
    pub after: Option<String>,
    /// Last state of the endpoint, as JSON text of an object; `None` unless it is deleted.
    pub deleted: Option<String>,
}

/// Scope of the visible entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Entries of an environment, without those about its organization as a whole.
    Environment(Tenant),
    /// All entries of an organization.
    Organization(OrganizationId),
}

/// Conditions on entries; a missing one accepts all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter {
    /// Action.
    pub action: Option<Action>,
    /// Actor.
    pub actor_id: Option<ResourceId>,
    /// Type of the resource.
    pub resource_type: Option<&'static str>,
    /// Resource.
    pub resource_id: Option<ResourceId>,
    /// Earliest time, inclusive.
    pub since: Option<Timestamp>,
    /// Latest time, exclusive.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Returns the ids between which the entries lie.
    fn range(&self) -> (EntryId, EntryId) {
        let since = self.since.map_or(EntryId::from_bytes([0; 16]), EntryId::before_all_at);
        let until = self.until.map_or(EntryId::from_bytes(ABOVE_ALL), EntryId::before_all_at);
        (since, until)
    }

    fn values(&self, reach: Reach, (above, below): (EntryId, EntryId), limit: usize) -> Vec<Value> {
        let id = |id: Option<&[u8; 16]>| id.map_or(Value::Blob(Vec::new()), Value::from);
        let (organization, environment) = match reach {
            Reach::Environment(tenant) => (tenant.organization, Some(tenant.environment)),
            Reach::Organization(organization) => (organization, None),
        };
        vec![
            organization.as_bytes().into(),
            above.as_bytes().into(),
            below.as_bytes().into(),
            self.action.map_or("", Action::as_str).into(),
            self.resource_type.unwrap_or_default().into(),
            id(self.actor_id.as_ref().map(ResourceId::as_bytes)),
            id(environment.as_ref().map(EnvironmentId::as_bytes)),
            id(self.resource_id.as_ref().map(ResourceId::as_bytes)),
            sql_limit(limit).into(),
        ]
    }
}

/// Returns the statement that stores an audit entry, for the transaction of the change.
pub(crate) fn entry(tenant: Tenant, context: &AuditContext, action: Action, resource: &[u8; 16], change: &Change) -> Statement {
    insert(tenant.organization, Some(tenant.environment.of_users()), context, action, Some(resource), change)
}

/// Returns the statement that stores an audit entry about an endpoint or one of its jobs.
pub(crate) fn entry_of_endpoint(
    tenant: Tenant,
    about: AboutEndpoint,
    context: &AuditContext,
    action: Action,
    resource: &[u8; 16],
    change: &Change,
) -> Statement {
    let mut values = values(tenant.organization, Some(tenant.environment.of_users()), context, action, Some(resource), change);
    values.extend([about.application.as_bytes().into(), about.endpoint.as_bytes().into()]);
    Statement::new(INSERT_OF_ENDPOINT, values)
}

/// Returns the statement that stores an audit entry about an organization as a whole.
pub(crate) fn entry_of_organization(
    organization: OrganizationId,
    context: &AuditContext,
    action: Action,
    resource: &[u8; 16],
    change: &Change,
) -> Statement {
    insert(organization, None, context, action, Some(resource), change)
}

/// Stores the audit entry of an action that changes no row of the configuration.
///
/// # Errors
/// Fails if the store fails.
pub async fn record(
    db: &dyn Database,
    context: &AuditContext,
    tenant: Tenant,
    action: Action,
    resource: ResourceId,
    change: &Change,
) -> Result<(), Error> {
    db.write("write to the audit log", vec![entry(tenant, context, action, resource.as_bytes(), change)]).await.map(|_| ())
}

/// Stores the audit entry of an act on an endpoint that changes no row of the configuration.
///
/// # Errors
/// Fails if the store fails.
pub async fn record_of_endpoint(
    db: &dyn Database,
    context: &AuditContext,
    tenant: Tenant,
    about: AboutEndpoint,
    action: Action,
    change: &Change,
) -> Result<(), Error> {
    let entry = entry_of_endpoint(tenant, about, context, action, about.endpoint.as_bytes(), change);
    db.write("write to the audit log", vec![entry]).await.map(|_| ())
}

/// Stores an audit entry that concerns the installation in each organization. `context` makes a new context for each.
///
/// # Errors
/// Fails if the store fails; some organizations may have the entry then.
pub async fn record_everywhere(
    db: &dyn Database,
    context: &mut (dyn FnMut() -> AuditContext + Send),
    action: Action,
    change: &Change,
) -> Result<(), Error> {
    let organizations = db.read(Statement::new(ORGANIZATIONS, vec![])).await?;
    let read = |row: Row| row.columns().id("organization id", OrganizationId::from_bytes);
    let organizations = organizations.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    for some in organizations.chunks(BATCH) {
        let statements = some.iter().map(|organization| insert(*organization, None, &context(), action, None, change)).collect();
        db.write("write to the audit log", statements).await?;
    }
    Ok(())
}

/// Returns a page of entries, newest first.
///
/// # Errors
/// Fails if the store fails.
pub async fn list(db: &dyn Database, reach: Reach, filter: &Filter, page: PageRequest<EntryId>) -> Result<Page<Entry>, Error> {
    let sql = match (filter.resource_id, reach) {
        (Some(_), _) => NEWEST_OF_RESOURCE,
        (None, Reach::Environment(_)) => NEWEST_OF_ENVIRONMENT,
        (None, Reach::Organization(_)) => NEWEST,
    };
    let (since, until) = filter.range();
    let range = (since, page.after.map_or(until, |after| after.min(until)));
    let rows = db.read(Statement::new(sql, filter.values(reach, range, page.limit + 1))).await?;
    Ok(Page::from_overlong(rows.into_iter().map(read).collect::<Result<_, _>>()?, page.limit))
}

/// Returns a page of the entries about the endpoints of an application, newest first.
///
/// # Errors
/// Fails if the store fails.
pub async fn activity(
    db: &dyn Database,
    tenant: Tenant,
    application: ApplicationId,
    page: PageRequest<EntryId>,
) -> Result<Page<Activity>, Error> {
    let before = page.after.unwrap_or(EntryId::from_bytes(ABOVE_ALL));
    let values = vec![
        tenant.organization.as_bytes().into(),
        tenant.environment.as_bytes().into(),
        application.as_bytes().into(),
        before.as_bytes().into(),
        sql_limit(page.limit + 1).into(),
    ];
    let rows = db.read(Statement::new(ACTIVITY, values)).await?;
    Ok(Page::from_overlong(rows.into_iter().map(read_activity).collect::<Result<_, _>>()?, page.limit))
}

/// Returns at most `limit` entries after `after`, or from the first, oldest first; an empty result means the end.
///
/// # Errors
/// Fails if the store fails.
pub async fn following(
    db: &dyn Database,
    reach: Reach,
    filter: &Filter,
    after: Option<EntryId>,
    limit: usize,
) -> Result<Vec<Entry>, Error> {
    let sql = match (filter.resource_id, reach) {
        (Some(_), _) => OLDEST_OF_RESOURCE,
        (None, Reach::Environment(_)) => OLDEST_OF_ENVIRONMENT,
        (None, Reach::Organization(_)) => OLDEST,
    };
    let (since, until) = filter.range();
    let range = (after.map_or(since, |after| after.max(since)), until);
    db.read(Statement::new(sql, filter.values(reach, range, limit))).await?.into_iter().map(read).collect()
}

/// Deletes the oldest entries before this time, at most `limit`. Returns their number; 0 means the end.
///
/// # Errors
/// Fails if the store fails.
pub async fn forget_before(db: &dyn Database, before: Timestamp, limit: usize) -> Result<usize, Error> {
    let values = vec![EntryId::before_all_at(before).as_bytes().into(), sql_limit(limit).into()];
    match db.write("delete old audit log entries", vec![Statement::new(DELETE_OLD, values)]).await? {
        Written::Committed(rows) => Ok(rows.first().map_or(0, Vec::len)),
        Written::Unmet(_) => Ok(0),
    }
}

fn insert(
    organization: OrganizationId,
    environment: Option<EnvironmentId>,
    context: &AuditContext,
    action: Action,
    resource: Option<&[u8; 16]>,
    change: &Change,
) -> Statement {
    Statement::new(INSERT, values(organization, environment, context, action, resource, change))
}

/// Returns the values of the columns of an entry.
fn values(
    organization: OrganizationId,
    environment: Option<EnvironmentId>,
    context: &AuditContext,
    action: Action,
    resource: Option<&[u8; 16]>,
    change: &Change,
) -> Vec<Value> {
    let AuditContext { entry, at: _, actor, address, request_id } = context;
    let json = |fields: &Option<Map<String, Json>>| {
        fields.as_ref().map(|fields| serde_json::to_string(fields).expect("a map with texts for keys is JSON"))
    };
    vec![
        entry.as_bytes().into(),
        organization.as_bytes().into(),
        environment.as_ref().map(EnvironmentId::as_bytes).into(),
        actor.kind().into(),
        actor.id().as_ref().map(ResourceId::as_bytes).into(),
        actor.name().into(),
        address.map(|address| address.to_string()).into(),
        request_id.as_deref().into(),
        action.as_str().into(),
        action.resource_type().into(),
        resource.into(),
        json(&change.before).into(),
        json(&change.after).into(),
    ]
}

fn read_activity(row: Row) -> Result<Activity, Error> {
    let mut columns = row.columns();
    Ok(Activity {
        id: columns.id("entry id", EntryId::from_bytes)?,
        actor_kind: columns.text("actor_kind")?,
        action: columns.text("action")?,
        endpoint: columns.id("endpoint id", EndpointId::from_bytes)?,
        before: columns.optional_text("before")?,
        after: columns.optional_text("after")?,
        deleted: columns.optional_text("before")?,
    })
}

fn read(row: Row) -> Result<Entry, Error> {
    let mut columns = row.columns();
    Ok(Entry {
        id: columns.id("entry id", EntryId::from_bytes)?,
        organization: columns.id("organization id", OrganizationId::from_bytes)?,
        environment: columns.optional_id("environment id", EnvironmentId::from_bytes)?,
        actor_kind: columns.text("actor_kind")?,
        actor_id: columns.optional_id("actor id", ResourceId::from_bytes)?,
        actor_name: columns.optional_text("actor_name")?,
        address: columns.optional_text("address")?,
        request_id: columns.optional_text("request_id")?,
        action: columns.text("action")?,
        resource_type: columns.text("resource_type")?,
        resource_id: columns.optional_id("resource id", ResourceId::from_bytes)?,
        before: columns.optional_text("before")?,
        after: columns.optional_text("after")?,
    })
}
