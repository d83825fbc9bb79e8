//! Meaning of a broker's answers. Nothing that a broker answers disables an endpoint: exchanges, queues and permissions are
//! often created after the endpoint, so every failure is retried by the schedule.

use hookstream_model::delivery::outcome::{Failure, FailureKind, Outcome, ReceiverResponse};

use super::settings::RabbitMqSettings;
use crate::http::classify::HttpResponse;

/// Decides about a response of the management API: accepted is 2xx with `routed: true`.
pub(super) fn response(response: HttpResponse, settings: &RabbitMqSettings) -> Outcome {
    let recorded = ReceiverResponse { status: Some(response.status), body: response.body.clone(), headers: response.headers.clone() };
    let failure = match response.status {
        200..300 => match routed(&response.body) {
            Some(true) => return Outcome::accepted(recorded),
            Some(false) => unroutable(settings),
            None => Failure::new(FailureKind::ResponseInvalid, "the response is not that of RabbitMQ's management API"),
        },
        401 | 403 => access_refused(),
        404 => not_found(settings),
        // The API passes on what AMQP answered inside, such as `404 NOT_FOUND - no exchange 'events'`.
        400 => match reason(&response.body).as_deref().and_then(|reason| reason.get(..3)) {
            Some("404") => not_found(settings),
            Some("403") => access_refused(),
            Some(_) | None => return Outcome::Retryable(response.failure()),
        },
        // The general meaning of HTTP: 429 and 503 are overload, a redirect is not followed.
        _ => return Outcome::Retryable(response.failure()),
    };
    Outcome::Retryable(failure.with_response(recorded))
}

fn routed(body: &[u8]) -> Option<bool> {
    serde_json::from_slice::<serde_json::Value>(body).ok()?.get("routed")?.as_bool()
}

fn reason(body: &[u8]) -> Option<String> {
    serde_json::from_slice::<serde_json::Value>(body).ok()?.get("reason")?.as_str().map(str::to_owned)
}

fn access_refused() -> Failure {
    Failure::new(
        FailureKind::AccessRefused,
        "the broker refused the user name, the password, or access to the virtual host or the exchange",
    )
}

/// Describes a message that reached the exchange and no queue.
pub(super) fn unroutable(settings: &RabbitMqSettings) -> Failure {
    Failure::new(
        FailureKind::Unroutable,
        format!(
            "no queue is bound to exchange {:?} for routing key {:?}. Bind a queue, or correct `config.routing_key`",
            settings.exchange, settings.routing_key
        ),
    )
}

fn not_found(settings: &RabbitMqSettings) -> Failure {
    Failure::new(
        FailureKind::TargetNotFound,
        format!(
            "the broker has no exchange {:?} in virtual host {:?}. Create it, or correct `config.exchange`",
            settings.exchange, settings.vhost
        ),
    )
}

#[cfg(feature = "rabbitmq")]
pub(super) mod of_amqp {
    //! Meaning of AMQP errors.

    use hookstream_model::delivery::outcome::{Failure, FailureKind, ReceiverResponse};
    use lapin::{
        ErrorKind,
        protocol::{AMQPError, AMQPErrorKind, AMQPHardError, AMQPSoftError},
    };

    use super::{
        super::{amqp::Excess, settings::RabbitMqSettings},
        not_found,
    };
    use crate::net::failure;

    /// Describes an error of the connection or of the channel.
    pub(in super::super) fn failure(error: &lapin::Error, settings: &RabbitMqSettings) -> Failure {
        match error.kind() {
            ErrorKind::ProtocolError(refused) => refusal(refused, settings).with_response(said(refused)),
            ErrorKind::IOError(io) if io.get_ref().and_then(|cause| cause.downcast_ref::<Excess>()).is_some() => no_amqp(),
            ErrorKind::IOError(io) => failure::classify_io(io),
            ErrorKind::ParsingError(_) | ErrorKind::InvalidProtocolVersion(_) => no_amqp(),
            ErrorKind::ChannelsLimitReached => Failure::new(FailureKind::ConnectionFailed, "the broker allows no further channel"),
            ErrorKind::MissingHeartbeatError => Failure::new(FailureKind::ConnectionReset, "the broker sent no heartbeat"),
            _ => Failure::new(FailureKind::ConnectionReset, "the broker closed the connection before it confirmed the message"),
        }
    }

