//! `hookstream admin create-owner`: makes a user an owner. Creates the first account, and restores access if no owner
//! can sign in.

use std::{
    io::{BufRead, IsTerminal},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, bail};
use clap::Args;
use hookstream_cli::clock::SystemClock;
use hookstream_model::{
    base::{
        ids::{IdSource, OrganizationId},
        time::Clock,
    },
    identity::{
        password::{self, PasswordHash},
        session::SessionText,
        tenancy::Tenant,
        user::{Email, User, check_name},
    },
    operations::audit_log::AuditContext,
};
use hookstream_store::{
    Store,
    identity::{environments, links, organizations, users},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

use super::installation::{Installation, public_url_of};
use crate::{commands::existing::ExistingStore, config::StorageSettings};

/// Validity of the link.
const LINK_FOR: Duration = Duration::from_secs(24 * 3600);
/// User and organization.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream admin create-owner --email ada@example.com\n\n\
    Without --password-stdin it prints a link to set a password (single use, expires in 24 hours).\n\
    An existing user becomes an owner; with --password-stdin their password is replaced and their sessions end.")]
pub(crate) struct CreateOwnerArgs {
    /// The user's email address
    #[arg(long)]
    email: String,

    /// The user's name [default: the address]
    #[arg(long)]
    name: Option<String>,

    /// The organization's id [default: the oldest]
    #[arg(long, value_name = "ID")]
    organization: Option<String>,

    /// Reads the password from standard input: its first line
    #[arg(long)]
    password_stdin: bool,

    /// The address of the server for users, for the link [default: setting public_url]
    #[arg(long, value_name = "URL", env = "HOOKSTREAM_PUBLIC_URL")]
    public_url: Option<String>,

    #[command(flatten)]
    store: ExistingStore,

    /// The file with the encryption key. Or HOOKSTREAM_ENCRYPTION_KEY
    #[arg(long, value_name = "FILE", env = "HOOKSTREAM_ENCRYPTION_KEY_FILE")]
    encryption_key_file: Option<PathBuf>,
}

/// User who becomes an owner.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NewOwner {
    email: String,
    name: Option<String>,
    organization: Option<String>,
    password: Option<String>,
    public_url: Option<String>,
}

/// Reads the arguments: the store, its settings, and the request.
pub(crate) fn read(arguments: CreateOwnerArgs) -> anyhow::Result<(ExistingStore, StorageSettings, NewOwner)> {
    let CreateOwnerArgs { email, name, organization, password_stdin, public_url, store, encryption_key_file } = arguments;
    let password = password_stdin.then(read_password).transpose()?;
    let settings = StorageSettings { encryption_key_file, ..StorageSettings::default() };
    let owner = NewOwner { email, name, organization, password, public_url };
    Ok((store, settings, owner))
}

/// Makes the user an owner.
pub(super) async fn perform(on: &Installation<'_>, owner: NewOwner) -> anyhow::Result<String> {
    let store = on.store;
    let email = Email::parse(&owner.email)?;
    let name = owner.name.unwrap_or_else(|| email.to_string());
    check_name(&name)?;
    let password = owner.password.as_deref();
    if let Some(password) = password {
        password::check("password", password, &email, &name)?;
    }
    let mut rng = StdRng::try_from_rng(&mut rand::rngs::SysRng).context("the system gives no random numbers")?;
    let now = SystemClock.now();
    let organization = owner.organization.as_deref();
    let tenant = find_tenant(store, organization).await?;
    let mut random = [0; 32];
    let hash = password.map(|password| {
        rng.fill_bytes(&mut random);
        PasswordHash::of(password, random[..16].try_into().expect("16 of 32 bytes"))
    });
    let known = users::find_by_email(store, &email).await?;
    let is_new = known.is_none();
    let has_password = hash.is_some() || known.as_ref().is_some_and(|account| account.password.is_some());
    let mut ids = IdSource::new(StdRng::from_rng(&mut rng));
    let act = AuditContext::of_operator(ids.next(now), now);
    let id = ids.next(now).into();
    let user = known.map_or(User { id, email, name, created_at: now }, |account| account.user);
    links::make_owner(store, &act, &user, is_new, hash.as_ref(), tenant).await?;
    let done = format!("{} is an owner of the organization {}", user.email, tenant.organization);
    if has_password {
        return Ok(format!("{done} and signs in with their password"));
    }
    rng.fill_bytes(&mut random);
    let token = SessionText::generate(&random);
    links::create_password(store, token.hash(), user.id, now, now + LINK_FOR).await?;
    let public_url = public_url_of(owner.public_url, on)?;
    Ok(format!(
        "{done}. They set a password with this link (single use, expires in 24 hours):\n\n    {public_url}/reset-password#token={}",
        token.expose()
    ))
}

async fn find_tenant(store: &dyn Store, organization: Option<&str>) -> anyhow::Result<Tenant> {
    let Some(text) = organization else {
        return organizations::first(store).await?.context("there is no organization yet: start the server once");
    };
    let id: OrganizationId = text.parse().with_context(|| format!("--organization {text}"))?;
    let environment = environments::oldest(store, id).await?.with_context(|| format!("there is no organization {id}"))?;
    Ok(Tenant { organization: id, environment: environment.id })
}

fn read_password() -> anyhow::Result<String> {
    let input = std::io::stdin();
    if input.is_terminal() {
        bail!(
            "--password-stdin reads from a pipe or a file, where the password is not shown: … | hookstream admin create-owner --password-stdin …"
        );
    }
    let mut line = String::new();
    input.lock().read_line(&mut line).context("could not read the password from standard input")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
