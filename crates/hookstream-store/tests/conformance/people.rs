//! Users: accounts, sessions, members, invitations, links, device codes, and the removal of environments.

use std::time::Duration;

use hookstream_model::{
    base::time::Timestamp,
    identity::{
        device::UserCode,
        environment::Environment,
        member::Role,
        password::PasswordHash,
        second_factor::SharedSecret,
        session::{Method, OVERLAP, Policy, Session, SessionText},
        sign_in::{Familiarity, RESET_AFTER, counters},
        tenancy::{ApiKey, ApiKeyText, KeyMode, Tenant},
        user::{Email, User},
    },
    operations::{audit_log::AuditContext, quota::Quotas},
};
use hookstream_store::{
    PageRequest, Store,
    identity::{
        api_keys,
        device_codes::{self, DeviceCode},
        environments::{self, Deleted, Restored},
        links,
        members::{self, Changed, Guest, Invitation},
        memberships, organizations, sessions,
        users::{self, Identity},
    },
    outbound::applications::{self, Created},
};

use crate::support::{Fixture, NOON, SECOND};

const HOUR: Duration = Duration::from_secs(3600);

fn user(world: &Fixture, email: &str) -> User {
    User { id: world.new_id(NOON).into(), email: Email::parse(email).expect("an address"), name: email.to_owned(), created_at: NOON }
}

/// Returns a password hash as a row stores it; computing one takes long.
pub(crate) fn hash(text: &str) -> PasswordHash {
    PasswordHash::from_row(format!("$argon2id${text}"))
}

pub(crate) fn token(byte: u8) -> SessionText {
    SessionText::generate(&[byte; 32])
}

pub(crate) async fn kept(world: &Fixture, email: &str) -> User {
    let user = user(world, email);
    assert!(users::create(&*world.store, &user, Some(&hash("one"))).await.expect("written"));
    user
}

pub(crate) async fn account_keeps_its_credentials(world: &Fixture) {
    let db = &*world.store;
    assert!(!users::is_any(db).await.expect("read"));
    let ada = kept(world, "ada@example.com").await;
    assert!(users::is_any(db).await.expect("read"));
    let twin = User { id: world.new_id(NOON).into(), ..ada.clone() };
    assert!(!users::create(db, &twin, None).await.expect("written"), "the address is taken");
    let find = async || users::find_by_email(db, &ada.email).await.expect("read").expect("exists");
    assert_eq!((find().await.user, find().await.password), (ada.clone(), Some(hash("one"))));

    let secret = SharedSecret::generate(&[7; 32]);
    assert!(users::begin_second_factor(db, ada.id, &secret, NOON).await.expect("written"));
    assert_eq!((find().await.secret, find().await.is_confirmed), (Some(secret.clone()), false));
    assert!(!users::take_step(db, ada.id, 5).await.expect("written"), "not in force yet");
    let session = session(world, &ada);
    sessions::create(db, &world.context(), &session, &token(1)).await.expect("written");
    sessions::create(db, &world.context(), &Session { id: world.new_id(NOON).into(), ..session.clone() }, &token(2))
        .await
        .expect("written");
    let codes = ["a".to_owned(), "b".to_owned()];
    assert!(users::confirm_second_factor(db, &world.context(), &find().await, 5, &codes, session.id).await.expect("written"));
    assert_eq!(sessions::list(db, ada.id).await.expect("read"), std::slice::from_ref(&session), "the other sessions have ended");
    assert!(!users::confirm_second_factor(db, &world.context(), &find().await, 6, &codes, session.id).await.expect("written"));
    assert!(!users::begin_second_factor(db, ada.id, &secret, NOON).await.expect("written"), "one is in force");
    assert!(!users::take_step(db, ada.id, 5).await.expect("written"), "already used");
    assert!(users::take_step(db, ada.id, 6).await.expect("written"));
    let account = find().await;
    assert_eq!((account.is_confirmed, account.last_step, account.recovery.as_slice()), (true, Some(6), &codes[..]));
    assert!(users::take_recovery(db, &account, &codes[1..], NOON).await.expect("written"));
    assert!(!users::replace_recovery(db, &world.context(), &account, &codes[1..]).await.expect("written"), "the codes have changed");
    users::remove_second_factor(db, &world.context(), &find().await).await.expect("written");
    assert_eq!((find().await.secret, find().await.is_confirmed, find().await.recovery), (None, false, Vec::new()));

    assert!(users::set_password(db, &world.context(), ada.id, &hash("two"), None).await.expect("written"));
    assert_eq!((find().await.password, sessions::list(db, ada.id).await.expect("read")), (Some(hash("two")), Vec::new()));
}

