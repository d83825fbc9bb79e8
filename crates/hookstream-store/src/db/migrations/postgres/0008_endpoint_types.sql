-- Kind of target. `config` holds the settings of the kind besides the URL, as encrypted JSON text, because it may contain a password.
alter table endpoints add column type text not null default 'http';
alter table endpoints add column config text;
