//! Members of organizations, and those who are invited to become some.

use hookstream_model::{
    base::{
        ids::{InvitationId, OrganizationId, UserId},
        time::Timestamp,
    },
    identity::{
        member::Role,
        password::PasswordHash,
        tenancy::KeyHash,
        user::{Email, User},
    },
    operations::audit_log::{
        Action, AuditContext, Change,
        fields::{Audited, Fields},
    },
};

use crate::{
    db::{
        error::Error,
        page::{ABOVE_ALL, Page, PageRequest, sql_limit},
        statement::{Columns, Database, Row, Statement, Written},
    },
    identity::users::{self, Identity, read_user},
    operations::audit_log,
};

const INSERT: &str = "insert into members (organization_id, user_id, role, created_at) values ($1, $2, $3, $4) on conflict do nothing";
const INSERT_OR_RAISE: &str = "insert into members (organization_id, user_id, role, created_at) values ($1, $2, 'owner', $3)
    on conflict (organization_id, user_id) do update set role = 'owner'";
const LIST: &str = "select u.id, u.email, u.name, u.created_at, m.role, m.created_at, u.totp_confirmed_at
    from members m join users u on u.id = m.user_id where m.organization_id = $1 and m.user_id < $2 order by m.user_id desc limit $3";
const FIND: &str = "select u.id, u.email, u.name, u.created_at, m.role, m.created_at, u.totp_confirmed_at
    from members m join users u on u.id = m.user_id where m.organization_id = $1 and m.user_id = $2";
const FIND_BY_EMAIL: &str = "select u.id from members m join users u on u.id = m.user_id where m.organization_id = $1 and u.email = $2";
const ROLES: &str = "select m.organization_id, m.role from members m join organizations o on o.id = m.organization_id
    where m.user_id = $1 and o.deleted_at is null order by m.organization_id limit 1000";
/// Whoever changes members of an organization does so one after the other, so that two owners cannot take each other away.
const QUEUE: &str = "update organizations set name = name where id = $1";
const CHANGE: &str = "update members set role = $4 where organization_id = $1 and user_id = $2 and role = $3
    and ($3 <> 'owner' or $4 = 'owner' or (select count(*) from members where organization_id = $1 and role = 'owner') > 1)";
const REMOVE: &str = "delete from members where organization_id = $1 and user_id = $2 and role = $3
    and ($3 <> 'owner' or (select count(*) from members where organization_id = $1 and role = 'owner') > 1)";

const INVITE: &str = "insert into invitations (id, organization_id, email, role, hash, invited_by, created_at, expires_at, sent_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const UNINVITE_ADDRESS: &str = "delete from invitations where organization_id = $1 and email = $2";
const UNINVITE: &str = "delete from invitations where organization_id = $1 and id = $2";
const INVITATIONS: &str = "select id, organization_id, email, role, invited_by, created_at, expires_at, sent_at from invitations
    where organization_id = $1 and id < $2 order by id desc limit $3";
const INVITATION: &str = "select id, organization_id, email, role, invited_by, created_at, expires_at, sent_at from invitations
    where organization_id = $1 and id = $2";
const FIND_INVITATION: &str = "select i.id, i.organization_id, i.email, i.role, i.invited_by, i.created_at, i.expires_at, i.sent_at, o.name
    from invitations i join organizations o on o.id = i.organization_id where i.hash = $1 and i.expires_at > $2 and o.deleted_at is null";
const OF_ADDRESS: &str = "select i.id, i.organization_id, i.email, i.role, i.invited_by, i.created_at, i.expires_at, i.sent_at
    from invitations i join organizations o on o.id = i.organization_id
    where i.email = $1 and i.expires_at > $2 and o.deleted_at is null order by i.id desc limit 100";
const TAKE: &str = "delete from invitations where hash = $1 and expires_at > $2";
const TAKE_BY_ID: &str = "delete from invitations where id = $1 and expires_at > $2";

/// A member, with whom it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub user: User,
    /// As what.
    pub role: Role,
    /// Since when.
    pub since: Timestamp,
    /// Whether they sign in with a second factor.
    pub has_second_factor: bool,
}

/// What came of changing who belongs to an organization.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// It is done.
    Done,
    /// Somebody changed it meanwhile, or they are no member.
    Moved,
    /// The organization would have no owner.
    LastOwner,
}

/// Somebody who is invited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The invitation's id.
    pub id: InvitationId,
    /// Into which organization.
    pub organization: OrganizationId,
    /// Who.
    pub email: Email,
    /// As what.
    pub role: Role,
    /// By whom, for people.
    pub invited_by: String,
    /// When.
    pub created_at: Timestamp,
    /// Until when its link is good.
    pub expires_at: Timestamp,
    /// When its link was sent by mail; `None` where it was shown to whoever invited.
    pub sent_at: Option<Timestamp>,
}

