//! Checks that organizations and their members share.

use hookstream_model::base::ids::OrganizationId;

use crate::{
    auth::caller::Caller,
    http::{
        error::{ApiError, ErrorCode},
        params::id,
    },
};

/// Returns the organization of the path, which must be the caller's.
pub(crate) fn own(caller: Caller, organization: &str) -> Result<OrganizationId, ApiError> {
    let id: OrganizationId = id(organization, "Organization")?;
    if id == caller.tenant.organization { Ok(id) } else { Err(ApiError::not_found("Organization")) }
}

pub(crate) fn moved() -> ApiError {
    ApiError::new(ErrorCode::Conflict, "Another request changed the members at the same time. List the members, then retry.")
}
