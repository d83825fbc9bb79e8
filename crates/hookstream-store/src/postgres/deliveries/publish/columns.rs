//! Storing a batch of messages with one statement, whose values are columns.

use std::collections::{BTreeMap, HashMap, HashSet};

use hookstream_model::delivery::queue::Backlog;
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::{environment_of, id_of, origin_of};
use crate::{
    db::error::Error,
    delivery::{
        counts::Counts,
        deliveries::{NewState, PackedRow, Published, Versions},
        payloads::Sealed,
    },
    postgres::{db::connection::Connection, retention::days::number},
};

/// Stores the messages whose origin and event types are unchanged since their deliveries were decided, and
/// returns the numbers of those versions.
const STORE: &str = "with seen as (
        select s.number from unnest($1::int4[], $2::bytea[], $3::int8[], $4::int8[]) as s (number, origin, version, event_types)
        join origins o on o.id = s.origin and o.version = s.version
        join environments e on e.id = o.environment_id and e.version = s.event_types
    ), given as (
        select g.* from unnest($5::int4[], $6::uuid[], $7::uuid[], $8::uuid[], $9::text[], $10::text[], $11::int4[], $12::bool[], $13::bytea[],
                $38::int4[], $39::int4[], $41::int4[], $42::text[], $54::text[])
            as g (seen, origin_id, id, environment_id, event_type, event_id, deliveries, is_text, body, encoding, size, hops, channels,
                trace_context)
        where g.seen in (select number from seen)
    ), stored as (
        insert into messages (origin_id, id, environment_id, event_type, event_id, deliveries, hops, channels, trace_context)
        select origin_id, id, environment_id, event_type, event_id, deliveries, hops, channels, trace_context from given
    ), kept as (
        insert into payloads (message_id, environment_id, is_text, encoding, size, body)
        select id, environment_id, is_text, encoding, size, body from given
    ), queued as (
        insert into pending (message_id, route_id, origin_id, owner, due_at, attempts, failed, trigger_type, backlog)
        select p.message_id, p.route_id, p.origin_id, p.owner, coalesce(p.due_at, nextval('backlog_places')), 0, 0, p.trigger_type,
            p.backlog
        from unnest($14::int4[], $15::uuid[], $16::uuid[], $17::uuid[], $52::int8[], $19::int8[], $20::text[], $31::int8[])
            as p (seen, message_id, route_id, origin_id, owner, due_at, trigger_type, backlog)
        where p.seen in (select number from seen)
    ), packed as (
        insert into packed_pending (message_id, part, origin_id, owner, due_at, trigger_type, routes, unsettled)
        select p.message_id, p.part, p.origin_id, p.owner, p.due_at, p.trigger_type, p.routes, p.unsettled
        from unnest($44::int4[], $45::uuid[], $46::int4[], $47::uuid[], $18::int8[], $48::int8[], $49::text[], $50::bytea[], $51::int8[])
            as p (seen, message_id, part, origin_id, owner, due_at, trigger_type, routes, unsettled)
        where p.seen in (select number from seen)
    ), skipped as (
        insert into undelivered (message_id, route_id, origin_id, state, reason, attempts, ended_at)
        select u.message_id, u.route_id, u.origin_id, 'skipped', u.reason, 0, u.ended_at
        from unnest($21::int4[], $22::uuid[], $23::uuid[], $53::uuid[], $24::text[], $25::int8[])
            as u (seen, message_id, route_id, origin_id, reason, ended_at)
        where u.seen in (select number from seen)
    ), counted as (
        insert into message_counts (day, origin_id, owner, messages)
        select c.day, c.origin_id, $26, c.messages
        from unnest($27::int4[], $28::int8[], $29::uuid[], $30::int8[]) as c (seen, day, origin_id, messages)
        where c.seen in (select number from seen)
        on conflict (origin_id, day, owner) do update set messages = message_counts.messages + excluded.messages
    ), deliveries_counted as (
        insert into delivery_counts
            (day, environment_id, owner, messages, accepted, succeeded, exhausted, skipped, cancelled, payload_bytes, events)
        select d.day, d.environment_id, $26, sum(d.messages), sum(d.accepted), 0, 0, sum(d.skipped), 0, sum(d.payload_bytes), sum(d.events)
        from unnest($32::int4[], $33::int8[], $34::uuid[], $35::int8[], $36::int8[], $37::int8[], $40::int8[], $43::int8[])
            as d (seen, day, environment_id, messages, accepted, skipped, payload_bytes, events)
        where d.seen in (select number from seen)
        group by d.day, d.environment_id order by d.day, d.environment_id
        on conflict (environment_id, day, owner) do update set messages = delivery_counts.messages + excluded.messages,
            accepted = delivery_counts.accepted + excluded.accepted, skipped = delivery_counts.skipped + excluded.skipped,
            payload_bytes = delivery_counts.payload_bytes + excluded.payload_bytes, events = delivery_counts.events + excluded.events
    )
    select number from seen";

