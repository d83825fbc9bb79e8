//! Responses stored under an idempotency key, so that a repeated request gets the same response.
//!
//! Responses are sealed in their rows, because one may contain a signing secret or an API key. Only for plain
//! resources; a message's key is stored beside the message, in the same commit.

use hookstream_model::{base::time::Timestamp, identity::tenancy::Tenant};

use crate::{
    db::{
        error::Error,
        sealed_write,
        statement::{Database, Row, Statement},
        vault,
    },
    delivery::deliveries::IdempotencyKey,
};

const FIND: &str = "select fingerprint, status, body from idempotency_keys where environment_id = $1 and key = $2 and created_at >= $3";
const INSERT: &str = "insert into idempotency_keys (environment_id, key, fingerprint, status, body, created_at)
    values ($1, $2, $3, $4, $5, $6) on conflict do nothing returning key";
const DELETE_OLD: &str = "delete from idempotency_keys where created_at < $1";

/// Response to store.
#[derive(Debug, Clone)]
pub struct NewResponse {
    /// Key and hash of the request.
    pub key: IdempotencyKey,
    /// HTTP status.
    pub status: u16,
    /// Body as JSON.
    pub body: String,
    /// Time of the response.
    pub created_at: Timestamp,
    /// Start of the window in which responses are repeated; older ones may be replaced.
    pub window_start: Timestamp,
}

/// Stored response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredResponse {
    /// Hash of the request.
    pub fingerprint: [u8; 32],
    /// HTTP status.
    pub status: u16,
    /// Body as JSON.
    pub body: String,
}

/// Returns the response stored under a key since `window_start`.
///
/// # Errors
/// Fails if the store fails or is locked.
pub async fn find(db: &dyn Database, tenant: Tenant, key: &str, window_start: Timestamp) -> Result<Option<StoredResponse>, Error> {
    let values = vec![tenant.environment.as_bytes().into(), key.into(), window_start.into()];
    let rows = db.read(Statement::new(FIND, values)).await?;
    let mut found = rows.into_iter().next().map(read).transpose()?;
    if let Some(response) = &mut found {
        response.body = db.vault().open(&vault::response_of(tenant.environment, key), &response.body)?;
    }
    Ok(found)
}

/// Returns the statements that store a response in the transaction of the change it reports. The last of them is
/// unmet if the key already has a response. Only for [`sealed_write::write`].
pub(crate) fn store_statements(db: &dyn Database, tenant: Tenant, response: NewResponse) -> Result<[Statement; 2], Error> {
    let sealed = db.vault().seal(&vault::response_of(tenant.environment, &response.key.key), &response.body)?;
    let values = vec![
        tenant.environment.as_bytes().into(),
        response.key.key.into(),
        (&response.key.fingerprint).into(),
        u32::from(response.status).into(),
        sealed.into(),
        response.created_at.into(),
    ];
    Ok([Statement::new(DELETE_OLD, vec![response.window_start.into()]), Statement::new(INSERT, values).required()])
}

/// Stores a response that reports no change, unless the key already has one.
///
/// # Errors
/// Fails if the store fails.
pub async fn store(db: &dyn Database, tenant: Tenant, response: NewResponse) -> Result<(), Error> {
    sealed_write::write(db, "store a response", store_statements(db, tenant, response)?.into()).await.map(|_| ())
}

fn read(row: Row) -> Result<StoredResponse, Error> {
    let mut columns = row.columns();
    let fingerprint = columns.blob("fingerprint")?;
    Ok(StoredResponse {
        fingerprint: fingerprint.try_into().map_err(|_| Error::Unreadable { what: "fingerprint" })?,
        status: columns.integer("status")?.try_into().map_err(|_| Error::Unreadable { what: "status" })?,
        body: columns.text("response")?,
    })
}
