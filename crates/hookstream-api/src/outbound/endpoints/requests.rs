//! Requests to create an endpoint and to change one.

use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::fields::Batch;
use crate::http::body::{Field, OrText, Whole};

/// New endpoint.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateEndpoint<'a> {
    /// Kind of target: `http` (the default), `rabbitmq`, or `test_receiver`: a receiver inside of the server, which opens no connection.
    #[serde(rename = "type")]
    #[schema(example = "http")]
    pub(super) kind: Option<String>,
    /// URL that receives the deliveries: `https` or `http`, at most 2,048 characters, without credentials or fragment. Required for type
    /// `http`, refused for other types.
    #[schema(example = "https://example.com/webhooks", format = "uri")]
    pub(super) url: Option<String>,
    /// Settings of a type other than `http`: an object of text values, or its JSON text. For `rabbitmq`: `url` (`amqps://`, `amqp://`, or
    /// `https://`, `http://` for the management API), `vhost` (the default is `/`), `exchange`, `routing_key`, `username`, `password`.
    #[serde(borrow)]
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    pub(super) config: Option<&'a RawValue>,
    /// Your own id of the endpoint: 1 to 255 letters, digits and `. _ - ~ : @ +`, unique in the application. Every path accepts it in
    /// place of the id.
    #[schema(example = "main")]
    pub(super) uid: Option<String>,
    /// Description: at most 4,096 characters.
    #[schema(example = "Billing events")]
    pub(super) description: Option<String>,
    /// Your own data: an object of at most 16 KiB, or its JSON text.
    #[serde(borrow)]
    #[schema(value_type = Option<Object>)]
    pub(super) metadata: Option<&'a RawValue>,
    /// Subscribed event types: names, prefixes such as `invoice.*`, and `*`. `null` and `[]` mean all.
    #[serde(borrow)]
    #[schema(value_type = Option<OrText<Vec<String>>>, inline)]
    pub(super) filter_types: Option<&'a RawValue>,
    /// Channels, at most 20. The endpoint receives only messages that share a channel with it. With `null` or `[]` it receives messages
    /// of any channel.
    #[serde(borrow)]
    #[schema(value_type = Option<OrText<Vec<String>>>, inline)]
    pub(super) channels: Option<&'a RawValue>,
    /// Deliveries per second; `null` and 0 mean no limit.
    #[schema(value_type = Option<u32>, example = 0)]
    pub(super) rate_limit_per_second: Option<Whole<u32>>,
    /// Time after which the endpoint receives no more deliveries: ISO 8601 with an offset, in the future.
    #[schema(example = "2027-12-31T23:59:59Z", format = DateTime)]
    pub(super) expires_at: Option<String>,
    /// Signing algorithm: `hmac-sha256` (the default) or `ed25519`.
    #[schema(example = "hmac-sha256")]
    pub(super) signing_algorithm: Option<String>,
    /// Existing secret, for moving an endpoint here without a change at the receiver: `whsec_` and base64 of 16 to 128 bytes, `raw:` and a
    /// text of 16 to 128 bytes, or `whsk_` and base64 of an ed25519 key. The default is a new secret.
    pub(super) signing_secret: Option<String>,
    /// Custom headers that each delivery carries: an object of at most 32 names and text values, or its JSON text.
    #[serde(borrow)]
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    pub(super) headers: Option<&'a RawValue>,
    /// Delays between attempts, in seconds, in place of the installation's schedule: at most 50 of at most 604800 (7 days).
    #[serde(borrow)]
    #[schema(value_type = Option<OrText<Vec<u32>>>, inline)]
    pub(super) retry_schedule: Option<&'a RawValue>,
    /// Timeout of one attempt, in milliseconds: 1000 to 60000. The default is the installation's timeout.
    #[schema(value_type = Option<u32>, minimum = 1000, maximum = 60000, example = 15000)]
    pub(super) timeout_ms: Option<Whole<u32>>,
    /// Delivery order: `none` (the default); `strict` (one message at a time, in the order of acceptance); `key` (the same among messages
    /// with the same key).
    #[schema(example = "none")]
    pub(super) ordering: Option<String>,
    /// Path of the ordering key in a payload, such as `$.customer.id`. Required if `ordering` is `key`, refused otherwise.
    pub(super) ordering_key: Option<String>,
    /// Effect of a failed message on the messages behind it: `block` (the default; they wait until it is delivered); `skip` (they wait until
    /// its retry schedule ends); `park` (they continue after its first failed attempt).
    pub(super) on_failure: Option<String>,
    /// Batching: several messages in one request. `null` (the default) sends each message as a request of its own.
    #[serde(borrow)]
    #[schema(value_type = Option<OrText<Batch>>, inline)]
    pub(super) batch: Option<&'a RawValue>,
}

