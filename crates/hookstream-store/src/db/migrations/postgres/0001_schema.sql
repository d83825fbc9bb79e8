-- Configuration. Its statements are shared with SQLite, so its columns are bigint, text and bytea;
-- ids are 16 bytes, times are milliseconds, JSON is text.

create table organizations (
    id bytea not null primary key,
    name text not null,
    created_at bigint not null,
    -- Quotas: null means the installation's setting, -1 no limit.
    quota_events_per_month bigint,
    quota_applications bigint,
    quota_endpoints_per_application bigint,
    quota_event_types bigint,
    quota_environments bigint,
    quota_retention_days bigint,
    -- Time of deletion; permanent removal follows some days later.
    deleted_at bigint
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
    -- Whether customers may see their endpoints' signing secrets in the portal.
    portal_reveal_secrets bigint not null default 1,
    -- Whether the environment serves customers.
    is_production bigint not null default 0,
    -- Origins whose pages may embed the portal (JSON), and its appearance (JSON).
    portal_frame_origins text not null default '[]',
    portal_theme text,
    deleted_at bigint,
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
    request_count bigint not null default 0,
    -- Reach of the key: its environment or its organization.
    level text not null default 'environment'
);
create index api_keys_by_environment on api_keys (environment_id, id);

create table applications (
    id bytea not null primary key,
    organization_id bytea not null,
    environment_id bytea not null,
    name text not null,
    uid text,
    description text,
    metadata text,
    status text not null,
    rate_limit bigint,
    -- Appearance of the portal (JSON).
    portal_theme text,
    created_at bigint not null,
    updated_at bigint not null,
    -- Increases with each change of the application or one of its endpoints.
    version bigint not null,
    -- Version of the last deletion of an endpoint.
    endpoints_deleted_at_version bigint not null default 0,
    -- Name and uid in lower case, written by the program, because databases differ for letters beyond ASCII.
    search text not null,
    unique (environment_id, uid)
);
create index applications_by_environment on applications (environment_id, id);

-- Origins of messages: each kind adds its branch. Publishing checks the version.
create view origins as select id, environment_id, version from applications;

create table endpoints (
    id bytea not null primary key,
    organization_id bytea not null,
    environment_id bytea not null,
    application_id bytea not null,
    uid text,
    -- Kind of target. `config` holds the settings of the kind besides the URL, as encrypted JSON text, because it may
    -- contain a password.
    type text not null default 'http',
    config text,
    url text not null,
    description text,
    metadata text,
    signing_algorithm text not null,
    status text not null,
    disabled_reason text,
    disabled_at bigint,
    filter_types text,
    channels text,
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
    -- End, reason and beginning of the hold, during which nothing is sent, and the failed probes since then.
    held_until bigint,
    hold_reason text,
    hold_since bigint,
    hold_probes bigint,
    secret text not null,
    -- Encrypted JSON array of [secret, end] pairs, and the latest end.
    previous_secrets text,
    created_at bigint not null,
    updated_at bigint not null,
    version bigint not null,
    -- Version of the application at the endpoint's last change.
    changed_at_version bigint not null default 0
);
create index endpoints_by_application on endpoints (application_id, id);
create unique index endpoints_by_uid on endpoints (application_id, uid);
create index endpoints_by_change on endpoints (application_id, changed_at_version);
create index endpoints_by_environment on endpoints (environment_id, id);
-- Few, and changed only when an endpoint begins or ceases to fail.
create index endpoints_in_trouble on endpoints (environment_id, id)
    where failing_since is not null or hold_reason is not null or disabled_reason is not null;

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

