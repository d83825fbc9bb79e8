//! Survey of a schema before compilation: inserts the counting keyword into each subschema and rejects constructs
//! that could not be metered or explained.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::patterns;

/// Counting keyword. Its name sorts first and is not a keyword of any draft.
pub(super) const STEP: &str = "!step";
/// Maximum number of regular expressions in one schema, `patternProperties` included.
const PATTERNS_MAX: usize = 100;
/// Maximum number of subschemas that apply to one value beside `unevaluatedProperties` or `unevaluatedItems`, counted
/// once per reference. These keywords visit all of them, unmetered.
const UNEVALUATED_MAX: usize = 1_000;
/// Drafts that `$schema` may name.
const DRAFTS: [&str; 5] = [
    "https://json-schema.org/draft/2020-12/schema",
    "https://json-schema.org/draft/2019-09/schema",
    "http://json-schema.org/draft-07/schema",
    "http://json-schema.org/draft-06/schema",
    "http://json-schema.org/draft-04/schema",
];

/// Result of the survey.
pub(super) struct Survey {
    /// Number of regular expressions.
    pub(super) patterns: usize,
    /// Maximum cost of matching 32 bytes of a string, in steps.
    pub(super) pattern_cost: u64,
}

/// Prepares a schema for compilation.
///
/// # Errors
/// Returns a clause that says why it is rejected, to be read after the word "schema".
pub(super) fn survey(schema: &mut Value) -> Result<Survey, String> {
    check_draft(schema)?;
    let mut walk = Walk {
        places: HashSet::new(),
        references: Vec::new(),
        resources: HashMap::new(),
        anchors: HashMap::new(),
        unevaluated: Vec::new(),
        patterns: 0,
        pattern_cost: 1,
    };
    walk.schema(schema, &mut SchemaPosition::default())?;
    walk.check_references()?;
    walk.check_unevaluated(schema)?;
    Ok(Survey { patterns: walk.patterns, pattern_cost: walk.pattern_cost })
}

fn check_draft(schema: &Value) -> Result<(), String> {
    match schema.get("$schema") {
        None => Ok(()),
        Some(Value::String(draft)) if DRAFTS.contains(&draft.trim_end_matches('#')) => Ok(()),
        Some(named) => Err(format!("names an unknown draft in `$schema`: {named}. Allowed: {}", DRAFTS.join(", "))),
    }
}

/// Position of the walk: a JSON Pointer, and the length of the innermost resource's pointer (a schema with an `$id`).
#[derive(Default)]
struct SchemaPosition {
    pointer: String,
    resource: usize,
}

struct Walk {
    /// JSON Pointers of all subschemas.
    places: HashSet<String>,
    references: Vec<Reference>,
    /// JSON Pointers of embedded resources, by their `$id`.
    resources: HashMap<String, String>,
    /// JSON Pointers of anchors, by name.
    anchors: HashMap<String, String>,
    /// JSON Pointers of subschemas with an `unevaluated…` keyword.
    unevaluated: Vec<String>,
    patterns: usize,
    pattern_cost: u64,
}

struct Reference {
    place: String,
    /// JSON Pointer of the resource that contains the reference.
    resource: String,
    to: String,
}

