//! The mails that this installation sends to people, and the queue where those who forgot their password wait for theirs.
//!
//! Who asks for a link because they forgot their password is answered before anything is looked up, so that neither the
//! answer nor its time tells whether there is such an account. The rest happens here, in the background.

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
use http::StatusCode;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{background::mail_queue::MailQueue, http::error::ApiError, state::Api};

/// For how long a link that sets a password is good.
pub(crate) const LINK_FOR: Duration = Duration::from_secs(3600);
/// How many of them are worked on at once, those included whose mail waits for another try.
const AT_ONCE: usize = 50;
/// How long after a failure that may pass the next try is made. Servers that do not know a sender have it come back in
/// some minutes (RFC 6647).
const AGAIN_AFTER: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(120), Duration::from_secs(360)];
/// How much of a name that somebody chose stands in a mail, in characters.
const WORDS_MAX: usize = 100;

/// A mail without what only the moment of sending knows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct MailText {
    subject: &'static str,
    text: String,
}

impl MailText {
    fn to(self, to: Email, api: &Api) -> Mail {
        let Self { subject, text } = self;
        Mail { to, subject: subject.to_owned(), text, id: EntryId::from(api.engine.new_id()).to_string(), at: api.wall() }
    }
}

/// Hands a mail over, in the request: whoever has it sent learns what became of it.
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
            | MailError::Unwritable(_) => ApiError::new(StatusCode::BAD_GATEWAY, "mail_failed", message).caused_by(&error),
        }
    })
}

impl Api {
    /// Sends those who forgot their password their links, until `stop`. What waits then is dropped; they ask again.
    pub async fn keep_sending(self, stop: CancellationToken) {
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

    /// Sends somebody a link that sets their password, where they have an account.
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

/// Hands a mail over, with some more tries where a failure may pass.
async fn deliver(mailer: &Mailer, mail: &Mail) -> Result<(), MailError> {
    for wait in AGAIN_AFTER {
        match mailer.send(mail).await {
            Err(error) if error.may_pass() => {
                tracing::info!(error = &error as &dyn std::error::Error, "the mail server did not accept a mail; retrying");
                tokio::time::sleep(wait).await;
            }
            result => return result,
        }
    }
    mailer.send(mail).await
}

/// What somebody gets who is invited.
pub(crate) fn invitation(invitation: &Invitation, organization: &str, public_url: &str, link: &str) -> MailText {
    // The mail goes out in the operator's name, so nobody puts a link of their own into it.
    let (who, organization) = (words(&invitation.invited_by), words(organization));
    let organization = if has_link(&organization) { "(name hidden because it contains a link)".to_owned() } else { organization };
    let (role, until) = (invitation.role.as_str(), day(invitation.expires_at));
    let text = format!(
        "Hello,\n\n\
        {who} invited you to an organization on Hookstream, at\n{public_url}\n\n\
        Organization: {organization}\n\
        Your role:    {role}\n\n\
        To accept the invitation, open this link by {until}:\n\n\
        {link}\n\n\
        The link can be used once. Do not share it. If you did not expect this\n\
        invitation, you can ignore this email.\n"
    );
    MailText { subject: "Invitation to an organization on Hookstream", text }
}

/// What somebody gets who forgot their password.
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

/// What somebody gets who asks for a new password and never had one.
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

/// Words of a user's in a mail: one line of some length, with nothing in it that turns the direction of what follows.
fn words(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && !is_format(*c)).take(WORDS_MAX).collect()
}

/// A time to a minute, as a person reads it.
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
    fn an_invitation_says_who_where_as_what_and_until_when() {
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
    fn a_link_for_a_password_stands_on_a_line_of_its_own() {
        let text = forgotten("https://hooks.example.com", "https://hooks.example.com/reset-password#token=1");
        assert!(text.text.lines().any(|line| line == "https://hooks.example.com/reset-password#token=1"), "{}", text.text);
        assert!(!without_password("https://hooks.example.com").text.contains("token"));
    }
}