fn identity<'a>(issuer: &'a str, subject: &'a str) -> Identity<'a> {
    Identity { issuer, subject }
}

pub(crate) async fn identity_belongs_to_one_user_and_last_sign_in_method_stays(world: &Fixture) {
    let db = &*world.store;
    let (ada, grace) = (user(world, "ada@example.com"), kept(world, "grace@example.com").await);
    assert!(users::create(db, &ada, None).await.expect("written"));
    let (google, other) = (identity("https://google.example", "1"), identity("https://other.example", "1"));
    assert!(users::identify(db, &world.context(), google, ada.id).await.expect("written"));
    assert!(!users::identify(db, &world.context(), google, grace.id).await.expect("written"), "it belongs to Ada");
    assert_eq!(users::find_by_identity(db, google).await.expect("read"), Some(ada.id));
    assert_eq!(users::find_by_identity(db, identity("https://google.example", "2")).await.expect("read"), None);
    assert_eq!(users::find_by_identity(db, other).await.expect("read"), None);
    assert!(users::identify(db, &world.context(), other, ada.id).await.expect("written"));
    assert_eq!(users::issuers(db, ada.id).await.expect("read"), ["https://google.example", "https://other.example"]);

    // A user without a password keeps the last identity.
    assert!(users::forget_identity(db, &world.context(), ada.id, google.issuer).await.expect("written"));
    assert!(!users::forget_identity(db, &world.context(), ada.id, other.issuer).await.expect("written"), "the last sign-in method");
    assert!(users::set_password(db, &world.context(), ada.id, &hash("one"), None).await.expect("written"));
    assert!(users::forget_identity(db, &world.context(), ada.id, other.issuer).await.expect("written"));
    assert!(!users::forget_identity(db, &world.context(), ada.id, other.issuer).await.expect("written"), "already disconnected");
    assert_eq!(users::find_by_identity(db, other).await.expect("read"), None);
}

