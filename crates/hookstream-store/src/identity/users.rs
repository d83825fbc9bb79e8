//! People: their addresses, what they prove themselves with, and the counts of failures to do so.

use hookstream_model::{
    base::{
        ids::{SessionId, UserId},
        time::Timestamp,
    },
    identity::{
        password::PasswordHash,
        second_factor::SharedSecret,
        sign_in::{Counter, RESET_AFTER},
        user::{Email, User},
    },
    operations::audit_log::{Action, AuditContext, Change, fields::Fields},
};

use crate::{
    db::{
        error::Error,
        statement::{Columns, Database, Row, Statement, Value},
        vault,
    },
    identity::{links, sessions},
    operations::audit_log,
};

macro_rules! columns {
    () => {
        "id, email, name, created_at"
    };
}

const INSERT: &str = "insert into users (id, email, name, password_hash, email_verified_at, created_at, updated_at)
    values ($1, $2, $3, $4, $5, $6, $6)";
const FIND: &str = concat!(
    "select ",
    columns!(),
    ", password_hash, totp_secret, totp_confirmed_at, totp_last_step, recovery_codes, email_verified_at from users where id = $1"
);
const FIND_BY_EMAIL: &str = concat!(
    "select ",
    columns!(),
    ", password_hash, totp_secret, totp_confirmed_at, totp_last_step, recovery_codes, email_verified_at from users where email = $1"
);
const ANY: &str = "select id from users limit 1";
const RENAME: &str = "update users set name = $2, updated_at = $3 where id = $1";
const SET_PASSWORD: &str = "update users set password_hash = $2, updated_at = $3 where id = $1";
const SET_SECRET: &str = "update users set totp_secret = $2, totp_confirmed_at = null, totp_last_step = null, recovery_codes = null,
    updated_at = $3 where id = $1 and totp_confirmed_at is null";
const SECRET: &str = "select totp_secret from users where id = $1";
const CONFIRM: &str = "update users set totp_confirmed_at = $3, totp_last_step = $4, recovery_codes = $5, updated_at = $3
    where id = $1 and totp_secret = $2 and totp_confirmed_at is null";
const REMOVE_SECRET: &str = "update users set totp_secret = null, totp_confirmed_at = null, totp_last_step = null, recovery_codes = null,
    updated_at = $2 where id = $1";
const TAKE_STEP: &str = "update users set totp_last_step = $2 where id = $1 and totp_confirmed_at is not null
    and coalesce(totp_last_step, 0) < $2";
const SET_RECOVERY: &str = "update users set recovery_codes = $3, updated_at = $4 where id = $1 and recovery_codes = $2";
const IDENTITY: &str = "select user_id from identities where provider = $1 and subject = $2";
const IDENTIFY: &str = "insert into identities (provider, subject, user_id, created_at) values ($1, $2, $3, $4) on conflict do nothing";
const IDENTITIES: &str = "select distinct provider from identities where user_id = $1 order by provider limit 100";
/// Whoever has neither a password nor another provider would be locked out.
const UNIDENTIFY: &str = "delete from identities where user_id = $1 and provider = $2
    and (exists (select 1 from users u where u.id = $1 and u.password_hash is not null)
    or exists (select 1 from identities i where i.user_id = $1 and i.provider <> $2))";
/// Whoever connected it before the address was proved may be somebody else, who would come back with it.
const UNIDENTIFY_UNVERIFIED: &str = "delete from identities where user_id = $1
    and exists (select 1 from users u where u.id = $1 and u.email_verified_at is null)";
const VERIFY: &str = "update users set email_verified_at = $2 where id = $1 and email_verified_at is null";
const FAILURES: &str = "select failures, last_at from sign_in_failures where subject = $1";
const COUNT_FAILURE: &str = "insert into sign_in_failures (subject, failures, last_at) values ($1, 1, $2)
    on conflict (subject) do update set last_at = $2,
    failures = case when sign_in_failures.last_at < $3 then 1 else sign_in_failures.failures + 1 end";
