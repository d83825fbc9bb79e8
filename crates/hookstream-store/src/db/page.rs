//! Paging: a list is read newest first, from a key that the caller passes back.
//!
//! The key is an id, and ids sort by the time they were made; what is added while somebody pages is
//! newer than every page to come, so no row is skipped or repeated.

/// What a page starts after and how long it may be.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest<Id> {
    /// The last id of the page before; `None` for the first page.
    pub after: Option<Id>,
    /// The most rows.
    pub limit: usize,
}

/// A page and whether more follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows, newest first.
    pub items: Vec<T>,
    /// Whether older rows follow.
    pub has_more: bool,
}

impl<T> Page<T> {
    /// A page out of what was read with a limit of one more than asked for.
    pub(crate) fn from_overlong(mut items: Vec<T>, limit: usize) -> Self {
        let has_more = items.len() > limit;
        items.truncate(limit);
        Self { items, has_more }
    }
}

/// A bound above every id, for the first page.
pub(crate) const ABOVE_ALL: [u8; 16] = [0xff; 16];

/// A row limit as SQL takes it.
pub(crate) fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
