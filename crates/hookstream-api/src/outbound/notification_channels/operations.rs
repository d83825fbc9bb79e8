//! Notification channels (CONTRACT 4.6).
//!
//! A channel is an endpoint of the system environment, so retries, the circuit breaker, the address policy and the record of attempts are
//! those of every endpoint. It listens to the channel of its own id, by which a notification is addressed.

use std::time::Duration;

use axum::{Json, extract::State, response::Response};
use hookstream_engine::Draft;
use hookstream_model::{
    base::ids::{ApplicationId, EndpointId, EntryId},
    identity::{
        scopes::{Resource, Scope},
        tenancy::Tenant,
    },
    operations::{
        alerts::{
            notification::{Notification, State as NotificationState},
            rule::check_name,
        },
        audit_log::{Action, AuditContext, Change, fields::Fields},
        operational_event::{OperationalType, SystemApplication},
        problems::Severity,
    },
    outbound::{
        endpoint::{Endpoint, EndpointStatus, EndpointUrl},
        hops::Hops,
        message::Payload,
        signature::{SigningAlgorithm, SigningKey},
        target::TargetKind,
    },
};
use hookstream_store::{
    operations::audit_log::{self, AboutEndpoint},
    outbound::endpoints::{self, Changed, EndpointKey},
};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{json, value::RawValue};
use utoipa::ToSchema;

use super::view::{Channel, ConfigChange, LastAttempts, kind, secret_text};
use crate::{
    auth::{application_scope::ensure_system_application, audited_caller::AuditedCaller, caller::Caller},
    http::{
        body::{Field, Flag, RawBody},
        error::{ApiError, ErrorCode},
        idempotency, page,
        params::{OfId, PathParams, QueryParams, id},
        shapes::{ListQuery, Success},
    },
    outbound::endpoints::target,
    state::Api,
};

/// Maximum number of notification channels of an environment.
const CHANNELS_MAX: usize = 50;
/// Time for which a test waits for its attempt: nobody looks at a button for longer.
const TEST_TIME: Duration = Duration::from_secs(9);
/// Interval between looks for the attempt of a test.
const TEST_LOOKS: Duration = Duration::from_millis(100);
/// Placeholder until the config names the address.
const NO_URL: &str = "https://channel.invalid/";

/// Answer with a notification channel.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelAnswer {
    channel: Channel,
    /// Secret that signs the notifications of a new webhook (Standard Webhooks). No other answer contains it.
    #[serde(skip_serializing_if = "Option::is_none")]
    signing_secret: Option<String>,
}

/// Page of notification channels.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelList {
    channels: Vec<Channel>,
    /// Cursor of the next page; `null` on the last page.
    cursor: Option<String>,
    has_more: bool,
}

/// New notification channel.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateChannel<'a> {
    /// Name: 1 to 100 characters.
    #[schema(example = "On call")]
    name: String,
    /// `webhook`, `slack`, `discord`, `teams`, `pagerduty`, `telegram` or `email`.
    #[schema(example = "slack")]
    channel_type: String,
    /// Settings of the type: an object, or its JSON text. `webhook`: `url`, `secret`. `slack`, `discord`, `teams`: `url` of the service's
    /// incoming webhook. `pagerduty`: `routing_key`. `telegram`: `bot_token`, `chat_id`. `email`: `to`, at most 20 addresses.
    #[serde(borrow)]
    #[schema(value_type = BTreeMap<String, Value>)]
    config: &'a RawValue,
    /// Whether the channel is told: 1 (the default) or 0, `true` or `false`.
    #[schema(value_type = Option<Value>, example = 1)]
    enabled: Option<Flag>,
    /// Id of the organization. The default is the caller's organization.
    org_id: Option<String>,
    /// Id of the environment. The default is the caller's environment.
    env_id: Option<String>,
}

/// Changes of a notification channel. Fields that are left out keep their values.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateChannel<'a> {
    /// Name: 1 to 100 characters.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "On call")]
    name: Field<String>,
    /// Fields of `config` to change; `null` removes one. The type cannot be changed.
    #[serde(default, borrow)]
    #[schema(value_type = Option<BTreeMap<String, Value>>)]
    config: Field<&'a RawValue>,
    /// Whether the channel is told: 1 or 0, `true` or `false`.
    #[serde(default)]
    #[schema(value_type = Option<Value>)]
    enabled: Field<Flag>,
}

