//! Lists of endpoints: of an application, and of an environment with a filter.

use std::sync::LazyLock;

use hookstream_model::{
    base::{
        ids::{ApplicationId, EndpointId},
        secret::Secret,
        time::Timestamp,
    },
    identity::tenancy::Tenant,
    outbound::endpoint::Endpoint,
};

use super::{TABLE, WITH_SECRET, read};
use crate::db::{
    error::Error,
    page::{ABOVE_ALL, Page, PageRequest, sql_limit},
    statement::{Database, Statement},
};

static LIST: LazyLock<String> =
    LazyLock::new(|| TABLE.select(WITH_SECRET, "environment_id = $1 and application_id = $2 and id < $3 order by id desc limit $4"));

const COUNT: &str = "select count(*) from endpoints where environment_id = $1";

static FIND_ANYWHERE: LazyLock<String> = LazyLock::new(|| TABLE.select(WITH_SECRET, "environment_id = $1 and id = $2"));

static LIST_ALL: LazyLock<String> = LazyLock::new(|| {
    let shown_status = "case when expires_at <= $4 then 'expired' else status end";
    TABLE.select(WITH_SECRET, &format!("environment_id = $1 and id < $2 and ($3 = '' or {shown_status} = $3) order by id desc limit $5"))
});

/// Condition of the index `endpoints_in_trouble`, which is used only with exactly these words.
const IN_TROUBLE: &str = "(failing_since is not null or hold_reason is not null or disabled_reason is not null)";

static LIST_IN_TROUBLE: LazyLock<String> = LazyLock::new(|| {
    let is_failing = "(failing_since is not null or hold_reason = 'failing' or disabled_reason is not null)";
    let shown_status = "case when expires_at <= $4 then 'expired' else status end";
    TABLE.select(
        WITH_SECRET,
        &format!(
            "environment_id = $1 and id < $2 and ($3 = '' or {shown_status} = $3) and {IN_TROUBLE} and {is_failing} order by id desc limit $5"
        ),
    )
});

const IDS: &str = "select id from endpoints where environment_id = $1 and application_id = $2 order by id";

/// Returns a page of an application's endpoints, newest first.
///
/// # Errors
/// Fails if the store fails.
pub async fn list(
    db: &dyn Database,
    tenant: Tenant,
    application: ApplicationId,
    page: PageRequest<EndpointId>,
) -> Result<Page<(Endpoint, Secret)>, Error> {
    let after = page.after.map_or(ABOVE_ALL, |id| *id.as_bytes());
    let values =
        vec![tenant.environment.as_bytes().into(), application.as_bytes().into(), (&after).into(), sql_limit(page.limit + 1).into()];
    let rows = db.read(Statement::new(&LIST, values)).await?;
    let endpoints =
        rows.into_iter().map(|row| read(db.vault(), row).map(|(endpoint, _, secret)| (endpoint, secret))).collect::<Result<_, _>>()?;
    Ok(Page::from_overlong(endpoints, page.limit))
}

/// Returns the number of an environment's endpoints.
///
/// # Errors
/// Fails if the store fails.
pub async fn count(db: &dyn Database, tenant: Tenant) -> Result<u64, Error> {
    let rows = db.read(Statement::new(COUNT, vec![tenant.environment.as_bytes().into()])).await?;
    let number = rows.into_iter().next().ok_or(Error::Unreadable { what: "count" })?.columns().integer("count")?;
    u64::try_from(number).map_err(|_| Error::Unreadable { what: "count" })
}

/// Returns an endpoint, whatever its application.
///
/// # Errors
/// Fails if the store fails.
pub async fn find_in_environment(db: &dyn Database, tenant: Tenant, id: EndpointId) -> Result<Option<Endpoint>, Error> {
    let values = vec![tenant.environment.as_bytes().into(), id.as_bytes().into()];
    let rows = db.read(Statement::new(&FIND_ANYWHERE, values)).await?;
    Ok(rows.into_iter().next().map(|row| read(db.vault(), row)).transpose()?.map(|(endpoint, ..)| endpoint))
}

/// Filter of an environment's endpoints.
#[derive(Debug, Clone, Copy, Default)]
pub struct EndpointFilter {
    /// Status as it is shown: that of the endpoint, or `expired`.
    pub status: Option<&'static str>,
    /// Only endpoints that fail, have an open circuit breaker, or were disabled by Hookstream.
    pub is_failing: bool,
}

/// Returns a page of an environment's endpoints, newest first.
///
/// # Errors
/// Fails if the store fails.
pub async fn list_all(
    db: &dyn Database,
    tenant: Tenant,
    filter: EndpointFilter,
    now: Timestamp,
    page: PageRequest<EndpointId>,
) -> Result<Page<(Endpoint, Secret)>, Error> {
    let after = page.after.map_or(ABOVE_ALL, |id| *id.as_bytes());
    let status = filter.status.unwrap_or_default();
    let values = vec![tenant.environment.as_bytes().into(), (&after).into(), status.into(), now.into(), sql_limit(page.limit + 1).into()];
    let sql: &'static str = if filter.is_failing { &LIST_IN_TROUBLE } else { &LIST_ALL };
    let rows = db.read(Statement::new(sql, values)).await?;
    let endpoints =
        rows.into_iter().map(|row| read(db.vault(), row).map(|(endpoint, _, secret)| (endpoint, secret))).collect::<Result<_, _>>()?;
    Ok(Page::from_overlong(endpoints, page.limit))
}

/// Returns the ids of an application's endpoints, oldest first.
///
/// # Errors
/// Fails if the store fails.
pub async fn ids(db: &dyn Database, tenant: Tenant, application: ApplicationId) -> Result<Vec<EndpointId>, Error> {
    let rows = db.read(Statement::new(IDS, vec![tenant.environment.as_bytes().into(), application.as_bytes().into()])).await?;
    rows.into_iter().map(|row| row.columns().id("endpoint id", EndpointId::from_bytes)).collect()
}