    fn refusal(error: &AMQPError, settings: &RabbitMqSettings) -> Failure {
        let text = error.get_message().as_str();
        match error.kind() {
            AMQPErrorKind::Soft(AMQPSoftError::NOTFOUND) => not_found(settings),
            AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) if text.contains("not found") => Failure::new(
                FailureKind::TargetNotFound,
                format!("the broker has no virtual host {:?}. Create it, or correct `config.vhost`", settings.vhost),
            ),
            AMQPErrorKind::Hard(AMQPHardError::NOTALLOWED) => Failure::new(
                FailureKind::AccessRefused,
                format!("the broker does not let user {:?} use virtual host {:?}", settings.username, settings.vhost),
            ),
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) if text.contains("Login was refused") => login(),
            AMQPErrorKind::Soft(AMQPSoftError::ACCESSREFUSED) => Failure::new(
                FailureKind::AccessRefused,
                format!("the broker does not let user {:?} publish to exchange {:?}", settings.username, settings.exchange),
            ),
            AMQPErrorKind::Soft(AMQPSoftError::CONTENTTOOLARGE | AMQPSoftError::PRECONDITIONFAILED) => {
                Failure::new(FailureKind::MessageRefused, "the broker refused the message, for example because it is too large")
            }
            AMQPErrorKind::Hard(AMQPHardError::CONNECTIONFORCED) => Failure::new(
                FailureKind::ConnectionReset,
                "the broker closed the connection because an operator or a shutdown asked for it",
            ),
            AMQPErrorKind::Soft(_) | AMQPErrorKind::Hard(_) => {
                Failure::new(FailureKind::MessageRefused, format!("the broker refused the message (code {})", error.get_id()))
            }
        }
    }

    fn no_amqp() -> Failure {
        Failure::new(FailureKind::ResponseInvalid, "the response is not valid AMQP 0-9-1")
    }

    fn login() -> Failure {
        Failure::new(FailureKind::AccessRefused, "the broker refused the user name or the password")
    }

    /// Text of the broker, for the record.
    fn said(error: &AMQPError) -> ReceiverResponse {
        ReceiverResponse { body: format!("{} {}", error.get_id(), error.get_message()).into(), ..ReceiverResponse::default() }
    }

    #[cfg(test)]
    mod tests {
        use super::{super::super::tests::support, *};

        #[test]
        fn refusal_of_a_broker_has_its_word_and_keeps_its_text() {
            let settings = support::settings("amqp://127.0.0.1", &[]);
            let check = |kind: AMQPErrorKind, text: &str, expected: FailureKind| {
                let error = lapin::Error::from(ErrorKind::ProtocolError(AMQPError::new(kind, text.into())));
                let found = failure(&error, &settings);
                assert_eq!(found.kind, expected, "{text}");
                let body = found.response.expect("the broker's text").body;
                assert!(String::from_utf8_lossy(&body).ends_with(text), "{text}");
            };
            let (soft, hard) = (AMQPErrorKind::Soft, AMQPErrorKind::Hard);
            check(soft(AMQPSoftError::NOTFOUND), "NOT_FOUND - no exchange 'events' in vhost '/'", FailureKind::TargetNotFound);
            check(soft(AMQPSoftError::ACCESSREFUSED), "ACCESS_REFUSED - access to exchange 'events'", FailureKind::AccessRefused);
            check(soft(AMQPSoftError::ACCESSREFUSED), "ACCESS_REFUSED - Login was refused", FailureKind::AccessRefused);
            check(soft(AMQPSoftError::PRECONDITIONFAILED), "PRECONDITION_FAILED - message size", FailureKind::MessageRefused);
            check(hard(AMQPHardError::NOTALLOWED), "NOT_ALLOWED - vhost shop not found", FailureKind::TargetNotFound);
            check(hard(AMQPHardError::NOTALLOWED), "NOT_ALLOWED - access to vhost '/' refused", FailureKind::AccessRefused);
            check(hard(AMQPHardError::CONNECTIONFORCED), "CONNECTION_FORCED - broker forced close", FailureKind::ConnectionReset);
            check(hard(AMQPHardError::INTERNALERROR), "INTERNAL_ERROR", FailureKind::MessageRefused);
        }
    }
}

#[cfg(test)]
mod tests {
    use hookstream_model::delivery::retry::RetryAfter;

    use super::{super::tests::support, *};

    #[test]
    fn management_response_needs_success_and_a_routed_message() {
        let settings = support::settings("http://127.0.0.1", &[]);
        let check = |status: u16, body: &'static str, expected: Option<FailureKind>| {
            let outcome = response(HttpResponse { status, body: body.into(), ..HttpResponse::default() }, &settings);
            assert_eq!(outcome.failure().map(|failure| failure.kind), expected, "{status} {body}");
            assert_eq!(outcome.response().and_then(|response| response.status), Some(status));
            assert_eq!(outcome.disables(), None, "{status}");
        };
        check(200, "{\"routed\":true}", None);
        check(200, "{\"routed\":false}", Some(FailureKind::Unroutable));
        check(200, "<html>", Some(FailureKind::ResponseInvalid));
        check(200, "{\"ok\":true}", Some(FailureKind::ResponseInvalid));
        check(401, "{\"error\":\"not_authorized\"}", Some(FailureKind::AccessRefused));
        check(404, "{\"error\":\"Object Not Found\"}", Some(FailureKind::TargetNotFound));
        let said = "{\"error\":\"bad_request\",\"reason\":\"404 NOT_FOUND - no exchange 'events' in vhost '/'\"}";
        check(400, said, Some(FailureKind::TargetNotFound));
        check(400, "{\"error\":\"bad_request\",\"reason\":\"403 ACCESS_REFUSED\"}", Some(FailureKind::AccessRefused));
        check(400, "{\"error\":\"bad_request\",\"reason\":\"ä\"}", Some(FailureKind::HttpStatus));
        check(302, "", Some(FailureKind::RedirectRefused));
        check(410, "", Some(FailureKind::HttpStatus));
        check(500, "", Some(FailureKind::HttpStatus));
    }

    #[test]
    fn busy_management_api_is_obeyed() {
        let settings = support::settings("http://127.0.0.1", &[]);
        let busy = HttpResponse { status: 503, retry_after: Some(RetryAfter::Seconds(30)), ..HttpResponse::default() };
        let outcome = response(busy, &settings);
        assert_eq!((outcome.is_overload(), outcome.asked_wait()), (true, Some(RetryAfter::Seconds(30))));
    }
}
