-- Reach of a key: its environment or its organization.
alter table api_keys add column level text not null default 'environment';
