//! Index of the words of messages on PostgreSQL: `tsvector` columns with GIN indexes, in tables of their own.

mod find;
mod tables;
mod write;

use async_trait::async_trait;
use hookstream_model::{
    base::{
        ids::{EnvironmentId, MessageId},
        time::Day,
    },
    outbound::text_search::TextQuery,
};

use crate::{
    db::error::Error,
    delivery::{
        finding::{Found, IdBytes, MessageSearch},
        messages::Message,
        text_index::{IndexSlice, IndexState, Indexed, TextIndex},
    },
    postgres::{PostgresStore, db::connection::connect},
};

#[async_trait]
impl TextIndex for PostgresStore {
    async fn index_text(&self, slice: IndexSlice) -> Result<Option<Indexed>, Error> {
        write::index(&self.plain, slice).await.map(Some)
    }

    async fn trim_text_index(&self, from: Day, bytes: u64) -> Result<(), Error> {
        write::trim(&self.plain, from, bytes).await
    }

    async fn drop_text_index(&self) -> Result<(), Error> {
        write::drop_all(&self.plain).await
    }

    async fn forget_text(&self, environment: EnvironmentId, before: MessageId) -> Result<(), Error> {
        write::forget(&self.plain, environment, before).await
    }

    async fn text_index_state(&self) -> Result<Option<IndexState>, Error> {
        let connection = connect(&self.plain, "read the progress of the index").await?;
        tables::state(&connection).await
    }

    async fn find_indexed(&self, search: MessageSearch, query: TextQuery) -> Result<Found<Message, IdBytes>, Error> {
        find::messages(&self.plain, &search, &query).await
    }
}
