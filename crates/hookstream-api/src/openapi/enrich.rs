//! Additions to the derived document: closed sets of words, times, the JSON inside text fields, headers of requests
//! and responses, and examples that can be pasted.

use http::Method;
use serde_json::{Map, Value, json};

use super::words;
use crate::http::idempotency;

/// Completes the derived document.
pub(super) fn enrich(document: &mut Value) {
    document["servers"] = json!([{ "url": "/", "description": "This installation" }]);
    document["components"]["headers"] = headers();
    document["components"]["parameters"] = json!({ "IdempotencyKey": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": false,
        "description": "Idempotency key: 1 to 255 visible ASCII characters. The first successful answer is stored for a day (setting \
            `idempotency_hours`). A repetition of the request by the same caller gets the stored answer, with `Idempotency-Replayed: true`. \
            Another request with the same key is refused with 422 `idempotency_key_reused`.",
        "schema": { "type": "string", "minLength": 1, "maxLength": 255 },
        "example": "order-1042-created",
    } });
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        for (name, schema) in schemas.iter_mut() {
            complete_fields(name, schema);
        }
        add_portal_schemas(schemas);
    }
    join_lines(document);
    let schemas = document["components"]["schemas"].clone();
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (path, operations) in paths {
        for (method, operation) in operations.as_object_mut().into_iter().flatten() {
            let Ok(method) = method.to_ascii_uppercase().parse::<Method>() else { continue };
            complete_operation(&method, path, operation, &schemas);
        }
    }
}

/// Headers of responses.
fn headers() -> Value {
    let header = |description: &str, kind: &str, example: Value| json!({ "description": description, "schema": { "type": kind }, "example": example });
    json!({
        "X-Request-Id": header("Id of the request, as in the log.", "string", json!("req_3f9a0c5d7e21")),
        "RateLimit-Limit": header("Requests allowed per second.", "integer", json!(1000)),
        "RateLimit-Remaining": header("Requests remaining in the current second.", "integer", json!(998)),
        "RateLimit-Reset": header("Seconds until all requests are available again.", "integer", json!(1)),
        "Retry-After": header("Seconds to wait before the request is sent again.", "integer", json!(1)),
        "Idempotency-Replayed": header("`true` if the answer repeats that to an earlier request with the same key.", "string", json!("true")),
    })
}

/// Fields of an endpoint that only the sender sets; the portal refuses them.
const OF_SENDER: [&str; 13] = [
    "type",
    "config",
    "uid",
    "metadata",
    "channels",
    "rate_limit_per_second",
    "expires_at",
    "retry_schedule",
    "timeout_ms",
    "ordering",
    "ordering_key",
    "on_failure",
    "batch",
];

/// Bodies that have fewer fields in the portal: schema, schema in the portal, fields that are left out there.
const IN_PORTAL: [(&str, &str, &[&str]); 3] = [
    ("CreateEndpoint", "CreatePortalEndpoint", &OF_SENDER),
    ("UpdateEndpoint", "UpdatePortalEndpoint", &OF_SENDER),
    ("TestEndpoint", "TestPortalEndpoint", &["event_type", "payload"]),
];

/// Completes the fields of a schema, and those of its parts.
fn complete_fields(name: &str, schema: &mut Value) {
    for parts in ["allOf", "anyOf", "oneOf"] {
        for part in schema.get_mut(parts).and_then(Value::as_array_mut).into_iter().flatten() {
            complete_fields(name, part);
        }
    }
    for (field, property) in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        complete(name, field, property);
    }
}

/// Adds the schemas of bodies in the portal.
fn add_portal_schemas(schemas: &mut Map<String, Value>) {
    for (name, in_portal, left_out) in IN_PORTAL {
        let Some(mut schema) = schemas.get(name).cloned() else { continue };
        if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
            properties.retain(|field, _| !left_out.contains(&field.as_str()));
        }
        schemas.insert(in_portal.to_owned(), schema);
    }
}

