//! Saved views: a list's filters under a name, kept by one user or shared in the environment.
//!
//! The gate asks for `views:read` only, so that viewers keep views of their own; the rules of the model decide about
//! each view ([`ViewCaller`]).

use axum::{Json, extract::State, response::Response};
use hookstream_model::{
    base::ids::ViewId,
    identity::scopes::{Resource, Scope},
    operations::view::{self as rules, Filters, SharingRefused, View as Model, ViewAccess, ViewCaller, ViewPage},
};
use hookstream_store::operations::views::{self, Changed};
use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::{IntoParams, ToSchema};

use crate::{
    auth::{
        audited_caller::AuditedCaller,
        caller::{Caller, CallerIdentity},
        refusal::forbidden,
    },
    http::{
        body::{Field, Flag, RawBody, json_fields},
        error::{ApiError, ErrorCode},
        idempotency, page,
        params::{OfId, PathParams, QueryParams, id},
        portal_settings::json_of,
        shapes::{ListQuery, Success},
    },
    state::Api,
};

/// Saved view: the filters of a list, under a name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct View {
    #[schema(example = "019dc1e2a3b47c5d8e9f001122334455")]
    id: String,
    org_id: String,
    env_id: String,
    /// Name.
    #[schema(example = "Failed invoices")]
    name: String,
    /// List that it filters.
    #[schema(example = "messages")]
    page: &'static str,
    /// JSON text of an object: the list's filters, each with its value as in a query.
    #[schema(example = "{\"status\":\"failed\",\"event_type\":\"invoice.paid\"}")]
    filters: String,
    /// 1 if everybody in the environment sees the view, 0 if its owner only.
    #[schema(example = 1)]
    shared: u8,
    /// Id of the user who created it; `null` if an API key did.
    owner_id: Option<String>,
    #[schema(example = "2026-11-24T08:30:00.000Z")]
    created_at: String,
    updated_at: String,
}

impl From<Model> for View {
    fn from(view: Model) -> Self {
        Self {
            id: view.id.to_string(),
            org_id: view.tenant.organization.to_string(),
            env_id: view.tenant.environment.to_string(),
            name: view.name,
            page: view.page.as_str(),
            filters: json_of(&view.filters),
            shared: u8::from(view.shared),
            owner_id: view.owner_id.map(|owner| owner.to_string()),
            created_at: view.created_at.to_string(),
            updated_at: view.updated_at.to_string(),
        }
    }
}

/// Answer with a view.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ViewAnswer {
    view: View,
}

/// Page of views.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ViewList {
    views: Vec<View>,
    /// Cursor of the next page; `null` on the last page.
    cursor: Option<String>,
    has_more: bool,
}

/// New view.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CreateView<'a> {
    /// Name: 1 to 100 characters, unique among the shared views of the page, and among your own.
    #[schema(example = "Failed invoices")]
    name: String,
    /// List that it filters.
    #[schema(example = "messages")]
    page: String,
    /// Filters of the list: an object of at most 20 names and text values, together at most 4096 bytes, or its JSON text.
    #[serde(borrow)]
    #[schema(value_type = BTreeMap<String, String>)]
    filters: &'a RawValue,
    /// Whether everybody in the environment sees the view, or you only: 1 or 0 (the default), `true` or `false`. An API key creates shared
    /// views only.
    #[schema(value_type = Option<u8>, example = 1)]
    shared: Option<Flag>,
    /// Id of the organization. The default is the caller's organization.
    org_id: Option<String>,
    /// Id of the environment. The default is the caller's environment.
    env_id: Option<String>,
}

/// Changes of a view. Fields that are left out keep their values.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateView<'a> {
    /// Name: 1 to 100 characters, unique among the shared views of the page, and among your own.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "Lost invoices")]
    name: Field<String>,
    /// Filters of the list, in place of all current ones: an object of at most 20 names and text values, together at most 4096 bytes, or
    /// its JSON text.
    #[serde(default, borrow)]
    #[schema(value_type = Option<BTreeMap<String, String>>)]
    filters: Field<&'a RawValue>,
    /// Whether everybody in the environment sees the view, or its owner only: 1 or 0, `true` or `false`. Its owner alone may set 0.
    #[serde(default)]
    #[schema(value_type = Option<u8>)]
    shared: Field<Flag>,
}

/// Filter of views.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct ViewQuery {
    /// Only views of this list.
    page: Option<String>,
}