pub(crate) async fn only_mailed_link_verifies_an_address(world: &Fixture) {
    let db = &*world.store;
    let organization = world.tenant.organization;
    let until = NOON + HOUR;
    let is_verified = async |id| users::find(db, id).await.expect("read").expect("exists").is_verified;
    let invitation = |email: &str, sent_at| Invitation { sent_at, ..invitation(world, email) };
    for (number, (email, sent_at)) in [("shown@example.com", None), ("sent@example.com", Some(NOON))].into_iter().enumerate() {
        let invitation = invitation(email, sent_at);
        let hash_of_link = token(u8::try_from(20 + number).expect("small")).hash();
        members::invite(db, &world.context(), &invitation, hash_of_link).await.expect("written");
        assert_eq!(members::invited(db, hash_of_link, NOON).await.expect("read").map(|(found, _)| found), Some(invitation.clone()));
        let guest = user(world, email);
        let (context, password) = (world.context(), hash("guest"));
        assert!(members::accept(db, &context, &invitation, hash_of_link, Guest::New(&guest, &password)).await.expect("written"));
        assert_eq!(is_verified(guest.id).await, sent_at.is_some(), "{email}");
    }

    // The same for password links; a new one ends the earlier ones.
    let ada = kept(world, "ada@example.com").await;
    links::create_password(db, token(30).hash(), ada.id, NOON, until).await.expect("written");
    assert!(links::set_password(db, &world.context(), token(30).hash(), ada.id, &hash("one")).await.expect("written"));
    assert!(!is_verified(ada.id).await, "the link was shown to a user");
    // This identity may belong to another person, who registered the address before its holder.
    let before = identity("https://provider.example", "before");
    assert!(users::identify(db, &world.context(), before, ada.id).await.expect("written"));
    links::create_mailed(db, token(31).hash(), ada.id, NOON, until).await.expect("written");
    links::create_mailed(db, token(32).hash(), ada.id, NOON, until).await.expect("written");
    assert_eq!(links::password_owner(db, token(31).hash(), NOON).await.expect("read"), None, "a newer link exists");
    assert!(!links::set_password(db, &world.context(), token(32).hash(), world.new_id(NOON).into(), &hash("two")).await.expect("read"));
    assert!(links::set_password(db, &world.context(), token(32).hash(), ada.id, &hash("two")).await.expect("written"));
    assert!(is_verified(ada.id).await);
    assert_eq!(users::find_by_identity(db, before).await.expect("read"), None, "disconnected by the verification");
    assert!(users::identify(db, &world.context(), before, ada.id).await.expect("written"));
    links::create_mailed(db, token(35).hash(), ada.id, NOON, until).await.expect("written");
    assert!(links::set_password(db, &world.context(), token(35).hash(), ada.id, &hash("two")).await.expect("written"));
    assert_eq!(users::find_by_identity(db, before).await.expect("read"), Some(ada.id), "connected after the verification");
    links::create_mailed(db, token(33).hash(), ada.id, NOON, until).await.expect("written");
    links::revoke(db, token(33).hash()).await.expect("written");
    assert_eq!(links::password_owner(db, token(33).hash(), NOON).await.expect("read"), None);
    links::create_mailed(db, token(34).hash(), ada.id, NOON, until).await.expect("written");
    assert!(users::set_password(db, &world.context(), ada.id, &hash("three"), None).await.expect("written"));
    assert_eq!(links::password_owner(db, token(34).hash(), NOON).await.expect("read"), None, "a new password ends the link");

    // A user vouched for by a provider accepts all invitations, or none.
    let grace = user(world, "grace@example.com");
    let known = identity("https://provider.example", "grace");
    let invited = invitation("grace@example.com", None);
    members::invite(db, &world.context(), &invited, token(40).hash()).await.expect("written");
    assert_eq!(members::invitations_of(db, &grace.email, NOON).await.expect("read"), std::slice::from_ref(&invited));
    assert_eq!(members::invitations_of(db, &grace.email, until).await.expect("read"), [], "they have expired");
    let over = invitation("grace@example.com", None);
    let both = [invited.clone(), over];
    let context = world.context();
    assert!(!members::accept_all(db, &context, &both, &grace, known).await.expect("read"), "one does not exist");
    assert_eq!(users::find(db, grace.id).await.expect("read"), None);
    assert!(members::accept_all(db, &context, &both[..1], &grace, known).await.expect("written"));
    let account = users::find(db, grace.id).await.expect("read").expect("exists");
    assert!(account.is_verified && account.password.is_none());
    assert_eq!(users::find_by_identity(db, known).await.expect("read"), Some(grace.id));
    assert_eq!(memberships::roles(db, grace.id).await.expect("read"), [(organization, Role::Developer)]);
    let twin = user(world, "twin@example.com");
    assert!(!members::accept_all(db, &world.context(), &[], &twin, known).await.expect("read"), "the identity belongs to another user");
    assert_eq!(users::find(db, twin.id).await.expect("read"), None);
}

