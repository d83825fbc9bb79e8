//! Sign-in with OpenID Connect providers: list, beginning and completion.

use axum::{
    Json,
    extract::State,
    response::{AppendHeaders, IntoResponse, Response},
};
use hookstream_destinations::services::oidc::{Callback, ProviderError, SignIn};
use hookstream_model::{
    identity::{
        oidc::{self, Account, Arrival, Claims, Known, Refusal},
        session::Method,
        sign_in::counters_of_provider,
        user::User,
    },
    operations::audit_log::Actor,
};
use hookstream_store::identity::{
    members,
    users::{self, Identity},
};
use http::{HeaderMap, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{sessions::SessionAnswer, sign_in};
use crate::{
    auth::{
        audited_caller::ClientDetails,
        credentials::{Credentials, Principal},
        person::{self, Person},
        providers::{FLOW_FOR, Flow, IdentityProvider},
        same_origin::SameOrigin,
    },
    http::{
        body::RawBody,
        cookies,
        error::{ApiError, ErrorCode},
        params::PathParams,
        shapes::Success,
    },
    state::Api,
};

/// Identity provider.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Provider {
    /// Name of the provider in URLs.
    #[schema(example = "google")]
    name: String,
    /// Name of the provider for users.
    #[schema(example = "Google")]
    title: String,
    /// 1 if the signed-in user has connected the provider, 0 otherwise.
    connected: u8,
}

/// Ways to sign in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProviderList {
    providers: Vec<Provider>,
    /// 1 if the installation sends email, so that users can request a link for a forgotten password; 0 otherwise.
    mail: u8,
}

/// Start of signing in with a provider.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BeginWithProvider {
    /// `true` to connect the provider to the account of the signed-in user. The default is `false`: sign in.
    #[serde(default)]
    connect: bool,
}

/// Page of a provider.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProviderAddress {
    /// URL of the provider's page, to which the browser goes.
    url: String,
}

/// Parameters with which the provider sent the browser back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EndWithProvider {
    /// Parameter `code` of the callback.
    #[schema(example = "4/0AX4XfWh")]
    code: String,
    /// Parameter `state` of the callback.
    #[schema(example = "9c1a6f7e2b40")]
    state: String,
    /// Parameter `iss` of the callback, if present (RFC 9207).
    iss: Option<String>,
}

/// List identity providers
#[utoipa::path(
    get, path = "/auth/providers", operation_id = "listProviders", tag = "Sign-in", security(()),
    responses((status = 200, description = "All identity providers.", body = ProviderList))
)]
pub(crate) async fn list(
    State(api): State<Api>,
    axum::Extension(credentials): axum::Extension<Credentials>,
) -> Result<Json<ProviderList>, ApiError> {
    let connected = match credentials.principal() {
        Principal::Session(signed_in) => users::issuers(&*api.store, signed_in.user.id).await?,
        Principal::Key(_) | Principal::Portal(_) | Principal::Nothing => Vec::new(),
    };
    let shown = |provider: &IdentityProvider| Provider {
        name: provider.name.clone(),
        title: provider.title.clone(),
        connected: u8::from(connected.iter().any(|issuer| issuer == provider.client.issuer())),
    };
    Ok(Json(ProviderList { providers: api.providers.iter().map(shown).collect(), mail: u8::from(api.mail_queue.is_some()) }))
}

