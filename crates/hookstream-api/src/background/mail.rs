//! Emails to users, and the queue of password links.
//!
//! A request for a password link is answered before any lookup, so neither the response nor its time reveals whether
//! the account exists. The rest happens here, in the background.

use std::{sync::PoisonError, time::Duration};

use hookstream_destinations::services::mail::{Mail, MailError, Mailer};
use hookstream_model::{
    base::{
        ids::EntryId,
        text::{has_link, is_format},
        time::Timestamp,
    },
    identity::{session::SessionText, user::Email},
};
use hookstream_store::identity::{links, members::Invitation, users};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    background::mail_queue::MailQueue,
    http::error::{ApiError, ErrorCode},
    state::Api,
};

/// Validity of a link that sets a password.
pub(crate) const LINK_FOR: Duration = Duration::from_secs(3600);
/// Maximum number of links in progress, including those that wait for a retry.
const AT_ONCE: usize = 50;
/// Delays before the retries of a temporary failure. Servers that greylist an unknown sender accept it after some
/// minutes (RFC 6647).
const RETRY_DELAYS: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(120), Duration::from_secs(360)];
/// Maximum length of a user's text in an email, in characters.
const WORDS_MAX: usize = 100;

/// Subject and text of an email, without recipient, id and time.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MailText {
    subject: &'static str,
    text: String,
}

impl MailText {
    fn to(self, to: Email, api: &Api) -> Mail {
        let Self { subject, text } = self;
        let to = vec![to];
        Mail { to, subject: subject.to_owned(), text, html: None, id: EntryId::from(api.engine.new_id()).to_string(), at: api.wall() }
    }
}

/// Sends an email within the request, so that the caller learns the result.
pub(crate) async fn send(api: &Api, queue: &MailQueue, to: Email, text: MailText) -> Result<(), ApiError> {
    queue.mailer.send(&text.to(to, api)).await.map_err(|error| {
        let message =
            format!("The email could not be sent: {error}. Nothing was changed. Retry, or ask the operator of this installation.");
        match error {
            MailError::Address => {
                ApiError::invalid("email", "is not an address that the mail server supports. Use an address of ASCII characters")
            }
            MailError::Unreachable(_)
            | MailError::TimedOut
            | MailError::NoStartTls
            | MailError::Tls(_)
            | MailError::SignIn(_)
            | MailError::Refused(_)
            | MailError::Broken
            | MailError::Unwritable(_) => ApiError::new(ErrorCode::MailFailed, message).caused_by(&error),
        }
    })
}

impl Api {
    /// Sends requested password links until `stop`. Requests that wait then are dropped; users ask again.
    pub async fn run_mail_queue(self, stop: CancellationToken) {
        let Some(queue) = &self.mail_queue else { return };
        let Some(mut waiting) = queue.waiting.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        let mut under_way = JoinSet::new();
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(email) = waiting.recv(), if under_way.len() < AT_ONCE => {
                    let api = self.clone();
                    under_way.spawn(async move { api.send_link(&email).await });
                }
                Some(ended) = under_way.join_next(), if !under_way.is_empty() => match ended {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::error!(error = &error as &dyn std::error::Error, "could not store a password link"),
                    Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "the task that sends a password link failed"),
                }
            }
        }
    }

    /// Sends a password link, if the account exists.
    async fn send_link(&self, email: &Email) -> Result<(), hookstream_store::Error> {
        let Some(queue) = &self.mail_queue else { return Ok(()) };
        let Some(account) = users::find_by_email(&*self.store, email).await? else { return Ok(()) };
        let id = account.user.id;
        let (text, link) = if account.password.is_none() {
            (without_password(&self.options.public_url), None)
        } else {
            let (token, now) = (SessionText::generate(&self.engine.random_bytes()), self.now());
            links::create_mailed(&*self.store, token.hash(), id, now, now + LINK_FOR).await?;
            let link = format!("{}/reset-password#token={}", self.options.public_url, token.expose());
            (forgotten(&self.options.public_url, &link), Some(token.hash()))
        };
        let mail = text.to(account.user.email, self);
        match deliver(&queue.mailer, &mail).await {
            Ok(()) => tracing::info!(user.id = %id, "sent a password mail"),
            Err(error) => {
                tracing::warn!(user.id = %id, error = &error as &dyn std::error::Error, "could not send a password mail");
                if let Some(hash) = link {
                    links::revoke(&*self.store, hash).await?;
                }
            }
        }
        Ok(())
    }
}

/// Sends an email, with retries after temporary failures.
async fn deliver(mailer: &Mailer, mail: &Mail) -> Result<(), MailError> {
    for wait in RETRY_DELAYS {
        match mailer.send(mail).await {
            Err(error) if error.is_temporary() => {
                tracing::info!(error = &error as &dyn std::error::Error, "the mail server did not accept a mail; retrying");
                tokio::time::sleep(wait).await;
            }
            result => return result,
        }
    }
    mailer.send(mail).await
}

