//! Single-use links, which create the first owner or set a password. A password link is either shown to a user or
//! only sent by mail; a mailed link verifies the address.

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
    identity::{members, memberships, sessions, users},
    operations::audit_log,
};

const INSERT: &str = "insert into links (hash, kind, user_id, created_at, expires_at) values ($1, $2, $3, $4, $5)";
const FIND: &str = "select user_id from links where hash = $1 and kind = $2 and expires_at > $3";
const FIND_PASSWORD: &str = "select user_id, kind from links where hash = $1 and kind in ('password', 'mailed') and expires_at > $2";
const TAKE: &str = "delete from links where hash = $1 and kind = $2 and expires_at > $3";
const END_ONE: &str = "delete from links where hash = $1";
const DELETE_EXPIRED: &str = "delete from links where expires_at <= $1";
/// Lets one of several concurrent first owners win.
const BE_FIRST: &str = "insert into settings (name, value) values ('first_owner', $1) on conflict do nothing";

const SETUP: &str = "setup";
const PASSWORD: &str = "password";
const MAILED: &str = "mailed";

/// Stores the link that creates the first owner.
///
/// # Errors
/// Fails if the store fails.
pub async fn create_setup(db: &dyn Database, hash: KeyHash, now: Timestamp, until: Timestamp) -> Result<(), Error> {
    create(db, SETUP, hash, None, now, until).await
}

/// Stores a link that sets a user's password.
///
/// # Errors
/// Fails if the store fails.
pub async fn create_password(db: &dyn Database, hash: KeyHash, user: UserId, now: Timestamp, until: Timestamp) -> Result<(), Error> {
    create(db, PASSWORD, hash, Some(user), now, until).await
}

/// Stores a link that sets a user's password and is only sent to their address. Ends the user's earlier links.
///
/// # Errors
/// Fails if the store fails.
pub async fn create_mailed(db: &dyn Database, hash: KeyHash, user: UserId, now: Timestamp, until: Timestamp) -> Result<(), Error> {
    let values = vec![hash.as_bytes().into(), MAILED.into(), user.as_bytes().into(), now.into(), until.into()];
    db.write(
        "store a link",
        vec![users::end_links(user), Statement::new(DELETE_EXPIRED, vec![now.into()]), Statement::new(INSERT, values)],
    )
    .await?;
    Ok(())
}

/// Revokes a link that was not sent.
///
/// # Errors
/// Fails if the store fails.
pub async fn revoke(db: &dyn Database, hash: KeyHash) -> Result<(), Error> {
    db.write("revoke a link", vec![Statement::new(END_ONE, vec![hash.as_bytes().into()])]).await?;
    Ok(())
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
    let statements = vec![Statement::new(DELETE_EXPIRED, vec![now.into()]), Statement::new(INSERT, values)];
    db.write("store a link", statements).await?;
    Ok(())
}

/// Returns whether the link that creates the first owner is valid.
///
/// # Errors
/// Fails if the store fails.
pub async fn is_setup(db: &dyn Database, hash: KeyHash, now: Timestamp) -> Result<bool, Error> {
    Ok(!db.read(Statement::new(FIND, values(hash, SETUP, now))).await?.is_empty())
}

/// Returns the user whose password a valid link sets.
///
/// # Errors
/// Fails if the store fails.
pub async fn password_owner(db: &dyn Database, hash: KeyHash, now: Timestamp) -> Result<Option<UserId>, Error> {
    Ok(password_link(db, hash, now).await?.map(|(user, _)| user))
}

/// Returns the user and the kind of a valid password link.
async fn password_link(db: &dyn Database, hash: KeyHash, now: Timestamp) -> Result<Option<(UserId, &'static str)>, Error> {
    let rows = db.read(Statement::new(FIND_PASSWORD, vec![hash.as_bytes().into(), now.into()])).await?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let mut columns = row.columns();
    let user = columns.id("user id", UserId::from_bytes)?;
    let kind = columns.word("kind", |kind| [PASSWORD, MAILED].into_iter().find(|known| *known == kind))?;
    Ok(Some((user, kind)))
}

/// Creates the first owner with the link for that purpose. Returns false if the link was invalid or an owner exists.
///
/// # Errors
/// Fails if the store fails.
pub async fn set_up(
    db: &dyn Database,
    context: &AuditContext,
    hash: KeyHash,
    user: &User,
    password: &PasswordHash,
    tenant: Tenant,
) -> Result<bool, Error> {
    let now = context.at;
    let statements = vec![
        Statement::new(TAKE, values(hash, SETUP, now)).required(),
        Statement::new(BE_FIRST, vec![user.id.to_string().into()]).required(),
        users::insert(user, Some(password), None),
        members::insert(tenant.organization, user.id, Role::Owner, now),
        entry(context, user, tenant),
    ];
    match db.write("create the first owner", statements).await {
        Ok(written) => Ok(written.is_committed()),
        Err(Error::Conflict { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes a user an owner on behalf of the operator, and ends the set-up. `password` is for a new user, or replaces an
/// existing one.
///
/// # Errors
/// Fails if the store fails; [`Error::Conflict`] if a user with this address was created meanwhile.
pub async fn make_owner(
    db: &dyn Database,
    context: &AuditContext,
    user: &User,
    is_new: bool,
    password: Option<&PasswordHash>,
    tenant: Tenant,
) -> Result<(), Error> {
    let now = context.at;
    let mut statements = vec![Statement::new(BE_FIRST, vec![user.id.to_string().into()])];
    if is_new {
        statements.push(users::insert(user, password, None));
    } else if let Some(password) = password {
        statements.extend([users::password_statement(user.id, password, now), sessions::end_others(user.id, None)]);
    }
    statements.push(members::insert_or_promote(tenant.organization, user.id, now));
    statements.push(entry(context, user, tenant));
    db.write("create an owner", statements).await?;
    Ok(())
}

/// Sets a password with a link. Ends all sessions and the other links of the user. Returns whether the link was valid.
///
/// # Errors
/// Fails if the store fails.
pub async fn set_password(
    db: &dyn Database,
    context: &AuditContext,
    hash: KeyHash,
    user: UserId,
    password: &PasswordHash,
) -> Result<bool, Error> {
    let now = context.at;
    let Some((_, kind)) = password_link(db, hash, now).await?.filter(|(owner, _)| *owner == user) else { return Ok(false) };
    let mut statements = vec![
        Statement::new(TAKE, values(hash, kind, now)).required(),
        users::end_links(user),
        users::password_statement(user, password, now),
        sessions::end_others(user, None),
    ];
    if kind == MAILED {
        statements.extend(users::verify(user, now));
    }
    let change = Change::done(&Fields::default().with("with", "link"));
    statements.extend(memberships::entries_of_person(db, user, context, Action::PersonChangePassword, &change).await?);
    Ok(db.write("set a password with a link", statements).await?.is_committed())
}

fn entry(context: &AuditContext, user: &User, tenant: Tenant) -> Statement {
    let change = Change::done(&members::fields_of(user, Role::Owner));
    audit_log::entry_of_organization(tenant.organization, context, Action::MemberMakeOwner, user.id.as_bytes(), &change)
}

fn values(hash: KeyHash, kind: &'static str, now: Timestamp) -> Vec<crate::db::statement::Value> {
    vec![hash.as_bytes().into(), kind.into(), now.into()]
}