/// Changes of an endpoint. Fields that are left out keep their values.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateEndpoint<'a> {
    /// Kind of target. It cannot be changed.
    #[serde(default, rename = "type")]
    #[schema(value_type = Option<String>)]
    pub(super) kind: Field<String>,
    /// Settings of a type other than `http`: the fields to change, as text values. Fields that are left out keep their values, `null`
    /// removes one. `password` is required if `url` names another server or protocol.
    #[serde(default, borrow)]
    #[schema(value_type = Option<std::collections::BTreeMap<String, Option<String>>>)]
    pub(super) config: Field<&'a RawValue>,
    /// URL that receives the deliveries: `https` or `http`, at most 2,048 characters, without credentials or fragment. Only for type
    /// `http`.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "https://example.com/webhooks", format = "uri")]
    pub(super) url: Field<String>,
    /// Your own id of the endpoint: 1 to 255 letters, digits and `. _ - ~ : @ +`, unique in the application; `null` removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) uid: Field<String>,
    /// Description: at most 4,096 characters; `null` removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "Billing events")]
    pub(super) description: Field<String>,
    /// Your own data: an object of at most 16 KiB, or its JSON text; `null` removes it.
    #[serde(default, borrow)]
    #[schema(value_type = Option<Object>)]
    pub(super) metadata: Field<&'a RawValue>,
    /// Channels, at most 20. The endpoint receives only messages that share a channel with it. With `null` or `[]` it receives messages
    /// of any channel.
    #[serde(default, borrow)]
    #[schema(value_type = Option<OrText<Vec<String>>>, inline)]
    pub(super) channels: Field<&'a RawValue>,
    /// `active`; `paused` (deliveries stay pending until the endpoint is active again); `disabled` (deliveries are skipped).
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "active")]
    pub(super) status: Field<String>,
    /// Subscribed event types: names, prefixes such as `invoice.*`, and `*`. `null` and `[]` mean all.
    #[serde(default, borrow)]
    #[schema(value_type = Option<OrText<Vec<String>>>, inline)]
    pub(super) filter_types: Field<&'a RawValue>,
    /// Deliveries per second; `null` and 0 mean no limit.
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    pub(super) rate_limit_per_second: Field<Whole<u32>>,
    /// Time after which the endpoint receives no more deliveries: ISO 8601 with an offset, in the future; `null` means never.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) expires_at: Field<String>,
    /// Custom headers that each delivery carries, in place of all current ones: an object of at most 32 names and text values, or its
    /// JSON text; `null` removes them.
    #[serde(default, borrow)]
    #[schema(value_type = Option<std::collections::BTreeMap<String, String>>)]
    pub(super) headers: Field<&'a RawValue>,
    /// Delays between attempts, in seconds: at most 50 of at most 604800 (7 days); `null` means the installation's schedule.
    #[serde(default, borrow)]
    #[schema(value_type = Option<OrText<Vec<u32>>>, inline)]
    pub(super) retry_schedule: Field<&'a RawValue>,
    /// Timeout of one attempt, in milliseconds: 1000 to 60000; `null` means the installation's timeout.
    #[serde(default)]
    #[schema(value_type = Option<u32>, minimum = 1000, maximum = 60000)]
    pub(super) timeout_ms: Field<Whole<u32>>,
    /// Delivery order: `none`; `strict` (one message at a time, in the order of acceptance); `key` (the same among messages with the same
    /// key).
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) ordering: Field<String>,
    /// Path of the ordering key in a payload, such as `$.customer.id`. Send it together with `ordering` set to `key`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) ordering_key: Field<String>,
    /// Effect of a failed message on the messages behind it: `block` (they wait until it is delivered); `skip` (they wait until its retry
    /// schedule ends); `park` (they continue after its first failed attempt).
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) on_failure: Field<String>,
    /// Batching: several messages in one request; `null` sends each message as a request of its own.
    #[serde(default, borrow)]
    #[schema(value_type = Option<OrText<Batch>>, inline)]
    pub(super) batch: Field<&'a RawValue>,
}
