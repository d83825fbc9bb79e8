//! Settings of an endpoint that a request to create it and one to change it give alike, one line each.

use std::collections::BTreeMap;

use hookstream_model::{
    base::time::Timestamp,
    delivery::{
        batch::BatchPolicy,
        ordering::{OnFailure, Ordering},
        retry::RetrySchedule,
    },
    outbound::endpoint::Endpoint as Model,
};

use super::{
    fields,
    requests::{CreateEndpoint, UpdateEndpoint},
};
use crate::{
    auth::application_scope::ApplicationScope,
    http::{body::Field, error::ApiError},
    outbound::applications::metadata,
};

/// Field of a request.
trait RequestField {
    /// Type of its value.
    type Value;

    /// Returns true if the request contains the field.
    fn is_given(&self) -> bool;

    fn into_field(self) -> Field<Self::Value>;
}

/// Field of a new endpoint: null means the same as no field.
impl<T> RequestField for Option<T> {
    type Value = T;

    fn is_given(&self) -> bool {
        self.is_some()
    }

    fn into_field(self) -> Field<T> {
        self.map_or(Field::Absent, Field::Given)
    }
}

/// Field of a change: null removes the value.
impl<T> RequestField for Field<T> {
    type Value = T;

    fn is_given(&self) -> bool {
        !self.is_absent()
    }

    fn into_field(self) -> Field<T> {
        self
    }
}

/// Defines the settings. A line has a customer's access (`open`, or `reserved` for the sender), the field of the model
/// with its type, and its reading from the request's field of the same name. `with` names a second field that the
/// reading needs.
macro_rules! settings {
    (@reserved open) => { false };
    (@reserved reserved) => { true };

    (@request $Request:ident |$scope:ident, $now:ident| $($access:ident $name:ident $(with $other:ident)?: $type:ty = $read:expr;)*) => {
        impl $Request<'_> {
            /// Refuses settings that are reserved for the sender.
            pub(super) fn refuse_reserved(&self, scope: &ApplicationScope) -> Result<(), ApiError> {
                scope.refuse_of_customer(&[$(
                    (stringify!($name), settings!(@reserved $access) && self.$name.is_given()),
                    $((stringify!($other), settings!(@reserved $access) && self.$other.is_given()),)?
                )*])
            }

            /// Reads and checks the settings of the request.
            pub(super) fn settings(self, $scope: &ApplicationScope, $now: Timestamp) -> Result<Settings, ApiError> {
                $(
                    let $name = self.$name.into_field();
                    $(let $other = self.$other.into_field();)?
                )*
                Ok(Settings { $($name: $read,)* })
            }
        }
    };

    (|$scope:ident, $now:ident| $($access:ident $name:ident $(with $other:ident)?: $type:ty = $read:expr;)*) => {
        /// Checked settings; `None` for one that the request leaves out.
        #[derive(Debug)]
        pub(super) struct Settings {
            $(pub(super) $name: Option<$type>,)*
        }

        impl Settings {
            /// Returns true if the request contains no setting.
            pub(super) const fn is_empty(&self) -> bool {
                true $(&& self.$name.is_none())*
            }

            /// Sets the given settings of an endpoint.
            pub(super) fn apply(&self, endpoint: &mut Model) {
                $(set(&mut endpoint.$name, self.$name.as_ref());)*
            }
        }

        settings!(@request CreateEndpoint |$scope, $now| $($access $name $(with $other)?: $type = $read;)*);
        settings!(@request UpdateEndpoint |$scope, $now| $($access $name $(with $other)?: $type = $read;)*);
    };
}

settings! {
    |scope, now|
    reserved uid: Option<String> = uid.nullable();
    open description: Option<String> = description.try_map(fields::description)?.nullable();
    reserved metadata: Option<String> = metadata.try_map(self::metadata)?.nullable();
    open filter_types: Option<Vec<String>> = filter_types.try_map(fields::filter_types)?.nullable();
    reserved channels: Option<Vec<String>> = channels.try_map(fields::channels)?.nullable();
    reserved rate_limit_per_second: Option<u32> = rate_limit_per_second.number().nullable();
    reserved expires_at: Option<Timestamp> = expires_at.try_map(|text| fields::expiry(&text, now))?.nullable();
    open headers: Option<BTreeMap<String, String>> = headers.try_map(|raw| fields::own_headers(scope, raw))?.nullable();
    reserved retry_schedule: Option<RetrySchedule> = retry_schedule.try_map(fields::retry_schedule)?.nullable();
    reserved timeout_ms: Option<u32> = timeout_ms.number().try_map(fields::timeout_ms)?.nullable();
    reserved ordering with ordering_key: Ordering = fields::ordering(ordering.required("ordering")?, ordering_key.nullable().flatten())?;
    reserved on_failure: OnFailure = on_failure.required("on_failure")?.map(|word| OnFailure::parse(&word)).transpose()?;
    reserved batch: Option<BatchPolicy> = batch.try_map(fields::batch_policy)?.nullable();
}

fn set<T: Clone>(field: &mut T, value: Option<&T>) {
    if let Some(value) = value {
        field.clone_from(value);
    }
}
