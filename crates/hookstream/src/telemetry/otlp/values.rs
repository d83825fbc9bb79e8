//! Values of the protocol that all signals share: attributes, the resource, the scope.

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
};

/// Maximum length of a text, in bytes; the rest is cut off.
const TEXT_MAX: usize = 4_096;

pub(super) fn text(text: impl Into<String>) -> AnyValue {
    let mut text = text.into();
    text.truncate(text.floor_char_boundary(TEXT_MAX));
    AnyValue { value: Some(Value::StringValue(text)) }
}

pub(super) const fn value(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

pub(super) fn attribute(key: impl Into<String>, value: AnyValue) -> KeyValue {
    KeyValue { key: key.into(), value: Some(value), ..KeyValue::default() }
}

/// Returns the resource: the service, its version, this node, and what the operator adds or replaces.
pub(super) fn resource(given: &[(String, String)], node: &str) -> Resource {
    let own = [("service.name", "hookstream"), ("service.version", env!("CARGO_PKG_VERSION")), ("service.instance.id", node)];
    let own = own.into_iter().filter(|(key, _)| given.iter().all(|(given, _)| given != key));
    let own = own.map(|(key, value)| attribute(key, text(value)));
    let given = given.iter().map(|(key, value)| attribute(key, text(value)));
    Resource { attributes: own.chain(given).collect(), ..Resource::default() }
}

/// Returns the scope of all telemetry of this program.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope { name: "hookstream".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned(), ..InstrumentationScope::default() }
}
