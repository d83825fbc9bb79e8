//! What the books of the lanes must say, whatever happened: pure functions over plain figures.
//!
//! A build for tests checks the lane at hand after each change ([`Lanes`](super::Lanes) asserts it), and the
//! simulation checks all of them after each step.

/// The figures of a lane: what it counts, and what is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LaneBook {
    /// What it counts as waiting.
    pub(crate) queued: usize,
    /// What waits outside of backlogs.
    pub(crate) in_queues: usize,
    pub(crate) backlogs: Vec<BacklogBook>,
    /// Tries under way.
    pub(crate) open: usize,
    /// The deliveries of those, and those that are not recorded yet.
    pub(crate) in_flight: usize,
    /// How many went in the largest try.
    pub(crate) largest: usize,
}

/// The figures of one backlog of a lane.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BacklogBook {
    pub(crate) waiting: usize,
    /// How many of it are under way or not recorded yet.
    pub(crate) busy: usize,
    /// How often its turn is noted.
    pub(crate) turns: usize,
    /// On their way back to the store.
    pub(crate) leaving: usize,
}

/// The figures over all lanes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) queued: usize,
    pub(crate) open: usize,
    pub(crate) in_flight: usize,
}

/// What is wrong with a lane that may have so many tries under way, and so many that are not recorded.
pub(crate) fn fault_of_lane(book: &LaneBook, permits: usize, unrecorded: usize) -> Option<&'static str> {
    let in_lines: usize = book.backlogs.iter().map(|backlog| backlog.waiting).sum();
    if book.queued != book.in_queues + in_lines {
        return Some("a lane counts as waiting what is not there, or misses what is");
    }
    // A try is begun while there is room for one; what goes with it may pass that.
    if book.open > permits || book.in_flight >= unrecorded + book.largest || book.open > book.in_flight {
        return Some("a lane has more under way than it may");
    }
    if book.backlogs.iter().map(|backlog| backlog.busy).sum::<usize>() > book.in_flight {
        return Some("a backlog waits for something that is not under way");
    }
    book.backlogs.iter().find_map(fault_of_line)
}

fn fault_of_line(backlog: &BacklogBook) -> Option<&'static str> {
    match (backlog.turns, backlog.busy > 0, backlog.waiting) {
        (0, false, 1..) => Some("a backlog has something to send and no turn"),
        (1, true, _) => Some("a backlog has a turn while one of it is under way"),
        (1, _, 0) => Some("a backlog has a turn and nothing to send"),
        (0, false, 0) if backlog.leaving == 0 => Some("a backlog is remembered that has nothing"),
        (0 | 1, _, _) => None,
        (2.., _, _) => Some("a backlog has two turns: two of it could be under way"),
    }
}

/// What is wrong with the totals over these lanes.
pub(crate) fn fault_of_totals(totals: Totals, lanes: &[LaneBook]) -> Option<&'static str> {
    let sum = |figure: fn(&LaneBook) -> usize| lanes.iter().map(figure).sum::<usize>();
    if totals.queued != sum(|lane| lane.queued) {
        return Some("what waits is not the sum over the lanes");
    }
    if totals.open != sum(|lane| lane.open) || totals.in_flight != sum(|lane| lane.in_flight) {
        return Some("what is under way is not the sum over the lanes");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sound() -> LaneBook {
        let busy = BacklogBook { waiting: 2, busy: 1, turns: 0, leaving: 0 };
        let ready = BacklogBook { waiting: 1, busy: 0, turns: 1, leaving: 0 };
        let left = BacklogBook { waiting: 0, busy: 0, turns: 0, leaving: 3 };
        LaneBook { queued: 5, in_queues: 2, backlogs: vec![busy, ready, left], open: 2, in_flight: 3, largest: 1 }
    }

    #[test]
    fn each_fault_of_a_lane_is_seen() {
        let check = |change: fn(&mut LaneBook), is_fault| {
            let mut book = sound();
            change(&mut book);
            assert_eq!(fault_of_lane(&book, 2, 4).is_some(), is_fault, "{book:?}");
        };
        check(|_| {}, false);
        check(|book| book.queued = 4, true);
        check(|book| book.in_queues = 3, true);
        check(|book| book.open = 3, true);
        check(|book| book.in_flight = 5, true);
        check(|book| (book.in_flight, book.largest) = (5, 2), false);
        check(|book| book.backlogs[0].busy = 3, false);
        check(|book| book.backlogs[0].busy = 4, true);
        check(|book| (book.open, book.in_flight) = (2, 1), true);
        check(|book| (book.open, book.in_flight) = (0, 0), true);
        check(|book| book.backlogs[0].turns = 1, true);
        check(|book| book.backlogs[1].turns = 0, true);
        check(|book| book.backlogs[1].turns = 2, true);
        check(|book| book.backlogs[2].turns = 1, true);
        check(|book| book.backlogs[2].leaving = 0, true);
    }

    #[test]
    fn totals_are_the_sum_over_the_lanes() {
        let lanes = [sound(), sound()];
        let totals = Totals { queued: 10, open: 4, in_flight: 6 };
        assert_eq!(fault_of_totals(totals, &lanes), None);
        for wrong in [Totals { queued: 9, ..totals }, Totals { open: 5, ..totals }, Totals { in_flight: 5, ..totals }] {
            assert!(fault_of_totals(wrong, &lanes).is_some(), "{wrong:?}");
        }
    }
}