pub(crate) async fn failures_are_counted_and_reset(world: &Fixture) {
    let db = &*world.store;
    let email = Email::parse("ada@example.com").expect("an address");
    let counters = counters(&email, Some("192.0.2.1".parse().expect("an address")), Familiarity::None);
    let counts = async || users::failures(db, &counters).await.expect("read").iter().map(|(count, _)| *count).collect::<Vec<_>>();
    assert_eq!(counts().await, [0, 0, 0]);
    for _ in 0..3 {
        users::count_failure(db, &counters, NOON).await.expect("written");
    }
    assert_eq!(users::failures(db, &counters).await.expect("read"), [(3, NOON); 3]);
    users::reset_failures(db, &counters).await.expect("written");
    assert_eq!(counts().await, [0, 2, 2]);
    let late = NOON + RESET_AFTER + SECOND;
    users::count_failure(db, &counters, late).await.expect("written");
    assert_eq!(counts().await, [1, 1, 1]);
}

pub(crate) fn session(world: &Fixture, user: &User) -> Session {
    Session {
        id: world.new_id(NOON).into(),
        user: user.id,
        tenant: None,
        method: Method::Provider("google".to_owned()),
        address: Some("192.0.2.1".to_owned()),
        user_agent: Some("a browser".to_owned()),
        created_at: NOON,
        renewed_at: NOON,
        last_seen_at: NOON,
        expires_at: NOON + HOUR,
    }
}

pub(crate) async fn session_is_found_renewed_and_ended(world: &Fixture) {
    let db = &*world.store;
    let (ada, grace) = (kept(world, "ada@example.com").await, kept(world, "grace@example.com").await);
    let mut session = session(world, &ada);
    sessions::create(db, &world.context(), &session, &token(1)).await.expect("written");
    let find = async |byte, now| sessions::find(db, token(byte).hash(), now).await.expect("read");
    assert_eq!(find(1, NOON).await, Some((session.clone(), ada.clone())));
    assert_eq!(find(2, NOON).await, None);
    sessions::switch_to(db, session.id, world.tenant).await.expect("written");
    sessions::record_use(db, session.id, NOON + SECOND).await.expect("written");
    session = Session { tenant: Some(world.tenant), last_seen_at: NOON + SECOND, ..session };
    assert_eq!(find(1, NOON).await, Some((session.clone(), ada.clone())));

    assert!(sessions::renew(db, &session, &token(2), NOON + SECOND).await.expect("written"));
    assert!(!sessions::renew(db, &session, &token(3), NOON + SECOND).await.expect("written"), "another request renewed it");
    session.renewed_at = NOON + SECOND;
    assert_eq!(find(2, NOON).await.map(|(found, _)| found), Some(session.clone()));
    assert!(find(1, NOON + OVERLAP).await.is_some(), "requests in progress have the former token");
    assert!(find(1, NOON + SECOND + OVERLAP).await.is_none());

    assert!(!sessions::end(db, &world.context(), grace.id, session.id).await.expect("written"), "the session belongs to another user");
    assert!(sessions::end(db, &world.context(), ada.id, session.id).await.expect("written"));
    assert!(find(2, NOON).await.is_none());
    sessions::create(db, &world.context(), &session, &token(4)).await.expect("written");
    let policy = Policy { idle: HOUR, absolute: HOUR };
    sessions::forget_ended(db, policy, NOON + HOUR - SECOND).await.expect("written");
    assert!(find(4, NOON).await.is_some());
    sessions::forget_ended(db, policy, NOON + HOUR + SECOND * 2).await.expect("written");
    assert!(find(4, NOON).await.is_none());
}

