//! RabbitMQ endpoints: each message is published to an exchange, over AMQP 0-9-1 with publisher confirms (`amqp(s)://`)
//! or over the management API (`http(s)://`).

#[cfg(feature = "rabbitmq")]
mod amqp;
mod classify;
mod management;
mod render;
mod send;
pub(crate) mod settings;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use hookstream_model::InvalidField;

use self::settings::RabbitMqSettings;
use crate::{Destination, Settings, Target, net::network::Network};

/// Destination kind `rabbitmq`.
pub(crate) struct RabbitMqDestination {
    network: Arc<Network>,
    #[cfg(feature = "rabbitmq")]
    brokers: Arc<amqp::Brokers>,
}

impl RabbitMqDestination {
    pub(crate) fn new(network: Arc<Network>) -> Self {
        Self {
            #[cfg(feature = "rabbitmq")]
            brokers: Arc::new(amqp::Brokers::new(Arc::clone(&network))),
            network,
        }
    }
}

impl Destination for RabbitMqDestination {
    fn check(&self, settings: &Settings<'_>) -> Result<Arc<dyn Target>, InvalidField> {
        let settings = RabbitMqSettings::read(settings)?;
        #[cfg(not(feature = "rabbitmq"))]
        if matches!(settings.protocol, settings::Protocol::Amqp { .. }) {
            let problem = "uses AMQP, which this build of Hookstream does not contain. Use the management API (https://)";
            return Err(InvalidField::new("config.url", problem));
        }
        Ok(Arc::new(RabbitMqTarget {
            settings,
            network: Arc::clone(&self.network),
            #[cfg(feature = "rabbitmq")]
            brokers: Arc::clone(&self.brokers),
        }))
    }
}

/// RabbitMQ target, with the connections to brokers.
#[derive(Debug)]
struct RabbitMqTarget {
    settings: RabbitMqSettings,
    network: Arc<Network>,
    #[cfg(feature = "rabbitmq")]
    brokers: Arc<amqp::Brokers>,
}
