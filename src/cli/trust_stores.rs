//! The stores where programs on this machine look for CAs, and how a CA is added and removed: the system's store and
//! the NSS databases of browsers.

use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::geteuid;

/// Prefix of our files in the system's store.
const FILE_PREFIX: &str = "mcpgate-development-";
/// Prefix of our entries in NSS databases.
const NICKNAME_PREFIX: &str = "mcpgate development CA ";

/// Folders of the system's store, with the command that activates new files in them, by distribution: Debian and
/// Alpine, Fedora, Arch, openSUSE.
const SYSTEM: [(&str, &[&str]); 4] = [
    ("/usr/local/share/ca-certificates", &["update-ca-certificates"]),
    ("/etc/pki/ca-trust/source/anchors", &["update-ca-trust", "extract"]),
    ("/etc/ca-certificates/trust-source/anchors", &["trust", "extract-compat"]),
    ("/usr/share/pki/trust/anchors", &["update-ca-certificates"]),
];

/// Databases of Chromium and browsers based on it, below the home folder; of the first two it uses the one that exists.
const CHROMIUM: [&str; 3] = [".pki/nssdb", ".local/share/pki/nssdb", "snap/chromium/current/.pki/nssdb"];

/// Folders with the profiles of Firefox, below the home folder.
const FIREFOX: [&str; 4] = [
    ".mozilla/firefox",
    ".config/mozilla/firefox",
    "snap/firefox/common/.mozilla/firefox",
    ".var/app/org.mozilla.firefox/.mozilla/firefox",
];

/// A store where programs look for CAs.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TrustStore {
    /// The system's store: a folder, and the command that reads it.
    System(PathBuf, &'static [&'static str]),
    /// An NSS database, and the browsers that use it.
    Nss(PathBuf, &'static str),
}

/// A change to a trust store.
#[derive(Debug, Clone, Copy)]
pub(super) enum TrustChange<'a> {
    /// Trust this CA, identified by these hexadecimal digits.
    Add(&'a Path, &'a str),
    /// Stop trusting the CA with these digits; without digits, every CA that was ever added.
    Remove(Option<&'a str>),
}

/// Why a store was not changed.
#[derive(Debug, thiserror::Error)]
pub(super) enum TrustError {
    /// The store belongs to root, and root's password cannot be asked for here.
    #[error("only root may change it; run: {0}")]
    NeedsRoot(String),
    /// A required program is missing.
    #[error("{0} is not installed; {1}")]
    Missing(String, &'static str),
    /// A program that was run failed.
    #[error("{0}: {1}")]
    Failed(String, String),
}

/// Finds the stores of this machine and this user.
pub(super) fn find(home: Option<&Path>) -> Vec<TrustStore> {
    let mut found: Vec<_> = SYSTEM
        .iter()
        .map(|(folder, update)| (PathBuf::from(folder), *update))
        .filter(|(folder, _)| folder.is_dir())
        .map(|(folder, update)| TrustStore::System(folder, update))
        .take(1)
        .collect();
    let Some(home) = home else { return found };
    let mut chromium: Vec<_> = CHROMIUM.iter().map(|folder| home.join(folder)).filter(|f| is_database(f)).collect();
    if chromium.is_empty() {
        // Chromium creates it when it first stores a certificate, and uses an existing one.
        chromium.push(home.join(CHROMIUM[0]));
    }
    found.extend(chromium.into_iter().map(|folder| TrustStore::Nss(folder, "Chromium, Chrome, Edge, Brave")));
    let profiles = FIREFOX.iter().filter_map(|folder| fs::read_dir(home.join(folder)).ok()).flatten().flatten();
    let mut profiles: Vec<_> = profiles.map(|entry| entry.path()).filter(|folder| is_database(folder)).collect();
    profiles.sort();
    found.extend(profiles.into_iter().map(|folder| TrustStore::Nss(folder, "Firefox")));
    found
}

fn is_database(folder: &Path) -> bool {
    folder.join("cert9.db").is_file()
}

impl TrustStore {
    /// Returns a description of the store.
    pub(super) fn name(&self) -> String {
        match self {
            Self::System(..) => "the system's store (curl, Git, VS Code, Cursor)".to_owned(),
            Self::Nss(folder, programs) => format!("{programs} ({})", folder.display()),
        }
    }