pub(crate) async fn organization_keeps_an_owner(world: &Fixture) {
    let db = &*world.store;
    let organization = world.tenant.organization;
    let (ada, grace) = (kept(world, "ada@example.com").await, kept(world, "grace@example.com").await);
    members::add(db, organization, ada.id, Role::Owner, NOON).await.expect("written");
    members::add(db, organization, grace.id, Role::Viewer, NOON).await.expect("written");
    let role = async |user: &User| members::find(db, organization, user.id).await.expect("read").map(|member| member.role);
    let change =
        async |user: &User, from, to| members::change_role(db, &world.context(), organization, user, from, to).await.expect("written");
    assert_eq!(change(&ada, Role::Owner, Role::Admin).await, Changed::LastOwner);
    assert_eq!(members::remove(db, &world.context(), organization, &ada, Role::Owner).await.expect("written"), Changed::LastOwner);
    assert_eq!(change(&grace, Role::Admin, Role::Owner).await, Changed::Moved, "the member is a viewer");
    assert_eq!(change(&grace, Role::Viewer, Role::Owner).await, Changed::Done);
    // Two owners remove each other's role at the same time: one stays owner.
    let both = tokio::join!(change(&ada, Role::Owner, Role::Viewer), change(&grace, Role::Owner, Role::Viewer));
    assert!(matches!(both, (Changed::Done, Changed::LastOwner) | (Changed::LastOwner, Changed::Done)), "{both:?}");
    let (owner, other) = if both.0 == Changed::Done { (&grace, &ada) } else { (&ada, &grace) };
    let transfer =
        members::transfer_ownership(db, &world.context(), organization, owner.id, other.id, Role::Viewer).await.expect("written");
    assert_eq!((transfer, role(owner).await, role(other).await), (Changed::Done, Some(Role::Admin), Some(Role::Owner)));
    assert_eq!(members::remove(db, &world.context(), organization, owner, Role::Admin).await.expect("written"), Changed::Done);
    assert_eq!(role(owner).await, None);
    let page = members::list(db, organization, PageRequest { limit: 10, after: None }).await.expect("read");
    assert_eq!(page.items.iter().map(|member| member.user.id).collect::<Vec<_>>(), [other.id]);
    assert_eq!(members::list(db, world.stranger.organization, PageRequest { limit: 10, after: None }).await.expect("read").items, []);
}

pub(crate) fn invitation(world: &Fixture, email: &str) -> Invitation {
    Invitation {
        id: world.new_id(NOON).into(),
        organization: world.tenant.organization,
        email: Email::parse(email).expect("an address"),
        role: Role::Developer,
        invited_by: "ada@example.com".to_owned(),
        created_at: NOON,
        expires_at: NOON + HOUR,
        sent_at: None,
    }
}

pub(crate) async fn invitation_is_accepted_once(world: &Fixture) {
    let db = &*world.store;
    let invitation = |email| invitation(world, email);
    let (first, second) = (invitation("grace@example.com"), invitation("grace@example.com"));
    members::invite(db, &world.context(), &first, token(1).hash()).await.expect("written");
    members::invite(db, &world.context(), &second, token(2).hash()).await.expect("written");
    let invited = async |byte, now| members::invited(db, token(byte).hash(), now).await.expect("read");
    assert_eq!(invited(1, NOON).await, None, "replaced by the second");
    assert_eq!(invited(2, NOON).await, Some((second.clone(), "world".to_owned())));
    assert_eq!(invited(2, NOON + HOUR).await, None);
    let page = PageRequest { limit: 10, after: None };
    assert_eq!(members::invitations(db, world.tenant.organization, page).await.expect("read").items, std::slice::from_ref(&second));
    let guest = user(world, "grace@example.com");
    let password = hash("one");
    let accept =
        async || members::accept(db, &world.context(), &second, token(2).hash(), Guest::New(&guest, &password)).await.expect("written");
    let both = tokio::join!(accept(), accept());
    assert!(both.0 != both.1, "{both:?}");
    assert!(members::is_member(db, world.tenant.organization, &guest.email).await.expect("read"));
    assert_eq!(organizations::of_user(db, guest.id).await.expect("read")[0].1, Role::Developer);
    let third = invitation("x@example.com");
    members::invite(db, &world.context(), &third, token(3).hash()).await.expect("written");
    assert!(!members::uninvite(db, &world.context(), world.stranger.organization, third.id).await.expect("written"));
    assert!(members::uninvite(db, &world.context(), world.tenant.organization, third.id).await.expect("written"));
    assert_eq!(invited(3, NOON).await, None);
}

