//! Private-use URI schemes of redirect URIs: which schemes can belong to an application, and which are reserved.

/// Schemes that IANA lists as permanent (registry "Uniform Resource Identifier (URI) Schemes",
/// `iana.org/assignments/uri-schemes`, as of 2022-11-18; `swid` and `swidpath` by RFC 9393 of June 2023). Each belongs
/// to a protocol and not to an application. Provisional ones (`vscode`) belong to applications.
const PERMANENT: &str = "\
    aaa aaas about acap acct cap cid coap coap+tcp coap+ws coaps coaps+tcp coaps+ws crid data dav dict dns dtn \
    example file ftp geo go gopher h323 http https iax icap im imap info ipn ipp ipps iris iris.beep iris.lwz \
    iris.xpc iris.xpcs jabber ldap leaptofrogans mailto mid msrp msrps mtqp mupdate news nfs ni nih nntp \
    opaquelocktoken pkcs11 pop pres reload rtsp rtsps rtspu service session shttp sieve sip sips sms snmp \
    soap.beep soap.beeps stun stuns swid swidpath tag tel telnet tftp thismessage tip tn3270 turn turns tv urn \
    vemmi vnc ws wss xcon xcon-userid xmlrpc.beep xmlrpc.beeps xmpp z39.50r z39.50s";

/// Schemes that a browser or an operating system handles itself, instead of passing the URI to an application that
/// registered them.
const OF_THE_SYSTEM: &str = "\
    afp android-app applewebdata blob brave callto cifs content devtools edge facetime facetime-audio feed \
    filesystem firefox fish googlechrome googlechromes hcp intent isolated-app its jar javascript livescript \
    mhtml mk mocha opera rdp res resource sftp shell smb ssh vbscript view-source vivaldi wyciwyg";

/// Prefixes of such schemes.
const FAMILIES: &[&str] =
    &["chrome", "itms", "microsoft-edge", "microsoft.", "moz-", "ms-", "safari-", "search", "webkit-", "x-apple"];

/// Returns whether a scheme (in lower case) can never belong to an application. `https`, and `http` to loopback, are
/// handled elsewhere.
pub(super) fn is_reserved(scheme: &str) -> bool {
    // A one-letter scheme is a drive on Windows.
    scheme.len() == 1
        || [PERMANENT, OF_THE_SYSTEM].iter().any(|table| table.split(' ').any(|reserved| reserved == scheme))
        || FAMILIES.iter().any(|family| scheme.starts_with(family))
}

/// Returns whether a text is a scheme in lower case (RFC 3986 3.1).
#[must_use]
pub fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'+' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn az_09_az_10_applications_have_schemes_and_protocols_and_systems_have_theirs() {
        for own in "vscode vscode-insiders cursor windsurf warp zed myapp com.example.app web+x".split(' ') {
            assert!(!is_reserved(own), "{own}");
        }
        let browsers = "javascript vbscript about data blob file view-source wss chrome-extension moz-extension";
        let systems = "ms-settings ms-word search-ms microsoft-edge smb intent c mailto tel iris.beep";
        for other in browsers.split(' ').chain(systems.split(' ')) {
            assert!(is_reserved(other), "{other}");
        }
    }

    #[test]
    fn the_tables_are_sorted_schemes() {
        for table in [PERMANENT, OF_THE_SYSTEM] {
            assert!(table.split(' ').is_sorted_by(|a, b| a < b), "{table}");
            assert!(table.split(' ').all(is_scheme), "{table}");
        }
    }
}
