//! Notification channels, which alert rules tell.

mod operations;
mod view;

use crate::operation::{Operations, operations};

/// Operations on notification channels.
pub(super) fn operations<A: Operations>(all: A) -> A {
    operations!(all, operations::{list, create, get, update, delete, test})
}
