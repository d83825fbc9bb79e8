//! System environment of an environment: made when the first operational endpoint is created.

use hookstream_model::{
    base::time::Timestamp,
    identity::tenancy::Tenant,
    operations::operational_event::SYSTEM_APPLICATION_NAME,
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

/// The slug begins with a character that no slug of a user has.
const INSERT: &str = "insert into environments (id, organization_id, name, slug, created_at, version, is_system)
    select $1, $2, $3, $4, $5, 1, 1
    where exists (select 1 from environments e where e.id = $6 and e.organization_id = $2 and e.deleted_at is null)";

/// Creates the system environment of a tenant's environment with its application, unless they exist.
///
/// # Errors
/// Fails if the store fails.
pub async fn ensure(db: &dyn Database, tenant: Tenant, now: Timestamp) -> Result<(), Error> {
    let system = tenant.of_system();
    if applications::find(db, system, system.system_application()).await?.is_some() {
        return Ok(());
    }
    let values = vec![
        system.environment.as_bytes().into(),
        system.organization.as_bytes().into(),
        SYSTEM_APPLICATION_NAME.into(),
        format!("@{}", system.environment).into(),
        now.into(),
        tenant.environment.as_bytes().into(),
    ];
    let application = Application {
        id: system.system_application(),
        tenant: system,
        uid: None,
        name: SYSTEM_APPLICATION_NAME.to_owned(),
        description: None,
        metadata: None,
        status: ApplicationStatus::Active,
        rate_limit: None,
        portal_theme: None,
        created_at: now,
        updated_at: now,
    };
    let mut statements = vec![Statement::new(INSERT, values).required(), applications::insert(&application)];
    statements.extend(changes::of_environment(system));
    match db.write("create a system environment", statements).await {
        // Another request was faster.
        Ok(_) | Err(Error::Conflict { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
