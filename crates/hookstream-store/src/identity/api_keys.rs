//! API keys, stored as their SHA-256 hash.

use std::sync::LazyLock;

use hookstream_model::{
    base::{ids::ApiKeyId, time::Timestamp},
    identity::{
        scopes::Scopes,
        tenancy::{ApiKey, ApiKeyText, KeyHash, KeyLevel, Tenant, parse_networks},
    },
    operations::audit_log::{Action, AuditContext, Change, fields::Audited},
};

use crate::{
    db::{
        changes,
        error::Error,
        page::{ABOVE_ALL, Page, PageRequest, sql_limit},
        resource::{
            fields::resource_fields,
            stored::Stored,
            table::{Column, ColumnKind, Description, ExtraColumn, Source, Table},
        },
        statement::{Database, Row, Statement},
    },
    operations::audit_log,
    outbound::{
        applications::{Created, create_with_response, read_tenant},
        idempotency::NewResponse,
    },
};

resource_fields!(ApiKey, |key, columns| {
    fixed id: ApiKeyId;
    fixed tenant = [
        "organization_id" Bytes = key.tenant.organization.as_bytes(),
        "environment_id" Bytes = key.tenant.environment.as_bytes(),
    ] read read_tenant(columns)?;
    fixed name: String;
    fixed level = ["level" Text = key.level.as_str()] read columns.word("level", |text| KeyLevel::parse(text).ok())?;
    fixed scopes = ["scopes" Text = key.scopes.to_string()] read columns.word("scopes", |text| Scopes::parse(text).ok())?;
    fixed networks = ["networks" Text = networks_text(key).to_value()] read {
        let texts = columns.stored::<Option<Vec<String>>>("networks")?.unwrap_or_default();
        parse_networks("networks", &texts).map_err(|_| Error::Unreadable { what: "networks" })?
    };
    fixed expires_at: Option<Timestamp>;
});

const DESCRIPTION: Description<ApiKey> = Description {
    name: "api_keys",
    key: &["environment_id", "id"],
    fields: FIELDS,
    extra: &[
        ExtraColumn::given("hash", ColumnKind::Bytes, Source::Omitted),
        ExtraColumn::given("prefix", ColumnKind::Text, Source::Omitted),
        ExtraColumn::given("created_at", ColumnKind::Integer, Source::Omitted),
        ExtraColumn::unwritten("revoked_at", ColumnKind::Integer),
        ExtraColumn::unwritten("last_used_at", ColumnKind::Integer),
        ExtraColumn::unwritten("request_count", ColumnKind::Integer),
    ],
};
pub(crate) const COLUMNS: &[Column] = &DESCRIPTION.columns::<{ DESCRIPTION.width() }>();
static TABLE: Table<ApiKey> = Table::new(DESCRIPTION);

/// Columns of [`read_listed`] after the fields.
const LISTED: &str = "prefix, created_at, revoked_at, last_used_at, request_count";

static INSERT: LazyLock<String> = LazyLock::new(|| format!("{} on conflict do nothing returning id", DESCRIPTION.insert_text()));
static FIND: LazyLock<String> = LazyLock::new(|| {
    TABLE.select(
        "",
        "hash = $1 and revoked_at is null and exists (select 1 from environments e join organizations o on o.id = e.organization_id
            where e.id = api_keys.environment_id and e.deleted_at is null and o.deleted_at is null)",
    )
});
static FIND_BY_ID: LazyLock<String> = LazyLock::new(|| TABLE.select(LISTED, "environment_id = $1 and id = $2"));
static LIST: LazyLock<String> = LazyLock::new(|| TABLE.select(LISTED, "environment_id = $1 and id < $2 order by id desc limit $3"));
const REVOKE: &str = "update api_keys set revoked_at = $3 where environment_id = $1 and id = $2 and revoked_at is null";
/// Ends the old key of a rotation at the given time, unless it ends earlier.
const END: &str = "update api_keys set expires_at = case when expires_at is null or expires_at > $3 then $3 else expires_at end
    where environment_id = $1 and id = $2 and revoked_at is null";
const ANY: &str = "select id from api_keys limit 1";
const RECORD_USE: &str = "update api_keys set request_count = request_count + $2,
    last_used_at = case when last_used_at is null or last_used_at < $3 then $3 else last_used_at end where id = $1";

/// API key as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Key.
    pub key: ApiKey,
    /// First characters of the key's text.
    pub prefix: String,
    /// Creation time.
    pub created_at: Timestamp,
    /// Time of revocation.
    pub revoked_at: Option<Timestamp>,
    /// Time of the last use, accurate to some seconds.
    pub last_used_at: Option<Timestamp>,
    /// Number of uses, except those of the last seconds.
    pub request_count: u64,
}

/// Uses of a key since they were last recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// Key id.
    pub id: ApiKeyId,
    /// Number of uses.
    pub count: u32,
    /// Time of the last use.
    pub at: Timestamp,
}

/// Stores a key. Returns whether it is new.
///
/// # Errors
/// Fails if the store fails.
pub async fn create(db: &dyn Database, context: &AuditContext, key: &ApiKey, text: &ApiKeyText) -> Result<bool, Error> {
    let statements = vec![insert(key, text, context.at).required(), creation_entry(context, key)];
    Ok(db.write("store an API key", statements).await?.is_committed())
}

/// Stores a key together with the response that shows it.
///
/// # Errors
/// Fails if the store fails.
pub async fn create_idempotent(
    db: &dyn Database,
    context: &AuditContext,
    key: &ApiKey,
    text: &ApiKeyText,
    response: Option<NewResponse>,
) -> Result<Created, Error> {
    create_with_response(
        db,
        "store an API key",
        key.tenant,
        vec![insert(key, text, context.at), creation_entry(context, key)],
        None,
        response,
    )
    .await
}

