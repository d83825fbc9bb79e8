//! All SQL of Hookstream, and nothing but.
//!
//! Two kinds of operations, for two reasons:
//!
//! - **Plain resources** ([`organizations`], [`api_keys`], [`applications`], [`endpoints`],
//!   [`event_types`], [`idempotency`]) are functions over a [`Database`]. Their statements are portable
//!   and stand once; each database only knows how to run a statement.
//! - **The hot path** (messages, deliveries, attempts) is the trait [`Store`]: whole operations of the
//!   domain, each one transaction, written for each database with the means it has.
//!
//! To add a plain resource: a table in each `migrations/` folder, a file with its statements beside
//! [`applications`], a test of it in `tests/conformance`. To add a hot operation: a method of [`Store`]
//! that says what is atomic, its test in `tests/conformance`, then the method of each database.

pub mod api_keys;
pub mod applications;
pub mod deliveries;
pub mod endpoints;
pub mod error;
pub mod event_types;
pub mod idempotency;
pub mod messages;
pub mod organizations;
pub mod page;
pub mod settings;
pub mod sqlite;
pub mod statement;

use std::sync::Arc;

use async_trait::async_trait;
pub use error::Error;
use hookstream_model::{
    ids::{ApplicationId, MessageId},
    tenancy::Tenant,
    time::{Day, Timestamp},
};
pub use page::{Page, PageRequest};
pub use statement::Database;

use crate::{
    deliveries::{Claim, ClaimLimits, Owner, Publication, Published, Recovery, Redelivery, Settled},
    messages::{Message, MessageDetail},
};

/// What every database does for the engine. Each method is one transaction, or says what it is.
#[async_trait]
pub trait Store: Database {
    /// Makes this process an owner of deliveries, with a number that no earlier one had, and releases
    /// what owners that are gone had claimed.
    async fn enlist(&self, now: Timestamp) -> Result<Owner, Error>;

    /// Stores a message with its deliveries, its idempotency key and its `event_id`, all or nothing.
    /// When this returns, it is durable and scheduled.
    async fn publish(&self, publication: Publication) -> Result<Published, Error>;

    /// Takes deliveries that are due and that nobody owns, those due longest first.
    async fn claim_due(&self, owner: Owner, now: Timestamp, limits: ClaimLimits) -> Result<Claim, Error>;

    /// Records attempts and what becomes of their deliveries. Returns for each whether it counted: one
    /// whose delivery `owner` does not own (any more) leaves no trace.
    async fn settle(&self, owner: Owner, batch: Arc<Vec<Settled>>) -> Result<Vec<bool>, Error>;

    /// Makes a message owed again to some targets, due now; what is already owed becomes due now.
    /// Returns how many, or `None` where there is no such message.
    async fn redeliver(&self, redelivery: Redelivery) -> Result<Option<usize>, Error>;

    /// Makes a slice of what a target missed owed again. Returns how many; none means the end.
    async fn recover(&self, recovery: Recovery) -> Result<usize, Error>;

    /// A message with its attempts and deliveries.
    async fn message(&self, tenant: Tenant, application: ApplicationId, id: MessageId) -> Result<Option<MessageDetail>, Error>;

    /// A page of an application's messages, newest first.
    async fn messages(
        &self,
        tenant: Tenant,
        application: ApplicationId,
        event_type: Option<String>,
        page: PageRequest<MessageId>,
    ) -> Result<Page<Message>, Error>;

    /// How many messages of each application are kept, in the order asked.
    async fn message_counts(&self, applications: Vec<ApplicationId>) -> Result<Vec<u64>, Error>;

    /// Makes room for the messages of a day, ahead of its first.
    async fn prepare_day(&self, day: Day) -> Result<(), Error>;

    /// Drops each day before `day` whole, unless something of it is still owed. Returns which.
    async fn drop_days_before(&self, day: Day) -> Result<Vec<Day>, Error>;
}
