//! `hookstream admin password-link`: a link with which somebody sets their password, where no mail goes out.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use clap::Args;
use hookstream_model::{person::Email, session::SessionText, time::Clock};
use hookstream_store::{Store, links, users};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::output::say;
use crate::{
    clock::SystemClock,
    commands::existing::ExistingStore,
    config::{Config, Settings},
    keys,
};

/// For how long the link is good.
const LINK_FOR: Duration = Duration::from_secs(24 * 3600);

/// Whose password it sets.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream admin password-link --email ada@example.com\n\n\
    It prints the link, which is good once and for 24 hours. Give it to nobody but whose account it is: whoever has it\n\
    signs in as them. A second factor is asked for all the same.")]
pub(crate) struct PasswordLinkArgs {
    /// The address that they sign in with
    #[arg(long)]
    email: String,

    /// The address under which people reach the server, for the link [default: setting public_url]
    #[arg(long, value_name = "URL", env = "HOOKSTREAM_PUBLIC_URL")]
    public_url: Option<String>,

    #[command(flatten)]
    store: ExistingStore,

    /// The file with the encryption key. Or HOOKSTREAM_ENCRYPTION_KEY
    #[arg(long, value_name = "FILE", env = "HOOKSTREAM_ENCRYPTION_KEY_FILE")]
    encryption_key_file: Option<PathBuf>,
}

/// Makes the link and prints it.
pub(crate) async fn run(arguments: PasswordLinkArgs) -> anyhow::Result<()> {
    let email = Email::parse(&arguments.email)?;
    let settings = Settings { encryption_key_file: arguments.encryption_key_file, public_url: arguments.public_url, ..Settings::default() };
    let (config, store) = arguments.store.open(settings, "a server runs on this data directory: stop it for a moment").await?;
    let made = make(&*store, &config, &email).await;
    store.close().await;
    say!("{}", made?);
    Ok(())
}

async fn make(store: &dyn Store, config: &Config, email: &Email) -> anyhow::Result<String> {
    let mut rng = StdRng::try_from_rng(&mut rand::rngs::SysRng).context("the system gives no random numbers")?;
    keys::unlock(store, config, &mut rng).await?;
    let account = users::find_by_email(store, email).await?.with_context(|| format!("nobody has an account with the address {email}"))?;
    let mut random = [0; 32];
    rng.fill_bytes(&mut random);
    let (token, now) = (SessionText::generate(&random), SystemClock.now());
    links::create_password(store, token.hash(), account.user.id, now, now + LINK_FOR).await?;
    let public_url = config.public_url.clone().unwrap_or_else(|| format!("http://{}", config.listen));
    Ok(format!(
        "{email} sets their password with this link, once and within 24 hours:\n\n    {public_url}/reset-password#token={}",
        token.expose()
    ))
}
