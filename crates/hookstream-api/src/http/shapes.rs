//! Query and response types that several resources share.

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
