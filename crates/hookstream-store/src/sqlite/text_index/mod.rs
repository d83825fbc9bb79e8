//! Index of the words of messages on SQLite: FTS5 in files of its own. A thread of the blocking pool writes it; the writer of
//! the messages is not involved.

mod file;
mod find;
pub(crate) mod handle;
mod write;

use async_trait::async_trait;
use hookstream_model::{
    base::{
        ids::{EnvironmentId, MessageId},
        time::Day,
    },
    outbound::text_search::TextQuery,
};

use self::write::Indexer;
use crate::{
    db::error::Error,
    delivery::{
        finding::{Found, IdBytes, MessageSearch},
        messages::Message,
        text_index::{IndexSlice, IndexState, Indexed, TextIndex},
    },
    sqlite::{SqliteStore, db::readers::Days},
};

impl SqliteStore {
    /// Runs work on the index in the blocking pool. Returns `None` for a store in memory, which has no index.
    async fn with_indexer<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Indexer) -> Result<T, Error> + Send + 'static,
    ) -> Result<Option<T>, Error> {
        let Some(index) = self.text_index.clone() else { return Ok(None) };
        let done = tokio::task::spawn_blocking(move || work(&mut index.lock())).await;
        done.map_err(|cause| Error::Failed { operation: "index messages", cause: cause.into() })?.map(Some)
    }
}

#[async_trait]
impl TextIndex for SqliteStore {
    async fn index_text(&self, slice: IndexSlice) -> Result<Option<Indexed>, Error> {
        let Some(index) = self.text_index.clone() else { return Ok(None) };
        self.readers.days(move |days| index.lock().index(days, slice)).await.map(Some)
    }

    async fn trim_text_index(&self, from: Day, bytes: u64) -> Result<(), Error> {
        self.with_indexer(move |indexer| indexer.trim(from, bytes)).await.map(|_| ())
    }

    async fn drop_text_index(&self) -> Result<(), Error> {
        self.with_indexer(Indexer::drop_all).await.map(|_| ())
    }

    async fn forget_text(&self, environment: EnvironmentId, before: MessageId) -> Result<(), Error> {
        self.with_indexer(move |indexer| indexer.forget(environment, before)).await.map(|_| ())
    }

    async fn text_index_state(&self) -> Result<Option<IndexState>, Error> {
        match self.text_index.as_ref().and_then(|index| index.state.get()) {
            Some(state) => Ok(Some(state)),
            None => Ok(self.with_indexer(Indexer::state).await?.flatten()),
        }
    }

    async fn find_indexed(&self, search: MessageSearch, query: TextQuery) -> Result<Found<Message, IdBytes>, Error> {
        let (Some(directory), Some(index)) = (self.directory.clone(), self.text_index.clone()) else {
            return Ok(Found { items: Vec::new(), next: None });
        };
        let find = move |days: &Days<'_>| {
            let _files = index.hold_files();
            find::messages(days, &directory, &search, &query)
        };
        self.readers.days(find).await
    }
}
