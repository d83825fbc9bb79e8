//! Alert rules (CONTRACT 4.5).

use axum::{Json, extract::State, response::Response};
use hookstream_model::{
    base::ids::{AlertRuleId, ApplicationId, EndpointId, ResourceId},
    identity::{
        scopes::{Resource, Scope},
        tenancy::Tenant,
    },
    operations::{
        alerts::{
            condition::{Condition, RuleType},
            decision::decide,
            rule::{AlertRule as Model, COOLDOWN_DEFAULT, RULES_MAX},
        },
        operational_event::{OperationalEvent, SystemApplication},
    },
};
use hookstream_store::operations::{alert_rules, alerts};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};
use utoipa::ToSchema;

use super::task::links;
use crate::{
    auth::{
        application_scope::{ApplicationScope, ensure_system_application},
        audited_caller::AuditedCaller,
        caller::Caller,
    },
    http::{
        body::{Field, Flag, RawBody, Whole, json_fields, json_value},
        error::{ApiError, ErrorCode},
        idempotency, page,
        params::{OfId, PathParams, QueryParams, id},
        portal_settings::json_of,
        shapes::{ListQuery, Success},
    },
    state::Api,
};

/// Alert rule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlertRule {
    #[schema(example = "019dc1e2a3b47c5d8e9f001122334455")]
    id: String,
    org_id: String,
    env_id: String,
    /// Name.
    #[schema(example = "Failures of any endpoint")]
    name: String,
    /// Free text for people.
    description: Option<String>,
    /// 1 if the rule is evaluated, 0 if not.
    #[schema(example = 1)]
    enabled: u8,
    /// Kind of condition: `failure_rate`, `latency`, `volume_drop`, `dlq`, `backlog_age`, `disk_forecast` or `problem`.
    #[schema(example = "failure_rate")]
    rule_type: &'static str,
    /// JSON text of an object: the condition's fields, with their defaults.
    #[schema(example = "{\"threshold\":0.1,\"window_minutes\":15,\"min_attempts\":10,\"per\":\"endpoint\"}")]
    rule_config: String,
    /// Always `null` in this version, which has no inbound events.
    source_id: Option<String>,
    /// Always `null` in this version, which has no inbound events.
    destination_id: Option<String>,
    /// Application that the rule looks at; `null` for all.
    application_id: Option<String>,
    /// Endpoint that the rule looks at; `null` for all.
    endpoint_id: Option<String>,
    /// JSON text of a list: ids of the notification channels that are told.
    #[schema(example = "[\"019dc1e2a3b47c5d8e9f001122334456\"]")]
    channel_ids: String,
    /// Time after a notification in which the rule tells of no further alerts, in minutes.
    #[schema(example = 60)]
    cooldown_minutes: u32,
    /// Time of the last notification of a new alert.
    last_triggered_at: Option<String>,
    /// Number of these notifications.
    #[schema(example = 3)]
    trigger_count: u64,
    #[schema(example = "2026-11-24T08:30:00.000Z")]
    created_at: String,
    updated_at: String,
}

impl From<Model> for AlertRule {
    fn from(rule: Model) -> Self {
        let ids: Vec<_> = rule.channel_ids.iter().map(ToString::to_string).collect();
        Self {
            id: rule.id.to_string(),
            org_id: rule.tenant.organization.to_string(),
            env_id: rule.tenant.environment.to_string(),
            name: rule.name,
            description: rule.description,
            enabled: u8::from(rule.enabled),
            rule_type: rule.condition.kind().as_str(),
            rule_config: json_of(&rule.condition.to_json()),
            source_id: None,
            destination_id: None,
            application_id: rule.application_id.map(|id| id.to_string()),
            endpoint_id: rule.endpoint_id.map(|id| id.to_string()),
            channel_ids: json_of(&ids),
            cooldown_minutes: rule.cooldown_minutes,
            last_triggered_at: rule.last_triggered_at.map(|at| at.to_string()),
            trigger_count: rule.trigger_count,
            created_at: rule.created_at.to_string(),
            updated_at: rule.updated_at.to_string(),
        }
    }
}

/// Answer with an alert rule.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlertRuleAnswer {
    alert_rule: AlertRule,
}

/// Page of alert rules.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AlertRuleList {
    alert_rules: Vec<AlertRule>,
    /// Cursor of the next page; `null` on the last page.
    cursor: Option<String>,
    has_more: bool,
}

