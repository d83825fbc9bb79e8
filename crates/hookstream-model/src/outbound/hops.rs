//! Hops: protection against delivery loops.
//!
//! An endpoint may point at a Hookstream, so one message can cause another. Each delivery carries the number of
//! deliveries that led to it. A message with too many hops is rejected, because it is probably part of a loop.

use crate::InvalidField;

/// Header with the number of deliveries that led to a request, itself included.
pub const HEADER: &str = "x-hookstream-hops";
/// Maximum number of deliveries that may lead to a message.
pub const MAX: u32 = 8;

/// Number of deliveries that led to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hops(u32);

impl Hops {
    /// Builds a hop count.
    pub const fn new(count: u32) -> Self {
        Self(count)
    }

    /// Parses the header's value.
    ///
    /// # Errors
    /// If the value is not a number.
    pub fn parse(value: &str) -> Result<Self, InvalidField> {
        value.trim().parse().map(Self).map_err(|_| {
            InvalidField::new(HEADER, "must be a number, as Hookstream sends it with a delivery. Leave it out of other requests")
        })
    }

    /// The number.
    pub const fn count(self) -> u32 {
        self.0
    }

    /// Hop count of a delivery of this message.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Returns true if the count exceeds the limit.
    pub const fn is_loop(self) -> bool {
        self.0 > MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chain_up_to_the_limit_is_accepted_and_a_loop_is_not() {
        let mut hops = Hops::default();
        for _ in 0..MAX {
            hops = hops.next();
            assert!(!hops.is_loop(), "{hops:?}");
        }
        assert!(hops.next().is_loop());
        assert!(Hops::new(u32::MAX).next().is_loop());
        assert_eq!(Hops::parse(" 3 "), Ok(Hops::new(3)));
        for value in ["", "-1", "x", "1.5", "99999999999"] {
            assert!(Hops::parse(value).is_err(), "{value}");
        }
    }
}
