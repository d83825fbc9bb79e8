-- JSON array of the channels of a message.
alter table messages add column channels text;
