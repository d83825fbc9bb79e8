//! Requests of the device flow: programs that ask for an API key, and whoever is signed in allows it.

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
const FORGET: &str = "delete from device_codes where expires_at <= $1";
const FIND: &str = concat!("select ", columns!(), " from device_codes where hash = $1");
const FIND_OPEN: &str =
    concat!("select ", columns!(), " from device_codes where user_code = $1 and expires_at > $2 and user_id is null and denied = 0");
const ASK: &str = "update device_codes set last_asked_at = $2 where hash = $1";
const ALLOW: &str = "update device_codes set user_id = $3, organization_id = $4, environment_id = $5
    where user_code = $1 and expires_at > $2 and user_id is null and denied = 0";
const DENY: &str = "update device_codes set denied = 1 where user_code = $1 and expires_at > $2 and user_id is null and denied = 0";
const TAKE: &str = "delete from device_codes where hash = $1 and user_id is not null";

/// What a program asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCode {
    /// What is shown.
    pub user_code: UserCode,
    /// What the program calls itself.
    pub name: String,
    /// From where it asked.
    pub address: Option<String>,
    /// Who allowed it, and for where.
    pub allowed: Option<(UserId, Tenant)>,
    /// Whether somebody refused.
    pub is_denied: bool,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// Until when it is good.
    pub expires_at: Timestamp,
    /// When the program asked last whether it was allowed.
    pub last_asked_at: Option<Timestamp>,
}

/// Keeps a request. Returns whether its code is nobody else's at the moment.
///
/// # Errors
/// Where the store fails.
pub async fn create(db: &dyn Database, code: &DeviceCode, hash: KeyHash) -> Result<bool, Error> {
    let values = vec![
        hash.as_bytes().into(),
        code.user_code.as_str().into(),
        code.name.as_str().into(),
        code.address.as_deref().into(),
        code.created_at.into(),
        code.expires_at.into(),
    ];
    let statements = vec![Statement::new(FORGET, vec![code.created_at.into()]), Statement::new(INSERT, values)];
    match db.write("store a device code", statements).await {
        Ok(_) => Ok(true),
        Err(Error::Conflict { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A request that nobody has decided about, by what is shown.
///
/// # Errors
/// Where the store fails.
pub async fn find_open(db: &dyn Database, code: &UserCode, now: Timestamp) -> Result<Option<DeviceCode>, Error> {
    let rows = db.read(Statement::new(FIND_OPEN, vec![code.as_str().into(), now.into()])).await?;
    rows.into_iter().next().map(read).transpose()
}

/// Allows a request. Returns whether it was still open.
///
/// # Errors
/// Where the store fails.
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
/// Where the store fails.
pub async fn deny(db: &dyn Database, code: &UserCode, now: Timestamp) -> Result<bool, Error> {
    let deny = Statement::new(DENY, vec![code.as_str().into(), now.into()]).required();
    Ok(db.write("refuse a device code", vec![deny]).await?.is_committed())
}

/// A request as it was before the program asked now, which is noted.
///
/// # Errors
/// Where the store fails.
pub async fn ask(db: &dyn Database, hash: KeyHash, now: Timestamp) -> Result<Option<DeviceCode>, Error> {
    let rows = db.read(Statement::new(FIND, vec![hash.as_bytes().into()])).await?;
    let Some(found) = rows.into_iter().next().map(read).transpose()? else { return Ok(None) };
    db.write("record a device's request", vec![Statement::new(ASK, vec![hash.as_bytes().into(), now.into()])]).await?;
    Ok(Some(found))
}

/// Gives what was allowed, once: the key is kept and the request is over. Returns whether it was there.
///
/// # Errors
/// Where the store fails.
pub async fn redeem(db: &dyn Database, act: &AuditContext, hash: KeyHash, key: &ApiKey, text: &ApiKeyText) -> Result<bool, Error> {
    let statements = vec![
        Statement::new(TAKE, vec![hash.as_bytes().into()]).required(),
        api_keys::insert(key, text, act.at).required(),
        api_keys::made(act, key),
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
