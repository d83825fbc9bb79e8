//! One attempt: publishes the message by the protocol of the broker's URL.

use std::time::Duration;

use async_trait::async_trait;

use super::{RabbitMqTarget, management, settings::Protocol};
use crate::{AddressRefused, Envelope, Sent, Target, net::steps::Phases};

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
}
