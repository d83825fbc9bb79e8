//! TLS trust for deliveries: trusted authorities and the client certificate, from files that may change while the
//! server runs.

use std::path::Path;

use hookstream_testkit::{
    receiver::{CannedResponse, Receiver},
    tls::{Authority, Identity},
};
use serde_json::json;

use crate::{
    binary::program::refused_start,
    support::{Server, scratch},
};

fn write(directory: &Path, identity: &Identity) {
    let (certificate, key) = identity.pem();
    std::fs::write(directory.join("client.pem"), certificate).expect("written");
    std::fs::write(directory.join("client.key"), key).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn client_certificate_is_renewed_without_a_restart() {
    let scratch = scratch();
    let files = tempfile::tempdir().expect("a directory");
    let file = |name: &str| files.path().join(name).to_str().expect("a path that is text").to_owned();
    let authority = Authority::new();
    std::fs::write(file("ca.pem"), authority.pem()).expect("written");
    write(files.path(), &Authority::new().issue(&["sender.test"]));
    let (ca, certificate, key) = (file("ca.pem"), file("client.pem"), file("client.key"));
    let server = Server::start(
        &scratch,
        &[
            "--retry-schedule",
            "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1",
            "--circuit-breaker-threshold",
            "0",
            "--target-ca-file",
            &ca,
            "--target-client-cert-file",
            &certificate,
            "--target-client-key-file",
            &key,
        ],
    );
    let tls = authority.issue(&["127.0.0.1"]).server_for_clients_of(&authority, &["http/1.1"]);
    let receiver = Receiver::secure(tls, |_| CannedResponse::status(204)).await;
    server.client.acme(json!({}), &receiver.url()).await;
    let id = server.client.message(json!(1)).await;
    let seen = hookstream_testkit::eventually("an attempt", async || {
        let (_, seen) = server.client.get(&format!("/v1/applications/acme/messages/{id}")).await;
        (seen["attempts"].as_array().is_some_and(|attempts| !attempts.is_empty())).then_some(seen)
    })
    .await;
    assert!(seen["attempts"][0]["error"].as_str().is_some_and(|error| error.starts_with("tls_failed: ")), "{seen}");
    write(files.path(), &authority.issue(&["sender.test"]));
    server.client.until(&id, "delivered").await;
}

#[test]
fn invalid_trust_files_are_rejected_by_setting() {
    let files = tempfile::tempdir().expect("a directory");
    let path = files.path().join("some.pem");
    std::fs::write(&path, "hello").expect("written");
    let some = path.to_str().expect("a path that is text");
    refused_start(&["--target-ca-file", some], "holds no certificates in PEM");
    refused_start(&["--target-ca-file", "/nowhere.pem"], "could not read target_ca_file /nowhere.pem");
    refused_start(&["--target-crl-file", some], "holds no revocation lists in PEM");
    refused_start(&["--target-client-cert-file", some], "belong together: set both or neither");
    refused_start(&["--target-client-cert-file", some, "--target-client-key-file", some], "hold no certificate and key in PEM");
}
