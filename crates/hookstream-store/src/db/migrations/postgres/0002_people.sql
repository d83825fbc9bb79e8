-- People: who signs in, and what they may do where.

create table users (
    id bytea not null primary key,
    -- In lower case.
    email text not null unique,
    name text not null,
    -- Argon2id, in the form of the PHC; null where somebody only signs in elsewhere.
    password_hash text,
    -- Sealed. It counts from `totp_confirmed_at` on.
    totp_secret text,
    totp_confirmed_at bigint,
    -- The step of the last code that was taken: none is taken twice.
    totp_last_step bigint,
    -- JSON of the SHA-256 of those that are left.
    recovery_codes text,
    created_at bigint not null,
    updated_at bigint not null
);

-- Who somebody is at a provider of OpenID Connect.
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
    -- What was sent before the token was renewed, for what is under way.
    previous_hash bytea,
    previous_until bigint,
    user_id bytea not null,
    -- Where its requests go that do not say.
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

-- What is sent to people once: links to set a password.
create table links (
    hash bytea not null primary key,
    kind text not null,
    -- Whose; null for the link that makes the first owner.
    user_id bytea,
    created_at bigint not null,
    expires_at bigint not null
);

-- What asks for access on a device without a browser (RFC 8628).
create table device_codes (
    hash bytea not null primary key,
    user_code text not null unique,
    name text not null,
    address text,
    -- Who allowed it, and for where; null while nobody did.
    user_id bytea,
    organization_id bytea,
    environment_id bytea,
    denied bigint not null default 0,
    created_at bigint not null,
    expires_at bigint not null,
    last_asked_at bigint
);

-- Failed sign-ins in a row, by what they have in common.
create table sign_in_failures (
    subject bytea not null primary key,
    failures bigint not null,
    last_at bigint not null
);

-- When somebody deleted it; it is removed for good some days later.
alter table organizations add column deleted_at bigint;
alter table environments add column deleted_at bigint;
