//! Outbox on PostgreSQL: a table for the configuration, and one for deliveries.

use async_trait::async_trait;
use hookstream_model::{base::time::Day, operations::operational_event::OperationalEvent};
use tokio_postgres::types::{ToSql, Type};

use crate::{
    Error, Outbox,
    db::statement::{Database, Statement, Value},
    delivery::outbox::{self, Cause, Outgoing},
    postgres::{PostgresStore, db::connection::Connection, retention::days},
};

const INSERT: &str = "insert into day_outbox
        (id, event_type, organization_id, environment_id, application_id, endpoint_id, created_at, data, day)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing";

#[async_trait]
impl Outbox for PostgresStore {
    async fn outbox(&self, limit: usize) -> Result<Vec<Outgoing>, Error> {
        let mut events = outbox::configured(self, limit).await?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        for row in self.read(Statement::new(outbox::READ_OF_DAY, vec![limit.into()])).await? {
            events.extend(outbox::read(row)?.map(|event| Outgoing { event, cause: Cause::Delivery(None) }));
        }
        Ok(events)
    }

    async fn remove_from_outbox(&self, published: Vec<Outgoing>) -> Result<(), Error> {
        let (configured, of_days): (Vec<_>, Vec<_>) = published.into_iter().partition(|outgoing| outgoing.cause == Cause::Configuration);
        if !configured.is_empty() {
            outbox::remove_configured(self, &configured).await?;
        }
        let remove = |Outgoing { event, .. }: &Outgoing| {
            Statement::new(outbox::REMOVE_OF_DAY, vec![event.id.as_bytes().into(), event.kind.as_str().into()])
        };
        if !of_days.is_empty() {
            self.write("remove published events", of_days.iter().map(remove).collect()).await?;
        }
        Ok(())
    }
}

/// Writes an event of a delivery in the transaction of its connection.
pub(crate) async fn write(connection: &Connection, event: &OperationalEvent, day: Day) -> Result<(), Error> {
    let mut values = outbox::values(event);
    values.push(Value::Integer(days::number(day)));
    let types = [Type::BYTEA, Type::TEXT, Type::BYTEA, Type::BYTEA, Type::BYTEA, Type::BYTEA, Type::INT8, Type::TEXT, Type::INT8];
    let values: Vec<_> = values.iter().map(|value| value as &(dyn ToSql + Sync)).zip(types).collect();
    connection.execute(INSERT, &values).await.map(|_| ())
}
