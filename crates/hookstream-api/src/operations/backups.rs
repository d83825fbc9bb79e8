//! Backups that the server makes of its data directory.

use axum::{Json, extract::State};
use hookstream_store::sqlite::backup::kept::{self, Kept};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    auth::caller::Caller,
    background::backup_state::Backups,
    http::error::{ApiError, ErrorCode},
    state::Api,
};

/// Backup of the installation's data directory.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Backup {
    /// Name of its directory.
    #[schema(example = "2026-03-02T02-30-00Z")]
    name: String,
    /// Moment that it shows; `null` if it cannot be used.
    created_at: Option<String>,
    /// Size in bytes.
    #[schema(example = 734_003_200)]
    bytes: u64,
    /// Bytes that it does not share with the backup before it.
    #[schema(example = 41_943_040)]
    new_bytes: u64,
    /// Number of days with messages.
    #[schema(example = 30)]
    days: usize,
    /// Duration in milliseconds.
    #[schema(example = 5_400)]
    duration_ms: u64,
    /// Version of the program that made it.
    #[schema(example = "0.1.0")]
    version: String,
    /// Whether each file was opened and checked after it was written.
    verified: bool,
    /// Whether it contains the encryption key.
    includes_key: bool,
    /// Reason why it cannot be used; `null` if it can.
    error: Option<String>,
}

impl From<Kept> for Backup {
    fn from(kept: Kept) -> Self {
        let empty = |error: String| Self {
            name: kept.name.clone(),
            created_at: None,
            bytes: 0,
            new_bytes: 0,
            days: 0,
            duration_ms: 0,
            version: String::new(),
            verified: false,
            includes_key: false,
            error: Some(error),
        };
        match &kept.manifest {
            Err(error) => empty(error.to_string()),
            Ok(manifest) => Self {
                created_at: Some(manifest.created_at.clone()),
                bytes: manifest.bytes(),
                new_bytes: manifest.added_bytes(),
                days: manifest.days(),
                duration_ms: manifest.took_ms,
                version: manifest.hookstream.clone(),
                verified: manifest.verified,
                includes_key: manifest.encryption_key.included,
                error: None,
                ..empty(String::new())
            },
        }
    }
}

/// Schedule of backups.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BackupSchedule {
    /// Directory of the backups, from the setting `backup_dir`.
    #[schema(example = "/backup/hookstream")]
    directory: String,
    /// Time of day (UTC), from the setting `backup_at`.
    #[schema(example = "02:30")]
    at: String,
    /// Days that a backup is kept, from the setting `backup_keep_days`.
    #[schema(example = 7)]
    keep_days: u64,
}

impl From<&Backups> for BackupSchedule {
    fn from(backups: &Backups) -> Self {
        let (hour, minute) = backups.settings.at.parts();
        Self {
            directory: backups.settings.directory.display().to_string(),
            at: format!("{hour:02}:{minute:02}"),
            keep_days: backups.settings.keep.as_secs() / 86_400,
        }
    }
}

/// Backups of this installation, newest first, and their state.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BackupList {
    backups: Vec<Backup>,
    /// Schedule; `null` if the server makes no backups by itself.
    schedule: Option<BackupSchedule>,
    /// Time at which the backup that is being made was begun; `null` if none is.
    running_since: Option<String>,
    /// Time of the last failure since the server's start.
    failed_at: Option<String>,
    /// Cause of the last failure.
    failure: Option<String>,
    /// Failures since the server's start.
    #[schema(example = 0)]
    failures: u64,
}

/// Backup that was requested.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BackupStarted {
    /// Always `started`.
    #[schema(example = "started")]
    status: &'static str,
}

/// List backups
///
/// The backups in the directory of the setting `backup_dir` are listed, newest first. Without that setting the list is empty. The server
/// makes a backup each day, and keeps it for some days. A backup that cannot be used has an `error`.
#[utoipa::path(get, path = "/backups", operation_id = "listBackups", tag = "Backups", responses((status = 200, description = "All backups.", body = BackupList)))]
pub(crate) async fn list(State(api): State<Api>, _: Caller) -> Result<Json<BackupList>, ApiError> {
    let Some(backups) = &api.backups else {
        let none = BackupList { backups: Vec::new(), schedule: None, running_since: None, failed_at: None, failure: None, failures: 0 };
        return Ok(Json(none));
    };
    let directory = backups.settings.directory.clone();
    let listed = tokio::task::spawn_blocking(move || kept::list(&directory)).await;
    let failed = |error: &(dyn std::error::Error + 'static)| {
        ApiError::new(ErrorCode::Internal, "The directory of backups could not be read. The log has the cause.").caused_by(error)
    };
    let listed = listed.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    let status = backups.status();
    let (failed_at, failure) = status.last_failure.map(|(at, text)| (at.to_string(), text)).unzip();
    Ok(Json(BackupList {
        backups: listed.into_iter().map(Backup::from).collect(),
        schedule: Some(backups.into()),
        running_since: status.running_since.map(|at| at.to_string()),
        failed_at,
        failure,
        failures: status.failures,
    }))
}

/// Start a backup
///
/// The server makes a backup now, besides the daily ones. The answer does not wait for its end; `GET /v1/backups` shows it.
#[utoipa::path(post, path = "/backups", operation_id = "createBackup", tag = "Backups", responses(
    (status = 201, description = "Started.", body = BackupStarted),
    (status = 409, description = "A backup is being made (`backup_running`), or the server makes none (`no_backup_dir`).", body = crate::http::error::ErrorBody)
))]
pub(crate) async fn create(State(api): State<Api>, _: Caller) -> Result<(StatusCode, Json<BackupStarted>), ApiError> {
    let Some(backups) = &api.backups else {
        let message =
            "This server makes no backups. Set backup_dir, or run `hookstream backup`. On PostgreSQL, use the tools of the database.";
        return Err(ApiError::new(ErrorCode::NoBackupDirectory, message));
    };
    if backups.status().running_since.is_some() {
        return Err(ApiError::new(ErrorCode::BackupRunning, "A backup is being made. Wait for its end, which `GET /v1/backups` shows."));
    }
    backups.asked.notify_one();
    Ok((StatusCode::CREATED, Json(BackupStarted { status: "started" })))
}
