-- What happened with the messages of one day of UTC: a file a day, dropped whole when its time is over.
-- A message's day is the one in its id; everything about it stands in the same file, so that each
-- operation on it is one transaction. Rows are appended in the order of their keys.

create table messages (
    application_id blob not null,
    id blob not null,
    environment_id blob not null,
    event_type text not null,
    event_id text,
    -- All deliveries, whatever their state: succeeded = deliveries - pending - undelivered.
    deliveries integer not null,
    -- How many deliveries led to it.
    hops integer not null default 0,
    primary key (application_id, id)
) strict, without rowid;

create table payloads (
    message_id blob not null primary key,
    environment_id blob not null,
    is_text integer not null,
    -- How the body is encoded, and its bytes before that (payloads.rs).
    encoding integer not null,
    size integer not null,
    body blob not null
) strict, without rowid;

-- What is still owed. A row is deleted when it is settled. Owner 0 is nobody, a number below 0 the backlog
-- that it waits in.
create table pending (
    message_id blob not null,
    target_id blob not null,
    application_id blob not null,
    owner integer not null,
    due_at integer not null,
    attempts integer not null,
    failed integer not null,
    trigger_type text not null,
    -- The backlog that it goes back to when its owner lets go of it; 0 is none.
    backlog integer not null default 0,
    -- When the next try of one that keeps its place in a backlog is due: due_at is its place.
    retry_at integer,
    primary key (message_id, target_id)
) strict, without rowid;
create index pending_by_due on pending (owner, due_at);

-- What ended without arriving, until it arrives after all.
create table undelivered (
    message_id blob not null,
    target_id blob not null,
    state text not null,
    reason text not null,
    attempts integer not null,
    ended_at integer not null,
    primary key (message_id, target_id)
) strict, without rowid;
create index undelivered_by_target on undelivered (target_id, message_id);

create table attempts (
    message_id blob not null,
    id blob not null,
    target_id blob not null,
    number integer not null,
    trigger_type text not null,
    succeeded integer not null,
    response_status integer,
    duration_ms integer not null,
    created_at integer not null,
    -- How long its parts took, packed (the model's waterfall.rs).
    waterfall blob,
    error text,
    response_body text,
    primary key (message_id, id)
) strict, without rowid;

-- The last place that was given in a backlog that keeps an order: whatever the clock says, what is stored later stands
-- behind.
create table backlog_places (
    last integer not null
) strict;

-- How far jobs have come in this day, in the same commit as what they made owed: `jobs` is in another file.
create table job_slices (
    job_id blob not null primary key,
    position blob not null,
    requeued integer not null
) strict, without rowid;

create table message_counts (
    application_id blob not null primary key,
    messages integer not null
) strict, without rowid;

-- Per environment, counted in the commits that change the rows above. What is pending is the rest.
create table delivery_counts (
    environment_id blob not null primary key,
    messages integer not null,
    accepted integer not null,
    succeeded integer not null,
    exhausted integer not null,
    skipped integer not null,
    cancelled integer not null,
    -- Of its payloads, as they stand.
    payload_bytes integer not null
) strict, without rowid;

create table event_ids (
    application_id blob not null,
    event_id text not null,
    message_id blob not null,
    primary key (application_id, event_id)
) strict, without rowid;

create table idempotency_keys (
    environment_id blob not null,
    key text not null,
    fingerprint blob not null,
    application_id blob not null,
    message_id blob not null,
    first_status text not null,
    primary key (environment_id, key)
) strict, without rowid;