/// New alert rule.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateAlertRule<'a> {
    /// Name: 1 to 100 characters.
    #[schema(example = "Failures of any endpoint")]
    name: String,
    /// Free text for people: 1 to 500 characters.
    description: Option<String>,
    /// Whether the rule is evaluated: 1 (the default) or 0, `true` or `false`.
    #[schema(value_type = Option<Value>, example = 1)]
    enabled: Option<Flag>,
    /// Kind of condition: `failure_rate`, `latency`, `volume_drop`, `dlq`, `backlog_age`, `disk_forecast` or `problem`.
    #[schema(example = "failure_rate")]
    rule_type: String,
    /// Fields of the condition: an object, or its JSON text. The guide to alerts lists them. `quiet_hours` of any kind is
    /// `{"from": "22:00", "to": "07:00", "time_zone": "Europe/Berlin"}`.
    #[serde(default, borrow)]
    #[schema(value_type = Option<BTreeMap<String, Value>>)]
    rule_config: Option<&'a RawValue>,
    /// `null`: this version has no inbound events.
    #[schema(value_type = Option<String>)]
    source_id: Option<String>,
    /// `null`: this version has no inbound events.
    #[schema(value_type = Option<String>)]
    destination_id: Option<String>,
    /// Application that the rule looks at, by its id or `uid`.
    application_id: Option<String>,
    /// Endpoint that the rule looks at, by its id or `uid`. It requires `application_id`.
    endpoint_id: Option<String>,
    /// Ids of at most 20 notification channels that are told: a list, or its JSON text.
    #[serde(default, borrow)]
    #[schema(value_type = Option<Vec<String>>)]
    channel_ids: Option<&'a RawValue>,
    /// Time after a notification in which the rule tells of no further alerts, in minutes: 0 to 43200. The default is 60.
    #[schema(value_type = Option<u32>, example = 60)]
    cooldown_minutes: Option<Whole<u32>>,
    /// Id of the organization. The default is the caller's organization.
    org_id: Option<String>,
    /// Id of the environment. The default is the caller's environment.
    env_id: Option<String>,
}

/// Changes of an alert rule. Fields that are left out keep their values.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateAlertRule<'a> {
    /// Name: 1 to 100 characters.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "Failures")]
    name: Field<String>,
    /// Free text for people: 1 to 500 characters; `null` removes it.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    description: Field<String>,
    /// Whether the rule is evaluated: 1 or 0, `true` or `false`. With 0 its alerts resolve.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    enabled: Field<Flag>,
    /// Fields of the condition, in place of all current ones: an object, or its JSON text.
    #[serde(default, borrow)]
    #[schema(value_type = Option<BTreeMap<String, Value>>)]
    rule_config: Field<&'a RawValue>,
    /// `null`: this version has no inbound events.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    source_id: Field<String>,
    /// `null`: this version has no inbound events.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    destination_id: Field<String>,
    /// Ids of at most 20 notification channels that are told, in place of all current ones: a list, or its JSON text.
    #[serde(default, borrow)]
    #[schema(value_type = Option<Vec<String>>)]
    channel_ids: Field<&'a RawValue>,
    /// Time after a notification in which the rule tells of no further alerts, in minutes: 0 to 43200.
    #[serde(default)]
    #[schema(value_type = Option<u32>)]
    cooldown_minutes: Field<Whole<u32>>,
}

/// List alert rules
#[utoipa::path(
    get, path = "/alert-rules", operation_id = "listAlertRules", tag = "Alerts", params(ListQuery),
    responses((status = 200, description = "Page of alert rules, newest first.", body = AlertRuleList))
)]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Json<AlertRuleList>, ApiError> {
    caller.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    let request = page::request(query.limit.as_deref(), query.cursor.as_deref(), AlertRuleId::from_bytes)?;
    let page = alert_rules::list(&*api.store, caller.tenant, request).await?;
    let cursor = page::cursor(&page, |rule| *rule.id.as_bytes());
    let has_more = page.has_more;
    Ok(Json(AlertRuleList { alert_rules: page.items.into_iter().map(AlertRule::from).collect(), cursor, has_more }))
}

