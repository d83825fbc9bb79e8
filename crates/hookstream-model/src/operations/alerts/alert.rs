//! Alert: something that a rule found, from the time at which it was found to the time at which it had passed.

use crate::{
    base::{
        ids::{AlertId, AlertRuleId, ApplicationId, EndpointId},
        time::Timestamp,
    },
    identity::tenancy::Tenant,
    operations::problems::Severity,
};

/// Alert. A rule has at most one unresolved alert about a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Unique id.
    pub id: AlertId,
    /// Tenant that owns it.
    pub tenant: Tenant,
    /// Rule that raised it.
    pub rule_id: AlertRuleId,
    /// Subject.
    pub subject: Subject,
    /// How bad it is.
    pub severity: Severity,
    /// Finding, as a sentence.
    pub summary: String,
    /// Time at which it was found.
    pub fired_at: Timestamp,
    /// Time at which a notification told of it; `None` if none did yet.
    pub told_at: Option<Timestamp>,
    /// Time at which it had passed; `None` while it lasts.
    pub resolved_at: Option<Timestamp>,
    /// True if nothing more is to be told of it.
    pub is_closed: bool,
}

/// Subject of an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Key that distinguishes it from other subjects of the rule.
    pub key: String,
    /// Name for people.
    pub name: String,
    /// Application that it is, or belongs to.
    pub application_id: Option<ApplicationId>,
    /// Endpoint that it is.
    pub endpoint_id: Option<EndpointId>,
}

impl Subject {
    /// Whole environment.
    pub fn environment(name: &str) -> Self {
        Self { key: "environment".to_owned(), name: name.to_owned(), application_id: None, endpoint_id: None }
    }

    /// Application.
    pub fn application(id: ApplicationId, name: String) -> Self {
        Self { key: format!("application:{id}"), name, application_id: Some(id), endpoint_id: None }
    }

    /// Endpoint of an application.
    pub fn endpoint(application: ApplicationId, id: EndpointId, name: String) -> Self {
        Self { key: format!("endpoint:{id}"), name, application_id: Some(application), endpoint_id: Some(id) }
    }
}