/// Makes a body's schema refer to that of the portal.
fn refer_to_portal(schema: &mut Value) {
    for choice in schema.get_mut("oneOf").and_then(Value::as_array_mut).into_iter().flatten() {
        refer_to_portal(choice);
    }
    let name = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next());
    if let Some((_, in_portal, _)) = IN_PORTAL.into_iter().find(|(of, _, _)| Some(*of) == name) {
        schema["$ref"] = format!("#/components/schemas/{in_portal}").into();
    }
}

/// Joins the lines of each paragraph of a description.
fn join_lines(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(join_lines),
        Value::Object(fields) => {
            if let Some(Value::String(text)) = fields.get_mut("description") {
                *text = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n\n");
            }
            fields.values_mut().for_each(join_lines);
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Returns the description of a field that means the same in every schema.
fn usual_description(field: &str) -> Option<&'static str> {
    Some(match field {
        "id" => "Id.",
        "org_id" => "Id of the organization.",
        "env_id" => "Id of the environment.",
        "application_id" => "Id of the application.",
        "endpoint_id" => "Id of the endpoint.",
        "message_id" => "Id of the message.",
        "event_type" => "Event type of the message.",
        "name" => "Name.",
        "description" => "Description; `null` if none is set.",
        "created_at" => "Time of creation.",
        "updated_at" => "Time of the last update.",
        "has_more" => "Whether another page follows.",
        "expires_at" => "Time of expiry.",
        _ => return None,
    })
}

/// Completes a field of a schema.
fn complete(schema: &str, field: &str, property: &mut Value) {
    if property["description"].is_null()
        && property["$ref"].is_null()
        && let Some(description) = usual_description(field)
    {
        property["description"] = description.into();
    }
    if let Some(example) = words::example(schema, field) {
        property["example"] = example;
    }
    if property["format"] == "int32" && property["minimum"] == 0 && property["maximum"].is_null() {
        // Unsigned, so the maximum is twice that of `int32`.
        property["format"] = "int64".into();
        property["maximum"] = u32::MAX.into();
    }
    if !is_text(property) {
        return;
    }
    if let Some(set) = words::of_field(schema, field) {
        set.write(property);
    } else if is_time(field) && property["format"].is_null() {
        property["format"] = "date-time".into();
    }
    if let Some(inside) = words::inside(schema, field) {
        property["contentMediaType"] = "application/json".into();
        property["x-json-schema"] = inside;
    }
}

fn is_text(property: &Value) -> bool {
    let kind = &property["type"];
    kind == "string" || kind.as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "string"))
}

/// Returns true if a field is a time, by its name.
fn is_time(field: &str) -> bool {
    field.ends_with("_at")
        || matches!(field, "since" | "until" | "held_until" | "as_of" | "after" | "before" | "from" | "to" | "bucket" | "last_bucket")
}

fn complete_operation(method: &Method, path: &str, operation: &mut Value, schemas: &Value) {
    let is_honoured = idempotency::is_honoured(method, path);
    if is_honoured {
        let parameter = json!({ "$ref": "#/components/parameters/IdempotencyKey" });
        match operation.get_mut("parameters").and_then(Value::as_array_mut) {
            Some(parameters) => parameters.push(parameter),
            None => operation["parameters"] = json!([parameter]),
        }
    }
    for parameter in operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap_or_default().to_owned();
        let Some(schema) = parameter.get_mut("schema").filter(|schema| is_text(schema)) else { continue };
        if let Some(set) = words::of_parameter(path, &name) {
            set.write(schema);
        } else if is_time(&name) {
            schema["format"] = "date-time".into();
        }
    }
    if is_honoured && let Some(responses) = operation.get_mut("responses").and_then(Value::as_object_mut) {
        responses.entry("422").or_insert_with(|| {
            json!({
                "description": "The `Idempotency-Key` was already used for another request.",
                "content": { "application/json": { "schema": { "$ref": "#/components/schemas/ErrorBody" } } },
            })
        });
    }
    for (status, response) in operation.get_mut("responses").and_then(Value::as_object_mut).into_iter().flatten() {
        let mut names = vec!["X-Request-Id"];
        if !path.starts_with("/v1/health") {
            names.extend(["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"]);
        }
        if matches!(status.as_str(), "429" | "503") {
            names.push("Retry-After");
        }
        if is_honoured && status.starts_with('2') {
            names.push("Idempotency-Replayed");
        }
        let refer = |name: &str| (name.to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }));
        response["headers"] = Value::Object(names.into_iter().map(refer).collect());
    }
    if let Some(content) = operation.pointer_mut("/requestBody/content/application~1json") {
        if path.starts_with("/v1/portal/") {
            content.get_mut("schema").into_iter().for_each(refer_to_portal);
        }
        let schema = content["schema"].clone();
        content["example"] = example(&schema, schemas);
    }
}

