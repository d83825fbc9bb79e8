//! API keys, kept as their SHA-256.

use hookstream_model::{
    ids::{ApiKeyId, EnvironmentId, OrganizationId},
    tenancy::{ApiKey, ApiKeyText, KeyHash, Tenant},
    time::Timestamp,
};

use crate::{
    error::Error,
    statement::{Database, Row, Statement},
};

const INSERT: &str = "insert into api_keys (id, organization_id, environment_id, name, hash, prefix, created_at)
    values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing returning id";
const FIND: &str = "select id, organization_id, environment_id, name from api_keys where hash = $1 and revoked_at is null";

/// Keeps a key. Returns whether it is new.
///
/// # Errors
/// Where the store fails.
pub async fn create(db: &dyn Database, key: &ApiKey, text: &ApiKeyText, now: Timestamp) -> Result<bool, Error> {
    let statement = Statement::new(
        INSERT,
        vec![
            key.id.as_bytes().into(),
            key.tenant.organization.as_bytes().into(),
            key.tenant.environment.as_bytes().into(),
            key.name.as_str().into(),
            text.hash().as_bytes().into(),
            text.prefix().into(),
            now.into(),
        ],
    );
    Ok(db.write("keep an API key", vec![statement.required()]).await?.is_committed())
}

/// The key with this hash, unless it was revoked.
///
/// # Errors
/// Where the store fails.
pub async fn find(db: &dyn Database, hash: KeyHash) -> Result<Option<ApiKey>, Error> {
    let rows = db.read(Statement::new(FIND, vec![hash.as_bytes().into()])).await?;
    rows.into_iter().next().map(read).transpose()
}

fn read(row: Row) -> Result<ApiKey, Error> {
    let mut columns = row.columns();
    Ok(ApiKey {
        id: columns.id("API key id", ApiKeyId::from_bytes)?,
        tenant: Tenant {
            organization: columns.id("organization id", OrganizationId::from_bytes)?,
            environment: columns.id("environment id", EnvironmentId::from_bytes)?,
        },
        name: columns.text("API key name")?,
    })
}