pub(crate) async fn link_is_valid_once(world: &Fixture) {
    let db = &*world.store;
    let until = NOON + HOUR;
    for byte in [1, 2] {
        links::create_setup(db, token(byte).hash(), NOON, until).await.expect("written");
    }
    assert!(links::is_setup(db, token(1).hash(), NOON).await.expect("read"));
    assert!(!links::is_setup(db, token(1).hash(), until).await.expect("read"));
    let (ada, grace) = (user(world, "ada@example.com"), user(world, "grace@example.com"));
    let password = hash("one");
    let set_up = async |byte, user: &User| {
        links::set_up(db, &world.context(), token(byte).hash(), user, &password, world.tenant).await.expect("written")
    };
    let both = tokio::join!(set_up(1, &ada), set_up(2, &grace));
    assert!(both.0 != both.1, "exactly one of two concurrent set-ups succeeds: {both:?}");
    let owner = if both.0 { &ada } else { &grace };
    assert_eq!(members::find(db, world.tenant.organization, owner.id).await.expect("read").map(|member| member.role), Some(Role::Owner));

    links::create_password(db, token(3).hash(), owner.id, NOON, until).await.expect("written");
    assert_eq!(links::password_owner(db, token(3).hash(), NOON).await.expect("read"), Some(owner.id));
    assert_eq!(links::password_owner(db, token(3).hash(), until).await.expect("read"), None);
    assert!(!links::is_setup(db, token(3).hash(), NOON).await.expect("read"), "a link of another kind");
    assert!(links::set_password(db, &world.context(), token(3).hash(), owner.id, &hash("two")).await.expect("written"));
    assert!(!links::set_password(db, &world.context(), token(3).hash(), owner.id, &hash("three")).await.expect("written"));
    let account = users::find(db, owner.id).await.expect("read").expect("exists");
    assert_eq!(account.password, Some(hash("two")));

    let other = if both.0 { &grace } else { &ada };
    links::make_owner(db, &world.context(), other, true, None, world.tenant).await.expect("written");
    links::make_owner(db, &world.context(), other, false, Some(&hash("four")), world.stranger).await.expect("written");
    assert_eq!(organizations::of_user(db, other.id).await.expect("read").len(), 2);
}

pub(crate) async fn device_code_is_redeemed_once(world: &Fixture) {
    let db = &*world.store;
    let ada = kept(world, "ada@example.com").await;
    let code = DeviceCode {
        user_code: UserCode::parse("ABCD-EFGH").expect("a code"),
        name: "laptop".to_owned(),
        address: None,
        allowed: None,
        is_denied: false,
        created_at: NOON,
        expires_at: NOON + HOUR,
        last_asked_at: None,
    };
    assert!(device_codes::create(db, &code, token(1).hash()).await.expect("written"));
    assert!(!device_codes::create(db, &code, token(2).hash()).await.expect("written"), "the code is taken");
    assert_eq!(device_codes::find_open(db, &code.user_code, NOON).await.expect("read"), Some(code.clone()));
    assert_eq!(device_codes::poll(db, token(1).hash(), NOON).await.expect("read"), Some(code.clone()));
    let polled = device_codes::poll(db, token(1).hash(), NOON).await.expect("read").expect("exists");
    assert_eq!(polled.last_asked_at, Some(NOON));
    let key = ApiKey::unlimited(world.new_id(NOON).into(), world.tenant, "laptop".to_owned());
    let text = ApiKeyText::generate(KeyMode::Live, &[1; 32]);
    let redeem = async || device_codes::redeem(db, &world.context(), token(1).hash(), &key, &text).await.expect("written");
    assert!(!redeem().await, "not approved yet");
    assert!(!device_codes::allow(db, &code.user_code, ada.id, world.tenant, NOON + HOUR).await.expect("written"), "expired");
    assert!(device_codes::allow(db, &code.user_code, ada.id, world.tenant, NOON).await.expect("written"));
    assert!(!device_codes::deny(db, &code.user_code, NOON).await.expect("written"), "already decided");
    assert_eq!(device_codes::find_open(db, &code.user_code, NOON).await.expect("read"), None);
    assert!(redeem().await && !redeem().await);
    assert_eq!(api_keys::find(db, text.hash()).await.expect("read"), Some(key));
}

