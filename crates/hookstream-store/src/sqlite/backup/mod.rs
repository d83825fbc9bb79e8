//! Backups of a data directory: consistent copies of its files, made while a server writes or while none runs.
//!
//! A backup shows all files at one moment between two commits ([`cut`]), as a power cut at that moment would leave them.
//! Each file is copied by SQLite's backup interface from a snapshot of that moment, so writing goes on meanwhile. The index
//! of words is left out, because a server builds it again.

mod archive;
mod copy;
pub mod create;
pub mod cut;
pub mod error;
mod fingerprint;
pub mod kept;
pub mod manifest;
pub mod restore;
mod verify;

pub use self::{create::create, cut::Prepared, error::BackupError, manifest::Manifest};
