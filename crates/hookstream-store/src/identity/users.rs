//! Users: addresses, credentials, and counts of failed sign-ins.

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
        sealed_write,
        statement::{Database, Row, Statement, Value},
        vault,
    },
    identity::{memberships, sessions, user_rows::read_user},
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
/// Deletes an identity, unless the user has neither a password nor another provider and would be locked out.
const DELETE_IDENTITY: &str = "delete from identities where user_id = $1 and provider = $2
    and (exists (select 1 from users u where u.id = $1 and u.password_hash is not null)
    or exists (select 1 from identities i where i.user_id = $1 and i.provider <> $2))";
/// Deletes identities connected before the address was verified: they may belong to another person, who could sign in
/// with them.
const DELETE_UNVERIFIED_IDENTITIES: &str = "delete from identities where user_id = $1
    and exists (select 1 from users u where u.id = $1 and u.email_verified_at is null)";
const VERIFY: &str = "update users set email_verified_at = $2 where id = $1 and email_verified_at is null";
const FAILURES: &str = "select failures, last_at from sign_in_failures where subject = $1";
const COUNT_FAILURE: &str = "insert into sign_in_failures (subject, failures, last_at) values ($1, 1, $2)
    on conflict (subject) do update set last_at = $2,
    failures = case when sign_in_failures.last_at < $3 then 1 else sign_in_failures.failures + 1 end";
const DELETE_FAILURES: &str = "delete from sign_in_failures where subject = $1";
const REVERT_FAILURE: &str = "update sign_in_failures set failures = failures - 1 where subject = $1 and failures > 0";
const DELETE_OLD_FAILURES: &str = "delete from sign_in_failures where last_at < $1";

/// User with credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// User.
    pub user: User,
    /// Hash of the password, if one is set.
    pub password: Option<PasswordHash>,
    /// Secret of the second factor, confirmed or not.
    pub secret: Option<SharedSecret>,
    /// Whether the second factor is in force: a code of it was entered once.
    pub is_confirmed: bool,
    /// Time step of the last accepted code.
    pub last_step: Option<i64>,
    /// Hashes of the unused recovery codes.
    pub recovery: Vec<String>,
    /// Whether the address was verified, by a link sent to it or by a provider.
    pub is_verified: bool,
}

/// Identity of a user at an OpenID Connect provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity<'a> {
    /// Issuer of the provider, which never changes; the provider's display name may.
    pub issuer: &'a str,
    /// User id at the provider.
    pub subject: &'a str,
}

