//! Roles of a user in organizations, and audit entries for each of them.

use hookstream_model::{
    base::ids::{OrganizationId, UserId},
    identity::member::Role,
    operations::audit_log::{Action, AuditContext, Change},
};

use crate::{
    db::{
        error::Error,
        statement::{Database, Row, Statement},
    },
    operations::audit_log,
};

const ROLES: &str = "select m.organization_id, m.role from members m join organizations o on o.id = m.organization_id
    where m.user_id = $1 and o.deleted_at is null order by m.organization_id limit 1000";

/// Returns a user's roles in organizations that are not deleted, oldest organization first.
///
/// # Errors
/// Fails if the store fails.
pub async fn roles(db: &dyn Database, user: UserId) -> Result<Vec<(OrganizationId, Role)>, Error> {
    let rows = db.read(Statement::new(ROLES, vec![user.as_bytes().into()])).await?;
    let read = |row: Row| {
        let mut columns = row.columns();
        Ok((columns.id("organization id", OrganizationId::from_bytes)?, columns.word("role", Role::parse)?))
    };
    rows.into_iter().map(read).collect()
}

/// Returns the statements that store audit entries about a user, one for each of the user's organizations.
pub(crate) async fn entries_of_person(
    db: &dyn Database,
    user: UserId,
    context: &AuditContext,
    action: Action,
    change: &Change,
) -> Result<Vec<Statement>, Error> {
    let of = |(number, (organization, _)): (u64, (OrganizationId, Role))| {
        audit_log::entry_of_organization(organization, &context.with_entry_of(number), action, user.as_bytes(), change)
    };
    Ok((0..).zip(roles(db, user).await?).map(of).collect())
}
