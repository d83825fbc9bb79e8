//! Environments: what each may keep, and its weight.

use hookstream_model::{
    audit_log::{Act, Action, Change},
    environment::Environment,
    ids::{EnvironmentId, OrganizationId},
    tenancy::Tenant,
};

use crate::{
    audit_log, changes,
    error::Error,
    statement::{Columns, Database, Row, Statement, Value},
};

macro_rules! columns {
    () => {
        "id, organization_id, name, slug, retention_days, payload_retention_days, max_payload_bytes, weight, created_at, version"
    };
}

/// The most environments of an organization that are listed.
const LISTED: i64 = 1_000;

const LIST: &str = concat!("select ", columns!(), " from environments where organization_id = $1 order by id limit $2");
const FIND: &str = concat!("select ", columns!(), " from environments where organization_id = $1 and id = $2");
const ALL: &str = concat!("select ", columns!(), " from environments order by id");
const UPDATE: &str = "update environments set name = $4, slug = $5, retention_days = $6, payload_retention_days = $7,
        max_payload_bytes = $8, weight = $9
    where organization_id = $1 and id = $2 and version = $3";

/// What came of changing one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// It is this now.
    Done(Environment),
    /// There is none.
    NotThere,
    /// Another of the organization has the slug.
    SlugTaken,
}

/// An organization's environments, oldest first.
///
/// # Errors
/// Where the store fails.
pub async fn list(db: &dyn Database, organization: OrganizationId) -> Result<Vec<Environment>, Error> {
    let rows = db.read(Statement::new(LIST, vec![organization.as_bytes().into(), LISTED.into()])).await?;
    rows.into_iter().map(|row| read(row).map(|(environment, _)| environment)).collect()
}

/// One of an organization's environments.
///
/// # Errors
/// Where the store fails.
pub async fn find(db: &dyn Database, organization: OrganizationId, id: EnvironmentId) -> Result<Option<Environment>, Error> {
    Ok(find_versioned(db, organization, id).await?.map(|(environment, _)| environment))
}

/// All there are, for whoever keeps their limits.
///
/// # Errors
/// Where the store fails.
pub async fn all(db: &dyn Database) -> Result<Vec<Environment>, Error> {
    db.read(Statement::new(ALL, vec![])).await?.into_iter().map(|row| read(row).map(|(environment, _)| environment)).collect()
}

/// Changes an environment with `change`, which may refuse.
///
/// # Errors
/// Where the store fails, or with what `change` says.
pub async fn update<E: From<Error>>(
    db: &dyn Database,
    act: &Act,
    tenant: Tenant,
    change: impl Fn(&mut Environment) -> Result<(), E>,
) -> Result<Changed, E> {
    let Tenant { organization, environment: id } = tenant;
    loop {
        let Some((before, version)) = find_versioned(db, organization, id).await? else { return Ok(Changed::NotThere) };
        let mut environment = before.clone();
        change(&mut environment)?;
        let values = vec![
            organization.as_bytes().into(),
            id.as_bytes().into(),
            version.into(),
            environment.name.as_str().into(),
            environment.slug.as_str().into(),
            environment.retention_days.into(),
            environment.payload_retention_days.into(),
            environment.max_payload_bytes.map_or(Value::Null, |bytes| Value::Integer(i64::try_from(bytes).unwrap_or(i64::MAX))),
            environment.weight.into(),
        ];
        let mut statements = vec![Statement::new(UPDATE, values).required()];
        // Its version grows, so that of two changes at once none is lost.
        statements.extend(changes::of_environment(tenant));
        if let Some(change) = Change::between(&before, &environment) {
            statements.push(audit_log::entry(tenant, act, Action::EnvironmentUpdate, id.as_bytes(), &change));
        }
        match db.write("change an environment", statements).await {
            Ok(written) if written.is_committed() => return Ok(Changed::Done(environment)),
            // Somebody changed it in between: start from what it is now.
            Ok(_) => {}
            Err(Error::Conflict { .. }) => return Ok(Changed::SlugTaken),
            Err(error) => return Err(error.into()),
        }
    }
}

async fn find_versioned(db: &dyn Database, organization: OrganizationId, id: EnvironmentId) -> Result<Option<(Environment, i64)>, Error> {
    let rows = db.read(Statement::new(FIND, vec![organization.as_bytes().into(), id.as_bytes().into()])).await?;
    rows.into_iter().next().map(read).transpose()
}

fn read(row: Row) -> Result<(Environment, i64), Error> {
    let mut columns: Columns = row.columns();
    let environment = Environment {
        id: columns.id("environment id", EnvironmentId::from_bytes)?,
        organization_id: columns.id("organization id", OrganizationId::from_bytes)?,
        name: columns.text("name")?,
        slug: columns.text("slug")?,
        retention_days: columns.optional_u32("retention_days")?,
        payload_retention_days: columns.optional_u32("payload_retention_days")?,
        max_payload_bytes: columns
            .optional_integer("max_payload_bytes")?
            .map(|bytes| u64::try_from(bytes).map_err(|_| Error::Unreadable { what: "max_payload_bytes" }))
            .transpose()?,
        weight: columns.optional_u32("weight")?,
        created_at: columns.time("created_at")?,
    };
    Ok((environment, columns.integer("version")?))
}
