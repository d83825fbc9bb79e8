-- Mail and providers: which addresses were proved to be their people's.

-- Since when: a link that was sent there and shown to nobody else was used, or a provider vouched for it.
alter table users add column email_verified_at integer;

-- When its link was sent by mail; null where it was shown to whoever invited.
alter table invitations add column sent_at integer;
create index invitations_by_email on invitations (email);
