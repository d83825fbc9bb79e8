//! The operations, one file a resource.

pub(crate) mod api_keys;
pub(crate) mod applications;
pub(crate) mod attempts;
pub(crate) mod audit_log;
pub(crate) mod billing;
pub(crate) mod device;
pub(crate) mod endpoints;
pub(crate) mod environments;
pub(crate) mod event_types;
pub(crate) mod explain;
pub(crate) mod health;
pub(crate) mod invitations;
pub(crate) mod jobs;
pub(crate) mod lanes;
pub(crate) mod members;
pub(crate) mod messages;
pub(crate) mod nodes;
pub(crate) mod organizations;
pub(crate) mod passwords;
pub(crate) mod portal;
pub(crate) mod portal_access;
pub(crate) mod providers;
pub(crate) mod second_factor;
pub(crate) mod sessions;
pub(crate) mod sign_in;
pub(crate) mod usage;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Query of a list.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Rows per page, at most: 1 to 100.
    #[param(value_type = Option<u32>, minimum = 1, maximum = 100, default = 50)]
    pub(crate) limit: Option<String>,
    /// Cursor: the `cursor` of the previous page.
    pub(crate) cursor: Option<String>,
    /// Id of the caller's organization. Another one is answered 404.
    pub(crate) org_id: Option<String>,
    /// Id of the caller's environment. Another one is answered 404.
    pub(crate) env_id: Option<String>,
}

/// Answer without a resource.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Success {
    /// Always `true`.
    #[schema(example = true)]
    success: bool,
}

impl Success {
    pub(crate) const fn new() -> Self {
        Self { success: true }
    }
}
