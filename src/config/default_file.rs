//! Which configuration file is meant when the command line names none.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::secret_source;

/// The variable that names one.
pub const FILE_VARIABLE: &str = "MCPGATE_CONFIG";

/// Where the configuration of the machine's own server is.
pub const SYSTEM_FILE: &str = "/etc/mcpgate/gateway.toml";

/// Returns the file and the folders of root certificates that the environment names, as programs that use OpenSSL take them
/// (`SSL_CERT_FILE`, and `SSL_CERT_DIR` with colons between the names).
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

/// Returns the configuration file of the machine's own server, if there is one. One that this user may not see counts:
/// another store must not be taken in its place.
#[must_use]
pub fn file_of_system() -> Option<PathBuf> {
    let file = Path::new(SYSTEM_FILE);
    (!matches!(file.try_exists(), Ok(false))).then(|| file.to_owned())
}