/// Create an alert rule
///
/// A rule is evaluated from the metrics, on one node at a time. Alerts of one evaluation are told in one notification. What has fired is told
/// again when it resolves. An environment has at most 100 rules.
#[utoipa::path(
    post, path = "/alert-rules", operation_id = "createAlertRule", tag = "Alerts", request_body = CreateAlertRule,
    responses(
        (status = 201, description = "Created.", body = AlertRuleAnswer),
        (status = 409, description = "There are 100 alert rules (`too_many_alert_rules`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn create(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, ApiError> {
    let input: CreateAlertRule<'_> = body.parse()?;
    let caller = caller.within(&api, input.org_id.as_deref(), input.env_id.as_deref(), Scope::write(Resource::Alerts)).await?;
    let tenant = caller.tenant;
    let key = idempotency::key(&headers, "POST /v1/alert-rules", &body.0)?;
    refuse_inbound("source_id", input.source_id.as_deref())?;
    refuse_inbound("destination_id", input.destination_id.as_deref())?;
    let condition = condition(RuleType::parse(&input.rule_type)?, input.rule_config)?;
    let (application_id, endpoint_id) = subject(&api, tenant, input.application_id.as_deref(), input.endpoint_id.as_deref()).await?;
    let channel_ids = channels(&api, tenant, input.channel_ids).await?;
    // Events of alerts are written only if someone can be told.
    ensure_system_application(&api, tenant, SystemApplication::Channels).await?;
    let act = audited.act(&api);
    let now = act.at;
    let rule = Model {
        id: api.engine.new_id().into(),
        tenant,
        name: input.name,
        description: input.description.filter(|text| !text.is_empty()),
        enabled: input.enabled.is_none_or(Flag::is_set),
        condition,
        application_id,
        endpoint_id,
        channel_ids,
        cooldown_minutes: input.cooldown_minutes.map_or(COOLDOWN_DEFAULT, |Whole(minutes)| minutes),
        last_triggered_at: None,
        trigger_count: 0,
        created_at: now,
        updated_at: now,
    };
    rule.check()?;
    let answer = AlertRuleAnswer { alert_rule: rule.clone().into() };
    idempotency::create_once(&api, tenant, key, &answer, too_many, async |kept| alert_rules::create(&*api.store, &act, &rule, kept).await)
        .await
}

/// Get an alert rule
#[utoipa::path(
    get, path = "/alert-rules/{id}", operation_id = "getAlertRule", tag = "Alerts",
    params(("id" = String, Path, description = "The rule's id.")),
    responses((status = 200, description = "Alert rule.", body = AlertRuleAnswer))
)]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    PathParams(OfId { id: given }): PathParams<OfId>,
) -> Result<Json<AlertRuleAnswer>, ApiError> {
    let found = alert_rules::find(&*api.store, caller.tenant, id(&given, "Alert rule")?).await?;
    Ok(Json(AlertRuleAnswer { alert_rule: found.ok_or_else(not_found)?.into() }))
}

/// Update an alert rule
///
/// The kind of the condition and the subject cannot be changed.
#[utoipa::path(
    patch, path = "/alert-rules/{id}", operation_id = "updateAlertRule", tag = "Alerts",
    params(("id" = String, Path, description = "The rule's id.")), request_body = UpdateAlertRule,
    responses((status = 200, description = "Updated alert rule.", body = AlertRuleAnswer))
)]
pub(crate) async fn update(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    PathParams(OfId { id: given }): PathParams<OfId>,
    body: RawBody,
) -> Result<Json<AlertRuleAnswer>, ApiError> {
    let input: UpdateAlertRule<'_> = body.parse()?;
    let is_given = [
        input.name.is_absent(),
        input.description.is_absent(),
        input.enabled.is_absent(),
        input.rule_config.is_absent(),
        input.source_id.is_absent(),
        input.destination_id.is_absent(),
        input.channel_ids.is_absent(),
        input.cooldown_minutes.is_absent(),
    ];
    if is_given.into_iter().all(|is_absent| is_absent) {
        return Err(ApiError::no_fields());
    }
    refuse_inbound("source_id", input.source_id.nullable().flatten().as_deref())?;
    refuse_inbound("destination_id", input.destination_id.nullable().flatten().as_deref())?;
    let id: AlertRuleId = id(&given, "Alert rule")?;
    let current = alert_rules::find(&*api.store, caller.tenant, id).await?.ok_or_else(not_found)?;
    let name = input.name.required("name")?;
    let description = input.description.nullable();
    let enabled = input.enabled.required("enabled")?.map(Flag::is_set);
    let new_condition = input.rule_config.required("rule_config")?.map(|raw| condition(current.condition.kind(), Some(raw))).transpose()?;
    let channel_ids = match input.channel_ids {
        Field::Absent => None,
        Field::Null => Some(Vec::new()),
        Field::Given(raw) => Some(channels(&api, caller.tenant, Some(raw)).await?),
    };
    let cooldown = input.cooldown_minutes.required("cooldown_minutes")?.map(|Whole(minutes)| minutes);
    let act = audited.act(&api);
    let changed = alert_rules::update(&*api.store, &act, caller.tenant, id, |rule: &mut Model| -> Result<(), ApiError> {
        if let Some(name) = &name {
            rule.name.clone_from(name);
        }
        if let Some(description) = &description {
            rule.description = description.clone().filter(|text| !text.is_empty());
        }
        rule.enabled = enabled.unwrap_or(rule.enabled);
        if let Some(condition) = &new_condition {
            rule.condition.clone_from(condition);
        }
        if let Some(ids) = &channel_ids {
            rule.channel_ids.clone_from(ids);
        }
        rule.cooldown_minutes = cooldown.unwrap_or(rule.cooldown_minutes);
        rule.updated_at = act.at;
        Ok(rule.check()?)
    })
    .await?;
    Ok(Json(AlertRuleAnswer { alert_rule: changed.ok_or_else(not_found)?.into() }))
}

