//! Members of organizations, and invitations.

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
    identity::{
        user_rows::read_user,
        users::{self, Identity},
    },
    operations::audit_log,
};

const INSERT: &str = "insert into members (organization_id, user_id, role, created_at) values ($1, $2, $3, $4) on conflict do nothing";
const INSERT_OR_PROMOTE: &str = "insert into members (organization_id, user_id, role, created_at) values ($1, $2, 'owner', $3)
    on conflict (organization_id, user_id) do update set role = 'owner'";
const LIST: &str = "select u.id, u.email, u.name, u.created_at, m.role, m.created_at, u.totp_confirmed_at
    from members m join users u on u.id = m.user_id where m.organization_id = $1 and m.user_id < $2 order by m.user_id desc limit $3";
const FIND: &str = "select u.id, u.email, u.name, u.created_at, m.role, m.created_at, u.totp_confirmed_at
    from members m join users u on u.id = m.user_id where m.organization_id = $1 and m.user_id = $2";
const FIND_BY_EMAIL: &str = "select u.id from members m join users u on u.id = m.user_id where m.organization_id = $1 and u.email = $2";
/// Serializes changes of an organization's members, so that two owners cannot remove each other.
const QUEUE: &str = "update organizations set name = name where id = $1";
const CHANGE: &str = "update members set role = $4 where organization_id = $1 and user_id = $2 and role = $3
    and ($3 <> 'owner' or $4 = 'owner' or (select count(*) from members where organization_id = $1 and role = 'owner') > 1)";
const REMOVE: &str = "delete from members where organization_id = $1 and user_id = $2 and role = $3
    and ($3 <> 'owner' or (select count(*) from members where organization_id = $1 and role = 'owner') > 1)";

/// Deletes the views that only a member saw; those that the member shared stay.
const DELETE_OWN_VIEWS: &str = "delete from views where organization_id = $1 and owner_id = $2 and shared = 0";

const INVITE: &str = "insert into invitations (id, organization_id, email, role, hash, invited_by, created_at, expires_at, sent_at)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
const DELETE_INVITATION_OF_ADDRESS: &str = "delete from invitations where organization_id = $1 and email = $2";
const DELETE_INVITATION: &str = "delete from invitations where organization_id = $1 and id = $2";
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

/// Member of an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// User.
    pub user: User,
    /// Role.
    pub role: Role,
    /// Start of the membership.
    pub since: Timestamp,
    /// Whether the user has a confirmed second factor.
    pub has_second_factor: bool,
}

/// Result of changing a membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    /// Changed.
    Done,
    /// Changed concurrently, or not a member.
    Moved,
    /// The organization would have no owner.
    LastOwner,
}

/// Invitation to an organization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Invitation id.
    pub id: InvitationId,
    /// Organization.
    pub organization: OrganizationId,
    /// Email address.
    pub email: Email,
    /// Role of the future member.
    pub role: Role,
    /// Inviting user, for display.
    pub invited_by: String,
    /// Time of the invitation.
    pub created_at: Timestamp,
    /// Expiry of the link.
    pub expires_at: Timestamp,
    /// Time at which the link was sent by mail; `None` if the inviting user received the link.
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

/// Returns a member's fields for an audit entry. The address identifies the user after the account is deleted.
pub(crate) fn fields_of(user: &User, role: Role) -> Fields {
    Fields::default().with("email", user.email.as_str()).with("role", role.as_str())
}

/// Adds a member, unless the user is one.
///
/// # Errors
/// Fails if the store fails.
pub async fn add(db: &dyn Database, organization: OrganizationId, user: UserId, role: Role, now: Timestamp) -> Result<(), Error> {
    db.write("add a member", vec![insert(organization, user, role, now)]).await?;
    Ok(())
}

pub(crate) fn insert(organization: OrganizationId, user: UserId, role: Role, now: Timestamp) -> Statement {
    Statement::new(INSERT, vec![organization.as_bytes().into(), user.as_bytes().into(), role.as_str().into(), now.into()])
}

/// Makes a user an owner, whether already a member or not.
pub(crate) fn insert_or_promote(organization: OrganizationId, user: UserId, now: Timestamp) -> Statement {
    Statement::new(INSERT_OR_PROMOTE, vec![organization.as_bytes().into(), user.as_bytes().into(), now.into()])
}

