//! Removal of days, payloads and messages on PostgreSQL.

pub(crate) mod days;
pub(crate) mod expiry;
pub(crate) mod removal;

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
        retention::Retention,
    },
    postgres::PostgresStore,
};

#[async_trait]
impl Retention for PostgresStore {
    async fn prepare_day(&self, day: Day) -> Result<(), Error> {
        days::prepare(&self.hot, day).await
    }

    async fn expire_payloads(&self, before: Day) -> Result<Option<Expired>, Error> {
        expiry::expire(&self.hot, before).await
    }

    async fn payload_bytes(&self) -> Result<Vec<(EnvironmentId, u64)>, Error> {
        crate::postgres::history::counts::payload_bytes(&self.plain).await
    }

    async fn remove_payloads(&self, removal: Removal) -> Result<Removed, Error> {
        expiry::remove(&self.hot, removal).await
    }

    async fn remove_messages(&self, removal: MessageRemoval) -> Result<RemovedMessages, Error> {
        removal::remove(&self.hot, removal).await
    }

    async fn drop_days_before(&self, day: Day) -> Result<Vec<Day>, Error> {
        days::drop_before(&self.hot, day).await
    }

    async fn forget_keys_before(&self, before: Timestamp) -> Result<(), Error> {
        days::forget_keys(&self.hot, before).await
    }
}
