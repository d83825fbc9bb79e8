//! Loops: a message that was made by a delivery, which was made by a delivery, …
//!
//! An endpoint may point at a Hookstream, so that one message leads to another. Each delivery says how many
//! deliveries led to it, and a message that too many led to is refused: sooner or later it would come round.

use crate::InvalidField;

/// The header of a delivery that says how many led to it, itself included.
pub const HEADER: &str = "x-hookstream-hops";
/// How many deliveries may lead to a message.
pub const MAX: u32 = 8;

/// How many deliveries led to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hops(u32);

impl Hops {
    /// So many.
    pub const fn new(count: u32) -> Self {
        Self(count)
    }

    /// Reads the header's value.
    ///
    /// # Errors
    /// Where it is no number.
    pub fn parse(value: &str) -> Result<Self, InvalidField> {
        value.trim().parse().map(Self).map_err(|_| {
            InvalidField::new(HEADER, "must be a number, as Hookstream sends it with a delivery. Leave it out of other requests")
        })
    }

    /// How many.
    pub const fn count(self) -> u32 {
        self.0
    }

    /// Those of a delivery of such a message.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// Whether so many are a loop.
    pub const fn is_loop(self) -> bool {
        self.0 > MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_let_go_on_and_a_loop_is_not() {
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
