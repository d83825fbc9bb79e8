//! Rows of the nodes: each node renews its own, and a node that finds an expired one releases its deliveries.
//!
//! All times are the database's. An expired node's number stays in the rows that it claimed. Rows under a number that
//! no node has are released, whatever the reason, so every pending delivery has a living owner or none.

use std::time::Duration;

use async_trait::async_trait;
use hookstream_model::{
    base::time::Timestamp,
    delivery::queue::{Shard, Shards},
};
use tokio::sync::broadcast;
use tokio_postgres::types::Type;

use crate::{
    db::error::Error,
    delivery::{
        cluster::{Audience, Cluster, LeaseRenewal, Node, NodeReport, NodeSelf, Nudge, Relayed},
        deliveries::Owner,
    },
    postgres::{
        PostgresStore,
        db::{
            connection::{Connection, Pool, connect},
            owners::owners,
        },
    },
};

const ENLIST: &str = "insert into nodes (name, role, version, started_at, renewed_at, lapses_at, queued, in_flight, lag_ms, takes_backlogs)
    values ($1, $2, $3, clock_timestamp(), clock_timestamp(), clock_timestamp() + $4::int8 * interval '1 millisecond', 0, 0, 0, $2 <> 'api')
    returning number";
/// Moves the sequence of positions to the present, behind positions that were assigned by a clock.
const SET_POSITIONS: &str = "select setval('backlog_places', now.millis) from backlog_places,
    (select (extract(epoch from clock_timestamp()) * 1000)::int8 as millis) now where last_value < now.millis";
/// A replaced number takes no more work; its shards move to the new number.
const REPLACE: &str = "update nodes set takes_backlogs = false where number = $1";
const MOVE_SHARDS: &str = "update shards set owner = $2 where owner = $1";
/// Frees the shards of nodes that are gone.
const FREE_SHARDS: &str = "update shards set owner = 0 where owner > 0 and owner not in (select number from nodes)";
/// Takes an equal share of the free shards, rounded up.
const TAKE_SHARDS: &str = "update shards set owner = $1 where number in (
        select number from shards where owner = 0 order by number
        limit greatest(0, (select ceil(64.0 / greatest(1, count(*))) from nodes where takes_backlogs)::int8
            - (select count(*) from shards where owner = $1))
        for update skip locked
    ) and (select takes_backlogs from nodes where number = $1)";
const RELEASE_SHARDS: &str = "update shards set owner = 0 where owner = $1 and number = any($2)";
const RENEW: &str = "update nodes set renewed_at = clock_timestamp(), lapses_at = clock_timestamp() + $2::int8 * interval '1 millisecond',
    queued = $3, in_flight = $4, lag_ms = $5 where number = $1";
