//! Answers that are kept under an idempotency key, so that the same request answers the same again.
//!
//! They are sealed in their rows, since one may show a signing secret or an API key.
//! Here for plain resources; a message's key stands beside the message, in the same commit.

use hookstream_model::{base::time::Timestamp, identity::tenancy::Tenant};

use crate::{
    db::{
        error::Error,
        statement::{Database, Row, Statement},
        vault,
    },
    delivery::deliveries::IdempotencyKey,
};

const FIND: &str = "select fingerprint, status, body from idempotency_keys where environment_id = $1 and key = $2 and created_at >= $3";
const INSERT: &str = "insert into idempotency_keys (environment_id, key, fingerprint, status, body, created_at)
    values ($1, $2, $3, $4, $5, $6) on conflict do nothing returning key";
const FORGET: &str = "delete from idempotency_keys where created_at < $1";

/// An answer to keep with what it answered.
#[derive(Debug, Clone)]
pub struct StoredAnswer {
    /// The key and the hash of its request.
    pub key: IdempotencyKey,
    /// The HTTP status.
    pub status: u16,
    /// The body, JSON.
    pub body: String,
    /// When it was given.
    pub created_at: Timestamp,
    /// From when on earlier answers count; older ones may be replaced.
    pub window_start: Timestamp,
}

/// An answer that was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// The hash of the request it answered.
    pub fingerprint: [u8; 32],
    /// The HTTP status.
    pub status: u16,
    /// The body, JSON.
    pub body: String,
}

/// The answer kept under a key since `window_start`.
///
/// # Errors
/// Where the store fails or is locked.
pub async fn find(db: &dyn Database, tenant: Tenant, key: &str, window_start: Timestamp) -> Result<Option<StoredResponse>, Error> {
    let values = vec![tenant.environment.as_bytes().into(), key.into(), window_start.into()];
    let rows = db.read(Statement::new(FIND, values)).await?;
    let mut found = rows.into_iter().next().map(read).transpose()?;
    if let Some(answer) = &mut found {
        answer.body = db.vault().open(&vault::answer_of(tenant.environment, key), &answer.body)?;
    }
    Ok(found)
}

/// The statements that keep an answer in the same transaction as what it tells of. The last of them
/// is unmet where the key has an answer already. They are for [`vault::write`].
pub(crate) fn keep(db: &dyn Database, tenant: Tenant, answer: StoredAnswer) -> Result<[Statement; 2], Error> {
    let sealed = db.vault().seal(&vault::answer_of(tenant.environment, &answer.key.key), &answer.body)?;
    let values = vec![
        tenant.environment.as_bytes().into(),
        answer.key.key.into(),
        (&answer.key.fingerprint).into(),
        u32::from(answer.status).into(),
        sealed.into(),
        answer.created_at.into(),
    ];
    Ok([Statement::new(FORGET, vec![answer.window_start.into()]), Statement::new(INSERT, values).required()])
}

/// Keeps an answer that tells of nothing new, unless the key has one already.
///
/// # Errors
/// Where the store fails.
pub async fn keep_alone(db: &dyn Database, tenant: Tenant, answer: StoredAnswer) -> Result<(), Error> {
    vault::write(db, "store an answer", keep(db, tenant, answer)?.into()).await.map(|_| ())
}

fn read(row: Row) -> Result<StoredResponse, Error> {
    let mut columns = row.columns();
    let fingerprint = columns.blob("fingerprint")?;
    Ok(StoredResponse {
        fingerprint: fingerprint.try_into().map_err(|_| Error::Unreadable { what: "fingerprint" })?,
        status: columns.integer("status")?.try_into().map_err(|_| Error::Unreadable { what: "status" })?,
        body: columns.text("answer")?,
    })
}
