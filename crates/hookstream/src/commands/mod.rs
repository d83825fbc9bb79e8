//! Commands; each has a file or folder.

mod access;
pub(crate) mod admin;
pub(crate) mod backup;
pub(crate) mod config;
pub(crate) mod demo;
pub(crate) mod doctor;
mod existing;
pub(crate) mod explain;
pub(crate) mod health;
pub(crate) mod login;
pub(crate) mod migrate;
pub(crate) mod problems;
pub(crate) mod quickstart;
pub(crate) mod resources;
pub(crate) mod send;
pub(crate) mod serve;
pub(crate) mod shell;
pub(crate) mod sink;
pub(crate) mod transfer;
