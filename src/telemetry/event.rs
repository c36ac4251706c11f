//! The events that are counted: three closed sets, each with a label per event. A new event without a label does not
//! compile.

macro_rules! closed_set {
    ($(#[$doc:meta])* $name:ident { $($variant:ident => $label:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[expect(missing_docs, reason = "each name says it")]
        pub enum $name { $($variant,)+ }

        impl $name {
            pub(super) const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Returns the event's label in metrics and logs.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label,)+ }
            }

            #[expect(clippy::as_conversions, reason = "a variant's place in ALL, in the order of declaration")]
            pub(super) const fn place(self) -> usize {
                self as usize
            }
        }
    };
}

closed_set! {
    /// Something the control path did.
    ControlEvent {
        AuthorizationDenied => "authorization_denied",
        ClientRegistered => "client_registered",
        CodeReplayed => "code_replayed",
        LoginFailed => "login_failed",
        LoginSucceeded => "login_succeeded",
        LoginThrottled => "login_throttled",
        RefreshRetriedLate => "refresh_retried_late",
        RefreshReused => "refresh_reused",
        TokenIssued => "token_issued",
        TokenNotPresented => "token_not_presented",
        TokenRefreshed => "token_refreshed",
        TokenRefused => "token_refused",
        TokenRevoked => "token_revoked",
    }
}

closed_set! {
    /// How a request to an upstream's path ended.
    Outcome {
        Forwarded => "forwarded",
        Preflight => "preflight",
        NoCredentials => "no_credentials",
        MalformedCredentials => "malformed_credentials",
        InvalidToken => "invalid_token",
        WrongAudience => "wrong_audience",
        WrongAddress => "wrong_address",
        InsufficientScope => "insufficient_scope",
        NotAdmitted => "not_admitted",
        Denied => "denied",
        BadOrigin => "bad_origin",
        BadSession => "bad_session",
        BadRequest => "bad_request",
        MethodNotAllowed => "method_not_allowed",
        UnsupportedMediaType => "unsupported_media_type",
        TooLarge => "too_large",
        HeaderMismatch => "header_mismatch",
        RateLimited => "rate_limited",
        Overloaded => "overloaded",
        Unprovable => "unprovable",
        UpstreamUnreachable => "upstream_unreachable",
        UpstreamSlow => "upstream_slow",
        UpstreamRefused => "upstream_refused",
        UpstreamProtocol => "upstream_protocol",
        TooOld => "too_old",
        Removed => "removed",
        GoingDown => "going_down",
        Internal => "internal",
    }
}

closed_set! {
    /// What happened to connections, the listener and the configuration.
    ServerEvent {
        Accepted => "accepted",
        RefusedTotal => "refused_total",
        RefusedAddress => "refused_address",
        RefusedSite => "refused_site",
        Reclaimed => "reclaimed",
        RefusedProxyHeader => "refused_proxy_header",
        HandshakeFailed => "handshake_failed",
        UnknownServerName => "unknown_server_name",
        HeadTimeout => "head_timeout",
        IdleTimeout => "idle_timeout",
        WriteStalled => "write_stalled",
        WrongHost => "wrong_host",
        BadTarget => "bad_target",
        ControlFlood => "control_flood",
        HandlerPanicked => "handler_panicked",
        AcceptFailed => "accept_failed",
        TaskRestarted => "task_restarted",
        ConfigurationReloaded => "configuration_reloaded",
        ConfigurationRejected => "configuration_rejected",
    }
}
