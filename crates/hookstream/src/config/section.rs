//! Sections of settings: a struct of optional settings, and how two of them are merged.

/// Defines a section: each setting is a flag of clap and an `Option`, and is named here only. `or` keeps the settings
/// that are given and takes the others from another section.
macro_rules! section {
    ($(#[$meta:meta])* $visibility:vis struct $name:ident { $($(#[$of_field:meta])* $of:vis $field:ident: $type:ty,)* }) => {
        #[derive(Debug, Default, clap::Args)]
        $(#[$meta])*
        $visibility struct $name { $($(#[$of_field])* $of $field: $type,)* }

        impl $name {
            /// Returns these settings, with those of `other` for the missing ones.
            pub(super) fn or(self, other: Self) -> Self {
                Self { $($field: self.$field.or(other.$field),)* }
            }
        }
    };
}

pub(super) use section;
