-- How far a key reaches: its environment, or its organization.
alter table api_keys add column level text not null default 'environment';
