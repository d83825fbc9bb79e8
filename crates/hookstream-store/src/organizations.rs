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
const INSERT_ENVIRONMENT: &str = "insert into environments (id, organization_id, name, slug, created_at) values ($1, $2, $3, $4, $5)";
const FIRST: &str = "select organization_id, id from environments order by id limit 1";

/// The name of the organization that the first start makes.
pub const DEFAULT_ORGANIZATION: &str = "default";
/// The name and slug of its environment.
pub const DEFAULT_ENVIRONMENT: &str = "production";

/// Makes the organization `default` with the environment `production`.
///
/// # Errors
/// Where the store fails.
pub async fn create_default(
    db: &dyn Database,
    organization: OrganizationId,
    environment: EnvironmentId,
    now: Timestamp,
) -> Result<Tenant, Error> {
    let statements = vec![
        Statement::new(INSERT_ORGANIZATION, vec![organization.as_bytes().into(), DEFAULT_ORGANIZATION.into(), now.into()]),
        Statement::new(
            INSERT_ENVIRONMENT,
            vec![
                environment.as_bytes().into(),
                organization.as_bytes().into(),
                DEFAULT_ENVIRONMENT.into(),
                DEFAULT_ENVIRONMENT.into(),
                now.into(),
            ],
        ),
    ];
    db.write("make the default organization", statements).await?;
    Ok(Tenant { organization, environment })
}

/// The oldest environment, where there is any: the one that the first start made.
///
/// # Errors
/// Where the store fails.
pub async fn first(db: &dyn Database) -> Result<Option<Tenant>, Error> {
    let rows = db.read(Statement::new(FIRST, vec![])).await?;
    rows.into_iter().next().map(read_tenant).transpose()
}

fn read_tenant(row: Row) -> Result<Tenant, Error> {
    let mut columns = row.columns();
    Ok(Tenant {
        organization: columns.id("organization id", OrganizationId::from_bytes)?,
        environment: columns.id("environment id", EnvironmentId::from_bytes)?,
    })
}
