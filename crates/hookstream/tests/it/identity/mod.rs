//! Callers, users, tenants and their secrets.

pub(crate) mod authority;
pub(crate) mod environments;
pub(crate) mod keys;
pub(crate) mod leaks;
pub(crate) mod mail;
pub(crate) mod people;
pub(crate) mod portal;
pub(crate) mod providers;
pub(crate) mod quotas;
pub(crate) mod tenancy;
pub(crate) mod vault;
