//! Mail to users, by SMTP through the operator's server (RFC 5321).
//!
//! Each mail is one connection and one attempt, within [`TIME_LIMIT`]; the caller decides what a failure means. The
//! connection is encrypted before a password or a mail is sent, unless the operator disables that. No error quotes
//! the server's text, because it may quote the mail.

mod server;

use std::{
    error::Error,
    io,
    sync::Arc,
    time::{Duration, SystemTime},
};

use hookstream_model::{base::time::Timestamp, identity::user::Email};
use lettre::{
    Address, Message,
    message::{
        Mailbox, MultiPart, SinglePart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp::{
        Error as SmtpError,
        authentication::{Credentials, Mechanism},
        client::{AsyncSmtpConnection, Certificate, TlsParameters},
        extension::ClientId,
    },
};
use tokio::sync::Semaphore;

pub use self::server::{Encryption, MailServer};

/// Time limit of one mail: waiting for a slot, connection, TLS, authentication and transfer.
pub const TIME_LIMIT: Duration = Duration::from_secs(15);
/// Time limit of each step.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);
/// Time limit of QUIT, after the server has accepted the mail.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);
/// Maximum number of mails sent at once.
const CONCURRENCY_MAX: usize = 4;

/// Marks a mail as automatic, so that no absence note is sent in reply (RFC 3834).
const AUTO_SUBMITTED: HeaderName = HeaderName::new_from_ascii_str("Auto-Submitted");

/// Mail to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Recipients.
    pub to: Vec<Email>,
    /// Subject line. Control characters in it become spaces.
    pub subject: String,
    /// Body text; lines end with a line feed.
    pub text: String,
    /// Same in HTML, if there is more to show than text.
    pub html: Option<String>,
    /// Unique word of letters and digits; part of the `Message-ID`.
    pub id: String,
    /// Date of the mail.
    pub at: Timestamp,
}

/// Reason why a mail was not sent.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// SMTP cannot express the address.
    #[error("the mail server does not support this address")]
    Address,
    /// No connection to the server.
    #[error("the mail server cannot be reached")]
    Unreachable(#[source] SmtpError),
    /// The time limit was exceeded.
    #[error("the mail server did not answer in time")]
    TimedOut,
    /// The server does not offer STARTTLS.
    #[error("the mail server does not offer STARTTLS, which smtp:// requires")]
    NoStartTls,
    /// The TLS connection failed.
    #[error("the TLS connection to the mail server failed")]
    Tls(#[source] SmtpError),
    /// The server rejected the credentials, or supports no authentication method of ours.
    #[error("the mail server refused the user name or the password of smtp_url{}", code(*.0))]
    SignIn(Option<u16>),
    /// The server rejected the mail.
    #[error("the mail server refused the email{}", code(*.0))]
    Refused(Option<u16>),
    /// The server's reply is not SMTP.
    #[error("the mail server closed the connection or does not speak SMTP")]
    Broken,
    /// The mail cannot be composed.
    #[error("the email cannot be composed")]
    Unwritable(#[source] lettre::error::Error),
}

fn code(code: Option<u16>) -> String {
    code.map_or_else(String::new, |code| format!(" (SMTP code {code})"))
}

impl MailError {
    /// Returns true if a later attempt may succeed.
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TimedOut | Self::Broken => true,
            Self::SignIn(code) | Self::Refused(code) => matches!(code, Some(400..=499)),
            Self::Address | Self::NoStartTls | Self::Tls(_) | Self::Unwritable(_) => false,
        }
    }
}

/// Error while setting up mail.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The sender's address is invalid.
    #[error("mail_from is not an address such as hooks@example.com or Hookstream <hooks@example.com>")]
    From,
    /// The certificate file contains no certificates.
    #[error("smtp_ca_file holds no certificates in PEM")]
    Certificates,
    /// TLS cannot be set up.
    #[error("could not set up TLS for mail")]
    Tls(#[source] SmtpError),
}

/// Sender of mail through one server.
pub struct Mailer {
    server: MailServer,
    from: Mailbox,
    tls: Option<TlsParameters>,
    slots: Arc<Semaphore>,
}

impl Mailer {
    /// Builds a mailer. `ca` contains PEM certificates of authorities to trust besides the public ones.
    ///
    /// # Errors
    /// If the sender's address or the certificates are invalid.
    pub fn new(server: MailServer, from: &str, ca: Option<&[u8]>) -> Result<Self, SetUpError> {
        let from: Mailbox = from.parse().map_err(|_| SetUpError::From)?;
        let tls = match server.encryption {
            Encryption::None => None,
            Encryption::StartTls | Encryption::Implicit => {
                let mut parameters = TlsParameters::builder(server.host.clone());
                if let Some(pem) = ca {
                    // The parser below accepts a file without certificates.
                    crate::net::certificates(pem).map_err(|_| SetUpError::Certificates)?;
                    parameters = parameters.add_root_certificate(Certificate::from_pem(pem).map_err(|_| SetUpError::Certificates)?);
                }
                Some(parameters.build_rustls().map_err(SetUpError::Tls)?)
            }
        };
        Ok(Self { server, from, tls, slots: Arc::new(Semaphore::new(CONCURRENCY_MAX)) })
    }

