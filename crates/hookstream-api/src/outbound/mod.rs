//! Operations on outbound resources; each has a file or folder.

pub(crate) mod applications;
pub(crate) mod attempts;
pub(crate) mod endpoints;
pub(crate) mod event_types;
pub(crate) mod exchange;
pub(crate) mod explain;
pub(crate) mod messages;
mod notification_channels;
pub(crate) mod operational_webhooks;
pub(crate) mod test_receivers;

use crate::operation::{Operations, operations};

/// Operations on applications, endpoints, event types, messages, attempts and notification channels.
pub(crate) fn operations<A: Operations>(all: A) -> A {
    let all = operations!(
        all,
        applications::{list, create, get, update, delete},
    );
    let all = notification_channels::operations(operational_webhooks::operations(endpoints::operations(all)));
    operations!(
        all,
        test_receivers::{create},
        messages::list::{list},
        messages::send::{send},
        messages::read::{get},
        messages::list::{list_all},
        messages::counts::{count_all},
        messages::read::{get_by_id},
        exchange::{get, get_by_message},
        attempts::{list, list_all},
        messages::retry::{retry},
        explain::{explain, explain_by_id},
        event_types::{list, create, get, update, delete},
    )
}
