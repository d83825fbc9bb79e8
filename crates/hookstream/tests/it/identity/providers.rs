//! Sign-in with an OpenID Connect provider: a real one (Authlib's) that requires PKCE, a nonce and the client secret.
//! The test acts as the browser between server and provider.

use std::time::{Duration, Instant};

use hookstream_testkit::{eventually, services::Provider};
use http::{Method, header};
use serde_json::{Value, json};
use url::Url;

use crate::support::{
    Scratch, Server, TestClient, scratch,
    visitor::{PASSWORD, Visitor},
};

/// Starts a server whose users sign in with `provider`; `more` is added to the setting.
fn start(scratch: &Scratch, provider: &Provider, more: &Value) -> Server {
    start_at(scratch, provider.issuer(), more)
}

/// Starts a server with a provider at `issuer`, which may be unreachable.
fn start_at(scratch: &Scratch, issuer: &str, more: &Value) -> Server {
    let mut settings = json!({
        "name": "acme",
        "title": "Acme",
        "issuer": issuer,
        "client_id": Provider::CLIENT_ID,
        "client_secret": Provider::CLIENT_SECRET,
    });
    settings.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let setting = json!([settings]).to_string();
    Server::start_with(scratch, &[], &[("HOOKSTREAM_OIDC_PROVIDERS", &setting)], None)
}

/// Creates a user at the provider.
async fn make(provider: &Provider, subject: &str, claims: Value) {
    let client = TestClient::new(provider.issuer(), "");
    let created =
        client.try_send(Method::PUT, &format!("/people/{subject}"), &[], claims.to_string()).await.expect("the provider responds");
    assert_eq!(created.status(), 204);
}

/// Begins a sign-in. Returns the provider's URL.
async fn begin(visitor: &Visitor, connect: bool) -> Url {
    let (status, begun) = visitor.post("/v1/auth/providers/acme/begin", json!({ "connect": connect })).await;
    assert_eq!(status, 200, "{begun}");
    begun["url"].as_str().expect("an address").parse().expect("a URL")
}

/// Signs in at the provider as `subject`. Returns the parameters of the callback.
async fn sign_in_at_provider(address: &Url, subject: &str) -> Value {
    let client = TestClient::new(&address.origin().ascii_serialization(), "");
    let path = format!("{}?{}&login={subject}", address.path(), address.query().expect("a query"));
    let response = client.try_send(Method::GET, &path, &[], "").await.expect("the provider responds");
    assert_eq!(response.status(), 302, "{:?}", response.body());
    let callback: Url = response.headers()[header::LOCATION].to_str().expect("text").parse().expect("a URL");
    assert_eq!(callback.path(), "/sign-in/callback/acme");
    Value::Object(callback.query_pairs().map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect())
}

async fn end(visitor: &Visitor, callback: &Value) -> (u16, Value) {
    visitor.post("/v1/auth/providers/acme/end", callback.clone()).await
}

/// Performs a whole sign-in. Returns its result.
async fn sign_in(visitor: &Visitor, subject: &str, connect: bool) -> (u16, Value) {
    let callback = sign_in_at_provider(&begin(visitor, connect).await, subject).await;
    end(visitor, &callback).await
}

fn ada() -> Value {
    json!({ "email": "Ada@example.com", "email_verified": true, "name": "Ada Lovelace" })
}

