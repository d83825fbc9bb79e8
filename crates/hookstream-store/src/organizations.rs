//! Organizations and their environments.

use hookstream_model::{
    ids::{EnvironmentId, OrganizationId},
    tenancy::Tenant,
    time::Timestamp,
};

use crate::{
    error::Error,
    statement::{Database, Row, Statement},
};

const INSERT_ORGANIZATION: &str = "insert into organizations (id, name, created_at) values ($1, $2, $3)";
const INSERT_ENVIRONMENT: &str = "insert into environments (id, organization_id, name, slug, created_at, version)
    values ($1, $2, $3, $4, $5, 1)";
const TAKE_DEFAULT: &str = "insert into settings (name, value) values ('default_organization', $1) on conflict do nothing";
const VERSION: &str = "select version from environments where id = $1";
const FIRST: &str = "select organization_id, id from environments order by id limit 1";

/// The name of the organization that the first start makes.
pub const DEFAULT_ORGANIZATION: &str = "default";
/// The name and slug of its environment.
pub const DEFAULT_ENVIRONMENT: &str = "production";

/// Makes the organization `default` with the environment `production`, unless it was made before: of
/// two nodes that start at once, one makes it. Returns whether this one did.
///
/// # Errors
/// Where the store fails.
pub async fn create_default(db: &dyn Database, tenant: Tenant, now: Timestamp) -> Result<bool, Error> {
    let mut statements = vec![Statement::new(TAKE_DEFAULT, vec![now.to_string().into()]).required()];
    statements.extend(inserts(tenant, DEFAULT_ORGANIZATION, DEFAULT_ENVIRONMENT, now));
    Ok(db.write("make the default organization", statements).await?.is_committed())
}

/// Makes an organization with an environment.
///
/// # Errors
/// Where the store fails.
pub async fn create(db: &dyn Database, tenant: Tenant, name: &str, environment: &str, now: Timestamp) -> Result<(), Error> {
    db.write("make an organization", inserts(tenant, name, environment, now).into()).await?;
    Ok(())
}

fn inserts(tenant: Tenant, name: &str, environment: &str, now: Timestamp) -> [Statement; 2] {
    let Tenant { organization, environment: environment_id } = tenant;
    [
        Statement::new(INSERT_ORGANIZATION, vec![organization.as_bytes().into(), name.into(), now.into()]),
        Statement::new(
            INSERT_ENVIRONMENT,
            vec![environment_id.as_bytes().into(), organization.as_bytes().into(), environment.into(), environment.into(), now.into()],
        ),
    ]
}

/// The oldest environment, where there is any: the one that the first start made.
///
/// # Errors
/// Where the store fails.
pub async fn first(db: &dyn Database) -> Result<Option<Tenant>, Error> {
    let rows = db.read(Statement::new(FIRST, vec![])).await?;
    rows.into_iter().next().map(read_tenant).transpose()
}

/// The version of an environment's event types; 0 where there is no such environment.
///
/// # Errors
/// Where the store fails.
pub async fn version(db: &dyn Database, environment: EnvironmentId) -> Result<i64, Error> {
    let rows = db.read(Statement::new(VERSION, vec![environment.as_bytes().into()])).await?;
    rows.into_iter().next().map_or(Ok(0), |row| row.columns().integer("version"))
}

fn read_tenant(row: Row) -> Result<Tenant, Error> {
    let mut columns = row.columns();
    Ok(Tenant {
        organization: columns.id("organization id", OrganizationId::from_bytes)?,
        environment: columns.id("environment id", EnvironmentId::from_bytes)?,
    })
}