/// Returns a page of an organization's members, newest users first.
///
/// # Errors
/// Fails if the store fails.
pub async fn list(db: &dyn Database, organization: OrganizationId, page: PageRequest<UserId>) -> Result<Page<Member>, Error> {
    let after = page.after.map_or(ABOVE_ALL, |id| *id.as_bytes());
    let values = vec![organization.as_bytes().into(), (&after).into(), sql_limit(page.limit + 1).into()];
    let rows = db.read(Statement::new(LIST, values)).await?;
    Ok(Page::from_overlong(rows.into_iter().map(read).collect::<Result<_, _>>()?, page.limit))
}

/// Returns a member of an organization.
///
/// # Errors
/// Fails if the store fails.
pub async fn find(db: &dyn Database, organization: OrganizationId, user: UserId) -> Result<Option<Member>, Error> {
    let rows = db.read(Statement::new(FIND, vec![organization.as_bytes().into(), user.as_bytes().into()])).await?;
    rows.into_iter().next().map(read).transpose()
}

/// Returns whether a user with this address is a member.
///
/// # Errors
/// Fails if the store fails.
pub async fn is_member(db: &dyn Database, organization: OrganizationId, email: &Email) -> Result<bool, Error> {
    let rows = db.read(Statement::new(FIND_BY_EMAIL, vec![organization.as_bytes().into(), email.as_str().into()])).await?;
    Ok(!rows.is_empty())
}

/// Changes the role of a member from `from` to `to`.
///
/// # Errors
/// Fails if the store fails.
pub async fn change_role(
    db: &dyn Database,
    context: &AuditContext,
    organization: OrganizationId,
    user: &User,
    from: Role,
    to: Role,
) -> Result<Changed, Error> {
    let mut statements = vec![queue(organization), change(organization, user.id, from, to)];
    if let Some(change) = Change::of(&fields_of(user, from), &fields_of(user, to)) {
        statements.push(audit_log::entry_of_organization(organization, context, Action::MemberUpdate, user.id.as_bytes(), &change));
    }
    write(db, "update a member's role", statements, from).await
}

/// Makes a member the owner in place of another owner, who becomes an admin.
///
/// # Errors
/// Fails if the store fails.
pub async fn transfer_ownership(
    db: &dyn Database,
    context: &AuditContext,
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
    let fields_of = |user: UserId| Fields::default().with("owner_id", user.to_string());
    if let Some(change) = Change::of(&fields_of(owner), &fields_of(to)) {
        let entry = audit_log::entry_of_organization(organization, context, Action::OrganizationTransfer, organization.as_bytes(), &change);
        statements.push(entry);
    }
    write(db, "transfer an organization", statements, from).await
}

/// Removes a member with the role `from` from an organization.
///
/// # Errors
/// Fails if the store fails.
pub async fn remove(
    db: &dyn Database,
    context: &AuditContext,
    organization: OrganizationId,
    user: &User,
    from: Role,
) -> Result<Changed, Error> {
    let values = vec![organization.as_bytes().into(), user.id.as_bytes().into(), from.as_str().into()];
    let change = Change { before: Some(fields_of(user, from).shown()), after: None };
    let entry = audit_log::entry_of_organization(organization, context, Action::MemberRemove, user.id.as_bytes(), &change);
    let own_views = Statement::new(DELETE_OWN_VIEWS, vec![organization.as_bytes().into(), user.id.as_bytes().into()]);
    write(db, "remove a member", vec![queue(organization), Statement::new(REMOVE, values).required(), own_views, entry], from).await
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
        // The role was read just before, so an unchanged owner is the last one.
        Written::Unmet(_) if from == Role::Owner => Ok(Changed::LastOwner),
        Written::Unmet(_) => Ok(Changed::Moved),
    }
}

/// Stores an invitation; replaces an earlier one for the same address.
///
/// # Errors
/// Fails if the store fails.
pub async fn invite(db: &dyn Database, context: &AuditContext, invitation: &Invitation, hash: KeyHash) -> Result<(), Error> {
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
        Statement::new(DELETE_INVITATION_OF_ADDRESS, vec![organization.as_bytes().into(), email.as_str().into()]),
        Statement::new(INVITE, values),
        entry(invitation, context, Action::InvitationCreate, &Change::created(invitation)),
    ];
    db.write("create an invitation", statements).await?;
    Ok(())
}

/// Returns a page of an organization's invitations, newest first, including expired ones.
///
/// # Errors
/// Fails if the store fails.
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

