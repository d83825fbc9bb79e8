-- Configuration: tenants, keys, applications, endpoints, event types. One file, `core.db`.
-- Ids are 16 bytes, times are integer milliseconds, JSON is text.

create table organizations (
    id blob not null primary key,
    name text not null,
    created_at integer not null,
    -- Quotas: null means the installation's setting, -1 no limit.
    quota_events_per_month integer,
    quota_applications integer,
    quota_endpoints_per_application integer,
    quota_event_types integer,
    quota_environments integer,
    quota_retention_days integer,
    -- Time of deletion; permanent removal follows some days later.
    deleted_at integer
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
    -- Whether customers may see their endpoints' signing secrets in the portal.
    portal_reveal_secrets integer not null default 1,
    -- Whether the environment serves customers.
    is_production integer not null default 0,
    -- Origins whose pages may embed the portal (JSON), and its appearance (JSON).
    portal_frame_origins text not null default '[]',
    portal_theme text,
    deleted_at integer,
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
    request_count integer not null default 0,
    -- Reach of the key: its environment or its organization.
    level text not null default 'environment'
) strict;
create index api_keys_by_environment on api_keys (environment_id, id);

create table applications (
    id blob not null primary key,
    organization_id blob not null,
    environment_id blob not null,
    name text not null,
    uid text,
    description text,
    metadata text,
    status text not null,
    rate_limit integer,
    -- Appearance of the portal (JSON).
    portal_theme text,
    created_at integer not null,
    updated_at integer not null,
    -- Increases with each change of the application or one of its endpoints.
    version integer not null,
    -- Version of the last deletion of an endpoint.
    endpoints_deleted_at_version integer not null default 0,
    -- Name and uid in lower case, written by the program, because databases differ for letters beyond ASCII.
    search text not null,
    unique (environment_id, uid)
) strict;
create index applications_by_environment on applications (environment_id, id);

-- Origins of messages: each kind adds its branch. Publishing checks the version.
create view origins as select id, environment_id, version from applications;

create table endpoints (
    id blob not null primary key,
    organization_id blob not null,
    environment_id blob not null,
    application_id blob not null,
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
    disabled_at integer,
    filter_types text,
    channels text,
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
    -- End, reason and beginning of the hold, during which nothing is sent, and the failed probes since then.
    held_until integer,
    hold_reason text,
    hold_since integer,
    hold_probes integer,
    secret text not null,
    -- Encrypted JSON array of [secret, end] pairs, and the latest end.
    previous_secrets text,
    created_at integer not null,
    updated_at integer not null,
    version integer not null,
    -- Version of the application at the endpoint's last change.
    changed_at_version integer not null default 0
) strict;
create index endpoints_by_application on endpoints (application_id, id);
create unique index endpoints_by_uid on endpoints (application_id, uid);
create index endpoints_by_change on endpoints (application_id, changed_at_version);
create index endpoints_by_environment on endpoints (environment_id, id);
-- Few, and changed only when an endpoint begins or ceases to fail.
create index endpoints_in_trouble on endpoints (environment_id, id)
    where failing_since is not null or hold_reason is not null or disabled_reason is not null;

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

-- Named filters of lists in the dashboard: a user's own, or shared in the environment.
create table views (
    id blob not null primary key,
    organization_id blob not null,
    environment_id blob not null,
    -- User who created it; null if an API key did.
    owner_id blob,
    name text not null,
    page text not null,
    -- JSON.
    filters text not null,
    shared integer not null,
    created_at integer not null,
    updated_at integer not null,
    version integer not null,
    check (shared = 1 or owner_id is not null)
) strict;
create index views_by_environment on views (environment_id, id);
create unique index views_shared on views (environment_id, page, name) where shared = 1;
create unique index views_own on views (environment_id, owner_id, page, name) where shared = 0;

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

-- Accepted messages of days and environments that are removed before the end of the month.
create table event_counts (
    environment_id blob not null,
    day integer not null,
    organization_id blob not null,
    events integer not null,
    primary key (environment_id, day)
) strict, without rowid;
create index event_counts_by_organization on event_counts (organization_id, day);

