//! Audited fields against the columns of each table: a column that the audit log does not show is listed here.

use std::collections::BTreeSet;

use hookstream_model::{
    base::{
        ids::{ApplicationId, EndpointId, EnvironmentId, EventTypeId, OrganizationId},
        time::Timestamp,
    },
    identity::{environment::Environment, tenancy::Tenant},
    operations::{audit_log::fields::Audited, quota::Quotas},
    outbound::{
        application::{Application, ApplicationStatus},
        endpoint::{Endpoint, EndpointUrl},
        event_type::{EventType, EventTypeStatus},
        target::TargetKind,
    },
};

use crate::{
    db::resource::table::Column,
    identity::environments,
    outbound::{applications, endpoints, event_types},
};

const TENANT: Tenant = Tenant { organization: OrganizationId::from_bytes([1; 16]), environment: EnvironmentId::from_bytes([2; 16]) };

/// Checks that exactly the columns `hidden` are missing from the resource's fields in the audit log.
fn check(columns: &[Column], resource: &impl Audited, hidden: &[&str]) {
    let shown: BTreeSet<_> = resource.fields().names().collect();
    let missing: BTreeSet<_> = columns.iter().map(|column| column.name).filter(|name| !shown.contains(name)).collect();
    assert_eq!(missing, hidden.iter().copied().collect(), "columns that are not audited fields");
}

#[test]
fn audit_log_shows_the_columns_of_an_application() {
    let application = Application {
        id: ApplicationId::from_bytes([3; 16]),
        tenant: TENANT,
        name: "Acme".to_owned(),
        uid: None,
        description: None,
        metadata: None,
        status: ApplicationStatus::Active,
        rate_limit: None,
        portal_theme: None,
        created_at: Timestamp::EPOCH,
        updated_at: Timestamp::EPOCH,
    };
    let identity = ["id", "organization_id", "environment_id", "created_at", "updated_at"];
    let derived = ["version", "search", "endpoints_deleted_at_version"];
    check(applications::COLUMNS, &application, &[&identity[..], &derived].concat());
}

#[test]
fn audit_log_shows_the_columns_of_an_event_type() {
    let event_type = EventType {
        id: EventTypeId::from_bytes([3; 16]),
        tenant: TENANT,
        name: "invoice.paid".to_owned(),
        description: None,
        json_schema: None,
        status: EventTypeStatus::Active,
        created_at: Timestamp::EPOCH,
        updated_at: Timestamp::EPOCH,
    };
    let hidden = ["id", "organization_id", "environment_id", "created_at", "updated_at", "version"];
    check(event_types::COLUMNS, &event_type, &hidden);
}

#[test]
fn audit_log_shows_the_columns_of_an_endpoint() {
    let url = EndpointUrl::parse("https://example.com/").expect("a URL");
    let (id, application_id) = (EndpointId::from_bytes([4; 16]), ApplicationId::from_bytes([3; 16]));
    let endpoint = Endpoint::new(id, TENANT, application_id, TargetKind::Http, url, Timestamp::EPOCH);
    let identity = ["id", "organization_id", "environment_id", "created_at", "updated_at", "version", "changed_at_version"];
    let secrets = ["secret", "previous_secrets"];
    let findings = ["failing_since", "held_until", "hold_reason", "hold_since", "hold_probes", "disabled_at"];
    // Shown together as `batch`.
    let batch = ["batch_max_size", "batch_max_wait_ms"];
    check(endpoints::COLUMNS, &endpoint, &[&identity[..], &secrets, &findings, &batch].concat());
}

#[test]
fn audit_log_shows_the_columns_of_an_environment() {
    let environment = Environment {
        id: TENANT.environment,
        organization_id: TENANT.organization,
        name: "Production".to_owned(),
        slug: "production".to_owned(),
        retention_days: None,
        payload_retention_days: None,
        max_payload_bytes: None,
        weight: None,
        portal_reveal_secrets: true,
        is_production: true,
        forward_trace_context: false,
        portal_frame_origins: vec![],
        portal_theme: None,
        portal_url: None,
        quotas: Quotas::default(),
        created_at: Timestamp::EPOCH,
        deleted_at: None,
    };
    check(environments::COLUMNS, &environment, &["id", "organization_id", "created_at", "version", "deleted_at", "is_system"]);
}
