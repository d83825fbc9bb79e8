-- Whether this is a system environment, which has the operational endpoints of another.
alter table environments add column is_system bigint not null default 0;

-- Operational events that wait to be published, written in the commits of their causes.
create table outbox (
    id bytea not null,
    event_type text not null,
    organization_id bytea not null,
    environment_id bytea not null,
    -- Empty if the event is about none.
    application_id bytea not null,
    endpoint_id bytea not null,
    created_at bigint not null,
    -- JSON object.
    data text not null,
    primary key (id, event_type)
);

-- Same for the events of deliveries, by the day of the message.
create table day_outbox (
    day bigint not null,
    id bytea not null,
    event_type text not null,
    organization_id bytea not null,
    environment_id bytea not null,
    application_id bytea not null,
    endpoint_id bytea not null,
    created_at bigint not null,
    -- JSON object.
    data text not null,
    primary key (id, event_type)
);

-- Warnings that were given, by their height, so that each is given once.
create table notice_marks (
    environment_id bytea not null,
    name text not null,
    level bigint not null,
    noted_at bigint not null,
    primary key (environment_id, name)
);
