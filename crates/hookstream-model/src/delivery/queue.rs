//! Backlogs: what waits in the store for one target, apart from all others.
//!
//! A delivery that its lane has no room for, or that may not be sent for now, stands in its target's backlog;
//! where a target keeps an order by key, each key has a backlog of its own. A backlog's number is made of what
//! it is for, so that every process finds the same one. Backlogs are shared out among processes by shard.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::base::ids::{ApplicationId, TargetId};

/// How many shards there are. It can never change: the numbers in the store are made with it.
pub const SHARDS: u8 = 64;
/// The bits of a number below its shard.
const HASH_BITS: u32 = 57;

/// A backlog, by its number, which is below 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Backlog(i64);

impl Backlog {
    /// The backlog of a target.
    pub fn of_target(application: ApplicationId, target: TargetId) -> Self {
        Self::new(application, &[target.as_bytes()])
    }

    /// The backlog of a target's key.
    pub fn of_key(application: ApplicationId, target: TargetId, key: &[u8]) -> Self {
        Self::new(application, &[target.as_bytes(), key])
    }

    /// All of an application's backlogs are in one shard, since it may have a limit over all of them.
    fn new(application: ApplicationId, parts: &[&[u8]]) -> Self {
        let shard = u64::from(Sha256::digest(application.as_bytes())[0] % SHARDS);
        let mut hash = Sha256::new();
        parts.iter().for_each(|part| hash.update(part));
        let hash: [u8; 32] = hash.finalize().into();
        let hash = hash[..8].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)) >> (64 - HASH_BITS);
        let number = i64::try_from(shard << HASH_BITS | hash).expect("63 bits");
        Self(-1 - number)
    }

    /// The backlog that a column names; `None` where it names none.
    pub const fn from_number(number: i64) -> Option<Self> {
        if number < 0 { Some(Self(number)) } else { None }
    }

    /// Its number, as it stands in the store.
    pub const fn number(self) -> i64 {
        self.0
    }

    /// The shard it is in.
    pub fn shard(self) -> Shard {
        Shard(u8::try_from((-1 - self.0) >> HASH_BITS).expect("a number has a shard of 6 bits"))
    }
}

/// A shard of backlogs: one process at a time works on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shard(u8);

impl Shard {
    /// The shard with this number.
    pub const fn new(number: u8) -> Option<Self> {
        if number < SHARDS { Some(Self(number)) } else { None }
    }

    /// Its number: 0 to 63.
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// A set of shards.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Shards(u64);

impl Shards {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// All of them.
    pub const ALL: Self = Self(u64::MAX);

    /// Whether a shard is among them.
    pub const fn contains(self, shard: Shard) -> bool {
        self.0 & (1 << shard.0) != 0
    }

    /// How many there are.
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// Each of them.
    pub fn iter(self) -> impl Iterator<Item = Shard> {
        (0..SHARDS).map(Shard).filter(move |shard| self.contains(*shard))
    }

    /// Those that are not among `others`.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// The numbers of their backlogs, as ranges from the first to the last.
    pub fn ranges(self) -> Vec<(i64, i64)> {
        let mut ranges: Vec<(i64, i64)> = Vec::new();
        for shard in (0..SHARDS).rev().map(Shard).filter(|shard| self.contains(*shard)) {
            let below = i64::from(shard.0) << HASH_BITS;
            // Of the shard with the highest number the lowest, since numbers count down from -1.
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

    fn application(n: u8) -> ApplicationId {
        ApplicationId::from_bytes([n; 16])
    }

    #[test]
    fn a_line_has_the_same_number_everywhere_and_always() {
        let target = TargetId::from_bytes([9; 16]);
        // These numbers stand in stores: a change would part what waits from its backlog.
        assert_eq!(Backlog::of_target(application(7), target).number(), PINNED[0]);
        assert_eq!(Backlog::of_key(application(7), target, b"a").number(), PINNED[1]);
    }

    const PINNED: [i64; 2] = [-3_318_104_360_943_449_781, -3_337_142_575_296_788_582];

    #[test]
    fn an_applications_lines_are_all_in_one_group_and_apart() {
        for n in 0..=255 {
            let backlogs = [
                Backlog::of_target(application(n), TargetId::from_bytes([1; 16])),
                Backlog::of_target(application(n), TargetId::from_bytes([2; 16])),
                Backlog::of_key(application(n), TargetId::from_bytes([2; 16]), b"a"),
                Backlog::of_key(application(n), TargetId::from_bytes([2; 16]), b"b"),
            ];
            assert!(backlogs.iter().all(|backlog| backlog.shard() == backlogs[0].shard()));
            for (index, backlog) in backlogs.iter().enumerate() {
                assert!(backlogs[..index].iter().all(|other| other != backlog));
                assert_eq!(Backlog::from_number(backlog.number()), Some(*backlog));
                let of_group: Shards = [backlog.shard()].into_iter().collect();
                let [(first, last)] = of_group.ranges()[..] else { panic!("one range") };
                assert!(first <= backlog.number() && backlog.number() <= last);
            }
        }
    }

    #[test]
    fn ranges_cover_their_groups_and_nothing_else() {
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
