//! Index of the words of messages: derived beside the hot path, in the order of the messages' ids, by one process.
//!
//! The index covers the messages of one interval of ids, [`IndexState`]. A search for words asks the index within this
//! interval, and looks at the ids and types of messages outside of it.

use async_trait::async_trait;
use hookstream_model::{
    base::{
        ids::{EnvironmentId, MessageId},
        time::Day,
    },
    outbound::text_search::{TextQuery, Words},
};

use crate::{
    db::error::Error,
    delivery::{
        finding::{Direction, Found, IdBytes, MessageSearch, Range},
        history::History,
        messages::Message,
        payloads::StoredPayload,
    },
};

/// Messages to index next.
#[derive(Debug, Clone, Copy)]
pub struct IndexSlice {
    /// Lowest id of an index that does not exist yet, inclusive.
    pub since: MessageId,
    /// Highest id, exclusive. All messages below it must be committed.
    pub until: MessageId,
    /// Maximum number of messages.
    pub most: usize,
}

/// Result of indexing a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Indexed {
    /// Number of indexed messages.
    pub messages: usize,
    /// Whether the index reaches the end of the slice.
    pub is_caught_up: bool,
}

/// Interval of ids whose messages are indexed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexState {
    /// Lowest id, inclusive.
    pub since: IdBytes,
    /// Highest id, exclusive.
    pub until: IdBytes,
}

/// Index of the words of messages. A store without an index implements nothing of it.
#[async_trait]
pub trait TextIndex: History {
    /// Indexes the next messages with a payload, and stores the position in the same commit. Returns `None` if this store
    /// has no index.
    async fn index_text(&self, slice: IndexSlice) -> Result<Option<Indexed>, Error> {
        let _ = slice;
        Ok(None)
    }

    /// Removes the days before `from` from the index, and more, oldest first, until the index takes at most `bytes` or only
    /// its newest day is left.
    async fn trim_text_index(&self, from: Day, bytes: u64) -> Result<(), Error> {
        let _ = (from, bytes);
        Ok(())
    }

