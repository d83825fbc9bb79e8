-- What an organization may have: null is what the installation's settings say, -1 no limit.
alter table organizations add column quota_events_per_month bigint;
alter table organizations add column quota_applications bigint;
alter table organizations add column quota_endpoints_per_application bigint;
alter table organizations add column quota_event_types bigint;
alter table organizations add column quota_environments bigint;
alter table organizations add column quota_retention_days bigint;

-- How many messages were accepted, of days that are dropped and environments that are removed before the month is over.
create table event_counts (
    environment_id bytea not null,
    day bigint not null,
    organization_id bytea not null,
    events bigint not null,
    primary key (environment_id, day)
);
create index event_counts_by_organization on event_counts (organization_id, day);

-- Messages that were accepted: unlike `messages` it stays as it is when they are removed.
alter table delivery_counts add column events bigint not null default 0;
update delivery_counts set events = messages;