/// Start signing in with a provider
///
/// The answer contains the provider's page and sets a cookie that is valid for ten minutes. The provider sends the browser back to
/// `/sign-in/callback/{provider}` on this installation, which completes signing in.
#[utoipa::path(
    post, path = "/auth/providers/{provider}/begin", operation_id = "beginWithProvider", tag = "Sign-in", security(()),
    params(("provider" = String, Path, description = "Name of the provider.")),
    request_body = BeginWithProvider,
    responses(
        (status = 200, description = "Page of the provider. The cookie is set.", body = ProviderAddress),
        (status = 502, description = "The provider cannot be reached (`provider_failed`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn begin(
    State(api): State<Api>,
    _: SameOrigin,
    axum::Extension(credentials): axum::Extension<Credentials>,
    PathParams(name): PathParams<String>,
    body: RawBody,
) -> Result<Response, ApiError> {
    let provider = find(&api, &name)?;
    let BeginWithProvider { connect } = body.parse_optional()?;
    let connecting = match (connect, credentials.principal()) {
        (false, _) => None,
        (true, Principal::Session(signed_in)) => Some(signed_in.user.id),
        (true, Principal::Key(_) | Principal::Portal(_) | Principal::Nothing) => return Err(credentials.unauthorized()),
    };
    let random = [api.engine.random_bytes(), api.engine.random_bytes(), api.engine.random_bytes()];
    let flow = Flow::begin(&provider.name, connecting, random, api.now());
    let (redirect_uri, challenge) = (redirect_uri(&api, provider), flow.challenge());
    let sign_in = SignIn { redirect_uri: &redirect_uri, state: &flow.state, nonce: &flow.nonce, challenge: &challenge };
    let url = provider.client.address(&sign_in).await.map_err(|error| failed(provider, &error))?;
    let cookie = cookies::set_flow(&flow.seal(&api.sign_in_key), FLOW_FOR, api.is_reached_by_https());
    Ok(([(header::SET_COOKIE, cookie)], Json(ProviderAddress { url: url.into() })).into_response())
}

/// Complete signing in with a provider
///
/// Only the browser that started it can complete it. A user who has connected the provider is signed in. A new user joins the organizations
/// that invited their address. If an account with the address exists, the provider is connected to it only if the address was verified by a
/// link sent to it. Otherwise the user must sign in to the account first, then connect the provider.
#[utoipa::path(
    post, path = "/auth/providers/{provider}/end", operation_id = "endWithProvider", tag = "Sign-in", security(()),
    params(("provider" = String, Path, description = "Name of the provider.")),
    request_body = EndWithProvider,
    responses(
        (status = 200, description = "Session. Its cookie is set.", body = SessionAnswer),
        (status = 409, description = "The user must sign in first and connect the provider (`connect_first`), or another user has connected it (`identity_taken`).", body = crate::http::error::ErrorBody),
        (status = 410, description = "Signing in was not started in this browser, or more than ten minutes ago (`sign_in_over`).", body = crate::http::error::ErrorBody),
        (status = 502, description = "The provider cannot be reached, or its answer is invalid (`provider_failed`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn end(
    State(api): State<Api>,
    _: SameOrigin,
    origin: ClientDetails,
    axum::Extension(credentials): axum::Extension<Credentials>,
    PathParams(name): PathParams<String>,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, ApiError> {
    let provider = find(&api, &name)?;
    let EndWithProvider { code, state, iss } = body.parse()?;
    let flow = cookies::flow(&headers, api.is_reached_by_https()).and_then(|cookie| Flow::open(cookie, &api.sign_in_key, api.now()));
    let flow = flow.filter(|flow| flow.provider == provider.name && flow.state == state).ok_or_else(flow_is_over)?;
    // A code of one provider must not be sent to another (RFC 9207).
    if iss.is_some_and(|iss| iss != provider.client.issuer()) {
        return Err(flow_is_over());
    }
    // Each flow redeems one code, and failures per network are limited, because each attempt asks the provider.
    let counters = counters_of_provider(origin.address);
    sign_in::admit(&api, &counters).await?;
    if !api.flows.use_once(&flow.state, api.now()) {
        return Err(flow_is_over());
    }
    let connecting = match (&flow.connecting, credentials.principal()) {
        (None, _) => None,
        // The signed-in user must be the one who began the flow.
        (Some(user), Principal::Session(signed_in)) if signed_in.user.id.to_string() == *user => Some(signed_in),
        (Some(_), _) => return Err(flow_is_over()),
    };
    let redirect_uri = redirect_uri(&api, provider);
    let back = Callback { code: &code, redirect_uri: &redirect_uri, verifier: &flow.verifier, nonce: &flow.nonce, wall: api.wall() };
    let claims = {
        let _permit = api.provider_permits.acquire().await.expect("the semaphore is never closed");
        provider.client.redeem(&back).await.map_err(|error| failed(provider, &error))?
    };
    users::reset_failures(&*api.store, &counters).await?;
    oidc::is_of_domains(&claims, &provider.email_domains).map_err(|refusal| refused(provider, refusal))?;
    let is_over = cookies::set_flow("", std::time::Duration::ZERO, api.is_reached_by_https());
    let user = sign_in_with(&api, provider, &claims, connecting.map(|signed_in| signed_in.user.id), &origin).await?;
    let (session, cookie) = match connecting {
        Some(signed_in) => (signed_in.session.clone(), None),
        None => {
            let (session, cookie) = person::begin(&api, &user, None, Method::Provider(provider.name.clone()), &origin).await?;
            (session, Some(cookie))
        }
    };
    let answer = SessionAnswer::of(&api, &session, &user).await?;
    let lines: Vec<_> = cookie.into_iter().chain([is_over]).map(|line| (header::SET_COOKIE, line)).collect();
    Ok((AppendHeaders(lines), Json(answer)).into_response())
}

/// Disconnect a provider
///
/// The request is refused if the account has no password and no other provider, because the user could not sign in again.
#[utoipa::path(
    post, path = "/auth/providers/{provider}/disconnect", operation_id = "disconnectProvider", tag = "Sign-in", security(("session" = [])),
    params(("provider" = String, Path, description = "Name of the provider.")),
    responses(
        (status = 200, description = "Disconnected.", body = Success),
        (status = 409, description = "The provider is not connected, or it is the only way to sign in (`not_connected`).", body = crate::http::error::ErrorBody)
    )
)]
pub(crate) async fn disconnect(
    State(api): State<Api>,
    Person(person): Person,
    origin: ClientDetails,
    PathParams(name): PathParams<String>,
) -> Result<Json<Success>, ApiError> {
    let provider = find(&api, &name)?;
    let act = origin.act(&api, Actor::of_person(&person.user));
    if !users::forget_identity(&*api.store, &act, person.user.id, provider.client.issuer()).await? {
        let message = "The provider is not connected, or it is your only way to sign in. Set a password first: request a link for a forgotten password.";
        return Err(ApiError::new(ErrorCode::NotConnected, message));
    }
    tracing::info!(user.id = %person.user.id, provider = provider.name, "identity provider disconnected");
    Ok(Json(Success::new()))
}

/// Signs a user in, or refuses. Returns the user.
async fn sign_in_with(
    api: &Api,
    provider: &IdentityProvider,
    claims: &Claims,
    connecting: Option<hookstream_model::base::ids::UserId>,
    origin: &ClientDetails,
) -> Result<User, ApiError> {
    let db = &*api.store;
    let identity = Identity { issuer: provider.client.issuer(), subject: &claims.subject };
    let now = api.now();
    let (account, invitations) = match &claims.email {
        Some(email) => (users::find_by_email(db, email).await?, members::invitations_of(db, email, now).await?),
        None => (None, Vec::new()),
    };
    let known = Known {
        identified: users::find_by_identity(db, identity).await?,
        connecting,
        account: account.map(|account| Account {
            id: account.user.id,
            is_verified: account.is_verified,
            has_second_factor: account.is_confirmed,
        }),
        is_invited: !invitations.is_empty(),
    };
    match oidc::arrive(claims, known) {
        Arrival::SignIn(id) => person(api, id).await,
        Arrival::Connect(id) | Arrival::Adopt(id) => {
            let user = person(api, id).await?;
            let act = origin.act(api, Actor::of_person(&user));
            if !users::identify(db, &act, identity, id).await? {
                return Err(refused(provider, Refusal::Taken));
            }
            tracing::info!(user.id = %id, provider = provider.name, "identity provider connected");
            Ok(user)
        }
        Arrival::Join => {
            let email = claims.email.clone().ok_or_else(|| refused(provider, Refusal::AddressNotVerified))?;
            let name = claims.name.clone().unwrap_or_else(|| email.to_string());
            let user = User { id: api.engine.new_id().into(), email, name, created_at: now };
            let act = origin.act(api, Actor::of_person(&user));
            // The account was created or an invitation was deleted meanwhile.
            if !members::accept_all(db, &act, &invitations, &user, identity).await? {
                return Err(flow_is_over());
            }
            tracing::info!(user.id = %user.id, provider = provider.name, "account created for a sign-in with an identity provider");
            Ok(user)
        }
        Arrival::Refused(refusal) => Err(refused(provider, refusal)),
    }
}

async fn person(api: &Api, id: hookstream_model::base::ids::UserId) -> Result<User, ApiError> {
    Ok(users::find(&*api.store, id).await?.ok_or_else(|| ApiError::not_found("User"))?.user)
}

fn find<'a>(api: &'a Api, name: &str) -> Result<&'a IdentityProvider, ApiError> {
    let found = api.providers.iter().find(|provider| provider.name == name);
    found.ok_or_else(|| {
        ApiError::new(ErrorCode::NotFound, "Provider not found. GET /v1/auth/providers lists the providers of this installation.")
    })
}

