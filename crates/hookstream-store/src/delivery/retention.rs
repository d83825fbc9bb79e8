//! Trait of retention: days, expired payloads and messages.

use async_trait::async_trait;
use hookstream_model::base::{
    ids::EnvironmentId,
    time::{Day, Timestamp},
};

use crate::{
    db::error::Error,
    delivery::{
        messages::{MessageRemoval, RemovedMessages},
        payloads::{Expired, Removal, Removed},
    },
};

/// Days of messages: their creation, and the removal of what has expired. A method is one transaction unless its comment
/// says otherwise.
#[async_trait]
pub trait Retention {
    /// Creates the storage for the messages of a day ahead of its first message.
    async fn prepare_day(&self, day: Day) -> Result<(), Error>;

    /// Removes a slice of the payloads of the oldest day before `day` that has payloads and no pending deliveries; the
    /// messages stay. A slice is short, so it delays no other operation. Returns `None` if there is nothing to remove.
    /// Deliveries that become pending afterwards still have their payloads.
    async fn expire_payloads(&self, before: Day) -> Result<Option<Expired>, Error>;

    /// Returns the bytes of each environment's payloads.
    async fn payload_bytes(&self) -> Result<Vec<(EnvironmentId, u64)>, Error>;

    /// Removes a slice of an environment's oldest payloads of messages without pending deliveries. A slice is short,
    /// so it delays no other operation.
    async fn remove_payloads(&self, removal: Removal) -> Result<Removed, Error>;

    /// Removes a slice of an environment's messages without pending deliveries, with everything recorded about them,
    /// oldest day first. A slice is short, so it delays no other operation. Idempotency keys stay until their window
    /// ends.
    async fn remove_messages(&self, removal: MessageRemoval) -> Result<RemovedMessages, Error>;

    /// Drops each day before `day` as a whole, except days with pending deliveries. Returns the dropped days.
    async fn drop_days_before(&self, day: Day) -> Result<Vec<Day>, Error>;

    /// Deletes the idempotency keys and event ids of messages before this time.
    async fn forget_keys_before(&self, before: Timestamp) -> Result<(), Error>;
}
