//! System environment of an environment: made with its applications when they are first needed.

use hookstream_model::{
    base::time::Timestamp,
    identity::tenancy::Tenant,
    operations::operational_event::SystemApplication,
    outbound::application::{Application, ApplicationStatus},
};

use crate::{
    db::{
        changes,
        error::Error,
        statement::{Database, Statement},
    },
    outbound::applications,
};

/// Name of every system environment.
const NAME: &str = "System";
/// The slug begins with a character that no slug of a user has.
const INSERT: &str = "insert into environments (id, organization_id, name, slug, created_at, version, is_system)
    values ($1, $2, $3, $4, $5, 1, 1) on conflict do nothing";
const HAS_ENVIRONMENT: &str =
    "select cast(1 as bigint) from environments e where e.id = $1 and e.organization_id = $2 and e.deleted_at is null";

/// Creates the system environment of a tenant's environment with one of its applications, unless they exist.
///
/// # Errors
/// Fails if the store fails.
pub async fn ensure(db: &dyn Database, tenant: Tenant, which: SystemApplication, now: Timestamp) -> Result<(), Error> {
    let system = tenant.of_system();
    let id = which.id(system);
    if applications::find(db, system, id).await?.is_some() {
        return Ok(());
    }
    let values = vec![
        system.environment.as_bytes().into(),
        system.organization.as_bytes().into(),
        NAME.into(),
        format!("@{}", system.environment).into(),
        now.into(),
    ];
    let of_users = vec![tenant.environment.as_bytes().into(), tenant.organization.as_bytes().into()];
    let application = Application {
        id,
        tenant: system,
        uid: None,
        name: which.name().to_owned(),
        description: None,
        metadata: None,
        status: ApplicationStatus::Active,
        rate_limit: None,
        portal_theme: None,
        created_at: now,
        updated_at: now,
    };
    let mut statements =
        vec![Statement::new(HAS_ENVIRONMENT, of_users).required(), Statement::new(INSERT, values), applications::insert(&application)];
    statements.extend(changes::of_environment(system));
    match db.write("create a system environment", statements).await {
        // Another request was faster.
        Ok(_) | Err(Error::Conflict { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
