//! `hookstream admin test-mail`: sends an email as the server would, so that an operator can check the settings.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use hookstream_cli::{clock::SystemClock, say};
use hookstream_destinations::services::mail::Mail;
use hookstream_model::{
    base::{
        ids::{EntryId, IdSource},
        time::Clock,
    },
    identity::user::Email,
};
use rand::{SeedableRng, rngs::StdRng};

use crate::config::{Config, MailSettings, Settings, Sources};

/// Recipient and mail settings.
#[derive(Debug, Args)]
#[command(after_help = "Example: hookstream admin test-mail ada@example.com\n\n\
    The settings are the server's: smtp_url (in the file of --config, or HOOKSTREAM_SMTP_URL), mail_from, smtp_ca_file.\n\
    It reports whether the mail server accepted the mail, or why not.")]
pub(crate) struct TestMailArgs {
    /// The address to send it to
    to: String,

    /// A TOML file with the server's settings
    #[arg(long, value_name = "FILE", env = "HOOKSTREAM_CONFIG")]
    config: Option<PathBuf>,

    /// Sender (From) address
    #[arg(long, value_name = "ADDRESS", env = "HOOKSTREAM_MAIL_FROM")]
    mail_from: Option<String>,

    /// Certificates (PEM) of authorities to trust for the mail server, besides the public authorities
    #[arg(long, value_name = "FILE", env = "HOOKSTREAM_SMTP_CA_FILE")]
    smtp_ca_file: Option<PathBuf>,
}

/// Sends the email.
pub(crate) async fn run(arguments: TestMailArgs) -> anyhow::Result<()> {
    let to = Email::parse(&arguments.to)?;
    let mail = MailSettings { mail_from: arguments.mail_from, smtp_ca_file: arguments.smtp_ca_file, ..MailSettings::default() };
    let settings = Settings { mail, ..Settings::default() };
    let config = Config::load(Sources { config: arguments.config, restored: false, forget: false, settings }, &crate::environment())?;
    let mail = config
        .mail
        .as_ref()
        .context("mail is not configured: set smtp_url (HOOKSTREAM_SMTP_URL=smtp://user:password@mail.example.com:587) and mail_from")?;
    let rng = StdRng::try_from_rng(&mut rand::rngs::SysRng).context("the system gives no random numbers")?;
    let now = SystemClock.now();
    let text = "Hello,\n\nthis is a test of `hookstream admin test-mail`. Mail from your Hookstream arrives.\n".to_owned();
    let subject = "A test of Hookstream's mail".to_owned();
    mail.mailer()?
        .send(&Mail {
            to: vec![to.clone()],
            subject,
            text,
            html: None,
            id: EntryId::from(IdSource::new(rng).next(now)).to_string(),
            at: now,
        })
        .await
        .context("the mail was not sent")?;
    say!("the mail server accepted a mail to {to}");
    Ok(())
}
