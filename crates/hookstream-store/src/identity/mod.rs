//! Tenants, users and keys, in portable SQL.

pub mod api_keys;
pub mod device_codes;
pub mod environments;
pub mod links;
pub mod members;
pub mod memberships;
pub mod organizations;
pub mod portal_keys;
pub mod sessions;
pub mod user_rows;
pub mod users;
