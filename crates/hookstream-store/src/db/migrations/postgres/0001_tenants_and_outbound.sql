-- Configuration. Its statements are shared with SQLite, so its columns are bigint, text and bytea;
-- ids are 16 bytes, times are milliseconds, JSON is text.

create table organizations (
    id bytea not null primary key,
    name text not null,
    created_at bigint not null
);

create table environments (
    id bytea not null primary key,
    organization_id bytea not null references organizations (id),
    name text not null,
    slug text not null,
    -- Limits of stored data; null means the installation's. A null weight means 1.
    retention_days bigint,
    payload_retention_days bigint,
    max_payload_bytes bigint,
    weight bigint,
    created_at bigint not null,
    -- Increases with each change of the event types.
    version bigint not null,
    unique (organization_id, slug)
);

create table api_keys (
    id bytea not null primary key,
    organization_id bytea not null,
    environment_id bytea not null,
    name text not null,
    hash bytea not null unique,
    prefix text not null,
    -- Scopes, allowed networks (JSON), expiry.
    scopes text not null,
    networks text,
    expires_at bigint,
    created_at bigint not null,
    revoked_at bigint,
    last_used_at bigint,
    request_count bigint not null default 0
);
create index api_keys_by_environment on api_keys (environment_id, id);

create table applications (
    id bytea not null primary key,
    organization_id bytea not null,
    environment_id bytea not null,
    name text not null,
    uid text not null,
    description text,
    metadata text,
    status text not null,
    rate_limit bigint,
    created_at bigint not null,
    updated_at bigint not null,
    -- Increases with each change of the application or one of its endpoints.
    version bigint not null,
    unique (environment_id, uid)
);
create index applications_by_environment on applications (environment_id, id);

create table endpoints (
    id bytea not null primary key,
    organization_id bytea not null,
    environment_id bytea not null,
    application_id bytea not null,
    url text not null,
    description text,
    signing_algorithm text not null,
    status text not null,
    disabled_reason text,
    filter_types text,
    rate_limit_per_second bigint,
    expires_at bigint,
    headers text,
    retry_schedule text,
    timeout_ms bigint,
    ordering text not null,
    -- Path of the ordering key in a payload.
    ordering_key text,
    on_failure text not null,
    -- Limits for batches of messages in one request; null sends each message separately.
    batch_max_size bigint,
    batch_max_wait_ms bigint,
    failing_since bigint,
    -- End and reason of the hold, during which nothing is sent.
    held_until bigint,
    hold_reason text,
    secret text not null,
    previous_secret text,
    previous_secret_until bigint,
    created_at bigint not null,
    updated_at bigint not null,
    version bigint not null
);
create index endpoints_by_application on endpoints (application_id, id);

create table event_types (
    id bytea not null primary key,
    organization_id bytea not null,
    environment_id bytea not null,
    name text not null,
    description text,
    json_schema text,
    status text not null,
    created_at bigint not null,
    updated_at bigint not null,
    version bigint not null,
    unique (environment_id, name)
);
create index event_types_by_environment on event_types (environment_id, id);

-- Background jobs that requeue sets of deliveries.
create table jobs (
    id bytea not null primary key,
    organization_id bytea not null,
    environment_id bytea not null,
    application_id bytea not null,
    endpoint_id bytea not null,
    kind text not null,
    since bigint not null,
    until bigint not null,
    statuses text not null,
    event_types text,
    max_messages bigint,
    rate_limit bigint not null,
    fingerprint text not null,
    status text not null,
    error text,
    total bigint,
    requeued bigint not null,
    skipped bigint not null,
    -- Last examined message.
    position bytea not null,
    -- Owner that works on the job; 0 is none.
    owner bigint not null,
    created_at bigint not null,
    started_at bigint,
    updated_at bigint not null,
    completed_at bigint
);
create index jobs_by_environment on jobs (environment_id, id);
create index jobs_by_end on jobs (completed_at);
-- A job requested twice exists once while it runs.
create unique index jobs_running on jobs (endpoint_id, fingerprint) where status = 'running';

-- Responses to creating requests, repeated within the idempotency window.
create table idempotency_keys (
    environment_id bytea not null,
    key text not null,
    fingerprint bytea not null,
    status bigint not null,
    body text not null,
    created_at bigint not null,
    primary key (environment_id, key)
);
create index idempotency_keys_by_age on idempotency_keys (created_at);

create table settings (
    name text not null primary key,
    value text not null
);

-- Changes of the tables above, for the caches of nodes.
create table changes (
    number bigint generated always as identity primary key,
    environment_id bytea not null,
    application_id bytea
);

-- Nodes. A node whose lease expires is removed by another node, and its deliveries are released. Times
-- are the database's, so that the nodes' clocks do not matter.
create table nodes (
    number bigint generated always as identity primary key,
    name text not null,
    role text not null,
    version text not null,
    started_at timestamptz not null,
    renewed_at timestamptz not null,
    lapses_at timestamptz not null,
    queued bigint not null,
    in_flight bigint not null,
    lag_ms bigint not null,
    -- Whether the node may take shards: it delivers, and this is its latest number.
    takes_backlogs boolean not null
) with (fillfactor = 50);

-- Owner of each shard of backlogs; 0 is none. Only the owner sends deliveries with a limit or an order.
create table shards (
    number integer not null primary key,
    owner bigint not null
) with (fillfactor = 50);
-- Positions in ordered backlogs: later messages get higher positions, whatever the nodes' clocks say.
create sequence backlog_places;
insert into shards (number, owner) select number, 0 from generate_series(0, 63) as number;

