//! The audit log: an entry for each change, written in the commit of the change, listed, and never changed again.
//!
//! The functions that change what is configured take the [`AuditContext`] that it is and add [`entry`] to their statements.
//! Both databases refuse to change an entry; they go by [`forget_before`] only, when their time is over.

use hookstream_model::{
    base::{
        ids::{EntryId, EnvironmentId, OrganizationId, ResourceId, UserId},
        time::Timestamp,
    },
    identity::{member::Role, tenancy::Tenant},
    operations::audit_log::{Action, AuditContext, Change},
};
use serde_json::{Map, Value as Json};

use crate::{
    db::{
        error::Error,
        page::{ABOVE_ALL, Page, PageRequest, sql_limit},
        statement::{Database, Row, Statement, Value, Written},
    },
    identity::members,
};

macro_rules! columns {
    () => {
        "id, organization_id, environment_id, actor_kind, actor_id, actor_name, address, request_id, action, resource_type, resource_id,
            before, after"
    };
}

/// A filter that is empty lets all through. What stands in `among` is what an index is about.
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

/// An act that is recorded twice leaves one entry.
const INSERT: &str = concat!(
    "insert into audit_log (",
    columns!(),
    ") values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) on conflict do nothing"
);
const NEWEST: &str = select!("", " desc");
const NEWEST_OF_ENVIRONMENT: &str = select!(" and environment_id = $7", " desc");
const NEWEST_OF_RESOURCE: &str = select!(" and resource_id = $8", " desc");
const OLDEST: &str = select!("", "");
const OLDEST_OF_ENVIRONMENT: &str = select!(" and environment_id = $7", "");
const OLDEST_OF_RESOURCE: &str = select!(" and resource_id = $8", "");
const FORGET: &str = "delete from audit_log where id in (select id from audit_log where id < $1 order by id limit $2) returning id";
const ORGANIZATIONS: &str = "select id from organizations order by id";

/// So many entries are written in one transaction at the most.
const TOGETHER: usize = 500;

/// An entry as it is kept. Its words may be of a newer version, so they are read as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id, made when it was done.
    pub id: EntryId,
    /// Whose it is.
    pub organization: OrganizationId,
    /// The environment; `None` where it is about the organization as a whole.
    pub environment: Option<EnvironmentId>,
    /// What kind of actor did it.
    pub actor_kind: String,
    /// Which of the kind.
    pub actor_id: Option<ResourceId>,
    /// What people knew it by.
    pub actor_name: Option<String>,
    /// Where the request came from.
    pub address: Option<String>,
    /// The request's id.
    pub request_id: Option<String>,
    /// What was done.
    pub action: String,
    /// To what kind of resource.
    pub resource_type: String,
    /// To which.
    pub resource_id: Option<ResourceId>,
    /// How it was, as the text of a JSON object.
    pub before: Option<String>,
    /// How it is since, as the text of a JSON object.
    pub after: Option<String>,
}

/// Whose entries are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Those of an environment, and nothing that is about its organization as a whole.
    Environment(Tenant),
    /// All of an organization.
    Organization(OrganizationId),
}

/// Which entries; what is left out lets all through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Filter {
    /// What was done.
    pub action: Option<Action>,
    /// Who did it.
    pub actor_id: Option<ResourceId>,
    /// To what kind of resource.
    pub resource_type: Option<&'static str>,
    /// To which.
    pub resource_id: Option<ResourceId>,
    /// Then or later.
    pub since: Option<Timestamp>,
    /// Before then.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// The ids between which they are.
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

/// The statement that keeps the entry of an act, for the transaction of what it does.
pub(crate) fn entry(tenant: Tenant, act: &AuditContext, action: Action, resource: &[u8; 16], change: &Change) -> Statement {
    insert(tenant.organization, Some(tenant.environment), act, action, Some(resource), change)
}

/// The same of what is about an organization as a whole.
pub(crate) fn entry_of_organization(
    organization: OrganizationId,
    act: &AuditContext,
    action: Action,
    resource: &[u8; 16],
    change: &Change,
) -> Statement {
    insert(organization, None, act, action, Some(resource), change)
}

/// The statements that keep the entry of an act about a person: each of their organizations has it.
pub(crate) async fn entries_of_person(
    db: &dyn Database,
    user: UserId,
    act: &AuditContext,
    action: Action,
    change: &Change,
) -> Result<Vec<Statement>, Error> {
    let of = |(number, (organization, _)): (u64, (OrganizationId, Role))| {
        entry_of_organization(organization, &act.with_entry_of(number), action, user.as_bytes(), change)
    };
    Ok((0..).zip(members::roles(db, user).await?).map(of).collect())
}

/// Keeps the entry of an act that changes no row of what is configured.
///
/// # Errors
/// Where the store fails.
pub async fn record(
    db: &dyn Database,
    act: &AuditContext,
    tenant: Tenant,
    action: Action,
    resource: ResourceId,
    change: &Change,
) -> Result<(), Error> {
    db.write("write to the audit log", vec![entry(tenant, act, action, resource.as_bytes(), change)]).await.map(|_| ())
}

/// Keeps an entry of something that concerns the installation, with each organization. `act` makes the act anew for
/// each of them.
///
/// # Errors
/// Where the store fails; some organizations may have it then.
pub async fn record_everywhere(
    db: &dyn Database,
    act: &mut (dyn FnMut() -> AuditContext + Send),
    action: Action,
    change: &Change,
) -> Result<(), Error> {
    let organizations = db.read(Statement::new(ORGANIZATIONS, vec![])).await?;
    let read = |row: Row| row.columns().id("organization id", OrganizationId::from_bytes);
    let organizations = organizations.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
    for some in organizations.chunks(TOGETHER) {
        let statements = some.iter().map(|organization| insert(*organization, None, &act(), action, None, change)).collect();
        db.write("write to the audit log", statements).await?;
    }
    Ok(())
}

/// A page of entries, newest first.
///
/// # Errors
/// Where the store fails.
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

/// At most `limit` entries after one, or from the first, oldest first; none means the end.
///
/// # Errors
/// Where the store fails.
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

/// Removes the oldest entries of before a moment, at most `limit`. Returns how many; none means the end.
///
/// # Errors
/// Where the store fails.
pub async fn forget_before(db: &dyn Database, before: Timestamp, limit: usize) -> Result<usize, Error> {
    let values = vec![EntryId::before_all_at(before).as_bytes().into(), sql_limit(limit).into()];
    match db.write("delete old audit log entries", vec![Statement::new(FORGET, values)]).await? {
        Written::Committed(rows) => Ok(rows.first().map_or(0, Vec::len)),
        Written::Unmet(_) => Ok(0),
    }
}

fn insert(
    organization: OrganizationId,
    environment: Option<EnvironmentId>,
    act: &AuditContext,
    action: Action,
    resource: Option<&[u8; 16]>,
    change: &Change,
) -> Statement {
    let AuditContext { entry, at: _, actor, address, request_id } = act;
    let json = |fields: &Option<Map<String, Json>>| {
        fields.as_ref().map(|fields| serde_json::to_string(fields).expect("a map with texts for keys is JSON"))
    };
    let values = vec![
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
    ];
    Statement::new(INSERT, values)
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
