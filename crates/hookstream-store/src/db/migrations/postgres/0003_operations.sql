-- Whether deliveries pass the trace context of the sender on to receivers.
alter table environments add column forward_trace_context bigint not null default 0;

-- Place in the trace of the request: the headers `traceparent` and, behind a space, `tracestate`. Null for most messages.
alter table messages add column trace_context text;

-- Page of the sender's product that shows the portal; null if there is none.
alter table environments add column portal_url text;

-- Alert rules of environments.
create table alert_rules (
    id bytea not null primary key,
    organization_id bytea not null,
    environment_id bytea not null,
    name text not null,
    description text,
    enabled bigint not null,
    rule_type text not null,
    -- JSON.
    rule_config text not null,
    application_id bytea,
    endpoint_id bytea,
    -- JSON.
    channel_ids text not null,
    cooldown_minutes bigint not null,
    last_triggered_at bigint,
    trigger_count bigint not null,
    created_at bigint not null,
    updated_at bigint not null,
    version bigint not null
);
create index alert_rules_by_environment on alert_rules (environment_id, id);

-- Alerts that rules raised.
create table alerts (
    id bytea not null primary key,
    organization_id bytea not null,
    environment_id bytea not null,
    rule_id bytea not null,
    -- Distinguishes the subjects of a rule.
    subject_key text not null,
    subject_name text not null,
    application_id bytea,
    endpoint_id bytea,
    severity text not null,
    summary text not null,
    fired_at bigint not null,
    -- Null if no notification told of it.
    told_at bigint,
    -- Null while it lasts.
    resolved_at bigint,
    -- 1 if nothing more is to be told of it.
    is_closed bigint not null
);
create index alerts_by_environment on alerts (environment_id, id);
create index alerts_by_rule on alerts (rule_id, id) where is_closed = 0;
create unique index alerts_unresolved on alerts (rule_id, subject_key) where resolved_at is null;
create index alerts_resolved on alerts (resolved_at) where is_closed = 1;

-- Nodes that stopped renewing their lease.
create table lost_nodes (
    number bigint not null primary key,
    name text not null,
    role text not null,
    version text not null,
    started_at timestamptz not null,
    renewed_at timestamptz not null,
    lapses_at timestamptz not null
);
