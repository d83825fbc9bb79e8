//! Saved views: fields, lists, names, limits, audit entries and removal.

use std::{fmt::Debug, sync::Arc};

use hookstream_model::{
    base::ids::UserId,
    identity::{member::Role, tenancy::Tenant},
    operations::view::{TooManyViews, VIEWS_MAX, View, ViewPage},
};
use hookstream_store::{
    Error, PageRequest, Store,
    identity::{environments, members},
    operations::{
        audit_log::{self, Filter, Reach},
        views::{self, Changed},
    },
    outbound::applications::Created,
};
use tokio::task::JoinSet;

use crate::support::{Fixture, NOON};

/// User of the filled installation.
const FILLED: UserId = UserId::from_bytes([9; 16]);

/// Stores a shared view and an own one.
pub(crate) async fn fill(world: &Fixture) {
    for view in [view(world, "größe", None), view(world, "größe", Some(FILLED))] {
        assert_eq!(create(world, &view).await, Created::Stored);
    }
}

/// Reads what [`fill`] stored.
pub(crate) async fn filled(db: &dyn Store, tenant: Tenant) -> impl Debug {
    views::list(db, tenant, Some(FILLED), None, PageRequest { after: None, limit: 10 }).await.expect("read")
}

/// Returns an own view of this user, or without one a shared view.
fn view(world: &Fixture, name: &str, own_of: Option<UserId>) -> View {
    View {
        id: world.new_id(NOON).into(),
        tenant: world.tenant,
        owner_id: own_of,
        name: name.to_owned(),
        page: ViewPage::Messages,
        filters: [("search".to_owned(), "größe \"a\"".to_owned())].into(),
        shared: own_of.is_none(),
        created_at: NOON,
        updated_at: NOON,
    }
}

fn user(world: &Fixture) -> UserId {
    world.new_id(NOON).into()
}

async fn create(world: &Fixture, view: &View) -> Created {
    views::create(&*world.store, &world.context(), view, None).await.expect("a result")
}

async fn update(world: &Fixture, tenant: Tenant, view: &View, change: impl Fn(&mut View)) -> Changed {
    let change = |view: &mut View| -> Result<(), Error> {
        change(view);
        Ok(())
    };
    views::update(&*world.store, &world.context(), tenant, view.id, change).await.expect("a result")
}

async fn delete(world: &Fixture, tenant: Tenant, view: &View) -> bool {
    let permit = |_: &View| -> Result<(), Error> { Ok(()) };
    views::delete(&*world.store, &world.context(), tenant, view.id, permit).await.expect("a result")
}

async fn names(world: &Fixture, user: Option<UserId>, page: Option<ViewPage>) -> Vec<String> {
    let all = PageRequest { after: None, limit: 10 };
    let found = views::list(&*world.store, world.tenant, user, page, all).await.expect("read");
    found.items.into_iter().map(|view| view.name).collect()
}

pub(crate) async fn view_is_stored_changed_and_deleted(world: &Fixture) {
    let db = &*world.store;
    for own_of in [None, Some(user(world))] {
        let view = view(world, "Failed", own_of);
        assert_eq!(create(world, &view).await, Created::Stored);
        assert_eq!(views::find(db, world.tenant, view.id).await.expect("read").as_ref(), Some(&view));
        assert_eq!(views::find(db, world.stranger, view.id).await.expect("read"), None);
        let change = |view: &mut View| {
            view.name = "Lost".to_owned();
            view.filters.clear();
        };
        assert_eq!(update(world, world.stranger, &view, change).await, Changed::NotFound);
        let Changed::Done(changed) = update(world, world.tenant, &view, change).await else { panic!("the view exists") };
        assert_eq!(*changed, View { name: "Lost".to_owned(), filters: [].into(), ..view.clone() });
        assert_eq!(views::find(db, world.tenant, view.id).await.expect("read"), Some(*changed));
        assert!(!delete(world, world.stranger, &view).await);
        assert!(delete(world, world.tenant, &view).await && !delete(world, world.tenant, &view).await);
    }
}

pub(crate) async fn views_are_listed_for_their_user(world: &Fixture) {
    let (ada, grace) = (user(world), user(world));
    let of_jobs = View { page: ViewPage::Jobs, ..view(world, "jobs", None) };
    let shared_by_ada = View { owner_id: Some(ada), ..view(world, "Ada's, shared", None) };
    for view in [view(world, "Ada's", Some(ada)), view(world, "Grace's", Some(grace)), shared_by_ada, of_jobs] {
        assert_eq!(create(world, &view).await, Created::Stored);
    }
    assert_eq!(names(world, Some(ada), None).await, ["Ada's", "Ada's, shared", "jobs"]);
    assert_eq!(names(world, Some(grace), Some(ViewPage::Messages)).await, ["Grace's", "Ada's, shared"]);
    assert_eq!(names(world, None, None).await, ["Ada's, shared", "jobs"]);
    let first = PageRequest { after: None, limit: 2 };
    let page = views::list(&*world.store, world.tenant, Some(ada), None, first).await.expect("read");
    let after = page.items.last().map(|view| view.id);
    assert!(page.has_more);
    let rest = views::list(&*world.store, world.tenant, Some(ada), None, PageRequest { after, limit: 2 }).await.expect("read");
    assert_eq!((rest.items.len(), rest.has_more), (1, false));
    assert!(views::list(&*world.store, world.stranger, Some(ada), None, first).await.expect("read").items.is_empty());
}