    /// Changes the store; returns whether there was anything to change.
    ///
    /// # Errors
    /// `TrustError`.
    pub(super) fn change(&self, change: TrustChange<'_>) -> Result<bool, TrustError> {
        match self {
            Self::System(folder, update) => change_system(folder, update, change),
            Self::Nss(folder, _) => change_nss(folder, change),
        }
    }
}

fn change_system(folder: &Path, update: &[&str], change: TrustChange<'_>) -> Result<bool, TrustError> {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let text = |path: &Path| path.display().to_string();
    let mut commands = Vec::new();
    match change {
        TrustChange::Add(ca, digits) => {
            let file = folder.join(format!("{FILE_PREFIX}{digits}.crt"));
            let same = fs::read(&file).ok().zip(fs::read(ca).ok()).is_some_and(|(there, ours)| there == ours);
            if same {
                return Ok(false);
            }
            commands.push(words(&["install", "-m", "644", "--", &text(ca), &text(&file)]));
        }
        TrustChange::Remove(digits) => {
            let prefix = digits.map_or_else(|| FILE_PREFIX.to_owned(), |digits| format!("{FILE_PREFIX}{digits}."));
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
            let files: Vec<_> = ours.map(|entry| text(&entry.path())).collect();
            if files.is_empty() {
                return Ok(false);
            }
            commands.push([words(&["rm", "-f", "--"]), files].concat());
        }
    }
    commands.push(words(update));
    as_root(&commands)?;
    Ok(true)
}

/// Runs commands as root: directly, or through sudo if somebody can type the password.
fn as_root(commands: &[Vec<String>]) -> Result<(), TrustError> {
    let is_root = geteuid().is_root();
    let sudo = ["sudo".to_owned()];
    let commands: Vec<_> =
        commands.iter().map(|c| if is_root { c.clone() } else { [&sudo, &c[..]].concat() }).collect();
    if !is_root && !std::io::stdin().is_terminal() {
        let lines: Vec<_> = commands.iter().map(|words| words.join(" ")).collect();
        return Err(TrustError::NeedsRoot(lines.join(" && ")));
    }
    for words in &commands {
        run(words, Stdio::inherit(), "install ca-certificates")?;
    }
    Ok(())
}

fn change_nss(folder: &Path, change: TrustChange<'_>) -> Result<bool, TrustError> {
    let database = format!("sql:{}", folder.display());
    let certutil = |options: &[&str]| {
        let words = [&["certutil", "-d", &database], options].concat();
        let words: Vec<_> = words.into_iter().map(str::to_owned).collect();
        run(&words, Stdio::null(), "install libnss3-tools (Debian) or nss-tools (Fedora)")
    };
    let ours = |digits: Option<&str>| -> Result<Vec<String>, TrustError> {
        let prefix = format!("{NICKNAME_PREFIX}{}", digits.unwrap_or_default());
        // `certutil -L` prints the nickname, blanks, and three sets of flags.
        let nickname = |line: &str| line.trim_end().rsplit_once(' ').map(|(name, _)| name.trim_end().to_owned());
        let listed = certutil(&["-L"])?;
        Ok(listed.lines().filter(|line| line.starts_with(&prefix)).filter_map(nickname).collect())
    };
    match change {
        TrustChange::Add(ca, digits) => {
            if !is_database(folder) {
                let made = fs::create_dir_all(folder);
                made.map_err(|error| TrustError::Failed(folder.display().to_string(), error.to_string()))?;
                certutil(&["-N", "--empty-password"])?;
            }
            if !ours(Some(digits))?.is_empty() {
                return Ok(false);
            }
            let nickname = format!("{NICKNAME_PREFIX}{digits}");
            certutil(&["-A", "-t", "C,,", "-n", &nickname, "-i", &ca.display().to_string()])?;
            Ok(true)
        }
        TrustChange::Remove(digits) => {
            if !is_database(folder) {
                return Ok(false);
            }
            let names = ours(digits)?;
            for name in &names {
                certutil(&["-D", "-n", name])?;
            }
            Ok(!names.is_empty())
        }
    }
}

/// Runs a command; returns what it printed.
fn run(words: &[String], input: Stdio, remedy: &'static str) -> Result<String, TrustError> {
    let Some((program, arguments)) = words.split_first() else { return Ok(String::new()) };
    let output = Command::new(program).args(arguments).stdin(input).output().map_err(|error| {
        if error.kind() == std::io::ErrorKind::NotFound {
            TrustError::Missing(program.clone(), remedy)
        } else {
            TrustError::Failed(program.clone(), error.to_string())
        }
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it failed without a message");
        return Err(TrustError::Failed(words.join(" "), last.to_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_databases_of_browsers_are_found_where_they_keep_them() {
        let home = tempfile::tempdir().unwrap();
        let nss = |home: &Path| {
            let found = find(Some(home)).into_iter().filter_map(|store| match store {
                TrustStore::Nss(folder, _) => Some(folder.strip_prefix(home).unwrap().to_owned()),
                TrustStore::System(..) => None,
            });
            found.collect::<Vec<_>>()
        };
        assert_eq!(nss(home.path()), [Path::new(".pki/nssdb")], "made when it is not there");
        for folder in [".local/share/pki/nssdb", ".mozilla/firefox/a.default", ".mozilla/firefox/b.work"] {
            fs::create_dir_all(home.path().join(folder)).unwrap();
            fs::write(home.path().join(folder).join("cert9.db"), "").unwrap();
        }
        fs::create_dir_all(home.path().join(".mozilla/firefox/Crash Reports")).unwrap();
        let wanted = [".local/share/pki/nssdb", ".mozilla/firefox/a.default", ".mozilla/firefox/b.work"];
        assert_eq!(nss(home.path()), wanted.map(Path::new));
    }

    #[test]
    fn a_ca_goes_into_a_database_once_and_out_again() {
        let home = tempfile::tempdir().unwrap();
        let ca = home.path().join("ca.pem");
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        fs::write(&ca, params.self_signed(&key).unwrap().pem()).unwrap();
        let store = TrustStore::Nss(home.path().join("nssdb"), "tests");
        assert!(!store.change(TrustChange::Remove(None)).unwrap(), "there is no database yet");
        assert!(store.change(TrustChange::Add(&ca, "0a1b2c3d")).unwrap());
        assert!(!store.change(TrustChange::Add(&ca, "0a1b2c3d")).unwrap());
        assert!(!store.change(TrustChange::Remove(Some("ffffffff"))).unwrap(), "that is another CA");
        assert!(store.change(TrustChange::Remove(Some("0a1b2c3d"))).unwrap());
        assert!(!store.change(TrustChange::Remove(None)).unwrap());
        assert!(store.change(TrustChange::Add(&ca, "0a1b2c3d")).unwrap());
        assert!(store.change(TrustChange::Remove(None)).unwrap());
    }
}
