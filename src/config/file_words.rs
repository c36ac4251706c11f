//! The values of gateway.toml that are one of several words.

use super::settings::{self, UpstreamKind};
use super::value::words;

words! {
    /// Where TLS is terminated.
    TlsMode {
        /// We, with a certificate from files.
        Files = "files",
        /// We, with a certificate of the development CA.
        Development = "development",
        /// A load balancer in front.
        Off = "off",
    }
}

words! {
    /// For what browsers are told to use https alone.
    Hsts {
        /// Only the host itself.
        Host = "host",
        /// The host and all below it.
        Subdomains = "subdomains",
        /// For no host.
        Off = "off",
    }
}

words! {
    /// What speaks behind a path.
    Kind {
        /// MCP over Streamable HTTP.
        Mcp = "mcp",
        /// Any HTTP service.
        Http = "http",
    }
}

words! {
    /// Who becomes a client without the operator.
    RegistrationMode {
        /// Anybody becomes a client.
        Open = "open",
        /// Whoever's codes go to a listed host.
        Hosts = "hosts",
        /// Whom the operator approves.
        Approval = "approval",
        /// Nobody becomes a client any more.
        Closed = "closed",
    }
}

words! {
    /// How a client with a secret authenticates.
    SecretMethod {
        /// In the header.
        Basic = "client_secret_basic",
        /// In the body.
        Post = "client_secret_post",
    }
}

words! {
    /// The scopes that need not be written.
    ScopePreset {
        /// Five scopes for the operations of MCP.
        Mcp = "mcp",
        /// One scope for what only reads.
        ReadOnly = "read_only",
        /// One scope for everything.
        Execute = "execute",
    }
}

words! {
    /// How it is learnt what an upstream offers.
    CatalogueMode {
        /// The gateway lists it too.
        Active = "active",
        /// Only from the answers to clients.
        Passive = "passive",
    }
}

words! {
    /// What is done about tools that are not as they were pinned.
    PinMode {
        /// Nothing is pinned.
        Off = "off",
        /// They are reported.
        Warn = "warn",
        /// They are reported, and nobody gets them.
        Hold = "hold",
    }
}

words! {
    /// What a static answer is.
    ContentKind {
        /// Text in UTF-8.
        Text = "text",
        /// A JSON document.
        Json = "json",
        /// Any other bytes.
        Octets = "octets",
    }
}

words! {
    /// How log lines look.
    LogFormat {
        /// Lines for people.
        Text = "text",
        /// Lines for machines.
        Json = "json",
    }
}

impl From<PinMode> for settings::PinMode {
    fn from(mode: PinMode) -> Self {
        match mode {
            PinMode::Off => Self::Off,
            PinMode::Warn => Self::Warn,
            PinMode::Hold => Self::Hold,
        }
    }
}

impl From<Kind> for UpstreamKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Mcp => Self::Mcp,
            Kind::Http => Self::Http,
        }
    }
}
