//! One gateway for all tests that leave it unchanged, in front of an upstream that records the requests it gets.

use std::sync::LazyLock;

use crate::support::application::Application;
use crate::support::gateway::{self, Home};
use crate::support::upstream::Upstream;

/// The shared gateway and the upstream behind it.
pub(crate) struct Shared {
    pub(crate) home: Home,
    pub(crate) upstream: Upstream,
}

static SHARED: LazyLock<Shared> = LazyLock::new(|| {
    let upstream = Upstream::start();
    let config = format!(
        r#"
[[upstream]]
name = "files"
path = "/mcp"
url = "{url}"
display_name = "Files"
default_scopes = ["files:read"]

[[upstream.scope]]
name = "files:read"
title = "Read files"

[[upstream.scope]]
name = "files:write"
title = "Change files"

[[upstream]]
name = "mail"
path = "/mcp/mail"
url = "{url}"
"#,
        url = upstream.url
    );
    Shared { home: gateway::shared(&config, None), upstream }
});

/// The shared gateway, running.
pub(crate) async fn gateway() -> &'static Shared {
    SHARED.home.wait_until_healthy().await;
    &SHARED
}

/// A public client for the calling test alone.
pub(crate) async fn application(redirect_uri: &str) -> (&'static Shared, Application) {
    let shared = gateway().await;
    (shared, Application::register(&shared.home, redirect_uri).await)
}

/// The redirect URI of a test for which it does not matter.
pub(crate) const CALLBACK: &str = "http://127.0.0.1:49152/callback";
