//! Passwords: which are acceptable, how they are hashed (argon2id) and compared. Hashing is slow on purpose: callers
//! run `hash` and `verify` through `off_thread`, few at a time (`LoginPolicy::hash_slots`).

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::password_hash::{Error as PhcError, PasswordHasher, PasswordVerifier};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Params, Version};
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::config::LoginPolicy;
use crate::issuer::PasswordRefused;

/// Maximum length of a password in bytes: enough for any passphrase, and a bound on the cost of an attempt.
const MAX_BYTES: usize = 1024;

/// How many guesses it must take at least to find a password. At the tenth of a second that argon2id takes by default,
/// that is thirty core years for a thief of the store, and out of reach through the login page.
const MIN_GUESSES: u64 = 10_000_000_000;

/// How many characters the estimate looks at: it tries all readings of digits and signs as letters, so a hundred of
/// them can take seconds. Further characters only make a password stronger.
const JUDGED_CHARACTERS: usize = 32;

/// The passphrase from a famous cartoon, which is missing from the older lists of leaked passwords that the estimate
/// uses.
const FAMOUS: [&str; 2] = ["correct horse battery staple", "correcthorsebatterystaple"];

/// Length of argon2's output in bytes (RFC 9106 4 recommends 256 bits).
const OUTPUT: usize = 32;

/// The password could not be hashed: a fault of the machine (memory), never of the user.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HashError {
    /// An error of argon2 itself.
    #[error("argon2 failed: {0}")]
    Argon2(#[from] PhcError),
    /// The thread panicked, or the runtime is being shut down.
    #[error("it was aborted: {0}")]
    BrokenOff(#[from] tokio::task::JoinError),
}

/// Runs slow work on a password off the runtime's threads.
///
/// # Errors
/// The error of the work, or `BrokenOff`.
pub(crate) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
) -> Result<T, HashError> {
    tokio::task::spawn_blocking(work).await?
}

/// The outcome of comparing a password with a stored hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verified {
    /// It is the password.
    Yes,
    /// The password is right, but hashed with other parameters than the policy's: hash it again.
    NeedsRehash,
    /// The password is wrong.
    No,
}

/// Hashes a password into a PHC string.
///
/// # Errors
/// `HashError` when argon2 cannot have the memory.
pub(crate) fn hash(password: &str, policy: &LoginPolicy, salt: [u8; 16]) -> Result<String, HashError> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params(policy)?);
    let hashed: PasswordHash = argon2.hash_password_with_salt(normal(password).as_bytes(), &salt)?;
    Ok(hashed.to_string())
}

/// Hashes a new password for the account `name`, if it is acceptable.
///
/// # Errors
/// `HashError` when argon2 cannot have the memory.
pub(crate) fn hash_new(
    password: &str,
    name: &str,
    policy: &LoginPolicy,
    salt: [u8; 16],
) -> Result<Result<String, PasswordRefused>, HashError> {
    match acceptable(password, name, policy) {
        Ok(()) => hash(password, policy, salt).map(Ok),
        Err(refused) => Ok(Err(refused)),
    }
}

/// Compares a password with a stored PHC string; takes as long as the string's parameters demand.
pub(crate) fn verify(phc: &str, password: &str, policy: &LoginPolicy) -> Verified {
    let Ok(stored) = PasswordHash::new(phc) else {
        tracing::error!("a stored password hash is damaged: the account cannot sign in until its password is set");
        return Verified::No;
    };
    match Argon2::default().verify_password(normal(password).as_bytes(), &stored) {
        Ok(()) if is_current(&stored, policy) => Verified::Yes,
        Ok(()) => Verified::NeedsRehash,
        Err(PhcError::PasswordInvalid) => Verified::No,
        Err(fault) => {
            tracing::error!(%fault, "a password could not be checked");
            Verified::No
        }
    }
}

/// Returns a hash that no password matches, with the policy's parameters. Verifying against it takes as long as against
/// a real one, so that an unknown name looks like a wrong password (LI-04).
///
/// # Errors
/// `HashError` when the policy's parameters are out of argon2's range.
pub(crate) fn dummy_phc(policy: &LoginPolicy) -> Result<String, HashError> {
    let dummy = PasswordHash {
        algorithm: ARGON2ID_IDENT,
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params(policy)?)?,
        salt: Some(Salt::new(&[0; 16]).map_err(PhcError::from)?),
        hash: Some(Output::new(&[0; OUTPUT]).map_err(PhcError::from)?),
    };
    Ok(dummy.to_string())
}

/// Checks a new password for the account `name`: its length, and how many guesses it takes when leaked passwords,
/// words, names, dates and patterns are tried first, in all spellings (NIST SP 800-63B 5.1.1.2 asks for such lists, and
/// no composition rules). Slow, like `hash`.
///
/// # Errors
/// `PasswordRefused` says why.
pub(crate) fn acceptable(password: &str, name: &str, policy: &LoginPolicy) -> Result<(), PasswordRefused> {
    let password = normal(password);
    if password.chars().count() < policy.min_password {
        return Err(PasswordRefused::TooShort(policy.min_password));
    }
    if password.len() > MAX_BYTES {
        return Err(PasswordRefused::TooLong);
    }
    let judged: Zeroizing<String> = Zeroizing::new(password.chars().take(JUDGED_CHARACTERS).collect());
    let product = policy.product_name.as_str();
    let known: Vec<&str> = [name, product].into_iter().chain(product.split_whitespace()).chain(FAMOUS).collect();
    if zxcvbn::zxcvbn(&judged, &known).guesses() < MIN_GUESSES { Err(PasswordRefused::TooCommon) } else { Ok(()) }
}

