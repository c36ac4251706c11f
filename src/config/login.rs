//! The rules for signing in: lifetimes, password hashing, logo and links of the pages.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use url::Url;

use super::check::Check;
use super::file::File;
use super::file_trust;
use super::policy::{LoginPolicy, Logo, LogoKind, PageLinks};
use super::problem::Setting;
use crate::files;

/// Maximum size of a logo in bytes: every new visitor downloads it.
const LARGEST_LOGO: u64 = 64 * 1024;
/// Maximum width and height of a logo in pixels.
const MOST_PIXELS: u32 = 2048;

/// Builds the login policy from the file.
pub(super) fn policy(check: &Check<'_>, file: &File) -> LoginPolicy {
    let login = &file.login;
    LoginPolicy {
        session_idle: login.session_idle.value,
        session_absolute: login.session_absolute.value,
        interaction: login.interaction.value,
        setup_link: login.setup_link.value,
        reset_link: login.reset_link.value,
        min_password: login.min_password.value,
        hash_slots: login.hash_slots.value,
        argon2_memory_kib: u32::try_from(login.argon2_memory.value.0 / 1024).unwrap_or(u32::MAX),
        argon2_passes: login.argon2_passes.value,
        product_name: login.product_name.value.clone(),
        logo: login.logo.as_ref().and_then(|setting| logo(check, setting)),
        links: PageLinks {
            support: page(check, login.support_url.as_ref()),
            privacy: page(check, login.privacy_url.as_ref()),
            terms: page(check, login.terms_url.as_ref()),
        },
    }
}

/// Reads a logo. Its format is recognised by its content, not by its name.
fn logo(check: &Check<'_>, setting: &Setting<PathBuf>) -> Option<Logo> {
    let file = check.base.join(&setting.value);
    let remedy = "name a PNG or SVG file of at most 64 KiB and 2048 pixels on each side";
    if let Err(why) = file_trust::check(&file) {
        check.report.wrong(setting, format!("the file cannot be used ({why})"), remedy);
        return None;
    }
    let content = match files::read(&file, LARGEST_LOGO) {
        Ok(content) => content,
        Err(why) => {
            check.unreadable(setting, &why, remedy);
            return None;
        }
    };
    let Some(kind) = kind(&content) else {
        check.report.wrong(setting, "this is neither a PNG nor an SVG image, or has too many pixels", remedy);
        return None;
    };
    let tag = URL_SAFE_NO_PAD.encode(Sha256::digest(&content)).chars().take(16).collect();
    Some(Logo { file, content: content.into(), kind, tag })
}

fn kind(content: &[u8]) -> Option<LogoKind> {
    // PNG 5.2 and 11.2.1: the signature, then IHDR with width and height.
    if let Some(rest) = content.strip_prefix(b"\x89PNG\r\n\x1a\n") {
        let side = |at: usize| Some(u32::from_be_bytes(rest.get(at..at + 4)?.try_into().ok()?));
        let is_good = |side: u32| (1..=MOST_PIXELS).contains(&side);
        let is_header = rest.get(4..8) == Some(b"IHDR");
        return (is_header && is_good(side(8)?) && is_good(side(12)?)).then_some(LogoKind::Png);
    }
    // Comments and the XML declaration may precede the first element; a DOCTYPE, which can define entities, may not.
    let mut text = std::str::from_utf8(content).ok()?.trim_start_matches('\u{feff}').trim_start();
    loop {
        text = match (text.strip_prefix("<?"), text.strip_prefix("<!--")) {
            (Some(declaration), _) => declaration.split_once("?>")?.1.trim_start(),
            (None, Some(comment)) => comment.split_once("-->")?.1.trim_start(),
            (None, None) => break,
        };
    }
    let name = text.strip_prefix("<svg")?;
    name.starts_with(|c: char| c.is_ascii_whitespace() || c == '>').then_some(LogoKind::Svg)
}

/// Reads the URL of one of the operator's pages.
fn page(check: &Check<'_>, setting: Option<&Setting<String>>) -> Option<String> {
    let setting = setting?;
    let fault = match Url::parse(&setting.value) {
        Err(_) => "this is not a URL",
        Ok(url) if url.scheme() != "https" => "this is not an https URL",
        Ok(url) if !url.username().is_empty() || url.password().is_some() => "a URL must not contain credentials",
        Ok(url) => return Some(url.to_string()),
    };
    check.report.wrong(setting, fault, "write a URL such as \"https://example.com/help\"");
    None
}
