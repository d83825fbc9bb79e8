//! Invariants of the lanes' counters: pure functions over plain figures.
//!
//! A test build checks the affected lane after each change ([`Lanes`](super::Lanes) asserts it), and the simulation
//! checks all lanes after each step.

/// Figures of a lane: its counters and its contents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LaneBook {
    /// Counter of waiting deliveries.
    pub(crate) queued: usize,
    /// Deliveries waiting outside of backlogs.
    pub(crate) in_queues: usize,
    pub(crate) backlogs: Vec<BacklogBook>,
    /// Attempts in flight.
    pub(crate) open: usize,
    /// Deliveries in flight or not yet recorded.
    pub(crate) in_flight: usize,
    /// Size of the largest batch.
    pub(crate) largest: usize,
}

/// Figures of one backlog of a lane.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BacklogBook {
    pub(crate) waiting: usize,
    /// Deliveries in flight or not yet recorded.
    pub(crate) busy: usize,
    /// Entries in the list of ready backlogs.
    pub(crate) turns: usize,
    /// Deliveries on their way back to the store.
    pub(crate) leaving: usize,
}

/// Figures over all lanes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) queued: usize,
    pub(crate) open: usize,
    pub(crate) in_flight: usize,
}

/// Returns the first broken invariant of a lane with these limits of attempts in flight and of unrecorded deliveries.
pub(crate) fn fault_of_lane(book: &LaneBook, permits: usize, unrecorded: usize) -> Option<&'static str> {
    let in_backlogs: usize = book.backlogs.iter().map(|backlog| backlog.waiting).sum();
    if book.queued != book.in_queues + in_backlogs {
        return Some("a lane's count of waiting deliveries differs from its queues");
    }
    // An attempt begins while one slot is free; the rest of its batch may exceed the limit.
    if book.open > permits || book.in_flight >= unrecorded + book.largest || book.open > book.in_flight {
        return Some("a lane has more in flight than allowed");
    }
    if book.backlogs.iter().map(|backlog| backlog.busy).sum::<usize>() > book.in_flight {
        return Some("a backlog waits for a delivery that is not in flight");
    }
    book.backlogs.iter().find_map(fault_of_backlog)
}

fn fault_of_backlog(backlog: &BacklogBook) -> Option<&'static str> {
    match (backlog.turns, backlog.busy > 0, backlog.waiting) {
        (0, false, 1..) => Some("a backlog has waiting deliveries and no turn"),
        (1, true, _) => Some("a backlog has a turn while one of its deliveries is in flight"),
        (1, _, 0) => Some("a backlog has a turn and no waiting deliveries"),
        (0, false, 0) if backlog.leaving == 0 => Some("an empty backlog is kept"),
        (0 | 1, _, _) => None,
        (2.., _, _) => Some("a backlog has two turns, so two of its deliveries could be in flight"),
    }
}

/// Returns the first total that differs from the sum over these lanes.
pub(crate) fn fault_of_totals(totals: Totals, lanes: &[LaneBook]) -> Option<&'static str> {
    let sum = |figure: fn(&LaneBook) -> usize| lanes.iter().map(figure).sum::<usize>();
    if totals.queued != sum(|lane| lane.queued) {
        return Some("the count of waiting deliveries is not the sum over the lanes");
    }
    if totals.open != sum(|lane| lane.open) || totals.in_flight != sum(|lane| lane.in_flight) {
        return Some("the count of deliveries in flight is not the sum over the lanes");
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
    fn broken_lane_invariants_are_found() {
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
