//! Notification channels: kinds that render a notification in the form of a service. [`slack`], [`discord`], [`teams`],
//! [`pagerduty`] and [`telegram`] take a POST of JSON, [`email`] goes through the operator's mail server.
//!
//! The payload of a delivery is that of any message; its `data` is the notification
//! ([`Notification`]). A payload without one is sent as a
//! notification that shows the payload, so that nothing is swallowed.

mod discord;
mod email;
mod pagerduty;
mod settings;
mod slack;
mod teams;
mod telegram;
mod text;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use hookstream_model::{
    InvalidField,
    base::time::Timestamp,
    operations::{
        alerts::notification::{Notification, State},
        problems::Severity,
    },
    outbound::target::TargetKind,
};
use http::{
    HeaderMap, HeaderValue, Uri,
    header::{CONTENT_TYPE, USER_AGENT},
};
use serde_json::Value;

pub use self::settings::{Address, address};
use self::{email::EmailTarget, settings::Service};
use crate::{
    AddressRefused, Destination, Envelope, RenderedRequest, Sent, Settings, Target,
    http::{render::AGENT, send},
    net::{client::Post, network::Network},
    services::mail::Mailer,
};

/// Notification with the time of its message.
struct Told {
    notification: Notification,
    at: Timestamp,
}

impl Told {
    /// Reads the payload of a message. What is no notification becomes one.
    fn read(envelope: &Envelope<'_>) -> Self {
        let payload: Option<Value> = serde_json::from_slice(&envelope.body).ok();
        let found = payload.as_ref().and_then(|payload| Notification::from_json(payload.get("data")?));
        let at = payload.as_ref().and_then(|payload| payload.get("timestamp")?.as_str()?.parse().ok()).unwrap_or(envelope.signed_at);
        let notification = found.unwrap_or_else(|| Notification {
            state: State::Firing,
            severity: Severity::Notice,
            title: envelope.event_type.unwrap_or("Message").to_owned(),
            summary: text::short(&String::from_utf8_lossy(&envelope.body), 1_000),
            facts: Vec::new(),
            links: Vec::new(),
            dedup_key: envelope.id.to_string(),
            is_ongoing: false,
        });
        Self { notification, at }
    }
}

/// Color of a notification, as RGB: green when all has passed, else by severity.
const fn color(notification: &Notification) -> u32 {
    match (notification.state, notification.severity) {
        (State::Resolved, _) => 0x2e_9e_5b,
        (State::Firing, Severity::Critical) => 0xd6_33_33,
        (State::Firing, Severity::Warning) => 0xe0_8a_00,
        (State::Firing, Severity::Notice) => 0x3b_7d_d8,
    }
}

/// Destination of the kinds that take JSON over HTTP.
pub(crate) struct NotificationDestination {
    kind: TargetKind,
    network: Arc<Network>,
}

impl NotificationDestination {
    pub(crate) const fn new(kind: TargetKind, network: Arc<Network>) -> Self {
        Self { kind, network }
    }
}

impl Destination for NotificationDestination {
    fn check(&self, settings: &Settings<'_>) -> Result<Arc<dyn Target>, InvalidField> {
        let service = Service::read(self.kind, settings.config)?;
        Ok(Arc::new(ServiceTarget { service, network: Arc::clone(&self.network) }))
    }
}

/// Webhook of a service.
struct ServiceTarget {
    service: Service,
    network: Arc<Network>,
}

impl fmt::Debug for ServiceTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServiceTarget").field(&self.service.shown_url()).finish()
    }
}

impl ServiceTarget {
    fn post(&self, uri: Uri, envelope: &Envelope<'_>) -> Post {
        let told = Told::read(envelope);
        let body = match &self.service {
            Service::Slack { .. } => slack::render(&told),
            Service::Discord { .. } => discord::render(&told),
            Service::Teams { .. } => teams::render(&told),
            Service::PagerDuty { routing_key, .. } => pagerduty::render(&told, routing_key),
            Service::Telegram { chat_id, .. } => telegram::render(&told, chat_id),
        };
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        Post { uri, headers, body: Bytes::from(body.to_string()) }
    }
}

#[async_trait]
impl Target for ServiceTarget {
    async fn check_address(&self) -> Result<(), AddressRefused> {
        match self.service.uri().host() {
            Some(host) => self.network.check_host(host).await,
            None => Ok(()),
        }
    }

    async fn send(&self, envelope: &Envelope<'_>, timeout: Duration) -> Sent {
        send::post(&self.network, self.post(self.service.uri().clone(), envelope), timeout).await
    }

    fn rendered(&self, envelope: &Envelope<'_>) -> Option<RenderedRequest> {
        let post = self.post(self.service.uri().clone(), envelope);
        Some(RenderedRequest { url: self.service.shown_url(), ..send::rendered(&post) })
    }
}

/// Destination kind `email`.
pub(crate) struct EmailDestination(pub(crate) Option<Arc<Mailer>>);

impl Destination for EmailDestination {
    fn check(&self, settings: &Settings<'_>) -> Result<Arc<dyn Target>, InvalidField> {
        let Some(mailer) = &self.0 else {
            let problem = "is `email`, for which this installation has no mail server. Its operator sets smtp_url and mail_from";
            return Err(InvalidField::new("channel_type", problem));
        };
        Ok(Arc::new(EmailTarget { to: settings::recipients(settings.config)?, mailer: Arc::clone(mailer) }))
    }
}
