//! Finding messages and attempts: what is asked, and how it is answered a bounded slice at a time.
//!
//! There is no index for it on the hot path. Messages are read in the order of their ids, for one application or for
//! those of an environment, and compared here; attempts are found by their messages. Whatever is asked, one call looks at
//! no more than [`EXAMINED`] messages: a page may be short, and then says where to go on.

use hookstream_model::{
    base::{
        ids::{ApplicationId, MessageId, TargetId},
        time::Timestamp,
    },
    delivery::attempt::Attempt,
    identity::tenancy::Tenant,
    outbound::message::MessageStatus,
};

use crate::delivery::messages::Message;

/// The most messages that one call looks at.
pub const EXAMINED: usize = 5_000;
/// How many messages are read at once, over all applications.
pub(crate) const CHUNK: usize = 256;
/// The same where attempts are read with them.
pub(crate) const CHUNK_OF_ATTEMPTS: usize = 64;

/// The bytes of an id; ids sort as their bytes.
pub type IdBytes = [u8; 16];

/// Which way a page goes. Its rows are newest first either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// To older rows.
    #[default]
    Older,
    /// To newer rows.
    Newer,
}

/// Which messages are looked at.
#[derive(Debug, Clone)]
pub struct Range {
    /// Whose they are.
    pub tenant: Tenant,
    /// Of one application, or of all that the environment has.
    pub application: Option<ApplicationId>,
    /// Ids from this one on.
    pub lowest: IdBytes,
    /// Ids before this one.
    pub below: IdBytes,
    /// Which way.
    pub direction: Direction,
}

/// Which messages are meant.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    /// How they stand; none means that it does not matter.
    pub statuses: Vec<MessageStatus>,
    /// What they are about; none means that it does not matter.
    pub event_types: Vec<String>,
    /// They have a delivery to it.
    pub target: Option<TargetId>,
    /// The sender's own id of them.
    pub event_id: Option<String>,
    /// They have this channel.
    pub channel: Option<String>,
    /// Their id or the sender's contains it, in lower case.
    pub search: Option<String>,
}

impl MessageFilter {
    /// Whether a message is meant, as far as that is known without its deliveries.
    pub(crate) fn means(&self, message: &Message) -> bool {
        (self.event_types.is_empty() || self.event_types.contains(&message.event_type))
            && self.event_id.as_ref().is_none_or(|event_id| message.event_id.as_ref() == Some(event_id))
            && self.channel.as_ref().is_none_or(|channel| message.channels.contains(channel))
            && self.search.as_ref().is_none_or(|search| {
                let contains = |text: &str| text.to_lowercase().contains(search.as_str());
                contains(&message.id.to_string()) || message.event_id.as_deref().is_some_and(contains)
            })
    }

    /// The same, once it is known how its deliveries stand.
    pub(crate) fn means_standing(&self, message: &Message) -> bool {
        self.statuses.is_empty() || self.statuses.contains(&message.counts.status())
    }
}

/// A search for messages.
#[derive(Debug, Clone)]
pub struct MessageSearch {
    /// Which are looked at.
    pub range: Range,
    /// Which are meant.
    pub filter: MessageFilter,
    /// The most rows.
    pub limit: usize,
}

/// Which attempts are meant.
#[derive(Debug, Clone, Default)]
pub struct AttemptFilter {
    /// To this target.
    pub target: Option<TargetId>,
    /// Whether they succeeded.
    pub succeeded: Option<bool>,
    /// What was answered.
    pub class: Option<StatusClass>,
    /// What their messages are about; none means that it does not matter.
    pub event_types: Vec<String>,
    /// They began then or later.
    pub since: Option<Timestamp>,
    /// They began before then.
    pub until: Option<Timestamp>,
}

/// What was answered to an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusClass {
    /// A status from this hundred, 1 to 5.
    Hundred(u16),
    /// Nothing.
    None,
}

impl StatusClass {
    /// The statuses, from and to; `None` where nothing was answered.
    pub(crate) const fn bounds(self) -> Option<(u16, u16)> {
        match self {
            Self::Hundred(hundred) => Some((hundred * 100, hundred * 100 + 99)),
            Self::None => None,
        }
    }
}

/// A place between attempts, as they are ordered: by message, and then by their own ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptPlace {
    /// The message.
    pub message: IdBytes,
    /// Its attempts below this id are older than the place, the others newer.
    pub attempt: IdBytes,
}

/// A search for attempts.
#[derive(Debug, Clone)]
pub struct AttemptSearch {
    /// Whose messages are looked at.
    pub range: Range,
    /// Where it goes on; the range begins with its message.
    pub from: Option<AttemptPlace>,
    /// Which attempts are meant.
    pub filter: AttemptFilter,
    /// The most rows.
    pub limit: usize,
}

/// An attempt, and what its message is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundAttempt {
    /// The attempt.
    pub attempt: Attempt,
    /// The application of its message.
    pub application_id: ApplicationId,
    /// What its message is about.
    pub event_type: String,
}

/// Rows that were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found<T, Place> {
    /// Newest first.
    pub items: Vec<T>,
    /// Where the search goes on, where there may be more.
    pub next: Option<Place>,
}

/// The id after an id.
pub(crate) fn successor(id: IdBytes) -> IdBytes {
    u128::from_be_bytes(id).saturating_add(1).to_be_bytes()
}

