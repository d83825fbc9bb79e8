//! Traffic of `bench` and `torture`: server processes, numbered messages, a connection that sends them and a listener
//! that receives them.

pub(crate) mod connection;
pub(crate) mod listener;
pub(crate) mod payload;
pub(crate) mod process;
