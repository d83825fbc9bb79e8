//! Organizations: the top containers, with members and environments.

use crate::base::{ids::OrganizationId, time::Timestamp};

/// Organization with members and environments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Organization {
    /// Unique id.
    pub id: OrganizationId,
    /// Display name.
    pub name: String,
    /// Time of creation.
    pub created_at: Timestamp,
    /// Time of deletion. The organization can be restored until it is purged.
    pub deleted_at: Option<Timestamp>,
}