const FORGET_FAILURES: &str = "delete from sign_in_failures where subject = $1";
const TAKE_BACK_FAILURE: &str = "update sign_in_failures set failures = failures - 1 where subject = $1 and failures > 0";
const FORGET_OLD_FAILURES: &str = "delete from sign_in_failures where last_at < $1";

/// Somebody with what they prove themselves with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Who it is.
    pub user: User,
    /// The hash of their password, where they have one.
    pub password: Option<PasswordHash>,
    /// The secret of their authenticator, where they have or begin to have one.
    pub secret: Option<SharedSecret>,
    /// Whether the second factor counts: a code of it was shown once.
    pub is_confirmed: bool,
    /// The step of the last code that was taken.
    pub last_step: Option<i64>,
    /// The hashes of the recovery codes that are left.
    pub recovery: Vec<String>,
    /// Whether their address was proved to be theirs: by a link that was sent there, or by a provider.
    pub is_verified: bool,
}

/// Who somebody is at a provider of OpenID Connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity<'a> {
    /// The provider's issuer, which is its name for ever; what people call it may change.
    pub issuer: &'a str,
    /// What it calls them.
    pub subject: &'a str,
}

/// Keeps somebody. Returns whether the address was free.
///
/// # Errors
/// Where the store fails.
pub async fn create(db: &dyn Database, user: &User, password: Option<&PasswordHash>) -> Result<bool, Error> {
    match db.write("store a user", vec![insert(user, password, None)]).await {
        Ok(_) => Ok(true),
        Err(Error::Conflict { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Somebody new; `verified_at` says since when their address is known to be theirs.
pub(crate) fn insert(user: &User, password: Option<&PasswordHash>, verified_at: Option<Timestamp>) -> Statement {
    let values = vec![
        user.id.as_bytes().into(),
        user.email.as_str().into(),
        user.name.as_str().into(),
        password.map(PasswordHash::as_str).into(),
        verified_at.into(),
        user.created_at.into(),
    ];
    Statement::new(INSERT, values)
}

/// Whether there is anybody.
///
/// # Errors
/// Where the store fails.
pub async fn is_any(db: &dyn Database) -> Result<bool, Error> {
    Ok(!db.read(Statement::new(ANY, vec![])).await?.is_empty())
}

/// Somebody by their id.
///
/// # Errors
/// Where the store fails or is locked.
pub async fn find(db: &dyn Database, id: UserId) -> Result<Option<Account>, Error> {
    let rows = db.read(Statement::new(FIND, vec![id.as_bytes().into()])).await?;
    rows.into_iter().next().map(|row| read(db, row)).transpose()
}

/// Somebody by their address.
///
/// # Errors
/// Where the store fails or is locked.
pub async fn find_by_email(db: &dyn Database, email: &Email) -> Result<Option<Account>, Error> {
    let rows = db.read(Statement::new(FIND_BY_EMAIL, vec![email.as_str().into()])).await?;
    rows.into_iter().next().map(|row| read(db, row)).transpose()
}

/// Changes what somebody is called. Returns whether they are there.
///
/// # Errors
/// Where the store fails.
pub async fn rename(db: &dyn Database, act: &AuditContext, user: &User, name: &str) -> Result<bool, Error> {
    let values = vec![user.id.as_bytes().into(), name.into(), act.at.into()];
    let mut statements = vec![Statement::new(RENAME, values).required()];
    let shown = |name: &str| Fields::default().with("name", name);
    if let Some(change) = Change::of(&shown(&user.name), &shown(name)) {
        statements.extend(audit_log::entries_of_person(db, user.id, act, Action::PersonUpdate, &change).await?);
    }
    Ok(db.write("rename a user", statements).await?.is_committed())
}

/// Sets somebody's password, and ends their sessions but for `kept` and the links with which another could be set.
///
/// # Errors
/// Where the store fails.
pub async fn set_password(
    db: &dyn Database,
    act: &AuditContext,
    id: UserId,
    password: &PasswordHash,
    kept: Option<SessionId>,
) -> Result<bool, Error> {
    let mut statements = vec![password_statement(id, password, act.at), sessions::end_others(id, kept), links::end(id)];
    let told = Change::done(&Fields::default().with("with", "password"));
    statements.extend(audit_log::entries_of_person(db, id, act, Action::PersonChangePassword, &told).await?);
    Ok(db.write("set a password", statements).await?.is_committed())
}

pub(crate) fn password_statement(id: UserId, password: &PasswordHash, now: Timestamp) -> Statement {
    Statement::new(SET_PASSWORD, vec![id.as_bytes().into(), password.as_str().into(), now.into()]).required()
}

/// Keeps the secret of a second factor, which does not count yet. Returns whether somebody may have one: who has one
/// that counts gives that up first.
///
/// # Errors
/// Where the store fails or is locked.
pub async fn begin_second_factor(db: &dyn Database, id: UserId, secret: &SharedSecret, now: Timestamp) -> Result<bool, Error> {
    let sealed = db.vault().seal(&vault::totp_secret_of(id), secret.expose())?;
    let values = vec![id.as_bytes().into(), sealed.into(), now.into()];
    Ok(vault::write(db, "store a second factor", vec![Statement::new(SET_SECRET, values).required()]).await?.is_committed())
}

/// Makes a second factor count, and ends all of somebody's sessions but this one. Returns whether it was still to be confirmed.
///
/// # Errors
/// Where the store fails.
pub async fn confirm_second_factor(
    db: &dyn Database,
    act: &AuditContext,
    account: &Account,
    step: i64,
    recovery: &[String],
    kept: SessionId,
) -> Result<bool, Error> {
    let id = account.user.id;
    let rows = db.read(Statement::new(SECRET, vec![id.as_bytes().into()])).await?;
    let Some(sealed) = rows.into_iter().next().map(|row| row.columns().optional_text("totp_secret")).transpose()?.flatten() else {
        return Ok(false);
    };
    if db.vault().open(&vault::totp_secret_of(id), &sealed).ok().as_deref() != account.secret.as_ref().map(SharedSecret::expose) {
        return Ok(false);
    }
    let values = vec![id.as_bytes().into(), sealed.into(), act.at.into(), step.into(), json(recovery)];
    let mut statements = vec![Statement::new(CONFIRM, values).required(), sessions::end_others(id, Some(kept))];
    statements.extend(audit_log::entries_of_person(db, id, act, Action::PersonAddSecondFactor, &Change::default()).await?);
    Ok(db.write("confirm a second factor", statements).await?.is_committed())
}

/// Takes somebody's second factor away.
///
/// # Errors
/// Where the store fails.
pub async fn remove_second_factor(db: &dyn Database, act: &AuditContext, account: &Account) -> Result<(), Error> {
    let id = account.user.id;
    let mut statements = vec![Statement::new(REMOVE_SECRET, vec![id.as_bytes().into(), act.at.into()])];
    // One that was never confirmed did not count.
    if account.is_confirmed {
        statements.extend(audit_log::entries_of_person(db, id, act, Action::PersonRemoveSecondFactor, &Change::default()).await?);
    }
    db.write("remove a second factor", statements).await?;
    Ok(())
}

/// Takes the code of a step. Returns whether neither it nor a later one was taken before.
///
/// # Errors
/// Where the store fails.
pub async fn take_step(db: &dyn Database, id: UserId, step: i64) -> Result<bool, Error> {
    let take = Statement::new(TAKE_STEP, vec![id.as_bytes().into(), step.into()]).required();
    Ok(db.write("use a code", vec![take]).await?.is_committed())
}

/// Puts other recovery codes in the place of `account`'s. Returns whether those were still what they were.
///
/// # Errors
/// Where the store fails.
pub async fn replace_recovery(db: &dyn Database, act: &AuditContext, account: &Account, recovery: &[String]) -> Result<bool, Error> {
    let mut statements = vec![set_recovery(account, recovery, act.at)];
    let told = Change::default();
    statements.extend(audit_log::entries_of_person(db, account.user.id, act, Action::PersonReplaceRecoveryCodes, &told).await?);
    Ok(db.write("replace recovery codes", statements).await?.is_committed())
}

/// Leaves `account` these of its recovery codes: one was used. Returns whether they were still what they were.
///
/// # Errors
/// Where the store fails.
pub async fn take_recovery(db: &dyn Database, account: &Account, left: &[String], now: Timestamp) -> Result<bool, Error> {
    Ok(db.write("use a recovery code", vec![set_recovery(account, left, now)]).await?.is_committed())
}

fn set_recovery(account: &Account, recovery: &[String], now: Timestamp) -> Statement {
    let values = vec![account.user.id.as_bytes().into(), json(&account.recovery), json(recovery), now.into()];
    Statement::new(SET_RECOVERY, values).required()
}

/// Whose identity it is.
///
/// # Errors
/// Where the store fails.
pub async fn identified(db: &dyn Database, identity: Identity<'_>) -> Result<Option<UserId>, Error> {
    let rows = db.read(Statement::new(IDENTITY, vec![identity.issuer.into(), identity.subject.into()])).await?;
    rows.into_iter().next().map(|row| row.columns().id("user id", UserId::from_bytes)).transpose()
}

/// Notes who somebody is at a provider. Returns whether the identity was nobody's.
///
/// # Errors
/// Where the store fails.
pub async fn identify(db: &dyn Database, act: &AuditContext, identity: Identity<'_>, id: UserId) -> Result<bool, Error> {
    let mut statements = vec![identity_statement(identity, id, act.at)];
    statements.extend(audit_log::entries_of_person(db, id, act, Action::PersonConnectProvider, &told_of(identity.issuer)).await?);
    Ok(db.write("connect an identity", statements).await?.is_committed())
}

pub(crate) fn identity_statement(identity: Identity<'_>, id: UserId, now: Timestamp) -> Statement {
    Statement::new(IDENTIFY, vec![identity.issuer.into(), identity.subject.into(), id.as_bytes().into(), now.into()]).required()
}

/// The issuers at which somebody is known.
///
/// # Errors
/// Where the store fails.
pub async fn issuers(db: &dyn Database, id: UserId) -> Result<Vec<String>, Error> {
    let rows = db.read(Statement::new(IDENTITIES, vec![id.as_bytes().into()])).await?;
    rows.into_iter().map(|row| row.columns().text("provider")).collect()
}

/// Forgets who somebody is at a provider. Returns whether that was known and leaves them another way to sign in.
///
/// # Errors
/// Where the store fails.
pub async fn forget_identity(db: &dyn Database, act: &AuditContext, id: UserId, issuer: &str) -> Result<bool, Error> {
    let mut statements = vec![Statement::new(UNIDENTIFY, vec![id.as_bytes().into(), issuer.into()]).required()];
    statements.extend(audit_log::entries_of_person(db, id, act, Action::PersonDisconnectProvider, &told_of(issuer)).await?);
    Ok(db.write("disconnect an identity", statements).await?.is_committed())
}

fn told_of(issuer: &str) -> Change {
    Change::done(&Fields::default().with("issuer", issuer))
}

/// Notes that somebody's address was proved to be theirs. The first time, what was connected before is forgotten.
pub(crate) fn verify(id: UserId, now: Timestamp) -> [Statement; 2] {
    [Statement::new(UNIDENTIFY_UNVERIFIED, vec![id.as_bytes().into()]), Statement::new(VERIFY, vec![id.as_bytes().into(), now.into()])]
}

/// How many failures in a row each counter has, and when the last was.
///
/// # Errors
/// Where the store fails.
pub async fn failures(db: &dyn Database, counters: &[Counter]) -> Result<Vec<(u32, Timestamp)>, Error> {
    let mut found = Vec::with_capacity(counters.len());
    for counter in counters {
        let rows = db.read(Statement::new(FAILURES, vec![(&counter.subject).into()])).await?;
        let read = |row: Row| {
            let mut columns = row.columns();
            Ok((u32::try_from(columns.integer("failures")?).unwrap_or(u32::MAX), columns.time("last_at")?))
        };
        found.push(rows.into_iter().next().map_or(Ok((0, Timestamp::EPOCH)), read)?);
    }
    Ok(found)
}

/// Counts a failure, ahead of the try: of many tries at once each finds the others counted.
///
/// # Errors
/// Where the store fails.
pub async fn count_failure(db: &dyn Database, counters: &[Counter], now: Timestamp) -> Result<(), Error> {
    let forgotten = now - RESET_AFTER;
    let count = |counter: &Counter| Statement::new(COUNT_FAILURE, vec![(&counter.subject).into(), now.into(), forgotten.into()]);
    let mut statements: Vec<_> = counters.iter().map(count).collect();
    statements.push(Statement::new(FORGET_OLD_FAILURES, vec![forgotten.into()]));
    db.write("count a failed sign-in", statements).await?;
    Ok(())
}

/// Takes back what was counted for a try that succeeded: the first counter begins anew.
///
/// # Errors
/// Where the store fails.
pub async fn forgive(db: &dyn Database, counters: &[Counter]) -> Result<(), Error> {
    let of = |(index, counter): (usize, &Counter)| {
        let sql = if index == 0 && counters.len() > 1 { FORGET_FAILURES } else { TAKE_BACK_FAILURE };
        Statement::new(sql, vec![(&counter.subject).into()])
    };
    db.write("reset failed sign-ins", counters.iter().enumerate().map(of).collect()).await?;
    Ok(())
}

/// Takes back what was counted for an attempt that was none, and nothing else.
///
/// # Errors
/// Where the store fails.
pub async fn uncount(db: &dyn Database, counters: &[Counter]) -> Result<(), Error> {
    let of = |counter: &Counter| Statement::new(TAKE_BACK_FAILURE, vec![(&counter.subject).into()]);
    db.write("uncount a failed sign-in", counters.iter().map(of).collect()).await?;
    Ok(())
}

pub(crate) fn read_user(columns: &mut Columns) -> Result<User, Error> {
    Ok(User {
        id: columns.id("user id", UserId::from_bytes)?,
        email: columns.word("email", |text| Email::parse(text).ok())?,
        name: columns.text("name")?,
        created_at: columns.time("created_at")?,
    })
}

fn read(db: &dyn Database, row: Row) -> Result<Account, Error> {
    let mut columns = row.columns();
    let user = read_user(&mut columns)?;
    let password = columns.optional_text("password_hash")?.map(PasswordHash::from_row);
    let sealed = columns.optional_text("totp_secret")?;
    let secret = sealed.map(|sealed| {
        let base32 = db.vault().open(&vault::totp_secret_of(user.id), &sealed)?;
        SharedSecret::from_row(base32).ok_or(Error::Unreadable { what: "totp_secret" })
    });
    Ok(Account {
        secret: secret.transpose()?,
        is_confirmed: columns.optional_time("totp_confirmed_at")?.is_some(),
        last_step: columns.optional_integer("totp_last_step")?,
        recovery: columns.optional_json("recovery_codes")?.unwrap_or_default(),
        is_verified: columns.optional_time("email_verified_at")?.is_some(),
        user,
        password,
    })
}

fn json(texts: &[String]) -> Value {
    Value::Text(serde_json::to_string(texts).expect("a list of text is JSON"))
}
