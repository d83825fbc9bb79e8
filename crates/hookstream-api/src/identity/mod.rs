//! Operations on tenants, users and keys; each resource has a file.

pub(crate) mod api_keys;
pub(crate) mod device;
pub(crate) mod environments;
pub(crate) mod invitations;
pub(crate) mod members;
pub(crate) mod organization_access;
pub(crate) mod organizations;
pub(crate) mod passwords;
pub(crate) mod providers;
pub(crate) mod second_factor;
pub(crate) mod sessions;
pub(crate) mod sign_in;

use crate::operation::{Operations, operations};

/// Operations on organizations, environments, users, sessions and API keys.
pub(crate) fn operations<A: Operations>(all: A) -> A {
    operations!(
        all,
        environments::{list, create, get, update, delete, restore},
        organizations::{list, create, get, update, delete, restore, transfer},
        members::{list, update, remove},
        invitations::{list, create, delete, look, accept},
        sign_in::{set_up, sign_in, sign_out},
        sessions::{get, turn, list, end_all, end, rename},
        passwords::{change, reset, forgot},
        providers::{list, begin, end, disconnect},
        second_factor::{begin, confirm, disable, replace_codes},
        device::{start, ask, get, allow, deny},
        api_keys::{list, create, get, revoke, rotate},
    )
}
