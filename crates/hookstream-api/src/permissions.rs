//! Which scope each operation needs. An operation that is not here is nobody's: a test names it.

use hookstream_model::scopes::{
    Resource::{ApiKeys, Applications, Audit, Endpoints, Engine, Environments, EventTypes, Jobs, Messages, Portal, Usage},
    Scope,
};
use http::Method;

/// What an operation needs, by its method and the pattern of its path; `None` where there is no such operation, or
/// it needs no caller.
pub(crate) fn needed(method: &Method, path: &str) -> Option<Scope> {
    let (read, write) = (Scope::read, Scope::write);
    // HEAD is answered as GET is (RFC 9110 section 9.3.2).
    let method = if method == Method::HEAD { "GET" } else { method.as_str() };
    Some(match (method, path.strip_prefix("/v1")?) {
        ("GET", "/applications" | "/applications/{appId}") => read(Applications),
        ("POST", "/applications") | ("PATCH" | "DELETE", "/applications/{appId}") => write(Applications),
        ("GET", "/applications/{appId}/endpoints" | "/applications/{appId}/endpoints/{id}") => read(Endpoints),
        ("POST", "/applications/{appId}/endpoints") | ("PATCH" | "DELETE", "/applications/{appId}/endpoints/{id}") => write(Endpoints),
        ("POST", "/applications/{appId}/endpoints/{id}/rotate-secret") => write(Endpoints),
        ("POST", "/applications/{appId}/endpoints/{id}/reset-circuit") => write(Endpoints),
        ("POST", "/applications/{appId}/endpoints/{id}/test") => write(Endpoints),
        ("POST", "/applications/{appId}/endpoints/{id}/recover" | "/applications/{appId}/endpoints/{id}/replay") => write(Jobs),
        ("GET", "/applications/{appId}/messages" | "/applications/{appId}/messages/{msgId}") => read(Messages),
        ("GET", "/applications/{appId}/messages/{msgId}/explain") => read(Messages),
        ("POST", "/applications/{appId}/messages" | "/applications/{appId}/messages/{msgId}/retry") => write(Messages),
        ("POST", "/applications/{appId}/portal-access") => write(Portal),
        ("GET", "/event-types" | "/event-types/{id}") => read(EventTypes),
        ("POST", "/event-types") | ("PATCH" | "DELETE", "/event-types/{id}") => write(EventTypes),
        ("GET", "/environments" | "/environments/{envId}") => read(Environments),
        ("PATCH", "/environments/{envId}") => write(Environments),
        ("GET", "/auth/api-keys" | "/auth/api-keys/{id}") => read(ApiKeys),
        ("POST", "/auth/api-keys" | "/auth/api-keys/{id}/rotate") | ("DELETE", "/auth/api-keys/{id}") => write(ApiKeys),
        ("GET", "/jobs" | "/jobs/{id}") => read(Jobs),
        ("POST", "/jobs/{id}/cancel") => write(Jobs),
        ("GET", "/engine/lanes" | "/nodes") => read(Engine),
        ("GET", "/usage") => read(Usage),
        ("GET", "/audit-log" | "/audit-log/export") => read(Audit),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_needs_a_scope_and_only_reading_ones_need_to_read() {
        let document = crate::document();
        for (path, item) in &document.paths.paths {
            let operations =
                [(Method::GET, &item.get), (Method::POST, &item.post), (Method::PATCH, &item.patch), (Method::DELETE, &item.delete)];
            for (method, operation) in operations {
                let Some(operation) = operation else { continue };
                let needed = needed(&method, path);
                let id = operation.operation_id.as_deref().unwrap_or_default();
                if path.starts_with("/v1/health") {
                    assert_eq!(needed, None, "{id}");
                    continue;
                }
                let Some(needed) = needed else { panic!("{id} ({method} {path}) needs no scope: add it to permissions.rs") };
                let is_read = needed == Scope::read(needed.resource);
                assert_eq!(is_read, method == Method::GET, "{id}");
            }
            assert!(item.put.is_none() && item.head.is_none() && item.options.is_none(), "{path} has a method that is not checked");
        }
    }
}
