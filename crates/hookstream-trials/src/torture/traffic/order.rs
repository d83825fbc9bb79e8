//! The order of arrival, held against the order in which sends were answered.
//!
//! A part of the messages goes to an endpoint that keeps an order by key, each key of which is a line, and a part to
//! one that takes batches in a strict order, which is another line. A message that was
//! sent after another was answered 201 must not arrive before it. Of two whose sends overlapped either may be the
//! first. What came already may come again: then it counts as a duplicate, and as a late one where something
//! behind it had come in between.

use std::collections::{HashMap, HashSet};

use crate::torture::knobs::{KEYS, LINES, PROBES_FROM};

/// One message of so many is for the endpoint with keys, and one for that which takes batches.
const EVERY: usize = 10;
/// Which of them is for the latter.
const BATCHED: usize = 5;
/// So many of those with a key are in the same line, one after the other, before the next has its turn.
const IN_A_ROW: usize = 3;

/// Which endpoint a message is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Share {
    /// The one without an order.
    Plain,
    /// The one that keeps an order by key, with this key.
    Keyed(usize),
    /// The one that takes batches in a strict order.
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

    /// In which line it is there, where it is in one.
    pub(crate) fn line(self) -> Option<usize> {
        match self {
            Self::Plain => None,
            Self::Keyed(key) => Some(key),
            Self::Batched => Some(LINES - 1),
        }
    }
}

/// What happens to a message, told in the order in which it happens.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event {
    /// A send begins; where it is not answered, so does another.
    Begun(usize),
    /// A send was answered 201.
    Answered(usize),
    /// It arrived and is about to be answered 2xx.
    Arrived(usize),
}

/// What an event means for the order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It fits.
    Fits,
    /// It arrived before this one, which had been answered before it was sent.
    Overtook(usize),
    /// It arrived again, though something behind it had arrived.
    CameAgainLate,
}

/// What is known of one line.
#[derive(Debug, Default)]
pub(crate) struct OrderedBacklog {
    /// How many events there were: the time here.
    now: u64,
    /// When the first send of a message began; those that have not arrived.
    begun: HashMap<usize, u64>,
    /// When a message was first answered; those that have not arrived.
    answered: HashMap<usize, u64>,
    arrived: HashSet<usize>,
    /// Which arrived last of those that arrived for the first time.
    latest: Option<usize>,
}

impl OrderedBacklog {
    /// Notes what happened next.
    pub(crate) fn note(&mut self, event: Event) -> Verdict {
        self.now += 1;
        match event {
            Event::Begun(number) => {
                self.begun.entry(number).or_insert(self.now);
                Verdict::Fits
            }
            Event::Answered(number) => {
                if !self.arrived.contains(&number) {
                    self.answered.entry(number).or_insert(self.now);
                }
                Verdict::Fits
            }
            Event::Arrived(number) if self.arrived.contains(&number) => {
                if self.latest == Some(number) {
                    Verdict::Fits
                } else {
                    Verdict::CameAgainLate
                }
            }
            Event::Arrived(number) => self.arrives_first(number),
        }
    }

    fn arrives_first(&mut self, number: usize) -> Verdict {
        self.arrived.insert(number);
        self.latest = Some(number);
        self.answered.remove(&number);
        let Some(begun) = self.begun.remove(&number) else { return Verdict::Fits };
        let overtaken = self.answered.iter().filter(|(_, answered)| **answered < begun);
        overtaken.min_by_key(|(_, answered)| **answered).map_or(Verdict::Fits, |(earlier, _)| Verdict::Overtook(*earlier))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Event::{Answered, Arrived, Begun},
        *,
    };

    /// Of a sequence, all that does not fit, by the number of the event.
    fn odd(events: &[Event]) -> Vec<(usize, Verdict)> {
        let mut line = OrderedBacklog::default();
        let verdicts = events.iter().map(|event| line.note(*event)).enumerate();
        verdicts.filter(|(_, verdict)| *verdict != Verdict::Fits).collect()
    }

