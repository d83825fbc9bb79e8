//! Removal on SQLite: days, payloads, messages.

pub(crate) mod days;
pub(crate) mod expiry;
pub(crate) mod removal;

use async_trait::async_trait;
use hookstream_model::base::{
    ids::EnvironmentId,
    time::{Day, Timestamp},
};

use crate::{
    db::{error::Error, statement::Database},
    delivery::{
        messages::{MessageRemoval, RemovedMessages},
        payloads::{Expired, Removal, Removed},
        retention::Retention,
    },
    operations::quotas::{self},
    sqlite::{SqliteStore, db::directory::day_path},
};

#[async_trait]
impl Retention for SqliteStore {
    async fn prepare_day(&self, day: Day) -> Result<(), Error> {
        self.writer.run(move |files| files.day(day).map(|_| ())).await
    }

    async fn expire_payloads(&self, before: Day) -> Result<Option<Expired>, Error> {
        for day in self.known.that_may_have_payloads().into_iter().take_while(|day| *day < before) {
            let Some(slice) = self.writer.run(move |files| expiry::remove_slice(files, day)).await? else {
                continue;
            };
            if slice.is_done {
                self.known.note_payloads(day, false);
                if let Some(directory) = &self.directory {
                    let path = day_path(directory, day);
                    let shrunk = tokio::task::spawn_blocking(move || expiry::shrink(&path)).await;
                    shrunk.map_err(|cause| Error::Failed { operation: "release disk space", cause: cause.into() })?;
                }
            }
            return Ok(Some(slice));
        }
        Ok(None)
    }

    async fn payload_bytes(&self) -> Result<Vec<(EnvironmentId, u64)>, Error> {
        self.readers.days(crate::sqlite::history::counts::payload_bytes).await
    }

    async fn remove_payloads(&self, removal: Removal) -> Result<Removed, Error> {
        let Some(found) = self.readers.days(move |days| expiry::find(days, removal)).await? else {
            return Ok(Removed { bytes: 0, position: None });
        };
        let position = found.last();
        let bytes = self.writer.run(move |files| expiry::remove_found(files, removal.environment, &found)).await?;
        Ok(Removed { bytes, position })
    }

    async fn remove_messages(&self, removal: MessageRemoval) -> Result<RemovedMessages, Error> {
        let Some(found) = self.readers.days(move |days| removal::find(days, removal)).await? else {
            return Ok(RemovedMessages { messages: 0, position: None });
        };
        let position = found.last();
        let messages = self.writer.run(move |files| removal::remove(files, removal.environment, &found)).await?;
        Ok(RemovedMessages { messages, position })
    }

    async fn drop_days_before(&self, day: Day) -> Result<Vec<Day>, Error> {
        // Separate commit before the removal. If the process ends in between, the day's file still counts, and takes
        // precedence over the kept numbers.
        let events = self.readers.days(move |days| crate::sqlite::history::counts::events(days, Day::of_number(0), day)).await?;
        if !events.is_empty() {
            let statements = events.iter().map(quotas::keep_events).chain([quotas::forget_events(day)]).collect();
            self.write("store counts of events", statements).await?;
        }
        let dropped = self.writer.run_alone(move |files| days::drop_days_before(files, day)).await?;
        self.readers.forget(&dropped);
        Ok(dropped)
    }

    async fn forget_keys_before(&self, _: Timestamp) -> Result<(), Error> {
        // Keys are in the file of their day and are deleted with it.
        Ok(())
    }
}