/// Normalizes a password (RFC 8265 4.2), so that the same characters typed on another machine are the same password.
fn normal(password: &str) -> Zeroizing<String> {
    Zeroizing::new(password.nfc().collect())
}

fn params(policy: &LoginPolicy) -> Result<Params, HashError> {
    // One lane: a second one would take another core away from other requests.
    Params::new(policy.argon2_memory_kib, policy.argon2_passes, 1, Some(OUTPUT))
        .map_err(|e| HashError::Argon2(e.into()))
}

fn is_current(stored: &PasswordHash, policy: &LoginPolicy) -> bool {
    let found = Params::try_from(stored).ok();
    stored.algorithm == ARGON2ID_IDENT
        && params(policy).ok().zip(found).is_some_and(|(wished, found)| {
            (found.m_cost(), found.t_cost(), found.p_cost()) == (wished.m_cost(), wished.t_cost(), wished.p_cost())
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PageLinks;
    use crate::oauth::Lifetime;

    fn policy() -> LoginPolicy {
        LoginPolicy {
            session_idle: Lifetime::from_secs(3600),
            session_absolute: Lifetime::from_secs(86_400),
            interaction: Lifetime::from_secs(600),
            setup_link: Lifetime::from_secs(3600),
            reset_link: Lifetime::from_secs(600),
            min_password: 12,
            hash_slots: 2,
            argon2_memory_kib: 64,
            argon2_passes: 1,
            product_name: "Example Portal".to_owned(),
            logo: None,
            links: PageLinks::default(),
        }
    }

    #[test]
    fn a_hash_accepts_its_password_only() {
        let phc = hash("glazed-teapot-41", &policy(), [7; 16]).unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{phc}");
        assert_eq!(verify(&phc, "glazed-teapot-41", &policy()), Verified::Yes);
        assert_eq!(verify(&phc, "glazed-teapot-42", &policy()), Verified::No);
        assert_eq!(verify("not a hash", "glazed-teapot-41", &policy()), Verified::No);
    }

    #[test]
    fn other_parameters_ask_for_a_new_hash() {
        let phc = hash("glazed-teapot-41", &policy(), [7; 16]).unwrap();
        let stronger = LoginPolicy { argon2_passes: 2, ..policy() };
        assert_eq!(verify(&phc, "glazed-teapot-41", &stronger), Verified::NeedsRehash);
        assert_eq!(verify(&phc, "glazed-teapot-42", &stronger), Verified::No);
    }

    #[test]
    fn composed_and_decomposed_letters_are_the_same_password() {
        let phc = hash("caf\u{e9}-on-the-quay", &policy(), [7; 16]).unwrap();
        assert_eq!(verify(&phc, "cafe\u{301}-on-the-quay", &policy()), Verified::Yes);
    }

    #[test]
    fn li_04_the_dummy_costs_the_same_and_accepts_nothing() {
        let dummy = dummy_phc(&policy()).unwrap();
        let real = hash("glazed-teapot-41", &policy(), [7; 16]).unwrap();
        let head = |phc: &str| phc.split('$').take(4).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(head(&dummy), head(&real));
        for guess in ["", "\0", "glazed-teapot-41"] {
            assert_eq!(verify(&dummy, guess, &policy()), Verified::No);
        }
    }

    #[test]
    fn li_07_guessable_passwords_are_refused_with_the_reason() {
        assert_eq!(acceptable("Password1!", "ada", &policy()), Err(PasswordRefused::TooShort(12)));
        assert_eq!(acceptable(&"long-".repeat(205), "ada", &policy()), Err(PasswordRefused::TooLong));
        for guess in [
            "Password1234",
            "passwordpassword",
            "P@ssw0rd!2024",
            "qwertyuiop12",
            "123456789012",
            "aaaaaaaaaaaa",
            "abcdefghijkl",
            "Welcome123456",
            "correct horse battery staple",
            "CorrectHorseBatteryStaple",
            "Example Portal",
            "example portal 1",
            "adalovelace12",
            "AdaLovelace2026",
            "1qaz2wsx3edc",
            "LetMeInPlease",
            "iloveyou2024",
            "zxcvbnm,./12",
            "dragonmonkey1",
            "Summer2026!!",
            "Winter2025!!!!",
            "manchesterunited",
            "jessicasimpson",
            "christopher1985",
            "unbelievable12",
            "slipknot666666",
            "bismillah12345",
            "minecraft12345",
            "metallica1981x",
            "tinkerbell2008",
        ] {
            assert_eq!(acceptable(guess, "adalovelace", &policy()), Err(PasswordRefused::TooCommon), "{guess}");
        }
    }

    #[test]
    fn judging_takes_a_bounded_time() {
        // Characters that can each stand for several letters: the more of them, the more readings.
        for hostile in ["4@8({[<3 69&#!1/|]0$5+7%2".repeat(40), "a".repeat(1024), "ab".repeat(512)] {
            let start = std::time::Instant::now();
            let _ = acceptable(&hostile, "ada", &policy());
            assert!(start.elapsed().as_secs() < 5, "{hostile}");
        }
    }

    #[test]
    fn ordinary_passphrases_are_accepted() {
        for good in [
            "glazed-teapot-41",
            "kV7#tq0wLm2z",
            "Der Mond ist aufgegangen",
            "湖の上に浮かぶ小さな船の灯り",
            "wxbe2jf8hmrq",
        ] {
            assert_eq!(acceptable(good, "ada", &policy()), Ok(()), "{good}");
        }
    }
}
