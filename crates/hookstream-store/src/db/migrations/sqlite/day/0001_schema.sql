-- History of the messages of one UTC day: one file per day, deleted as a whole when it expires.
-- The day of a message is the day of its id. Everything about a message is in the same file, so each
-- operation on it is one transaction. Rows are appended in the order of their keys.

create table messages (
    origin_id blob not null,
    id blob not null,
    environment_id blob not null,
    event_type text not null,
    event_id text,
    -- All deliveries, whatever their state: succeeded = deliveries - pending - undelivered.
    deliveries integer not null,
    -- Number of chained deliveries that led to the message.
    hops integer not null default 0,
    -- JSON array of the channels of the message.
    channels text,
    primary key (origin_id, id)
) strict, without rowid;

create table payloads (
    message_id blob not null primary key,
    environment_id blob not null,
    is_text integer not null,
    -- Encoding of the body, and its size in bytes before encoding (payloads.rs).
    encoding integer not null,
    size integer not null,
    body blob not null
) strict, without rowid;

-- Pending deliveries. Settling deletes the row. Owner 0 is none, a negative number is the backlog in which
-- the delivery waits.
create table pending (
    message_id blob not null,
    route_id blob not null,
    origin_id blob not null,
    owner integer not null,
    due_at integer not null,
    attempts integer not null,
    failed integer not null,
    trigger_type text not null,
    -- Backlog to which the delivery returns when its owner releases it; 0 is none.
    backlog integer not null default 0,
    -- Due time of the next attempt in an ordered backlog, where due_at is the position.
    retry_at integer,
    primary key (message_id, route_id)
) strict, without rowid;
create index pending_by_due on pending (owner, due_at);

-- Pending deliveries that their owner attempts from memory for the first time: up to 63 of a message share a row.
-- Settling clears a delivery's bit, and the last one deletes the row. A delivery that fails or returns to a backlog
-- gets a row of `pending`.
create table packed_pending (
    message_id blob not null,
    -- Number of the row within its message.
    part integer not null,
    origin_id blob not null,
    owner integer not null,
    due_at integer not null,
    trigger_type text not null,
    -- Routes, 16 bytes each, and a bit for each that is not settled.
    routes blob not null,
    unsettled integer not null,
    primary key (message_id, part)
) strict, without rowid;
create table packed_places (place integer not null primary key) strict;
insert into packed_places (place) with recursive places (place) as (select 0 union all select place + 1 from places where place < 62)
    select place from places;

-- All pending deliveries, in whatever row. The casts give both parts the same affinities: otherwise a query on the view
-- would read and sort all of it.
create view all_pending as
    select message_id, route_id, origin_id, owner, due_at, attempts, failed, trigger_type, backlog, retry_at from pending
    union all
    select p.message_id, cast(substr(p.routes, 16 * n.place + 1, 16) as blob), p.origin_id, p.owner, p.due_at,
        cast(0 as integer), cast(0 as integer), p.trigger_type, cast(0 as integer), cast(null as integer)
    from packed_pending p cross join packed_places n where (p.unsettled >> n.place) & 1;

-- Deliveries that ended without success, until they succeed after all.
create table undelivered (
    message_id blob not null,
    route_id blob not null,
    origin_id blob not null,
    state text not null,
    reason text not null,
    attempts integer not null,
    ended_at integer not null,
    primary key (message_id, route_id)
) strict, without rowid;
create index undelivered_by_route on undelivered (route_id, message_id);
-- For lists of failed messages.
create index undelivered_by_origin on undelivered (origin_id, message_id);

create table attempts (
    message_id blob not null,
    id blob not null,
    route_id blob not null,
    number integer not null,
    trigger_type text not null,
    succeeded integer not null,
    response_status integer,
    duration_ms integer not null,
    created_at integer not null,
    -- Durations of the attempt's phases, packed (the model's waterfall.rs).
    waterfall blob,
    error text,
    response_body text,
    -- A line each, `name: value`.
    response_headers text,
    primary key (message_id, id)
) strict, without rowid;

-- Last position assigned in an ordered backlog: later messages get higher positions, whatever the clock says.
create table backlog_places (
    last integer not null
) strict;

-- Progress of jobs in this day, written in the same commit as the requeued deliveries: `jobs` is in another file.
create table job_slices (
    job_id blob not null primary key,
    position blob not null,
    requeued integer not null
) strict, without rowid;

create table message_counts (
    origin_id blob not null primary key,
    messages integer not null
) strict, without rowid;

-- Counts per environment, changed in the commits that change the rows above. The remainder is pending.
create table delivery_counts (
    environment_id blob not null primary key,
    messages integer not null,
    accepted integer not null,
    succeeded integer not null,
    exhausted integer not null,
    skipped integer not null,
    cancelled integer not null,
    -- Stored bytes of the payloads.
    payload_bytes integer not null,
    -- Accepted messages: unlike `messages`, this count stays when messages are removed.
    events integer not null default 0
) strict, without rowid;

create table event_ids (
    origin_id blob not null,
    event_id text not null,
    message_id blob not null,
    primary key (origin_id, event_id)
) strict, without rowid;

create table idempotency_keys (
    environment_id blob not null,
    key text not null,
    fingerprint blob not null,
    origin_id blob not null,
    message_id blob not null,
    first_status text not null,
    primary key (environment_id, key)
) strict, without rowid;
