//! Operations of the customer portal.

pub(crate) mod access;
mod activity;
pub(crate) mod notifications;
pub(crate) mod operations;
mod renewal;
mod shared;

use self::shared::OfPortal;
use crate::{
    operation::{Operations, operations},
    operations::jobs,
    outbound::{
        attempts,
        endpoints::{create, delete, health, read, secrets, test, update},
        exchange, explain, messages,
    },
};

/// Operations of the customer portal.
pub(crate) fn operations<A: Operations>(all: A) -> A {
    let all = operations!(
        all,
        access::{create},
        renewal::{renew},
        operations::{application, get_job, list_event_types},
        activity::{list},
        notifications::{get, set, confirm, delete},
    );
    operations!(
        OfPortal(all),
        read::{list},
        create::{create},
        read::{get},
        update::{update},
        delete::{delete},
        health::{get},
        secrets::{rotate_secret, reveal_secret},
        test::{test},
        attempts::{list},
        jobs::{recover},
        messages::list::{list},
        messages::read::{get},
        messages::retry::{retry},
        exchange::{get},
        explain::{explain},
    )
    .0
}

#[cfg(test)]
mod tests;
