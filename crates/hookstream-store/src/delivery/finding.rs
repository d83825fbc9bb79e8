//! Search for messages and attempts: the request, and the result in bounded slices.
//!
//! The hot path has no index for searches. Messages are read in the order of their ids, for one application or for
//! all of an environment, and filtered here; attempts are found through their messages. Messages that failed are
//! read from the deliveries that ended without success. A call examines at most [`EXAMINED`] messages, for at most
//! [`EXAMINED_WITHIN`]. A page may therefore be short, and then names the position at which to continue.

use std::time::Duration;

use hookstream_model::{
    base::{
        ids::{MessageId, OriginId, RouteId},
        time::Timestamp,
    },
    delivery::attempt::Attempt,
    identity::tenancy::Tenant,
    outbound::message::MessageStatus,
};
use tokio::time::Instant;

use crate::delivery::messages::Message;

/// Maximum number of messages that one call examines.
pub const EXAMINED: usize = 5_000;
/// Time after which a call examines no more messages.
const EXAMINED_WITHIN: Duration = Duration::from_millis(80);
/// Number of messages after which a call looks at the time.
const CHECKED_EVERY: usize = 250;
/// Messages read at once, over all applications.
pub(crate) const CHUNK: usize = 256;
/// Messages read at once together with their attempts.
pub(crate) const CHUNK_OF_ATTEMPTS: usize = 64;

/// Bytes of an id; ids sort as their bytes.
pub type IdBytes = [u8; 16];

/// Direction of a page. The rows of a page are newest first in both directions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Towards older rows.
    #[default]
    Older,
    /// Towards newer rows.
    Newer,
}

/// Messages to examine.
#[derive(Debug, Clone)]
pub struct Range {
    /// Organization and environment of the messages.
    pub tenant: Tenant,
    /// Origin, or `None` for all applications of the environment.
    pub origin: Option<OriginId>,
    /// Lowest id, inclusive.
    pub lowest: IdBytes,
    /// Highest id, exclusive.
    pub below: IdBytes,
    /// Direction of the search.
    pub direction: Direction,
}

/// Conditions on messages.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    /// Statuses; empty for any.
    pub statuses: Vec<MessageStatus>,
    /// Event types; empty for any.
    pub event_types: Vec<String>,
    /// Route of at least one delivery.
    pub route: Option<RouteId>,
    /// Sender's own id of the message.
    pub event_id: Option<String>,
    /// Channel of the message.
    pub channel: Option<String>,
    /// Text that the id, the event type or the sender's own id contains, in lower case.
    pub search: Option<String>,
}

impl MessageFilter {
    /// Returns whether a message matches, as far as is known without its deliveries.
    pub(crate) fn matches_message(&self, message: &Message) -> bool {
        (self.event_types.is_empty() || self.event_types.contains(&message.event_type))
            && self.event_id.as_ref().is_none_or(|event_id| message.event_id.as_ref() == Some(event_id))
            && self.channel.as_ref().is_none_or(|channel| message.channels.contains(channel))
            && self.search.as_ref().is_none_or(|search| {
                let contains = |text: &str| text.to_lowercase().contains(search.as_str());
                contains(&message.id.to_string()) || contains(&message.event_type) || message.event_id.as_deref().is_some_and(contains)
            })
    }

    /// Returns the messages that may match.
    pub(crate) fn candidates(&self) -> Candidates {
        // A skipped message may have no delivery at all.
        if self.statuses == [MessageStatus::Failed] { Candidates::Undelivered } else { Candidates::All }
    }

    /// Returns whether the status of a message matches; needs the counts of the deliveries.
    pub(crate) fn matches_status(&self, message: &Message) -> bool {
        self.statuses.is_empty() || self.statuses.contains(&message.counts.status())
    }
}

/// Messages to examine, within a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Candidates {
    /// All messages.
    All,
    /// Messages with a delivery that ended without success.
    Undelivered,
}

/// Search for messages.
#[derive(Debug, Clone)]
pub struct MessageSearch {
    /// Messages to examine.
    pub range: Range,
    /// Conditions on messages.
    pub filter: MessageFilter,
    /// Maximum number of rows.
    pub limit: usize,
    /// Whether the rows have payloads.
    pub payloads: Payloads,
}

/// Whether rows have their payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Payloads {
    /// Each row has its payload, unless it has expired.
    Included,
    /// No row has a payload, which costs less.
    LeftOut,
}

impl Payloads {
    pub(crate) const fn are_included(self) -> bool {
        match self {
            Self::Included => true,
            Self::LeftOut => false,
        }
    }
}

