//! Settings of outgoing email: the mail server and the sender.

use std::path::PathBuf;

use anyhow::{Context, bail};
use hookstream_destinations::services::mail::{MailServer, Mailer};
use hookstream_model::base::secret::Secret;

/// Configuration of outgoing email.
#[derive(Debug, Clone)]
pub(crate) struct MailConfig {
    server: MailServer,
    from: String,
    ca_file: Option<PathBuf>,
}

impl MailConfig {
    /// Combines the settings; returns `None` if no email is configured. Errors do not contain the URL.
    pub(crate) fn check(url: Option<Secret>, from: Option<String>, ca_file: Option<PathBuf>) -> anyhow::Result<Option<Self>> {
        match (url, from) {
            (Some(url), Some(from)) => {
                let server = MailServer::parse(url.expose()).map_err(|problem| anyhow::anyhow!("smtp_url {problem}"))?;
                Ok(Some(Self { server, from, ca_file }))
            }
            (None, None) if ca_file.is_none() => Ok(None),
            (Some(_), None) => bail!("smtp_url is set but mail_from is missing"),
            (None, _) => bail!("mail_from or smtp_ca_file is set but smtp_url is missing"),
        }
    }

    /// Returns the mailer.
    pub(crate) fn mailer(&self) -> anyhow::Result<Mailer> {
        let ca = match &self.ca_file {
            Some(path) => Some(std::fs::read(path).with_context(|| format!("could not read smtp_ca_file {}", path.display()))?),
            None => None,
        };
        Ok(Mailer::new(self.server.clone(), &self.from, ca.as_deref())?)
    }
}
