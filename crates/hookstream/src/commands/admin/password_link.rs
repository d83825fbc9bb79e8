//! `hookstream admin password-link`: a link with which a user sets a password, for installations without email.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use clap::Args;
use hookstream_cli::clock::SystemClock;
use hookstream_model::{
    base::time::Clock,
    identity::{session::SessionText, user::Email},
};
use hookstream_store::identity::{links, users};
use rand::{Rng, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Serialize};

use super::installation::{Installation, public_url_of};
use crate::{commands::existing::ExistingStore, config::StorageSettings};

/// Validity of the link.
const LINK_FOR: Duration = Duration::from_secs(24 * 3600);

/// User whose password the link sets.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream admin password-link --email ada@example.com\n\n\
    The link is valid once, for 24 hours. Share it only with the account owner; anyone with this link can sign in as them.\n\
    A second factor is still required. The command works while the server runs.")]
pub(crate) struct PasswordLinkArgs {
    /// The user's email address
    #[arg(long)]
    email: String,

    /// The address of the server for users, for the link [default: setting public_url]
    #[arg(long, value_name = "URL", env = "HOOKSTREAM_PUBLIC_URL")]
    public_url: Option<String>,

    #[command(flatten)]
    store: ExistingStore,

    /// The file with the encryption key. Or HOOKSTREAM_ENCRYPTION_KEY
    #[arg(long, value_name = "FILE", env = "HOOKSTREAM_ENCRYPTION_KEY_FILE")]
    encryption_key_file: Option<PathBuf>,
}

/// User whose password the link sets.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LinkedUser {
    email: String,
    public_url: Option<String>,
}

/// Reads the arguments: the store, its settings, and the request.
pub(crate) fn read(arguments: PasswordLinkArgs) -> anyhow::Result<(ExistingStore, StorageSettings, LinkedUser)> {
    let PasswordLinkArgs { email, public_url, store, encryption_key_file } = arguments;
    let settings = StorageSettings { encryption_key_file, ..StorageSettings::default() };
    Ok((store, settings, LinkedUser { email, public_url }))
}

/// Creates the link.
pub(super) async fn perform(on: &Installation<'_>, user: LinkedUser) -> anyhow::Result<String> {
    let email = Email::parse(&user.email)?;
    let public_url = public_url_of(user.public_url, on)?;
    let account = users::find_by_email(on.store, &email).await?.with_context(|| format!("there is no user with the address {email}"))?;
    let mut rng = StdRng::try_from_rng(&mut rand::rngs::SysRng).context("the system gives no random numbers")?;
    let mut random = [0; 32];
    rng.fill_bytes(&mut random);
    let (token, now) = (SessionText::generate(&random), SystemClock.now());
    links::create_password(on.store, token.hash(), account.user.id, now, now + LINK_FOR).await?;
    Ok(format!(
        "{email} sets a password with this link (single use, expires in 24 hours):\n\n    {public_url}/reset-password#token={}",
        token.expose()
    ))
}