/// Conditions on attempts.
#[derive(Debug, Clone, Default)]
pub struct AttemptFilter {
    /// Route.
    pub route: Option<RouteId>,
    /// Whether the attempt succeeded.
    pub succeeded: Option<bool>,
    /// Class of the response status.
    pub class: Option<StatusClass>,
    /// Event types of the messages; empty for any.
    pub event_types: Vec<String>,
    /// Earliest start, inclusive.
    pub since: Option<Timestamp>,
    /// Latest start, exclusive.
    pub until: Option<Timestamp>,
}

/// Class of an attempt's response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusClass {
    /// A status from this hundred, 1 to 5.
    Hundred(u16),
    /// No response.
    None,
}

impl StatusClass {
    /// Returns the lowest and highest status; `None` for attempts without a response.
    pub(crate) const fn bounds(self) -> Option<(u16, u16)> {
        match self {
            Self::Hundred(hundred) => Some((hundred * 100, hundred * 100 + 99)),
            Self::None => None,
        }
    }
}

/// Position between attempts, which are ordered by message and then by their own ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptPosition {
    /// Message.
    pub message: IdBytes,
    /// Attempts of the message below this id are older than the position, the others newer.
    pub attempt: IdBytes,
}

/// Search for attempts.
#[derive(Debug, Clone)]
pub struct AttemptSearch {
    /// Messages to examine.
    pub range: Range,
    /// Position at which to continue; the range begins with its message.
    pub from: Option<AttemptPosition>,
    /// Conditions on attempts.
    pub filter: AttemptFilter,
    /// Maximum number of rows.
    pub limit: usize,
}

/// Attempt with properties of its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundAttempt {
    /// Attempt.
    pub attempt: Attempt,
    /// Origin of the message.
    pub origin_id: OriginId,
    /// Event type of the message.
    pub event_type: String,
}

/// Page of rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T, Position> {
    /// Rows, newest first.
    pub items: Vec<T>,
    /// Position at which to continue, if there may be more rows.
    pub next: Option<Position>,
}

/// Returns the next higher id.
pub(crate) fn successor(id: IdBytes) -> IdBytes {
    u128::from_be_bytes(id).saturating_add(1).to_be_bytes()
}

/// Collector of a page's rows, which also finds out whether more rows follow.
#[derive(Debug)]
pub(crate) struct Collector<T, Position> {
    items: Vec<T>,
    limit: usize,
    /// Position behind the last collected row.
    taken: Option<Position>,
    has_more: bool,
    /// Messages that may still be examined.
    budget: usize,
    begun: Instant,
}

impl<T, Position: Copy> Collector<T, Position> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { items: Vec::new(), limit, taken: None, has_more: false, budget: EXAMINED, begun: Instant::now() }
    }

    /// Adds a row and the position behind it. Returns whether the page has room for another.
    pub(crate) fn take(&mut self, item: T, position: Position) -> bool {
        if self.items.len() == self.limit {
            self.has_more = true;
            return false;
        }
        self.items.push(item);
        self.taken = Some(position);
        true
    }

    /// Counts an examined message. Returns whether another may be examined.
    pub(crate) fn examine(&mut self) -> bool {
        self.budget = self.budget.saturating_sub(1);
        self.budget > 0 && (!self.budget.is_multiple_of(CHECKED_EVERY) || self.begun.elapsed() < EXAMINED_WITHIN)
    }

    /// Returns the page. `examined` is the position behind the last examined message, unless the search reached its end.
    pub(crate) fn finish(mut self, examined: Option<Position>, direction: Direction) -> Found<T, Position> {
        if direction == Direction::Newer {
            self.items.reverse();
        }
        let next = if self.has_more { self.taken } else { examined };
        Found { items: self.items, next }
    }
}

/// Merges rows of several applications, each part at most `chunk` rows in this direction, and returns the position at
/// which the range continues, if it does. Rows behind the last row of a full part are left for the next call, because
/// others may belong before them.
pub(crate) fn merge(parts: Vec<Vec<Message>>, chunk: usize, direction: Direction) -> (Vec<Message>, Option<IdBytes>) {
    let last = |part: &Vec<Message>| part.last().filter(|_| part.len() >= chunk).map(|message| *message.id.as_bytes());
    let full = parts.iter().filter_map(last);
    let edge = match direction {
        Direction::Older => full.max(),
        Direction::Newer => full.min(),
    };
    let mut rows: Vec<_> = parts.into_iter().flatten().collect();
    match direction {
        Direction::Older => rows.sort_by_key(|message| std::cmp::Reverse(message.id)),
        Direction::Newer => rows.sort_by_key(|message| message.id),
    }
    let Some(edge) = edge else { return (rows, None) };
    rows.retain(|message| match direction {
        Direction::Older => *message.id.as_bytes() >= edge,
        Direction::Newer => *message.id.as_bytes() <= edge,
    });
    (rows, Some(behind(edge, direction)))
}

