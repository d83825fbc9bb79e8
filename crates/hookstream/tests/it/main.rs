//! The real binary, from outside: started, called, killed, started again.

mod api;
mod batch;
mod commands;
mod crash;
mod delivery;
mod doctor;
mod environments;
mod expiry;
mod explain;
mod fair;
mod fidelity;
mod jobs;
mod keys;
mod limits;
mod listen;
mod loops;
mod order;
mod program;
mod restart;
mod samples;
mod support;
mod tenancy;
mod torture;
mod trust;
mod usage;
mod vault;
