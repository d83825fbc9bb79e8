//! Placement: whether a node may send a delivery from memory now, or leaves it to the backlog.

/// Restrictions of a delivery, from its target and its own state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restrictions {
    /// The target or its scope has a rate.
    pub has_rate: bool,
    /// The target has an order.
    pub is_ordered: bool,
    /// This delivery keeps its position in the order; a parked one does not.
    pub keeps_position: bool,
    /// The target is paused or on hold.
    pub is_held: bool,
}

impl Restrictions {
    /// Returns whether only the node that works on the target's shard may send. Rates are exact and orders hold because
    /// one node decides.
    pub const fn bind_to_shard(self) -> bool {
        self.has_rate || self.is_ordered || self.is_held
    }
}

/// Where a node got a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Its message was just accepted.
    Accepted,
    /// Claimed as due, outside of backlogs.
    Due,
    /// Its turn in its lane, which applies rates and holds.
    Turn {
        /// Whether the delivery was taken from its backlog in order.
        in_order: bool,
    },
}

/// Place of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// In memory: this node sends it.
    Here,
    /// In its backlog, until the node that works on the shard takes it.
    Backlog,
}

/// Decides the place of a delivery. `works_on_shard` tells whether this node works on the shard of the target.
pub const fn place(restrictions: Restrictions, source: Source, works_on_shard: bool) -> Placement {
    if restrictions.bind_to_shard() && !works_on_shard {
        return Placement::Backlog;
    }
    let waits = match source {
        Source::Accepted | Source::Due => restrictions.keeps_position || restrictions.is_held,
        Source::Turn { in_order } => restrictions.keeps_position && !in_order,
    };
    if waits { Placement::Backlog } else { Placement::Here }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Restrictions = Restrictions { has_rate: false, is_ordered: false, keeps_position: false, is_held: false };
    const RATE: Restrictions = Restrictions { has_rate: true, ..FREE };
    const ORDERED: Restrictions = Restrictions { is_ordered: true, keeps_position: true, ..FREE };
    const PARKED: Restrictions = Restrictions { is_ordered: true, ..FREE };
    const HELD: Restrictions = Restrictions { is_held: true, ..FREE };
    const SOURCES: [Source; 4] = [Source::Accepted, Source::Due, Source::Turn { in_order: false }, Source::Turn { in_order: true }];

    #[test]
    fn free_delivery_is_sent_by_any_node() {
        for works_on_shard in [false, true] {
            for source in SOURCES {
                assert_eq!(place(FREE, source, works_on_shard), Placement::Here, "{source:?}");
            }
        }
    }

    #[test]
    fn restricted_delivery_is_sent_by_the_node_of_its_shard_only() {
        for restrictions in [RATE, ORDERED, PARKED, HELD] {
            for source in SOURCES {
                assert_eq!(place(restrictions, source, false), Placement::Backlog, "{restrictions:?} {source:?}");
            }
        }
    }

    #[test]
    fn node_of_the_shard_keeps_order_and_holds() {
        let check = |restrictions, expected: [Placement; 4]| {
            let found = SOURCES.map(|source| place(restrictions, source, true));
            assert_eq!(found, expected, "{restrictions:?}");
        };
        use Placement::{Backlog, Here};
        check(RATE, [Here, Here, Here, Here]);
        check(PARKED, [Here, Here, Here, Here]);
        // Ordered deliveries are sent only from their backlog.
        check(ORDERED, [Backlog, Backlog, Backlog, Here]);
        // The lane lets probes through a hold.
        check(HELD, [Backlog, Backlog, Here, Here]);
    }
}
