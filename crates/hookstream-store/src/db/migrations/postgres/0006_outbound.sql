-- An application's uid is optional.
alter table applications alter column uid drop not null;
-- Name and uid in lower case, written by the program, because databases differ for letters beyond ASCII.
alter table applications add column search text not null default '';
update applications set search = lower(name) || chr(10) || lower(uid);
-- Version of the last deletion of an endpoint.
alter table applications add column endpoints_deleted_at_version bigint not null default 0;

-- From here on `previous_secret` holds an encrypted JSON array of [secret, end] pairs, and `previous_secret_until` the latest end.
alter table endpoints add column uid text;
alter table endpoints add column metadata text;
alter table endpoints add column channels text;
-- Version of the application at the endpoint's last change.
alter table endpoints add column changed_at_version bigint not null default 0;
create unique index endpoints_by_uid on endpoints (application_id, uid);
create index endpoints_by_change on endpoints (application_id, changed_at_version);

-- Whether customers may see their endpoints' signing secrets in the portal.
alter table environments add column portal_reveal_secrets bigint not null default 1;

-- JSON array of the channels of a message.
alter table messages add column channels text;
