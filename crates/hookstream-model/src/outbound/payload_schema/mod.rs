//! JSON Schemas of event types, checked against payloads under a budget.
//!
//! Schemas and payloads both come from outside, and a small schema can require an exponential amount of work. So
//! compilation and checks count their steps ([`meter`]) and stop at a budget; [`survey`] rejects a schema that cannot
//! be metered. The API compiles a schema before it stores one; the engine checks payloads before it accepts a
//! message.

mod lenient;
mod meter;
mod patterns;
mod survey;

#[cfg(test)]
mod tests;

use std::fmt;

use jsonschema::{PatternOptions, Validator, error::ValidationErrorKind};
use serde_json::{Map, Value};

use self::meter::{Metered, Node, Work};
use crate::{
    InvalidField,
    outbound::message::{ContentType, Payload},
};

/// Maximum length of `json_schema`, in bytes.
pub const SCHEMA_MAX: usize = 64 * 1024;
/// Maximum number of violations reported for one payload.
pub const VIOLATIONS_MAX: usize = 16;

/// Steps that compiling a schema may take: one per subschema and use of it.
const COMPILE_STEPS: u64 = 50_000;
/// Steps that a schema may take for a scalar or empty payload. A schema that needs more would need unbounded work for
/// real payloads.
const TRIAL_STEPS: u64 = 20_000;
/// Steps for collecting violations of an invalid payload. Lower, because each step may allocate an error.
const REPORT_STEPS: u64 = 20_000;
/// Memory of one compiled pattern, and of its states while matching, in bytes.
const PATTERN_BYTES: usize = 256 * 1024;
/// Backtracking steps of a pattern with lookaround or back-references, for one string.
const BACKTRACKS: usize = 10_000;
/// Approximate memory of a compiled schema, in bytes per byte of its text.
const BYTES_PER_BYTE: usize = 64;

/// Maximum work of one check, in steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget(u64);

impl Budget {
    /// Fraction of a millisecond: short enough for the async runtime.
    pub const SMALL: Self = Self(5_000);

    /// Budget for a payload of `bytes` bytes: about 20 ms, and more for a large payload.
    pub fn of_payload(bytes: usize) -> Self {
        Self(200_000 + 2 * u64::try_from(bytes).unwrap_or(u64::MAX / 4))
    }
}

/// A compiled JSON Schema. References to other documents are not followed.
pub struct PayloadSchema {
    validator: Validator<Metered>,
    pattern_cost: u64,
    memory: usize,
}

impl fmt::Debug for PayloadSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PayloadSchema").field("memory", &self.memory).finish_non_exhaustive()
    }
}

/// Result of checking a payload against a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// The payload conforms to the schema.
    Valid,
    /// The payload violates the schema in these places; at most 16 are listed.
    Violated(Vec<Violation>),
    /// The budget was used up before the result was known.
    OverBudget,
    /// The payload is JSON that cannot be represented, with the parser's reason.
    Unreadable(String),
}

/// One place of a payload that violates its schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// JSON Pointer (RFC 6901) into the payload; empty for the payload as a whole.
    pub path: String,
    /// JSON Pointer into the schema: the rule that was broken.
    pub rule: String,
    /// Sentence about the problem; it never quotes the payload.
    pub message: String,
}

impl PayloadSchema {
    /// Compiles the text of a schema. The draft is the one that `$schema` names, else 2020-12.
    ///
    /// Takes up to tens of milliseconds: async callers must run it on a blocking thread.
    ///
    /// # Errors
    /// If the text is not JSON, not a schema, longer than 64 KiB, refers to another document, or exceeds the step
    /// budget.
    pub fn compile(text: &str) -> Result<Self, InvalidField> {
        let refuse = |problem: String| InvalidField::new("json_schema", problem);
        if text.len() > SCHEMA_MAX {
            return Err(refuse(format!("has {} bytes; at most {SCHEMA_MAX} are allowed", text.len())));
        }
        let mut schema: Value =
            serde_json::from_str(text).map_err(|error| refuse(format!("must be the text of a JSON Schema; it is not JSON: {error}")))?;
        if !schema.is_object() && !schema.is_boolean() {
            return Err(refuse("must be the text of a JSON Schema: an object or a boolean".to_owned()));
        }
        let survey = survey::survey(&mut schema).map_err(refuse)?;
        let build = || {
            jsonschema::options_for::<Metered>()
                .with_pattern_options(
                    PatternOptions::fancy_regex().size_limit(PATTERN_BYTES).dfa_size_limit(PATTERN_BYTES).backtrack_limit(BACKTRACKS),
                )
                .with_keyword(survey::STEP, |_: &Map<String, Value>, value: &Value, _| {
                    meter::charge(1);
                    Ok(Box::new(Work { allows: value != &Value::Bool(false) }))
                })
                .build(&schema)
                .map_err(|error| refuse(explain(&error)))
        };
        let validator = meter::run(COMPILE_STEPS, 1, build).map_err(|meter::OverBudget| refuse(too_much_work()))??;
        let compiled =
            Self { validator, pattern_cost: survey.pattern_cost, memory: text.len() * BYTES_PER_BYTE + survey.patterns * PATTERN_BYTES };
        compiled.check_trial_values().map_err(refuse)?;
        Ok(compiled)
    }

