//! Types that are stored in one column, each with its kind of column and its form there.

use std::collections::BTreeMap;

use hookstream_model::{
    base::{
        ids::{
            AlertId, AlertRuleId, ApiKeyId, ApplicationId, EndpointId, EnvironmentId, EventTypeId, JobId, MessageId, OrganizationId,
            UserId, ViewId,
        },
        time::Timestamp,
    },
    delivery::{ordering::OnFailure, retry::RetrySchedule},
    identity::portal::PortalTheme,
    operations::{job::JobKind, problems::Severity, view::ViewPage},
    outbound::{
        application::ApplicationStatus, endpoint::EndpointStatus, event_type::EventTypeStatus, signature::SigningAlgorithm,
        target::TargetKind,
    },
};
use serde::{Serialize, de::DeserializeOwned};

use crate::db::{
    error::Error,
    resource::table::ColumnKind,
    statement::{Columns, Value},
};

/// Type that is stored in one column.
pub(crate) trait Stored: Sized {
    /// Kind of the column.
    const KIND: ColumnKind;

    /// Returns the stored form.
    fn to_value(&self) -> Value;

    /// Reads the stored form; `None` if no version of the program writes it.
    fn from_value(value: Value) -> Option<Self>;
}

impl Columns {
    /// Reads the next column as a value of this type.
    pub(crate) fn stored<T: Stored>(&mut self, what: &'static str) -> Result<T, Error> {
        T::from_value(self.next(what)?).ok_or(Error::Unreadable { what })
    }
}

impl<T: Stored> Stored for Option<T> {
    const KIND: ColumnKind = T::KIND;

    fn to_value(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::to_value)
    }

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value @ (Value::Integer(_) | Value::Text(_) | Value::Blob(_)) => T::from_value(value).map(Some),
        }
    }
}

impl Stored for String {
    const KIND: ColumnKind = ColumnKind::Text;

    fn to_value(&self) -> Value {
        Value::Text(self.clone())
    }

    fn from_value(value: Value) -> Option<Self> {
        match value {
            Value::Text(text) => Some(text),
            Value::Null | Value::Integer(_) | Value::Blob(_) => None,
        }
    }
}

/// Implements [`Stored`] for integers: type, form as a 64-bit integer, reading.
macro_rules! integers {
    ($($type:ty: $write:expr, $read:expr;)*) => {$(
        impl Stored for $type {
            const KIND: ColumnKind = ColumnKind::Integer;

            fn to_value(&self) -> Value {
                let write: fn($type) -> i64 = $write;
                Value::Integer(write(*self))
            }

            fn from_value(value: Value) -> Option<Self> {
                let read: fn(i64) -> Option<$type> = $read;
                match value {
                    Value::Integer(number) => read(number),
                    Value::Null | Value::Text(_) | Value::Blob(_) => None,
                }
            }
        }
    )*};
}

integers! {
    bool: i64::from, |number| Some(number != 0);
    u32: i64::from, |number| u32::try_from(number).ok();
    u64: |number| i64::try_from(number).unwrap_or(i64::MAX), |number| u64::try_from(number).ok();
    Timestamp: Timestamp::as_millis, |number| Some(Timestamp::from_millis(number));
}

/// Implements [`Stored`] for ids of the configuration, as 16 bytes.
macro_rules! ids {
    ($($type:ty)*) => {$(
        impl Stored for $type {
            const KIND: ColumnKind = ColumnKind::Bytes;

            fn to_value(&self) -> Value {
                self.as_bytes().into()
            }

            fn from_value(value: Value) -> Option<Self> {
                match value {
                    Value::Blob(bytes) => bytes.try_into().map(Self::from_bytes).ok(),
                    Value::Null | Value::Integer(_) | Value::Text(_) => None,
                }
            }
        }
    )*};
}

ids! { AlertId AlertRuleId ApiKeyId ApplicationId EndpointId EnvironmentId EventTypeId JobId MessageId OrganizationId UserId ViewId }

