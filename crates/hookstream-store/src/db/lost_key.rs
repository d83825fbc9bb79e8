//! Replacement of secrets encrypted with a lost key, for `hookstream admin forget-secrets`. No server may run meanwhile.
//!
//! Rows are checked one by one, not by the marks of their keys, so an interrupted run can be repeated. Secrets that
//! the given keys open stay unchanged.

use hookstream_model::{
    base::{
        ids::{ApplicationId, EndpointId, EnvironmentId, OrganizationId, UserId},
        vault::Keys,
    },
    identity::tenancy::Tenant,
    operations::audit_log::{Action, AuditContext, Change, fields::Fields},
    outbound::signature::{SigningAlgorithm, SigningKey},
};
use rand::rngs::StdRng;

use crate::{
    db::{
        changes,
        error::Error,
        page::sql_limit,
        sealed_write,
        statement::{Database, Statement, Value},
        vault, vault_keys,
    },
    identity::memberships,
    operations::audit_log::{self, AboutEndpoint},
};

const SLICE: usize = 200;

const SETTINGS: &str = "select name, value from settings
    where name in ('portal_key', 'sign_in_key') or name like 'portal\\_key.%' escape '\\' order by name";
const REMOVE_SETTING: &str = "delete from settings where name = $1";
const RESPONSES: &str = "select environment_id, key, body from idempotency_keys where (environment_id, key) > ($1, $2)
    order by environment_id, key limit $3";
const REMOVE_RESPONSE: &str = "delete from idempotency_keys where environment_id = $1 and key = $2";
const USERS: &str = "select id, email, totp_secret from users where id > $1 and totp_secret is not null order by id limit $2";
const REMOVE_SECOND_FACTOR: &str = "update users set totp_secret = null, totp_confirmed_at = null, totp_last_step = null,
    recovery_codes = null, updated_at = $2 where id = $1";
const ENDPOINTS: &str = "select id, organization_id, environment_id, application_id, signing_algorithm, secret, previous_secrets, config
    from endpoints where id > $1 order by id limit $2";
const REPLACE_SECRET: &str = "update endpoints set secret = $2, previous_secrets = null, updated_at = $3,
    version = version + 1 where id = $1";
const REMOVE_PREVIOUS: &str = "update endpoints set previous_secrets = null, updated_at = $2,
    version = version + 1 where id = $1";

const REMOVE_CONFIG: &str = "update endpoints set config = null, updated_at = $2, version = version + 1 where id = $1";

/// Replaced and removed secrets.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Endpoints with a new signing secret.
    pub endpoints: Vec<EndpointId>,
    /// Endpoints that lost their `config`, which must be sent again.
    pub configs: Vec<EndpointId>,
    /// Email addresses of users who lost their second factor.
    pub users: Vec<String>,
    /// Number of removed responses stored for an idempotency key.
    pub responses: usize,
    /// Number of removed keys of the installation (portal and sign-in), which it creates again.
    pub settings: usize,
}

/// Unlocks a store with `keys` and replaces everything that they do not open. `random` makes secrets, `context` the audit contexts.
///
/// # Errors
/// Fails if the store fails.
pub async fn forget(
    db: &dyn Database,
    keys: Keys,
    nonces: StdRng,
    random: &mut (dyn FnMut() -> [u8; 32] + Send),
    context: &mut (dyn FnMut() -> AuditContext + Send),
) -> Result<Forgotten, Error> {
    vault_keys::remove_marks_without_key(db, &keys).await?;
    vault_keys::unlock(db, keys, nonces).await?;
    let mut forgotten = Forgotten::default();
    settings(db, &mut forgotten).await?;
    responses(db, &mut forgotten).await?;
    users(db, &mut forgotten, context).await?;
    endpoints(db, &mut forgotten, random, context).await?;
    Ok(forgotten)
}