impl Walk {
    fn schema(&mut self, schema: &mut Value, place: &mut SchemaPosition) -> Result<(), String> {
        let members = match schema {
            Value::Bool(allows) => {
                let allows = *allows;
                *schema = Value::Object(Map::from_iter([(STEP.to_owned(), Value::Bool(allows))]));
                self.places.insert(place.pointer.clone());
                return Ok(());
            }
            Value::Object(members) => members,
            // The compiler reports the problem of these.
            Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => return Ok(()),
        };
        if members.contains_key(STEP) {
            return Err(format!("contains the keyword `{STEP}`, which is reserved"));
        }
        self.places.insert(place.pointer.clone());
        let outer = place.resource;
        if let Some(Value::String(id)) = members.get("$id").or_else(|| members.get("id"))
            && !id.starts_with('#')
        {
            place.resource = place.pointer.len();
            self.resources.insert(id.trim_end_matches('#').to_owned(), place.pointer.clone());
        }
        for keyword in ["$anchor", "$dynamicAnchor", "$id", "id"] {
            if let Some(Value::String(anchor)) = members.get(keyword) {
                self.anchors.insert(anchor.trim_start_matches('#').to_owned(), place.pointer.clone());
            }
        }
        if members.contains_key("unevaluatedProperties") || members.contains_key("unevaluatedItems") {
            self.unevaluated.push(place.pointer.clone());
        }
        for (keyword, value) in members.iter_mut() {
            let length = place.pointer.len();
            push(&mut place.pointer, keyword);
            self.keyword(keyword, value, place)?;
            place.pointer.truncate(length);
        }
        if members.get("additionalProperties").or_else(|| members.get("unevaluatedProperties")).is_some()
            && let Some(Value::Object(by_pattern)) = members.get("patternProperties")
        {
            // Each name is matched against each of the patterns.
            self.pattern_cost = self.pattern_cost.max(by_pattern.keys().map(|pattern| patterns::cost(pattern)).sum());
        }
        members.insert(STEP.to_owned(), Value::Bool(true));
        place.resource = outer;
        Ok(())
    }