/// Deletes an invitation. Returns whether it existed.
///
/// # Errors
/// Fails if the store fails.
pub async fn uninvite(db: &dyn Database, context: &AuditContext, organization: OrganizationId, id: InvitationId) -> Result<bool, Error> {
    let values = || vec![organization.as_bytes().into(), id.as_bytes().into()];
    let Some(row) = db.read(Statement::new(INVITATION, values())).await?.into_iter().next() else { return Ok(false) };
    // An invitation never changes, so the deleted row is the one that was read.
    let before = read_invitation(&mut row.columns())?;
    let entry = entry(&before, context, Action::InvitationDelete, &Change::removed(&before));
    Ok(db.write("delete an invitation", vec![Statement::new(DELETE_INVITATION, values()).required(), entry]).await?.is_committed())
}

/// Returns the invitation of a valid link and the name of its organization.
///
/// # Errors
/// Fails if the store fails.
pub async fn invited(db: &dyn Database, hash: KeyHash, now: Timestamp) -> Result<Option<(Invitation, String)>, Error> {
    let rows = db.read(Statement::new(FIND_INVITATION, vec![hash.as_bytes().into(), now.into()])).await?;
    let Some(row) = rows.into_iter().next() else { return Ok(None) };
    let mut columns = row.columns();
    let invitation = read_invitation(&mut columns)?;
    Ok(Some((invitation, columns.text("name")?)))
}

/// User who accepts an invitation.
#[derive(Debug)]
pub enum Guest<'a> {
    /// Existing user.
    Known(UserId),
    /// New user with a password.
    New(&'a User, &'a PasswordHash),
}

/// Makes the invited user a member, once. Returns whether the invitation was still valid.
///
/// # Errors
/// Fails if the store fails.
pub async fn accept(
    db: &dyn Database,
    context: &AuditContext,
    invitation: &Invitation,
    hash: KeyHash,
    guest: Guest<'_>,
) -> Result<bool, Error> {
    let now = context.at;
    let mut statements = vec![Statement::new(TAKE, vec![hash.as_bytes().into(), now.into()]).required()];
    let user = match guest {
        Guest::Known(user) => user,
        Guest::New(user, password) => {
            statements.push(users::insert(user, Some(password), None));
            user.id
        }
    };
    // A link that was sent to an address proves access to the address.
    if invitation.sent_at.is_some() {
        statements.extend(users::verify(user, now));
    }
    statements.extend(join(invitation, context, user));
    match db.write("accept an invitation", statements).await {
        Ok(written) => Ok(written.is_committed()),
        // A user with this address was created meanwhile.
        Err(Error::Conflict { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns the valid invitations of an address, newest first.
///
/// # Errors
/// Fails if the store fails.
pub async fn invitations_of(db: &dyn Database, email: &Email, now: Timestamp) -> Result<Vec<Invitation>, Error> {
    let rows = db.read(Statement::new(OF_ADDRESS, vec![email.as_str().into(), now.into()])).await?;
    rows.into_iter().map(|row| read_invitation(&mut row.columns())).collect()
}

/// Stores a new user whom a provider vouches for, and accepts all their invitations. Returns false if an invitation
/// was no longer valid, or another user with this address or identity was created meanwhile.
///
/// # Errors
/// Fails if the store fails.
pub async fn accept_all(
    db: &dyn Database,
    context: &AuditContext,
    invitations: &[Invitation],
    user: &User,
    identity: Identity<'_>,
) -> Result<bool, Error> {
    let now = context.at;
    let mut statements = vec![users::insert(user, None, Some(now)), users::identity_statement(identity, user.id, now)];
    for (number, invitation) in (0..).zip(invitations) {
        statements.push(Statement::new(TAKE_BY_ID, vec![invitation.id.as_bytes().into(), now.into()]).required());
        statements.extend(join(invitation, &context.with_entry_of(number), user.id));
    }
    match db.write("accept invitations", statements).await {
        Ok(written) => Ok(written.is_committed()),
        Err(Error::Conflict { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns the statements that make a user a member by an accepted invitation.
fn join(invitation: &Invitation, context: &AuditContext, user: UserId) -> [Statement; 2] {
    let fields =
        Fields::default().with("user_id", user.to_string()).with("email", invitation.email.as_str()).with("role", invitation.role.as_str());
    let entry = entry(invitation, context, Action::InvitationAccept, &Change::done(&fields));
    [insert(invitation.organization, user, invitation.role, context.at), entry]
}

fn entry(invitation: &Invitation, context: &AuditContext, action: Action, change: &Change) -> Statement {
    audit_log::entry_of_organization(invitation.organization, context, action, invitation.id.as_bytes(), change)
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
