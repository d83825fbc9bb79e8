//! Signing secrets of endpoints: reading, revealing, rotating.

use std::sync::LazyLock;

use hookstream_model::{
    base::{ids::ApplicationId, secret::Secret, time::Timestamp},
    identity::tenancy::Tenant,
    operations::audit_log::{Action, AuditContext, Change, fields::Fields},
    outbound::{endpoint::Endpoint, signature::SECRETS_IN_GRACE_MAX},
};

use super::{EndpointKey, TABLE, read_endpoint};
use crate::{
    db::{
        changes,
        error::Error,
        listeners::EndpointChangeKind,
        sealed_write,
        statement::{Database, Row, Statement, Written},
        vault::{self, Vault},
    },
    outbound::idempotency::{self, NewResponse},
};

/// Columns of [`read_with_secrets`] after the fields.
const WITH_ALL_SECRETS: &str = "config, version, secret, previous_secrets";

static WITH_SECRETS: LazyLock<String> =
    LazyLock::new(|| TABLE.select(WITH_ALL_SECRETS, "environment_id = $1 and application_id = $2 and changed_at_version > $3 order by id"));

static FIND_WITH_SECRETS: LazyLock<String> =
    LazyLock::new(|| TABLE.select(WITH_ALL_SECRETS, "environment_id = $1 and application_id = $2 and id = $3"));

const ROTATE: &str = concat!(
    "update endpoints set previous_secrets = $5, secret = $6, updated_at = $7, ",
    set_version!(),
    " where environment_id = $1 and application_id = $2 and id = $3 and version = $4"
);

/// Endpoint with its signing secrets.
#[derive(Debug)]
pub struct WithSecrets {
    /// Endpoint.
    pub endpoint: Endpoint,
    /// Current secret.
    pub secret: Secret,
    /// Rotated secrets with the end of their use; some may have ended.
    pub rotated: Vec<(Secret, Timestamp)>,
}

/// Returns the endpoints of an application with their secrets, oldest first, for the engine's routes. With a version
/// of the application, only endpoints changed since then.
///
/// # Errors
/// Fails if the store fails.
pub async fn with_secrets_since(
    db: &dyn Database,
    tenant: Tenant,
    application: ApplicationId,
    version: Option<i64>,
) -> Result<Vec<WithSecrets>, Error> {
    let values = vec![tenant.environment.as_bytes().into(), application.as_bytes().into(), version.unwrap_or(-1).into()];
    let rows = db.read(Statement::new(&WITH_SECRETS, values)).await?;
    rows.into_iter().map(|row| read_with_secrets(db.vault(), row).map(|(found, _)| found)).collect()
}

/// Returns all endpoints of an application with their secrets, oldest first.
///
/// # Errors
/// Fails if the store fails.
pub async fn all_with_secrets(db: &dyn Database, tenant: Tenant, application: ApplicationId) -> Result<Vec<WithSecrets>, Error> {
    with_secrets_since(db, tenant, application, None).await
}

/// Returns an endpoint with all its signing secrets.
///
/// # Errors
/// Fails if the store fails.
pub async fn find_with_secrets(db: &dyn Database, key: EndpointKey) -> Result<Option<WithSecrets>, Error> {
    Ok(find_versioned_with_secrets(db, key).await?.map(|(found, _)| found))
}

/// Returns the secrets of an endpoint for display to the actor. Stores an audit entry about that first.
///
/// # Errors
/// Fails if the store fails.
pub async fn reveal_secrets(db: &dyn Database, context: &AuditContext, key: EndpointKey) -> Result<Option<WithSecrets>, Error> {
    let Some(found) = find_with_secrets(db, key).await? else { return Ok(None) };
    let change = Change::done(&Fields::default().with("application_id", key.application_id.to_string()));
    db.write("record the reveal of a secret", vec![key.entry(context, Action::EndpointRevealSecret, &change)]).await?;
    Ok(Some(found))
}

/// New secret of an endpoint.
#[derive(Debug)]
pub struct Rotation<'a> {
    /// Secret.
    pub secret: &'a Secret,
    /// End of the previous secret's use.
    pub old_until: Timestamp,
}

/// Result of a rotation.
#[derive(Debug, PartialEq, Eq)]
pub enum Rotated {
    /// The endpoint has the new secret.
    Done,
    /// No such endpoint.
    NotFound,
    /// The endpoint already has this secret.
    Same,
    /// The maximum number of rotated secrets is in use; the first of them ends at `until`.
    TooMany {
        /// End of the first secret's use.
        until: Timestamp,
    },
    /// The idempotency key already has a response.
    KeyTaken,
}

