//! Links that are good once: to make the first owner, and to set a password. One that sets a password was either shown
//! to somebody or sent by mail and shown to nobody: that one proves whose the address is.

use hookstream_model::{
    base::{ids::UserId, time::Timestamp},
    identity::{
        member::Role,
        password::PasswordHash,
        tenancy::{KeyHash, Tenant},
        user::User,
    },
    operations::audit_log::{Action, AuditContext, Change, fields::Fields},
};

use crate::{
    db::{
        error::Error,
        statement::{Database, Statement},
    },
    identity::{members, sessions, users},
    operations::audit_log,
};

const INSERT: &str = "insert into links (hash, kind, user_id, created_at, expires_at) values ($1, $2, $3, $4, $5)";
const FIND: &str = "select user_id from links where hash = $1 and kind = $2 and expires_at > $3";
const FIND_PASSWORD: &str = "select user_id, kind from links where hash = $1 and kind in ('password', 'mailed') and expires_at > $2";
const TAKE: &str = "delete from links where hash = $1 and kind = $2 and expires_at > $3";
const END_OTHERS: &str = "delete from links where user_id = $1";
const END_ONE: &str = "delete from links where hash = $1";
const FORGET: &str = "delete from links where expires_at <= $1";
/// Of several who come first, one is.
const BE_FIRST: &str = "insert into settings (name, value) values ('first_owner', $1) on conflict do nothing";

const SETUP: &str = "setup";
const PASSWORD: &str = "password";
const MAILED: &str = "mailed";

/// Keeps the link that makes the first owner.
///
/// # Errors
/// Where the store fails.
pub async fn create_setup(db: &dyn Database, hash: KeyHash, now: Timestamp, until: Timestamp) -> Result<(), Error> {
    create(db, SETUP, hash, None, now, until).await
}

/// Keeps a link that sets somebody's password.
///
/// # Errors
/// Where the store fails.
pub async fn create_password(db: &dyn Database, hash: KeyHash, user: UserId, now: Timestamp, until: Timestamp) -> Result<(), Error> {
    create(db, PASSWORD, hash, Some(user), now, until).await
}

/// Keeps a link that sets somebody's password and is only sent to their address. Earlier links of theirs are over.
///
/// # Errors
/// Where the store fails.
pub async fn create_mailed(db: &dyn Database, hash: KeyHash, user: UserId, now: Timestamp, until: Timestamp) -> Result<(), Error> {
    let values = vec![hash.as_bytes().into(), MAILED.into(), user.as_bytes().into(), now.into(), until.into()];
    db.write("store a link", vec![end(user), Statement::new(FORGET, vec![now.into()]), Statement::new(INSERT, values)]).await?;
    Ok(())
}

/// Ends a link that was not sent after all.
///
/// # Errors
/// Where the store fails.
pub async fn take_back(db: &dyn Database, hash: KeyHash) -> Result<(), Error> {
    db.write("revoke a link", vec![Statement::new(END_ONE, vec![hash.as_bytes().into()])]).await?;
    Ok(())
}

/// Ends all of somebody's links.
pub(crate) fn end(user: UserId) -> Statement {
    Statement::new(END_OTHERS, vec![user.as_bytes().into()])
}

async fn create(
    db: &dyn Database,
    kind: &'static str,
    hash: KeyHash,
    user: Option<UserId>,
    now: Timestamp,
    until: Timestamp,
) -> Result<(), Error> {
    let user = user.as_ref().map(UserId::as_bytes);
    let values = vec![hash.as_bytes().into(), kind.into(), user.into(), now.into(), until.into()];
    let statements = vec![Statement::new(FORGET, vec![now.into()]), Statement::new(INSERT, values)];
    db.write("store a link", statements).await?;
    Ok(())
}

/// Whether the link that makes the first owner is still good.
///
/// # Errors
/// Where the store fails.
pub async fn is_setup(db: &dyn Database, hash: KeyHash, now: Timestamp) -> Result<bool, Error> {
    Ok(!db.read(Statement::new(FIND, values(hash, SETUP, now))).await?.is_empty())
}

