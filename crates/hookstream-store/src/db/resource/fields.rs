//! Fields of a resource, one line each, for the columns of its table and for reading its rows.

/// Describes the fields of a resource in the order of their columns. Defines `FIELDS`, the columns with their values,
/// and `read_fields`, which reads the resource from them.
///
/// A field begins with `fixed`, if no update writes it, or with `changing`:
/// - `changing name: String;` is a field in a column of its name. Its type is [`Stored`](super::stored::Stored).
/// - `fixed kind as "type": TargetKind;` is a field in a column of another name.
/// - `changing ordering = ["ordering" Text = …, "ordering_key" Text = …] read …;` is a field in several columns, or one
///   with a form of its own. The reading may use the fields before it.
/// - `later config = None;` is a field that the resource's file fills in itself.
macro_rules! resource_fields {
    (@changes fixed) => { false };
    (@changes changing) => { true };

    (@next [$Resource:ident $resource:ident $columns:ident] [$($column:tt)*] [$($read:tt)*] [$($field:ident)*]) => {
        /// Columns of the fields.
        const FIELDS: &[crate::db::resource::table::FieldColumn<$Resource>] = &[$($column)*];

        /// Reads a resource from the columns of its fields.
        fn read_fields($columns: &mut crate::db::statement::Columns) -> Result<$Resource, crate::db::error::Error> {
            $($read)*
            Ok($Resource { $($field),* })
        }
    };
    (@next $context:tt $column:tt [$($read:tt)*] [$($field:ident)*] later $name:ident = $value:expr; $($rest:tt)*) => {
        resource_fields!(@next $context $column [$($read)* let $name = $value;] [$($field)* $name] $($rest)*);
    };
    (@next $context:tt $column:tt $read:tt $field:tt $mode:ident $name:ident: $type:ty; $($rest:tt)*) => {
        resource_fields!(@one $context $column $read $field $mode $name (stringify!($name)) ($type) $($rest)*);
    };
    (@next $context:tt $column:tt $read:tt $field:tt $mode:ident $name:ident as $stored:literal: $type:ty; $($rest:tt)*) => {
        resource_fields!(@one $context $column $read $field $mode $name ($stored) ($type) $($rest)*);
    };
    (
        @next [$Resource:ident $resource:ident $columns:ident] [$($column:tt)*] [$($read:tt)*] [$($field:ident)*]
        $mode:ident $name:ident = [$($stored:literal $kind:ident = $value:expr),* $(,)?] read $reading:expr; $($rest:tt)*
    ) => {
        resource_fields!(
            @next [$Resource $resource $columns]
            [$($column)* $(crate::db::resource::table::FieldColumn {
                column: crate::db::resource::table::Column { name: $stored, kind: crate::db::resource::table::ColumnKind::$kind },
                changes: resource_fields!(@changes $mode),
                value: |$resource: &$Resource| ($value).into(),
            },)*]
            [$($read)* let $name = $reading;]
            [$($field)* $name]
            $($rest)*
        );
    };
    (
        @one [$Resource:ident $resource:ident $columns:ident] [$($column:tt)*] [$($read:tt)*] [$($field:ident)*]
        $mode:ident $name:ident ($stored:expr) ($type:ty) $($rest:tt)*
    ) => {
        resource_fields!(
            @next [$Resource $resource $columns]
            [$($column)* crate::db::resource::table::FieldColumn {
                column: crate::db::resource::table::Column {
                    name: $stored,
                    kind: <$type as crate::db::resource::stored::Stored>::KIND,
                },
                changes: resource_fields!(@changes $mode),
                value: |$resource: &$Resource| crate::db::resource::stored::Stored::to_value(&$resource.$name),
            },]
            [$($read)* let $name: $type = $columns.stored($stored)?;]
            [$($field)* $name]
            $($rest)*
        );
    };
    ($Resource:ident, |$resource:ident, $columns:ident| { $($lines:tt)* }) => {
        resource_fields!(@next [$Resource $resource $columns] [] [] [] $($lines)*);
    };
}

pub(crate) use resource_fields;
