-- Whether this is a system environment, which has the operational endpoints of another.
alter table environments add column is_system integer not null default 0;

-- Operational events that wait to be published, written in the commits of their causes.
create table outbox (
    id blob not null,
    event_type text not null,
    organization_id blob not null,
    environment_id blob not null,
    -- Empty if the event is about none.
    application_id blob not null,
    endpoint_id blob not null,
    created_at integer not null,
    -- JSON object.
    data text not null,
    primary key (id, event_type)
) strict, without rowid;

-- Warnings that were given, by their height, so that each is given once.
create table notice_marks (
    environment_id blob not null,
    name text not null,
    level integer not null,
    noted_at integer not null,
    primary key (environment_id, name)
) strict, without rowid;
