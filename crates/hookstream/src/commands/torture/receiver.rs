//! The receiver: a little slow, so that something is always under way, and unreliable on some first tries.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode, request::Parts};
use http_body_util::Empty;

use super::{ledger::Ledger, senders::PROBES_FROM};
use crate::commands::traffic::{
    listener::{Receive, fails_first, header, plain},
    payload,
};

/// How long an answer takes.
const DELAY: Duration = Duration::from_millis(15);
/// The share of messages whose first try is answered 500.
const FAIL_SHARE: f64 = 0.02;

/// Notes in a ledger what arrives.
pub(super) struct Receiver(pub(super) Arc<Ledger>);

impl Receive for Receiver {
    type Body = Empty<Bytes>;

    async fn receive(&self, head: Parts, body: Bytes) -> io::Result<Response<Self::Body>> {
        let Some(number) = payload::number(&body) else { return Ok(plain(StatusCode::BAD_REQUEST)) };
        tokio::time::sleep(DELAY).await;
        // A probe measures a time, to which the wait for another try does not belong.
        let is_to_fail = number < PROBES_FROM && fails_first(number, FAIL_SHARE);
        if is_to_fail && header(&head.headers, "x-hookstream-delivery-attempt") == "1" {
            return Ok(plain(StatusCode::INTERNAL_SERVER_ERROR));
        }
        self.0.arrived(number, header(&head.headers, "webhook-id"));
        Ok(plain(StatusCode::NO_CONTENT))
    }
}
