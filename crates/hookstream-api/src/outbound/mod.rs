//! Operations on outbound resources; each has a file or folder.

pub(crate) mod applications;
pub(crate) mod attempts;
pub(crate) mod endpoints;
pub(crate) mod event_types;
pub(crate) mod exchange;
pub(crate) mod explain;
pub(crate) mod messages;
pub(crate) mod test_receivers;

use crate::operation::{Operations, operations};

/// Operations on applications, endpoints, event types, messages and attempts.
pub(crate) fn operations<A: Operations>(all: A) -> A {
    let all = operations!(
        all,
        applications::{list, create, get, update, delete},
    );
    let all = endpoints::operations(all);
    operations!(
        all,
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
pub(crate) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(applications::list, applications::create))
        .routes(routes!(applications::get, applications::update, applications::delete))
        .merge(endpoints::routes())
        .routes(routes!(test_receivers::create))
        .routes(routes!(messages::list::list, messages::send::send))
        .routes(routes!(messages::read::get))
        .routes(routes!(messages::list::list_all))
        .routes(routes!(messages::counts::count_all))
        .routes(routes!(messages::read::get_by_id))
        .routes(routes!(exchange::get))
        .routes(routes!(exchange::get_by_message))
        .routes(routes!(attempts::list))
        .routes(routes!(attempts::list_all))
        .routes(routes!(messages::retry::retry))
        .routes(routes!(explain::explain))
        .routes(routes!(explain::explain_by_id))
        .routes(routes!(event_types::list, event_types::create))
        .routes(routes!(event_types::get, event_types::update, event_types::delete))
}
