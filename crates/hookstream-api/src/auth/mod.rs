//! Authentication and authorization of callers.

pub(crate) mod application_scope;
pub(crate) mod audited_caller;
pub(crate) mod tenant_context;

pub(crate) mod bearer;
pub(crate) mod caller;
pub(crate) mod credentials;
pub(crate) mod devices;
pub(crate) mod passwords;
pub(crate) mod permissions;
pub(crate) mod person;
pub(crate) mod portal_token;
pub(crate) mod providers;
pub(crate) mod refusal;
pub(crate) mod same_origin;
pub(crate) mod session;
