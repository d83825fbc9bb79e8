//! Operational webhooks: endpoints that are told what happens in an environment.
//!
//! Operational endpoints belong to the application of the environment's system environment, and have the operations of any
//! endpoint, under `/operational-webhooks`. The OpenAPI document of such an operation is derived from the endpoint's; [`DERIVED`]
//! names the differences. The handlers' [`ApplicationScope`](crate::auth::application_scope::ApplicationScope) is that of the
//! system environment.

use axum::{Json, handler::Handler};
use hookstream_model::operations::operational_event::OperationalType;
use serde::Serialize;
use utoipa::{
    __dev::{SchemaReferences, Tags},
    Path, ToSchema,
    openapi::{RefOr, path::Operation},
};

use crate::{
    auth::caller::Caller,
    operation::{Change, Operations, operations},
    outbound::{
        attempts,
        endpoints::{create, delete, health, read, reset, secrets, test, update},
        exchange, explain, messages,
    },
    state::Api,
};

/// Start of the paths of operations on an application.
const OF_APPLICATION: &str = "/applications/{appId}";

/// Type of an operational event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OperationalEventType {
    /// Name, for `filter_types`.
    #[schema(example = "endpoint.disabled")]
    name: &'static str,
    /// Sentence about the type.
    #[schema(example = "An endpoint was disabled, by a user or after failing for too long.")]
    description: &'static str,
}

/// Types of operational events.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OperationalEventTypeList {
    event_types: Vec<OperationalEventType>,
}

/// List types of operational events
///
/// `filter_types` of an operational endpoint takes these names.
#[utoipa::path(
    get, path = "/operational-webhooks/event-types", operation_id = "listOperationalEventTypes", tag = "Operational webhooks",
    responses((status = 200, description = "All types.", body = OperationalEventTypeList))
)]
pub(crate) async fn list_event_types(_: Caller) -> Json<OperationalEventTypeList> {
    let described = |kind: &OperationalType| OperationalEventType { name: kind.as_str(), description: kind.description() };
    Json(OperationalEventTypeList { event_types: OperationalType::ALL.iter().map(described).collect() })
}

/// Derived operation.
struct Derived {
    /// `operationId` of the operation on any endpoint.
    of: &'static str,
    /// `operationId` of the derived one.
    id: &'static str,
    summary: &'static str,
}

/// Derived operations.
const DERIVED: [Derived; 16] = [
    Derived { of: "listEndpoints", id: "listOperationalEndpoints", summary: "List operational endpoints" },
    Derived { of: "createEndpoint", id: "createOperationalEndpoint", summary: "Create an operational endpoint" },
    Derived { of: "getEndpoint", id: "getOperationalEndpoint", summary: "Get an operational endpoint" },
    Derived { of: "getEndpointHealth", id: "getOperationalEndpointHealth", summary: "Get the health of an operational endpoint" },
    Derived { of: "updateEndpoint", id: "updateOperationalEndpoint", summary: "Change an operational endpoint" },
    Derived { of: "deleteEndpoint", id: "deleteOperationalEndpoint", summary: "Delete an operational endpoint" },
    Derived { of: "rotateSigningSecret", id: "rotateOperationalSecret", summary: "Rotate the secret of an operational endpoint" },
    Derived { of: "revealSigningSecret", id: "revealOperationalSecret", summary: "Reveal the secret of an operational endpoint" },
    Derived { of: "resetCircuit", id: "resetOperationalCircuit", summary: "Close the circuit of an operational endpoint" },
    Derived { of: "testEndpoint", id: "testOperationalEndpoint", summary: "Send a test message to an operational endpoint" },
    Derived { of: "listEndpointAttempts", id: "listOperationalAttempts", summary: "List attempts of an operational endpoint" },
    Derived { of: "listMessages", id: "listOperationalMessages", summary: "List operational messages" },
    Derived { of: "getMessage", id: "getOperationalMessage", summary: "Get an operational message" },
    Derived { of: "getAttempt", id: "getOperationalAttempt", summary: "Get an attempt of an operational message" },
    Derived { of: "explainMessage", id: "explainOperationalMessage", summary: "Explain an operational message" },
    Derived { of: "retryMessage", id: "retryOperationalMessage", summary: "Retry an operational message" },
];

/// Adds operations on an application as operations on operational endpoints.
struct OfOperators<A>(A);

impl<A: Operations> Operations for OfOperators<A> {
    fn add_changed<P, H, T>(self, handler: H, _: Change) -> Self
    where
        P: Path + SchemaReferences + for<'t> Tags<'t>,
        H: Handler<T, Api>,
        T: 'static,
    {
        Self(self.0.add_changed::<P, H, T>(handler, Change { path: path_of_operators, operation: restate }))
    }
}

fn path_of_operators(path: &str) -> String {
    let path = path.strip_prefix(OF_APPLICATION).expect("derived operations are on an application");
    format!("/operational-webhooks{path}")
}

/// Makes the document of an endpoint's operation that of an operational endpoint's.
fn restate(operation: &mut Operation) {
    let known = DERIVED.iter().find(|known| operation.operation_id.as_deref() == Some(known.of));
    let Derived { of: _, id, summary } = known.expect("derived operations are in DERIVED");
    operation.operation_id = Some((*id).to_owned());
    operation.summary = Some((*summary).to_owned());
    operation.tags = Some(vec!["Operational webhooks".to_owned()]);
    let parameters = operation.parameters.take().unwrap_or_default();
    let kept: Vec<_> = parameters.into_iter().filter(|parameter| !matches!(parameter, RefOr::T(known) if known.name == "appId")).collect();
    operation.parameters = (!kept.is_empty()).then_some(kept);
}

/// Operations on operational endpoints and their messages.
pub(crate) fn operations<A: Operations>(all: A) -> A {
    let all = operations!(all, crate::outbound::operational_webhooks::{list_event_types});
    operations!(
        OfOperators(all),
        read::{list},
        create::{create},
        read::{get},
        update::{update},
        delete::{delete},
        health::{get},
        secrets::{rotate_secret, reveal_secret},
        reset::{reset_circuit},
        test::{test},
        attempts::{list},
        messages::list::{list},
        messages::read::{get},
        exchange::{get},
        explain::{explain},
        messages::retry::{retry},
    )
    .0
}