-- Named filters of lists in the dashboard: a user's own, or shared in the environment.
create table views (
    id bytea not null primary key,
    organization_id bytea not null,
    environment_id bytea not null,
    -- User who created it; null if an API key did.
    owner_id bytea,
    name text not null,
    page text not null,
    -- JSON.
    filters text not null,
    shared bigint not null,
    created_at bigint not null,
    updated_at bigint not null,
    version bigint not null,
    check (shared = 1 or owner_id is not null)
);
create index views_by_environment on views (environment_id, id);
create unique index views_shared on views (environment_id, page, name) where shared = 1;
create unique index views_own on views (environment_id, owner_id, page, name) where shared = 0;

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

-- Accepted messages of days and environments that are removed before the end of the month.
create table event_counts (
    environment_id bytea not null,
    day bigint not null,
    organization_id bytea not null,
    events bigint not null,
    primary key (environment_id, day)
);
create index event_counts_by_organization on event_counts (organization_id, day);

-- Metrics: additive numbers of an environment (scope_kind 0), an origin (1), a route (2) or an event type (3), by the minute (resolution 0),
-- the half hour (1) and the day (2) that begins at starts_at. The scope is an id, or the name of an event type.
create table metrics (
    environment_id bytea not null,
    scope_kind bigint not null,
    scope bytea not null,
    resolution bigint not null,
    starts_at bigint not null,
    -- Deliveries, by the time at which their message was accepted.
    messages bigint not null, accepted bigint not null, arrived bigint not null, ended bigint not null,
    -- Attempts, by the time at which they were made.
    succeeded bigint not null, failed bigint not null, retried bigint not null,
    status_2xx bigint not null, status_3xx bigint not null, status_4xx bigint not null, status_5xx bigint not null, status_none bigint not null,
    -- Latencies by bucket (the model's latency.rs).
    latency_00 bigint not null, latency_01 bigint not null, latency_02 bigint not null, latency_03 bigint not null,
    latency_04 bigint not null, latency_05 bigint not null, latency_06 bigint not null, latency_07 bigint not null,
    latency_08 bigint not null, latency_09 bigint not null, latency_10 bigint not null, latency_11 bigint not null,
    latency_12 bigint not null, latency_13 bigint not null, latency_14 bigint not null, latency_15 bigint not null,
    latency_16 bigint not null, latency_17 bigint not null, latency_18 bigint not null, latency_19 bigint not null,
    latency_20 bigint not null, latency_21 bigint not null, latency_22 bigint not null, latency_23 bigint not null,
    latency_24 bigint not null, latency_25 bigint not null,
    primary key (environment_id, scope_kind, scope, resolution, starts_at)
) with (fillfactor = 70);
create index metrics_by_age on metrics (environment_id, resolution, starts_at);

-- Failed attempts by error, with the same key.
create table metric_errors (
    environment_id bytea not null,
    scope_kind bigint not null,
    scope bytea not null,
    resolution bigint not null,
    starts_at bigint not null,
    error text not null,
    -- Status of the response; 0 without one.
    status bigint not null,
    attempts bigint not null,
    primary key (environment_id, scope_kind, scope, resolution, starts_at, error, status)
) with (fillfactor = 70);
create index metric_errors_by_age on metric_errors (environment_id, resolution, starts_at);

-- Users: sign-in and membership.

create table users (
    id bytea not null primary key,
    -- In lower case.
    email text not null unique,
    -- Time of verification: the use of a link sent only to the address, or the confirmation of a provider.
    email_verified_at bigint,
    name text not null,
    -- Argon2id in PHC format; null for a user who signs in only through a provider.
    password_hash text,
    -- Sealed. In force from `totp_confirmed_at` on.
    totp_secret text,
    totp_confirmed_at bigint,
    -- Time step of the last accepted code: no code is accepted twice.
    totp_last_step bigint,
    -- JSON array of the SHA-256 hashes of the unused codes.
    recovery_codes text,
    created_at bigint not null,
    updated_at bigint not null
);

-- Identity of a user at an OpenID Connect provider.
create table identities (
    provider text not null,
    subject text not null,
    user_id bytea not null,
    created_at bigint not null,
    primary key (provider, subject)
);
create index identities_by_user on identities (user_id);

create table members (
    organization_id bytea not null,
    user_id bytea not null,
    role text not null,
    created_at bigint not null,
    primary key (organization_id, user_id)
);
create index members_by_user on members (user_id);

create table invitations (
    id bytea not null primary key,
    organization_id bytea not null,
    email text not null,
    role text not null,
    hash bytea not null unique,
    invited_by text not null,
    created_at bigint not null,
    expires_at bigint not null,
    -- Time at which the link was sent by mail; null if the inviting user received the link.
    sent_at bigint,
    unique (organization_id, email)
);
create index invitations_by_email on invitations (email);

create table sessions (
    id bytea not null primary key,
    hash bytea not null unique,
    -- Hash of the token before its renewal, for requests in progress.
    previous_hash bytea,
    previous_until bigint,
    user_id bytea not null,
    -- Target of requests that name none.
    organization_id bytea,
    environment_id bytea,
    method text not null,
    address text,
    user_agent text,
    created_at bigint not null,
    renewed_at bigint not null,
    last_seen_at bigint not null,
    expires_at bigint not null
);
create index sessions_by_user on sessions (user_id, id);
create index sessions_by_previous on sessions (previous_hash);

-- Single-use links sent to users, to set a password.
create table links (
    hash bytea not null primary key,
    kind text not null,
    -- User; null for the link that creates the first owner.
    user_id bytea,
    created_at bigint not null,
    expires_at bigint not null
);

-- Requests for access from devices without a browser (RFC 8628).
create table device_codes (
    hash bytea not null primary key,
    user_code text not null unique,
    name text not null,
    address text,
    -- Approving user and the approved environment; null until approval.
    user_id bytea,
    organization_id bytea,
    environment_id bytea,
    denied bigint not null default 0,
    created_at bigint not null,
    expires_at bigint not null,
    last_asked_at bigint
);

-- Consecutive failed sign-ins, by a common subject.
create table sign_in_failures (
    subject bytea not null primary key,
    failures bigint not null,
    last_at bigint not null
);

-- Audit log: actor, address, and values before and after. An entry is written in the commit of its change.

create table audit_log (
    -- The id contains the time.
    id bytea not null primary key,
    organization_id bytea not null,
    -- Null for the organization as a whole.
    environment_id bytea,
    actor_kind text not null,
    actor_id bytea,
    -- Name at that time.
    actor_name text,
    address text,
    request_id text,
    action text not null,
    resource_type text not null,
    resource_id bytea,
    -- JSON objects without secrets.
    before text,
    after text,
    -- Application and endpoint of entries about an endpoint or its jobs, which the application's portal shows.
    application_id bytea,
    endpoint_id bytea
);
create index audit_log_by_organization on audit_log (organization_id, id);
create index audit_log_by_environment on audit_log (organization_id, environment_id, id);
create index audit_log_by_resource on audit_log (organization_id, resource_id, id);
create index audit_log_by_application on audit_log (organization_id, application_id, id) where application_id is not null;

-- Entries are deleted when they expire, and never change.
create function refuse_to_change_the_audit_log() returns trigger language plpgsql as $$
begin
    raise exception 'the audit log is append-only';
end
$$;
create trigger audit_log_is_append_only before update or truncate on audit_log
    for each statement execute function refuse_to_change_the_audit_log();

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
    -- JSON array of the channels of the message.
    channels text,
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
    origin_id uuid not null,
    state text not null,
    reason text not null,
    attempts integer not null,
    ended_at bigint not null,
    primary key (message_id, route_id)
) partition by range (message_id);
create index undelivered_by_route on undelivered (route_id, message_id);
-- For lists of failed messages.
create index undelivered_by_origin on undelivered (origin_id, message_id);

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
    -- A line each, `name: value`.
    response_headers text,
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
    -- Accepted messages: unlike `messages`, this count stays when messages are removed.
    events bigint not null default 0,
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
