//! Who a caller is and what the caller may do.

pub(crate) mod acting;
pub(crate) mod caller;
pub(crate) mod devices;
pub(crate) mod passwords;
pub(crate) mod permissions;
pub(crate) mod place;
pub(crate) mod portal_token;
pub(crate) mod providers;
pub(crate) mod same_origin;
pub(crate) mod seats;
pub(crate) mod signed_in;
