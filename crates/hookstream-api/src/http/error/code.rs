//! Codes of errors: the stable word of each, and its HTTP status. No other file decides on the status of an error.

use http::StatusCode;

/// Defines the codes, by status.
macro_rules! codes {
    ($($status:ident: { $($variant:ident => $word:literal,)* })*) => {
        /// Code of an error. Programs decide by its word.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum ErrorCode { $($($variant,)*)* }

        impl ErrorCode {
            #[cfg(test)]
            const ALL: &[Self] = &[$($(Self::$variant,)*)*];

            /// Word of the code, `code` in answers.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $($(Self::$variant => $word,)*)* }
            }

            /// HTTP status of the code.
            pub(super) const fn status(self) -> StatusCode {
                match self { $($(Self::$variant)|* => StatusCode::$status,)* }
            }
        }
    };
}

codes! {
    BAD_REQUEST: {
        AccessDenied => "access_denied",
        AddressNotAllowed => "address_not_allowed",
        ApplicationDisabled => "application_disabled",
        AuthorizationPending => "authorization_pending",
        BodyIncomplete => "body_incomplete",
        EndpointDisabled => "endpoint_disabled",
        EndpointExpired => "endpoint_expired",
        EndpointPaused => "endpoint_paused",
        ExpiredToken => "expired_token",
        InvalidField => "invalid_field",
        InvalidJson => "invalid_json",
        InvalidQuery => "invalid_query",
        NoFields => "no_fields",
        SlowDown => "slow_down",
        UnknownField => "unknown_field",
        UnknownParameter => "unknown_parameter",
    }
    UNAUTHORIZED: {
        PortalClosed => "portal_closed",
        SignInNeedsSecondFactor => "second_factor_required",
        SignInWrongCode => "wrong_code",
        SignInWrongCredentials => "wrong_credentials",
        TokenExpired => "token_expired",
        Unauthorized => "unauthorized",
    }
    FORBIDDEN: {
        AddressNotVerified => "address_not_verified",
        ClientAddressNotAllowed => "address_not_allowed",
        CrossOrigin => "cross_origin",
        Forbidden => "forbidden",
        NoOrganization => "no_organization",
        NotInvited => "not_invited",
        NotViewOwner => "not_view_owner",
        OrganizationKeyNeeded => "organization_key_needed",
        OrganizationsNotAllowed => "organizations_not_allowed",
        OtherDomain => "other_domain",
        OtherEnvironment => "other_environment",
        OwnerNeeded => "owner_needed",
        PersonNeeded => "person_needed",
        QuotaReached => "quota_reached",
        ReadOnly => "read_only",
        RevealDisabled => "reveal_disabled",
        SecondFactorRequired => "second_factor_required",
        WrongCode => "wrong_code",
        WrongCredentials => "wrong_credentials",
    }
    NOT_FOUND: {
        NoBilling => "no_billing",
        NotFound => "not_found",
        UnknownRoute => "unknown_route",
    }
    METHOD_NOT_ALLOWED: {
        MethodNotAllowed => "method_not_allowed",
    }
    REQUEST_TIMEOUT: {
        BodyTooSlow => "body_too_slow",
    }
    CONFLICT: {
        BackupRunning => "backup_running",
        Conflict => "conflict",
        ConnectFirst => "connect_first",
        DuplicateEventId => "duplicate_event_id",
        IdempotencyConflict => "idempotency_conflict",
        IdentityTaken => "identity_taken",
        IsMember => "is_member",
        JobEnded => "job_ended",
        LastEnvironment => "last_environment",
        LastOwner => "last_owner",
        NameTaken => "name_taken",
        NoBackupDirectory => "no_backup_dir",
        NoMail => "no_mail",
        NoSecondFactor => "no_second_factor",
        NoneToConfirm => "none_to_confirm",
        NotConnected => "not_connected",
        NotDeleted => "not_deleted",
        SecondFactorExists => "second_factor_exists",
        SignInFirst => "sign_in_first",
        SlugTaken => "slug_taken",
        TooManyAlertRules => "too_many_alert_rules",
        TooManyChannels => "too_many_channels",
        TooManyJobs => "too_many_jobs",
        TooManySecrets => "too_many_secrets",
        TooManySubscriptions => "too_many_subscriptions",
        TooManyViews => "too_many_views",
        UidTaken => "uid_taken",
    }
    GONE: {
        LinkOver => "link_over",
        PayloadExpired => "payload_expired",
        SignInOver => "sign_in_over",
    }
    PAYLOAD_TOO_LARGE: {
        BodyTooLarge => "body_too_large",
        PayloadTooLarge => "payload_too_large",
    }
    UNSUPPORTED_MEDIA_TYPE: {
        UnsupportedEncoding => "unsupported_encoding",
    }
    UNPROCESSABLE_ENTITY: {
        IdempotencyKeyReused => "idempotency_key_reused",
        PayloadNotCheckable => "payload_not_checkable",
        SchemaTooExpensive => "schema_too_expensive",
        SchemaViolated => "schema_violated",
    }
    UPGRADE_REQUIRED: {
        WebSocketNeeded => "websocket_needed",
    }
    TOO_MANY_REQUESTS: {
        MonthlyQuotaReached => "quota_reached",
        RateLimited => "rate_limited",
        StorageBudgetReached => "storage_budget_reached",
        TooManyAttempts => "too_many_attempts",
        TooManyBytes => "too_many_bytes",
        TooManyStreams => "too_many_streams",
    }
    INTERNAL_SERVER_ERROR: {
        Internal => "internal",
    }
    BAD_GATEWAY: {
        MailFailed => "mail_failed",
        ProviderFailed => "provider_failed",
    }
    SERVICE_UNAVAILABLE: {
        Busy => "busy",
        DatabaseUnavailable => "database_unavailable",
        Draining => "draining",
        KeepsChanging => "keeps_changing",
        Stopping => "stopping",
        StorageFull => "storage_full",
    }
    LOOP_DETECTED: {
        LoopDetected => "loop_detected",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn word_means_one_status_except_while_signing_in_and_for_quotas() {
        let mut twice = Vec::new();
        for (place, code) in ErrorCode::ALL.iter().enumerate() {
            let word = code.as_str();
            assert!(code.status().is_client_error() || code.status().is_server_error(), "{word}");
            assert!(word.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{word}");
            if ErrorCode::ALL[..place].iter().any(|other| other.as_str() == word) {
                twice.push(word);
            }
        }
        twice.sort_unstable();
        assert_eq!(twice, ["address_not_allowed", "quota_reached", "second_factor_required", "wrong_code", "wrong_credentials"]);
    }
}
