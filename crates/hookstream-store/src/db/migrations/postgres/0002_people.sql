-- Users: sign-in and membership.

create table users (
    id bytea not null primary key,
    -- In lower case.
    email text not null unique,
    name text not null,
    -- Argon2id in PHC format; null for a user who signs in only through a provider.
    password_hash text,
    -- Sealed. In force from `totp_confirmed_at` on.
    totp_secret text,
    totp_confirmed_at bigint,
    -- Time step of the last accepted code: no code is accepted twice.
    totp_last_step bigint,
    -- JSON array of the SHA-256 hashes of the unused codes.
    recovery_codes text,
    created_at bigint not null,
    updated_at bigint not null
);

-- Identity of a user at an OpenID Connect provider.
create table identities (
    provider text not null,
    subject text not null,
    user_id bytea not null,
    created_at bigint not null,
    primary key (provider, subject)
);
create index identities_by_user on identities (user_id);

create table members (
    organization_id bytea not null,
    user_id bytea not null,
    role text not null,
    created_at bigint not null,
    primary key (organization_id, user_id)
);
create index members_by_user on members (user_id);

create table invitations (
    id bytea not null primary key,
    organization_id bytea not null,
    email text not null,
    role text not null,
    hash bytea not null unique,
    invited_by text not null,
    created_at bigint not null,
    expires_at bigint not null,
    unique (organization_id, email)
);

create table sessions (
    id bytea not null primary key,
    hash bytea not null unique,
    -- Hash of the token before its renewal, for requests in progress.
    previous_hash bytea,
    previous_until bigint,
    user_id bytea not null,
    -- Target of requests that name none.
    organization_id bytea,
    environment_id bytea,
    method text not null,
    address text,
    user_agent text,
    created_at bigint not null,
    renewed_at bigint not null,
    last_seen_at bigint not null,
    expires_at bigint not null
);
create index sessions_by_user on sessions (user_id, id);
create index sessions_by_previous on sessions (previous_hash);

-- Single-use links sent to users, to set a password.
create table links (
    hash bytea not null primary key,
    kind text not null,
    -- User; null for the link that creates the first owner.
    user_id bytea,
    created_at bigint not null,
    expires_at bigint not null
);

-- Requests for access from devices without a browser (RFC 8628).
create table device_codes (
    hash bytea not null primary key,
    user_code text not null unique,
    name text not null,
    address text,
    -- Approving user and the approved environment; null until approval.
    user_id bytea,
    organization_id bytea,
    environment_id bytea,
    denied bigint not null default 0,
    created_at bigint not null,
    expires_at bigint not null,
    last_asked_at bigint
);

-- Consecutive failed sign-ins, by a common subject.
create table sign_in_failures (
    subject bytea not null primary key,
    failures bigint not null,
    last_at bigint not null
);

-- Time of deletion; permanent removal follows some days later.
alter table organizations add column deleted_at bigint;
alter table environments add column deleted_at bigint;
