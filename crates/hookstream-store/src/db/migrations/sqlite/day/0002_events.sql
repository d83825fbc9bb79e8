-- Accepted messages: unlike `messages`, this count stays when messages are removed.
alter table delivery_counts add column events integer not null default 0;
update delivery_counts set events = messages;