    fn keyword(&mut self, keyword: &str, value: &mut Value, place: &mut SchemaPosition) -> Result<(), String> {
        match keyword {
            "not"
            | "if"
            | "then"
            | "else"
            | "additionalProperties"
            | "unevaluatedProperties"
            | "propertyNames"
            | "additionalItems"
            | "unevaluatedItems"
            | "contains"
            | "contentSchema" => self.schema(value, place)?,
            "allOf" | "anyOf" | "oneOf" | "prefixItems" => self.list(value, place)?,
            "items" if value.is_array() => self.list(value, place)?,
            "items" => self.schema(value, place)?,
            "properties" | "$defs" | "definitions" | "dependentSchemas" | "dependencies" => self.map(value, place)?,
            "patternProperties" => {
                for pattern in value.as_object().into_iter().flat_map(Map::keys) {
                    self.pattern(pattern, place)?;
                }
                self.map(value, place)?;
            }
            "pattern" => {
                if let Value::String(pattern) = value {
                    self.pattern(pattern, place)?;
                }
            }
            "$ref" | "$dynamicRef" | "$recursiveRef" => {
                if let Value::String(to) = value {
                    let (place, resource) = (place.pointer.clone(), place.pointer[..place.resource].to_owned());
                    self.references.push(Reference { place, resource, to: to.clone() });
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn list(&mut self, value: &mut Value, place: &mut SchemaPosition) -> Result<(), String> {
        for (index, schema) in value.as_array_mut().into_iter().flatten().enumerate() {
            let length = place.pointer.len();
            push(&mut place.pointer, &index.to_string());
            self.schema(schema, place)?;
            place.pointer.truncate(length);
        }
        Ok(())
    }

    fn map(&mut self, value: &mut Value, place: &mut SchemaPosition) -> Result<(), String> {
        for (name, schema) in value.as_object_mut().into_iter().flatten() {
            let length = place.pointer.len();
            push(&mut place.pointer, name);
            self.schema(schema, place)?;
            place.pointer.truncate(length);
        }
        Ok(())
    }

    fn pattern(&mut self, pattern: &str, place: &SchemaPosition) -> Result<(), String> {
        self.patterns += 1;
        if self.patterns > PATTERNS_MAX {
            return Err(format!("has more than {PATTERNS_MAX} regular expressions; at most {PATTERNS_MAX} are allowed"));
        }
        let states = patterns::states(pattern);
        if states > patterns::STATES_MAX {
            return Err(format!(
                "has a regular expression at `{}` with too many repetitions: it expands to about {states} characters; at most {} are allowed",
                place.pointer,
                patterns::STATES_MAX
            ));
        }
        self.pattern_cost = self.pattern_cost.max(patterns::cost(pattern));
        Ok(())
    }

    /// Checks that references lead to subschemas of this document: other targets would not be metered.
    fn check_references(&self) -> Result<(), String> {
        for Reference { place, resource, to } in &self.references {
            let (document, fragment) = to.split_once('#').unwrap_or((to, ""));
            if !document.is_empty() {
                if !self.is_embedded(document) {
                    return Err(format!(
                        "refers to {to} at `{place}`, and other documents are not followed. Put the schema under `$defs` and refer to it as \
                         `#/$defs/name`"
                    ));
                }
                if fragment.starts_with('/') {
                    return Err(format!(
                        "refers into another resource by a JSON Pointer at `{place}`: {to}. Add an `$anchor` there and refer to the anchor"
                    ));
                }
                continue;
            }
            if !fragment.is_empty() && !fragment.starts_with('/') {
                // An anchor; the compiler checks that it exists.
                continue;
            }
            let pointer = format!("{resource}{}", decode(fragment));
            if !self.places.contains(&pointer) {
                return Err(format!(
                    "refers to `{to}` at `{place}`, which does not exist. Define the schema under `$defs` and refer to it as `#/$defs/name`"
                ));
            }
        }
        Ok(())
    }

    /// Returns true if a document is embedded here, or is the schema of a draft.
    fn is_embedded(&self, document: &str) -> bool {
        DRAFTS.contains(&document) || self.resource(document).is_some()
    }

    /// Returns the JSON Pointer of an embedded resource.
    fn resource(&self, document: &str) -> Option<&str> {
        let relative = format!("/{document}");
        let mut found = self.resources.iter().filter(|(id, _)| *id == document || id.ends_with(&relative));
        found.next().map(|(_, pointer)| pointer.as_str())
    }

    /// Rejects a schema that makes the validator visit too many subschemas for one value.
    fn check_unevaluated(&self, schema: &Value) -> Result<(), String> {
        for pointer in &self.unevaluated {
            let mut left = UNEVALUATED_MAX;
            self.unfold(schema, pointer, &mut left).ok_or_else(|| {
                format!(
                    "combines more than {UNEVALUATED_MAX} subschemas for one value beside `unevaluatedProperties` or `unevaluatedItems` at \
                     `{pointer}`. Refer to each definition fewer times, or combine fewer alternatives"
                )
            })?;
        }
        Ok(())
    }

    /// Counts a subschema and all others that apply to the same value; `None` if the limit is exceeded.
    fn unfold(&self, root: &Value, pointer: &str, left: &mut usize) -> Option<()> {
        *left = left.checked_sub(1)?;
        let Some(Value::Object(members)) = root.pointer(pointer) else { return Some(()) };
        for (keyword, value) in members {
            let mut below = |name: &str| {
                let mut place = format!("{pointer}/{keyword}");
                push(&mut place, name);
                self.unfold(root, &place, left)
            };
            match (keyword.as_str(), value) {
                ("allOf" | "anyOf" | "oneOf", Value::Array(list)) => {
                    for index in 0..list.len() {
                        below(&index.to_string())?;
                    }
                }
                ("dependentSchemas" | "dependencies", Value::Object(map)) => {
                    for name in map.keys() {
                        below(name)?;
                    }
                }
                ("not" | "if" | "then" | "else", _) => self.unfold(root, &format!("{pointer}/{keyword}"), left)?,
                ("$ref" | "$dynamicRef" | "$recursiveRef", Value::String(_)) => {
                    let place = format!("{pointer}/{keyword}");
                    if let Some(target) =
                        self.references.iter().find(|reference| reference.place == place).and_then(|found| self.target(found))
                    {
                        self.unfold(root, &target, left)?;
                    }
                }
                _ => {}
            }
        }
        Some(())
    }

    /// Returns the JSON Pointer of a reference's target.
    fn target(&self, Reference { resource, to, .. }: &Reference) -> Option<String> {
        let (document, fragment) = to.split_once('#').unwrap_or((to, ""));
        match (document, fragment) {
            ("", "") => Some(resource.clone()),
            ("", fragment) if fragment.starts_with('/') => Some(format!("{resource}{}", decode(fragment))),
            (document, "") => self.resource(document).map(str::to_owned),
            (_, anchor) => self.anchors.get(anchor).cloned(),
        }
    }
}

/// Appends a member's name to a JSON Pointer (RFC 6901 section 3).
fn push(pointer: &mut String, name: &str) {
    pointer.push('/');
    for c in name.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
}

/// Decodes the percent-encoding of a fragment (RFC 6901 section 6).
fn decode(fragment: &str) -> String {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        match (first, tail.get(..2).and_then(hex)) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