/// Delete an alert rule
///
/// The rule's alerts are deleted with it. Channels that were told of them are told that they are resolved.
#[utoipa::path(
    delete, path = "/alert-rules/{id}", operation_id = "deleteAlertRule", tag = "Alerts",
    params(("id" = String, Path, description = "The rule's id.")),
    responses((status = 200, description = "Deleted.", body = Success))
)]
pub(crate) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    PathParams(OfId { id: given }): PathParams<OfId>,
) -> Result<Json<Success>, ApiError> {
    let id: AlertRuleId = id(&given, "Alert rule")?;
    let act = audited.act(&api);
    let known = alerts::open_of_rule(&*api.store, caller.tenant, id).await?;
    let last = |rule: &Model| {
        let decision = decide(rule, &known, &[], &mut || api.engine.new_id().into(), true, act.at);
        let told = decision.told.into_iter().map(|mut told| {
            told.notification.links = links(&api, &told.alerts);
            OperationalEvent::of_alerts(ResourceId::from_bytes(*act.entry.as_bytes()), rule, &told, act.at)
        });
        told.collect()
    };
    let was_there = alert_rules::delete(&*api.store, &act, caller.tenant, id, last).await?;
    api.engine.operational_event_written();
    if was_there { Ok(Json(Success::new())) } else { Err(not_found()) }
}

/// Reads the fields of a condition: an object, or its JSON text.
fn condition(kind: RuleType, raw: Option<&RawValue>) -> Result<Condition, ApiError> {
    let fields: Map<String, Value> = match raw.filter(|raw| raw.get() != "null") {
        Some(raw) => json_fields("rule_config", raw, "an object of the condition's fields")?,
        None => Map::new(),
    };
    Ok(Condition::read(kind, &fields)?)
}

/// Finds the application and the endpoint that a rule looks at.
async fn subject(
    api: &Api,
    tenant: Tenant,
    application: Option<&str>,
    endpoint: Option<&str>,
) -> Result<(Option<ApplicationId>, Option<EndpointId>), ApiError> {
    match (application, endpoint) {
        (None, None) => Ok((None, None)),
        (None, Some(_)) => Err(ApiError::invalid("application_id", "is missing; it is required with `endpoint_id`")),
        (Some(application), None) => Ok((Some(ApplicationScope::of_sender(tenant, application).resolve(api).await?), None)),
        (Some(application), Some(endpoint)) => {
            let (routes, endpoint) = ApplicationScope::of_sender(tenant, application).endpoint(api, endpoint).await?;
            Ok((Some(routes.id()), Some(endpoint)))
        }
    }
}

/// Reads the ids of channels: a list, or its JSON text. Each must be a channel of the environment.
async fn channels(api: &Api, tenant: Tenant, raw: Option<&RawValue>) -> Result<Vec<EndpointId>, ApiError> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Ok(Vec::new()) };
    let texts: Vec<String> = json_value("channel_ids", raw, "a list of ids of notification channels")?;
    if texts.is_empty() {
        return Ok(Vec::new());
    }
    let system = tenant.of_system();
    let application = SystemApplication::Channels.id(system).to_string();
    let known = api.engine.applications().resolve_now(system, &application).await?;
    let mut ids: Vec<EndpointId> = Vec::with_capacity(texts.len());
    for text in texts {
        let found = text.parse().ok().filter(|id| known.as_ref().is_some_and(|known| known.endpoint(*id).is_some()));
        let unknown =
            || ApiError::invalid("channel_ids", &format!("has `{}`, which is no notification channel of the environment", shown(&text)));
        let id = found.ok_or_else(unknown)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// Returns the part of a text that an error may repeat.
fn shown(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || "_-".contains(*c)).take(40).collect()
}

/// Refuses a subject that this version does not have.
fn refuse_inbound(field: &'static str, given: Option<&str>) -> Result<(), ApiError> {
    match given {
        None | Some("") => Ok(()),
        Some(_) => Err(ApiError::invalid(field, "names nothing, because this version has no inbound events. Leave it out")),
    }
}

fn not_found() -> ApiError {
    ApiError::not_found("Alert rule")
}

fn too_many() -> ApiError {
    let message = format!(
        "The environment has {RULES_MAX} alert rules, which is the limit. Delete one, or use `per` to look at many subjects with one."
    );
    ApiError::new(ErrorCode::TooManyAlertRules, message)
}
