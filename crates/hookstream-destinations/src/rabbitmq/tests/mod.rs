//! RabbitMQ targets against a real broker, which `scripts/test-rabbitmq` provides.

#[cfg(feature = "rabbitmq")]
mod amqp;
mod management;
pub(super) mod support;
#[cfg(feature = "rabbitmq")]
mod unreachable;