impl Audited for Invitation {
    fn fields(&self) -> Fields {
        Fields::default()
            .with("email", self.email.as_str())
            .with("role", self.role.as_str())
            .with("expires_at", self.expires_at.to_string())
    }
}

/// What an entry tells of a member: who they are is known by their address when the account is gone.
pub(crate) fn shown(user: &User, role: Role) -> Fields {
    Fields::default().with("email", user.email.as_str()).with("role", role.as_str())
}

/// Makes somebody a member, unless they are one.
///
/// # Errors
/// Where the store fails.
pub async fn add(db: &dyn Database, organization: OrganizationId, user: UserId, role: Role, now: Timestamp) -> Result<(), Error> {
    db.write("add a member", vec![insert(organization, user, role, now)]).await?;
    Ok(())
}

pub(crate) fn insert(organization: OrganizationId, user: UserId, role: Role, now: Timestamp) -> Statement {
    Statement::new(INSERT, vec![organization.as_bytes().into(), user.as_bytes().into(), role.as_str().into(), now.into()])
}

/// Makes somebody an owner, member or not.
pub(crate) fn insert_or_raise(organization: OrganizationId, user: UserId, now: Timestamp) -> Statement {
    Statement::new(INSERT_OR_RAISE, vec![organization.as_bytes().into(), user.as_bytes().into(), now.into()])
}

/// A page of an organization's members, newest people first.
///
/// # Errors
/// Where the store fails.
pub async fn list(db: &dyn Database, organization: OrganizationId, page: PageRequest<UserId>) -> Result<Page<Member>, Error> {
    let after = page.after.map_or(ABOVE_ALL, |id| *id.as_bytes());
    let values = vec![organization.as_bytes().into(), (&after).into(), sql_limit(page.limit + 1).into()];
    let rows = db.read(Statement::new(LIST, values)).await?;
    Ok(Page::from_overlong(rows.into_iter().map(read).collect::<Result<_, _>>()?, page.limit))
}

/// A member of an organization.
///
/// # Errors
/// Where the store fails.
pub async fn find(db: &dyn Database, organization: OrganizationId, user: UserId) -> Result<Option<Member>, Error> {
    let rows = db.read(Statement::new(FIND, vec![organization.as_bytes().into(), user.as_bytes().into()])).await?;
    rows.into_iter().next().map(read).transpose()
}

/// Whether somebody with this address is a member.
///
/// # Errors
/// Where the store fails.
pub async fn is_member(db: &dyn Database, organization: OrganizationId, email: &Email) -> Result<bool, Error> {
    let rows = db.read(Statement::new(FIND_BY_EMAIL, vec![organization.as_bytes().into(), email.as_str().into()])).await?;
    Ok(!rows.is_empty())
}

/// What somebody is where, in organizations that are not deleted; the oldest first.
///
/// # Errors
/// Where the store fails.
pub async fn roles(db: &dyn Database, user: UserId) -> Result<Vec<(OrganizationId, Role)>, Error> {
    let rows = db.read(Statement::new(ROLES, vec![user.as_bytes().into()])).await?;
    let read = |row: Row| {
        let mut columns = row.columns();
        Ok((columns.id("organization id", OrganizationId::from_bytes)?, columns.word("role", Role::parse)?))
    };
    rows.into_iter().map(read).collect()
}

/// Gives a member who has the role `from` another.
///
/// # Errors
/// Where the store fails.
pub async fn change_role(
    db: &dyn Database,
    act: &AuditContext,
    organization: OrganizationId,
    user: &User,
    from: Role,
    to: Role,
) -> Result<Changed, Error> {
    let mut statements = vec![queue(organization), change(organization, user.id, from, to)];
    if let Some(change) = Change::of(&shown(user, from), &shown(user, to)) {
        statements.push(audit_log::entry_of_organization(organization, act, Action::MemberUpdate, user.id.as_bytes(), &change));
    }
    write(db, "update a member's role", statements, from).await
}

/// Makes a member an owner in the place of one who stays as an admin.
///
/// # Errors
/// Where the store fails.
pub async fn transfer_ownership(
    db: &dyn Database,
    act: &AuditContext,
    organization: OrganizationId,
    owner: UserId,
    to: UserId,
    from: Role,
) -> Result<Changed, Error> {
    let mut statements = vec![queue(organization)];
    if from != Role::Owner {
        statements.push(change(organization, to, from, Role::Owner));
    }
    statements.push(change(organization, owner, Role::Owner, Role::Admin));
    let shown = |user: UserId| Fields::default().with("owner_id", user.to_string());
    if let Some(change) = Change::of(&shown(owner), &shown(to)) {
        let entry = audit_log::entry_of_organization(organization, act, Action::OrganizationTransfer, organization.as_bytes(), &change);
        statements.push(entry);
    }
    write(db, "transfer an organization", statements, from).await
}

