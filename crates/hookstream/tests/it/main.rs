//! End-to-end tests of the real binary: started, called, killed, started again.

mod binary;
mod identity;
mod operations;
mod outbound;
mod realtime;
mod support;