/// Returns the bound of a range behind an id: the exclusive upper bound for older rows, the inclusive lower bound for
/// newer rows.
pub(crate) fn behind(id: IdBytes, direction: Direction) -> IdBytes {
    match direction {
        Direction::Older => id,
        Direction::Newer => successor(id),
    }
}

impl Range {
    /// Returns the rest of the range behind a bound.
    pub(crate) fn behind_bound(&self, bound: IdBytes) -> Self {
        match self.direction {
            Direction::Older => Self { below: bound.min(self.below), ..self.clone() },
            Direction::Newer => Self { lowest: bound.max(self.lowest), ..self.clone() },
        }
    }

    /// Returns whether the range can contain no id.
    pub(crate) fn is_empty(&self) -> bool {
        self.lowest >= self.below
    }

    /// Returns the days of the first and the last id.
    pub(crate) fn days(&self) -> (hookstream_model::base::time::Day, hookstream_model::base::time::Day) {
        let day = |id: IdBytes| MessageId::from_bytes(id).timestamp().day();
        (day(self.lowest), day(self.below))
    }
}

impl AttemptSearch {
    /// Returns whether an attempt of a message lies ahead of the position at which the search continues.
    pub(crate) fn is_ahead(&self, message: IdBytes, attempt: IdBytes) -> bool {
        match (self.from, self.range.direction) {
            (Some(from), Direction::Older) if from.message == message => attempt < from.attempt,
            (Some(from), Direction::Newer) if from.message == message => attempt >= from.attempt,
            (Some(_) | None, _) => true,
        }
    }

    /// Returns the position behind an attempt.
    pub(crate) fn behind(&self, message: IdBytes, attempt: IdBytes) -> AttemptPosition {
        AttemptPosition { message, attempt: behind(attempt, self.range.direction) }
    }

    /// Returns the position behind all attempts of a message.
    pub(crate) const fn behind_all(&self, message: IdBytes) -> AttemptPosition {
        match self.range.direction {
            Direction::Older => AttemptPosition { message, attempt: [0; 16] },
            Direction::Newer => AttemptPosition { message, attempt: [0xff; 16] },
        }
    }
}

#[cfg(test)]
mod tests {
    use hookstream_model::outbound::message::DeliveryCounts;

    use super::*;

    fn message(number: u8) -> Message {
        Message {
            id: MessageId::from_bytes([number; 16]),
            origin_id: OriginId::from_bytes([1; 16]),
            event_type: "a.b".to_owned(),
            payload: None,
            event_id: None,
            channels: vec![],
            counts: DeliveryCounts::default(),
            updated_at: Timestamp::from_millis(0),
        }
    }

    #[test]
    fn merge_stops_at_the_end_of_a_full_part() {
        let check = |parts: &[&[u8]], direction, expected: &[u8], continues_at: Option<IdBytes>| {
            let parts = parts.iter().map(|part| part.iter().map(|number| message(*number)).collect()).collect();
            let (rows, bound) = merge(parts, 2, direction);
            let rows: Vec<_> = rows.iter().map(|message| message.id.as_bytes()[0]).collect();
            assert_eq!((&rows[..], bound), (expected, continues_at));
        };
        check(&[], Direction::Older, &[], None);
        check(&[&[9], &[8]], Direction::Older, &[9, 8], None);
        check(&[&[9, 5], &[8]], Direction::Older, &[9, 8, 5], Some([5; 16]));
        check(&[&[9, 5], &[8, 7], &[3]], Direction::Older, &[9, 8, 7], Some([7; 16]));
        check(&[&[1, 5], &[2, 3]], Direction::Newer, &[1, 2, 3], Some(successor([3; 16])));
    }

    #[test]
    fn page_examines_bounded_number_of_messages() {
        let mut found = Collector::<(), u32>::new(2);
        let examined = (1..).find(|_| !found.examine());
        assert_eq!(examined, Some(EXAMINED));
        // The page is empty, and names the position at which to continue.
        assert_eq!(found.finish(Some(7), Direction::Older), Found { items: vec![], next: Some(7) });
    }

    #[test]
    fn page_names_next_position() {
        let mut full = Collector::new(2);
        assert!(full.take("a", 1) && full.take("b", 2) && !full.take("c", 3));
        assert_eq!(full.finish(Some(9), Direction::Older), Found { items: vec!["a", "b"], next: Some(2) });
        let mut short = Collector::new(2);
        assert!(short.take("a", 1));
        assert_eq!(short.finish(Some(9), Direction::Newer), Found { items: vec!["a"], next: Some(9) });
        let mut whole = Collector::new(2);
        assert!(whole.take("a", 1) && whole.take("b", 2));
        assert_eq!(whole.finish(None, Direction::Newer), Found { items: vec!["b", "a"], next: None });
    }
}
