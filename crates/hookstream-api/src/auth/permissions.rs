//! Permission that each operation needs. An operation that is not listed is refused, and a test names it.

use hookstream_model::identity::scopes::{
    Resource::{
        Alerts, ApiKeys, Applications, Audit, Endpoints, Engine, Environments, EventTypes, Jobs, Members, Messages, Organization, Portal,
        Usage, Views,
    },
    Scope,
};
use http::Method;

/// Permission that an operation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// Caller with this scope.
    Scope(Scope),
    /// Caller with this scope whose key has the level `organization`, or a user: the operation reaches beyond one
    /// environment.
    Organization(Scope),
    /// Signed-in user: the operation concerns the user's own account.
    Person,
    /// Customer with a portal token.
    Customer,
    /// Customer with a portal token that is not read-only: the operation changes something or shows a secret.
    CustomerWrite,
    /// Caller or customer; each channel needs a scope of its own.
    Stream,
    /// Nothing: callers of the operation are not authenticated yet.
    Nothing,
}

/// Start of the paths of operations on operational endpoints.
const OPERATIONAL: &str = "/v1/operational-webhooks";

/// Returns the rest of a path of operational endpoints.
pub(crate) fn operational_path(path: &str) -> Option<&str> {
    path.strip_prefix(OPERATIONAL)
}

