//! Comparison of the order of arrival with the order of the responses to the senders.
//!
//! Some messages go to an endpoint ordered by key, and some to one that takes batches in strict order. Each key has its
//! own ordered backlog, and the batches have one more. A message that was sent after the 201 response to another must
//! not arrive before it. Messages whose sends overlapped may arrive in either order. A repeated arrival counts as a
//! duplicate, and as a late one if a later message has arrived in between.

use std::collections::{HashMap, HashSet};

use crate::torture::knobs::{KEYS, ORDERED_BACKLOGS, PROBES_FROM};

/// Divisor: one of this many messages is for the endpoint with keys, and one for the endpoint with batches.
const EVERY: usize = 10;
/// Remainder of the messages for batches.
const BATCHED: usize = 5;
/// Number of consecutive keyed messages in one backlog.
const IN_A_ROW: usize = 3;

/// Endpoint of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// Endpoint without an order.
    Plain,
    /// Endpoint ordered by key, with this key.
    Keyed(usize),
    /// Endpoint with batches in strict order.
    Batched,
}

impl Share {
    pub(crate) fn of(number: usize) -> Self {
        match number % EVERY {
            _ if number >= PROBES_FROM => Self::Plain,
            0 => Self::Keyed(number / EVERY / IN_A_ROW % KEYS as usize),
            BATCHED => Self::Batched,
            _ => Self::Plain,
        }
    }

    /// Returns the ordered backlog of the message, if it has one.
    pub(crate) fn backlog(self) -> Option<usize> {
        match self {
            Self::Plain => None,
            Self::Keyed(key) => Some(key),
            Self::Batched => Some(ORDERED_BACKLOGS - 1),
        }
    }
}

/// Event of a message, in the order of events.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    /// A send begins; without a response, another begins.
    Begun(usize),
    /// A send got a 201 response.
    Responded(usize),
    /// The message arrived and is about to get a 2xx response.
    Arrived(usize),
}

/// Effect of an event on the order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The event is in order.
    Fits,
    /// The message arrived before this one, which got its response before the send.
    Overtook(usize),
    /// The message arrived again after a later one.
    LateDuplicate,
}

/// Record of one ordered backlog.
#[derive(Debug, Default)]
pub(crate) struct OrderedBacklog {
    /// Number of events, used as the time.
    now: u64,
    /// First send of each message that has not arrived.
    begun: HashMap<usize, u64>,
    /// First response of each message that has not arrived.
    responded: HashMap<usize, u64>,
    arrived: HashSet<usize>,
    /// Last message that arrived for the first time.
    latest: Option<usize>,
}

impl OrderedBacklog {
    /// Notes the next event.
    pub(crate) fn note(&mut self, event: Event) -> Verdict {
        self.now += 1;
        match event {
            Event::Begun(number) => {
                self.begun.entry(number).or_insert(self.now);
                Verdict::Fits
            }
            Event::Responded(number) => {
                if !self.arrived.contains(&number) {
                    self.responded.entry(number).or_insert(self.now);
                }
                Verdict::Fits
            }
            Event::Arrived(number) if self.arrived.contains(&number) => {
                if self.latest == Some(number) {
                    Verdict::Fits
                } else {
                    Verdict::LateDuplicate
                }
            }
            Event::Arrived(number) => self.arrives_first(number),
        }
    }

    fn arrives_first(&mut self, number: usize) -> Verdict {
        self.arrived.insert(number);
        self.latest = Some(number);
        self.responded.remove(&number);
        let Some(begun) = self.begun.remove(&number) else { return Verdict::Fits };
        let overtaken = self.responded.iter().filter(|(_, responded)| **responded < begun);
        overtaken.min_by_key(|(_, responded)| **responded).map_or(Verdict::Fits, |(earlier, _)| Verdict::Overtook(*earlier))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Event::{Arrived, Begun, Responded},
        *,
    };

    /// Returns the verdicts other than `Fits`, by the number of the event.
    fn odd(events: &[Event]) -> Vec<(usize, Verdict)> {
        let mut backlog = OrderedBacklog::default();
        let verdicts = events.iter().map(|event| backlog.note(*event)).enumerate();
        verdicts.filter(|(_, verdict)| *verdict != Verdict::Fits).collect()
    }

