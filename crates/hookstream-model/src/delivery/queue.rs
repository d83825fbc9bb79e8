//! Backlogs: the stored queue of one target's pending deliveries.
//!
//! A delivery waits in its target's backlog if its lane has no room, or if it may not be sent yet. A target with an
//! order by key has one backlog per key. A backlog's id is a hash of its target and key, so every process computes
//! the same id. Backlogs are assigned to processes by shard.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::base::ids::{LimitScopeId, TargetId};

/// Number of shards. It must never change: the backlog ids in the store depend on it.
pub const SHARDS: u8 = 64;
/// Number of hash bits in a backlog id, below the shard's bits.
const HASH_BITS: u32 = 57;

/// Backlog, identified by a negative number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Backlog(i64);

impl Backlog {
    /// Returns the backlog of a target.
    pub fn of_target(scope: LimitScopeId, target: TargetId) -> Self {
        Self::new(scope, &[target.as_bytes()])
    }

    /// Returns the backlog of one ordering key of a target.
    pub fn of_key(scope: LimitScopeId, target: TargetId, key: &[u8]) -> Self {
        Self::new(scope, &[target.as_bytes(), key])
    }

    /// Puts all backlogs of a scope into one shard, because a rate limit may apply to all of them.
    fn new(scope: LimitScopeId, parts: &[&[u8]]) -> Self {
        let shard = u64::from(Sha256::digest(scope.as_bytes())[0] % SHARDS);
        let mut hash = Sha256::new();
        parts.iter().for_each(|part| hash.update(part));
        let hash: [u8; 32] = hash.finalize().into();
        let hash = hash[..8].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)) >> (64 - HASH_BITS);
        let number = i64::try_from(shard << HASH_BITS | hash).expect("63 bits");
        Self(-1 - number)
    }

    /// Returns the backlog that an `owner` column names, or `None` if it does not name one.
    pub const fn from_number(number: i64) -> Option<Self> {
        if number < 0 { Some(Self(number)) } else { None }
    }

    /// Number of the backlog in the store; below 0.
    pub const fn number(self) -> i64 {
        self.0
    }

    /// Returns the backlog's shard.
    pub fn shard(self) -> Shard {
        Shard(u8::try_from((-1 - self.0) >> HASH_BITS).expect("a number has a shard of 6 bits"))
    }
}

/// Shard of backlogs: one process at a time works on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shard(u8);

impl Shard {
    /// Returns the shard with this number, if it exists.
    pub const fn new(number: u8) -> Option<Self> {
        if number < SHARDS { Some(Self(number)) } else { None }
    }

    /// Number of the shard: 0 to 63.
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// A set of shards.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Shards(u64);

impl Shards {
    /// Empty set.
    pub const NONE: Self = Self(0);
    /// Set of all shards.
    pub const ALL: Self = Self(u64::MAX);

    /// Returns true if the set contains the shard.
    pub const fn contains(self, shard: Shard) -> bool {
        self.0 & (1 << shard.0) != 0
    }

    /// Number of shards in the set.
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// Iterates over the shards in ascending order.
    pub fn iter(self) -> impl Iterator<Item = Shard> {
        (0..SHARDS).map(Shard).filter(move |shard| self.contains(*shard))
    }

    /// Returns the shards that are not in `others`.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Returns the ranges of backlog numbers of these shards; both ends are inclusive.
    pub fn ranges(self) -> Vec<(i64, i64)> {
        let mut ranges: Vec<(i64, i64)> = Vec::new();
        for shard in (0..SHARDS).rev().map(Shard).filter(|shard| self.contains(*shard)) {
            let below = i64::from(shard.0) << HASH_BITS;
            // Numbers count down from -1, so the highest shard has the lowest numbers.
            let (first, last) = (-1 - (below + ((1 << HASH_BITS) - 1)), -1 - below);
            match ranges.last_mut() {
                Some((_, before)) if *before + 1 == first => *before = last,
                _ => ranges.push((first, last)),
            }
        }
        ranges
    }
}

impl FromIterator<Shard> for Shards {
    fn from_iter<I: IntoIterator<Item = Shard>>(shards: I) -> Self {
        Self(shards.into_iter().fold(0, |all, shard| all | 1 << shard.0))
    }
}

impl fmt::Debug for Shards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Shard::number)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(n: u8) -> LimitScopeId {
        LimitScopeId::from_bytes([n; 16])
    }

    #[test]
    fn backlog_number_is_stable() {
        let target = TargetId::from_bytes([9; 16]);
        // These numbers are persisted in stores: a change would separate pending deliveries from their backlog.
        assert_eq!(Backlog::of_target(scope(7), target).number(), PINNED[0]);
        assert_eq!(Backlog::of_key(scope(7), target, b"a").number(), PINNED[1]);
    }

    const PINNED: [i64; 2] = [-3_318_104_360_943_449_781, -3_337_142_575_296_788_582];

    #[test]
    fn backlogs_of_a_scope_share_a_shard_and_differ() {
        for n in 0..=255 {
            let backlogs = [
                Backlog::of_target(scope(n), TargetId::from_bytes([1; 16])),
                Backlog::of_target(scope(n), TargetId::from_bytes([2; 16])),
                Backlog::of_key(scope(n), TargetId::from_bytes([2; 16]), b"a"),
                Backlog::of_key(scope(n), TargetId::from_bytes([2; 16]), b"b"),
            ];
            assert!(backlogs.iter().all(|backlog| backlog.shard() == backlogs[0].shard()));
            for (index, backlog) in backlogs.iter().enumerate() {
                assert!(backlogs[..index].iter().all(|other| other != backlog));
                assert_eq!(Backlog::from_number(backlog.number()), Some(*backlog));
                let of_shard: Shards = [backlog.shard()].into_iter().collect();
                let [(first, last)] = of_shard.ranges()[..] else { panic!("one range") };
                assert!(first <= backlog.number() && backlog.number() <= last);
            }
        }
    }

    #[test]
    fn ranges_cover_exactly_their_shards() {
        assert_eq!(Shards::ALL.ranges(), [(i64::MIN, -1)]);
        assert_eq!(Shards::NONE.ranges(), []);
        let some: Shards = [0, 1, 5, 63].into_iter().filter_map(Shard::new).collect();
        let ranges = some.ranges();
        assert_eq!(ranges.len(), 3);
        for (first, last) in ranges {
            for number in [first, last] {
                assert!(some.contains(Backlog(number).shard()));
            }
        }
        assert_eq!(some.without([Shard(1)].into_iter().collect()).iter().map(Shard::number).collect::<Vec<_>>(), [0, 5, 63]);
        assert_eq!((Backlog::from_number(0), Backlog::from_number(7)), (None, None));
    }
}