pub(crate) async fn name_is_unique_among_own_and_among_shared_views(world: &Fixture) {
    let (ada, grace) = (user(world), user(world));
    let own = view(world, "Failed", Some(ada));
    assert_eq!(create(world, &own).await, Created::Stored);
    assert_eq!(create(world, &view(world, "Failed", Some(grace))).await, Created::Stored);
    assert_eq!(create(world, &view(world, "Failed", Some(ada))).await, Created::NameTaken);
    assert_eq!(create(world, &view(world, "Failed", None)).await, Created::Stored);
    assert_eq!(create(world, &view(world, "Failed", None)).await, Created::NameTaken);
    let of_jobs = View { page: ViewPage::Jobs, ..view(world, "Failed", None) };
    assert_eq!(create(world, &of_jobs).await, Created::Stored);
    assert_eq!(update(world, world.tenant, &own, |view| view.shared = true).await, Changed::NameTaken);
}

pub(crate) async fn limit_is_exact_under_concurrent_creation(world: &Fixture) {
    let ada = user(world);
    for own_of in [None, Some(ada)] {
        let mut creations = JoinSet::new();
        for number in 0..VIEWS_MAX + 10 {
            let (store, context, view) = (Arc::clone(&world.store), world.context(), view(world, &number.to_string(), own_of));
            creations.spawn(async move { views::create(&*store, &context, &view, None).await.expect("a result") });
        }
        let results = creations.join_all().await;
        let stored = results.iter().filter(|result| **result == Created::Stored).count();
        let too_many = TooManyViews { shared: own_of.is_none() };
        assert_eq!(u64::try_from(stored).expect("few"), VIEWS_MAX);
        assert!(results.iter().all(|result| *result == Created::Stored || *result == Created::TooManyViews(too_many)), "{results:?}");
    }
    let another = view(world, "first of another", Some(user(world)));
    assert_eq!(create(world, &another).await, Created::Stored);
    let too_many = Changed::TooMany(TooManyViews { shared: true });
    assert_eq!(update(world, world.tenant, &another, |view| view.shared = true).await, too_many);
}

pub(crate) async fn changes_of_shared_views_are_audited(world: &Fixture) {
    let (own, shared) = (view(world, "Mine", Some(user(world))), view(world, "Ours", None));
    create(world, &own).await;
    create(world, &shared).await;
    for view in [&own, &shared] {
        assert!(matches!(update(world, world.tenant, view, |view| view.name.push('!')).await, Changed::Done(_)));
    }
    assert!(matches!(update(world, world.tenant, &own, |view| view.shared = true).await, Changed::Done(_)));
    assert!(matches!(update(world, world.tenant, &own, |view| view.shared = false).await, Changed::Done(_)));
    assert!(delete(world, world.tenant, &own).await && delete(world, world.tenant, &shared).await);
    let filter = Filter { resource_type: Some("view"), ..Filter::default() };
    let all = PageRequest { after: None, limit: 20 };
    let entries = audit_log::list(&*world.store, Reach::Environment(world.tenant), &filter, all).await.expect("read");
    let actions: Vec<_> = entries.items.iter().rev().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["view.create", "view.update", "view.update", "view.update", "view.delete"]);
}

pub(crate) async fn own_views_end_with_the_membership_and_all_with_the_environment(world: &Fixture) {
    let (db, organization) = (&*world.store, world.tenant.organization);
    let ada = crate::people::kept(world, "ada@example.com").await;
    members::add(db, organization, ada.id, Role::Viewer, NOON).await.expect("written");
    let shared = View { owner_id: Some(ada.id), ..view(world, "Ours", None) };
    for view in [view(world, "Mine", Some(ada.id)), shared, view(world, "Grace's", Some(FILLED))] {
        assert_eq!(create(world, &view).await, Created::Stored);
    }
    members::remove(db, &world.context(), organization, &ada, Role::Viewer).await.expect("written");
    assert_eq!(names(world, Some(ada.id), None).await, ["Ours"]);
    assert_eq!(names(world, Some(FILLED), None).await, ["Grace's", "Ours"]);
    environments::empty(db, world.tenant.environment).await.expect("written");
    assert_eq!(names(world, Some(FILLED), None).await, [""; 0]);
}
