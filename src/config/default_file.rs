//! Which configuration file is used when the command line names none.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::secret_source;

/// The environment variable that names a configuration file.
pub const FILE_VARIABLE: &str = "MCPGATE_CONFIG";

/// The configuration file of the machine's own server.
pub const SYSTEM_FILE: &str = "/etc/mcpgate/gateway.toml";

/// Returns the file and the folders of root certificates named in the environment, as OpenSSL reads them
/// (`SSL_CERT_FILE`, and `SSL_CERT_DIR` separated by colons).
#[must_use]
pub fn roots_of_environment() -> (Option<OsString>, Option<OsString>) {
    let named = |name| secret_source::environment(name).filter(|value| !value.is_empty());
    (named("SSL_CERT_FILE"), named("SSL_CERT_DIR"))
}

/// Returns the file that the environment names, if any.
#[must_use]
pub fn file_of_environment() -> Option<PathBuf> {
    secret_source::environment(FILE_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from)
}

/// Returns the configuration file of the machine's own server, if there is one. A file that this user may not read
/// counts too: another store must not be used instead.
#[must_use]
pub fn file_of_system() -> Option<PathBuf> {
    let file = Path::new(SYSTEM_FILE);
    (!matches!(file.try_exists(), Ok(false))).then(|| file.to_owned())
}
