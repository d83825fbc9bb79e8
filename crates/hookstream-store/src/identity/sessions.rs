//! Sessions of signed-in users.

use std::net::IpAddr;

use hookstream_model::{
    base::{
        ids::{EnvironmentId, OrganizationId, SessionId, UserId},
        time::Timestamp,
    },
    identity::{
        session::{Method, OVERLAP, Policy, Session, SessionText},
        tenancy::{KeyHash, Tenant},
        user::{Email, User},
    },
    operations::audit_log::{Action, AuditContext, Change, fields::Fields},
};

use crate::{
    db::{
        error::Error,
        statement::{Columns, Database, Row, Statement, Value},
    },
    identity::{memberships, user_rows::read_user},
};

macro_rules! columns {
    () => {
        "s.id, s.user_id, s.organization_id, s.environment_id, s.method, s.address, s.user_agent, s.created_at, s.renewed_at,
        s.last_seen_at, s.expires_at"
    };
}

const INSERT: &str = "insert into sessions (id, user_id, organization_id, environment_id, method, address, user_agent, created_at,
    renewed_at, last_seen_at, expires_at, hash) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
const FIND: &str = concat!(
    "select ",
    columns!(),
    ", u.id, u.email, u.name, u.created_at from sessions s join users u on u.id = s.user_id
        where s.hash = $1 or (s.previous_hash = $1 and s.previous_until > $2)"
);
const LIST: &str = concat!("select ", columns!(), " from sessions s where s.user_id = $1 order by s.id desc limit 1000");
const ADDRESSES: &str = "select distinct s.address from sessions s join users u on u.id = s.user_id where u.email = $1 limit 1000";
const RECORD_USE: &str = "update sessions set last_seen_at = $2 where id = $1 and last_seen_at < $2";
const RENEW: &str = "update sessions set previous_hash = hash, previous_until = $4, hash = $3, renewed_at = $5
    where id = $1 and renewed_at = $2";
const SWITCH: &str = "update sessions set organization_id = $2, environment_id = $3 where id = $1";
const END: &str = "delete from sessions where user_id = $1 and id = $2";
const END_OTHERS: &str = "delete from sessions where user_id = $1 and id <> $2";
const DELETE_ENDED: &str = "delete from sessions where expires_at < $1 or last_seen_at < $2";

/// Creates a session.
///
/// # Errors
/// Fails if the store fails.
pub async fn create(db: &dyn Database, context: &AuditContext, session: &Session, text: &SessionText) -> Result<(), Error> {
    let fields = Fields::default().with("session_id", session.id.to_string()).with("method", session.method.word());
    let mut statements = memberships::entries_of_person(db, session.user, context, Action::PersonSignIn, &Change::done(&fields)).await?;
    statements.push(insert(session, text));
    db.write("create a session", statements).await?;
    Ok(())
}

pub(crate) fn insert(session: &Session, text: &SessionText) -> Statement {
    let values = vec![
        session.id.as_bytes().into(),
        session.user.as_bytes().into(),
        session.tenant.map(|tenant| Value::from(tenant.organization.as_bytes())).unwrap_or(Value::Null),
        session.tenant.map(|tenant| Value::from(tenant.environment.as_bytes())).unwrap_or(Value::Null),
        session.method.word().into(),
        session.address.as_deref().into(),
        session.user_agent.as_deref().into(),
        session.created_at.into(),
        session.renewed_at.into(),
        session.last_seen_at.into(),
        session.expires_at.into(),
        text.hash().as_bytes().into(),
    ];
    Statement::new(INSERT, values)
}

/// Returns the addresses from which an account's sessions began; none for an unknown account.
///
/// # Errors
/// Fails if the store fails.
pub async fn addresses(db: &dyn Database, email: &Email) -> Result<Vec<IpAddr>, Error> {
    let rows = db.read(Statement::new(ADDRESSES, vec![email.as_str().into()])).await?;
    let read = |row: Row| Ok(row.columns().optional_text("address")?.and_then(|text| text.parse().ok()));
    rows.into_iter().filter_map(|row| read(row).transpose()).collect()
}

/// Returns the session of a token and its user. The caller must check whether the session has expired.
///
/// # Errors
/// Fails if the store fails.
pub async fn find(db: &dyn Database, hash: KeyHash, now: Timestamp) -> Result<Option<(Session, User)>, Error> {
    let rows = db.read(Statement::new(FIND, vec![hash.as_bytes().into(), now.into()])).await?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let mut columns = row.columns();
    let session = read(&mut columns)?;
    Ok(Some((session, read_user(&mut columns)?)))
}

