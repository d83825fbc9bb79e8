//! Alerts that rules raised.

use axum::{Json, extract::State};
use hookstream_model::{
    base::{
        ids::{AlertId, AlertRuleId},
        text::got,
        time::Timestamp,
    },
    operations::alerts::alert::Alert as Model,
};
use hookstream_store::operations::alerts;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::caller::Caller,
    http::{
        error::ApiError,
        page,
        params::{QueryParams, id},
        shapes::ListQuery,
    },
    state::Api,
};

/// Alert.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Alert {
    #[schema(example = "019dc1e2a3b47c5d8e9f001122334455")]
    id: String,
    org_id: String,
    env_id: String,
    /// Id of the rule that raised it.
    rule_id: String,
    /// `firing`, or `resolved` once the condition was no longer met.
    #[schema(example = "firing")]
    state: &'static str,
    /// `critical`, `warning` or `notice`.
    #[schema(example = "warning")]
    severity: &'static str,
    /// Name of the subject: of an endpoint, an application, or the environment.
    #[schema(example = "https://example.com/webhooks")]
    subject: String,
    /// Application that the subject is, or belongs to.
    application_id: Option<String>,
    /// Endpoint that the subject is.
    endpoint_id: Option<String>,
    /// Finding, when the alert fired.
    #[schema(example = "12 of 40 attempts failed in the last 15 min (30 %; threshold 10 %).")]
    summary: String,
    /// Time at which it was found.
    fired_at: String,
    /// Time at which a notification told of it; `null` if none did, because of the cooldown or quiet hours.
    notified_at: Option<String>,
    /// Time at which the condition was no longer met.
    resolved_at: Option<String>,
}

impl From<Model> for Alert {
    fn from(alert: Model) -> Self {
        let text = |at: Option<Timestamp>| at.map(|at| at.to_string());
        Self {
            id: alert.id.to_string(),
            org_id: alert.tenant.organization.to_string(),
            env_id: alert.tenant.environment.to_string(),
            rule_id: alert.rule_id.to_string(),
            state: if alert.resolved_at.is_some() { "resolved" } else { "firing" },
            severity: alert.severity.as_str(),
            subject: alert.subject.name,
            application_id: alert.subject.application_id.map(|id| id.to_string()),
            endpoint_id: alert.subject.endpoint_id.map(|id| id.to_string()),
            summary: alert.summary,
            fired_at: alert.fired_at.to_string(),
            notified_at: text(alert.told_at),
            resolved_at: text(alert.resolved_at),
        }
    }
}

/// Page of alerts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlertList {
    alerts: Vec<Alert>,
    /// Cursor of the next page; `null` on the last page.
    cursor: Option<String>,
    has_more: bool,
}

/// Filter of alerts.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct AlertQuery {
    /// Only alerts in this state: `firing`.
    state: Option<String>,
    /// Only alerts of this rule.
    rule_id: Option<String>,
}

/// List alerts
///
/// Resolved alerts are kept for 30 days.
#[utoipa::path(
    get, path = "/alerts", operation_id = "listAlerts", tag = "Alerts", params(ListQuery, AlertQuery),
    responses((status = 200, description = "Page of alerts, newest first.", body = AlertList))
)]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(query): QueryParams<ListQuery>,
    QueryParams(filter): QueryParams<AlertQuery>,
) -> Result<Json<AlertList>, ApiError> {
    caller.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    let request = page::request(query.limit.as_deref(), query.cursor.as_deref(), AlertId::from_bytes)?;
    let only_firing = match filter.state.as_deref() {
        None | Some("") => false,
        Some("firing") => true,
        Some(other) => return Err(ApiError::invalid("state", &format!("must be `firing`, or left out for all alerts{}", got(other)))),
    };
    let rule = filter.rule_id.as_deref().map(|text| id::<AlertRuleId>(text, "Alert rule")).transpose()?;
    let page = alerts::list(&*api.store, caller.tenant, rule, only_firing, request).await?;
    let cursor = page::cursor(&page, |alert| *alert.id.as_bytes());
    let has_more = page.has_more;
    Ok(Json(AlertList { alerts: page.items.into_iter().map(Alert::from).collect(), cursor, has_more }))
}
