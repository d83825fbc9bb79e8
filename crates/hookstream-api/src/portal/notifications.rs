//! Mail to the customer about failing and disabled endpoints: the address, confirmed by a code, and the choice of events.
//!
//! The address is an endpoint of the system environment, of the kind `email`, with the id of the application. Until the code is
//! confirmed it is disabled, and its `config`, which is sealed, has the code.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::{Json, extract::State};
use hookstream_model::{
    base::{
        ids::{ApplicationId, EndpointId},
        time::Timestamp,
    },
    identity::{tenancy::Tenant, user::Email},
    operations::{customer_notice::CustomerEvent, operational_event::SystemApplication},
    outbound::{
        endpoint::{Endpoint, EndpointStatus, EndpointUrl},
        signature::{SigningAlgorithm, SigningKey},
        target::{TargetConfig, TargetKind},
    },
};
use hookstream_store::outbound::{
    applications::Created,
    endpoints::{self, Changed, EndpointKey},
};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::{
    auth::{
        application_scope::{ApplicationScope, ensure_system_application},
        audited_caller::AuditedCaller,
    },
    background::mail,
    http::{
        body::RawBody,
        error::{ApiError, ErrorCode},
        limits::Subject,
        shapes::Success,
    },
    state::Api,
};

/// URL that is stored for an address, which has none.
const NO_URL: &str = "https://email.invalid/";
/// Validity of a code.
const CODE_VALID: Duration = Duration::from_secs(30 * 60);
/// Wrong codes after which a new one is needed.
const ATTEMPTS_MAX: u32 = 5;
/// Codes in an hour that the portal of one application may have mailed.
const CODES_AN_HOUR: NonZeroU32 = NonZeroU32::new(5).expect("not 0");
const HOUR: Duration = Duration::from_secs(3600);
/// Fields of `config` until the address is confirmed.
const CODE: &str = "code";
const CODE_ENDS: &str = "code_ends_at";
const CODE_ATTEMPTS: &str = "code_attempts";

/// Mail that the customer gets.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PortalNotifications {
    /// Address; `null` if the customer gets no mail.
    #[schema(example = "dev@acme.example")]
    email: Option<String>,
    /// Events that are mailed: `endpoint_failing`, `endpoint_disabled`.
    #[schema(example = json!(["endpoint_failing", "endpoint_disabled"]))]
    events: Vec<&'static str>,
    /// `off`, `unconfirmed` until the code is sent back, or `on`.
    #[schema(example = "on")]
    state: &'static str,
    /// Whether this installation can send mail.
    #[schema(example = true)]
    is_available: bool,
}

/// Answer with the mail that the customer gets.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PortalNotificationsAnswer {
    notifications: PortalNotifications,
}

/// Choice of mail.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SetPortalNotifications {
    /// Address. A new one gets a code.
    #[schema(example = "dev@acme.example")]
    email: String,
    /// Events that are mailed: `endpoint_failing` and `endpoint_disabled`. The default is both.
    events: Option<Vec<String>>,
}

/// Code of a mail.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmPortalNotifications {
    /// Code of six digits, from the mail.
    #[schema(example = "493027")]
    code: String,
}

/// Get the notifications in the portal
#[utoipa::path(
    get, path = "/portal/notifications", operation_id = "getPortalNotifications", tag = "Portal", security(("portal" = [])),
    responses((status = 200, description = "Mail that the customer gets.", body = PortalNotificationsAnswer))
)]
pub(crate) async fn get(State(api): State<Api>, scope: ApplicationScope) -> Result<Json<PortalNotificationsAnswer>, ApiError> {
    let (key, _) = key(&api, &scope).await?;
    let found = endpoints::find(&*api.store, key).await?;
    Ok(Json(shown(&api, found.as_ref().map(|(endpoint, _)| endpoint))))
}