/// Gives an endpoint a new secret. The previous secret and those rotated earlier sign until their ends.
///
/// # Errors
/// Fails if the store fails.
pub async fn rotate_secret(
    db: &dyn Database,
    context: &AuditContext,
    key: EndpointKey,
    rotation: Rotation<'_>,
    response: Option<NewResponse>,
) -> Result<Rotated, Error> {
    let Rotation { secret, old_until } = rotation;
    let change = Change::done(&Fields::default().with("previous_secret_expires_at", old_until.to_string()));
    let stored = response.map(|response| idempotency::store_statements(db, key.tenant, response)).transpose()?;
    let stored: Vec<Statement> = stored.into_iter().flatten().collect();
    let key_index = stored.len().checked_sub(1);
    loop {
        let Some((found, version)) = find_versioned_with_secrets(db, key).await? else { return Ok(Rotated::NotFound) };
        if found.secret == *secret {
            return Ok(Rotated::Same);
        }
        let mut rotated = found.rotated;
        rotated.retain(|(old, until)| *until > context.at && old != secret);
        if old_until > context.at {
            rotated.push((found.secret, old_until));
        }
        if rotated.len() > SECRETS_IN_GRACE_MAX {
            let until = rotated.iter().map(|(_, until)| *until).min().unwrap_or(context.at);
            return Ok(Rotated::TooMany { until });
        }
        // A secret is sealed for its column, so the old secret is sealed again for the other column.
        let sealed = match rotated.as_slice() {
            [] => None,
            rotated => Some(db.vault().seal(&vault::previous_secrets_of(key.id), &write_rotated(rotated))?),
        };
        let new = db.vault().seal(&vault::secret_of(key.id), secret.expose())?;
        let mut values = key.values();
        values.extend([version.into(), sealed.into(), new.into(), context.at.into()]);
        let mut statements = stored.clone();
        statements.extend([
            changes::touch(key.tenant, key.application_id),
            Statement::new(ROTATE, values).required(),
            key.record(EndpointChangeKind::Updated),
            key.entry(context, Action::EndpointRotateSecret, &change),
        ]);
        statements.extend(key.events(context, Action::EndpointRotateSecret, &change));
        match sealed_write::write(db, "rotate a signing secret", statements).await? {
            Written::Committed(_) => return Ok(Rotated::Done),
            Written::Unmet(index) if Some(index) == key_index => return Ok(Rotated::KeyTaken),
            // Changed concurrently: start again from the current state.
            Written::Unmet(_) => {}
        }
    }
}

/// Returns the form in which rotated secrets are encrypted together.
fn write_rotated(rotated: &[(Secret, Timestamp)]) -> String {
    let pairs: Vec<_> = rotated.iter().map(|(secret, until)| (secret.expose(), until.as_millis())).collect();
    serde_json::to_string(&pairs).expect("texts and numbers are JSON")
}

/// Reads the form of [`write_rotated`].
fn read_rotated(text: &str) -> Result<Vec<(Secret, Timestamp)>, Error> {
    let pairs: Vec<(String, i64)> = serde_json::from_str(text).map_err(|_| Error::Unreadable { what: "previous_secrets" })?;
    Ok(pairs.into_iter().map(|(secret, until)| (Secret::new(secret), Timestamp::from_millis(until))).collect())
}

async fn find_versioned_with_secrets(db: &dyn Database, key: EndpointKey) -> Result<Option<(WithSecrets, i64)>, Error> {
    let rows = db.read(Statement::new(&FIND_WITH_SECRETS, key.values())).await?;
    rows.into_iter().next().map(|row| read_with_secrets(db.vault(), row)).transpose()
}

fn read_with_secrets(vault: &Vault, row: Row) -> Result<(WithSecrets, i64), Error> {
    let mut columns = row.columns();
    let endpoint = read_endpoint(vault, &mut columns)?;
    let version = columns.integer("version")?;
    let secret = Secret::new(vault.open(&vault::secret_of(endpoint.id), &columns.text("secret")?)?);
    let sealed = columns.optional_text("previous_secrets")?;
    let opened = sealed.map(|sealed| vault.open(&vault::previous_secrets_of(endpoint.id), &sealed)).transpose()?;
    let rotated = opened.map_or_else(|| Ok(Vec::new()), |text| read_rotated(&text))?;
    Ok((WithSecrets { endpoint, secret, rotated }, version))
}