/// Implements [`Stored`] for enums that are stored as their word: type, parser.
macro_rules! words {
    ($($type:ty: $parse:expr;)*) => {$(
        impl Stored for $type {
            const KIND: ColumnKind = ColumnKind::Text;

            fn to_value(&self) -> Value {
                self.as_str().into()
            }

            fn from_value(value: Value) -> Option<Self> {
                let parse: fn(&str) -> Option<Self> = $parse;
                String::from_value(value).and_then(|word| parse(&word))
            }
        }
    )*};
}

words! {
    ApplicationStatus: |word| Self::parse(word).ok();
    EndpointStatus: |word| Self::parse(word).ok();
    EventTypeStatus: |word| Self::parse(word).ok();
    JobKind: Self::parse;
    Severity: Self::parse;
    OnFailure: |word| Self::parse(word).ok();
    SigningAlgorithm: |word| Self::parse(word).ok();
    TargetKind: Self::of_stored;
    ViewPage: |word| Self::parse(word).ok();
}

impl Stored for Vec<String> {
    const KIND: ColumnKind = ColumnKind::Text;

    fn to_value(&self) -> Value {
        to_json(self)
    }

    fn from_value(value: Value) -> Option<Self> {
        from_json(value)
    }
}

impl Stored for Vec<EndpointId> {
    const KIND: ColumnKind = ColumnKind::Text;

    fn to_value(&self) -> Value {
        to_json(&self.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    fn from_value(value: Value) -> Option<Self> {
        let words: Vec<String> = from_json(value)?;
        words.iter().map(|word| word.parse().ok()).collect()
    }
}

impl Stored for BTreeMap<String, String> {
    const KIND: ColumnKind = ColumnKind::Text;

    fn to_value(&self) -> Value {
        to_json(self)
    }

    fn from_value(value: Value) -> Option<Self> {
        from_json(value)
    }
}

impl Stored for PortalTheme {
    const KIND: ColumnKind = ColumnKind::Text;

    fn to_value(&self) -> Value {
        to_json(self)
    }

    fn from_value(value: Value) -> Option<Self> {
        from_json(value)
    }
}

impl Stored for RetrySchedule {
    const KIND: ColumnKind = ColumnKind::Text;

    fn to_value(&self) -> Value {
        to_json(self.as_seconds())
    }

    fn from_value(value: Value) -> Option<Self> {
        from_json(value).and_then(|seconds| Self::from_seconds(seconds).ok())
    }
}

fn to_json(value: &(impl Serialize + ?Sized)) -> Value {
    Value::Text(serde_json::to_string(value).expect("lists and maps of text and numbers are JSON"))
}

fn from_json<T: DeserializeOwned>(value: Value) -> Option<T> {
    String::from_value(value).and_then(|text| serde_json::from_str(&text).ok())
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use super::*;

    /// Checks that a value has the stored form and is read from it, and that the type refuses another form.
    fn check<T: Stored + PartialEq + Debug>(value: &T, stored: &Value, refused: Value) {
        assert_eq!(value.to_value(), *stored);
        assert_eq!(T::from_value(stored.clone()).as_ref(), Some(value));
        assert_eq!(T::from_value(refused), None);
    }

    #[test]
    fn values_are_read_from_their_stored_form_and_other_forms_are_refused() {
        check(&"a".to_owned(), &"a".into(), Value::Null);
        check(&Some("a".to_owned()), &"a".into(), Value::Integer(1));
        check(&None::<u32>, &Value::Null, Value::Integer(-1));
        check(&true, &Value::Integer(1), Value::Null);
        check(&7_u32, &Value::Integer(7), Value::Integer(1 << 40));
        check(&7_u64, &Value::Integer(7), Value::Integer(-7));
        check(&Timestamp::from_millis(-7), &Value::Integer(-7), Value::Null);
        check(&EndpointId::from_bytes([7; 16]), &Value::Blob(vec![7; 16]), Value::Blob(vec![7; 15]));
        check(&EndpointStatus::Paused, &"paused".into(), "unknown".into());
        check(&vec!["a".to_owned()], &r#"["a"]"#.into(), r#"[1]"#.into());
        check(&BTreeMap::from([("a".to_owned(), "b".to_owned())]), &r#"{"a":"b"}"#.into(), "[]".into());
        check(&RetrySchedule::from_seconds(vec![5, 300]).expect("a schedule"), &"[5,300]".into(), "[-1]".into());
    }
}