#[tokio::test(flavor = "multi_thread")]
async fn invited_user_signs_in_and_is_recognized_afterwards() {
    let (scratch, provider) = (scratch(), Provider::start());
    let server = start(&scratch, &provider, &json!({}));
    let owner = Visitor::owner(&server).await;
    let organization = format!("/v1/organizations/{}", owner.organization().await);
    let (_, listed) = Visitor::new(&server).get("/v1/auth/providers").await;
    assert_eq!(listed, json!({ "providers": [{ "name": "acme", "title": "Acme", "connected": 0 }], "mail": 0 }));
    make(&provider, "ada", ada()).await;

    let visitor = Visitor::new(&server);
    let (status, refusal) = sign_in(&visitor, "ada", false).await;
    assert_eq!((status, &refusal["code"]), (403, &json!("not_invited")), "{refusal}");
    assert_eq!(visitor.get("/v1/auth/session").await.0, 401);
    let invited = json!({ "email": "ada@example.com", "role": "developer" });
    assert_eq!(owner.post(&format!("{organization}/invitations"), invited).await.0, 201);
    let (status, session) = sign_in(&visitor, "ada", false).await;
    assert_eq!(status, 200, "{session}");
    assert_eq!((&session["user"]["email"], &session["user"]["name"]), (&json!("ada@example.com"), &json!("Ada Lovelace")));
    assert_eq!((&session["session"]["method"], &session["memberships"][0]["role"]), (&json!("oidc:acme"), &json!("developer")));
    assert_eq!(visitor.get("/v1/auth/session").await.1["user"]["email"], "ada@example.com");
    assert_eq!(owner.get(&format!("{organization}/invitations")).await.1["invitations"], json!([]), "the invitation is used");
    let (_, log) = owner.get("/v1/audit-log?action=invitation.accept").await;
    assert_eq!(log["audit_log"][0]["actor"]["name"], "ada@example.com", "{log}");

    // The provider's subject identifies the user, even with another address and with new provider keys.
    make(&provider, "ada", json!({ "email": "ada@elsewhere.example", "email_verified": false })).await;
    let rotate = TestClient::new(provider.issuer(), "").try_send(Method::POST, "/rotate", &[], "").await.expect("the provider responds");
    assert_eq!(rotate.status(), 204);
    let again = Visitor::new(&server);
    // Keys that were just fetched are not fetched again at once.
    eventually("the user signs in", async || (sign_in(&again, "ada", false).await.0 == 200).then_some(())).await;
    assert_eq!(again.get("/v1/auth/session").await.1["user"]["email"], "ada@example.com");
    // Without a password sign_in_at_provider is no other sign-in method, so this one stays.
    let (status, refusal) = again.post("/v1/auth/providers/acme/disconnect", json!({})).await;
    assert_eq!((status, &refusal["code"]), (409, &json!("not_connected")), "{refusal}");
    assert_eq!(Visitor::new(&server).sign_in("ada@example.com", PASSWORD, None).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn unverified_account_is_not_adopted_by_address() {
    let (scratch, provider) = (scratch(), Provider::start());
    let server = start(&scratch, &provider, &json!({}));
    let owner = Visitor::owner(&server).await;
    // An invitation was accepted in Ada's name. The link was shown to the inviter, so the account's owner is
    // unproven.
    let account = owner.invite(&server, "ada@example.com", "viewer").await;
    make(&provider, "ada", ada()).await;
    let (status, refusal) = sign_in(&Visitor::new(&server), "ada", false).await;
    assert_eq!((status, &refusal["code"]), (409, &json!("connect_first")), "{refusal}");

    // A signed-in user connects the identity, and then signs in with it.
    let (status, session) = sign_in(&account, "ada", true).await;
    assert_eq!((status, &session["session"]["method"]), (200, &json!("link")), "the session continues: {session}");
    assert_eq!(account.get("/v1/auth/providers").await.1["providers"][0]["connected"], 1);
    let other = Visitor::new(&server);
    assert_eq!(sign_in(&other, "ada", false).await.0, 200);
    assert_eq!(other.id().await, account.id().await);
    // An identity belongs to one user.
    let (status, refusal) = sign_in(&owner, "ada", true).await;
    assert_eq!((status, &refusal["code"]), (409, &json!("identity_taken")), "{refusal}");
    assert_eq!(Visitor::new(&server).post("/v1/auth/providers/acme/begin", json!({ "connect": true })).await.0, 401);

    let (_, log) = owner.get("/v1/audit-log?action=person.connect_provider").await;
    assert_eq!(log["audit_log"][0]["after"]["issuer"], provider.issuer(), "{log}");
    assert_eq!(account.post("/v1/auth/providers/acme/disconnect", json!({})).await.0, 200);
    assert_eq!(sign_in(&Visitor::new(&server), "ada", false).await.1["code"], "connect_first");
}

#[tokio::test(flavor = "multi_thread")]
async fn flow_must_end_in_its_own_browser() {
    let (scratch, provider) = (scratch(), Provider::start());
    let server = start(&scratch, &provider, &json!({}));
    let owner = Visitor::owner(&server).await;
    make(&provider, "ada", ada()).await;
    make(&provider, "mallory", json!({ "email": "mallory@example.com", "email_verified": true })).await;
    assert_eq!(sign_in(&owner, "ada", true).await.0, 200);

    // Mallory makes a victim's browser finish Mallory's sign-in, so that the victim would work in Mallory's account.
    let (mallory, victim) = (Visitor::new(&server), Visitor::new(&server));
    let callback = sign_in_at_provider(&begin(&mallory, false).await, "mallory").await;
    let check = async |visitor: &Visitor, callback: &Value| {
        let (status, refusal) = end(visitor, callback).await;
        assert_eq!((status, &refusal["code"]), (410, &json!("sign_in_over")), "{refusal}");
    };
    check(&victim, &callback).await;
    // The same if the victim has begun their own sign-in.
    let own = sign_in_at_provider(&begin(&victim, false).await, "ada").await;
    check(&victim, &callback).await;
    check(&victim, &json!({ "code": own["code"], "state": callback["state"] })).await;
    check(&victim, &json!({ "code": own["code"], "state": "" })).await;
    check(&victim, &json!({ "code": own["code"], "state": own["state"], "iss": "https://evil.example" })).await;
    // A foreign code in the victim's own callback: the verifier does not match.
    let (status, refusal) = end(&victim, &json!({ "code": callback["code"], "state": own["state"] })).await;
    assert_eq!((status, &refusal["code"]), (502, &json!("provider_failed")), "{refusal}");
    assert_eq!(victim.get("/v1/auth/session").await.0, 401);
    // A flow ends once, whatever its result.
    check(&victim, &json!({ "code": own["code"], "state": own["state"] })).await;
    let own = sign_in_at_provider(&begin(&victim, false).await, "ada").await;
    let right = json!({ "code": own["code"], "state": own["state"], "iss": provider.issuer() });
    assert_eq!(end(&victim, &right).await.0, 200);
    check(&victim, &right).await;

    // A connection that one user began cannot be finished by another.
    let callback = sign_in_at_provider(&begin(&owner, true).await, "mallory").await;
    assert_eq!(owner.post("/v1/auth/sign-out", json!({})).await.0, 200);
    check(&owner, &callback).await;
    // A page of another site can neither begin nor end a flow.
    for path in ["/v1/auth/providers/acme/begin", "/v1/auth/providers/acme/end"] {
        let headers = [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")];
        let refusal = victim.try_send(Method::POST, path, &headers, right.to_string()).await;
        assert_eq!(refusal.status(), 403, "{path}");
    }
    assert_eq!(victim.post("/v1/auth/providers/other/begin", json!({})).await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn address_must_be_verified_by_the_provider() {
    let (scratch, provider) = (scratch(), Provider::start());
    let server = start(&scratch, &provider, &json!({ "email_domains": ["Example.com"] }));
    let owner = Visitor::owner(&server).await;
    let invitations = format!("/v1/organizations/{}/invitations", owner.organization().await);
    for email in ["ada@example.com", "ada@elsewhere.example", "quiet@example.com"] {
        assert_eq!(owner.post(&invitations, json!({ "email": email, "role": "viewer" })).await.0, 201);
    }
    let check = async |claims: Value, expected: &str| {
        make(&provider, "ada", claims).await;
        let (status, refusal) = sign_in(&Visitor::new(&server), "ada", false).await;
        assert_eq!((status, refusal["code"].as_str()), (403, Some(expected)), "{refusal}");
    };
    check(json!({}), "address_not_verified").await;
    check(json!({ "email": "ada@example.com" }), "address_not_verified").await;
    check(json!({ "email": "ada@example.com", "email_verified": false }), "address_not_verified").await;
    check(json!({ "email": "ada@elsewhere.example", "email_verified": true }), "other_domain").await;
    // Some providers return the address only from the userinfo endpoint.
    make(&provider, "quiet", json!({ "only_userinfo": true, "email": "quiet@example.com", "email_verified": true })).await;
    let quiet = Visitor::new(&server);
    let (status, session) = sign_in(&quiet, "quiet", false).await;
    assert_eq!((status, &session["user"]["email"]), (200, &json!("quiet@example.com")), "{session}");
}

#[tokio::test(flavor = "multi_thread")]
async fn provider_failures_are_reported_in_our_words() {
    let (scratch, provider) = (scratch(), Provider::start());
    let wrong = json!({ "client_secret": "wrong" });
    let server = start(&scratch, &provider, &wrong);
    make(&provider, "ada", ada()).await;
    let visitor = Visitor::new(&server);
    let address = begin(&visitor, false).await;
    let refused = sign_in_at_provider(&address, "").await;
    assert_eq!(refused["error"], "access_denied", "the callback contains the error");
    let (status, refusal) = sign_in(&visitor, "ada", false).await;
    assert_eq!((status, &refusal["code"]), (502, &json!("provider_failed")));
    assert!(refusal["error"].as_str().is_some_and(|error| error.contains("refused to identify you (invalid_client)")), "{refusal}");
    drop(server);

    // The provider's configuration is cached; a code is redeemed at the provider each time.
    let server = start(&scratch, &provider, &json!({}));
    let visitor = Visitor::new(&server);
    let callback = sign_in_at_provider(&begin(&visitor, false).await, "ada").await;
    drop(provider);
    let began = Instant::now();
    let (status, refusal) = end(&visitor, &callback).await;
    assert_eq!((status, &refusal["code"]), (502, &json!("provider_failed")));
    assert!(refusal["error"].as_str().is_some_and(|error| error.starts_with("Acme cannot be reached at the moment.")), "{refusal}");
    drop(server);
    let server = start_at(&scratch, "http://127.0.0.1:1", &json!({}));
    let (status, refusal) = Visitor::new(&server).post("/v1/auth/providers/acme/begin", json!({})).await;
    assert_eq!((status, &refusal["code"]), (502, &json!("provider_failed")), "{refusal}");
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    let (_, listed) = Visitor::new(&server).get("/v1/auth/providers").await;
    assert_eq!(listed["providers"][0]["title"], "Acme", "{listed}");
}
