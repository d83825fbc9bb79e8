//! Requests of the device flow: a program requests an API key, and a signed-in user approves it.

use hookstream_model::{
    base::{
        ids::{EnvironmentId, OrganizationId, UserId},
        time::Timestamp,
    },
    identity::{
        device::UserCode,
        tenancy::{ApiKey, ApiKeyText, KeyHash, Tenant},
    },
    operations::audit_log::AuditContext,
};

use crate::{
    db::{
        error::Error,
        statement::{Columns, Database, Row, Statement},
    },
    identity::api_keys,
};

macro_rules! columns {
    () => {
        "user_code, name, address, user_id, organization_id, environment_id, denied, created_at, expires_at, last_asked_at"
    };
}

const INSERT: &str = "insert into device_codes (hash, user_code, name, address, created_at, expires_at) values ($1, $2, $3, $4, $5, $6)";
const DELETE_EXPIRED: &str = "delete from device_codes where expires_at <= $1";
const FIND: &str = concat!("select ", columns!(), " from device_codes where hash = $1");
const FIND_OPEN: &str =
    concat!("select ", columns!(), " from device_codes where user_code = $1 and expires_at > $2 and user_id is null and denied = 0");
const RECORD_POLL: &str = "update device_codes set last_asked_at = $2 where hash = $1";
const ALLOW: &str = "update device_codes set user_id = $3, organization_id = $4, environment_id = $5
    where user_code = $1 and expires_at > $2 and user_id is null and denied = 0";
const DENY: &str = "update device_codes set denied = 1 where user_code = $1 and expires_at > $2 and user_id is null and denied = 0";
const TAKE: &str = "delete from device_codes where hash = $1 and user_id is not null";

/// Request of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCode {
    /// Code shown to the user.
    pub user_code: UserCode,
    /// Name of the program.
    pub name: String,
    /// Address of the program.
    pub address: Option<String>,
    /// Approving user and the approved environment.
    pub allowed: Option<(UserId, Tenant)>,
    /// Whether a user refused the request.
    pub is_denied: bool,
    /// Time of the request.
    pub created_at: Timestamp,
    /// End of the request's validity.
    pub expires_at: Timestamp,
    /// Time of the program's last poll.
    pub last_asked_at: Option<Timestamp>,
}

/// Stores a request. Returns false if another request has the code.
///
/// # Errors
/// Fails if the store fails.
pub async fn create(db: &dyn Database, code: &DeviceCode, hash: KeyHash) -> Result<bool, Error> {
    let values = vec![
        hash.as_bytes().into(),
        code.user_code.as_str().into(),
        code.name.as_str().into(),
        code.address.as_deref().into(),
        code.created_at.into(),
        code.expires_at.into(),
    ];
    let statements = vec![Statement::new(DELETE_EXPIRED, vec![code.created_at.into()]), Statement::new(INSERT, values)];
    match db.write("store a device code", statements).await {
        Ok(_) => Ok(true),
        Err(Error::Conflict { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns an undecided request by its code.
///
/// # Errors
/// Fails if the store fails.
pub async fn find_open(db: &dyn Database, code: &UserCode, now: Timestamp) -> Result<Option<DeviceCode>, Error> {
    let rows = db.read(Statement::new(FIND_OPEN, vec![code.as_str().into(), now.into()])).await?;
    rows.into_iter().next().map(read).transpose()
}

/// Approves a request. Returns whether it was still open.
///
/// # Errors
/// Fails if the store fails.
pub async fn allow(db: &dyn Database, code: &UserCode, user: UserId, tenant: Tenant, now: Timestamp) -> Result<bool, Error> {
    let values = vec![
        code.as_str().into(),
        now.into(),
        user.as_bytes().into(),
        tenant.organization.as_bytes().into(),
        tenant.environment.as_bytes().into(),
    ];
    Ok(db.write("allow a device code", vec![Statement::new(ALLOW, values).required()]).await?.is_committed())
}

/// Refuses a request. Returns whether it was still open.
///
/// # Errors
/// Fails if the store fails.
pub async fn deny(db: &dyn Database, code: &UserCode, now: Timestamp) -> Result<bool, Error> {
    let deny = Statement::new(DENY, vec![code.as_str().into(), now.into()]).required();
    Ok(db.write("refuse a device code", vec![deny]).await?.is_committed())
}

/// Returns a request as it was before this poll, and records the poll.
///
/// # Errors
/// Fails if the store fails.
pub async fn poll(db: &dyn Database, hash: KeyHash, now: Timestamp) -> Result<Option<DeviceCode>, Error> {
    let rows = db.read(Statement::new(FIND, vec![hash.as_bytes().into()])).await?;
    let Some(found) = rows.into_iter().next().map(read).transpose()? else { return Ok(None) };
    db.write("record a device's request", vec![Statement::new(RECORD_POLL, vec![hash.as_bytes().into(), now.into()])]).await?;
    Ok(Some(found))
}

/// Redeems an approved request once: stores the key and deletes the request. Returns whether it existed.
///
/// # Errors
/// Fails if the store fails.
pub async fn redeem(db: &dyn Database, context: &AuditContext, hash: KeyHash, key: &ApiKey, text: &ApiKeyText) -> Result<bool, Error> {
    let statements = vec![
        Statement::new(TAKE, vec![hash.as_bytes().into()]).required(),
        api_keys::insert(key, text, context.at).required(),
        api_keys::creation_entry(context, key),
    ];
    Ok(db.write("redeem a device code", statements).await?.is_committed())
}

fn read(row: Row) -> Result<DeviceCode, Error> {
    let mut columns: Columns = row.columns();
    Ok(DeviceCode {
        user_code: columns.word("user_code", UserCode::parse)?,
        name: columns.text("name")?,
        address: columns.optional_text("address")?,
        allowed: {
            let user = columns.optional_id("user id", UserId::from_bytes)?;
            let organization = columns.optional_id("organization id", OrganizationId::from_bytes)?;
            let environment = columns.optional_id("environment id", EnvironmentId::from_bytes)?;
            let tenant = organization.zip(environment).map(|(organization, environment)| Tenant { organization, environment });
            user.zip(tenant)
        },
        is_denied: columns.integer("denied")? != 0,
        created_at: columns.time("created_at")?,
        expires_at: columns.time("expires_at")?,
        last_asked_at: columns.optional_time("last_asked_at")?,
    })
}