/// Stores a user. Returns false if the address is taken.
///
/// # Errors
/// Fails if the store fails.
pub async fn create(db: &dyn Database, user: &User, password: Option<&PasswordHash>) -> Result<bool, Error> {
    match db.write("store a user", vec![insert(user, password, None)]).await {
        Ok(_) => Ok(true),
        Err(Error::Conflict { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns the statement that stores a user; `verified_at` is the time of the address's verification.
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

/// Returns whether any user exists.
///
/// # Errors
/// Fails if the store fails.
pub async fn is_any(db: &dyn Database) -> Result<bool, Error> {
    Ok(!db.read(Statement::new(ANY, vec![])).await?.is_empty())
}

/// Returns the account with this id.
///
/// # Errors
/// Fails if the store fails or is locked.
pub async fn find(db: &dyn Database, id: UserId) -> Result<Option<Account>, Error> {
    let rows = db.read(Statement::new(FIND, vec![id.as_bytes().into()])).await?;
    rows.into_iter().next().map(|row| read(db, row)).transpose()
}

/// Returns the account with this address.
///
/// # Errors
/// Fails if the store fails or is locked.
pub async fn find_by_email(db: &dyn Database, email: &Email) -> Result<Option<Account>, Error> {
    let rows = db.read(Statement::new(FIND_BY_EMAIL, vec![email.as_str().into()])).await?;
    rows.into_iter().next().map(|row| read(db, row)).transpose()
}

/// Renames a user. Returns whether the user exists.
///
/// # Errors
/// Fails if the store fails.
pub async fn rename(db: &dyn Database, context: &AuditContext, user: &User, name: &str) -> Result<bool, Error> {
    let values = vec![user.id.as_bytes().into(), name.into(), context.at.into()];
    let mut statements = vec![Statement::new(RENAME, values).required()];
    let fields = |name: &str| Fields::default().with("name", name);
    if let Some(change) = Change::of(&fields(&user.name), &fields(name)) {
        statements.extend(memberships::entries_of_person(db, user.id, context, Action::PersonUpdate, &change).await?);
    }
    Ok(db.write("rename a user", statements).await?.is_committed())
}

/// Sets a user's password. Ends the user's sessions except `kept`, and the links with which another password could be set.
///
/// # Errors
/// Fails if the store fails.
pub async fn set_password(
    db: &dyn Database,
    context: &AuditContext,
    id: UserId,
    password: &PasswordHash,
    kept: Option<SessionId>,
) -> Result<bool, Error> {
    let mut statements = vec![password_statement(id, password, context.at), sessions::end_others(id, kept), end_links(id)];
    let change = Change::done(&Fields::default().with("with", "password"));
    statements.extend(memberships::entries_of_person(db, id, context, Action::PersonChangePassword, &change).await?);
    Ok(db.write("set a password", statements).await?.is_committed())
}

pub(crate) fn password_statement(id: UserId, password: &PasswordHash, now: Timestamp) -> Statement {
    Statement::new(SET_PASSWORD, vec![id.as_bytes().into(), password.as_str().into(), now.into()]).required()
}

/// Stores the secret of a second factor, which is not in force yet. Returns false if the user has one in force, which
/// must be removed first.
///
/// # Errors
/// Fails if the store fails or is locked.
pub async fn begin_second_factor(db: &dyn Database, id: UserId, secret: &SharedSecret, now: Timestamp) -> Result<bool, Error> {
    let sealed = db.vault().seal(&vault::totp_secret_of(id), secret.expose())?;
    let values = vec![id.as_bytes().into(), sealed.into(), now.into()];
    Ok(sealed_write::write(db, "store a second factor", vec![Statement::new(SET_SECRET, values).required()]).await?.is_committed())
}

/// Puts a second factor into force, and ends the user's other sessions. Returns whether it was still unconfirmed.
///
/// # Errors
/// Fails if the store fails.
pub async fn confirm_second_factor(
    db: &dyn Database,
    context: &AuditContext,
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
    let values = vec![id.as_bytes().into(), sealed.into(), context.at.into(), step.into(), json(recovery)];
    let mut statements = vec![Statement::new(CONFIRM, values).required(), sessions::end_others(id, Some(kept))];
    statements.extend(memberships::entries_of_person(db, id, context, Action::PersonAddSecondFactor, &Change::default()).await?);
    Ok(db.write("confirm a second factor", statements).await?.is_committed())
}

/// Removes a user's second factor.
///
/// # Errors
/// Fails if the store fails.
pub async fn remove_second_factor(db: &dyn Database, context: &AuditContext, account: &Account) -> Result<(), Error> {
    let id = account.user.id;
    let mut statements = vec![Statement::new(REMOVE_SECRET, vec![id.as_bytes().into(), context.at.into()])];
    // An unconfirmed second factor was not in force, so its removal has no audit entry.
    if account.is_confirmed {
        statements.extend(memberships::entries_of_person(db, id, context, Action::PersonRemoveSecondFactor, &Change::default()).await?);
    }
    db.write("remove a second factor", statements).await?;
    Ok(())
}

/// Accepts the code of a time step. Returns false if it or a later one was accepted before.
///
/// # Errors
/// Fails if the store fails.
pub async fn take_step(db: &dyn Database, id: UserId, step: i64) -> Result<bool, Error> {
    let take = Statement::new(TAKE_STEP, vec![id.as_bytes().into(), step.into()]).required();
    Ok(db.write("use a code", vec![take]).await?.is_committed())
}

/// Replaces the recovery codes of `account`. Returns false if they changed meanwhile.
///
/// # Errors
/// Fails if the store fails.
pub async fn replace_recovery(db: &dyn Database, context: &AuditContext, account: &Account, recovery: &[String]) -> Result<bool, Error> {
    let mut statements = vec![set_recovery(account, recovery, context.at)];
    let change = Change::default();
    statements.extend(memberships::entries_of_person(db, account.user.id, context, Action::PersonReplaceRecoveryCodes, &change).await?);
    Ok(db.write("replace recovery codes", statements).await?.is_committed())
}

/// Removes a used recovery code; `left` are the remaining ones. Returns false if the codes changed meanwhile.
///
/// # Errors
/// Fails if the store fails.
pub async fn take_recovery(db: &dyn Database, account: &Account, left: &[String], now: Timestamp) -> Result<bool, Error> {
    Ok(db.write("use a recovery code", vec![set_recovery(account, left, now)]).await?.is_committed())
}

fn set_recovery(account: &Account, recovery: &[String], now: Timestamp) -> Statement {
    let values = vec![account.user.id.as_bytes().into(), json(&account.recovery), json(recovery), now.into()];
    Statement::new(SET_RECOVERY, values).required()
}

/// Returns the user with this identity.
///
/// # Errors
/// Fails if the store fails.
pub async fn find_by_identity(db: &dyn Database, identity: Identity<'_>) -> Result<Option<UserId>, Error> {
    let rows = db.read(Statement::new(IDENTITY, vec![identity.issuer.into(), identity.subject.into()])).await?;
    rows.into_iter().next().map(|row| row.columns().id("user id", UserId::from_bytes)).transpose()
}

/// Connects an identity to a user. Returns false if the identity is already connected.
///
/// # Errors
/// Fails if the store fails.
pub async fn identify(db: &dyn Database, context: &AuditContext, identity: Identity<'_>, id: UserId) -> Result<bool, Error> {
    let mut statements = vec![identity_statement(identity, id, context.at)];
    statements
        .extend(memberships::entries_of_person(db, id, context, Action::PersonConnectProvider, &issuer_change(identity.issuer)).await?);
    Ok(db.write("connect an identity", statements).await?.is_committed())
}

pub(crate) fn identity_statement(identity: Identity<'_>, id: UserId, now: Timestamp) -> Statement {
    Statement::new(IDENTIFY, vec![identity.issuer.into(), identity.subject.into(), id.as_bytes().into(), now.into()]).required()
}

/// Returns the issuers of a user's identities.
///
/// # Errors
/// Fails if the store fails.
pub async fn issuers(db: &dyn Database, id: UserId) -> Result<Vec<String>, Error> {
    let rows = db.read(Statement::new(IDENTITIES, vec![id.as_bytes().into()])).await?;
    rows.into_iter().map(|row| row.columns().text("provider")).collect()
}

/// Disconnects a user's identity. Returns false if there was none, or the user has no other way to sign in.
///
/// # Errors
/// Fails if the store fails.
pub async fn forget_identity(db: &dyn Database, context: &AuditContext, id: UserId, issuer: &str) -> Result<bool, Error> {
    let mut statements = vec![Statement::new(DELETE_IDENTITY, vec![id.as_bytes().into(), issuer.into()]).required()];
    statements.extend(memberships::entries_of_person(db, id, context, Action::PersonDisconnectProvider, &issuer_change(issuer)).await?);
    Ok(db.write("disconnect an identity", statements).await?.is_committed())
}

fn issuer_change(issuer: &str) -> Change {
    Change::done(&Fields::default().with("issuer", issuer))
}

/// Returns the statements that verify a user's address. The first verification disconnects earlier identities.
pub(crate) fn verify(id: UserId, now: Timestamp) -> [Statement; 2] {
    [
        Statement::new(DELETE_UNVERIFIED_IDENTITIES, vec![id.as_bytes().into()]),
        Statement::new(VERIFY, vec![id.as_bytes().into(), now.into()]),
    ]
}

/// Returns the number of consecutive failures of each counter, and the time of the last one.
///
/// # Errors
/// Fails if the store fails.
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

/// Counts a failure before the attempt, so that each of many concurrent attempts finds the others counted.
///
/// # Errors
/// Fails if the store fails.
pub async fn count_failure(db: &dyn Database, counters: &[Counter], now: Timestamp) -> Result<(), Error> {
    let reset_before = now - RESET_AFTER;
    let count = |counter: &Counter| Statement::new(COUNT_FAILURE, vec![(&counter.subject).into(), now.into(), reset_before.into()]);
    let mut statements: Vec<_> = counters.iter().map(count).collect();
    statements.push(Statement::new(DELETE_OLD_FAILURES, vec![reset_before.into()]));
    db.write("count a failed sign-in", statements).await?;
    Ok(())
}

/// Reverts the counts of a successful attempt. Of several counters the first starts again at 0; the others lose one failure.
///
/// # Errors
/// Fails if the store fails.
pub async fn reset_failures(db: &dyn Database, counters: &[Counter]) -> Result<(), Error> {
    let of = |(index, counter): (usize, &Counter)| {
        let sql = if index == 0 && counters.len() > 1 { DELETE_FAILURES } else { REVERT_FAILURE };
        Statement::new(sql, vec![(&counter.subject).into()])
    };
    db.write("reset failed sign-ins", counters.iter().enumerate().map(of).collect()).await?;
    Ok(())
}

/// Reverts the counts of an attempt that did not take place.
///
/// # Errors
/// Fails if the store fails.
pub async fn uncount(db: &dyn Database, counters: &[Counter]) -> Result<(), Error> {
    let of = |counter: &Counter| Statement::new(REVERT_FAILURE, vec![(&counter.subject).into()]);
    db.write("uncount a failed sign-in", counters.iter().map(of).collect()).await?;
    Ok(())
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

pub(crate) const END_LINKS: &str = "delete from links where user_id = $1";

/// Returns the statement that ends all links of a user.
pub(crate) fn end_links(user: UserId) -> Statement {
    Statement::new(END_LINKS, vec![user.as_bytes().into()])
}
