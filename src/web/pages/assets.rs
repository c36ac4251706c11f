//! The files below /assets/: the style sheet and the logo, under names that change with their content, so that browsers
//! may cache them for ever.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use sha2::{Digest, Sha256};

use crate::config::{Config, LogoKind};
use crate::web::{Body, Response, reply};

/// The path that all assets are below.
pub const ASSETS: &str = "/assets/";

/// A file that is compiled into the program.
pub(super) struct Asset {
    /// Its path, which contains the beginning of its hash.
    pub(super) path: String,
    content_type: &'static str,
    content: &'static [u8],
}

/// The style sheet of every page.
pub(super) static STYLE: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("style", "css", "text/css; charset=utf-8", include_bytes!("style.css")));

/// The logo on every page and in the browser's tab.
pub(super) static LOGO: LazyLock<Asset> =
    LazyLock::new(|| Asset::new("logo", "svg", "image/svg+xml", include_bytes!("logo.svg")));

impl Asset {
    fn new(name: &str, extension: &str, content_type: &'static str, content: &'static [u8]) -> Self {
        let hash = URL_SAFE_NO_PAD.encode(Sha256::digest(content));
        let path = format!("{ASSETS}{name}-{}.{extension}", hash.get(..16).unwrap_or_default());
        Self { path, content_type, content }
    }
}

/// Content-Security-Policy of an operator's logo, which is not our own drawing: opened by itself, it must not run or
/// fetch anything.
const DRAWING: HeaderValue = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox");

/// Returns path and media type of the logo on the pages.
pub(super) fn logo(config: &Config) -> (String, &'static str) {
    match &config.login.logo {
        None => (LOGO.path.clone(), LOGO.content_type),
        Some(logo) => {
            let (extension, content_type) = match logo.kind {
                LogoKind::Png => ("png", "image/png"),
                LogoKind::Svg => ("svg", "image/svg+xml"),
            };
            (format!("{ASSETS}own-{}.{extension}", logo.tag), content_type)
        }
    }
}

/// Answers with the asset at exactly this path, if there is one.
#[must_use]
pub fn asset(path: &str, config: &Config) -> Option<Response> {
    let own = config.login.logo.as_ref().filter(|_| logo(config).0 == path);
    let built_in = [&*STYLE, &*LOGO].into_iter().find(|asset| asset.path == path);
    let (content, content_type) = match (own, built_in) {
        (Some(own), _) => (own.content.clone(), logo(config).1),
        (None, Some(asset)) => (Bytes::from_static(asset.content), asset.content_type),
        (None, None) => return None,
    };
    let mut response = reply::empty(StatusCode::OK);
    *response.body_mut() = Body::from(content);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if own.is_some() {
        headers.insert(CONTENT_SECURITY_POLICY, DRAWING);
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    Some(response)
}
