-- Operational events of this day's deliveries that wait to be published, written in the commits of their causes.
create table day_outbox (
    id blob not null,
    event_type text not null,
    organization_id blob not null,
    environment_id blob not null,
    application_id blob not null,
    endpoint_id blob not null,
    created_at integer not null,
    -- JSON object.
    data text not null,
    primary key (id, event_type)
) strict, without rowid;
