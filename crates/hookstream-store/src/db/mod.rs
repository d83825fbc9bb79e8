//! Foundation of the store: statements, pages, errors, settings, sealed secrets, migrations, transfer.

pub mod changes;
pub mod error;
pub mod installation_quotas;
pub mod listeners;
pub mod lost_key;
pub mod page;
pub(crate) mod resource;
pub mod sealed_write;
pub mod settings;
pub mod statement;
pub mod transfer;
pub mod vault;
pub mod vault_keys;
