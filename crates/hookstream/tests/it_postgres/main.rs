//! End-to-end tests of the real binary on PostgreSQL: the tests for SQLite, plus tests with several nodes on one
//! database.

#[path = "../it/api.rs"]
mod api;
#[path = "../it/audit_log.rs"]
mod audit_log;
#[path = "../it/authority.rs"]
mod authority;
#[path = "../it/batch.rs"]
mod batch;
#[path = "../it/crash.rs"]
mod crash;
#[path = "../it/delivery.rs"]
mod delivery;
#[path = "../it/doctor.rs"]
mod doctor;
#[path = "../it/environments.rs"]
mod environments;
#[path = "../it/expiry.rs"]
mod expiry;
#[path = "../it/explain.rs"]
mod explain;
#[path = "../it/fair.rs"]
mod fair;
#[path = "../it/fidelity.rs"]
mod fidelity;
#[path = "../it/jobs.rs"]
mod jobs;
#[path = "../it/keys.rs"]
mod keys;
#[path = "../it/leaks.rs"]
mod leaks;
#[path = "../it/limits.rs"]
mod limits;
#[path = "../it/loops.rs"]
mod loops;
#[path = "../it/mail.rs"]
mod mail;
mod network;
mod nodes;
#[path = "../it/operator.rs"]
mod operator;
#[path = "../it/order.rs"]
mod order;
#[path = "../it/outbound.rs"]
mod outbound;
#[path = "../it/people.rs"]
mod people;
mod pooler;
#[path = "../it/portal.rs"]
mod portal;
#[path = "../it/providers.rs"]
mod providers;
mod quota_nodes;
#[path = "../it/quotas.rs"]
mod quotas;
mod refusals;
mod rolling;
#[path = "../it/support.rs"]
mod support;
#[path = "../it/tenancy.rs"]
mod tenancy;
mod transfer;
#[path = "../it/usage.rs"]
mod usage;
#[path = "../it/vault.rs"]
mod vault;
#[path = "../it/visitor.rs"]
mod visitor;
