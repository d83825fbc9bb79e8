-- An application's uid is optional. SQLite drops a `not null` only together with its table.
create table applications_next (
    id blob not null primary key,
    organization_id blob not null,
    environment_id blob not null,
    name text not null,
    uid text,
    description text,
    metadata text,
    status text not null,
    rate_limit integer,
    created_at integer not null,
    updated_at integer not null,
    -- Increases with each change of the application or one of its endpoints.
    version integer not null,
    -- Name and uid in lower case, written by the program, because databases differ for letters beyond ASCII.
    search text not null,
    -- Version of the last deletion of an endpoint.
    endpoints_deleted_at_version integer not null default 0,
    unique (environment_id, uid)
) strict;
insert into applications_next
    (id, organization_id, environment_id, name, uid, description, metadata, status, rate_limit, created_at, updated_at, version, search)
    select id, organization_id, environment_id, name, uid, description, metadata, status, rate_limit, created_at, updated_at, version,
        lower(name) || char(10) || lower(uid)
    from applications;
drop table applications;
alter table applications_next rename to applications;
create index applications_by_environment on applications (environment_id, id);

-- From here on `previous_secret` holds an encrypted JSON array of [secret, end] pairs, and `previous_secret_until` the latest end.
alter table endpoints add column uid text;
alter table endpoints add column metadata text;
alter table endpoints add column channels text;
-- Version of the application at the endpoint's last change.
alter table endpoints add column changed_at_version integer not null default 0;
create unique index endpoints_by_uid on endpoints (application_id, uid);
create index endpoints_by_change on endpoints (application_id, changed_at_version);

-- Whether customers may see their endpoints' signing secrets in the portal.
alter table environments add column portal_reveal_secrets integer not null default 1;