pub(crate) async fn environment_is_deleted_restored_and_removed(world: &Fixture) {
    let db = &*world.store;
    let organization = world.tenant.organization;
    let environment = Environment {
        id: world.new_id(NOON).into(),
        organization_id: organization,
        name: "Staging".to_owned(),
        slug: "staging".to_owned(),
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
        created_at: NOON,
        deleted_at: None,
    };
    assert_eq!(environments::delete(db, &world.context(), world.tenant).await.expect("written"), Deleted::Last);
    let tenant = Tenant { organization, environment: environment.id };
    assert_eq!(environments::create(db, &world.context(), &environment, tenant, None).await.expect("written"), Created::Stored);
    let twin = Environment { id: world.new_id(NOON).into(), ..environment.clone() };
    assert_eq!(environments::create(db, &world.context(), &twin, tenant, None).await.expect("written"), Created::NameTaken);
    let mut application = world.application(NOON, "there");
    application.tenant = tenant;
    applications::create(db, &world.context(), &application, None).await.expect("written");
    let text = ApiKeyText::generate(KeyMode::Live, &[2; 32]);
    let key = ApiKey::unlimited(world.new_id(NOON).into(), tenant, "there".to_owned());
    api_keys::create(db, &world.context(), &key, &text).await.expect("written");
    let is_good = async || api_keys::find(db, text.hash()).await.expect("read").is_some();
    assert!(is_good().await);

    let strangers = Tenant { organization: world.stranger.organization, environment: environment.id };
    assert_eq!(environments::delete(db, &world.context(), strangers).await.expect("written"), Deleted::NotFound);
    // If all environments of an organization are deleted at the same time, one stays.
    let acts = (world.context(), world.context());
    let both = tokio::join!(environments::delete(db, &acts.0, tenant), environments::delete(db, &acts.1, world.tenant));
    let both = (both.0.expect("written"), both.1.expect("written"));
    assert!(matches!(both, (Deleted::Done, Deleted::Last) | (Deleted::Last, Deleted::Done)), "{both:?}");
    if both.0 == Deleted::Last {
        assert_eq!(environments::restore(db, &world.context(), world.tenant).await.expect("written"), Restored::Done);
        assert_eq!(environments::delete(db, &world.context(), tenant).await.expect("written"), Deleted::Done);
    }
    assert!(!is_good().await);
    assert_eq!(environments::oldest(db, organization).await.expect("read").map(|found| found.id), Some(world.tenant.environment));
    assert_eq!(environments::restore(db, &world.context(), tenant).await.expect("written"), Restored::Done);
    assert!(is_good().await);
    assert_eq!(environments::restore(db, &world.context(), tenant).await.expect("written"), Restored::NotFound);

    assert!(organizations::delete(db, &world.context(), organization).await.expect("written"));
    assert!(!is_good().await && !organizations::rename(db, &world.context(), organization, "x").await.expect("written"));
    let all = environments::all(db).await.expect("read");
    assert_eq!(all.iter().find(|found| found.id == environment.id).and_then(|found| found.deleted_at), Some(NOON));
    assert!(organizations::restore(db, &world.context(), organization).await.expect("written") && is_good().await);

    environments::empty(db, environment.id).await.expect("written");
    assert!(!is_good().await && applications::find(db, tenant, application.id).await.expect("read").is_none());
    environments::remove(db, environment.id, &[]).await.expect("written");
    assert_eq!(environments::find(db, organization, environment.id).await.expect("read"), None);
    assert_eq!(organizations::remove_deleted(db, NOON + HOUR).await.expect("written"), []);

    let long_ago = AuditContext { at: Timestamp::from_millis(1), ..world.context() };
    let lone = Tenant { organization: world.new_id(NOON).into(), environment: world.new_id(NOON).into() };
    let ada = kept(world, "ada@example.com").await;
    organizations::create_owned(db, &world.context(), lone, "lone", ada.id).await.expect("written");
    assert!(organizations::delete(db, &long_ago, lone.organization).await.expect("written"));
    assert_eq!(organizations::remove_deleted(db, NOON).await.expect("written"), [], "an environment is left");
    environments::remove(db, lone.environment, &[]).await.expect("written");
    assert_eq!(organizations::remove_deleted(db, NOON).await.expect("written"), [lone.organization]);
    assert!(organizations::of_user(db, ada.id).await.expect("read").is_empty());
}