    /// Approximate memory of the compiled schema, in bytes, for limiting caches.
    pub const fn memory(&self) -> usize {
        self.memory
    }

    /// Checks a payload. A string payload that is not JSON is checked as a JSON string.
    pub fn check(&self, payload: &Payload, budget: Budget) -> Checked {
        let text = payload.as_text();
        let value = match payload.content_type {
            ContentType::Text => Value::String(text.to_owned()),
            ContentType::Json => match lenient::read(text) {
                Ok(value) => value,
                Err(problem) => return Checked::Unreadable(problem),
            },
        };
        match meter::run(budget.0, self.pattern_cost, || self.validator.is_valid(Node(&value))) {
            Err(meter::OverBudget) => Checked::OverBudget,
            Ok(true) => Checked::Valid,
            Ok(false) => Checked::Violated(self.report(&value)),
        }
    }

    /// Returns the violations of an invalid value: the first 16 of all if the budget suffices, else the first one,
    /// else one without a place.
    fn report(&self, value: &Value) -> Vec<Violation> {
        let all = meter::run(REPORT_STEPS, self.pattern_cost, || {
            self.validator.iter_errors(Node(value)).take(VIOLATIONS_MAX).map(|error| violation(&error)).collect::<Vec<_>>()
        });
        if let Ok(violations) = all {
            return violations;
        }
        let first =
            meter::run(REPORT_STEPS, self.pattern_cost, || self.validator.validate(Node(value)).err().map(|error| violation(&error)));
        match first {
            Ok(Some(first)) => vec![first],
            Ok(None) | Err(meter::OverBudget) => {
                let message = "the payload breaks the schema in more places than can be listed".to_owned();
                vec![Violation { path: String::new(), rule: String::new(), message }]
            }
        }
    }

    /// Rejects a schema that is expensive even for the cheapest payloads.
    fn check_trial_values(&self) -> Result<(), String> {
        for value in [Value::Null, Value::from(1), Value::from(""), Value::Array(Vec::new()), Value::Object(Map::new())] {
            meter::run(TRIAL_STEPS, self.pattern_cost, || self.validator.is_valid(Node(&value)))
                .map_err(|meter::OverBudget| too_much_work())?;
        }
        Ok(())
    }
}

fn too_much_work() -> String {
    "asks for too much work: its subschemas and references multiply, or nest too deeply. Refer to each definition fewer times, or \
     combine fewer alternatives"
        .to_owned()
}

fn violation(error: &jsonschema::ValidationError<'_>) -> Violation {
    let rule = error.schema_path().to_string();
    let (rule, message) = match rule.strip_suffix(survey::STEP).and_then(|rule| rule.strip_suffix('/')) {
        // Counting keyword that replaced the schema `false`.
        Some(rule) => (rule.to_owned(), "no value is allowed here".to_owned()),
        None => (rule, shorten(&error.masked_with("the value").to_string())),
    };
    Violation { path: error.instance_path().to_string(), rule, message }
}

/// Explains in our own words why a schema does not compile.
fn explain(error: &jsonschema::ValidationError<'_>) -> String {
    let place = match error.instance_path().to_string() {
        place if place.is_empty() => String::new(),
        place => format!(" at `{place}`"),
    };
    match error.kind() {
        ValidationErrorKind::Referencing(_) => {
            format!("has a reference{place} that leads nowhere. Put the schema under `$defs` and refer to it as `#/$defs/name`")
        }
        ValidationErrorKind::Format { format } if format == "regex" => {
            format!("is not a valid JSON Schema{place}: the pattern is not a regular expression (ECMA-262), or takes too much memory")
        }
        _ => format!("is not a valid JSON Schema{place}: {}", shorten(&error.to_string())),
    }
}

/// Messages quote the schema, never the payload; long quotations are cut.
fn shorten(message: &str) -> String {
    const MAX: usize = 300;
    match message.char_indices().nth(MAX) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}
