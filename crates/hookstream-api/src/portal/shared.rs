//! Operations that customers share with the sender: the same handlers under `/portal/…`.
//!
//! The OpenAPI document of such an operation is derived from the sender's; [`IN_PORTAL`] has the differences. The
//! handlers' [`ApplicationScope`](crate::auth::application_scope::ApplicationScope) is that of the portal token.

use axum::handler::Handler;
use utoipa::{
    __dev::{SchemaReferences, Tags},
    Path,
    openapi::{RefOr, path::Operation, security::SecurityRequirement},
};

use crate::{
    http::error::ErrorBody,
    operation::{Change, Operations},
    state::Api,
};

/// Start of the paths of operations on an application.
const OF_APPLICATION: &str = "/applications/{appId}";
/// Parameters that a portal token stands for.
const IN_TOKEN: [&str; 3] = ["appId", "org_id", "env_id"];

/// Differences of a shared operation in the portal.
struct InPortal {
    /// `operationId` of the sender's operation.
    of: &'static str,
    /// `operationId` in the portal.
    id: &'static str,
    /// Summary, if it is not the sender's with "in the portal".
    summary: Option<&'static str>,
    /// Description, if it is not the sender's.
    description: Option<&'static str>,
    /// Responses with another description, by status.
    responses: &'static [(&'static str, &'static str)],
    /// Statuses that the portal never answers.
    without: &'static [&'static str],
}

const fn same(of: &'static str, id: &'static str) -> InPortal {
    InPortal { of, id, summary: None, description: None, responses: &[], without: &[] }
}

/// Shared operations.
const IN_PORTAL: [InPortal; 16] = [
    InPortal { description: Some("The values of custom `headers` are shown as `***`."), ..same("listEndpoints", "listPortalEndpoints") },
    InPortal {
        description: Some(
            "The answer contains the signing secret. A customer can set `url`, `description`, `filter_types`, `headers`, `signing_algorithm` \
             and `signing_secret`. The sender sets all other fields.",
        ),
        responses: &[("403", "The application's quota of endpoints is used up (`quota_reached`).")],
        without: &["409"],
        ..same("createEndpoint", "createPortalEndpoint")
    },
    same("getEndpoint", "getPortalEndpoint"),
    InPortal { summary: Some("Get the health of an endpoint in the portal"), ..same("getEndpointHealth", "getPortalEndpointHealth") },
    InPortal {
        description: Some(
            "A customer can set `url`, `description`, `filter_types`, `headers` (which replace all current headers) and `status`. The sender \
             sets all other fields.",
        ),
        without: &["409"],
        ..same("updateEndpoint", "updatePortalEndpoint")
    },
    same("deleteEndpoint", "deletePortalEndpoint"),
    same("rotateSigningSecret", "rotatePortalSecret"),
    InPortal {
        description: Some("The audit log records each call."),
        responses: &[("403", "The portal does not reveal secrets (`reveal_disabled`).")],
        ..same("revealSigningSecret", "revealPortalSecret")
    },
    InPortal {
        summary: Some("Send a test message in the portal"),
        description: Some(
            "The message goes to this endpoint only, whatever its `filter_types` and `channels`. It is attempted once. Type and payload are \
             fixed.",
        ),
        responses: &[("429", "Too many requests (`rate_limited`), or the sender's monthly quota is used up (`quota_reached`).")],
        ..same("testEndpoint", "testPortalEndpoint")
    },
    same("recoverEndpoint", "recoverPortalEndpoint"),
    same("listEndpointAttempts", "listPortalAttempts"),
    InPortal { summary: Some("List messages in the portal"), ..same("listMessages", "listPortalMessages") },
    same("getMessage", "getPortalMessage"),
    InPortal { summary: Some("Get an attempt in the portal"), ..same("getAttempt", "getPortalAttempt") },
    InPortal { summary: Some("Explain a message in the portal"), ..same("explainMessage", "explainPortalMessage") },
    same("retryMessage", "retryPortalMessage"),
];

/// Adds operations on an application as operations of the portal.
pub(super) struct OfPortal<A>(pub(super) A);

impl<A: Operations> Operations for OfPortal<A> {
    fn add_changed<P, H, T>(self, handler: H, _: Change) -> Self
    where
        P: Path + SchemaReferences + for<'t> Tags<'t>,
        H: Handler<T, Api>,
        T: 'static,
    {
        Self(self.0.add_changed::<P, H, T>(handler, Change { path: path_in_portal, operation: restate }))
    }
}

fn path_in_portal(path: &str) -> String {
    let path = path.strip_prefix(OF_APPLICATION).expect("shared operations are on an application");
    format!("/portal{path}")
}

/// Makes the document of a sender's operation that of the portal's.
fn restate(operation: &mut Operation) {
    let known = IN_PORTAL.iter().find(|known| operation.operation_id.as_deref() == Some(known.of));
    let InPortal { of: _, id, summary, description, responses, without } = known.expect("shared operations are in IN_PORTAL");
    operation.operation_id = Some((*id).to_owned());
    operation.tags = Some(vec!["Portal".to_owned()]);
    operation.security = Some(vec![SecurityRequirement::new("portal", [""; 0])]);
    operation.summary = match summary {
        Some(summary) => Some((*summary).to_owned()),
        None => operation.summary.take().map(|summary| format!("{summary} in the portal")),
    };
    if let Some(description) = description {
        operation.description = Some((*description).to_owned());
    }
    let is_in_token = |name: &str| IN_TOKEN.contains(&name);
    let parameters = operation.parameters.take().unwrap_or_default();
    let kept: Vec<_> =
        parameters.into_iter().filter(|parameter| !matches!(parameter, RefOr::T(known) if is_in_token(&known.name))).collect();
    operation.parameters = (!kept.is_empty()).then_some(kept);
    let answers = &mut operation.responses.responses;
    answers.retain(|status, _| !without.contains(&status.as_str()));
    for (status, description) in *responses {
        match answers.get_mut(*status) {
            Some(RefOr::T(answer)) => (*description).clone_into(&mut answer.description),
            Some(RefOr::Ref(_)) | None => {
                answers.insert((*status).to_owned(), RefOr::T(ErrorBody::response(description)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portal_operations_take_a_portal_token_and_name_no_tenant() {
        let document = serde_json::to_value(crate::document()).expect("JSON");
        let mut ids = Vec::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for operation in item.as_object().expect("operations").values() {
                let id = operation["operationId"].as_str().expect("an id").to_owned();
                if !path.starts_with("/v1/portal/") {
                    assert!(operation["security"].is_null() || operation["security"][0]["portal"].is_null(), "{id}");
                    continue;
                }
                assert_eq!(operation["security"], serde_json::json!([{ "portal": [] }]), "{id}");
                assert_eq!(operation["tags"], serde_json::json!(["Portal"]), "{id}");
                let names = operation["parameters"].as_array().into_iter().flatten().map(|parameter| parameter["name"].as_str());
                assert!(names.flatten().all(|name| !IN_TOKEN.contains(&name)), "{id}: {}", operation["parameters"]);
                ids.push(id);
            }
        }
        for InPortal { id, .. } in IN_PORTAL {
            assert!(ids.iter().any(|known| known == id), "{id} is not in the document");
        }
    }
}