/// Removes expired nodes, remembers them as lost, and writes an operational event for each. Environments of the first organization are told, whose
/// owners run the installation. The counterpart of an environment's id has another version ([`EnvironmentId::counterpart`]).
///
/// [`EnvironmentId::counterpart`]: hookstream_model::base::ids::EnvironmentId::counterpart
const REMOVE_LAPSED: &str = "with lost as (
        delete from nodes where number in
            (select number from nodes where lapses_at < clock_timestamp() order by number for update skip locked)
        returning number, name, role, version, started_at, renewed_at, lapses_at
    ), remembered as (
        insert into lost_nodes (name, number, role, version, started_at, renewed_at, lapses_at)
        select name, number, role, version, started_at, renewed_at, lapses_at from lost order by number desc
        on conflict do nothing
    )
    insert into outbox (id, event_type, organization_id, environment_id, application_id, endpoint_id, created_at, data)
    select decode(md5(l.number::text || ':' || l.renewed_at::text), 'hex'), 'node.lost', s.organization_id,
        set_byte(s.id, 6, get_byte(s.id, 6) # 240), ''::bytea, ''::bytea, (extract(epoch from clock_timestamp()) * 1000)::int8,
        json_build_object('node', l.number, 'name', l.name, 'role', l.role, 'version', l.version,
            'last_seen_at', to_char(l.renewed_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'))::text
    from lost l join environments s on s.is_system = 1 and s.deleted_at is null
        and s.organization_id = (select id from organizations where deleted_at is null order by id limit 1)
    on conflict do nothing";
const REMOVE: &str = "delete from nodes where number = $1";
/// State after a renewal: whether a node has expired, the owner numbers without a node, whether a shard is free, the
/// fair share of a node, and the shards of this node.
const STATE: &str = concat!(
    owners!(),
    "select exists (select 1 from nodes where lapses_at < clock_timestamp()),
        array(select number from all_owners where number not in (select number from nodes)),
        exists (select 1 from shards where owner not in (select number from nodes)),
        (select ceil(64.0 / greatest(1, count(*)))::int8 from nodes where takes_backlogs),
        array(select number from shards where owner = $1 order by number)"
);
/// Owner numbers without a live node.
const ORPHANS: &str =
    concat!(owners!(), "select number from all_owners where number not in (select number from nodes where lapses_at > clock_timestamp())");
/// Releases a slice. Outside backlogs, released deliveries are due from now on, because claims look there first.
const RELEASE: &str =
    "update pending p set owner = p.backlog, due_at = case p.backlog when 0 then greatest(p.due_at, $2) else p.due_at end from (
        select message_id, route_id from pending where owner = $1 limit 5000 for update skip locked
    ) held where p.message_id = held.message_id and p.route_id = held.route_id and p.owner = $1";
/// Gives the deliveries of a slice of packed rows rows of their own, without an owner.
const UNPACK: &str = "with gone as (
        delete from packed_pending where (message_id, part) in (
            select message_id, part from packed_pending where owner = $1 limit 500 for update skip locked
        ) and owner = $1 returning message_id, origin_id, due_at, trigger_type, routes, unsettled
    )
    insert into pending (message_id, route_id, origin_id, owner, due_at, attempts, failed, trigger_type)
    select g.message_id, encode(substring(g.routes from 16 * n.place + 1 for 16), 'hex')::uuid, g.origin_id, 0,
        greatest(g.due_at, $2), 0, 0, g.trigger_type
    from gone g cross join generate_series(0, 62) as n (place) where (g.unsettled >> n.place) & 1 = 1";
/// Lists nodes, and those that were lost in the last quarter of an hour unless a node of the same name was started since.
const LIST: &str = "select number, name, role, version, (extract(epoch from started_at) * 1000)::int8,
    (extract(epoch from renewed_at) * 1000)::int8, (extract(epoch from lapses_at) * 1000)::int8, queued, in_flight, lag_ms
    from (
        select number, name, role, version, started_at, renewed_at, lapses_at, queued, in_flight, lag_ms from nodes
        union all
        select number, name, role, version, started_at, renewed_at, lapses_at, 0::int8, 0::int8, 0::int8 from lost_nodes l
        where lapses_at > clock_timestamp() - interval '15 minutes'
            and not exists (select 1 from nodes n where n.name = l.name and n.started_at > l.renewed_at)
    ) known order by number";
/// Forgets lost nodes that are not shown any more.
const FORGET_LOST: &str = "delete from lost_nodes where lapses_at < clock_timestamp() - interval '1 day'";

pub(super) async fn enlist(pool: &Pool, node: &NodeSelf, lease: Duration) -> Result<Owner, Error> {
    let connection = connect(pool, "enlist").await?;
    let values = [
        (&node.name.as_str() as _, Type::TEXT),
        (&node.role as _, Type::TEXT),
        (&node.version as _, Type::TEXT),
        (&millis(lease) as _, Type::INT8),
    ];
    let enlist = async |connection: &Connection| {
        connection.query(SET_POSITIONS, &[]).await?;
        let rows = connection.query(ENLIST, &values).await?;
        let number: i64 = rows.first().ok_or(Error::Unreadable { what: "node" })?.get(0);
        if let Some(before) = node.replaces {
            connection.execute(REPLACE, &[(&before.number(), Type::INT8)]).await?;
            connection.execute(MOVE_SHARDS, &[(&before.number(), Type::INT8), (&number, Type::INT8)]).await?;
        }
        Ok(Owner::new(number))
    };
    connection.transaction(enlist, |_| true).await
}

pub(super) async fn release_shards(pool: &Pool, owner: Owner, shards: Shards) -> Result<(), Error> {
    let numbers: Vec<i32> = shards.iter().map(|shard| i32::from(shard.number())).collect();
    let connection = connect(pool, "release shards").await?;
    connection.execute(RELEASE_SHARDS, &[(&owner.number() as _, Type::INT8), (&numbers as _, Type::INT4_ARRAY)]).await.map(|_| ())
}

pub(super) async fn renew(pool: &Pool, owner: Owner, report: NodeReport, lease: Duration, now: Timestamp) -> Result<LeaseRenewal, Error> {
    let connection = connect(pool, "renew the lease of a node").await?;
    let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
    let lag = i64::try_from(report.lag_ms).unwrap_or(i64::MAX);
    let values = [
        (&owner.number() as _, Type::INT8),
        (&millis(lease) as _, Type::INT8),
        (&count(report.queued) as _, Type::INT8),
        (&count(report.in_flight) as _, Type::INT8),
        (&lag as _, Type::INT8),
    ];
    if connection.execute(RENEW, &values).await? == 0 {
        return Ok(LeaseRenewal::Expired);
    }
    let owner = [(&owner.number() as _, Type::INT8)];
    let read_state = async || connection.query(STATE, &owner).await?.into_iter().next().ok_or(Error::Unreadable { what: "node" });
    let mut state = read_state().await?;
    let (has_expired_node, has_free_shard) = (state.get::<_, bool>(0), state.get::<_, bool>(2));
    if has_expired_node {
        connection.execute(FORGET_LOST, &[]).await?;
        connection.execute(REMOVE_LAPSED, &[]).await?;
        state = read_state().await?;
    }
    let mut released = 0;
    let orphaned = state.get::<_, Vec<i64>>(1);
    if !orphaned.is_empty() {
        for number in orphaned {
            released += release(&connection, number, now).await?;
        }
        state = read_state().await?;
    }
    // Shards are freed only once their backlogs are complete: another node may be about to release more deliveries into them.
    if (has_expired_node || has_free_shard) && state.get::<_, Vec<i64>>(1).is_empty() {
        connection.execute(FREE_SHARDS, &[]).await?;
        connection.execute(TAKE_SHARDS, &owner).await?;
        state = read_state().await?;
    }
    let shards: Shards = state.get::<_, Vec<i32>>(4).into_iter().filter_map(|number| Shard::new(u8::try_from(number).ok()?)).collect();
    let share = u32::try_from(state.get::<_, i64>(3)).unwrap_or(0);
    Ok(LeaseRenewal::Held { released, shards, surplus: shards.count().saturating_sub(share) })
}

pub(super) async fn retire(pool: &Pool, owner: Owner, now: Timestamp) -> Result<(), Error> {
    let connection = connect(pool, "deregister a node").await?;
    connection.execute(REMOVE, &[(&owner.number(), Type::INT8)]).await?;
    connection.execute(FREE_SHARDS, &[]).await?;
    release(&connection, owner.number(), now).await.map(|_| ())
}

pub(super) async fn list(pool: &Pool) -> Result<Vec<Node>, Error> {
    let connection = connect(pool, "list the nodes").await?;
    let rows = connection.query(LIST, &[]).await?;
    let time = |row: &tokio_postgres::Row, column| Timestamp::from_millis(row.get(column));
    let count = |row: &tokio_postgres::Row, column| usize::try_from(row.get::<_, i64>(column)).unwrap_or(0);
    let node = |row: &tokio_postgres::Row| Node {
        owner: Owner::new(row.get(0)),
        name: row.get(1),
        role: row.get(2),
        version: row.get(3),
        started_at: time(row, 4),
        renewed_at: time(row, 5),
        lapses_at: Some(time(row, 6)),
        report: NodeReport { queued: count(row, 7), in_flight: count(row, 8), lag_ms: u64::try_from(row.get::<_, i64>(9)).unwrap_or(0) },
    };
    Ok(rows.iter().map(node).collect())
}

/// Releases all deliveries of a number, a slice at a time.
pub(super) async fn release(connection: &Connection, number: i64, now: Timestamp) -> Result<u64, Error> {
    let mut released = 0;
    for statement in [RELEASE, UNPACK] {
        loop {
            let slice = connection.execute(statement, &[(&number, Type::INT8), (&now.as_millis(), Type::INT8)]).await?;
            released += slice;
            if slice == 0 {
                break;
            }
        }
    }
    Ok(released)
}

/// Releases the deliveries of packed rows whose owner no node has.
pub(super) async fn release_orphans(connection: &Connection, now: Timestamp) -> Result<(), Error> {
    for row in connection.query(ORPHANS, &[]).await? {
        release(connection, row.get(0), now).await?;
    }
    Ok(())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[async_trait]
impl Cluster for PostgresStore {
    async fn enlist(&self, node: &NodeSelf, _: Timestamp) -> Result<Owner, Error> {
        let owner = enlist(&self.hot, node, self.lease).await?;
        self.publisher.count_as(owner);
        Ok(owner)
    }

    fn lease(&self) -> Option<Duration> {
        Some(self.lease)
    }

    async fn renew(&self, owner: Owner, report: NodeReport, now: Timestamp) -> Result<LeaseRenewal, Error> {
        let renewal = renew(&self.hot, owner, report, self.lease, now).await?;
        if matches!(renewal, LeaseRenewal::Held { released: 1.., .. }) {
            self.notify.notify_one();
        }
        Ok(renewal)
    }

    async fn retire(&self, owner: Owner, now: Timestamp) -> Result<(), Error> {
        retire(&self.hot, owner, now).await?;
        self.notify.notify_one();
        Ok(())
    }

    async fn nodes(&self) -> Result<Vec<Node>, Error> {
        list(&self.plain).await
    }

    fn nudges(&self) -> broadcast::Receiver<Nudge> {
        self.inbound.nudges.subscribe()
    }

    async fn relay(&self, audience: Audience, texts: Vec<String>) -> Result<(), Error> {
        crate::postgres::db::nudge::relay(&self.plain, audience, texts).await
    }

    fn relayed(&self) -> Option<broadcast::Receiver<Relayed>> {
        self.can_listen.then(|| self.inbound.relayed.subscribe())
    }

    fn listen_to_stream(&self, wanted: bool) {
        self.inbound.stream.send_if_modified(|current| std::mem::replace(current, wanted) != wanted);
    }

    async fn release_shards(&self, owner: Owner, shards: Shards) -> Result<(), Error> {
        release_shards(&self.hot, owner, shards).await
    }
}