/// List saved views
///
/// Lists the views that the environment shares and, for a signed-in user, the user's own.
#[utoipa::path(
    get, path = "/views", operation_id = "listViews", tag = "Views",
    params(ListQuery, ViewQuery),
    responses((status = 200, description = "Page of views, newest first.", body = ViewList))
)]
pub(crate) async fn list(
    State(api): State<Api>,
    caller: Caller,
    QueryParams(query): QueryParams<ListQuery>,
    QueryParams(ViewQuery { page: of }): QueryParams<ViewQuery>,
) -> Result<Json<ViewList>, ApiError> {
    caller.check_tenant(query.org_id.as_deref(), query.env_id.as_deref())?;
    let request = page::request(query.limit.as_deref(), query.cursor.as_deref(), ViewId::from_bytes)?;
    let of = of.as_deref().filter(|word| !word.is_empty()).map(ViewPage::parse).transpose()?;
    let page = views::list(&*api.store, caller.tenant, view_caller(caller).user, of, request).await?;
    let cursor = page::cursor(&page, |view| *view.id.as_bytes());
    let has_more = page.has_more;
    Ok(Json(ViewList { views: page.items.into_iter().map(View::from).collect(), cursor, has_more }))
}

/// Create a saved view
///
/// A signed-in user keeps views of their own with any role. A shared view requires the scope `views:write`. An environment has at most
/// 100 shared views, and a user at most 100 own views in it.
#[utoipa::path(
    post, path = "/views", operation_id = "createView", tag = "Views",
    request_body = CreateView,
    responses(
        (status = 201, description = "Created.", body = ViewAnswer),
        (
            status = 403,
            description = "A shared view requires the scope `views:write`; a view that is not shared requires a signed-in user (`person_needed`).",
            body = crate::http::error::ErrorBody
        ),
        (
            status = 409,
            description = "Another view of the page has this name (`name_taken`), or there are 100 views (`too_many_views`).",
            body = crate::http::error::ErrorBody
        )
    )
)]
pub(crate) async fn create(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    headers: HeaderMap,
    body: RawBody,
) -> Result<Response, ApiError> {
    let input: CreateView<'_> = body.parse()?;
    let caller = caller.within(&api, input.org_id.as_deref(), input.env_id.as_deref(), Scope::read(Resource::Views)).await?;
    let key = idempotency::key(&headers, "POST /v1/views", &body.0)?;
    rules::check_name(&input.name)?;
    let page = ViewPage::parse(&input.page)?;
    let filters = filters(input.filters)?;
    let shared = input.shared.is_some_and(Flag::is_set);
    let by = view_caller(caller);
    Model::check_sharing(by.user, shared, by)?;
    let act = audited.act(&api);
    let now = act.at;
    let view = Model {
        id: api.engine.new_id().into(),
        tenant: caller.tenant,
        owner_id: by.user,
        name: input.name,
        page,
        filters,
        shared,
        created_at: now,
        updated_at: now,
    };
    let answer = ViewAnswer { view: view.clone().into() };
    idempotency::create_once(&api, caller.tenant, key, &answer, name_taken, async |kept| {
        views::create(&*api.store, &act, &view, kept).await
    })
    .await
}

/// Get a saved view
#[utoipa::path(
    get, path = "/views/{id}", operation_id = "getView", tag = "Views",
    params(("id" = String, Path, description = "The view's id.")),
    responses((status = 200, description = "View.", body = ViewAnswer))
)]
pub(crate) async fn get(
    State(api): State<Api>,
    caller: Caller,
    PathParams(OfId { id: given }): PathParams<OfId>,
) -> Result<Json<ViewAnswer>, ApiError> {
    let found = views::find(&*api.store, caller.tenant, id(&given, "View")?).await?;
    let seen = found.filter(|view| view.access(view_caller(caller)) != ViewAccess::Hidden).ok_or_else(not_found)?;
    Ok(Json(ViewAnswer { view: seen.into() }))
}

