//! Messages of a round: senders, receiver, ledger and nodes.

pub(crate) mod fleet;
pub(crate) mod ledger;
pub(crate) mod order;
pub(crate) mod receiver;
pub(crate) mod senders;
