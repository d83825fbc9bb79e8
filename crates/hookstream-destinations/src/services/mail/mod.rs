//! Mail to people, by SMTP through the operator's server (RFC 5321).
//!
//! Each mail is one connection and one try, within [`WITHIN`] for all of it: whoever has it sent decides what a failure
//! means. The connection is encrypted, unless the operator says otherwise, before a password or a mail goes over it. No
//! error quotes what a server said: that may quote the mail.

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
        Mailbox, SinglePart,
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

/// How long a mail may take in all: the wait for others, the connection, TLS, signing in, handing it over.
pub const WITHIN: Duration = Duration::from_secs(15);
/// How long each step of it may take.
const STEP_WITHIN: Duration = Duration::from_secs(10);
/// How long a server may take to say goodbye, once it has the mail.
const GOODBYE_WITHIN: Duration = Duration::from_secs(1);
/// How many are handed over at once.
const AT_ONCE: usize = 4;

/// Says of a mail that a program wrote it, so that no absence note answers it (RFC 3834).
const AUTO_SUBMITTED: HeaderName = HeaderName::new_from_ascii_str("Auto-Submitted");

/// A mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// Whom it is for.
    pub to: Email,
    /// What it is about. Control characters in it become spaces.
    pub subject: String,
    /// What it says, in lines that end with a line feed.
    pub text: String,
    /// A word that no other mail has, of letters and digits: a part of its `Message-ID`.
    pub id: String,
    /// When it is written.
    pub at: Timestamp,
}

/// Why a mail was not handed over.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The address is none that SMTP can carry.
    #[error("the mail server does not support this address")]
    Address,
    /// Nobody answers there.
    #[error("the mail server cannot be reached")]
    Unreachable(#[source] SmtpError),
    /// It takes too long.
    #[error("the mail server did not answer in time")]
    TimedOut,
    /// It does not offer to encrypt the connection.
    #[error("the mail server does not offer STARTTLS, which smtp:// requires")]
    NoStartTls,
    /// TLS does not come about.
    #[error("the TLS connection to the mail server failed")]
    Tls(#[source] SmtpError),
    /// It takes no such user or password, or no way of signing in that we have.
    #[error("the mail server refused the user name or the password of smtp_url{}", code(*.0))]
    SignIn(Option<u16>),
    /// It refuses the mail.
    #[error("the mail server refused the email{}", code(*.0))]
    Refused(Option<u16>),
    /// What it says is no SMTP.
    #[error("the mail server closed the connection or does not speak SMTP")]
    Broken,
    /// The mail cannot be written.
    #[error("the email cannot be composed")]
    Unwritable(#[source] lettre::error::Error),
}

fn code(code: Option<u16>) -> String {
    code.map_or_else(String::new, |code| format!(" (SMTP code {code})"))
}

impl MailError {
    /// Whether it may go another time.
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TimedOut | Self::Broken => true,
            Self::SignIn(code) | Self::Refused(code) => matches!(code, Some(400..=499)),
            Self::Address | Self::NoStartTls | Self::Tls(_) | Self::Unwritable(_) => false,
        }
    }
}

/// Why mail cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// The sender's address is none.
    #[error("mail_from is no address such as hooks@example.com or Hookstream <hooks@example.com>")]
    From,
    /// There are no certificates where some should be.
    #[error("smtp_ca_file holds no certificates in PEM")]
    Certificates,
    /// TLS cannot be set up.
    #[error("could not set up TLS for mail")]
    Tls(#[source] SmtpError),
}

/// Hands mail over to a server.
pub struct Mailer {
    server: MailServer,
    from: Mailbox,
    tls: Option<TlsParameters>,
    turns: Arc<Semaphore>,
}

impl Mailer {
    /// A mailer. `ca` are certificates in PEM of authorities to trust besides the public ones.
    ///
    /// # Errors
    /// Where the sender's address is none, or the certificates are none.
    pub fn new(server: MailServer, from: &str, ca: Option<&[u8]>) -> Result<Self, SetUpError> {
        let from: Mailbox = from.parse().map_err(|_| SetUpError::From)?;
        let tls = match server.encryption {
            Encryption::None => None,
            Encryption::StartTls | Encryption::Implicit => {
                let mut parameters = TlsParameters::builder(server.host.clone());
                if let Some(pem) = ca {
                    // The parser below takes a file without any.
                    crate::http::certificates(pem).map_err(|_| SetUpError::Certificates)?;
                    parameters = parameters.add_root_certificate(Certificate::from_pem(pem).map_err(|_| SetUpError::Certificates)?);
                }
                Some(parameters.build_rustls().map_err(SetUpError::Tls)?)
            }
        };
        Ok(Self { server, from, tls, turns: Arc::new(Semaphore::new(AT_ONCE)) })
    }