/// Set the notifications in the portal
///
/// A new address gets a mail with a code, and nothing else until the code is confirmed. At most five codes an hour are mailed.
#[utoipa::path(
    post, path = "/portal/notifications", operation_id = "setPortalNotifications", tag = "Portal", security(("portal" = [])),
    request_body = SetPortalNotifications,
    responses(
        (status = 200, description = "Mail that the customer gets.", body = PortalNotificationsAnswer),
        (status = 409, description = "This installation sends no mail (`no_mail`).", body = crate::http::error::ErrorBody),
        (status = 502, description = "The code could not be mailed (`mail_failed`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn set(
    State(api): State<Api>,
    scope: ApplicationScope,
    audited: AuditedCaller,
    body: RawBody,
) -> Result<Json<PortalNotificationsAnswer>, ApiError> {
    let input: SetPortalNotifications = body.parse()?;
    let Some(queue) = &api.mail_queue else {
        let message = "This installation sends no mail. Ask the sender.";
        return Err(ApiError::new(ErrorCode::NoMail, message));
    };
    let email = Email::parse(&input.email)?;
    let types = types(input.events)?;
    let (key, application) = key(&api, &scope).await?;
    let act = audited.act(&api);
    let before = endpoints::find(&*api.store, key).await?.map(|(endpoint, _)| endpoint);
    let is_same = before.as_ref().is_some_and(|known| address(known) == Some(email.as_str()) && known.status == EndpointStatus::Active);
    let config = if is_same {
        BTreeMap::from([("to".to_owned(), email.as_str().to_owned())])
    } else {
        let rate_limit = api.limiter.count_in(Subject::PortalMails(application), CODES_AN_HOUR, HOUR, Instant::now());
        if let Some(wait) = rate_limit.wait {
            let message = format!("The portal mails at most {CODES_AN_HOUR} codes an hour. Retry later.");
            return Err(ApiError::new(ErrorCode::RateLimited, message).with_retry_after(wait));
        }
        let code = code(&api.engine.random_bytes());
        let sender = scope.routes(&api).await?.application().name.clone();
        mail::send(&api, queue, email.clone(), mail::confirmation(&sender, &code)).await?;
        let ends = (act.at + CODE_VALID).as_millis().to_string();
        let fields = [("to", email.as_str()), (CODE, code.as_str()), (CODE_ENDS, &ends), (CODE_ATTEMPTS, "0")];
        fields.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let config = Some(TargetConfig::new(TargetKind::Email, config));
    let apply = |endpoint: &mut Endpoint| {
        endpoint.config.clone_from(&config);
        endpoint.filter_types = Some(types.clone());
        endpoint.description = Some(email.as_str().to_owned());
        if !is_same {
            (endpoint.status, endpoint.disabled_at) = (EndpointStatus::Disabled, Some(act.at));
        }
        (endpoint.failing_since, endpoint.hold, endpoint.updated_at) = (None, None, act.at);
    };
    if before.is_none() {
        ensure_system_application(&api, scope.tenant, SystemApplication::Customers).await?;
        let mut endpoint = Endpoint::new(key.id, key.tenant, key.application_id, TargetKind::Email, EndpointUrl::parse(NO_URL)?, act.at);
        endpoint.channels = Some(vec![application.to_string()]);
        apply(&mut endpoint);
        let secret = SigningKey::generate(SigningAlgorithm::HmacSha256, &api.engine.random_bytes());
        if endpoints::create(&*api.store, &act, &endpoint, &secret, None, None).await? == Created::Stored {
            return Ok(Json(shown(&api, Some(&endpoint))));
        }
        // Another request was faster: the code of this one replaces its code.
    }
    let changed = endpoints::update(&*api.store, &act, key, |endpoint: &mut Endpoint| -> Result<(), ApiError> {
        apply(endpoint);
        Ok(())
    })
    .await?;
    let Changed::Done(changed) = changed else { return Err(ApiError::not_found("Notification address")) };
    Ok(Json(shown(&api, Some(&changed.0))))
}

/// Confirm the address of notifications in the portal
#[utoipa::path(
    post, path = "/portal/notifications/confirm", operation_id = "confirmPortalNotifications", tag = "Portal", security(("portal" = [])),
    request_body = ConfirmPortalNotifications,
    responses(
        (status = 200, description = "Confirmed: the customer gets mail from now on.", body = PortalNotificationsAnswer),
        (status = 403, description = "The code is wrong (`wrong_code`).", body = crate::http::error::ErrorBody),
        (status = 409, description = "No code is valid (`none_to_confirm`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn confirm(
    State(api): State<Api>,
    scope: ApplicationScope,
    audited: AuditedCaller,
    body: RawBody,
) -> Result<Json<PortalNotificationsAnswer>, ApiError> {
    let ConfirmPortalNotifications { code } = body.parse()?;
    let (key, _) = key(&api, &scope).await?;
    let act = audited.act(&api);
    let result = Mutex::new(Checked::None);
    // The count of attempts is in the row, whose version lets concurrent ones be counted one by one.
    let changed = endpoints::update(&*api.store, &act, key, |endpoint: &mut Endpoint| -> Result<(), ApiError> {
        *result.lock().unwrap_or_else(PoisonError::into_inner) = check_code(endpoint, code.trim(), act.at);
        Ok(())
    })
    .await?;
    match (changed, result.into_inner().unwrap_or_else(PoisonError::into_inner)) {
        (Changed::Done(changed), Checked::Right) => Ok(Json(shown(&api, Some(&changed.0)))),
        (Changed::Done(_), Checked::Wrong) => {
            let message = "The code is wrong. Send the code of the last mail.";
            Err(ApiError::new(ErrorCode::WrongCode, message))
        }
        _ => {
            let message = "No code is valid: it is older than 30 minutes, was used, or was wrong five times. Set the address again.";
            Err(ApiError::new(ErrorCode::NoneToConfirm, message))
        }
    }
}

/// Delete the notifications in the portal
///
/// The customer gets no mail any more.
#[utoipa::path(
    delete, path = "/portal/notifications", operation_id = "deletePortalNotifications", tag = "Portal", security(("portal" = [])),
    responses((status = 200, description = "Deleted, or there was no address.", body = Success))
)]
pub(crate) async fn delete(State(api): State<Api>, scope: ApplicationScope, audited: AuditedCaller) -> Result<Json<Success>, ApiError> {
    let (key, _) = key(&api, &scope).await?;
    endpoints::delete(&*api.store, &audited.act(&api), key).await?;
    Ok(Json(Success::new()))
}

/// Result of a code.
enum Checked {
    /// No code is valid.
    None,
    Wrong,
    Right,
}

/// Checks a code: the right one confirms the address, a wrong one is counted.
fn check_code(endpoint: &mut Endpoint, code: &str, now: Timestamp) -> Checked {
    let Some(config) = endpoint.config.clone() else { return Checked::None };
    let number = |name: &str| config.get(name).and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    let attempts = u32::try_from(number(CODE_ATTEMPTS)).unwrap_or(ATTEMPTS_MAX);
    let Some(expected) = config.get(CODE) else { return Checked::None };
    if attempts >= ATTEMPTS_MAX || now.as_millis() >= number(CODE_ENDS) {
        return Checked::None;
    }
    if expected != code {
        let counted = BTreeMap::from([(CODE_ATTEMPTS.to_owned(), Some((attempts + 1).to_string()))]);
        endpoint.config = Some(config.with(&counted));
        return Checked::Wrong;
    }
    let used = [CODE, CODE_ENDS, CODE_ATTEMPTS].map(|name| (name.to_owned(), None)).into();
    endpoint.config = Some(config.with(&used));
    (endpoint.status, endpoint.disabled_at, endpoint.disabled_reason) = (EndpointStatus::Active, None, None);
    Checked::Right
}

/// Returns a code of six digits.
fn code(random: &[u8; 32]) -> String {
    let number = random.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    format!("{:06}", number % 1_000_000)
}

/// Returns the types of operational events of a choice.
fn types(events: Option<Vec<String>>) -> Result<Vec<String>, ApiError> {
    let mut events = match events {
        None => CustomerEvent::ALL.to_vec(),
        Some(words) => words.iter().map(|word| CustomerEvent::parse(word)).collect::<Result<Vec<_>, _>>()?,
    };
    if events.is_empty() {
        return Err(ApiError::invalid("events", "must name an event. Delete the notifications to get no mail"));
    }
    events.sort();
    events.dedup();
    Ok(events.iter().flat_map(|event| event.types()).map(|kind| kind.as_str().to_owned()).collect())
}

fn address(endpoint: &Endpoint) -> Option<&str> {
    endpoint.config.as_ref().and_then(|config| config.get("to"))
}

fn shown(api: &Api, endpoint: Option<&Endpoint>) -> PortalNotificationsAnswer {
    let is_available = api.mail_queue.is_some();
    let Some(endpoint) = endpoint else {
        let notifications = PortalNotifications { email: None, events: Vec::new(), state: "off", is_available };
        return PortalNotificationsAnswer { notifications };
    };
    let is_chosen = |event: &CustomerEvent| event.types().iter().all(|kind| endpoint.wants_type(kind.as_str()));
    let events = CustomerEvent::ALL.iter().filter(|event| is_chosen(event)).map(|event| event.as_str()).collect();
    let is_unconfirmed = endpoint.config.as_ref().is_some_and(|config| config.get(CODE).is_some());
    let state = match endpoint.status {
        _ if is_unconfirmed => "unconfirmed",
        EndpointStatus::Active => "on",
        // Mail to the address failed for days.
        EndpointStatus::Paused | EndpointStatus::Disabled => "off",
    };
    let notifications = PortalNotifications { email: address(endpoint).map(str::to_owned), events, state, is_available };
    PortalNotificationsAnswer { notifications }
}

/// Returns the key of the address, and the application of the portal.
async fn key(api: &Api, scope: &ApplicationScope) -> Result<(EndpointKey, ApplicationId), ApiError> {
    let application = scope.resolve(api).await?;
    let system: Tenant = scope.tenant.of_system();
    let id = EndpointId::from_bytes(*application.as_bytes());
    Ok((EndpointKey { tenant: system, application_id: SystemApplication::Customers.id(system), id }, application))
}
