//! Paging: lists are read newest first, from a key that the caller passes back.
//!
//! The key is an id, and ids sort by creation time. Rows added while a client pages are newer than every later page,
//! so no row is skipped or repeated.

/// Start and maximum length of a page.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest<Id> {
    /// Last id of the previous page; `None` for the first page.
    pub after: Option<Id>,
    /// Maximum number of rows.
    pub limit: usize,
}

/// Page of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// Rows, newest first.
    pub items: Vec<T>,
    /// Whether older rows follow.
    pub has_more: bool,
}

impl<T> Page<T> {
    /// Builds a page from rows that were read with a limit of one more than requested.
    pub(crate) fn from_overlong(mut items: Vec<T>, limit: usize) -> Self {
        let has_more = items.len() > limit;
        items.truncate(limit);
        Self { items, has_more }
    }
}

/// Bound above every id, for the first page.
pub(crate) const ABOVE_ALL: [u8; 16] = [0xff; 16];

/// Converts a row limit to its SQL type.
pub(crate) fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