/// Update a saved view
///
/// The owner changes an own view. A shared view is changed by any caller with the scope `views:write`.
#[utoipa::path(
    patch, path = "/views/{id}", operation_id = "updateView", tag = "Views",
    params(("id" = String, Path, description = "The view's id.")),
    request_body = UpdateView,
    responses(
        (status = 200, description = "Updated view.", body = ViewAnswer),
        (
            status = 403,
            description = "A shared view requires the scope `views:write`; only its owner may set `shared` to 0 (`not_view_owner`).",
            body = crate::http::error::ErrorBody
        ),
        (
            status = 409,
            description = "Another view of the page has this name (`name_taken`), or there are 100 views (`too_many_views`).",
            body = crate::http::error::ErrorBody
        )
    )
)]
pub(crate) async fn update(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    PathParams(OfId { id: given }): PathParams<OfId>,
    body: RawBody,
) -> Result<Json<ViewAnswer>, ApiError> {
    let input: UpdateView<'_> = body.parse()?;
    if input.name.is_absent() && input.filters.is_absent() && input.shared.is_absent() {
        return Err(ApiError::no_fields());
    }
    let name = input.name.required("name")?;
    if let Some(name) = &name {
        rules::check_name(name)?;
    }
    let new_filters = input.filters.required("filters")?.map(filters).transpose()?;
    let shared = input.shared.required("shared")?.map(Flag::is_set);
    let by = view_caller(caller);
    let act = audited.act(&api);
    let changed = views::update(&*api.store, &act, caller.tenant, id(&given, "View")?, |view: &mut Model| -> Result<(), ApiError> {
        check_write(view, by)?;
        if let Some(shared) = shared.filter(|shared| *shared != view.shared) {
            Model::check_sharing(view.owner_id, shared, by)?;
            view.shared = shared;
        }
        if let Some(name) = &name {
            view.name.clone_from(name);
        }
        if let Some(filters) = &new_filters {
            view.filters.clone_from(filters);
        }
        view.updated_at = act.at;
        Ok(())
    })
    .await?;
    match changed {
        Changed::Done(view) => Ok(Json(ViewAnswer { view: (*view).into() })),
        Changed::NotFound => Err(not_found()),
        Changed::NameTaken => Err(name_taken()),
        Changed::TooMany(too_many) => Err(too_many.into()),
    }
}

/// Delete a saved view
///
/// The owner deletes an own view. A shared view is deleted by any caller with the scope `views:write`.
#[utoipa::path(
    delete, path = "/views/{id}", operation_id = "deleteView", tag = "Views",
    params(("id" = String, Path, description = "The view's id.")),
    responses((status = 200, description = "Deleted.", body = Success))
)]
pub(crate) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    audited: AuditedCaller,
    PathParams(OfId { id: given }): PathParams<OfId>,
) -> Result<Json<Success>, ApiError> {
    let by = view_caller(caller);
    let id = id(&given, "View")?;
    let was_there = views::delete(&*api.store, &audited.act(&api), caller.tenant, id, |view| check_write(view, by)).await?;
    if was_there { Ok(Json(Success::new())) } else { Err(not_found()) }
}

fn view_caller(caller: Caller) -> ViewCaller {
    let user = match caller.identity {
        CallerIdentity::Key(..) => None,
        CallerIdentity::Person(user, _) => Some(user),
    };
    ViewCaller { user, may_share: caller.scopes.allow(Scope::write(Resource::Views)) }
}

/// Refuses a caller who may not change or delete a view. A view that the caller does not see is answered like an absent
/// one.
fn check_write(view: &Model, by: ViewCaller) -> Result<(), ApiError> {
    match view.access(by) {
        ViewAccess::Write => Ok(()),
        ViewAccess::Read => Err(may_not_share()),
        ViewAccess::Hidden => Err(not_found()),
    }
}

/// Reads the filters of a body: an object, or its JSON text.
fn filters(raw: &RawValue) -> Result<Filters, ApiError> {
    let filters: Filters = json_fields("filters", raw, "an object of text values")?;
    rules::check_filters(&filters)?;
    Ok(filters)
}

impl From<SharingRefused> for ApiError {
    fn from(refused: SharingRefused) -> Self {
        match refused {
            SharingRefused::MayNotShare => may_not_share(),
            SharingRefused::NoUser => {
                let message = "An API key has no views of its own. Set `shared` to 1, or sign in.";
                Self::new(ErrorCode::PersonNeeded, message)
            }
            SharingRefused::OtherOwner => {
                let message = "Only the owner of a view may set `shared` to 0. Ask the owner, or create a view of your own.";
                Self::new(ErrorCode::NotViewOwner, message)
            }
        }
    }
}

fn may_not_share() -> ApiError {
    let needed = Scope::write(Resource::Views);
    forbidden(needed, format!("Shared views require the scope {needed}. Ask an owner or admin, or keep a view of your own (`shared`: 0)."))
}

fn not_found() -> ApiError {
    ApiError::not_found("View")
}

fn name_taken() -> ApiError {
    let message = "Another view of this page has the name. Update that view, or choose another name.";
    ApiError::new(ErrorCode::NameTaken, message)
}

#[cfg(test)]
mod tests;
