//! Messages during a round: senders, receiver, ledger and the nodes they go through.

pub(crate) mod fleet;
pub(crate) mod ledger;
pub(crate) mod order;
pub(crate) mod receiver;
pub(crate) mod senders;
