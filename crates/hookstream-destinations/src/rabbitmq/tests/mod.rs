//! RabbitMQ targets against a real broker.

pub(super) mod support;