/// Whose password a link sets that is still good.
///
/// # Errors
/// Where the store fails.
pub async fn whose_password(db: &dyn Database, hash: KeyHash, now: Timestamp) -> Result<Option<UserId>, Error> {
    Ok(password_link(db, hash, now).await?.map(|(user, _)| user))
}

/// Whose it is, and of which kind.
async fn password_link(db: &dyn Database, hash: KeyHash, now: Timestamp) -> Result<Option<(UserId, &'static str)>, Error> {
    let rows = db.read(Statement::new(FIND_PASSWORD, vec![hash.as_bytes().into(), now.into()])).await?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let mut columns = row.columns();
    let user = columns.id("user id", UserId::from_bytes)?;
    let kind = columns.word("kind", |kind| [PASSWORD, MAILED].into_iter().find(|known| *known == kind))?;
    Ok(Some((user, kind)))
}

/// Makes the first owner, with the link that is for that. Returns whether it was good and nobody was first.
///
/// # Errors
/// Where the store fails.
pub async fn set_up(
    db: &dyn Database,
    act: &AuditContext,
    hash: KeyHash,
    user: &User,
    password: &PasswordHash,
    tenant: Tenant,
) -> Result<bool, Error> {
    let now = act.at;
    let statements = vec![
        Statement::new(TAKE, values(hash, SETUP, now)).required(),
        Statement::new(BE_FIRST, vec![user.id.to_string().into()]).required(),
        users::insert(user, Some(password), None),
        members::insert(tenant.organization, user.id, Role::Owner, now),
        entry(act, user, tenant),
    ];
    match db.write("create the first owner", statements).await {
        Ok(written) => Ok(written.is_committed()),
        Err(Error::Conflict { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes somebody an owner, by whoever runs the installation. `password` is for whoever is new. The set-up is over then.
///
/// # Errors
/// Where the store fails; [`Error::Conflict`] where somebody with this address came meanwhile.
pub async fn make_owner(
    db: &dyn Database,
    act: &AuditContext,
    user: &User,
    is_new: bool,
    password: Option<&PasswordHash>,
    tenant: Tenant,
) -> Result<(), Error> {
    let now = act.at;
    let mut statements = vec![Statement::new(BE_FIRST, vec![user.id.to_string().into()])];
    if is_new {
        statements.push(users::insert(user, password, None));
    } else if let Some(password) = password {
        statements.extend([users::password_statement(user.id, password, now), sessions::end_others(user.id, None)]);
    }
    statements.push(members::insert_or_raise(tenant.organization, user.id, now));
    statements.push(entry(act, user, tenant));
    db.write("create an owner", statements).await?;
    Ok(())
}

/// Sets a password with a link, ends the session of whoever had the one before, and the other links of the same
/// person. Returns whether the link was good.
///
/// # Errors
/// Where the store fails.
pub async fn set_password(
    db: &dyn Database,
    act: &AuditContext,
    hash: KeyHash,
    user: UserId,
    password: &PasswordHash,
) -> Result<bool, Error> {
    let now = act.at;
    let Some((_, kind)) = password_link(db, hash, now).await?.filter(|(whose, _)| *whose == user) else { return Ok(false) };
    let mut statements = vec![
        Statement::new(TAKE, values(hash, kind, now)).required(),
        end(user),
        users::password_statement(user, password, now),
        sessions::end_others(user, None),
    ];
    if kind == MAILED {
        statements.extend(users::verify(user, now));
    }
    let told = Change::done(&Fields::default().with("with", "link"));
    statements.extend(audit_log::entries_of_person(db, user, act, Action::PersonChangePassword, &told).await?);
    Ok(db.write("set a password with a link", statements).await?.is_committed())
}

fn entry(act: &AuditContext, user: &User, tenant: Tenant) -> Statement {
    let change = Change::done(&members::shown(user, Role::Owner));
    audit_log::entry_of_organization(tenant.organization, act, Action::MemberMakeOwner, user.id.as_bytes(), &change)
}

fn values(hash: KeyHash, kind: &'static str, now: Timestamp) -> Vec<crate::db::statement::Value> {
    vec![hash.as_bytes().into(), kind.into(), now.into()]
}
