//! Alerts: rules, the alerts that they raised, and the notification channels that are told.

pub(crate) mod channel_view;
pub(crate) mod channels;
pub(crate) mod list;
pub(crate) mod rules;

use crate::operation::{Operations, operations};

/// Operations on alert rules, alerts and notification channels.
pub(super) fn operations<A: Operations>(all: A) -> A {
    operations!(
        all,
        rules::{list, create, get, update, delete},
        list::{list},
        channels::{list, create, get, update, delete, test},
    )
}
