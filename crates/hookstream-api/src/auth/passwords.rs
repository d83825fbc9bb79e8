//! Checking and hashing of passwords on blocking threads, few at a time. Each hash takes about 20 ms of a core and 19
//! MiB, and sign-ins must not take these from senders.

use std::sync::Arc;

use hookstream_model::{
    InvalidField,
    identity::{
        password::{self, PasswordHash},
        user::Email,
    },
};
use tokio::sync::Semaphore;

use crate::http::error::{ApiError, ErrorCode};

/// Maximum number of concurrent hashes.
const AT_ONCE: usize = 2;
/// Maximum number of waiting requests; further ones are refused.
const WAITING: usize = 100;

/// Worker for passwords, with bounded concurrency.
#[derive(Debug)]
pub(crate) struct Passwords {
    working: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self { working: Arc::new(Semaphore::new(AT_ONCE)), waiting: Arc::new(Semaphore::new(WAITING)) }
    }
}

impl Passwords {
    /// Hashes a new password, if it is strong enough.
    pub(crate) async fn hash_new(
        &self,
        field: &'static str,
        password: String,
        email: Email,
        name: String,
        random: [u8; 32],
    ) -> Result<PasswordHash, ApiError> {
        let work = move || -> Result<PasswordHash, InvalidField> {
            password::check(field, &password, &email, &name)?;
            let salt = random[..16].try_into().expect("16 of 32 bytes");
            Ok(PasswordHash::of(&password, &salt))
        };
        Ok(self.run(work).await??)
    }

    /// Returns true if the password matches the hash. Without a hash, the answer is no after the same time, so the
    /// time does not reveal whether an account exists.
    pub(crate) async fn verify(&self, hash: Option<PasswordHash>, password: String) -> Result<bool, ApiError> {
        let work = move || match hash {
            Some(hash) => hash.is_of(&password),
            None => {
                let _ = PasswordHash::of(&password, &[0; 16]);
                false
            }
        };
        self.run(work).await
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, ApiError> {
        let Ok(_waits) = Arc::clone(&self.waiting).try_acquire_owned() else {
            let message = "Too many sign-ins are in progress. Retry in a few seconds.";
            return Err(ApiError::new(ErrorCode::Busy, message));
        };
        let permit = Arc::clone(&self.working).acquire_owned().await.expect("the semaphore is never closed");
        let hashed = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work()
        });
        hashed.await.map_err(|error| ApiError::panicked(error.to_string()))
    }
}
