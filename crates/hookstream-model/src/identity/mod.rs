//! Tenants, users, and their permissions.

pub mod device;
pub mod environment;
pub mod member;
pub mod oidc;
pub mod organization;
pub mod password;
pub mod portal;
pub mod scopes;
pub mod second_factor;
pub mod session;
pub mod sign_in;
pub mod tenancy;
pub mod user;