    #[test]
    fn message_arrives_before_those_sent_after_its_response() {
        let check = |events: &[Event], expected: &[(usize, Verdict)]| assert_eq!(odd(events), expected, "{events:?}");
        check(&[Begun(1), Responded(1), Begun(2), Responded(2), Arrived(1), Arrived(2)], &[]);
        check(&[Begun(1), Responded(1), Begun(2), Responded(2), Arrived(2), Arrived(1)], &[(4, Verdict::Overtook(1))]);
        // Even if the second arrives before its own response.
        check(&[Begun(1), Responded(1), Begun(2), Arrived(2), Responded(2), Arrived(1)], &[(3, Verdict::Overtook(1))]);
        // Each overtaking message counts once, and names the first that it overtook.
        let three = [Begun(1), Responded(1), Begun(2), Responded(2), Begun(3), Responded(3)];
        check(&[&three[..], &[Arrived(3), Arrived(2), Arrived(1)]].concat(), &[(6, Verdict::Overtook(1)), (7, Verdict::Overtook(1))]);
        check(&[&three[..], &[Arrived(1), Arrived(3), Arrived(2)]].concat(), &[(7, Verdict::Overtook(2))]);
        // A message that never arrives is overtaken too.
        check(&[Begun(1), Responded(1), Begun(2), Arrived(2)], &[(3, Verdict::Overtook(1))]);
    }

    #[test]
    fn overlapping_sends_may_arrive_in_either_order() {
        let check = |events: &[Event]| assert_eq!(odd(events), [], "{events:?}");
        check(&[Begun(1), Begun(2), Responded(1), Responded(2), Arrived(2), Arrived(1)]);
        check(&[Begun(1), Begun(2), Responded(2), Responded(1), Arrived(2), Arrived(1)]);
        // The first send of the second message began earlier, although it was sent again later.
        check(&[Begun(2), Begun(1), Responded(1), Begun(2), Responded(2), Arrived(2), Arrived(1)]);
        // A message without a response may be anywhere.
        check(&[Begun(1), Begun(2), Responded(2), Arrived(2), Arrived(1)]);
    }

    #[test]
    fn send_with_lost_response_counts_from_first_send_to_response() {
        // Either send of the first message may have been the accepted one.
        let lost = [Begun(1), Begun(2), Responded(2), Begun(1), Responded(1)];
        assert_eq!(odd(&[&lost[..], &[Arrived(1), Arrived(2)]].concat()), []);
        assert_eq!(odd(&[&lost[..], &[Arrived(2), Arrived(1)]].concat()), []);
        // A message sent after the response to the second comes after it.
        let behind = [Begun(3), Responded(3), Arrived(3)];
        assert_eq!(odd(&[&lost[..], &behind].concat()), [(7, Verdict::Overtook(2))]);
        // Sent again after its arrival, the message is not pending again.
        assert_eq!(odd(&[Begun(1), Arrived(1), Begun(1), Responded(1), Begun(2), Responded(2), Arrived(2)]), []);
    }

    #[test]
    fn only_the_last_may_repeat_in_time() {
        let two = [Begun(1), Responded(1), Begun(2), Responded(2), Arrived(1), Arrived(1), Arrived(2), Arrived(2)];
        assert_eq!(odd(&two), []);
        assert_eq!(odd(&[&two[..], &[Arrived(1)]].concat()), [(8, Verdict::LateDuplicate)]);
    }

    #[test]
    fn messages_are_spread_over_ordered_backlogs_without_probes() {
        let backlog_of = |number: usize| Share::of(number).backlog();
        let count = |backlog| (0..1_200).filter(|number| backlog_of(*number) == Some(backlog)).count();
        assert_eq!([0, 1, 2, 3, 4].map(count), [30, 30, 30, 30, 120]);
        assert_eq!([0, 10, 20, 30, 35].map(backlog_of), [Some(0), Some(0), Some(0), Some(1), Some(4)]);
        assert_eq!([1, PROBES_FROM, PROBES_FROM + 5].map(backlog_of), [None; 3]);
    }
}
