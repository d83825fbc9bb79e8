-- Quotas of an organization: null means the installation's setting, -1 no limit.
alter table organizations add column quota_events_per_month bigint;
alter table organizations add column quota_applications bigint;
alter table organizations add column quota_endpoints_per_application bigint;
alter table organizations add column quota_event_types bigint;
alter table organizations add column quota_environments bigint;
alter table organizations add column quota_retention_days bigint;

-- Accepted messages of days and environments that are removed before the end of the month.
create table event_counts (
    environment_id bytea not null,
    day bigint not null,
    organization_id bytea not null,
    events bigint not null,
    primary key (environment_id, day)
);
create index event_counts_by_organization on event_counts (organization_id, day);

-- Accepted messages: unlike `messages`, this count stays when messages are removed.
alter table delivery_counts add column events bigint not null default 0;
update delivery_counts set events = messages;