/// Email of an invitation.
pub(crate) fn invitation(invitation: &Invitation, organization: &str, public_url: &str, link: &str) -> MailText {
    // The email is sent in the operator's name, so texts of users must not contain links.
    let (inviter, organization) = (words(&invitation.invited_by), words(organization));
    let organization = if has_link(&organization) { "(name hidden because it contains a link)".to_owned() } else { organization };
    let (role, until) = (invitation.role.as_str(), day(invitation.expires_at));
    let text = format!(
        "Hello,\n\n\
        {inviter} invited you to an organization on Hookstream, at\n{public_url}\n\n\
        Organization: {organization}\n\
        Your role:    {role}\n\n\
        To accept the invitation, open this link by {until}:\n\n\
        {link}\n\n\
        The link can be used once. Do not share it. If you did not expect this\n\
        invitation, you can ignore this email.\n"
    );
    MailText { subject: "Invitation to an organization on Hookstream", text }
}

/// Email with the code that confirms a customer's address for notifications.
pub(crate) fn confirmation(customer: &str, code: &str) -> MailText {
    // The email is sent in the operator's name, so texts of users must not contain links.
    let customer = words(customer);
    let customer = if has_link(&customer) { "(name hidden because it contains a link)".to_owned() } else { customer };
    let text = format!(
        "Hello,\n\n\
        this address was entered to get mail about the webhook endpoints of\n{customer}\n\n\
        To confirm it, enter this code on the page where it was entered, within\n30 minutes:\n\n\
        {code}\n\n\
        If you did not expect this, ignore this email: you get no other.\n"
    );
    MailText { subject: "Code to confirm mail about webhook endpoints", text }
}

/// Email with a password link.
fn forgotten(public_url: &str, link: &str) -> MailText {
    let text = format!(
        "Hello,\n\n\
        A new password was requested for your Hookstream account, at\n{public_url}\n\n\
        To set it, open this link within an hour:\n\n\
        {link}\n\n\
        The link can be used once. Setting a new password ends your other sessions.\n\
        If you did not request this, ignore this email: your password stays the same.\n"
    );
    MailText { subject: "Set a new password for Hookstream", text }
}

/// Email to a user who requests a password link but signs in without a password.
fn without_password(public_url: &str) -> MailText {
    let text = format!(
        "Hello,\n\n\
        A new password was requested for your Hookstream account, at\n{public_url}\n\n\
        Your account has no password: you sign in with an identity provider.\n\
        Open this page and select the provider:\n\n\
        {public_url}/sign-in\n\n\
        If you did not request this, ignore this email.\n"
    );
    MailText { subject: "Your Hookstream account has no password", text }
}

/// Returns a user's text for an email: one line of limited length, without characters that change the direction of
/// text.
fn words(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && !is_format(*c)).take(WORDS_MAX).collect()
}

/// Formats a time to the minute, for users.
fn day(at: Timestamp) -> String {
    let text = at.to_string();
    let minutes = text.get(..16).unwrap_or(&text);
    format!("{} UTC", minutes.replace('T', " "))
}

#[cfg(test)]
mod tests {
    use hookstream_model::{
        base::ids::{InvitationId, OrganizationId},
        identity::member::Role,
    };

    use super::*;

    #[test]
    fn invitation_names_inviter_organization_role_and_expiry() {
        let invited = Invitation {
            id: InvitationId::from_bytes([1; 16]),
            organization: OrganizationId::from_bytes([2; 16]),
            email: Email::parse("ada@example.com").expect("an address"),
            role: Role::Admin,
            invited_by: "grace@example.com".to_owned(),
            created_at: Timestamp::EPOCH,
            expires_at: Timestamp::EPOCH + Duration::from_secs(86_400),
            sent_at: None,
        };
        let url = "https://hooks.example.com";
        let text = invitation(&invited, "Example\r\nBcc: all\u{202e}", url, "https://hooks.example.com/invitation#token=1");
        let expected = "Hello,\n\n\
            grace@example.com invited you to an organization on Hookstream, at\nhttps://hooks.example.com\n\n\
            Organization: ExampleBcc: all\n\
            Your role:    admin\n\n\
            To accept the invitation, open this link by 1970-01-02 00:00 UTC:\n\n\
            https://hooks.example.com/invitation#token=1\n\n";
        assert!(text.text.starts_with(expected), "{}", text.text);
        assert!(text.text.lines().all(|line| line.len() <= 78), "{}", text.text);
        assert_eq!(words(&"x".repeat(300)).len(), WORDS_MAX);
        let phishing =
            invitation(&invited, "Your account is locked - verify at http://evil.example/verify", url, "https://hooks.example.com/x");
        assert!(!phishing.text.contains("evil.example"), "{}", phishing.text);
    }

    #[test]
    fn password_link_is_on_its_own_line() {
        let text = forgotten("https://hooks.example.com", "https://hooks.example.com/reset-password#token=1");
        assert!(text.text.lines().any(|line| line == "https://hooks.example.com/reset-password#token=1"), "{}", text.text);
        assert!(!without_password("https://hooks.example.com").text.contains("token"));
    }
}
