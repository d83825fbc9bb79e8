-- Mail and providers: verified addresses.

-- Time of verification: the use of a link sent only to the address, or the confirmation of a provider.
alter table users add column email_verified_at bigint;

-- Time at which the link was sent by mail; null if the inviting user received the link.
alter table invitations add column sent_at bigint;
create index invitations_by_email on invitations (email);