/// Stores a key that replaces another, which ends at `old_until`. Stores nothing if the old key no longer exists. The
/// audit entry is about the old key and names the new one.
///
/// # Errors
/// Fails if the store fails.
pub async fn replace(
    db: &dyn Database,
    context: &AuditContext,
    old: &ApiKey,
    old_until: Timestamp,
    key: &ApiKey,
    text: &ApiKeyText,
    response: Option<NewResponse>,
) -> Result<Created, Error> {
    let end = Statement::new(END, vec![key.tenant.environment.as_bytes().into(), old.id.as_bytes().into(), old_until.into()]);
    let mut statements = vec![end.required(), insert(key, text, context.at)];
    statements.extend(changes::of_environment(key.tenant));
    let ended = ApiKey { expires_at: Some(old_until), ..old.clone() };
    let after = ended.fields().with("new_key_id", key.id.to_string()).with("new_key_expires_at", key.expires_at.map(|at| at.to_string()));
    let change = Change::of(&old.fields(), &after).unwrap_or_default();
    statements.push(audit_log::entry(key.tenant, context, Action::ApiKeyRotate, old.id.as_bytes(), &change));
    create_with_response(db, "rotate an API key", key.tenant, statements, None, response).await
}

/// Returns whether any API key was ever created, including revoked ones.
///
/// # Errors
/// Fails if the store fails.
pub async fn is_any(db: &dyn Database) -> Result<bool, Error> {
    Ok(!db.read(Statement::new(ANY, vec![])).await?.is_empty())
}

/// Returns the key with this hash, unless it was revoked or its environment is deleted.
///
/// # Errors
/// Fails if the store fails.
pub async fn find(db: &dyn Database, hash: KeyHash) -> Result<Option<ApiKey>, Error> {
    let rows = db.read(Statement::new(&FIND, vec![hash.as_bytes().into()])).await?;
    rows.into_iter().next().map(|row| read_fields(&mut row.columns())).transpose()
}

/// Returns a key of an environment, revoked or not.
///
/// # Errors
/// Fails if the store fails.
pub async fn find_listed(db: &dyn Database, tenant: Tenant, id: ApiKeyId) -> Result<Option<Listed>, Error> {
    let rows = db.read(Statement::new(&FIND_BY_ID, vec![tenant.environment.as_bytes().into(), id.as_bytes().into()])).await?;
    rows.into_iter().next().map(read_listed).transpose()
}

/// Returns a page of an environment's keys, newest first, including revoked ones.
///
/// # Errors
/// Fails if the store fails.
pub async fn list(db: &dyn Database, tenant: Tenant, page: PageRequest<ApiKeyId>) -> Result<Page<Listed>, Error> {
    let after = page.after.map_or(ABOVE_ALL, |id| *id.as_bytes());
    let values = vec![tenant.environment.as_bytes().into(), (&after).into(), sql_limit(page.limit + 1).into()];
    let rows = db.read(Statement::new(&LIST, values)).await?;
    let keys = rows.into_iter().map(read_listed).collect::<Result<_, _>>()?;
    Ok(Page::from_overlong(keys, page.limit))
}

/// Revokes a key. Returns whether it existed and was not revoked.
///
/// # Errors
/// Fails if the store fails.
pub async fn revoke(db: &dyn Database, context: &AuditContext, tenant: Tenant, id: ApiKeyId) -> Result<bool, Error> {
    let Some(found) = find_listed(db, tenant, id).await? else { return Ok(false) };
    let revoke = Statement::new(REVOKE, vec![tenant.environment.as_bytes().into(), id.as_bytes().into(), context.at.into()]);
    let mut statements = vec![revoke.required()];
    statements.extend(changes::of_environment(tenant));
    statements.push(audit_log::entry(tenant, context, Action::ApiKeyRevoke, id.as_bytes(), &Change::removed(&found.key)));
    Ok(db.write("revoke an API key", statements).await?.is_committed())
}

/// Records uses of keys.
///
/// # Errors
/// Fails if the store fails.
pub async fn record_uses(db: &dyn Database, uses: &[Use]) -> Result<(), Error> {
    let record = |used: &Use| Statement::new(RECORD_USE, vec![used.id.as_bytes().into(), used.count.into(), used.at.into()]);
    db.write("record the use of API keys", uses.iter().map(record).collect()).await?;
    Ok(())
}

/// Returns the audit entry of a created key.
pub(crate) fn creation_entry(context: &AuditContext, key: &ApiKey) -> Statement {
    audit_log::entry(key.tenant, context, Action::ApiKeyCreate, key.id.as_bytes(), &Change::created(key))
}

pub(crate) fn insert(key: &ApiKey, text: &ApiKeyText, now: Timestamp) -> Statement {
    let given = [text.hash().as_bytes().into(), text.prefix().into(), now.into()];
    Statement { sql: &INSERT, ..TABLE.insert(key, given) }
}

/// Returns the stored form of a key's networks; `None` for any network.
fn networks_text(key: &ApiKey) -> Option<Vec<String>> {
    (!key.networks.is_empty()).then(|| key.networks.iter().map(ToString::to_string).collect())
}

fn read_listed(row: Row) -> Result<Listed, Error> {
    let mut columns = row.columns();
    Ok(Listed {
        key: read_fields(&mut columns)?,
        prefix: columns.text("prefix")?,
        created_at: columns.time("created_at")?,
        revoked_at: columns.optional_time("revoked_at")?,
        last_used_at: columns.optional_time("last_used_at")?,
        request_count: u64::try_from(columns.integer("request_count")?).unwrap_or_default(),
    })
}