/// Result of a test.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ChannelTest {
    /// Whether the service accepted the notification.
    #[schema(example = true)]
    success: bool,
    /// Error of the attempt; left out after a success.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "http_status: the receiver responded with 404")]
    error: Option<String>,
}

/// List notification channels
#[utoipa::path(
    get, path = "/notification-channels", operation_id = "listNotificationChannels", tag = "Alerts", params(ListQuery),
    responses((status = 200, description = "Page of notification channels, newest first.", body = ChannelList))
)]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(query): QueryParams<ListQuery>,
) -> Result<Json<ChannelList>, ApiError> {
    caller.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    let request = page::request(query.limit.as_deref(), query.cursor.as_deref(), EndpointId::from_bytes)?;
    let (system, application) = place(caller.tenant);
    let page = endpoints::list(&*api.store, system, application, request).await?;
    let cursor = page::cursor(&page, |(endpoint, _)| *endpoint.id.as_bytes());
    let has_more = page.has_more;
    let mut channels = Vec::with_capacity(page.items.len());
    for (endpoint, _) in page.items {
        let last = LastAttempts::read(&api, caller.tenant, &endpoint).await?;
        channels.push(Channel::shown(caller.tenant, endpoint, last));
    }
    Ok(Json(ChannelList { channels, cursor, has_more }))
}

/// Create a notification channel
///
/// Notifications are delivered as messages are: retried for days, under the same address policy. A webhook gets them as JSON, signed by
/// Standard Webhooks. An environment has at most 50 channels.
#[utoipa::path(
    post, path = "/notification-channels", operation_id = "createNotificationChannel", tag = "Alerts", request_body = CreateChannel,
    responses(
        (status = 201, description = "Created.", body = ChannelAnswer),
        (status = 409, description = "There are 50 notification channels (`too_many_channels`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn create(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, ApiError> {
    let input: CreateChannel<'_> = body.parse()?;
    let caller = caller.within(&api, input.org_id.as_deref(), input.env_id.as_deref(), Scope::write(Resource::Alerts)).await?;
    let idempotency_key = idempotency::key(&headers, "POST /v1/notification-channels", &body.0)?;
    check_name(&input.name)?;
    let kind = kind(&input.channel_type)?;
    let change = ConfigChange::read(kind, input.config)?;
    let (system, application) = place(caller.tenant);
    let act = audited.act(&api);
    let id: EndpointId = api.engine.new_id().into();
    let no_url = EndpointUrl::parse(NO_URL)?;
    let mut endpoint = Endpoint::new(id, system, application, kind, no_url.clone(), act.at);
    change.apply(&mut endpoint)?;
    if endpoint.url == no_url {
        return Err(ApiError::invalid("config.url", "is missing"));
    }
    endpoint.description = Some(input.name);
    endpoint.channels = Some(vec![id.to_string()]);
    if input.enabled.is_some_and(|enabled| !enabled.is_set()) {
        (endpoint.status, endpoint.disabled_at) = (EndpointStatus::Disabled, Some(act.at));
    }
    let secret = match &change.secret {
        Some(given) => secret_text(given),
        None => SigningKey::generate(SigningAlgorithm::HmacSha256, &api.engine.random_bytes()),
    };
    let key = SigningKey::parse(&secret).map_err(|error| ApiError::invalid("config.secret", &error.problem))?;
    endpoint.signing_algorithm = key.algorithm();
    target::check(&api, &endpoint).await?;
    ensure_system_application(&api, caller.tenant, SystemApplication::Channels).await?;
    if endpoints::ids(&*api.store, system, application).await?.len() >= CHANNELS_MAX {
        return Err(too_many());
    }
    let channel = Channel::shown(caller.tenant, endpoint.clone(), LastAttempts::default());
    let signing_secret = (kind == TargetKind::Http).then(|| secret.expose().to_owned());
    let answer = ChannelAnswer { channel, signing_secret };
    idempotency::create_once(&api, caller.tenant, idempotency_key, &answer, too_many, async |kept| {
        endpoints::create(&*api.store, &act, &endpoint, &secret, None, kept).await
    })
    .await
}

/// Get a notification channel
#[utoipa::path(
    get, path = "/notification-channels/{id}", operation_id = "getNotificationChannel", tag = "Alerts",
    params(("id" = String, Path, description = "The channel's id.")),
    responses((status = 200, description = "Notification channel.", body = ChannelAnswer))
)]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    PathParams(OfId { id: given }): PathParams<OfId>,
) -> Result<Json<ChannelAnswer>, ApiError> {
    let (endpoint, _) = endpoints::find(&*api.store, key(caller.tenant, &given)?).await?.ok_or_else(not_found)?;
    let last = LastAttempts::read(&api, caller.tenant, &endpoint).await?;
    Ok(Json(ChannelAnswer { channel: Channel::shown(caller.tenant, endpoint, last), signing_secret: None }))
}

