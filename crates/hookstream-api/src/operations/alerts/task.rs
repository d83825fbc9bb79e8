//! Evaluation of alert rules, on one node at a time.
//!
//! Each round looks at every rule: [`evaluate`] finds what meets its condition, the model decides what that means, and one commit stores the
//! alerts with the event that tells of them. If the process ends after the commit, the event is published by the next one.

use std::time::Duration;

use hookstream_model::{
    base::{
        ids::{AlertRuleId, ResourceId},
        time::Timestamp,
    },
    operations::{
        alerts::{alert::Alert, decision::decide, rule::AlertRule},
        operational_event::{OperationalEvent, finding_id},
    },
};
use hookstream_store::{
    Error,
    operations::{alert_rules, alerts},
};
use tokio_util::sync::CancellationToken;

use super::evaluate;
use crate::{http::error::ApiError, state::Api};

/// Rules read at once.
const RULES_AT_ONCE: usize = 100;
/// Time for which resolved alerts are kept.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

impl Api {
    /// Evaluates alert rules until `stop`.
    pub async fn run_alerts(self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(self.options.alert_period) => {}
            }
            if self.engine.works_on_first_shard()
                && let Err(error) = self.evaluate_rules(&stop).await
            {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not evaluate the alert rules; retrying");
            }
        }
    }

    pub(crate) async fn evaluate_rules(&self, stop: &CancellationToken) -> Result<(), Error> {
        let mut after = AlertRuleId::from_bytes([0; 16]);
        loop {
            let rules = alert_rules::active(&*self.store, after, RULES_AT_ONCE).await?;
            let Some(last) = rules.last() else { break };
            after = last.id;
            for rule in &rules {
                if stop.is_cancelled() {
                    return Ok(());
                }
                if let Err(error) = self.evaluate_rule(rule).await {
                    tracing::warn!(alert_rule.id = %rule.id, error = error.for_log(), "could not evaluate an alert rule; retrying");
                }
            }
        }
        alerts::expire(&*self.store, self.now() - KEPT).await
    }

    async fn evaluate_rule(&self, rule: &AlertRule) -> Result<(), ApiError> {
        let now = self.now();
        let breaches = if rule.enabled { evaluate::breaches(self, rule, now).await? } else { Vec::new() };
        let known = alerts::open_of_rule(&*self.store, rule.tenant, rule.id).await?;
        let decision = decide(rule, &known, &breaches, &mut || self.engine.new_id().into(), !rule.enabled, now);
        if decision.is_empty() {
            return Ok(());
        }
        let id = finding_id(rule.id.as_bytes(), now);
        let events: Vec<_> = decision.told.iter().map(|told| event(self, id, rule, told.clone(), now)).collect();
        match alert_rules::record(&*self.store, rule, &decision, &events, now).await {
            Ok(()) => {}
            // Another node was faster: it has told.
            Err(Error::Conflict { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        self.engine.operational_event_written();
        for alert in &decision.opened {
            tracing::warn!(alert_rule.id = %rule.id, alert.id = %alert.id, subject = alert.subject.name, "alert fires: {}", alert.summary);
        }
        for alert in decision.changed.iter().filter(|alert| alert.resolved_at == Some(now)) {
            tracing::info!(alert_rule.id = %rule.id, alert.id = %alert.id, subject = alert.subject.name, "alert resolved");
        }
        Ok(())
    }
}

fn event(
    api: &Api,
    id: ResourceId,
    rule: &AlertRule,
    mut told: hookstream_model::operations::alerts::decision::Told,
    now: Timestamp,
) -> OperationalEvent {
    told.notification.links = links(api, &told.alerts);
    OperationalEvent::of_alerts(id, rule, &told, now)
}

/// Returns the links of a notification about alerts: to the page of alerts, and to the endpoint if they are about one.
pub(super) fn links(api: &Api, alerts: &[Alert]) -> Vec<(String, String)> {
    let Some(first) = alerts.first() else { return Vec::new() };
    let mut links = vec![("Open alerts".to_owned(), api.dashboard_link(first.tenant, "/alerts"))];
    if let ([alert], Some(application), Some(endpoint)) = (alerts, first.subject.application_id, first.subject.endpoint_id) {
        let path = format!("/applications/{application}/endpoints/{endpoint}");
        links.push(("Open the endpoint".to_owned(), api.dashboard_link(alert.tenant, &path)));
    }
    links
}