/// Takes a member who has the role `from` out of an organization.
///
/// # Errors
/// Where the store fails.
pub async fn remove(
    db: &dyn Database,
    act: &AuditContext,
    organization: OrganizationId,
    user: &User,
    from: Role,
) -> Result<Changed, Error> {
    let values = vec![organization.as_bytes().into(), user.id.as_bytes().into(), from.as_str().into()];
    let change = Change { before: Some(shown(user, from).shown()), after: None };
    let entry = audit_log::entry_of_organization(organization, act, Action::MemberRemove, user.id.as_bytes(), &change);
    write(db, "remove a member", vec![queue(organization), Statement::new(REMOVE, values).required(), entry], from).await
}

fn queue(organization: OrganizationId) -> Statement {
    Statement::new(QUEUE, vec![organization.as_bytes().into()]).required()
}

fn change(organization: OrganizationId, user: UserId, from: Role, to: Role) -> Statement {
    let values = vec![organization.as_bytes().into(), user.as_bytes().into(), from.as_str().into(), to.as_str().into()];
    Statement::new(CHANGE, values).required()
}

async fn write(db: &dyn Database, operation: &'static str, statements: Vec<Statement>, from: Role) -> Result<Changed, Error> {
    match db.write(operation, statements).await? {
        Written::Committed(_) => Ok(Changed::Done),
        // What they are was read just before: an owner that is left as it is is the last one.
        Written::Unmet(_) if from == Role::Owner => Ok(Changed::LastOwner),
        Written::Unmet(_) => Ok(Changed::Moved),
    }
}

/// Invites somebody; an earlier invitation of the same address ends.
///
/// # Errors
/// Where the store fails.
pub async fn invite(db: &dyn Database, act: &AuditContext, invitation: &Invitation, hash: KeyHash) -> Result<(), Error> {
    let (organization, email) = (invitation.organization, &invitation.email);
    let values = vec![
        invitation.id.as_bytes().into(),
        organization.as_bytes().into(),
        email.as_str().into(),
        invitation.role.as_str().into(),
        hash.as_bytes().into(),
        invitation.invited_by.as_str().into(),
        invitation.created_at.into(),
        invitation.expires_at.into(),
        invitation.sent_at.into(),
    ];
    let statements = vec![
        queue(organization),
        Statement::new(UNINVITE_ADDRESS, vec![organization.as_bytes().into(), email.as_str().into()]),
        Statement::new(INVITE, values),
        entry(invitation, act, Action::InvitationCreate, &Change::made(invitation)),
    ];
    db.write("create an invitation", statements).await?;
    Ok(())
}

/// A page of an organization's invitations, newest first, those included that are over.
///
/// # Errors
/// Where the store fails.
pub async fn invitations(
    db: &dyn Database,
    organization: OrganizationId,
    page: PageRequest<InvitationId>,
) -> Result<Page<Invitation>, Error> {
    let after = page.after.map_or(ABOVE_ALL, |id| *id.as_bytes());
    let values = vec![organization.as_bytes().into(), (&after).into(), sql_limit(page.limit + 1).into()];
    let rows = db.read(Statement::new(INVITATIONS, values)).await?;
    let read = |row: Row| read_invitation(&mut row.columns());
    Ok(Page::from_overlong(rows.into_iter().map(read).collect::<Result<_, _>>()?, page.limit))
}

/// Takes an invitation back. Returns whether it was there.
///
/// # Errors
/// Where the store fails.
pub async fn uninvite(db: &dyn Database, act: &AuditContext, organization: OrganizationId, id: InvitationId) -> Result<bool, Error> {
    let values = || vec![organization.as_bytes().into(), id.as_bytes().into()];
    let Some(row) = db.read(Statement::new(INVITATION, values())).await?.into_iter().next() else { return Ok(false) };
    // No invitation changes, so it is what was read that goes.
    let before = read_invitation(&mut row.columns())?;
    let entry = entry(&before, act, Action::InvitationDelete, &Change::removed(&before));
    Ok(db.write("delete an invitation", vec![Statement::new(UNINVITE, values()).required(), entry]).await?.is_committed())
}

