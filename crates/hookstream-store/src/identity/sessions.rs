//! Sessions of people who signed in.

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
    identity::users::read_user,
    operations::audit_log,
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
const SEE: &str = "update sessions set last_seen_at = $2 where id = $1 and last_seen_at < $2";
const RENEW: &str = "update sessions set previous_hash = hash, previous_until = $4, hash = $3, renewed_at = $5
    where id = $1 and renewed_at = $2";
const TURN: &str = "update sessions set organization_id = $2, environment_id = $3 where id = $1";
const END: &str = "delete from sessions where user_id = $1 and id = $2";
const END_OTHERS: &str = "delete from sessions where user_id = $1 and id <> $2";
const FORGET: &str = "delete from sessions where expires_at < $1 or last_seen_at < $2";

/// Begins a session.
///
/// # Errors
/// Where the store fails.
pub async fn create(db: &dyn Database, act: &AuditContext, session: &Session, text: &SessionText) -> Result<(), Error> {
    let told = Fields::default().with("session_id", session.id.to_string()).with("method", session.method.word());
    let mut statements = audit_log::entries_of_person(db, session.user, act, Action::PersonSignIn, &Change::done(&told)).await?;
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

/// The addresses that an account's sessions began from; none where there is no such account.
///
/// # Errors
/// Where the store fails.
pub async fn addresses(db: &dyn Database, email: &Email) -> Result<Vec<IpAddr>, Error> {
    let rows = db.read(Statement::new(ADDRESSES, vec![email.as_str().into()])).await?;
    let read = |row: Row| Ok(row.columns().optional_text("address")?.and_then(|text| text.parse().ok()));
    rows.into_iter().filter_map(|row| read(row).transpose()).collect()
}

/// The session of a token, and whose it is. Whether it still lasts is for the caller to see.
///
/// # Errors
/// Where the store fails.
pub async fn find(db: &dyn Database, hash: KeyHash, now: Timestamp) -> Result<Option<(Session, User)>, Error> {
    let rows = db.read(Statement::new(FIND, vec![hash.as_bytes().into(), now.into()])).await?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let mut columns = row.columns();
    let session = read(&mut columns)?;
    Ok(Some((session, read_user(&mut columns)?)))
}

/// Somebody's sessions, newest first.
///
/// # Errors
/// Where the store fails.
pub async fn list(db: &dyn Database, user: UserId) -> Result<Vec<Session>, Error> {
    let rows = db.read(Statement::new(LIST, vec![user.as_bytes().into()])).await?;
    rows.into_iter().map(|row| read(&mut row.columns())).collect()
}

/// Notes that a session was used.
///
/// # Errors
/// Where the store fails.
pub async fn see(db: &dyn Database, id: SessionId, now: Timestamp) -> Result<(), Error> {
    db.write("record the use of a session", vec![Statement::new(SEE, vec![id.as_bytes().into(), now.into()])]).await?;
    Ok(())
}

/// Gives a session another token; the one before is taken for a moment longer. Returns whether it was not renewed meanwhile.
///
/// # Errors
/// Where the store fails.
pub async fn renew(db: &dyn Database, session: &Session, text: &SessionText, now: Timestamp) -> Result<bool, Error> {
    let values =
        vec![session.id.as_bytes().into(), session.renewed_at.into(), text.hash().as_bytes().into(), (now + OVERLAP).into(), now.into()];
    Ok(db.write("renew a session", vec![Statement::new(RENEW, values).required()]).await?.is_committed())
}

/// Sets where a session's requests go that do not say.
///
/// # Errors
/// Where the store fails.
pub async fn turn_to(db: &dyn Database, id: SessionId, tenant: Tenant) -> Result<(), Error> {
    let values = vec![id.as_bytes().into(), tenant.organization.as_bytes().into(), tenant.environment.as_bytes().into()];
    db.write("switch the environment of a session", vec![Statement::new(TURN, values)]).await?;
    Ok(())
}

/// Ends one of somebody's sessions. Returns whether it was there.
///
/// # Errors
/// Where the store fails.
pub async fn end(db: &dyn Database, act: &AuditContext, user: UserId, id: SessionId) -> Result<bool, Error> {
    let mut statements = vec![Statement::new(END, vec![user.as_bytes().into(), id.as_bytes().into()]).required()];
    let told = Change::done(&Fields::default().with("session_id", id.to_string()));
    statements.extend(audit_log::entries_of_person(db, user, act, Action::PersonEndSessions, &told).await?);
    Ok(db.write("end a session", statements).await?.is_committed())
}

/// Ends all of somebody's sessions.
///
/// # Errors
/// Where the store fails.
pub async fn end_all(db: &dyn Database, act: &AuditContext, user: UserId) -> Result<(), Error> {
    let mut statements = vec![end_others(user, None)];
    // No session is named: they all are.
    statements.extend(audit_log::entries_of_person(db, user, act, Action::PersonEndSessions, &Change::default()).await?);
    db.write("end sessions", statements).await?;
    Ok(())
}

/// The statement that ends somebody's sessions but for one.
pub(crate) fn end_others(user: UserId, kept: Option<SessionId>) -> Statement {
    // No session has this id.
    let kept = kept.unwrap_or(SessionId::from_bytes([0; 16]));
    Statement::new(END_OTHERS, vec![user.as_bytes().into(), kept.as_bytes().into()])
}

/// Removes sessions that have ended by themselves.
///
/// # Errors
/// Where the store fails.
pub async fn forget_ended(db: &dyn Database, policy: Policy, now: Timestamp) -> Result<(), Error> {
    db.write("delete ended sessions", vec![Statement::new(FORGET, vec![now.into(), (now - policy.idle).into()])]).await?;
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
