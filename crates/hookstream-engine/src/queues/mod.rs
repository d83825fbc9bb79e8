//! Lanes, and the turns that they take.

pub(crate) mod dispatch;
pub(crate) mod lanes;
