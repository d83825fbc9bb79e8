//! One attempt: publishes the message by the protocol of the broker's URL.

use std::time::Duration;

use async_trait::async_trait;

use super::{
    RabbitMqTarget, management, render,
    settings::{Protocol, RabbitMqSettings},
};
use crate::{AddressRefused, Envelope, RenderedRequest, Sent, Target, net::steps::Phases};

#[async_trait]
impl Target for RabbitMqTarget {
    async fn check_address(&self) -> Result<(), AddressRefused> {
        self.network.check_host(&self.settings.host).await
    }

    async fn send(&self, envelope: &Envelope<'_>, timeout: Duration) -> Sent {
        let phases = Phases::begin();
        let outcome = match &self.settings.protocol {
            Protocol::Management { base } => management::publish(&self.network, &self.settings, base, envelope, &phases, timeout).await,
            #[cfg(feature = "rabbitmq")]
            Protocol::Amqp { .. } => super::amqp::publish(&self.brokers, &self.settings, envelope, &phases, timeout).await,
            #[cfg(not(feature = "rabbitmq"))]
            Protocol::Amqp { .. } => unreachable!("refused by `check`"),
        };
        Sent { outcome, timings: phases.timings() }
    }

    fn rendered(&self, envelope: &Envelope<'_>) -> Option<RenderedRequest> {
        let RabbitMqSettings { protocol, host, port, vhost, exchange, routing_key, .. } = &self.settings;
        let (method, scheme) = match protocol {
            Protocol::Management { .. } => ("POST", "http"),
            Protocol::Amqp { .. } => ("basic.publish", "amqp"),
        };
        let mut headers = vec![("exchange".to_owned(), exchange.clone()), ("routing_key".to_owned(), routing_key.clone())];
        headers.push(("content_type".to_owned(), envelope.content_type.as_str().to_owned()));
        headers.extend(render::headers(&self.settings, envelope));
        Some(RenderedRequest { method, url: format!("{scheme}://{host}:{port}/{vhost}"), headers })
    }
}