/// Stores messages that own their keys, and counts them under the node's number.
pub(super) async fn store(connection: &Connection, publications: &[&Sealed], owner: i64) -> Result<HashMap<Uuid, Published>, Error> {
    let columns = Columns::of(publications);
    let Columns { seen, messages, pending, packed, skipped, counts, environment_counts } = &columns;
    let values = [
        (&seen.numbers as _, Type::INT4_ARRAY),
        (&seen.origins as _, Type::BYTEA_ARRAY),
        (&seen.versions as _, Type::INT8_ARRAY),
        (&seen.event_types as _, Type::INT8_ARRAY),
        (&messages.seen as _, Type::INT4_ARRAY),
        (&messages.origins as _, Type::UUID_ARRAY),
        (&messages.ids as _, Type::UUID_ARRAY),
        (&messages.environments as _, Type::UUID_ARRAY),
        (&messages.event_types as _, Type::TEXT_ARRAY),
        (&messages.event_ids as _, Type::TEXT_ARRAY),
        (&messages.deliveries as _, Type::INT4_ARRAY),
        (&messages.is_text as _, Type::BOOL_ARRAY),
        (&messages.bodies as _, Type::BYTEA_ARRAY),
        (&pending.seen as _, Type::INT4_ARRAY),
        (&pending.messages as _, Type::UUID_ARRAY),
        (&pending.routes as _, Type::UUID_ARRAY),
        (&pending.origins as _, Type::UUID_ARRAY),
        (&packed.owners as _, Type::INT8_ARRAY),
        (&pending.due_at as _, Type::INT8_ARRAY),
        (&pending.triggers as _, Type::TEXT_ARRAY),
        (&skipped.seen as _, Type::INT4_ARRAY),
        (&skipped.messages as _, Type::UUID_ARRAY),
        (&skipped.routes as _, Type::UUID_ARRAY),
        (&skipped.reasons as _, Type::TEXT_ARRAY),
        (&skipped.ended_at as _, Type::INT8_ARRAY),
        (&owner as _, Type::INT8),
        (&counts.seen as _, Type::INT4_ARRAY),
        (&counts.days as _, Type::INT8_ARRAY),
        (&counts.origins as _, Type::UUID_ARRAY),
        (&counts.messages as _, Type::INT8_ARRAY),
        (&pending.backlogs as _, Type::INT8_ARRAY),
        (&environment_counts.seen as _, Type::INT4_ARRAY),
        (&environment_counts.days as _, Type::INT8_ARRAY),
        (&environment_counts.environments as _, Type::UUID_ARRAY),
        (&environment_counts.messages as _, Type::INT8_ARRAY),
        (&environment_counts.accepted as _, Type::INT8_ARRAY),
        (&environment_counts.skipped as _, Type::INT8_ARRAY),
        (&messages.encodings as _, Type::INT4_ARRAY),
        (&messages.sizes as _, Type::INT4_ARRAY),
        (&environment_counts.payload_bytes as _, Type::INT8_ARRAY),
        (&messages.hops as _, Type::INT4_ARRAY),
        (&messages.channels as _, Type::TEXT_ARRAY),
        (&environment_counts.events as _, Type::INT8_ARRAY),
        (&packed.seen as _, Type::INT4_ARRAY),
        (&packed.messages as _, Type::UUID_ARRAY),
        (&packed.parts as _, Type::INT4_ARRAY),
        (&packed.origins as _, Type::UUID_ARRAY),
        (&packed.due_at as _, Type::INT8_ARRAY),
        (&packed.triggers as _, Type::TEXT_ARRAY),
        (&packed.routes as _, Type::BYTEA_ARRAY),
        (&packed.unsettled as _, Type::INT8_ARRAY),
        (&pending.owners as _, Type::INT8_ARRAY),
        (&skipped.origins as _, Type::UUID_ARRAY),
        (&messages.traces as _, Type::TEXT_ARRAY),
    ];
    let rows = connection.query(STORE, &values).await?;
    let current: HashSet<i32> = rows.iter().map(|row| row.get(0)).collect();
    let published = |(id, seen): (&Uuid, &i32)| (*id, if current.contains(seen) { Published::Stored } else { Published::Stale });
    Ok(messages.ids.iter().zip(&messages.seen).map(published).collect())
}