/// The invitation of a link that is still good, and the name of its organization.
///
/// # Errors
/// Where the store fails.
pub async fn invited(db: &dyn Database, hash: KeyHash, now: Timestamp) -> Result<Option<(Invitation, String)>, Error> {
    let rows = db.read(Statement::new(FIND_INVITATION, vec![hash.as_bytes().into(), now.into()])).await?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let mut columns = row.columns();
    let invitation = read_invitation(&mut columns)?;
    Ok(Some((invitation, columns.text("name")?)))
}

/// Who takes an invitation.
#[derive(Debug)]
pub enum Guest<'a> {
    /// Somebody who is known.
    Known(UserId),
    /// Somebody who comes with it, with their password.
    New(&'a User, &'a PasswordHash),
}

/// Makes a member of whom an invitation is for, once. Returns whether it was still good.
///
/// # Errors
/// Where the store fails.
pub async fn accept(
    db: &dyn Database,
    act: &AuditContext,
    invitation: &Invitation,
    hash: KeyHash,
    guest: Guest<'_>,
) -> Result<bool, Error> {
    let now = act.at;
    let mut statements = vec![Statement::new(TAKE, vec![hash.as_bytes().into(), now.into()]).required()];
    let user = match guest {
        Guest::Known(user) => user,
        Guest::New(user, password) => {
            statements.push(users::insert(user, Some(password), None));
            user.id
        }
    };
    // Who has the link that was sent to an address reads what is sent there.
    if invitation.sent_at.is_some() {
        statements.extend(users::verify(user, now));
    }
    statements.extend(join(invitation, act, user));
    match db.write("accept an invitation", statements).await {
        Ok(written) => Ok(written.is_committed()),
        // Somebody with this address came in between.
        Err(Error::Conflict { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The invitations of an address that are still good, newest first.
///
/// # Errors
/// Where the store fails.
pub async fn invitations_of(db: &dyn Database, email: &Email, now: Timestamp) -> Result<Vec<Invitation>, Error> {
    let rows = db.read(Statement::new(OF_ADDRESS, vec![email.as_str().into(), now.into()])).await?;
    rows.into_iter().map(|row| read_invitation(&mut row.columns())).collect()
}

/// Keeps somebody new whom a provider vouches for, and makes them a member wherever they are invited. Returns whether
/// all of the invitations were still good and nobody with this address or identity came meanwhile.
///
/// # Errors
/// Where the store fails.
pub async fn accept_all(
    db: &dyn Database,
    act: &AuditContext,
    invitations: &[Invitation],
    user: &User,
    identity: Identity<'_>,
) -> Result<bool, Error> {
    let now = act.at;
    let mut statements = vec![users::insert(user, None, Some(now)), users::identity_statement(identity, user.id, now)];
    for (number, invitation) in (0..).zip(invitations) {
        statements.push(Statement::new(TAKE_BY_ID, vec![invitation.id.as_bytes().into(), now.into()]).required());
        statements.extend(join(invitation, &act.with_entry_of(number), user.id));
    }
    match db.write("accept invitations", statements).await {
        Ok(written) => Ok(written.is_committed()),
        Err(Error::Conflict { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes somebody a member by an invitation that is taken.
fn join(invitation: &Invitation, act: &AuditContext, user: UserId) -> [Statement; 2] {
    let told =
        Fields::default().with("user_id", user.to_string()).with("email", invitation.email.as_str()).with("role", invitation.role.as_str());
    let entry = entry(invitation, act, Action::InvitationAccept, &Change::done(&told));
    [insert(invitation.organization, user, invitation.role, act.at), entry]
}

fn entry(invitation: &Invitation, act: &AuditContext, action: Action, change: &Change) -> Statement {
    audit_log::entry_of_organization(invitation.organization, act, action, invitation.id.as_bytes(), change)
}

fn read(row: Row) -> Result<Member, Error> {
    let mut columns = row.columns();
    Ok(Member {
        user: read_user(&mut columns)?,
        role: columns.word("role", Role::parse)?,
        since: columns.time("created_at")?,
        has_second_factor: columns.optional_time("totp_confirmed_at")?.is_some(),
    })
}

fn read_invitation(columns: &mut Columns) -> Result<Invitation, Error> {
    Ok(Invitation {
        id: columns.id("invitation id", InvitationId::from_bytes)?,
        organization: columns.id("organization id", OrganizationId::from_bytes)?,
        email: columns.word("email", |text| Email::parse(text).ok())?,
        role: columns.word("role", Role::parse)?,
        invited_by: columns.text("invited_by")?,
        created_at: columns.time("created_at")?,
        expires_at: columns.time("expires_at")?,
        sent_at: columns.optional_time("sent_at")?,
    })
}