fn opens(db: &dyn Database, context: &hookstream_model::base::vault::SealContext, text: &str) -> Result<bool, Error> {
    match db.vault().open(context, text) {
        Ok(_) => Ok(true),
        Err(Error::Unopened { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn settings(db: &dyn Database, forgotten: &mut Forgotten) -> Result<(), Error> {
    for row in db.read(Statement::new(SETTINGS, vec![])).await? {
        let mut columns = row.columns();
        let (name, value) = (columns.text("setting")?, columns.text("setting")?);
        if !opens(db, &vault::setting_of(&name), &value)? {
            db.write("remove a key that cannot be decrypted", vec![Statement::new(REMOVE_SETTING, vec![name.into()])]).await?;
            forgotten.settings += 1;
        }
    }
    Ok(())
}

async fn responses(db: &dyn Database, forgotten: &mut Forgotten) -> Result<(), Error> {
    let mut after = (Vec::new(), String::new());
    loop {
        let values = vec![Value::Blob(after.0.clone()), after.1.clone().into(), sql_limit(SLICE).into()];
        let rows = db.read(Statement::new(RESPONSES, values)).await?;
        let is_full = rows.len() == SLICE;
        let mut statements = Vec::new();
        for row in rows {
            let mut columns = row.columns();
            let environment = columns.id("environment id", EnvironmentId::from_bytes)?;
            let (key, body) = (columns.text("idempotency key")?, columns.text("response")?);
            if !opens(db, &vault::response_of(environment, &key), &body)? {
                statements.push(Statement::new(REMOVE_RESPONSE, vec![environment.as_bytes().into(), key.as_str().into()]));
            }
            after = (environment.as_bytes().to_vec(), key);
        }
        forgotten.responses += statements.len();
        if !statements.is_empty() {
            db.write("remove stored responses that cannot be decrypted", statements).await?;
        }
        if !is_full {
            return Ok(());
        }
    }
}

async fn users(db: &dyn Database, forgotten: &mut Forgotten, context: &mut (dyn FnMut() -> AuditContext + Send)) -> Result<(), Error> {
    let mut after = Vec::new();
    loop {
        let rows = db.read(Statement::new(USERS, vec![Value::Blob(after.clone()), sql_limit(SLICE).into()])).await?;
        let is_full = rows.len() == SLICE;
        for row in rows {
            let mut columns = row.columns();
            let id = columns.id("user id", UserId::from_bytes)?;
            let (email, secret) = (columns.text("email")?, columns.text("totp_secret")?);
            if !opens(db, &vault::totp_secret_of(id), &secret)? {
                let context = context();
                let mut statements = vec![Statement::new(REMOVE_SECOND_FACTOR, vec![id.as_bytes().into(), context.at.into()])];
                let change = Change::default();
                statements.extend(memberships::entries_of_person(db, id, &context, Action::PersonRemoveSecondFactor, &change).await?);
                db.write("remove a second factor that cannot be decrypted", statements).await?;
                forgotten.users.push(email);
            }
            after = id.as_bytes().to_vec();
        }
        if !is_full {
            return Ok(());
        }
    }
}

async fn endpoints(
    db: &dyn Database,
    forgotten: &mut Forgotten,
    random: &mut (dyn FnMut() -> [u8; 32] + Send),
    context: &mut (dyn FnMut() -> AuditContext + Send),
) -> Result<(), Error> {
    let mut after = Vec::new();
    loop {
        let rows = db.read(Statement::new(ENDPOINTS, vec![Value::Blob(after.clone()), sql_limit(SLICE).into()])).await?;
        let is_full = rows.len() == SLICE;
        for row in rows {
            let mut columns = row.columns();
            let id = columns.id("endpoint id", EndpointId::from_bytes)?;
            let organization = columns.id("organization id", OrganizationId::from_bytes)?;
            let tenant = Tenant { organization, environment: columns.id("environment id", EnvironmentId::from_bytes)? };
            let application = columns.id("application id", ApplicationId::from_bytes)?;
            let algorithm = columns.word("signing_algorithm", |word| SigningAlgorithm::parse(word).ok())?;
            let (secret, previous) = (columns.text("secret")?, columns.optional_text("previous_secrets")?);
            let about = AboutEndpoint { application, endpoint: id };
            after = id.as_bytes().to_vec();
            let keeps_secret = opens(db, &vault::secret_of(id), &secret)?;
            let keeps_previous = match &previous {
                Some(previous) => opens(db, &vault::previous_secrets_of(id), previous)?,
                None => true,
            };
            if let Some(config) = columns.optional_text("config")?
                && !opens(db, &vault::config_of(id), &config)?
            {
                let context = context();
                let mut statements = vec![Statement::new(REMOVE_CONFIG, vec![id.as_bytes().into(), context.at.into()])];
                statements.extend(changes::of_application(tenant, application));
                let change = Change::done(&Fields::default().with("config", "removed, because the encryption key is lost"));
                statements.push(audit_log::entry_of_endpoint(tenant, about, &context, Action::EndpointUpdate, id.as_bytes(), &change));
                db.write("remove settings that cannot be decrypted", statements).await?;
                forgotten.configs.push(id);
            }
            if keeps_secret && keeps_previous {
                continue;
            }
            let context = context();
            let change = if keeps_secret {
                Statement::new(REMOVE_PREVIOUS, vec![id.as_bytes().into(), context.at.into()])
            } else {
                let fresh = SigningKey::generate(algorithm, &random());
                let sealed = db.vault().seal(&vault::secret_of(id), fresh.expose())?;
                forgotten.endpoints.push(id);
                Statement::new(REPLACE_SECRET, vec![id.as_bytes().into(), sealed.into(), context.at.into()])
            };
            let mut statements = vec![change];
            statements.extend(changes::of_application(tenant, application));
            let change = Change::done(&Fields::default().with("reason", "the encryption key is lost"));
            statements.push(audit_log::entry_of_endpoint(tenant, about, &context, Action::EndpointRotateSecret, id.as_bytes(), &change));
            sealed_write::write(db, "replace a signing secret that cannot be decrypted", statements).await?;
        }
        if !is_full {
            return Ok(());
        }
    }
}