/// Update a notification channel
#[utoipa::path(
    patch, path = "/notification-channels/{id}", operation_id = "updateNotificationChannel", tag = "Alerts",
    params(("id" = String, Path, description = "The channel's id.")), request_body = UpdateChannel,
    responses((status = 200, description = "Updated notification channel.", body = ChannelAnswer))
)]
pub(crate) async fn update(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    PathParams(OfId { id: given }): PathParams<OfId>,
    body: RawBody,
) -> Result<Json<ChannelAnswer>, ApiError> {
    let input: UpdateChannel<'_> = body.parse()?;
    if input.name.is_absent() && input.config.is_absent() && input.enabled.is_absent() {
        return Err(ApiError::no_fields());
    }
    let name = input.name.required("name")?;
    if let Some(name) = &name {
        check_name(name)?;
    }
    let enabled = input.enabled.required("enabled")?.map(Flag::is_set);
    let key = key(caller.tenant, &given)?;
    let (mut current, _) = endpoints::find(&*api.store, key).await?.ok_or_else(not_found)?;
    let change = input.config.required("config")?.map(|raw| ConfigChange::read(current.kind, raw)).transpose()?;
    if let Some(change) = &change {
        if change.secret.is_some() {
            return Err(ApiError::invalid("config.secret", "can't be changed. Create another channel"));
        }
        change.apply(&mut current)?;
        target::check(&api, &current).await?;
    }
    let act = audited.act(&api);
    let changed = endpoints::update(&*api.store, &act, key, |endpoint: &mut Endpoint| -> Result<(), ApiError> {
        if let Some(name) = &name {
            endpoint.description = Some(name.clone());
        }
        if let Some(change) = &change {
            change.apply(endpoint)?;
            endpoint.hold = None;
        }
        if let Some(enabled) = enabled {
            endpoint.status = if enabled { EndpointStatus::Active } else { EndpointStatus::Disabled };
            endpoint.disabled_at = (!enabled).then_some(endpoint.disabled_at.unwrap_or(act.at));
            (endpoint.disabled_reason, endpoint.failing_since, endpoint.hold) = (None, None, None);
        }
        endpoint.updated_at = act.at;
        Ok(())
    })
    .await?;
    let Changed::Done(changed) = changed else { return Err(not_found()) };
    let last = LastAttempts::read(&api, caller.tenant, &changed.0).await?;
    Ok(Json(ChannelAnswer { channel: Channel::shown(caller.tenant, changed.0, last), signing_secret: None }))
}

/// Delete a notification channel
///
/// Rules that name the channel keep its id, and tell the others.
#[utoipa::path(
    delete, path = "/notification-channels/{id}", operation_id = "deleteNotificationChannel", tag = "Alerts",
    params(("id" = String, Path, description = "The channel's id.")),
    responses((status = 200, description = "Deleted.", body = Success))
)]
pub(crate) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    PathParams(OfId { id: given }): PathParams<OfId>,
) -> Result<Json<Success>, ApiError> {
    let was_there = endpoints::delete(&*api.store, &audited.act(&api), key(caller.tenant, &given)?).await?;
    if was_there { Ok(Json(Success::new())) } else { Err(not_found()) }
}

