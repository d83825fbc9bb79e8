//! Requests of the original page's samples, as each language's client sends them.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{KEY, Server, scratch};

const BODY: &str = r#"{
  "url": "https://receiver.example.test/webhooks",
  "description": "string",
  "filter_types": [
    "string"
  ],
  "rate_limit_per_second": 0,
  "expires_at": "EXPIRES"
}"#;

/// Headers of each client besides the content length.
const CLIENTS: [(&str, &str); 4] = [
    ("curl", "Host: HOST\r\nUser-Agent: curl/8.5.0\r\nAccept: */*\r\nAuthorization: Bearer KEY\r\nContent-Type: application/json\r\n"),
    (
        "fetch",
        "host: HOST\r\nconnection: keep-alive\r\nAuthorization: Bearer KEY\r\nContent-Type: application/json\r\naccept: */*\r\n\
            accept-language: *\r\nsec-fetch-mode: cors\r\nuser-agent: node\r\naccept-encoding: gzip, deflate\r\n",
    ),
    (
        "Python requests",
        "Host: HOST\r\nUser-Agent: python-requests/2.32.3\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept: */*\r\n\
            Connection: keep-alive\r\nAuthorization: Bearer KEY\r\nContent-Type: application/json\r\n",
    ),
    (
        "Go net/http",
        "Host: HOST\r\nUser-Agent: Go-http-client/1.1\r\nAuthorization: Bearer KEY\r\nContent-Type: application/json\r\nAccept-Encoding: gzip\r\n",
    ),
];

async fn send(server: &Server, id: &str, headers: &str, body: &str) -> (u16, Value) {
    let headers = headers.replace("HOST", &server.address()).replace("KEY", KEY);
    let request = format!("POST /v1/applications/{id}/endpoints HTTP/1.1\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len());
    let mut stream = TcpStream::connect(server.address()).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut response = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).await.expect("a response");
        response.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&response);
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && let Ok(body) = serde_json::from_str(body)
        {
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
            return (status, body);
        }
        assert!(read > 0, "the response ended: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn samples_work_after_filling_in_the_blanks() {
    let directory = scratch();
    // Default settings: public addresses only, and no name server responds here.
    let server = Server::start_on("127.0.0.1:0", &directory, &[]);
    let (_, response) = server.client.post("/v1/applications", json!({ "name": "Acme", "uid": "acme" })).await;
    let application = response["application"].clone();
    let id = application["id"].as_str().expect("an id");
    for (client, headers) in CLIENTS {
        let (status, response) = send(&server, id, headers, &BODY.replace("EXPIRES", "2030-12-31T23:59:59Z")).await;
        assert_eq!(status, 201, "{client}: {response}");
        let endpoint = &response["endpoint"];
        let expected = json!({
            "org_id": application["org_id"],
            "env_id": application["env_id"],
            "application_id": id,
            "url": "https://receiver.example.test/webhooks",
            "description": "string",
            "signing_algorithm": "hmac-sha256",
            "status": "active",
            "filter_types": "[\"string\"]",
            "rate_limit_per_second": 0,
            "expires_at": "2030-12-31T23:59:59.000Z",
        });
        for (name, value) in expected.as_object().expect("an object") {
            assert_eq!(&endpoint[name], value, "{client}: {name}");
        }
        assert!(endpoint["signing_secret"].as_str().is_some_and(|secret| secret.starts_with("whsec_")), "{client}");
        for name in ["id", "created_at", "updated_at"] {
            assert!(endpoint[name].is_string(), "{client}: {name}");
        }

        let (status, response) = send(&server, id, headers, &BODY.replace("EXPIRES", "string")).await;
        assert_eq!((status, &response["details"]["field"]), (400, &json!("expires_at")), "{client}: {response}");
    }
}