/// Returns the redirect URI. Each provider has its own, so that no provider can have a browser deliver its code to
/// another (RFC 9700 section 4.4).
fn redirect_uri(api: &Api, provider: &IdentityProvider) -> String {
    format!("{}/sign-in/callback/{}", api.options.public_url, provider.name)
}

fn flow_is_over() -> ApiError {
    let message = "Signing in was not started in this browser, or took longer than ten minutes. Sign in again.";
    ApiError::new(ErrorCode::SignInOver, message)
}

/// Returns the error for the user after a failure at the provider. The details are logged for the operator.
fn failed(provider: &IdentityProvider, error: &ProviderError) -> ApiError {
    let title = &provider.title;
    let message = match error {
        ProviderError::Unreachable(_) | ProviderError::TimedOut => {
            format!("{title} cannot be reached at the moment. Retry in a minute, or sign in another way.")
        }
        ProviderError::Refused(word) => format!("{title} refused to identify you ({word}). Sign in again."),
        ProviderError::Unusable { .. } | ProviderError::Token(_) => {
            format!(
                "The answer of {title} is invalid. Sign in again. If the problem persists, contact the operator of this installation: the log has the cause."
            )
        }
    };
    ApiError::new(ErrorCode::ProviderFailed, message).caused_by(error)
}

fn refused(provider: &IdentityProvider, refusal: Refusal) -> ApiError {
    let title = &provider.title;
    tracing::info!(provider = provider.name, ?refusal, "refused a sign-in with an identity provider");
    match refusal {
        Refusal::AddressNotVerified => {
            let message = format!("{title} has not verified your email address. Sign in another way, then connect {title}.");
            ApiError::new(ErrorCode::AddressNotVerified, message)
        }
        Refusal::OtherDomain => {
            let message = format!("Your email address is not in a domain that can sign in with {title} on this installation.");
            ApiError::new(ErrorCode::OtherDomain, message)
        }
        Refusal::NotInvited => {
            let message = "Your email address has no invitation to this installation. Ask an owner or admin for one.";
            ApiError::new(ErrorCode::NotInvited, message)
        }
        Refusal::ConnectFirst => {
            let message = format!("An account with your email address exists. Sign in to it another way, then connect {title}.");
            ApiError::new(ErrorCode::ConnectFirst, message)
        }
        Refusal::Taken => {
            let message = format!("This {title} account is connected to another user. Sign in with another {title} account.");
            ApiError::new(ErrorCode::IdentityTaken, message)
        }
    }
}