/// Columns of [`STORE`].
#[derive(Default)]
struct Columns<'a> {
    seen: Seen,
    messages: Messages<'a>,
    pending: Pending,
    packed: Packed,
    skipped: Skipped,
    counts: PerOrigin,
    environment_counts: PerEnvironment,
}

#[derive(Default)]
struct Seen {
    numbers: Vec<i32>,
    origins: Vec<Vec<u8>>,
    versions: Vec<i64>,
    event_types: Vec<i64>,
}

#[derive(Default)]
struct Messages<'a> {
    seen: Vec<i32>,
    origins: Vec<Uuid>,
    ids: Vec<Uuid>,
    environments: Vec<Uuid>,
    event_types: Vec<&'a str>,
    event_ids: Vec<Option<&'a str>>,
    deliveries: Vec<i32>,
    is_text: Vec<bool>,
    encodings: Vec<i32>,
    /// Sizes before encoding.
    sizes: Vec<i32>,
    bodies: Vec<&'a [u8]>,
    hops: Vec<i32>,
    traces: Vec<Option<String>>,
    channels: Vec<Option<String>>,
}

#[derive(Default)]
struct Pending {
    seen: Vec<i32>,
    messages: Vec<Uuid>,
    routes: Vec<Uuid>,
    origins: Vec<Uuid>,
    owners: Vec<i64>,
    /// Due times; `None` for the next position of an ordered backlog.
    due_at: Vec<Option<i64>>,
    triggers: Vec<&'static str>,
    backlogs: Vec<i64>,
}

/// Rows of owned deliveries.
#[derive(Default)]
struct Packed {
    seen: Vec<i32>,
    messages: Vec<Uuid>,
    parts: Vec<i32>,
    origins: Vec<Uuid>,
    owners: Vec<i64>,
    due_at: Vec<i64>,
    triggers: Vec<&'static str>,
    routes: Vec<Vec<u8>>,
    unsettled: Vec<i64>,
}

#[derive(Default)]
struct Skipped {
    seen: Vec<i32>,
    messages: Vec<Uuid>,
    routes: Vec<Uuid>,
    origins: Vec<Uuid>,
    reasons: Vec<&'static str>,
    ended_at: Vec<i64>,
}

/// Numbers of messages.
#[derive(Default)]
struct PerOrigin {
    seen: Vec<i32>,
    days: Vec<i64>,
    origins: Vec<Uuid>,
    messages: Vec<i64>,
}

