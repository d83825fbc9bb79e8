//! Organizations: the top containers, with members and environments.

use crate::base::{ids::OrganizationId, time::Timestamp};

/// What has members and environments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Its id.
    pub id: OrganizationId,
    /// What people call it.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When somebody deleted it. It can be restored until it is removed.
    pub deleted_at: Option<Timestamp>,
}
