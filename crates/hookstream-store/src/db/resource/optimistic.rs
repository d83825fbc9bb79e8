//! Optimistic, audited changes: read the current state, write under its version, and start again if the row has
//! changed since. The audit entry therefore always shows the state that the change replaced.

use hookstream_model::operations::audit_log::{Action, AuditContext, Change, fields::Audited};

use crate::db::{
    error::Error,
    sealed_write,
    statement::{Database, Statement},
};

/// Resource with a version, which increases with each change.
pub(crate) trait Versioned: Audited + Clone + Send + Sync {
    /// Key, with the tenant.
    type Key: Copy + Send + Sync;

    /// Returns the current state with its version.
    fn find_versioned(db: &dyn Database, key: Self::Key) -> impl Future<Output = Result<Option<(Self, i64)>, Error>> + Send;

    /// Returns the statement that stores an audit entry.
    fn entry(key: Self::Key, context: &AuditContext, action: Action, change: &Change) -> Statement;

    /// Returns the statements that write the operational events of a change.
    fn events(key: Self::Key, context: &AuditContext, action: Action, change: &Change) -> Vec<Statement> {
        let _ = (key, context, action, change);
        Vec::new()
    }
}

/// Resource whose fields an update changes.
pub(crate) trait Updatable: Versioned {
    /// Update, as errors name it.
    const OPERATION: &'static str;
    /// Update, as the audit log names it.
    const ACTION: Action;

    /// Returns the statements that write the new state if the row still has this version: a required one, and those
    /// that accompany it.
    fn update(&self, db: &dyn Database, key: Self::Key, version: i64) -> Result<Vec<Statement>, Error>;

    /// Returns whether the new state contains sealed values.
    fn is_sealed(&self) -> bool {
        false
    }
}

/// Result of an update.
#[derive(Debug)]
pub(crate) enum Updated<R> {
    /// Changed, with the new state.
    Done(R),
    /// No such resource.
    NotFound,
    /// Another resource has the new value of a unique field.
    Conflict(Error),
}

/// Changes a resource with `change`, which may refuse. An update without a visible difference has no audit entry.
pub(crate) async fn update_audited<R: Updatable, E: From<Error>>(
    db: &dyn Database,
    context: &AuditContext,
    key: R::Key,
    change: impl Fn(&mut R) -> Result<(), E>,
) -> Result<Updated<R>, E> {
    loop {
        let Some((before, version)) = R::find_versioned(db, key).await? else { return Ok(Updated::NotFound) };
        let mut after = before.clone();
        change(&mut after)?;
        let mut statements = after.update(db, key, version)?;
        if let Some(change) = Change::between(&before, &after) {
            statements.push(R::entry(key, context, R::ACTION, &change));
            statements.extend(R::events(key, context, R::ACTION, &change));
        }
        let written = if after.is_sealed() {
            sealed_write::write(db, R::OPERATION, statements).await
        } else {
            db.write(R::OPERATION, statements).await
        };
        match written {
            Ok(written) if written.is_committed() => return Ok(Updated::Done(after)),
            // Changed concurrently: start again from the current state.
            Ok(_) => {}
            Err(conflict @ Error::Conflict { .. }) => return Ok(Updated::Conflict(conflict)),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Runs statements that require the current version of a resource. Returns whether the resource exists.
pub(crate) async fn change_current<R: Versioned>(
    db: &dyn Database,
    operation: &'static str,
    key: R::Key,
    statements: impl Fn(&R, i64) -> Vec<Statement>,
) -> Result<bool, Error> {
    while let Some((before, version)) = R::find_versioned(db, key).await? {
        if db.write(operation, statements(&before, version)).await?.is_committed() {
            return Ok(true);
        }
        // Changed concurrently: start again from the current state.
    }
    Ok(false)
}

/// Deletes a resource with statements that require its current version; the audit entry shows its last state. Returns
/// whether the resource existed.
pub(crate) async fn delete_audited<R: Versioned>(
    db: &dyn Database,
    context: &AuditContext,
    (operation, action): (&'static str, Action),
    key: R::Key,
    statements: impl Fn(&R, i64) -> Vec<Statement>,
) -> Result<bool, Error> {
    let with_entry = |before: &R, version| {
        let mut statements = statements(before, version);
        let change = Change::removed(before);
        statements.push(R::entry(key, context, action, &change));
        statements.extend(R::events(key, context, action, &change));
        statements
    };
    change_current(db, operation, key, with_entry).await
}
