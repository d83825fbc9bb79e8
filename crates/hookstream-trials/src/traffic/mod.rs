//! What `bench` and `torture` share: servers in processes of their own, messages with numbers, a connection
//! that sends them and a listener that receives them.

pub(crate) mod connection;
pub(crate) mod listener;
pub(crate) mod payload;
pub(crate) mod process;
