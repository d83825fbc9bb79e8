-- What an organization may have: null is what the installation's settings say, -1 no limit.
alter table organizations add column quota_events_per_month integer;
alter table organizations add column quota_applications integer;
alter table organizations add column quota_endpoints_per_application integer;
alter table organizations add column quota_event_types integer;
alter table organizations add column quota_environments integer;
alter table organizations add column quota_retention_days integer;

-- How many messages were accepted, of days that are dropped and environments that are removed before the month is over.
create table event_counts (
    environment_id blob not null,
    day integer not null,
    organization_id blob not null,
    events integer not null,
    primary key (environment_id, day)
) strict, without rowid;
create index event_counts_by_organization on event_counts (organization_id, day);