/// Numbers of deliveries and of those skipped at once, and the bytes of payloads.
#[derive(Default)]
struct PerEnvironment {
    seen: Vec<i32>,
    days: Vec<i64>,
    environments: Vec<Uuid>,
    messages: Vec<i64>,
    accepted: Vec<i64>,
    skipped: Vec<i64>,
    payload_bytes: Vec<i64>,
    events: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn of(publications: &[&'a Sealed]) -> Self {
        let mut columns = Self::default();
        let mut numbers: HashMap<(Uuid, i64, i64), i32> = HashMap::new();
        let mut counts: BTreeMap<(i32, i64, Uuid), i64> = BTreeMap::new();
        let mut environment_counts: BTreeMap<(i32, i64, Uuid), Counts> = BTreeMap::new();
        for publication in publications {
            let Versions { origin: version, environment: event_types } = publication.seen;
            let next = i32::try_from(numbers.len()).unwrap_or(i32::MAX);
            let seen = *numbers.entry((origin_of(publication), version, event_types)).or_insert_with(|| {
                columns.seen.numbers.push(next);
                columns.seen.origins.push(publication.message.origin_id.as_bytes().to_vec());
                columns.seen.versions.push(version);
                columns.seen.event_types.push(event_types);
                next
            });
            columns.push(publication, seen);
            let day = number(publication.message.id.timestamp().day());
            *counts.entry((seen, day, origin_of(publication))).or_default() += 1;
            *environment_counts.entry((seen, day, environment_of(publication))).or_default() += Counts::published(publication);
        }
        for ((seen, day, origin), messages) in counts {
            columns.counts.seen.push(seen);
            columns.counts.days.push(day);
            columns.counts.origins.push(origin);
            columns.counts.messages.push(messages);
        }
        for ((seen, day, environment), Counts { messages, accepted, skipped, payload_bytes, events, .. }) in environment_counts {
            columns.environment_counts.seen.push(seen);
            columns.environment_counts.days.push(day);
            columns.environment_counts.environments.push(environment);
            columns.environment_counts.messages.push(messages);
            columns.environment_counts.accepted.push(accepted);
            columns.environment_counts.skipped.push(skipped);
            columns.environment_counts.payload_bytes.push(payload_bytes);
            columns.environment_counts.events.push(events);
        }
        columns
    }

    fn push(&mut self, publication: &'a Sealed, seen: i32) {
        let message = &publication.message;
        let (id, origin) = (id_of(publication), origin_of(publication));
        let accepted_at = message.id.timestamp().as_millis();
        self.messages.seen.push(seen);
        self.messages.origins.push(origin);
        self.messages.ids.push(id);
        self.messages.environments.push(environment_of(publication));
        self.messages.event_types.push(&message.event_type);
        self.messages.event_ids.push(publication.event_id.as_deref());
        self.messages.deliveries.push(i32::try_from(publication.deliveries.len()).unwrap_or(i32::MAX));
        let payload = publication.payload();
        self.messages.is_text.push(payload.is_text);
        self.messages.encodings.push(payload.encoding);
        self.messages.sizes.push(payload.size);
        self.messages.bodies.push(&payload.body);
        self.messages.channels.push(publication.channels_text());
        self.messages.hops.push(i32::try_from(message.hops.count()).unwrap_or(i32::MAX));
        self.messages.traces.push(message.trace.as_ref().map(|trace| trace.to_stored()));
        let packed_rows = publication.packed_rows();
        let is_packed = !packed_rows.is_empty();
        for PackedRow { part, routes, unsettled } in packed_rows {
            self.packed.seen.push(seen);
            self.packed.messages.push(id);
            self.packed.parts.push(part);
            self.packed.origins.push(origin);
            self.packed.owners.push(publication.owner.number());
            self.packed.due_at.push(accepted_at);
            self.packed.triggers.push(publication.trigger.as_str());
            self.packed.routes.push(routes);
            self.packed.unsettled.push(unsettled);
        }
        for delivery in &publication.deliveries {
            let route = Uuid::from_bytes(*delivery.route_id.as_bytes());
            match delivery.state {
                NewState::Owned if is_packed => {}
                NewState::Owned | NewState::Waiting { .. } => {
                    let (owner, backlog, in_order) = match delivery.state {
                        NewState::Waiting { backlog, in_order } => {
                            let backlog = backlog.map_or(0, Backlog::number);
                            (backlog, backlog, in_order)
                        }
                        NewState::Owned | NewState::Skipped(_) => (publication.owner.number(), 0, false),
                    };
                    self.pending.seen.push(seen);
                    self.pending.messages.push(id);
                    self.pending.routes.push(route);
                    self.pending.origins.push(origin);
                    self.pending.owners.push(owner);
                    self.pending.due_at.push((!in_order).then_some(accepted_at));
                    self.pending.triggers.push(publication.trigger.as_str());
                    self.pending.backlogs.push(backlog);
                }
                NewState::Skipped(reason) => {
                    self.skipped.seen.push(seen);
                    self.skipped.messages.push(id);
                    self.skipped.routes.push(route);
                    self.skipped.origins.push(origin);
                    self.skipped.reasons.push(reason.as_str());
                    self.skipped.ended_at.push(accepted_at);
                }
            }
        }
    }
}
