-- Configuration: tenants, keys, applications, endpoints, event types. One file, `core.db`.
-- Ids are 16 bytes, times are integer milliseconds, JSON is text.

create table organizations (
    id blob not null primary key,
    name text not null,
    created_at integer not null
) strict;

create table environments (
    id blob not null primary key,
    organization_id blob not null references organizations (id),
    name text not null,
    slug text not null,
    -- Limits of stored data; null means the installation's. A null weight means 1.
    retention_days integer,
    payload_retention_days integer,
    max_payload_bytes integer,
    weight integer,
    created_at integer not null,
    -- Increases with each change of the event types.
    version integer not null,
    unique (organization_id, slug)
) strict;

create table api_keys (
    id blob not null primary key,
    organization_id blob not null,
    environment_id blob not null,
    name text not null,
    hash blob not null unique,
    prefix text not null,
    -- Scopes, allowed networks (JSON), expiry.
    scopes text not null,
    networks text,
    expires_at integer,
    created_at integer not null,
    revoked_at integer,
    last_used_at integer,
    request_count integer not null default 0
) strict;
create index api_keys_by_environment on api_keys (environment_id, id);

create table applications (
    id blob not null primary key,
    organization_id blob not null,
    environment_id blob not null,
    name text not null,
    uid text not null,
    description text,
    metadata text,
    status text not null,
    rate_limit integer,
    created_at integer not null,
    updated_at integer not null,
    -- Increases with each change of the application or one of its endpoints.
    version integer not null,
    unique (environment_id, uid)
) strict;
create index applications_by_environment on applications (environment_id, id);

create table endpoints (
    id blob not null primary key,
    organization_id blob not null,
    environment_id blob not null,
    application_id blob not null,
    url text not null,
    description text,
    signing_algorithm text not null,
    status text not null,
    disabled_reason text,
    filter_types text,
    rate_limit_per_second integer,
    expires_at integer,
    headers text,
    retry_schedule text,
    timeout_ms integer,
    ordering text not null,
    -- Path of the ordering key in a payload.
    ordering_key text,
    on_failure text not null,
    -- Limits for batches of messages in one request; null sends each message separately.
    batch_max_size integer,
    batch_max_wait_ms integer,
    failing_since integer,
    -- End and reason of the hold, during which nothing is sent.
    held_until integer,
    hold_reason text,
    secret text not null,
    previous_secret text,
    previous_secret_until integer,
    created_at integer not null,
    updated_at integer not null,
    version integer not null
) strict;
create index endpoints_by_application on endpoints (application_id, id);

create table event_types (
    id blob not null primary key,
    organization_id blob not null,
    environment_id blob not null,
    name text not null,
    description text,
    json_schema text,
    status text not null,
    created_at integer not null,
    updated_at integer not null,
    version integer not null,
    unique (environment_id, name)
) strict;
create index event_types_by_environment on event_types (environment_id, id);

-- Background jobs that requeue sets of deliveries.
create table jobs (
    id blob not null primary key,
    organization_id blob not null,
    environment_id blob not null,
    application_id blob not null,
    endpoint_id blob not null,
    kind text not null,
    since integer not null,
    until integer not null,
    statuses text not null,
    event_types text,
    max_messages integer,
    rate_limit integer not null,
    fingerprint text not null,
    status text not null,
    error text,
    total integer,
    requeued integer not null,
    skipped integer not null,
    -- Last examined message.
    position blob not null,
    -- Owner that works on the job; 0 is none.
    owner integer not null,
    created_at integer not null,
    started_at integer,
    updated_at integer not null,
    completed_at integer
) strict;
create index jobs_by_environment on jobs (environment_id, id);
create index jobs_by_end on jobs (completed_at);
-- A job requested twice exists once while it runs.
create unique index jobs_running on jobs (endpoint_id, fingerprint) where status = 'running';

-- Responses to creating requests, repeated within the idempotency window.
create table idempotency_keys (
    environment_id blob not null,
    key text not null,
    fingerprint blob not null,
    status integer not null,
    body text not null,
    created_at integer not null,
    primary key (environment_id, key)
) strict, without rowid;
create index idempotency_keys_by_age on idempotency_keys (created_at);

-- Each start of the program is an owner of deliveries with its own number.
create table owners (
    number integer not null primary key,
    started_at integer not null
) strict;

create table settings (
    name text not null primary key,
    value text not null
) strict, without rowid;
