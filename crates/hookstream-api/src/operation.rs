//! Lists of operations: each folder names its operations once, and they become routes or the OpenAPI document.
//!
//! The server has the routes only. The document is derived by `xtask openapi`, and the server answers with what that
//! wrote ([`openapi::serve`](crate::openapi::serve)), so that the binary has no code that describes schemas.

use axum::{
    Router,
    handler::Handler,
    routing::{self, MethodFilter},
};
use utoipa::{
    __dev::{SchemaReferences, Tags},
    Path,
    openapi::{Components, HttpMethod, OpenApi, path::Operation},
};

use crate::state::Api;

/// Collection of operations: routes, or the document.
pub(crate) trait Operations: Sized {
    /// Adds an operation, which `P` describes.
    fn add<P, H, T>(self, handler: H) -> Self
    where
        P: Path + SchemaReferences + for<'t> Tags<'t>,
        H: Handler<T, Api>,
        T: 'static,
    {
        self.add_changed::<P, H, T>(handler, Change { path: str::to_owned, operation: |_| () })
    }

    /// Adds an operation under another path and with another description.
    fn add_changed<P, H, T>(self, handler: H, change: Change) -> Self
    where
        P: Path + SchemaReferences + for<'t> Tags<'t>,
        H: Handler<T, Api>,
        T: 'static;
}

/// Differences of an operation from its own description.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    pub(crate) path: fn(&str) -> String,
    pub(crate) operation: fn(&mut Operation),
}

impl Operations for Router<Api> {
    fn add_changed<P, H, T>(self, handler: H, change: Change) -> Self
    where
        P: Path + SchemaReferences + for<'t> Tags<'t>,
        H: Handler<T, Api>,
        T: 'static,
    {
        let on_methods = P::methods().iter().fold(routing::MethodRouter::new(), |all, method| all.on(filter(method), handler.clone()));
        self.route(&(change.path)(&P::path()), on_methods)
    }
}

impl Operations for OpenApi {
    fn add_changed<P, H, T>(mut self, _: H, change: Change) -> Self
    where
        P: Path + SchemaReferences + for<'t> Tags<'t>,
        H: Handler<T, Api>,
        T: 'static,
    {
        let mut operation = P::operation();
        let tags = P::tags();
        if !tags.is_empty() {
            operation.tags.get_or_insert_default().extend(tags.iter().map(ToString::to_string));
        }
        (change.operation)(&mut operation);
        self.paths.add_path_operation((change.path)(&P::path()), P::methods(), operation);
        let mut schemas = Vec::new();
        P::schemas(&mut schemas);
        self.components.get_or_insert_with(Components::new).schemas.extend(schemas);
        self
    }
}

fn filter(method: &HttpMethod) -> MethodFilter {
    match method {
        HttpMethod::Get => MethodFilter::GET,
        HttpMethod::Post => MethodFilter::POST,
        HttpMethod::Put => MethodFilter::PUT,
        HttpMethod::Patch => MethodFilter::PATCH,
        HttpMethod::Delete => MethodFilter::DELETE,
        HttpMethod::Head => MethodFilter::HEAD,
        HttpMethod::Options => MethodFilter::OPTIONS,
        HttpMethod::Trace => MethodFilter::TRACE,
    }
}

/// Adds operations: `operations!(all, module::{one, two}, other::module::{three})`. Each is a handler with
/// `#[utoipa::path]`.
macro_rules! operations {
    (@one $all:ident ($($module:ident)::+) $operation:ident) => {
        pastey::paste! {
            crate::operation::Operations::add::<$($module::)+ [<__path_ $operation>], _, _>($all, $($module::)+ $operation)
        }
    };
    (@module $all:ident $module:tt $($operation:ident)+) => {{
        $( let $all = operations!(@one $all $module $operation); )+
        $all
    }};
    ($all:expr $(, $($module:ident)::+ ::{ $($operation:ident),+ $(,)? })* $(,)?) => {{
        let all = $all;
        $( let all = operations!(@module all ($($module)::+) $($operation)+); )*
        all
    }};
}

pub(crate) use operations;
