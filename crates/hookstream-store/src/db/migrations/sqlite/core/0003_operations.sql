-- Whether deliveries pass the trace context of the sender on to receivers.
alter table environments add column forward_trace_context integer not null default 0;

-- Page of the sender's product that shows the portal; null if there is none.
alter table environments add column portal_url text;

-- Alert rules of environments.
create table alert_rules (
    id blob not null primary key,
    organization_id blob not null,
    environment_id blob not null,
    name text not null,
    description text,
    enabled integer not null,
    rule_type text not null,
    -- JSON.
    rule_config text not null,
    application_id blob,
    endpoint_id blob,
    -- JSON.
    channel_ids text not null,
    cooldown_minutes integer not null,
    last_triggered_at integer,
    trigger_count integer not null,
    created_at integer not null,
    updated_at integer not null,
    version integer not null
) strict;
create index alert_rules_by_environment on alert_rules (environment_id, id);

-- Alerts that rules raised.
create table alerts (
    id blob not null primary key,
    organization_id blob not null,
    environment_id blob not null,
    rule_id blob not null,
    -- Distinguishes the subjects of a rule.
    subject_key text not null,
    subject_name text not null,
    application_id blob,
    endpoint_id blob,
    severity text not null,
    summary text not null,
    fired_at integer not null,
    -- Null if no notification told of it.
    told_at integer,
    -- Null while it lasts.
    resolved_at integer,
    -- 1 if nothing more is to be told of it.
    is_closed integer not null
) strict;
create index alerts_by_environment on alerts (environment_id, id);
create index alerts_by_rule on alerts (rule_id, id) where is_closed = 0;
create unique index alerts_unresolved on alerts (rule_id, subject_key) where resolved_at is null;
create index alerts_resolved on alerts (resolved_at) where is_closed = 1;
