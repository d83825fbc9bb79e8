//! Settings of outgoing email: the mail server and the sender.

use std::path::PathBuf;

use anyhow::{Context, bail};
use hookstream_destinations::services::mail::{MailServer, Mailer};

use super::{section::section, values::SecretText};

section! {
    /// Settings of outgoing email as given.
    #[command(next_help_heading = "Mail")]
    pub(crate) struct MailSettings {
        /// The mail server, with its user and password; no flag, like all secrets
        #[arg(skip)]
        pub(crate) smtp_url: Option<SecretText>,

        /// Sender (From) address: hooks@example.com or 'Hookstream <hooks@example.com>'
        #[arg(long, value_name = "ADDRESS", env = "HOOKSTREAM_MAIL_FROM")]
        pub(crate) mail_from: Option<String>,

        /// Certificates (PEM) of authorities to trust for the mail server, besides the public authorities
        #[arg(long, value_name = "FILE", env = "HOOKSTREAM_SMTP_CA_FILE")]
        pub(crate) smtp_ca_file: Option<PathBuf>,
    }
}

/// Configuration of outgoing email.
#[derive(Debug, Clone)]
pub(crate) struct MailConfig {
    server: MailServer,
    from: String,
    ca_file: Option<PathBuf>,
}

impl MailSettings {
    /// Checks the settings; returns `None` if no email is configured. Errors do not contain the URL.
    pub(super) fn complete(self) -> anyhow::Result<Option<MailConfig>> {
        let Self { smtp_url, mail_from, smtp_ca_file: ca_file } = self;
        match (smtp_url, mail_from) {
            (Some(SecretText(url)), Some(from)) => {
                let server = MailServer::parse(url.expose()).map_err(|problem| anyhow::anyhow!("smtp_url {problem}"))?;
                Ok(Some(MailConfig { server, from, ca_file }))
            }
            (None, None) if ca_file.is_none() => Ok(None),
            (Some(_), None) => bail!("smtp_url is set but mail_from is missing"),
            (None, _) => bail!("mail_from or smtp_ca_file is set but smtp_url is missing"),
        }
    }
}

impl MailConfig {
    /// Returns the mailer.
    pub(crate) fn mailer(&self) -> anyhow::Result<Mailer> {
        let ca = match &self.ca_file {
            Some(path) => Some(std::fs::read(path).with_context(|| format!("could not read smtp_ca_file {}", path.display()))?),
            None => None,
        };
        Ok(Mailer::new(self.server.clone(), &self.from, ca.as_deref())?)
    }
}
