//! Live stream: `GET /ws` (WebSocket) and `GET /stream` (server-sent events).
//!
//! Both are a [`session::Session`]: a caller, its subscriptions and the events of its environment. A session ends when its
//! credentials do, and when the server stops.

pub(crate) mod caller;
pub(crate) mod frame;
pub(crate) mod handshake;
pub(crate) mod open_streams;
pub(crate) mod session;
pub(crate) mod socket;
pub(crate) mod sse;

use crate::operation::{Operations, operations};

/// Operations of the live stream.
pub(crate) fn operations<A: Operations>(all: A) -> A {
    operations!(
        all,
        socket::{open},
        sse::{open},
    )
}