/// Returns the permission that an operation needs, by its method and path pattern; `None` if the operation does not
/// exist.
pub(crate) fn needed(method: &Method, path: &str) -> Option<Need> {
    let (read, write) = (|resource| Need::Scope(Scope::read(resource)), |resource| Need::Scope(Scope::write(resource)));
    let of_organization = (|resource| Need::Organization(Scope::read(resource)), |resource| Need::Organization(Scope::write(resource)));
    let (read_of_organization, write_of_organization) = of_organization;
    // HEAD is answered like GET (RFC 9110 section 9.3.2).
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    if (method, path) == ("GET", "/metrics") {
        return Some(Need::Scope(Scope::OPERATOR_METRICS));
    }
    let of_operators = operational_path(path);
    if let Some("/event-types") = of_operators {
        return (method == "GET").then(|| read(Endpoints));
    }
    // As on the endpoints of an application.
    let of_application = of_operators.map(|rest| format!("/v1/applications/{{appId}}{rest}"));
    Some(match (method, of_application.as_deref().unwrap_or(path).strip_prefix("/v1")?) {
        ("GET", "/applications" | "/applications/{appId}") => read(Applications),
        ("POST", "/applications") | ("PATCH" | "DELETE", "/applications/{appId}") => write(Applications),
        ("GET", "/applications/{appId}/endpoints" | "/applications/{appId}/endpoints/{id}") => read(Endpoints),
        ("GET", "/endpoints" | "/applications/{appId}/endpoints/{id}/health" | "/problems") => read(Endpoints),
        ("POST", "/applications/{appId}/endpoints" | "/test-receivers") | ("PATCH" | "DELETE", "/applications/{appId}/endpoints/{id}") => {
            write(Endpoints)
        }
        ("POST", "/applications/{appId}/endpoints/{id}/rotate-secret") => write(Endpoints),
        ("GET", "/applications/{appId}/endpoints/{id}/secret") => Need::Scope(Scope::ENDPOINT_SECRETS),
        ("GET", "/applications/{appId}/endpoints/{id}/attempts" | "/attempts") => read(Messages),
        ("GET", "/messages" | "/messages/counts" | "/messages/{msgId}" | "/messages/{msgId}/explain") => read(Messages),
        ("GET", "/messages/{msgId}/attempts/{id}") => read(Messages),
        ("POST", "/applications/{appId}/endpoints/{id}/reset-circuit") => write(Endpoints),
        ("POST", "/applications/{appId}/endpoints/{id}/test") => write(Endpoints),
        ("POST", "/applications/{appId}/endpoints/{id}/recover" | "/applications/{appId}/endpoints/{id}/replay") => write(Jobs),
        ("GET", "/applications/{appId}/messages" | "/applications/{appId}/messages/{msgId}") => read(Messages),
        ("GET", "/applications/{appId}/messages/{msgId}/explain" | "/applications/{appId}/messages/{msgId}/attempts/{id}") => {
            read(Messages)
        }
        ("POST", "/applications/{appId}/messages" | "/applications/{appId}/messages/{msgId}/retry") => write(Messages),
        ("POST", "/applications/{appId}/portal-access") => write(Portal),
        ("GET", "/portal/application" | "/portal/activity" | "/portal/event-types" | "/portal/jobs/{id}") => Need::Customer,
        ("GET", "/portal/endpoints" | "/portal/endpoints/{id}") => Need::Customer,
        ("POST", "/portal/endpoints") | ("PATCH" | "DELETE", "/portal/endpoints/{id}") => Need::CustomerWrite,
        ("GET", "/portal/endpoints/{id}/attempts" | "/portal/endpoints/{id}/health") => Need::Customer,
        ("GET", "/portal/endpoints/{id}/secret") => Need::CustomerWrite,
        ("POST", "/portal/endpoints/{id}/rotate-secret" | "/portal/endpoints/{id}/test" | "/portal/endpoints/{id}/recover") => {
            Need::CustomerWrite
        }
        ("GET", "/portal/messages" | "/portal/messages/{msgId}" | "/portal/messages/{msgId}/explain") => Need::Customer,
        ("GET", "/portal/messages/{msgId}/attempts/{id}") => Need::Customer,
        ("POST", "/portal/messages/{msgId}/retry") => Need::CustomerWrite,
        ("GET", "/portal/notifications") => Need::Customer,
        ("POST", "/portal/notifications" | "/portal/notifications/confirm") | ("DELETE", "/portal/notifications") => Need::CustomerWrite,
        ("POST", "/portal/renew") => Need::Customer,
        ("GET", "/event-types" | "/event-types/{id}") => read(EventTypes),
        ("POST", "/event-types") | ("PATCH" | "DELETE", "/event-types/{id}") => write(EventTypes),
        ("GET", "/environments" | "/environments/{envId}") => read(Environments),
        // The handler lets a key change its own environment only.
        ("PATCH", "/environments/{envId}") => write(Environments),
        ("POST", "/environments" | "/environments/{envId}/restore") | ("DELETE", "/environments/{envId}") => {
            write_of_organization(Environments)
        }
        // Listing and creating organizations concern the user's own account.
        ("GET" | "POST", "/organizations") => Need::Person,
        ("GET", "/organizations/{orgId}") => read(Organization),
        ("PATCH" | "DELETE", "/organizations/{orgId}") => write_of_organization(Organization),
        ("POST", "/organizations/{orgId}/restore" | "/organizations/{orgId}/transfer-ownership") => write_of_organization(Organization),
        ("GET", "/organizations/{orgId}/members" | "/organizations/{orgId}/invitations") => read_of_organization(Members),
        ("PATCH", "/organizations/{orgId}/members/{userId}") => write_of_organization(Members),
        // Every member may leave; the handler decides.
        ("DELETE", "/organizations/{orgId}/members/{userId}") => read_of_organization(Members),
        ("POST", "/organizations/{orgId}/invitations") | ("DELETE", "/organizations/{orgId}/invitations/{id}") => {
            write_of_organization(Members)
        }
        ("GET" | "PATCH", "/auth/session") | ("GET" | "DELETE", "/auth/sessions") | ("DELETE", "/auth/sessions/{id}") => Need::Person,
        ("POST", "/auth/sign-out" | "/auth/password") | ("PATCH", "/auth/profile") => Need::Person,
        ("POST", "/auth/second-factor" | "/auth/second-factor/confirm" | "/auth/second-factor/disable") => Need::Person,
        ("POST", "/auth/recovery-codes") => Need::Person,
        ("GET", "/auth/device/{userCode}") | ("POST", "/auth/device/{userCode}/allow" | "/auth/device/{userCode}/deny") => Need::Person,
        ("POST", "/auth/providers/{provider}/disconnect") => Need::Person,
        ("GET", "/auth/providers") | ("POST", "/auth/providers/{provider}/begin" | "/auth/providers/{provider}/end") => Need::Nothing,
        ("POST", "/auth/setup" | "/auth/sign-in" | "/auth/password/reset" | "/auth/password/forgot") => Need::Nothing,
        ("POST", "/auth/invitations/look" | "/auth/invitations/accept" | "/auth/device" | "/auth/device/token") => Need::Nothing,
        ("GET", "/health" | "/health/ready") => Need::Nothing,
        ("GET", "/auth/api-keys" | "/auth/api-keys/{id}") => read(ApiKeys),
        ("POST", "/auth/api-keys" | "/auth/api-keys/{id}/rotate") | ("DELETE", "/auth/api-keys/{id}") => write(ApiKeys),
        ("GET", "/jobs" | "/jobs/{id}") => read(Jobs),
        ("POST", "/jobs/{id}/cancel" | "/messages/retry") => write(Jobs),
        // A viewer keeps own views; the handler asks for `views:write` where a view is shared.
        ("GET" | "POST", "/views") | ("GET" | "PATCH" | "DELETE", "/views/{id}") => read(Views),
        ("GET", "/alerts" | "/alert-rules" | "/alert-rules/{id}" | "/notification-channels" | "/notification-channels/{id}") => {
            read(Alerts)
        }
        ("POST", "/alert-rules" | "/notification-channels" | "/notification-channels/{id}/test")
        | ("PATCH" | "DELETE", "/alert-rules/{id}" | "/notification-channels/{id}") => write(Alerts),
        ("GET", "/engine/lanes") => read(Engine),
        ("GET", "/nodes") => Need::Scope(Scope::OPERATOR_NODES),
        ("GET" | "POST", "/backups") => Need::Scope(Scope::OPERATOR_BACKUPS),
        ("GET", "/usage" | "/billing/usage") => read(Usage),
        ("GET", "/metrics/overview" | "/metrics/volume" | "/metrics/deliveries" | "/metrics/latency" | "/metrics/errors") => read(Usage),
        ("GET", "/audit-log" | "/audit-log/export") => read(Audit),
        ("GET", "/ws" | "/stream") => Need::Stream,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_listed_and_read_scopes_match_reading_operations() {
        let document = crate::document();
        for (path, item) in &document.paths.paths {
            let operations =
                [(Method::GET, &item.get), (Method::POST, &item.post), (Method::PATCH, &item.patch), (Method::DELETE, &item.delete)];
            for (method, operation) in operations {
                let Some(operation) = operation else { continue };
                let id = operation.operation_id.as_deref().unwrap_or_default();
                let Some(needed) = needed(&method, path) else { panic!("{id} ({method} {path}) is not in permissions.rs") };
                let is_of_customer = matches!(needed, Need::Customer | Need::CustomerWrite);
                assert_eq!(is_of_customer, crate::auth::portal_token::is_for_customers(path), "{id}");
                if is_of_customer {
                    // Revealing a secret is more than reading; renewing a token changes nothing.
                    let is_read = (method == Method::GET && id != "revealPortalSecret") || id == "renewPortalToken";
                    assert_eq!(is_read, needed == Need::Customer, "{id}");
                    continue;
                }
                if needed == Need::Stream {
                    assert!(crate::auth::bearer::is_of_stream(path), "{id}");
                    continue;
                }
                let (Need::Scope(needed) | Need::Organization(needed)) = needed else {
                    let is_listed = path.starts_with("/v1/auth/") || path.starts_with("/v1/health") || path == "/v1/organizations";
                    assert!(is_listed && !path.starts_with("/v1/auth/api-keys"), "{id} is for callers without a scope");
                    continue;
                };
                if needed == Scope::OPERATOR_BACKUPS {
                    // The only scope for both: to list them and to start one.
                    continue;
                }
                let is_named = [Scope::OPERATOR_NODES, Scope::OPERATOR_METRICS].contains(&needed) || needed == Scope::ENDPOINT_SECRETS;
                let is_read = needed == Scope::read(needed.resource) || is_named;
                let is_decided_by_handler = ["removeMember", "createView", "updateView", "deleteView"].contains(&id);
                assert_eq!(is_read, method == Method::GET || is_decided_by_handler, "{id}");
            }
            assert!(item.put.is_none() && item.head.is_none() && item.options.is_none(), "{path} has a method that is not checked");
        }
    }
}
