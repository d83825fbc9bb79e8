//! Metering of a validator's work: a JSON representation that charges for each access, and a keyword that charges for
//! each subschema. If the budget or the stack is used up, the validator is unwound.

use std::{
    any::Any,
    borrow::Cow,
    cell::Cell,
    panic::{self, AssertUnwindSafe},
};

use jsonschema::{
    Keyword, ValidationError,
    json::{Array, Json, Node as JsonNode, NodeIdentity, Object, SerdeJson, cmp},
    types::JsonType,
};
use serde_json::{Map, Value};

/// Maximum stack use of a validator, in bytes; its threads have 2 MiB.
const STACK_MAX: usize = 768 * 1024;
/// Bytes of a string that one step covers.
const BYTES_A_STEP: u64 = 32;

/// Error: the budget was used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OverBudget;

thread_local! {
    static LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
    static STACK: Cell<usize> = const { Cell::new(usize::MAX) };
    static PATTERN_COST: Cell<u64> = const { Cell::new(1) };
}

/// Runs `work` with a budget of steps. `pattern_cost` is the maximum cost of matching one byte of a string.
pub(super) fn run<T>(steps: u64, pattern_cost: u64, work: impl FnOnce() -> T) -> Result<T, OverBudget> {
    LEFT.set(steps);
    PATTERN_COST.set(pattern_cost);
    STACK.set(stack_position());
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    LEFT.set(u64::MAX);
    STACK.set(usize::MAX);
    done.map_err(|panic: Box<dyn Any + Send>| match panic.downcast::<OverBudget>() {
        Ok(over) => *over,
        Err(panic) => panic::resume_unwind(panic),
    })
}

/// Charges a number of steps.
pub(super) fn charge(steps: u64) {
    let left = LEFT.get().checked_sub(steps);
    let used = STACK.get().saturating_sub(stack_position());
    match left {
        Some(left) if used <= STACK_MAX || STACK.get() == usize::MAX => LEFT.set(left),
        // Not `panic!`: unwinding is the exit here, and must not be logged as a fault.
        _ => panic::resume_unwind(Box::new(OverBudget)),
    }
}

/// Returns the current end of the stack, which grows downwards.
#[inline(never)]
fn stack_position() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&here)) as usize
}

fn charge_bytes(bytes: usize, cost: u64) {
    charge(1 + (u64::try_from(bytes).unwrap_or(u64::MAX / 4) / BYTES_A_STEP).saturating_mul(cost));
}

/// Keyword in each subschema: counts each use of the subschema, and rejects every value if it represents `false`.
pub(super) struct Work {
    pub(super) allows: bool,
}

impl<'i> Keyword<'i, Metered> for Work {
    fn validate(&self, _: Node<'i>) -> Result<(), ValidationError<'i>> {
        charge(1);
        if self.allows { Ok(()) } else { Err(ValidationError::custom("no value is allowed here")) }
    }

    fn is_valid(&self, _: Node<'i>) -> bool {
        charge(1);
        self.allows
    }
}

/// JSON representation by `serde_json` values with metered access.
pub(super) struct Metered;

/// Value with metered access.
#[derive(Clone, Copy)]
pub(super) struct Node<'a>(pub(super) &'a Value);

/// Members of an object with metered access.
pub(super) struct Members<'a>(&'a Map<String, Value>);

/// Elements of an array with metered access.
pub(super) struct Elements<'a>(&'a [Value]);

impl Json for Metered {
    type Node<'a> = Node<'a>;
    type PreparedKey = String;
    type StringBuffer = ();

    const ACYCLIC: bool = true;

    fn prepare_key(key: &str) -> String {
        key.to_owned()
    }

    fn with_string_node<T>((): &mut (), string: &str, f: impl FnOnce(Node<'_>) -> T) -> T {
        charge_bytes(string.len(), 1);
        f(Node(&Value::String(string.to_owned())))
    }
}

impl<'a> JsonNode<'a, Metered> for Node<'a> {
    type Object = Members<'a>;
    type Array = Elements<'a>;
    type Number = &'a serde_json::Number;

