//! `Check`: shared context and helpers of the configuration's rules.

use std::path::PathBuf;

use zeroize::Zeroizing;

use super::Overrides;
use super::problem::{Report, Setting};
use crate::files::{self, ReadError};

/// The context of all rules.
pub(super) struct Check<'a> {
    pub(super) report: &'a Report,
    pub(super) base: PathBuf,
    pub(super) overrides: &'a Overrides,
}

impl Check<'_> {
    /// Resolves a PEM file relative to the configuration's folder; returns its path, and its permission bits if it can
    /// be read.
    pub(super) fn readable(&self, setting: &Setting<PathBuf>) -> (PathBuf, Option<u32>) {
        let path = self.base.join(&setting.value);
        let read = files::read_with_mode(&path, files::LARGEST_PEM);
        let mode = read.map(|(content, mode)| (Zeroizing::new(content), mode).1);
        let mode = mode.map_err(|why| self.unreadable(setting, &why, "name a readable PEM file"));
        (path, mode.ok())
    }

    /// Resolves and checks a file of PEM certificates.
    pub(super) fn certificates(&self, setting: &Setting<PathBuf>) -> PathBuf {
        use rustls_pki_types::{CertificateDer, pem::PemObject};
        let path = self.base.join(&setting.value);
        let remedy = "name a PEM file with a CA certificate";
        match files::read(&path, files::LARGEST_PEM) {
            Err(why) => self.unreadable(setting, &why, remedy),
            Ok(pem) if matches!(CertificateDer::pem_slice_iter(&pem).next(), Some(Ok(_))) => {}
            Ok(_) => self.report.wrong(setting, "there is no certificate in it", remedy),
        }
        path
    }

    pub(super) fn unreadable(&self, setting: &Setting<PathBuf>, why: &ReadError, remedy: &str) {
        let why = if let ReadError::Io(error) = why { error.kind().to_string() } else { why.to_string() };
        self.report.wrong(setting, format!("the file cannot be read ({why})"), remedy);
    }
}

/// Returns whether a text can be a name in commands, metrics and logs.
pub(super) fn is_label(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}