    /// Hands a mail over, once. What is returned comes within [`WITHIN`].
    ///
    /// # Errors
    /// Says why the server did not take it.
    pub async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = self.write(mail)?;
        tokio::time::timeout(WITHIN, self.hand_over(&message)).await.unwrap_or(Err(MailError::TimedOut))
    }

    fn write(&self, mail: &Mail) -> Result<Message, MailError> {
        let to: Address = mail.to.as_str().parse().map_err(|_| MailError::Address)?;
        let subject: String = mail.subject.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(mail.at.as_millis()).unwrap_or_default());
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(subject)
            .date(at)
            .message_id(Some(format!("<{}@{}>", mail.id, self.from.email.domain())))
            .raw_header(HeaderValue::new(AUTO_SUBMITTED, "auto-generated".to_owned()))
            .singlepart(SinglePart::plain(mail.text.clone()))
            .map_err(MailError::Unwritable)
    }

    async fn hand_over(&self, message: &Message) -> Result<(), MailError> {
        let _turn = self.turns.acquire().await.expect("it is never closed");
        let mut connection = self.connect().await?;
        if let Some((user, password)) = &self.server.credentials {
            let credentials = Credentials::new(user.clone(), password.expose().to_owned());
            let signed_in = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await;
            // It takes none of the two, or no password at all on such a connection.
            signed_in.map_err(|error| answered(error, MailError::SignIn, |_| MailError::SignIn(None)))?;
        }
        let sent = connection.send(message.envelope(), &message.formatted()).await;
        // It cannot take letters of other alphabets in an address.
        sent.map_err(|error| answered(error, MailError::Refused, |_| MailError::Address))?;
        // It has the mail: how it says goodbye changes nothing.
        let _ = tokio::time::timeout(GOODBYE_WITHIN, connection.quit()).await;
        Ok(())
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, MailError> {
        let MailServer { host, port, encryption, .. } = &self.server;
        // The domain that mail comes from is a name of ours as good as any.
        let name = ClientId::Domain(self.from.email.domain().to_owned());
        let at_once = self.tls.clone().filter(|_| *encryption == Encryption::Implicit);
        let connecting = AsyncSmtpConnection::connect_tokio1((host.as_str(), *port), Some(STEP_WITHIN), &name, at_once, None);
        let connected = connecting.await;
        let mut connection = connected.map_err(|error| answered(error, MailError::Refused, MailError::Unreachable))?;
        if *encryption == Encryption::StartTls
            && let Some(tls) = &self.tls
        {
            if !connection.can_starttls() {
                return Err(MailError::NoStartTls);
            }
            let started = connection.starttls(tls.clone(), &name).await;
            started.map_err(|error| answered(error, |_| MailError::NoStartTls, MailError::Tls))?;
        }
        Ok(connection)
    }
}

/// What went wrong: by the code that the server answered with, where it did, and `otherwise` where it was neither time,
/// nor TLS, nor what the server says.
fn answered(error: SmtpError, by_code: impl FnOnce(Option<u16>) -> MailError, otherwise: impl FnOnce(SmtpError) -> MailError) -> MailError {
    if let Some(code) = error.status() {
        return by_code(Some(code.into()));
    }
    if error.is_timeout() {
        return MailError::TimedOut;
    }
    if is_of_tls(&error) {
        return MailError::Tls(error);
    }
    if error.is_response() || is_of_network(&error) {
        return MailError::Broken;
    }
    otherwise(error)
}

/// Whether rustls is among the causes: it stands in an error of the connection.
fn is_of_tls(error: &SmtpError) -> bool {
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

/// Whether the connection was there and broke.
fn is_of_network(error: &SmtpError) -> bool {
    error.to_string().starts_with("network error")
}
