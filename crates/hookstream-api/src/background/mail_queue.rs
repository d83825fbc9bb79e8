//! Queue of users who wait for a link that sets their password.

use std::sync::{Arc, Mutex};

use hookstream_destinations::services::mail::Mailer;
use hookstream_model::identity::user::Email;
use tokio::sync::mpsc;

use crate::http::error::{ApiError, ErrorCode};

/// Maximum number of waiting users; further ones are refused.
pub(crate) const WAITING: usize = 100;

/// Mailer, and the queue of users who wait for a link.
pub(crate) struct MailQueue {
    pub(crate) mailer: Arc<Mailer>,
    queued: mpsc::Sender<Email>,
    pub(crate) waiting: Mutex<Option<mpsc::Receiver<Email>>>,
}

impl MailQueue {
    pub(crate) fn new(mailer: Arc<Mailer>) -> Self {
        let (queued, waiting) = mpsc::channel(WAITING);
        Self { mailer, queued, waiting: Mutex::new(Some(waiting)) }
    }

    /// Queues a request for a password link, whether or not the account exists.
    pub(crate) fn take(&self, email: Email) -> Result<(), ApiError> {
        self.queued.try_send(email).map_err(|_| {
            let message = "Too many emails are queued at the moment. Retry in a few minutes.";
            ApiError::new(ErrorCode::Busy, message)
        })
    }
}
