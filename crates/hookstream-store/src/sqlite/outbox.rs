//! Outbox on SQLite: a table in the configuration's file, and one in each day's file.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use hookstream_model::operations::operational_event::OperationalEvent;
use rusqlite::Connection;

use crate::{
    Error, Outbox,
    db::statement::Statement,
    delivery::outbox::{self, Cause, Outgoing},
    sqlite::{
        SqliteStore,
        db::{connection::failed, files::Files, plain},
    },
};

const REMOVE: &str = "remove published events";

#[async_trait]
impl Outbox for SqliteStore {
    async fn outbox(&self, limit: usize) -> Result<Vec<Outgoing>, Error> {
        let mut events = outbox::configured(self, limit).await?;
        // A look opens each day's file, so there is none unless an event was written.
        if !self.may_have_events.swap(false, Ordering::AcqRel) {
            return Ok(events);
        }
        let of_days = self.readers.days(move |days| {
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let mut found = Vec::new();
            for day in days.newest_first().into_iter().rev() {
                let read = |connection: &Connection| plain::read(connection, &Statement::new(outbox::READ_OF_DAY, vec![limit.into()]));
                for row in days.read(day, read)?.into_iter().flatten() {
                    found.extend(outbox::read(row)?.map(|event| Outgoing { event, cause: Cause::Delivery(Some(day)) }));
                }
            }
            Ok(found)
        });
        let of_days = of_days.await.inspect_err(|_| self.may_have_events.store(true, Ordering::Release))?;
        if !of_days.is_empty() {
            // They wait until they are removed.
            self.may_have_events.store(true, Ordering::Release);
        }
        events.extend(of_days);
        Ok(events)
    }

    async fn remove_from_outbox(&self, published: Vec<Outgoing>) -> Result<(), Error> {
        let (configured, of_days): (Vec<_>, Vec<_>) = published.into_iter().partition(|outgoing| outgoing.cause == Cause::Configuration);
        if !configured.is_empty() {
            outbox::remove_configured(self, &configured).await?;
        }
        if of_days.is_empty() {
            return Ok(());
        }
        self.writer.run(move |files: &mut Files| of_days.iter().try_for_each(|outgoing| remove(files, outgoing))).await
    }
}

fn remove(files: &mut Files, Outgoing { event, cause }: &Outgoing) -> Result<(), Error> {
    let Cause::Delivery(Some(day)) = cause else { return Ok(()) };
    // A dropped day has taken its events along.
    let Some(file) = files.existing_day(*day)? else { return Ok(()) };
    let mut remove = file.connection().prepare_cached(&outbox::REMOVE_OF_DAY.replace('$', "?")).map_err(failed(REMOVE))?;
    remove.execute((event.id.as_bytes(), event.kind.as_str())).map_err(failed(REMOVE))?;
    Ok(())
}

/// Writes an event in the file of its message's day.
pub(crate) fn write(connection: &Connection, event: &OperationalEvent) -> rusqlite::Result<()> {
    let mut insert = connection.prepare_cached(&outbox::INSERT_OF_DAY.replace('$', "?"))?;
    insert.execute(rusqlite::params_from_iter(outbox::values(event)))?;
    Ok(())
}
