//! Parser of urlencoded queries and bodies: repeated names detected, sizes bounded, empty values absent (OAuth 2.1
//! 3.1).

/// The most parameters: no legitimate OAuth request has more than some 20, and the bound keeps the search for repeats
/// cheap.
const MAX_FIELDS: usize = 64;

/// The most fields from one of our pages: a consent page has one for each requested scope and each listed tool.
const MAX_PAGE_FIELDS: usize = 1024;

/// The parameters of a request. Only `resource` may be used more than once.
#[derive(Clone, Default)]
pub struct Form {
    pairs: Vec<(String, String)>,
    repeated: Vec<String>,
}

/// Why a form could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FormError {
    /// More than 64 parameters, or 1024 from one of our pages.
    #[error("the request has too many parameters")]
    TooManyFields,
    /// Not valid percent-encoding or not UTF-8.
    #[error("the request is not valid application/x-www-form-urlencoded")]
    Malformed,
}

impl Form {
    /// Reads a query string or body. Repeated names are recorded but not refused here: the caller decides (AZ-14,
    /// AZ-15).
    ///
    /// # Errors
    /// `FormError`.
    pub fn parse(bytes: &[u8]) -> Result<Self, FormError> {
        Self::read(bytes, MAX_FIELDS)
    }
    /// Reads the body of one of our own pages, which has a field for each scope, group and tool that its user ticked.
    ///
    /// # Errors
    /// `FormError`.
    pub fn parse_page(bytes: &[u8]) -> Result<Self, FormError> {
        Self::read(bytes, MAX_PAGE_FIELDS)
    }
    fn read(bytes: &[u8], most: usize) -> Result<Self, FormError> {
        let mut form = Self::default();
        for field in bytes.split(|b| *b == b'&').filter(|field| !field.is_empty()) {
            if form.pairs.len() == most {
                return Err(FormError::TooManyFields);
            }
            let mut halves = field.splitn(2, |b| *b == b'=');
            let name = decode(halves.next().unwrap_or_default())?;
            let value = decode(halves.next().unwrap_or_default())?;
            if form.pairs.iter().any(|(known, _)| *known == name) && !form.is_repeated(&name) {
                form.repeated.push(name.clone());
            }
            form.pairs.push((name, value));
        }
        Ok(form)
    }
    /// Returns the value of `name`; empty counts as absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }
    /// Returns every value of `name` (for `resource`).
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs.iter().filter(move |(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }
    /// Returns whether `name` was sent more than once.
    #[must_use]
    pub fn is_repeated(&self, name: &str) -> bool {
        self.repeated.iter().any(|n| n == name)
    }
    /// Returns the first repeated name other than `resource`.
    #[must_use]
    pub fn first_repeated(&self) -> Option<&str> {
        self.first_repeated_but(&["resource"])
    }
    /// Returns the first repeated name that is not among `names`.
    #[must_use]
    pub fn first_repeated_but(&self, names: &[&str]) -> Option<&str> {
        self.repeated.iter().map(String::as_str).find(|name| !names.contains(name))
    }
}

/// Decodes one name or value: `+` is a space, `%` needs two hexadecimal digits, the result is UTF-8.
pub(super) fn decode(text: &[u8]) -> Result<String, FormError> {
    let mut bytes = text.iter().copied();
    let mut decoded = Vec::with_capacity(text.len());
    let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16)).and_then(|d| u8::try_from(d).ok());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (digit(bytes.next()), digit(bytes.next()));
                high.zip(low).map(|(high, low)| high << 4 | low).ok_or(FormError::Malformed)?
            }
            other => other,
        });
    }
    String::from_utf8(decoded).map_err(|_| FormError::Malformed)
}

/// Percent-encodes a value for a query; a space becomes `%20`, which all decoders read alike.
pub(super) fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for half in [byte >> 4, byte & 15] {
                out.extend(char::from_digit(u32::from(half), 16).map(|digit| digit.to_ascii_uppercase()));
            }
        }
    }
}

impl std::fmt::Debug for Form {
    /// Prints only the names: values may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.pairs.iter().map(|(n, _)| n)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_values_and_escapes() {
        let form = Form::parse(b"a=1&b=x+y%2Bz&c=&d&&%65=%C3%A9").unwrap();
        assert_eq!(form.get("a"), Some("1"));
        assert_eq!(form.get("b"), Some("x y+z"));
        assert_eq!(form.get("c"), None, "an empty value counts as absent");
        assert_eq!(form.get("d"), None);
        assert_eq!(form.get("e"), Some("\u{e9}"));
        assert_eq!(form.first_repeated(), None);
    }

    #[test]
    fn az_14_az_15_repeats_are_reported_even_when_equal_or_empty() {
        let form = Form::parse(b"a=1&a=1&resource=x&resource=y&b=&%62=2").unwrap();
        assert!(form.is_repeated("a") && form.is_repeated("b") && form.is_repeated("resource"));
        assert_eq!(form.first_repeated(), Some("a"));
        assert_eq!(form.all("resource").collect::<Vec<_>>(), ["x", "y"]);
        assert_eq!(Form::parse(b"resource=x&resource=y").unwrap().first_repeated(), None);
    }

    #[test]
    fn refuses_bad_escapes_bad_utf_8_and_too_many_fields() {
        for bad in ["a=%", "a=%4", "a=%zz", "%x=1", "a=%ff", "a=%ed%a0%80"] {
            assert_eq!(Form::parse(bad.as_bytes()).unwrap_err(), FormError::Malformed, "{bad}");
        }
        let every_scope_ticked = "scope=a&".repeat(1024);
        assert!(Form::parse_page(every_scope_ticked.as_bytes()).is_ok());
        let too_many = every_scope_ticked + "scope=a";
        assert_eq!(Form::parse_page(too_many.as_bytes()).unwrap_err(), FormError::TooManyFields);
        assert!(Form::parse("a=1&".repeat(64).as_bytes()).is_ok());
        assert_eq!(Form::parse("a=1&".repeat(65).as_bytes()).unwrap_err(), FormError::TooManyFields);
    }

    #[test]
    fn debug_prints_no_value() {
        assert_eq!(format!("{:?}", Form::parse(b"code=s3cret").unwrap()), "[\"code\"]");
    }

    #[test]
    fn encode_is_undone_by_decode() {
        let mut out = String::new();
        encode("a b+c%\u{e9}\r\n&=", &mut out);
        assert_eq!(out, "a%20b%2Bc%25%C3%A9%0D%0A%26%3D");
        assert_eq!(decode(out.as_bytes()).unwrap(), "a b+c%\u{e9}\r\n&=");
    }
}
