-- Audit log: actor, address, and values before and after. An entry is written in the commit of its change.

create table audit_log (
    -- The id contains the time.
    id blob not null primary key,
    organization_id blob not null,
    -- Null for the organization as a whole.
    environment_id blob,
    actor_kind text not null,
    actor_id blob,
    -- Name at that time.
    actor_name text,
    address text,
    request_id text,
    action text not null,
    resource_type text not null,
    resource_id blob,
    -- JSON objects without secrets.
    before text,
    after text
) strict;
create index audit_log_by_organization on audit_log (organization_id, id);
create index audit_log_by_environment on audit_log (organization_id, environment_id, id);
create index audit_log_by_resource on audit_log (organization_id, resource_id, id);

-- Entries are deleted when they expire, and never change.
create trigger audit_log_is_append_only before update on audit_log begin
    select raise(abort, 'the audit log is append-only');
end;