/// Stores rows in each table of users.
pub(crate) async fn fill(world: &Fixture) {
    let db = &*world.store;
    let ada = kept(world, "ädä@example.com").await;
    users::begin_second_factor(db, ada.id, &SharedSecret::generate(&[7; 32]), NOON).await.expect("written");
    assert!(users::identify(db, &world.context(), identity("https://google.example", "größe"), ada.id).await.expect("written"));
    users::count_failure(db, &counters(&ada.email, None, Familiarity::None), NOON).await.expect("written");
    members::add(db, world.tenant.organization, ada.id, Role::Owner, NOON).await.expect("written");
    let mut session = session(world, &ada);
    sessions::create(db, &world.context(), &session, &token(1)).await.expect("written");
    sessions::renew(db, &session, &token(2), NOON).await.expect("written");
    session.id = world.new_id(NOON).into();
    sessions::create(db, &world.context(), &session, &token(3)).await.expect("written");
    links::create_password(db, token(4).hash(), ada.id, NOON, NOON + HOUR).await.expect("written");
    let invitation = Invitation {
        id: world.new_id(NOON).into(),
        organization: world.tenant.organization,
        email: Email::parse("grace@example.com").expect("an address"),
        role: Role::Viewer,
        invited_by: "ädä@example.com".to_owned(),
        created_at: NOON,
        expires_at: NOON + HOUR,
        sent_at: Some(NOON),
    };
    members::invite(db, &world.context(), &invitation, token(5).hash()).await.expect("written");
    let code = DeviceCode {
        user_code: UserCode::parse("ABCD-EFGH").expect("a code"),
        name: "läptop".to_owned(),
        address: None,
        allowed: None,
        is_denied: false,
        created_at: NOON,
        expires_at: NOON + HOUR,
        last_asked_at: None,
    };
    device_codes::create(db, &code, token(6).hash()).await.expect("written");
    device_codes::allow(db, &code.user_code, ada.id, world.tenant, NOON).await.expect("written");
}

/// Returns the content of these tables.
pub(crate) async fn filled(db: &dyn Store) -> impl std::fmt::Debug {
    let account = users::find_by_email(db, &Email::parse("ädä@example.com").expect("an address")).await.expect("read").expect("exists");
    let secret = account.secret.as_ref().map(|secret| secret.expose().to_owned());
    let listed = sessions::list(db, account.user.id).await.expect("read");
    let invited = members::invited(db, token(5).hash(), NOON).await.expect("read");
    let organizations = organizations::of_user(db, account.user.id).await.expect("read");
    (account, secret, listed, invited, organizations)
}
