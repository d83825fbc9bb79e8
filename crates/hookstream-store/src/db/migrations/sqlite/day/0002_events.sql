-- Messages that were accepted: unlike `messages` it stays as it is when they are removed.
alter table delivery_counts add column events integer not null default 0;
update delivery_counts set events = messages;