    /// Removes the whole index.
    async fn drop_text_index(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Removes the words of an environment's messages before `before` from the index.
    async fn forget_text(&self, environment: EnvironmentId, before: MessageId) -> Result<(), Error> {
        let _ = (environment, before);
        Ok(())
    }

    /// Returns the indexed interval; `None` without an index.
    async fn text_index_state(&self) -> Result<Option<IndexState>, Error> {
        Ok(None)
    }

    /// Returns a page of indexed messages that contain all words and match the filter, whose text is ignored.
    async fn find_indexed(&self, search: MessageSearch, query: TextQuery) -> Result<Found<Message, IdBytes>, Error> {
        let _ = (search, query);
        Ok(Found { items: Vec::new(), next: None })
    }

    /// Returns a page of messages with a text, and the state of the index: messages that contain the words where the
    /// index reaches, elsewhere messages whose id, type or sender's own id contains the text of the filter.
    async fn find_text(
        &self,
        search: MessageSearch,
        query: Option<TextQuery>,
    ) -> Result<(Found<Message, IdBytes>, Option<IndexState>), Error> {
        let state = self.text_index_state().await?;
        let (Some(query), Some(covered)) = (query, state) else { return Ok((self.find_messages(search).await?, state)) };
        let mut page = Found { items: Vec::new(), next: None };
        let mut parts = parts_of(&search.range, covered);
        if search.range.direction == Direction::Newer {
            parts.reverse();
        }
        let last = parts.len().saturating_sub(1);
        for (number, (range, is_indexed)) in parts.into_iter().enumerate() {
            let end = match range.direction {
                Direction::Older => range.lowest,
                Direction::Newer => range.below,
            };
            let limit = search.limit - page.items.len();
            let mut part = MessageSearch { range, limit, ..search.clone() };
            let found = if is_indexed {
                part.filter.search = None;
                self.find_indexed(part, query.clone()).await?
            } else {
                self.find_messages(part).await?
            };
            match search.range.direction {
                Direction::Older => page.items.extend(found.items),
                Direction::Newer => {
                    page.items.splice(0..0, found.items);
                }
            }
            page.next = found.next;
            if page.next.is_some() {
                break;
            }
            if page.items.len() >= search.limit && number < last {
                page.next = Some(end);
                break;
            }
        }
        Ok((page, state))
    }
}

/// Returns the parts of a range, newest first, each with whether the index covers it. Empty parts are left out.
fn parts_of(range: &Range, covered: IndexState) -> Vec<(Range, bool)> {
    let part = |lowest: IdBytes, below: IdBytes, is_indexed| {
        let part = Range { lowest: range.lowest.max(lowest), below: range.below.min(below), ..range.clone() };
        (!part.is_empty()).then_some((part, is_indexed))
    };
    let newer = part(covered.until, [0xff; 16], false);
    let indexed = part(covered.since, covered.until, true);
    let older = part([0; 16], covered.since, false);
    [newer, indexed, older].into_iter().flatten().collect()
}

/// Message to index.
#[derive(Debug)]
pub(crate) struct IndexEntry {
    pub(crate) id: IdBytes,
    pub(crate) origin: IdBytes,
    pub(crate) environment: IdBytes,
    pub(crate) event_type: String,
    pub(crate) event_id: Option<String>,
    pub(crate) payload: StoredPayload,
}

/// First character of marks: words that no text contains, because it separates words.
const MARK: char = '~';

impl IndexEntry {
    /// Returns the words of the message and the marks of its environment and origin, separated by spaces. A damaged
    /// payload has no words.
    pub(crate) fn words(self) -> String {
        let mut words = Words::default();
        words.add(&MessageId::from_bytes(self.id).to_string());
        words.add(&self.event_type);
        self.event_id.iter().for_each(|event_id| words.add(event_id));
        if let Ok(payload) = self.payload.decode() {
            words.add_payload(payload.as_text());
        }
        format!("{} {} {}", mark_of_environment(self.environment), mark_of_origin(self.origin), words.joined())
    }
}

/// Returns the mark of an environment.
pub(crate) fn mark_of_environment(id: IdBytes) -> String {
    format!("{MARK}e{:032x}", u128::from_be_bytes(id))
}

/// Returns the mark of an origin.
pub(crate) fn mark_of_origin(id: IdBytes) -> String {
    format!("{MARK}o{:032x}", u128::from_be_bytes(id))
}

/// Returns the marks that a message must have to be in a range.
pub(crate) fn marks_of(range: &Range) -> Vec<String> {
    let environment = mark_of_environment(*range.tenant.environment.as_bytes());
    let origin = range.origin.map(|origin| mark_of_origin(*origin.as_bytes()));
    std::iter::once(environment).chain(origin).collect()
}

#[cfg(test)]
mod tests {
    use hookstream_model::{
        base::ids::{EnvironmentId, OrganizationId},
        identity::tenancy::Tenant,
    };

    use super::*;

    #[test]
    fn range_is_divided_at_the_ends_of_the_index() {
        let id = |first: u8| {
            let mut id = [0; 16];
            id[0] = first;
            id
        };
        let covered = IndexState { since: id(10), until: id(20) };
        let tenant = Tenant { organization: OrganizationId::from_bytes([1; 16]), environment: EnvironmentId::from_bytes([2; 16]) };
        let check = |lowest: u8, below: u8, expected: &[(u8, u8, bool)]| {
            let range = Range { tenant, origin: None, lowest: id(lowest), below: id(below), direction: Direction::Older };
            let parts: Vec<_> =
                parts_of(&range, covered).iter().map(|(part, is_indexed)| (part.lowest[0], part.below[0], *is_indexed)).collect();
            assert_eq!(parts, expected, "{lowest}..{below}");
        };
        check(0, 30, &[(20, 30, false), (10, 20, true), (0, 10, false)]);
        check(12, 15, &[(12, 15, true)]);
        check(0, 5, &[(0, 5, false)]);
        check(20, 30, &[(20, 30, false)]);
        check(15, 25, &[(20, 25, false), (15, 20, true)]);
        check(5, 5, &[]);
    }
}