/// Collects the rows of a page until it is known whether more follow.
#[derive(Debug)]
pub(crate) struct Collector<T, Place> {
    items: Vec<T>,
    limit: usize,
    /// Behind the last row that was taken.
    taken: Option<Place>,
    has_more: bool,
    /// Messages that may still be looked at.
    budget: usize,
}

impl<T, Place: Copy> Collector<T, Place> {
    pub(crate) const fn new(limit: usize) -> Self {
        Self { items: Vec::new(), limit, taken: None, has_more: false, budget: EXAMINED }
    }

    /// Takes a row, behind which the search goes on at `place`. Returns whether the page has room for another.
    pub(crate) fn take(&mut self, item: T, place: Place) -> bool {
        if self.items.len() == self.limit {
            self.has_more = true;
            return false;
        }
        self.items.push(item);
        self.taken = Some(place);
        true
    }

    /// Notes that a message was looked at. Returns whether another may be.
    pub(crate) const fn examine(&mut self) -> bool {
        self.budget = self.budget.saturating_sub(1);
        self.budget > 0
    }

    /// The page. `examined` is behind the last message that was looked at, where the search was not at its end.
    pub(crate) fn finish(mut self, examined: Option<Place>, direction: Direction) -> Found<T, Place> {
        if direction == Direction::Newer {
            self.items.reverse();
        }
        let next = if self.has_more { self.taken } else { examined };
        Found { items: self.items, next }
    }
}

/// Rows of several applications in one order, of each at most `chunk` and in this direction; and where the range goes on,
/// where it does. Rows behind the last of a full part are left for the next time: others may belong before them.
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

/// The bound of a range behind an id: what goes on is below it, or from it on.
pub(crate) fn behind(id: IdBytes, direction: Direction) -> IdBytes {
    match direction {
        Direction::Older => id,
        Direction::Newer => successor(id),
    }
}

impl Range {
    /// What is left of the range behind a bound.
    pub(crate) fn behind_bound(&self, bound: IdBytes) -> Self {
        match self.direction {
            Direction::Older => Self { below: bound.min(self.below), ..self.clone() },
            Direction::Newer => Self { lowest: bound.max(self.lowest), ..self.clone() },
        }
    }

    /// Whether nothing can be in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.lowest >= self.below
    }

    /// The days of its first and its last id.
    pub(crate) fn days(&self) -> (hookstream_model::base::time::Day, hookstream_model::base::time::Day) {
        let day = |id: IdBytes| MessageId::from_bytes(id).timestamp().day();
        (day(self.lowest), day(self.below))
    }
}

impl AttemptSearch {
    /// Whether an attempt of a message lies behind where the search goes on.
    pub(crate) fn is_ahead(&self, message: IdBytes, attempt: IdBytes) -> bool {
        match (self.from, self.range.direction) {
            (Some(from), Direction::Older) if from.message == message => attempt < from.attempt,
            (Some(from), Direction::Newer) if from.message == message => attempt >= from.attempt,
            (Some(_) | None, _) => true,
        }
    }

    /// The place behind an attempt.
    pub(crate) fn behind(&self, message: IdBytes, attempt: IdBytes) -> AttemptPlace {
        AttemptPlace { message, attempt: behind(attempt, self.range.direction) }
    }

    /// The place behind all attempts of a message.
    pub(crate) const fn behind_all(&self, message: IdBytes) -> AttemptPlace {
        match self.range.direction {
            Direction::Older => AttemptPlace { message, attempt: [0; 16] },
            Direction::Newer => AttemptPlace { message, attempt: [0xff; 16] },
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
            application_id: ApplicationId::from_bytes([1; 16]),
            event_type: "a.b".to_owned(),
            payload: None,
            event_id: None,
            channels: vec![],
            counts: DeliveryCounts::default(),
            updated_at: Timestamp::from_millis(0),
        }
    }

    #[test]
    fn parts_are_merged_as_far_as_their_order_is_known() {
        let check = |parts: &[&[u8]], direction, expected: &[u8], goes_on: Option<IdBytes>| {
            let parts = parts.iter().map(|part| part.iter().map(|number| message(*number)).collect()).collect();
            let (rows, bound) = merge(parts, 2, direction);
            let rows: Vec<_> = rows.iter().map(|message| message.id.as_bytes()[0]).collect();
            assert_eq!((&rows[..], bound), (expected, goes_on));
        };
        check(&[], Direction::Older, &[], None);
        check(&[&[9], &[8]], Direction::Older, &[9, 8], None);
        check(&[&[9, 5], &[8]], Direction::Older, &[9, 8, 5], Some([5; 16]));
        check(&[&[9, 5], &[8, 7], &[3]], Direction::Older, &[9, 8, 7], Some([7; 16]));
        check(&[&[1, 5], &[2, 3]], Direction::Newer, &[1, 2, 3], Some(successor([3; 16])));
    }

    #[test]
    fn a_page_looks_at_so_many_messages_and_no_more() {
        let mut found = Collector::<(), u32>::new(2);
        let examined = (1..).find(|_| !found.examine());
        assert_eq!(examined, Some(EXAMINED));
        // It is empty, and says where to go on.
        assert_eq!(found.finish(Some(7), Direction::Older), Found { items: vec![], next: Some(7) });
    }

    #[test]
    fn a_page_tells_where_it_goes_on() {
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
