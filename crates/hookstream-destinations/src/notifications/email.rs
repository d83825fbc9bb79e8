//! E-mail: plain text and HTML, through the operator's mail server.

use std::{fmt::Write, sync::Arc, time::Duration};

use async_trait::async_trait;
use hookstream_model::{
    delivery::outcome::{Failure, FailureKind, Outcome, ReceiverResponse},
    identity::user::Email,
    operations::alerts::notification::Notification,
};

use super::{
    Told, color,
    text::{attribute, escaped, short},
};
use crate::{
    AddressRefused, Envelope, RenderedRequest, Sent, Target,
    net::steps::Phases,
    services::mail::{Mail, MailError, Mailer},
};

/// Limit of a subject, in characters: longer ones are cut by every client.
const SUBJECT_MAX: usize = 150;

/// Addresses of e-mail.
pub(super) struct EmailTarget {
    pub(super) to: Vec<Email>,
    pub(super) mailer: Arc<Mailer>,
}

impl std::fmt::Debug for EmailTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmailTarget").field("to", &self.to).finish_non_exhaustive()
    }
}

#[async_trait]
impl Target for EmailTarget {
    async fn check_address(&self) -> Result<(), AddressRefused> {
        // The operator named the server.
        Ok(())
    }

    async fn send(&self, envelope: &Envelope<'_>, timeout: Duration) -> Sent {
        let phases = Phases::begin();
        let told = Told::read(envelope);
        let notification = &told.notification;
        let mail = Mail {
            to: self.to.clone(),
            subject: short(&notification.title, SUBJECT_MAX),
            text: text(notification),
            html: Some(html(notification)),
            // The same for each attempt, so that a mail that arrives twice is recognized.
            id: envelope.id.chars().filter(char::is_ascii_alphanumeric).collect(),
            at: told.at,
        };
        let sent = tokio::time::timeout(timeout, self.mailer.send(&mail)).await.unwrap_or(Err(MailError::TimedOut));
        let outcome = match sent {
            Ok(()) => {
                let response = ReceiverResponse { status: None, body: "accepted by the mail server".into(), headers: String::new() };
                Outcome::Accepted { response: Some(response), asks_to_stop: false }
            }
            Err(error) => Outcome::Retryable(Failure::new(kind(&error), error.to_string())),
        };
        Sent { outcome, timings: phases.timings() }
    }

    fn rendered(&self, _: &Envelope<'_>) -> Option<RenderedRequest> {
        let to = self.to.iter().map(Email::as_str).collect::<Vec<_>>().join(",");
        Some(RenderedRequest { method: "MAIL", url: format!("mailto:{to}"), headers: Vec::new() })
    }
}

pub(super) const fn kind(error: &MailError) -> FailureKind {
    match error {
        MailError::Unreachable(_) => FailureKind::ConnectionFailed,
        MailError::TimedOut => FailureKind::Timeout,
        MailError::NoStartTls | MailError::Tls(_) => FailureKind::TlsFailed,
        MailError::SignIn(_) => FailureKind::AccessRefused,
        MailError::Refused(_) | MailError::Address => FailureKind::MessageRefused,
        MailError::Broken => FailureKind::ConnectionReset,
        MailError::Unwritable(_) => FailureKind::SettingsInvalid,
    }
}

fn text(notification: &Notification) -> String {
    let Notification { title, summary, facts, links, .. } = notification;
    let mut text = format!("{title}\n\n{summary}\n");
    if !facts.is_empty() {
        text.push('\n');
    }
    for (name, value) in facts {
        let _ = writeln!(text, "- {name}: {value}");
    }
    for (label, url) in links {
        let _ = write!(text, "\n{label}:\n{url}\n");
    }
    text
}

/// Returns the HTML of a mail: tables and styles in place, because clients of mail know little else.
pub(super) fn html(notification: &Notification) -> String {
    let Notification { title, summary, facts, links, state, severity, .. } = notification;
    let color = color(notification);
    let mut rows = String::new();
    for (name, value) in facts {
        let _ = write!(
            rows,
            "<tr><td style=\"padding:6px 16px 6px 0;color:#5c6370;vertical-align:top\">{}</td><td style=\"padding:6px 0\">{}</td></tr>",
            escaped(name),
            escaped(value)
        );
    }
    let mut buttons = String::new();
    for (label, url) in links {
        let _ = write!(
            buttons,
            "<a href=\"{}\" style=\"display:inline-block;margin:16px 12px 0 0;padding:8px 14px;border-radius:6px;background:#1f2328;color:#ffffff;\
             text-decoration:none\">{}</a>",
            attribute(url),
            escaped(label)
        );
    }
    format!(
        "<!doctype html><html><body style=\"margin:0;padding:24px;background:#f4f5f7;font:15px/1.5 system-ui,sans-serif;color:#1f2328\">\
         <table role=\"presentation\" width=\"100%\" style=\"max-width:640px;margin:0 auto;background:#ffffff;border-radius:8px;\
         border-top:4px solid #{color:06x}\"><tr><td style=\"padding:24px\">\
         <div style=\"font-size:12px;color:#5c6370\">{} · {}</div>\
         <h1 style=\"margin:4px 0 12px;font-size:19px\">{}</h1><p style=\"margin:0 0 12px\">{}</p><table role=\"presentation\">{rows}</table>{buttons}\
         </td></tr></table></body></html>\n",
        state.as_str(),
        severity.as_str(),
        escaped(title),
        escaped(summary)
    )
}
