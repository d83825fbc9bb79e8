-- Users: sign-in and membership.

create table users (
    id blob not null primary key,
    -- In lower case.
    email text not null unique,
    name text not null,
    -- Argon2id in PHC format; null for a user who signs in only through a provider.
    password_hash text,
    -- Sealed. In force from `totp_confirmed_at` on.
    totp_secret text,
    totp_confirmed_at integer,
    -- Time step of the last accepted code: no code is accepted twice.
    totp_last_step integer,
    -- JSON array of the SHA-256 hashes of the unused codes.
    recovery_codes text,
    created_at integer not null,
    updated_at integer not null
) strict;

-- Identity of a user at an OpenID Connect provider.
create table identities (
    provider text not null,
    subject text not null,
    user_id blob not null,
    created_at integer not null,
    primary key (provider, subject)
) strict, without rowid;
create index identities_by_user on identities (user_id);

create table members (
    organization_id blob not null,
    user_id blob not null,
    role text not null,
    created_at integer not null,
    primary key (organization_id, user_id)
) strict, without rowid;
create index members_by_user on members (user_id);

create table invitations (
    id blob not null primary key,
    organization_id blob not null,
    email text not null,
    role text not null,
    hash blob not null unique,
    invited_by text not null,
    created_at integer not null,
    expires_at integer not null,
    unique (organization_id, email)
) strict;

create table sessions (
    id blob not null primary key,
    hash blob not null unique,
    -- Hash of the token before its renewal, for requests in progress.
    previous_hash blob,
    previous_until integer,
    user_id blob not null,
    -- Target of requests that name none.
    organization_id blob,
    environment_id blob,
    method text not null,
    address text,
    user_agent text,
    created_at integer not null,
    renewed_at integer not null,
    last_seen_at integer not null,
    expires_at integer not null
) strict;
create index sessions_by_user on sessions (user_id, id);
create index sessions_by_previous on sessions (previous_hash);

-- Single-use links sent to users, to set a password.
create table links (
    hash blob not null primary key,
    kind text not null,
    -- User; null for the link that creates the first owner.
    user_id blob,
    created_at integer not null,
    expires_at integer not null
) strict;

-- Requests for access from devices without a browser (RFC 8628).
create table device_codes (
    hash blob not null primary key,
    user_code text not null unique,
    name text not null,
    address text,
    -- Approving user and the approved environment; null until approval.
    user_id blob,
    organization_id blob,
    environment_id blob,
    denied integer not null default 0,
    created_at integer not null,
    expires_at integer not null,
    last_asked_at integer
) strict;

-- Consecutive failed sign-ins, by a common subject.
create table sign_in_failures (
    subject blob not null primary key,
    failures integer not null,
    last_at integer not null
) strict;

-- Time of deletion; permanent removal follows some days later.
alter table organizations add column deleted_at integer;
alter table environments add column deleted_at integer;