    fn as_object(&self) -> Option<Members<'a>> {
        charge(1);
        self.0.as_object().map(Members)
    }

    fn as_array(&self) -> Option<Elements<'a>> {
        charge(1);
        self.0.as_array().map(|items| Elements(items))
    }

    fn as_string(&self) -> Option<Cow<'a, str>> {
        let text = self.0.as_str();
        charge_bytes(text.map_or(0, str::len), PATTERN_COST.get());
        text.map(Cow::Borrowed)
    }

    fn as_number(&self) -> Option<&'a serde_json::Number> {
        charge(1);
        self.0.as_number()
    }

    fn as_boolean(&self) -> Option<bool> {
        charge(1);
        self.0.as_bool()
    }

    fn is_null(&self) -> bool {
        charge(1);
        self.0.is_null()
    }

    fn json_type(&self) -> JsonType {
        charge(1);
        JsonNode::<SerdeJson>::json_type(&self.0)
    }

    fn string_length(&self) -> Option<u64> {
        charge_bytes(self.0.as_str().map_or(0, str::len), 1);
        JsonNode::<SerdeJson>::string_length(&self.0)
    }

    fn string_length_within(&self, min: u64, max: u64) -> Option<bool> {
        charge_bytes(self.0.as_str().map_or(0, str::len), 1);
        JsonNode::<SerdeJson>::string_length_within(&self.0, min, max)
    }

    fn equals_value(&self, expected: &Value) -> bool {
        equals(self.0, expected)
    }

    fn to_value(&self) -> Cow<'a, Value> {
        Cow::Borrowed(self.0)
    }

    fn identity(&self) -> Option<NodeIdentity> {
        charge(1);
        JsonNode::<SerdeJson>::identity(&self.0)
    }
}

/// JSON Schema equality, charging for each pair of compared values.
fn equals(value: &Value, expected: &Value) -> bool {
    match (value, expected) {
        (Value::Array(values), Value::Array(expected)) => {
            charge(1);
            values.len() == expected.len() && values.iter().zip(expected).all(|(value, expected)| equals(value, expected))
        }
        (Value::Object(values), Value::Object(expected)) => {
            charge(1);
            values.len() == expected.len()
                && values.iter().all(|(name, value)| expected.get(name).is_some_and(|expected| equals(value, expected)))
        }
        (Value::String(value), Value::String(expected)) => {
            charge_bytes(if value.len() == expected.len() { value.len() } else { 0 }, 1);
            value == expected
        }
        _ => {
            charge(1);
            cmp::equal(value, expected)
        }
    }
}

/// Number of values in a value, itself included.
fn count(value: &Value) -> u64 {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        Value::String(text) => u64::try_from(text.len()).unwrap_or(u64::MAX / 4) / BYTES_A_STEP,
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

impl<'a> Object<'a, Metered> for Members<'a> {
    type Node = Node<'a>;
    type MemberName = &'a str;
    type MembersIter = MembersIter<'a>;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn get(&self, key: &String) -> Option<Node<'a>> {
        charge(1);
        self.0.get(key).map(Node)
    }

    fn members(&self) -> MembersIter<'a> {
        MembersIter(self.0.iter())
    }
}

impl<'a> Array<'a, Metered> for Elements<'a> {
    type Node = Node<'a>;
    type ElementsIter = ElementsIter<'a>;

    fn len(&self) -> usize {
        self.0.len()
    }

    fn elements(&self) -> ElementsIter<'a> {
        ElementsIter(self.0.iter())
    }

    fn is_unique(&self) -> bool {
        // Each element is hashed or compared about once, small arrays a few times.
        charge(self.0.iter().map(count).sum::<u64>().saturating_mul(4));
        Array::<SerdeJson>::is_unique(&self.0)
    }
}

/// Iterator over members. A name is charged as if `patternProperties` matches it.
pub(super) struct MembersIter<'a>(serde_json::map::Iter<'a>);

impl<'a> Iterator for MembersIter<'a> {
    type Item = (&'a str, Node<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.0.next()?;
        charge_bytes(name.len(), PATTERN_COST.get());
        Some((name.as_str(), Node(value)))
    }
}

/// Iterator over elements.
pub(super) struct ElementsIter<'a>(std::slice::Iter<'a, Value>);

impl<'a> Iterator for ElementsIter<'a> {
    type Item = Node<'a>;

    fn next(&mut self) -> Option<Node<'a>> {
        charge(1);
        self.0.next().map(Node)
    }
}
