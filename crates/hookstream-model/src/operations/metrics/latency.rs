//! Histogram of latencies in fixed buckets, so that histograms of any times and nodes add up.

use std::{ops::AddAssign, time::Duration};

/// Upper bounds of the buckets in milliseconds, exclusive; the last bucket has none. They grow by a factor of about
/// 1.6, so a percentile is off by at most that factor, and by less than a tenth where latencies spread evenly. An attempt
/// lasts at most a minute (`timeout_ms`), so the last bound is never the usual case.
const BOUNDS_MS: [u64; Latencies::BUCKETS - 1] =
    [1, 2, 3, 4, 7, 11, 17, 27, 43, 69, 110, 176, 281, 450, 721, 1_153, 1_845, 2_951, 4_722, 7_556, 12_089, 19_343, 30_949, 49_517, 79_228];
/// Upper end of the last bucket for interpolation: five minutes.
const LAST_MS: u64 = 300_000;

/// Numbers of latencies by bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Latencies([i64; Self::BUCKETS]);

impl Latencies {
    /// Number of buckets.
    pub const BUCKETS: usize = 26;

    /// Builds a histogram from the numbers of its buckets.
    pub const fn from_buckets(buckets: [i64; Self::BUCKETS]) -> Self {
        Self(buckets)
    }

    /// Returns the numbers of the buckets.
    pub const fn buckets(&self) -> &[i64; Self::BUCKETS] {
        &self.0
    }

    /// Counts a latency.
    pub fn note(&mut self, latency: Duration) {
        let ms = u64::try_from(latency.as_millis()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_MS.partition_point(|bound| *bound <= ms);
        self.0[bucket] += 1;
    }

    /// Returns the number of latencies.
    pub fn count(&self) -> i64 {
        self.0.iter().sum()
    }

    /// Returns the latency in milliseconds below which this share (0 to 1) of all lies, interpolated within its bucket.
    /// `None` without latencies.
    pub fn percentile_ms(&self, share: f64) -> Option<f64> {
        let count = self.count();
        if count <= 0 {
            return None;
        }
        let wanted = share.clamp(0.0, 1.0) * count as f64;
        let mut below = 0.0;
        let mut low = 0;
        for (number, high) in self.0.iter().zip(BOUNDS_MS.iter().chain([&LAST_MS])) {
            let number = *number as f64;
            if number > 0.0 && below + number >= wanted {
                let part = ((wanted - below) / number).clamp(0.0, 1.0);
                return Some(low as f64 + part * (high - low) as f64);
            }
            below += number;
            low = *high;
        }
        Some(LAST_MS as f64)
    }
}

impl AddAssign for Latencies {
    fn add_assign(&mut self, more: Self) {
        for (number, more) in self.0.iter_mut().zip(more.0) {
            *number += more;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(milliseconds: &[u64]) -> Latencies {
        let mut latencies = Latencies::default();
        milliseconds.iter().for_each(|ms| latencies.note(Duration::from_millis(*ms)));
        latencies
    }

    #[test]
    fn bounds_grow_by_at_most_three_quarters() {
        for pair in BOUNDS_MS.windows(2) {
            assert!(pair[0] < pair[1] && (pair[0] < 4 || pair[1] * 4 <= pair[0] * 7), "{pair:?}");
        }
    }

    #[test]
    fn latency_belongs_to_the_bucket_below_its_bound() {
        let check = |ms, bucket: usize| assert_eq!(of(&[ms]).0[bucket], 1, "{ms} ms");
        check(0, 0);
        check(1, 1);
        check(2, 2);
        check(10, 5);
        check(11, 6);
        check(79_227, 24);
        check(79_228, 25);
        check(u64::MAX, 25);
    }

    #[test]
    fn percentile_is_interpolated_within_its_bucket() {
        assert_eq!(Latencies::default().percentile_ms(0.5), None);
        // All 100 lie between 69 ms and 110 ms.
        let check = |share, expected: f64| {
            let found = of(&[100; 100]).percentile_ms(share).expect("there are latencies");
            assert!((found - expected).abs() < 0.01, "{share}: {found}");
        };
        check(0.0, 69.0);
        check(0.5, 89.5);
        check(1.0, 110.0);
    }

    #[test]
    fn percentile_of_a_spread_is_within_a_bucket_of_the_true_one() {
        let all: Vec<u64> = (1..=1_000).collect();
        for (share, expected) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0)] {
            let found = of(&all).percentile_ms(share).expect("there are latencies");
            assert!((found / expected - 1.0_f64).abs() < 0.2, "{share}: {found}");
        }
    }

    #[test]
    fn histograms_add_up() {
        let mut sum = of(&[5, 500]);
        sum += of(&[5, 50_000]);
        assert_eq!(sum, of(&[5, 5, 500, 50_000]));
        assert_eq!(sum.count(), 4);
    }
}
