-- Audit log: actor, address, and values before and after. An entry is written in the commit of its change.

create table audit_log (
    -- The id contains the time.
    id bytea not null primary key,
    organization_id bytea not null,
    -- Null for the organization as a whole.
    environment_id bytea,
    actor_kind text not null,
    actor_id bytea,
    -- Name at that time.
    actor_name text,
    address text,
    request_id text,
    action text not null,
    resource_type text not null,
    resource_id bytea,
    -- JSON objects without secrets.
    before text,
    after text
);
create index audit_log_by_organization on audit_log (organization_id, id);
create index audit_log_by_environment on audit_log (organization_id, environment_id, id);
create index audit_log_by_resource on audit_log (organization_id, resource_id, id);

-- Entries are deleted when they expire, and never change.
create function refuse_to_change_the_audit_log() returns trigger language plpgsql as $$
begin
    raise exception 'the audit log is append-only';
end
$$;
create trigger audit_log_is_append_only before update or truncate on audit_log
    for each statement execute function refuse_to_change_the_audit_log();