    /// Sends a mail with one attempt. Returns within [`TIME_LIMIT`].
    ///
    /// # Errors
    /// Returns the reason why the server did not accept it.
    pub async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = self.write(mail)?;
        tokio::time::timeout(TIME_LIMIT, self.hand_over(&message)).await.unwrap_or(Err(MailError::TimedOut))
    }

    /// Connects to the server, signs in if the settings have credentials, and sends nothing. Returns within [`TIME_LIMIT`].
    ///
    /// # Errors
    /// Returns the reason why the server did not accept the client.
    pub async fn check(&self) -> Result<(), MailError> {
        let greeted = async {
            let mut connection = self.sign_in().await?;
            let _ = tokio::time::timeout(QUIT_TIMEOUT, connection.quit()).await;
            Ok(())
        };
        tokio::time::timeout(TIME_LIMIT, greeted).await.unwrap_or(Err(MailError::TimedOut))
    }

    fn write(&self, mail: &Mail) -> Result<Message, MailError> {
        let mut to = Vec::with_capacity(mail.to.len());
        for address in &mail.to {
            let address: Address = address.as_str().parse().map_err(|_| MailError::Address)?;
            to.push(Mailbox::new(None, address));
        }
        let subject: String = mail.subject.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(mail.at.as_millis()).unwrap_or_default());
        let message = to.into_iter().fold(Message::builder().from(self.from.clone()), lettre::message::MessageBuilder::to);
        let message = message
            .subject(subject)
            .date(at)
            .message_id(Some(format!("<{}@{}>", mail.id, self.from.email.domain())))
            .raw_header(HeaderValue::new(AUTO_SUBMITTED, "auto-generated".to_owned()));
        let written = match &mail.html {
            None => message.singlepart(SinglePart::plain(mail.text.clone())),
            Some(html) => message.multipart(MultiPart::alternative_plain_html(mail.text.clone(), html.clone())),
        };
        written.map_err(MailError::Unwritable)
    }

    async fn hand_over(&self, message: &Message) -> Result<(), MailError> {
        let _slot = self.slots.acquire().await.expect("the semaphore is never closed");
        let mut connection = self.sign_in().await?;
        let sent = connection.send(message.envelope(), &message.formatted()).await;
        // The server does not support non-ASCII addresses.
        sent.map_err(|error| mail_error(error, MailError::Refused, |_| MailError::Address))?;
        // The server has accepted the mail, so a failed QUIT does not matter.
        let _ = tokio::time::timeout(QUIT_TIMEOUT, connection.quit()).await;
        Ok(())
    }

    /// Returns a connection on which mail can be sent.
    async fn sign_in(&self) -> Result<AsyncSmtpConnection, MailError> {
        let mut connection = self.connect().await?;
        if let Some((user, password)) = &self.server.credentials {
            let credentials = Credentials::new(user.clone(), password.expose().to_owned());
            let signed_in = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await;
            // The server supports neither mechanism, or no password on such a connection.
            signed_in.map_err(|error| mail_error(error, MailError::SignIn, |_| MailError::SignIn(None)))?;
        }
        Ok(connection)
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, MailError> {
        let MailServer { host, port, encryption, .. } = &self.server;
        // The sender's domain identifies this client.
        let name = ClientId::Domain(self.from.email.domain().to_owned());
        let implicit_tls = self.tls.clone().filter(|_| *encryption == Encryption::Implicit);
        let connecting = AsyncSmtpConnection::connect_tokio1((host.as_str(), *port), Some(STEP_TIMEOUT), &name, implicit_tls, None);
        let connected = connecting.await;
        let mut connection = connected.map_err(|error| mail_error(error, MailError::Refused, MailError::Unreachable))?;
        if *encryption == Encryption::StartTls
            && let Some(tls) = &self.tls
        {
            if !connection.can_starttls() {
                return Err(MailError::NoStartTls);
            }
            let started = connection.starttls(tls.clone(), &name).await;
            started.map_err(|error| mail_error(error, |_| MailError::NoStartTls, MailError::Tls))?;
        }
        Ok(connection)
    }
}

/// Maps an SMTP error. Uses `by_code` if the server replied with a code, and `otherwise` if the error is neither a
/// timeout, nor TLS, nor an invalid reply.
fn mail_error(
    error: SmtpError,
    by_code: impl FnOnce(Option<u16>) -> MailError,
    otherwise: impl FnOnce(SmtpError) -> MailError,
) -> MailError {
    if let Some(code) = error.status() {
        return by_code(Some(code.into()));
    }
    if error.is_timeout() {
        return MailError::TimedOut;
    }
    if is_tls_error(&error) {
        return MailError::Tls(error);
    }
    if error.is_response() || is_network_error(&error) {
        return MailError::Broken;
    }
    otherwise(error)
}

/// Returns true if rustls is among the causes, inside an I/O error.
fn is_tls_error(error: &SmtpError) -> bool {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref)
            && inner.is::<rustls::Error>()
        {
            return true;
        }
        cause = error.source();
    }
    false
}

/// Returns true if an existing connection broke.
fn is_network_error(error: &SmtpError) -> bool {
    error.to_string().starts_with("network error")
}