/// Returns a user's sessions, newest first.
///
/// # Errors
/// Fails if the store fails.
pub async fn list(db: &dyn Database, user: UserId) -> Result<Vec<Session>, Error> {
    let rows = db.read(Statement::new(LIST, vec![user.as_bytes().into()])).await?;
    rows.into_iter().map(|row| read(&mut row.columns())).collect()
}

/// Records the use of a session.
///
/// # Errors
/// Fails if the store fails.
pub async fn record_use(db: &dyn Database, id: SessionId, now: Timestamp) -> Result<(), Error> {
    db.write("record the use of a session", vec![Statement::new(RECORD_USE, vec![id.as_bytes().into(), now.into()])]).await?;
    Ok(())
}

/// Gives a session a new token; the previous one is accepted for a short time. Returns false if the session was
/// renewed meanwhile.
///
/// # Errors
/// Fails if the store fails.
pub async fn renew(db: &dyn Database, session: &Session, text: &SessionText, now: Timestamp) -> Result<bool, Error> {
    let values =
        vec![session.id.as_bytes().into(), session.renewed_at.into(), text.hash().as_bytes().into(), (now + OVERLAP).into(), now.into()];
    Ok(db.write("renew a session", vec![Statement::new(RENEW, values).required()]).await?.is_committed())
}

/// Sets the environment for a session's requests that name none.
///
/// # Errors
/// Fails if the store fails.
pub async fn switch_to(db: &dyn Database, id: SessionId, tenant: Tenant) -> Result<(), Error> {
    let values = vec![id.as_bytes().into(), tenant.organization.as_bytes().into(), tenant.environment.as_bytes().into()];
    db.write("switch the environment of a session", vec![Statement::new(SWITCH, values)]).await?;
    Ok(())
}

/// Ends one of a user's sessions. Returns whether it existed.
///
/// # Errors
/// Fails if the store fails.
pub async fn end(db: &dyn Database, context: &AuditContext, user: UserId, id: SessionId) -> Result<bool, Error> {
    let mut statements = vec![Statement::new(END, vec![user.as_bytes().into(), id.as_bytes().into()]).required()];
    let change = Change::done(&Fields::default().with("session_id", id.to_string()));
    statements.extend(memberships::entries_of_person(db, user, context, Action::PersonEndSessions, &change).await?);
    Ok(db.write("end a session", statements).await?.is_committed())
}

/// Ends all sessions of a user.
///
/// # Errors
/// Fails if the store fails.
pub async fn end_all(db: &dyn Database, context: &AuditContext, user: UserId) -> Result<(), Error> {
    let mut statements = vec![end_others(user, None)];
    // The entry names no session, because all of them end.
    statements.extend(memberships::entries_of_person(db, user, context, Action::PersonEndSessions, &Change::default()).await?);
    db.write("end sessions", statements).await?;
    Ok(())
}

/// Returns the statement that ends a user's sessions except `kept`.
pub(crate) fn end_others(user: UserId, kept: Option<SessionId>) -> Statement {
    // No session has this id.
    let kept = kept.unwrap_or(SessionId::from_bytes([0; 16]));
    Statement::new(END_OTHERS, vec![user.as_bytes().into(), kept.as_bytes().into()])
}

/// Deletes expired sessions.
///
/// # Errors
/// Fails if the store fails.
pub async fn forget_ended(db: &dyn Database, policy: Policy, now: Timestamp) -> Result<(), Error> {
    db.write("delete ended sessions", vec![Statement::new(DELETE_ENDED, vec![now.into(), (now - policy.idle).into()])]).await?;
    Ok(())
}

fn read(columns: &mut Columns) -> Result<Session, Error> {
    Ok(Session {
        id: columns.id("session id", SessionId::from_bytes)?,
        user: columns.id("user id", UserId::from_bytes)?,
        tenant: {
            let organization = columns.optional_id("organization id", OrganizationId::from_bytes)?;
            let environment = columns.optional_id("environment id", EnvironmentId::from_bytes)?;
            organization.zip(environment).map(|(organization, environment)| Tenant { organization, environment })
        },
        method: columns.word("method", Method::parse)?,
        address: columns.optional_text("address")?,
        user_agent: columns.optional_text("user_agent")?,
        created_at: columns.time("created_at")?,
        renewed_at: columns.time("renewed_at")?,
        last_seen_at: columns.time("last_seen_at")?,
        expires_at: columns.time("expires_at")?,
    })
}
