//! Tests of schema compilation and payload checks: results, violations and budgets.

use serde_json::json;

use super::*;

fn payload(body: &str) -> Payload {
    Payload { body: body.to_owned().into(), content_type: ContentType::Json }
}

fn check(schema: &PayloadSchema, body: &str) -> Checked {
    schema.check(&payload(body), Budget::of_payload(body.len()))
}

fn compile(schema: &Value) -> Result<PayloadSchema, String> {
    PayloadSchema::compile(&schema.to_string()).map_err(|refused| refused.problem.to_string())
}

fn violations(schema: &PayloadSchema, body: &str) -> Vec<Violation> {
    match check(schema, body) {
        Checked::Violated(violations) => violations,
        other => panic!("{body}: {other:?}"),
    }
}

/// Definitions that each refer twice to the next.
fn doubling(keyword: &str, depth: usize, leaf: &Value) -> Value {
    let mut definitions = Map::new();
    for level in 0..depth {
        let next = json!({ "$ref": format!("#/$defs/l{}", level + 1) });
        definitions.insert(format!("l{level}"), json!({ keyword: [next, next] }));
    }
    definitions.insert(format!("l{depth}"), leaf.clone());
    json!({ "$defs": definitions, "$ref": "#/$defs/l0" })
}

#[test]
fn violation_names_path_and_rule() {
    let schema =
        compile(&json!({ "type": "object", "properties": { "amount": { "type": "integer" } }, "required": ["id"] })).expect("a schema");
    assert_eq!(check(&schema, r#"{"id": 1, "amount": 2}"#), Checked::Valid);
    let found = violations(&schema, r#"{"amount": "much"}"#);
    let places: Vec<_> = found.iter().map(|v| (v.path.as_str(), v.rule.as_str())).collect();
    assert_eq!(places.len(), 2);
    assert!(places.contains(&("/amount", "/properties/amount/type")), "{found:?}");
    assert!(places.contains(&("", "/required")), "{found:?}");
    let text = Payload { body: "plain text".into(), content_type: ContentType::Text };
    assert!(matches!(schema.check(&text, Budget::SMALL), Checked::Violated(found) if found[0].rule == "/type"));
}

#[test]
fn violation_does_not_quote_the_payload() {
    let schema = compile(&json!({ "properties": {
        "a": { "type": "integer" }, "b": { "pattern": "^x" }, "c": { "enum": [1, 2] }, "d": { "maxLength": 3 }, "e": { "const": 5 }, "f": false
    } }))
    .expect("a schema");
    let word = "hunter2";
    let found = violations(&schema, &json!({ "a": word, "b": word, "c": word, "d": word, "e": { "f": word }, "f": word }).to_string());
    assert_eq!(found.len(), 6, "{found:?}");
    assert!(!format!("{found:?}").contains(word), "{found:?}");
    assert_eq!(found[0].message, r#"the value is not of type "integer""#);
    let nothing = found.iter().find(|violation| violation.path == "/f").expect("violation of the schema `false`");
    assert_eq!((nothing.rule.as_str(), nothing.message.as_str()), ("/properties/f", "no value is allowed here"));
}

#[test]
fn metering_changes_no_result() {
    let schema = compile(&json!({
        "$defs": { "tree": { "properties": { "left": { "$ref": "#/$defs/tree" }, "value": { "type": "number" } }, "additionalProperties": false } },
        "properties": {
            "tree": { "$ref": "#/$defs/tree" },
            "tags": { "items": { "pattern": "^[a-z]+$" }, "uniqueItems": true, "maxItems": 3, "contains": { "const": "x" } },
            "pair": { "prefixItems": [{ "type": "string" }, true], "items": false },
            "either": { "oneOf": [{ "type": "string", "minLength": 2 }, { "type": "integer", "minimum": 10 }] },
            "no": { "not": { "type": "null" } },
            "when": { "if": { "required": ["a"] }, "then": { "required": ["b"] }, "else": { "maxProperties": 0 } }
        },
        "patternProperties": { "^x-": { "type": "boolean" } },
        "propertyNames": { "maxLength": 8 },
        "unevaluatedProperties": false
    }))
    .expect("a schema");
    for valid in [
        json!({}),
        json!({ "tree": { "left": { "value": 1.5 } }, "tags": ["x", "y"], "pair": ["a", 1], "either": "ab", "no": 1, "x-a": true }),
        json!({ "either": 10, "when": { "a": 1, "b": 2 } }),
        json!({ "when": {} }),
    ] {
        assert_eq!(check(&schema, &valid.to_string()), Checked::Valid, "{valid}");
    }
    for broken in [
        json!({ "tree": { "left": { "left": { "right": 1 } } } }),
        json!({ "tags": ["x", "x"] }),
        json!({ "tags": ["y"] }),
        json!({ "tags": ["x", "Y"] }),
        json!({ "pair": ["a", 1, 2] }),
        json!({ "either": "a" }),
        json!({ "either": 9 }),
        json!({ "no": null }),
        json!({ "when": { "a": 1 } }),
        json!({ "when": { "b": 1 } }),
        json!({ "x-a": 1 }),
        json!({ "too-long-a-name": 1 }),
        json!({ "more": 1 }),
    ] {
        assert!(matches!(check(&schema, &broken.to_string()), Checked::Violated(_)), "{broken}");
    }
    let everything = compile(&json!(true)).expect("a schema");
    assert_eq!(check(&everything, "1"), Checked::Valid);
    assert_eq!(violations(&compile(&json!(false)).expect("a schema"), "1")[0].rule, "");
}

#[test]
fn invalid_schema_is_rejected() {
    for text in ["", "[]", "5", "{", r#"{"type":"strin"}"#, r#"{"!step":true}"#, r#"{"pattern":"("}"#] {
        assert!(PayloadSchema::compile(text).is_err(), "{text}");
    }
}

#[test]
fn rejection_names_the_place_and_the_remedy() {
    let refusal = |schema: Value| compile(&schema).expect_err("refused");
    for to in ["https://example.com/a.json", "other.json#/x", "a.json"] {
        let problem = refusal(json!({ "properties": { "a": { "$ref": to } } }));
        assert!(problem.contains(to) && problem.contains("/properties/a/$ref") && problem.contains("$defs"), "{problem}");
    }
    for to in ["#/$defs/b", "#/properties", "#/definitions/x", "#nowhere"] {
        let problem = refusal(json!({ "properties": { "a": { "$ref": to } }, "$defs": { "c": true } }));
        assert!(problem.contains("$defs"), "{problem}");
    }
    let problem = refusal(json!({ "$schema": "https://example.com/meta.json" }));
    assert!(problem.contains("https://example.com/meta.json") && problem.contains("draft/2020-12"), "{problem}");
    let problem = refusal(json!({ "properties": { "e": { "pattern": "^[\\w-.]+$" } } }));
    assert!(problem.contains("/properties/e/pattern") && problem.contains("regular expression"), "{problem}");
}

#[test]
fn references_within_the_document_are_followed() {
    for schema in [
        json!({ "$ref": "#/$defs/a%20b", "$defs": { "a b": { "type": "integer" } } }),
        json!({ "$ref": "#/$defs/a~1b", "$defs": { "a/b": { "type": "integer" } } }),
        json!({ "$ref": "#here", "$defs": { "a": { "$anchor": "here", "type": "integer" } } }),
        json!({ "$ref": "https://example.com/b", "$defs": { "a": { "$id": "https://example.com/b", "type": "integer" } } }),
        json!({ "$ref": "b", "$id": "https://example.com/a", "$defs": { "a": { "$id": "b", "$ref": "#/$defs/c", "$defs": { "c": { "type": "integer" } } } } }),
        json!({ "$schema": "http://json-schema.org/draft-07/schema#", "definitions": { "a": { "type": "integer" } }, "$ref": "#/definitions/a" }),
        json!({ "anyOf": [{ "$ref": "#/properties/x/items" }], "properties": { "x": { "items": { "type": "integer" } } } }),
    ] {
        let compiled = compile(&schema).unwrap_or_else(|problem| panic!("{schema}: {problem}"));
        assert_eq!(check(&compiled, "1"), Checked::Valid, "{schema}");
        assert!(matches!(check(&compiled, r#""x""#), Checked::Violated(_)), "{schema}");
    }
}

#[test]
fn exponential_schema_is_rejected() {
    for keyword in ["allOf", "anyOf", "oneOf"] {
        for leaf in [json!({ "type": "string" }), json!(true), json!(false), json!({}), json!({ "minimum": 5 }), json!({ "enum": [1] })] {
            for not in [false, true] {
                let mut schema = doubling(keyword, 40, &leaf);
                if not {
                    let inner = schema.as_object_mut().expect("an object").remove("$ref").expect("a reference");
                    schema["not"] = json!({ "$ref": inner });
                }
                let Ok(compiled) = compile(&schema) else { continue };
                // A schema that stops at the first branch may be accepted: it then stops there for every payload.
                for body in ["1", "\"a\"", "null", "{}", "[[1]]", "{\"a\":1}", "5"] {
                    let checked = check(&compiled, body);
                    assert!(!matches!(&checked, Checked::Unreadable(_)), "{keyword} {leaf} {not} {body}: {checked:?}");
                }
            }
        }
    }
    for (keyword, leaf) in [("allOf", json!(true)), ("anyOf", json!(false)), ("oneOf", json!(true)), ("oneOf", json!({ "type": "string" }))]
    {
        assert!(compile(&doubling(keyword, 40, &leaf)).is_err(), "{keyword} {leaf}");
    }
}

#[test]
fn schema_exponential_in_payload_depth_stops_at_the_budget() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let twice = compile(&json!({ "allOf": [{ "items": { "$ref": "#" } }, { "items": { "$ref": "#" } }] })).expect("a schema");
    assert_eq!(check(&twice, "[[1]]"), Checked::Valid);
    for schema in [
        twice,
        compile(&json!({ "anyOf": [{ "items": { "$ref": "#" }, "type": "string" }, { "items": { "$ref": "#" } }, { "type": "number" }] }))
            .expect("a schema"),
    ] {
        let checked = check(&schema, &nested(100));
        assert!(matches!(checked, Checked::OverBudget | Checked::Valid | Checked::Violated(_)), "{checked:?}");
    }
}

#[test]
fn unevaluated_members_are_bounded_too() {
    for keyword in ["allOf", "anyOf", "oneOf"] {
        for leaf in [json!({ "properties": { "a": true } }), json!({ "items": true }), json!({ "prefixItems": [true] })] {
            let mut schema = doubling(keyword, 40, &leaf);
            schema["unevaluatedProperties"] = json!(false);
            schema["unevaluatedItems"] = json!(false);
            let Ok(compiled) = compile(&schema) else { continue };
            for body in ["1", r#"{"a":1}"#, r#"{"b":1}"#, "[1]", "[1,2]"] {
                let checked = check(&compiled, body);
                assert!(!matches!(&checked, Checked::Unreadable(_)), "{keyword} {leaf} {body}: {checked:?}");
            }
        }
    }
}

#[test]
fn reference_chain_does_not_overflow_the_stack() {
    let mut definitions = Map::new();
    for level in 0..1_500 {
        definitions.insert(format!("l{level}"), json!({ "$ref": format!("#/$defs/l{}", level + 1) }));
    }
    definitions.insert("l1500".to_owned(), json!({ "items": { "$ref": "#/$defs/l0" } }));
    let schema = json!({ "$defs": definitions, "$ref": "#/$defs/l0" });
    if let Ok(schema) = compile(&schema) {
        let body = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        let checked = check(&schema, &body);
        assert!(matches!(checked, Checked::OverBudget | Checked::Valid), "{checked:?}");
    }
}

#[test]
fn patterns_are_bounded_in_number_and_size() {
    let many: Vec<_> = (0..1_500).map(|number| json!({ "pattern": format!("{number}\\pL{{120}}") })).collect();
    assert!(compile(&json!({ "allOf": many })).is_err());
    assert!(compile(&json!({ "pattern": "(((a{100}){100}){100}){100}" })).is_err());
    assert!(compile(&json!({ "pattern": "^\\p{L}{1,40}$" })).is_ok());
    assert!(compile(&json!({ "pattern": "^[\\w.+-]+@[\\w-]+\\.[\\w.-]+$" })).is_ok());
    assert!(compile(&json!({ "pattern": "^[a-zA-Z0-9_-]{1,255}$" })).is_ok());
}

#[test]
fn expensive_check_stops_at_its_budget() {
    let options: Vec<_> = (0..1_000).map(|number| json!({ "a": number })).collect();
    let objects = format!("[{}1]", r#"{"a":-1},"#.repeat(40_000));
    let names: Map<String, Value> = (0..90).map(|number| (format!("^a.*{number}$"), json!(true))).collect();
    let members: Map<String, Value> = (0..20_000).map(|number| (format!("a{number}x"), json!(1))).collect();
    let long = json!("a".repeat(1_000_000)).to_string();
    for (schema, body) in [
        (json!({ "items": { "anyOf": [{ "enum": options }, {}] } }), objects),
        (json!({ "patternProperties": names, "additionalProperties": false }), Value::Object(members).to_string()),
        (json!({ "pattern": "(a|b|ab)*(x{1000})(y{1000})" }), long.clone()),
        (json!({ "pattern": "^(?=.*x)(a+)+$" }), long),
    ] {
        let compiled = compile(&schema).unwrap_or_else(|problem| panic!("{schema}: {problem}"));
        let checked = check(&compiled, &body);
        assert!(matches!(checked, Checked::OverBudget | Checked::Violated(_)), "{checked:?}");
    }
}

#[test]
fn many_violations_are_reported_up_to_the_limit() {
    let schema = compile(&json!({ "items": { "anyOf": [{ "type": "string" }, { "type": "null" }] } })).expect("a schema");
    let found = violations(&schema, &format!("[{}1]", "1,".repeat(50_000)));
    assert!((1..=VIOLATIONS_MAX).contains(&found.len()), "{found:?}");
}

#[test]
fn json_payload_is_never_checked_as_a_string() {
    let object = compile(&json!({ "type": "object", "required": ["id"] })).expect("a schema");
    assert_eq!(check(&object, r#"{"id":1,"name":"cut \ud83d"}"#), Checked::Valid);
    let amount = compile(&json!({ "required": ["id"], "properties": { "amount": { "type": "integer" } } })).expect("a schema");
    assert_eq!(violations(&amount, r#"{"amount":"much","note":"cut \ud83d"}"#).len(), 2);
    let deep = "[".repeat(200) + &"]".repeat(200);
    assert!(matches!(check(&object, &deep), Checked::Unreadable(_)));
}
