//! Cache of two generations: when the younger is full, it becomes the older, and the old one is dropped.

use std::{collections::HashMap, hash::Hash};

/// Cached values with their weights. Together they never weigh more than two generations and one entry.
#[derive(Debug)]
pub(crate) struct AgingCache<K, V> {
    young: HashMap<K, (V, usize)>,
    old: HashMap<K, (V, usize)>,
    /// Weight of the young generation.
    weight: usize,
    /// Maximum weight of a generation.
    most: usize,
}

impl<K: Eq + Hash + Copy, V: Clone> AgingCache<K, V> {
    pub(crate) fn new(most: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), weight: 0, most }
    }

    /// Returns a value of the young generation.
    pub(crate) fn young(&self, key: &K) -> Option<V> {
        self.young.get(key).map(|(value, _)| value.clone())
    }

    /// Returns a value of either generation and moves it to the young one.
    pub(crate) fn rejuvenate(&mut self, key: K) -> Option<V> {
        if let Some((value, weight)) = self.old.remove(&key) {
            self.insert(key, value, weight);
        }
        self.young(&key)
    }

    /// Changes a value of either generation.
    pub(crate) fn change(&mut self, key: &K, change: impl FnOnce(&mut V)) {
        if let Some((value, _)) = self.young.get_mut(key).or_else(|| self.old.get_mut(key)) {
            change(value);
        }
    }

    pub(crate) fn insert(&mut self, key: K, value: V, weight: usize) {
        self.remove(&key);
        if self.weight >= self.most {
            self.old = std::mem::take(&mut self.young);
            self.weight = 0;
        }
        self.weight += weight;
        self.young.insert(key, (value, weight));
    }

    pub(crate) fn remove(&mut self, key: &K) {
        self.old.remove(key);
        if let Some((_, weight)) = self.young.remove(key) {
            self.weight -= weight;
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn used_entries_stay_and_unused_ones_are_evicted() {
        let mut kept = AgingCache::new(10);
        kept.insert(0, "often", 1);
        for number in 1..100 {
            assert_eq!(kept.rejuvenate(0), Some("often"), "{number}");
            kept.insert(number, "once", 3);
            let weight: usize = kept.young.values().chain(kept.old.values()).map(|(_, weight)| weight).sum();
            assert!(weight <= 2 * (10 + 3), "{weight}");
            assert_eq!(kept.weight, kept.young.values().map(|(_, weight)| weight).sum::<usize>());
        }
        assert_eq!(kept.rejuvenate(1), None);
        kept.remove(&0);
        assert_eq!((kept.young(&0), kept.rejuvenate(0)), (None, None));
        kept.insert(5, "again", 3);
        kept.insert(5, "and again", 1);
        assert_eq!(kept.young(&5), Some("and again"));
        kept.clear();
        assert_eq!(kept.rejuvenate(5), None);
    }
}