/// Builds the example of a body from those fields that have an example. Other fields are left out, which is always
/// valid.
fn example(schema: &Value, schemas: &Value) -> Value {
    let named = |schema: &Value| schema["$ref"].as_str().and_then(|name| name.rsplit('/').next()).map(|name| schemas[name].clone());
    let choices = schema["oneOf"].as_array().into_iter().flatten();
    let found = named(schema).or_else(|| choices.into_iter().find_map(named));
    let properties = found.as_ref().and_then(|schema| schema["properties"].as_object()).cloned().unwrap_or_default();
    let given: Map<String, Value> =
        properties.into_iter().filter_map(|(field, property)| property.get("example").cloned().map(|example| (field, example))).collect();
    Value::Object(given)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schemas() -> Value {
        crate::document_json()["components"]["schemas"].clone()
    }

    #[test]
    fn required_fields_of_bodies_have_examples() {
        let document = crate::document_json();
        let bodies = document["paths"].as_object().expect("paths").values().flat_map(|path| path.as_object().expect("operations"));
        let mut missing = Vec::new();
        for (_, operation) in bodies {
            let content = &operation["requestBody"]["content"]["application/json"];
            let Some(name) = content["schema"]["$ref"].as_str().and_then(|name| name.rsplit('/').next()) else { continue };
            let required = document["components"]["schemas"][name]["required"].as_array();
            let fields = required.into_iter().flatten().filter_map(Value::as_str);
            missing.extend(fields.filter(|field| content["example"].get(field).is_none()).map(|field| format!("{name}.{field}")));
        }
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn only_examples_are_null() {
        fn look(path: &str, value: &Value, nulls: &mut Vec<String>) {
            match value {
                Value::Null => nulls.push(path.to_owned()),
                Value::Array(items) => items.iter().for_each(|item| look(path, item, nulls)),
                Value::Object(fields) => {
                    let fields = fields.iter().filter(|(name, _)| !["default", "enum", "example", "examples"].contains(&name.as_str()));
                    fields.for_each(|(name, value)| look(&format!("{path}/{name}"), value, nulls));
                }
                _ => {}
            }
        }
        let mut nulls = Vec::new();
        look("", &crate::document_json(), &mut nulls);
        assert!(nulls.is_empty(), "{nulls:#?}");
    }

    #[test]
    fn bodies_in_the_portal_have_no_fields_of_the_sender() {
        let document = crate::document_json();
        let operation = &document["paths"]["/v1/portal/endpoints"]["post"];
        let content = &operation["requestBody"]["content"]["application/json"];
        assert_eq!(content["schema"]["$ref"], "#/components/schemas/CreatePortalEndpoint");
        let fields: Vec<_> = schemas()["CreatePortalEndpoint"]["properties"].as_object().expect("fields").keys().cloned().collect();
        assert_eq!(fields, ["description", "filter_types", "headers", "signing_algorithm", "signing_secret", "url"]);
        assert!(content["example"].get("uid").is_none() && content["example"].get("url").is_some(), "{}", content["example"]);
    }

    #[test]
    fn schemas_and_their_fields_have_descriptions_of_one_line() {
        let mut odd = Vec::new();
        for (name, schema) in schemas().as_object().expect("schemas") {
            for (field, property) in schema["properties"].as_object().into_iter().flatten() {
                let is_described = property["description"].is_string() || !property["$ref"].is_null() || !property["oneOf"].is_null();
                let is_list = property["items"]["$ref"].is_string();
                if !(is_described || is_list) || property["description"].as_str().is_some_and(|text| text.contains('\n')) {
                    odd.push(format!("{name}.{field}"));
                }
            }
        }
        assert!(odd.is_empty(), "{odd:#?}");
    }
}
