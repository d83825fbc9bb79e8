-- Quotas of an organization: null means the installation's setting, -1 no limit.
alter table organizations add column quota_events_per_month integer;
alter table organizations add column quota_applications integer;
alter table organizations add column quota_endpoints_per_application integer;
alter table organizations add column quota_event_types integer;
alter table organizations add column quota_environments integer;
alter table organizations add column quota_retention_days integer;

-- Accepted messages of days and environments that are removed before the end of the month.
create table event_counts (
    environment_id blob not null,
    day integer not null,
    organization_id blob not null,
    events integer not null,
    primary key (environment_id, day)
) strict, without rowid;
create index event_counts_by_organization on event_counts (organization_id, day);
