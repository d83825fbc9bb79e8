//! Description of a resource's table, given once by the resource's file: its columns, their values and their reading.
//!
//! [`table::Table`] derives the select list, the insert, the update and the deletion from it; the transfer takes its columns
//! from it. A new field of a resource is one line of [`fields::resource_fields!`].

pub(crate) mod fields;
pub(crate) mod optimistic;
pub(crate) mod stored;
pub(crate) mod table;

#[cfg(test)]
mod tests;