-- Metrics: additive numbers of an environment (scope_kind 0), an origin (1), a route (2) or an event type (3), by the minute (resolution 0),
-- the half hour (1) and the day (2) that begins at starts_at. The scope is an id, or the name of an event type.
create table metrics (
    environment_id blob not null,
    scope_kind integer not null,
    scope blob not null,
    resolution integer not null,
    starts_at integer not null,
    -- Deliveries, by the time at which their message was accepted.
    messages integer not null, accepted integer not null, arrived integer not null, ended integer not null,
    -- Attempts, by the time at which they were made.
    succeeded integer not null, failed integer not null, retried integer not null,
    status_2xx integer not null, status_3xx integer not null, status_4xx integer not null, status_5xx integer not null, status_none integer not null,
    -- Latencies by bucket (the model's latency.rs).
    latency_00 integer not null, latency_01 integer not null, latency_02 integer not null, latency_03 integer not null,
    latency_04 integer not null, latency_05 integer not null, latency_06 integer not null, latency_07 integer not null,
    latency_08 integer not null, latency_09 integer not null, latency_10 integer not null, latency_11 integer not null,
    latency_12 integer not null, latency_13 integer not null, latency_14 integer not null, latency_15 integer not null,
    latency_16 integer not null, latency_17 integer not null, latency_18 integer not null, latency_19 integer not null,
    latency_20 integer not null, latency_21 integer not null, latency_22 integer not null, latency_23 integer not null,
    latency_24 integer not null, latency_25 integer not null,
    primary key (environment_id, scope_kind, scope, resolution, starts_at)
) strict, without rowid;
create index metrics_by_age on metrics (environment_id, resolution, starts_at);

-- Failed attempts by error, with the same key.
create table metric_errors (
    environment_id blob not null,
    scope_kind integer not null,
    scope blob not null,
    resolution integer not null,
    starts_at integer not null,
    error text not null,
    -- Status of the response; 0 without one.
    status integer not null,
    attempts integer not null,
    primary key (environment_id, scope_kind, scope, resolution, starts_at, error, status)
) strict, without rowid;
create index metric_errors_by_age on metric_errors (environment_id, resolution, starts_at);

-- Users: sign-in and membership.

create table users (
    id blob not null primary key,
    -- In lower case.
    email text not null unique,
    -- Time of verification: the use of a link sent only to the address, or the confirmation of a provider.
    email_verified_at integer,
    name text not null,
    -- Argon2id in PHC format; null for a user who signs in only through a provider.
    password_hash text,
    -- Sealed. In force from `totp_confirmed_at` on.
    totp_secret text,
    totp_confirmed_at integer,
    -- Time step of the last accepted code: no code is accepted twice.
    totp_last_step integer,
    -- JSON array of the SHA-256 hashes of the unused codes.
    recovery_codes text,
    created_at integer not null,
    updated_at integer not null
) strict;

-- Identity of a user at an OpenID Connect provider.
create table identities (
    provider text not null,
    subject text not null,
    user_id blob not null,
    created_at integer not null,
    primary key (provider, subject)
) strict, without rowid;
create index identities_by_user on identities (user_id);

create table members (
    organization_id blob not null,
    user_id blob not null,
    role text not null,
    created_at integer not null,
    primary key (organization_id, user_id)
) strict, without rowid;
create index members_by_user on members (user_id);

create table invitations (
    id blob not null primary key,
    organization_id blob not null,
    email text not null,
    role text not null,
    hash blob not null unique,
    invited_by text not null,
    created_at integer not null,
    expires_at integer not null,
    -- Time at which the link was sent by mail; null if the inviting user received the link.
    sent_at integer,
    unique (organization_id, email)
) strict;
create index invitations_by_email on invitations (email);

create table sessions (
    id blob not null primary key,
    hash blob not null unique,
    -- Hash of the token before its renewal, for requests in progress.
    previous_hash blob,
    previous_until integer,
    user_id blob not null,
    -- Target of requests that name none.
    organization_id blob,
    environment_id blob,
    method text not null,
    address text,
    user_agent text,
    created_at integer not null,
    renewed_at integer not null,
    last_seen_at integer not null,
    expires_at integer not null
) strict;
create index sessions_by_user on sessions (user_id, id);
create index sessions_by_previous on sessions (previous_hash);

-- Single-use links sent to users, to set a password.
create table links (
    hash blob not null primary key,
    kind text not null,
    -- User; null for the link that creates the first owner.
    user_id blob,
    created_at integer not null,
    expires_at integer not null
) strict;

-- Requests for access from devices without a browser (RFC 8628).
create table device_codes (
    hash blob not null primary key,
    user_code text not null unique,
    name text not null,
    address text,
    -- Approving user and the approved environment; null until approval.
    user_id blob,
    organization_id blob,
    environment_id blob,
    denied integer not null default 0,
    created_at integer not null,
    expires_at integer not null,
    last_asked_at integer
) strict;

-- Consecutive failed sign-ins, by a common subject.
create table sign_in_failures (
    subject blob not null primary key,
    failures integer not null,
    last_at integer not null
) strict;

-- Audit log: actor, address, and values before and after. An entry is written in the commit of its change.

create table audit_log (
    -- The id contains the time.
    id blob not null primary key,
    organization_id blob not null,
    -- Null for the organization as a whole.
    environment_id blob,
    actor_kind text not null,
    actor_id blob,
    -- Name at that time.
    actor_name text,
    address text,
    request_id text,
    action text not null,
    resource_type text not null,
    resource_id blob,
    -- JSON objects without secrets.
    before text,
    after text,
    -- Application and endpoint of entries about an endpoint or its jobs, which the application's portal shows.
    application_id blob,
    endpoint_id blob
) strict;
create index audit_log_by_organization on audit_log (organization_id, id);
create index audit_log_by_environment on audit_log (organization_id, environment_id, id);
create index audit_log_by_resource on audit_log (organization_id, resource_id, id);
create index audit_log_by_application on audit_log (organization_id, application_id, id) where application_id is not null;

-- Entries are deleted when they expire, and never change.
create trigger audit_log_is_append_only before update on audit_log begin
    select raise(abort, 'the audit log is append-only');
end;