    #[test]
    fn what_was_answered_before_another_was_sent_arrives_before_it() {
        let check = |events: &[Event], expected: &[(usize, Verdict)]| assert_eq!(odd(events), expected, "{events:?}");
        check(&[Begun(1), Answered(1), Begun(2), Answered(2), Arrived(1), Arrived(2)], &[]);
        check(&[Begun(1), Answered(1), Begun(2), Answered(2), Arrived(2), Arrived(1)], &[(4, Verdict::Overtook(1))]);
        // Also where the second arrives before its own answer does.
        check(&[Begun(1), Answered(1), Begun(2), Arrived(2), Answered(2), Arrived(1)], &[(3, Verdict::Overtook(1))]);
        // Each that overtakes is one, and it names the first that it overtook.
        let three = [Begun(1), Answered(1), Begun(2), Answered(2), Begun(3), Answered(3)];
        check(&[&three[..], &[Arrived(3), Arrived(2), Arrived(1)]].concat(), &[(6, Verdict::Overtook(1)), (7, Verdict::Overtook(1))]);
        check(&[&three[..], &[Arrived(1), Arrived(3), Arrived(2)]].concat(), &[(7, Verdict::Overtook(2))]);
        // One that never arrives is overtaken all the same.
        check(&[Begun(1), Answered(1), Begun(2), Arrived(2)], &[(3, Verdict::Overtook(1))]);
    }

    #[test]
    fn of_sends_that_overlapped_either_may_be_the_first() {
        let check = |events: &[Event]| assert_eq!(odd(events), [], "{events:?}");
        check(&[Begun(1), Begun(2), Answered(1), Answered(2), Arrived(2), Arrived(1)]);
        check(&[Begun(1), Begun(2), Answered(2), Answered(1), Arrived(2), Arrived(1)]);
        // The first send of the second began before, though it was sent again after that.
        check(&[Begun(2), Begun(1), Answered(1), Begun(2), Answered(2), Arrived(2), Arrived(1)]);
        // What was sent and never answered may be anywhere.
        check(&[Begun(1), Begun(2), Answered(2), Arrived(2), Arrived(1)]);
    }

    #[test]
    fn a_send_whose_answer_was_lost_counts_from_when_it_began_first_until_it_was_answered() {
        // It may have been accepted by the first send or by the second.
        let lost = [Begun(1), Begun(2), Answered(2), Begun(1), Answered(1)];
        assert_eq!(odd(&[&lost[..], &[Arrived(1), Arrived(2)]].concat()), []);
        assert_eq!(odd(&[&lost[..], &[Arrived(2), Arrived(1)]].concat()), []);
        // What is sent after the answer of the second comes after it.
        let behind = [Begun(3), Answered(3), Arrived(3)];
        assert_eq!(odd(&[&lost[..], &behind].concat()), [(7, Verdict::Overtook(2))]);
        // Sent again after it had arrived, it is not owed again.
        assert_eq!(odd(&[Begun(1), Arrived(1), Begun(1), Answered(1), Begun(2), Answered(2), Arrived(2)]), []);
    }

    #[test]
    fn the_last_may_come_again_and_what_is_before_it_comes_late() {
        let two = [Begun(1), Answered(1), Begun(2), Answered(2), Arrived(1), Arrived(1), Arrived(2), Arrived(2)];
        assert_eq!(odd(&two), []);
        assert_eq!(odd(&[&two[..], &[Arrived(1)]].concat()), [(8, Verdict::CameAgainLate)]);
    }

    #[test]
    fn a_part_of_the_messages_is_spread_over_the_lines_and_no_probe_is() {
        let line_of = |number: usize| Share::of(number).line();
        let count = |line| (0..1_200).filter(|number| line_of(*number) == Some(line)).count();
        assert_eq!([0, 1, 2, 3, 4].map(count), [30, 30, 30, 30, 120]);
        assert_eq!([0, 10, 20, 30, 35].map(line_of), [Some(0), Some(0), Some(0), Some(1), Some(4)]);
        assert_eq!([1, PROBES_FROM, PROBES_FROM + 5].map(line_of), [None; 3]);
    }
}