-- History of messages, partitioned by the day of the message's id: retention drops a day's partition
-- as a whole. Rows are appended roughly in the order of their keys.

create table messages (
    origin_id uuid not null,
    id uuid not null,
    environment_id uuid not null,
    event_type text not null,
    event_id text,
    -- All deliveries, whatever their state: succeeded = deliveries - pending - undelivered.
    deliveries integer not null,
    -- Number of chained deliveries that led to the message.
    hops integer not null default 0,
    primary key (origin_id, id)
) partition by range (id);

create table payloads (
    message_id uuid not null primary key,
    environment_id uuid not null,
    is_text boolean not null,
    -- Encoding of the body, and its size in bytes before encoding (payloads.rs).
    encoding integer not null,
    size integer not null,
    body bytea not null
) partition by range (message_id);
-- Bodies are compressed before they are stored, if that saves enough; partitions inherit this setting.
alter table payloads alter column body set storage external;

-- Deliveries that ended without success, until they succeed after all.
create table undelivered (
    message_id uuid not null,
    route_id uuid not null,
    state text not null,
    reason text not null,
    attempts integer not null,
    ended_at bigint not null,
    primary key (message_id, route_id)
) partition by range (message_id);
create index undelivered_by_route on undelivered (route_id, message_id);

create table attempts (
    message_id uuid not null,
    id uuid not null,
    route_id uuid not null,
    number integer not null,
    trigger_type text not null,
    succeeded boolean not null,
    response_status integer,
    duration_ms bigint not null,
    created_at bigint not null,
    -- Durations of the attempt's phases, packed (the model's waterfall.rs).
    waterfall bytea,
    error text,
    response_body text,
    primary key (message_id, id)
) partition by range (message_id);

-- Pending deliveries: a small table, however many messages were sent. Settling deletes the row. Owner 0 is
-- none, a negative number is the backlog in which the delivery waits. Rows are short-lived, so vacuum runs often and without pause.
create table pending (
    message_id uuid not null,
    route_id uuid not null,
    origin_id uuid not null,
    owner bigint not null,
    due_at bigint not null,
    attempts integer not null,
    failed integer not null,
    trigger_type text not null,
    -- Backlog to which the delivery returns when its owner releases it; 0 is none.
    backlog bigint not null default 0,
    -- Due time of the next attempt in an ordered backlog, where due_at is the position.
    retry_at bigint,
    primary key (message_id, route_id)
) with (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_insert_scale_factor = 0.2,
    autovacuum_analyze_scale_factor = 0.2,
    autovacuum_vacuum_cost_delay = 0
);
create index pending_by_due on pending (owner, due_at);

-- Pending deliveries that their owner attempts from memory for the first time: up to 63 of a message share a row.
-- Settling clears a delivery's bit, and the last one deletes the row. A delivery that fails or returns to a backlog
-- gets a row of `pending`. No index has a column that an update changes, and pages keep room for the new version.
create table packed_pending (
    message_id uuid not null,
    -- Number of the row within its message.
    part integer not null,
    origin_id uuid not null,
    owner bigint not null,
    due_at bigint not null,
    trigger_type text not null,
    -- Routes, 16 bytes each, and a bit for each that is not settled.
    routes bytea not null,
    unsettled bigint not null,
    primary key (message_id, part)
) with (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 20000,
    autovacuum_vacuum_insert_scale_factor = 0.2,
    autovacuum_analyze_scale_factor = 0.2,
    autovacuum_vacuum_cost_delay = 0
);
create index packed_pending_by_owner on packed_pending (owner);

-- All pending deliveries, in whatever row. Both parts have the same column types: otherwise the planner reads and sorts
-- all rows of a query that needs a few in order.
create view all_pending as
    select message_id, route_id, origin_id, owner, due_at, attempts, failed, trigger_type, backlog, retry_at from pending
    union all
    select p.message_id, encode(substring(p.routes from 16 * n.place + 1 for 16), 'hex')::uuid, p.origin_id, p.owner, p.due_at, 0, 0,
        p.trigger_type, 0::bigint, null::bigint
    from packed_pending p cross join generate_series(0, octet_length(p.routes) / 16 - 1) as n (place)
    where (p.unsettled >> n.place) & 1 = 1;

-- One row per node, so that no node waits for another one's counts.
create table message_counts (
    day bigint not null,
    origin_id uuid not null,
    owner bigint not null,
    messages bigint not null,
    primary key (origin_id, day, owner)
) with (fillfactor = 50);

-- Counts per environment, changed in the commits that change the rows above. The remainder is pending. Each
-- node has a row for publishing and one (negative owner) for settling; a shared one (0) is for operators and
-- jobs. So none of them waits for another. Only the sum of the rows is meaningful.
create table delivery_counts (
    day bigint not null,
    environment_id uuid not null,
    owner bigint not null,
    messages bigint not null,
    accepted bigint not null,
    succeeded bigint not null,
    exhausted bigint not null,
    skipped bigint not null,
    cancelled bigint not null,
    -- Stored bytes of the payloads.
    payload_bytes bigint not null default 0,
    primary key (environment_id, day, owner)
) with (fillfactor = 50);

create table event_ids (
    origin_id uuid not null,
    event_id text not null,
    message_id uuid not null,
    primary key (origin_id, event_id)
);

create table message_keys (
    environment_id uuid not null,
    key text not null,
    fingerprint bytea not null,
    origin_id uuid not null,
    message_id uuid not null,
    first_status text not null,
    primary key (environment_id, key)
);
create index event_ids_by_age on event_ids (message_id);
create index message_keys_by_age on message_keys (message_id);