/// Test a notification channel
///
/// Sends a test notification, and waits up to 9 seconds for the result of its only attempt. A channel that was held back after failures is
/// tried at once.
#[utoipa::path(
    post, path = "/notification-channels/{id}/test", operation_id = "testNotificationChannel", tag = "Alerts",
    params(("id" = String, Path, description = "The channel's id.")),
    responses((status = 200, description = "Result of the test.", body = ChannelTest))
)]
pub(crate) async fn test(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    PathParams(OfId { id: given }): PathParams<OfId>,
) -> Result<Json<ChannelTest>, ApiError> {
    let key = key(caller.tenant, &given)?;
    let (endpoint, _) = endpoints::find(&*api.store, key).await?.ok_or_else(not_found)?;
    if endpoint.status != EndpointStatus::Active {
        let error = "The channel is disabled. Enable it, then test it".to_owned();
        return Ok(Json(ChannelTest { success: false, error: Some(error) }));
    }
    // Who tests has mended something, and wants to know now.
    if endpoint.hold.is_some() {
        endpoints::reset_hold(&*api.store, &audited.act(&api), key).await?;
    }
    let draft = test_draft(&api, caller.tenant, &endpoint)?;
    let EndpointKey { tenant: system, application_id: application, .. } = key;
    let accepted = api.engine.send_test(system, &application.to_string(), endpoint.id, draft).await?;
    let act = AuditContext { entry: EntryId::from_bytes(*accepted.id.as_bytes()), ..audited.act(&api) };
    let about = AboutEndpoint { application, endpoint: endpoint.id };
    let fields = Fields::default().with("message_id", accepted.id.to_string());
    audit_log::record_of_endpoint(&*api.store, &act, system, about, Action::EndpointTest, &Change::done(&fields)).await?;
    let attempt = async {
        loop {
            let found = api.store.message(system, application.into(), accepted.id).await?;
            match found.and_then(|found| found.attempts.into_iter().next()) {
                Some(attempt) => return Ok::<_, ApiError>(attempt),
                None => tokio::time::sleep(TEST_LOOKS).await,
            }
        }
    };
    Ok(Json(match tokio::time::timeout(TEST_TIME, attempt).await {
        Ok(attempt) => {
            let attempt = attempt?;
            ChannelTest { success: attempt.succeeded, error: attempt.error.filter(|_| !attempt.succeeded) }
        }
        Err(_) => {
            let error =
                "No attempt ended within 9 seconds, because the service is slow or Hookstream is busy. See `last_error` of the channel later".to_owned();
            ChannelTest { success: false, error: Some(error) }
        }
    }))
}

fn test_draft(api: &Api, tenant: Tenant, endpoint: &Endpoint) -> Result<Draft, ApiError> {
    let name = endpoint.description.as_deref().unwrap_or_default();
    let notification = Notification {
        state: NotificationState::Resolved,
        severity: Severity::Notice,
        title: format!("Test of the channel {name}"),
        summary: "This is a test notification of Hookstream. Nothing is wrong.".to_owned(),
        facts: Vec::new(),
        links: vec![("Open alerts".to_owned(), api.dashboard_link(tenant, "/alerts"))],
        dedup_key: format!("hookstream-test-{}", endpoint.id),
        is_ongoing: false,
    };
    let mut data = notification.to_json();
    data.insert("test".to_owned(), true.into());
    let kind = OperationalType::AlertResolved.as_str();
    let payload = json!({ "type": kind, "timestamp": api.now().to_string(), "data": data });
    let payload = RawValue::from_string(payload.to_string()).map_err(|error| ApiError::panicked(error.to_string()))?;
    Ok(Draft {
        event_type: kind.to_owned(),
        payload: Payload::from_json(Some(&payload))?,
        event_id: None,
        channels: vec![],
        idempotency: None,
        hops: Hops::default(),
        trace: None,
        is_event: false,
    })
}

/// Returns the tenant and the application of an environment's channels.
fn place(tenant: Tenant) -> (Tenant, ApplicationId) {
    let system = tenant.of_system();
    (system, SystemApplication::Channels.id(system))
}

fn key(tenant: Tenant, given: &str) -> Result<EndpointKey, ApiError> {
    let (tenant, application_id) = place(tenant);
    Ok(EndpointKey { tenant, application_id, id: id(given, "Notification channel")? })
}

fn not_found() -> ApiError {
    ApiError::not_found("Notification channel")
}

fn too_many() -> ApiError {
    let message = format!("The environment has {CHANNELS_MAX} notification channels, which is the limit. Delete one first.");
    ApiError::new(ErrorCode::TooManyChannels, message)
}
