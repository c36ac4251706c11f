//! `AccessLine`: what the log says of a request to an upstream. There is one for each request, so it takes a short way
//! to the sink: the same bytes as by tracing, for a fraction of the instructions.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use super::event::Outcome;
use super::line_writer::{LineWriter, is_plain, micros};
use super::logging::{self, ACCESS};

/// A request to an upstream whose answer has ended.
#[derive(Debug)]
pub struct AccessLine<'a> {
    /// Its name in the configuration: letters, digits and `-`.
    pub upstream: &'a str,
    /// The method of HTTP: a token (RFC 9110 5.6.2).
    pub method: &'a str,
    /// What was answered; 499 where the client left before.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was refused, or its answer broke off.
    pub reason: Option<&'a str>,
    /// What exactly, where the reason has many forms.
    pub detail: Option<&'a str>,
    /// What came, as the log may show it.
    pub value: Option<&'a str>,
    /// The key of the configuration that it comes from.
    pub key: Option<&'a str>,
    /// The account or service that it was made for.
    pub subject: Option<&'a str>,
    /// The login name.
    pub user: Option<&'a str>,
    /// The client by which it came.
    pub client: Option<&'a str>,
    /// The same client, if it acts for a person who is absent.
    pub actor: Option<&'a str>,
    /// What [`AccessLine::caller_fields`] made of these four; empty where nobody has asked it.
    pub caller_fields: &'a str,
    /// The method of JSON-RPC, in UTF-8.
    pub rpc_method: Option<&'a [u8]>,
    /// The tool that was called, in UTF-8.
    pub tool: Option<&'a [u8]>,
    /// The code of a JSON-RPC error in the answer.
    pub rpc_error: Option<i64>,
    /// Of the answer's body, passed on.
    pub bytes: u64,
    /// From its head to the end of its answer.
    pub duration: Duration,
    /// Whence it came.
    pub address: IpAddr,
    /// By which other lines are found, in hexadecimal digits.
    pub request_id: &'a [u8],
}

/// More bytes than a line has besides its texts: names, punctuation, numbers, and an address.
const FRAME: usize = 640;
/// The same, for the fields of a caller.
const CALLER_FRAME: usize = 64;

// Macros, so that the length of each name is known where it is copied, and a line without room left is given up.

/// Begins a field; what stands before its value in text, and in JSON if that is something else.
macro_rules! name {
    ($line:ident, $name:literal, $quote:literal) => {
        name!($line, $name, $quote, $quote)
    };
    ($line:ident, $name:literal, $in_text:literal, $in_json:literal) => {
        if JSON {
            $line.put(concat!(",\"", $name, "\":", $in_json).as_bytes())?;
        } else {
            $line.put(concat!(" ", $name, "=", $in_text).as_bytes())?;
        }
    };
}

/// A field that has no quotes in text: what tracing calls Display.
macro_rules! word {
    ($line:ident, $name:literal, $value:expr) => {
        name!($line, $name, "", "\"");
        $line.ours($value.as_bytes())?;
        if JSON {
            $line.put(b"\"")?;
        }
    };
}

/// A field with text in quotes that nobody but us has chosen.
macro_rules! ours {
    ($line:ident, $name:literal, $value:expr) => {
        name!($line, $name, "\"");
        $line.ours($value.as_ref())?;
        $line.put(b"\"")?;
    };
}

/// A field with any text in quotes.
macro_rules! text {
    ($line:ident, $name:literal, $value:expr) => {
        if let Some(value) = $value {
            if !is_plain(value.as_ref()) {
                return None;
            }
            ours!($line, $name, value);
        }
    };
}

macro_rules! number {
    ($line:ident, $name:literal, $value:expr) => {
        name!($line, $name, "");
        $line.decimal($value)?;
    };
}

impl AccessLine<'_> {
    /// Logs it, if the filter of the log lets lines of its target through.
    pub fn log(&self) {
        let Some(direct) = logging::direct() else { return self.trace() };
        #[expect(clippy::disallowed_methods, reason = "the time of a line is the system's, as for all other lines")]
        let now = SystemTime::now();
        let write = |out: &mut Vec<u8>| match direct.json {
            true => self.write::<true>(out, now),
            false => self.write::<false>(out, now),
        };
        if direct.sink.append(write).is_none() {
            self.trace();
        }
    }

    /// Returns whether there are such lines: there is no need to make one that the filter of the log does not let
    /// through.
    #[must_use]
    pub fn is_wanted() -> bool {
        logging::direct().is_none_or(|direct| direct.has_access_lines)
    }

    /// Renders the fields that are the same in all lines of one caller. Empty where tracing has to write them.
    #[must_use]
    pub fn caller_fields(subject: &str, user: Option<&str>, client: &str, actor: Option<&str>) -> Box<str> {
        let fields = logging::direct().and_then(|direct| match direct.json {
            true => render::<true>(subject, user, client, actor),
            false => render::<false>(subject, user, client, actor),
        });
        fields.unwrap_or_default().into()
    }

    /// Logs it by way of tracing.
    fn trace(&self) {
        tracing::info!(
            target: ACCESS,
            upstream = %self.upstream,
            method = %self.method,
            status = self.status,
            outcome = self.outcome.label(),
            reason = self.reason,
            detail = self.detail,
            value = self.value,
            key = self.key,
            subject = self.subject,
            user = self.user,
            client = self.client,
            actor = self.actor,
            rpc_method = self.rpc_method.map(utf_8),
            tool = self.tool.map(utf_8),
            rpc_error = self.rpc_error,
            bytes = self.bytes,
            duration_ms = (Duration::from_micros(micros(self.duration)).as_secs_f64() * 1e6).round() / 1e3,
            address = %self.address,
            request_id = utf_8(self.request_id),
        );
    }

    /// Writes the line that tracing would write; `None` where something in it needs an escape, and tracing has to.
    fn write<const JSON: bool>(&self, out: &mut Vec<u8>, now: SystemTime) -> Option<()> {
        let begin = out.len();
        out.resize(begin + FRAME + self.size_of_texts(), 0);
        let line = &mut LineWriter::<JSON>::new(out.get_mut(begin..)?);
        if JSON {
            line.put(b"{\"timestamp\":\"")?;
        }
        line.time(now)?;
        if JSON {
            line.put(b"\",\"level\":\"INFO\"")?;
        } else {
            line.put(b"  INFO mcpgate::access:")?;
        }
        word!(line, "upstream", self.upstream);
        word!(line, "method", self.method);
        number!(line, "status", self.status.into());
        ours!(line, "outcome", self.outcome.label());
        text!(line, "reason", self.reason);
        text!(line, "detail", self.detail);
        text!(line, "value", self.value);
        text!(line, "key", self.key);
        if self.caller_fields.is_empty() {
            text!(line, "subject", self.subject);
            text!(line, "user", self.user);
            text!(line, "client", self.client);
            text!(line, "actor", self.actor);
        } else {
            line.put(self.caller_fields.as_bytes())?;
        }
        text!(line, "rpc_method", self.rpc_method);
        text!(line, "tool", self.tool);
        if let Some(code) = self.rpc_error {
            name!(line, "rpc_error", "");
            line.signed(code)?;
        }
        number!(line, "bytes", self.bytes);
        name!(line, "duration_ms", "");
        line.duration(self.duration)?;
        name!(line, "address", "", "\"");
        line.address(self.address)?;
        ours!(line, "request_id", self.request_id);
        if JSON {
            line.put(b",\"target\":\"mcpgate::access\"}")?;
        }
        let left = line.left();
        out.truncate(out.len() - left);
        Some(())
    }

    /// Returns how many bytes the texts of the line have.
    fn size_of_texts(&self) -> usize {
        let always = self.upstream.len() + self.method.len() + self.caller_fields.len() + self.request_id.len();
        let texts = [self.reason, self.detail, self.value, self.key, self.subject, self.user, self.client, self.actor];
        let texts = texts.into_iter().flatten().map(str::len).sum::<usize>();
        always + texts + [self.rpc_method, self.tool].into_iter().flatten().map(<[u8]>::len).sum::<usize>()
    }
}

/// Renders the fields of a caller, if they need no escape.
fn render<const JSON: bool>(subject: &str, user: Option<&str>, client: &str, actor: Option<&str>) -> Option<String> {
    let mut out = vec![
        0;
        CALLER_FRAME
            + subject.len()
            + [user, Some(client), actor].into_iter().flatten().map(str::len).sum::<usize>()
    ];
    let line = &mut LineWriter::<JSON>::new(&mut out);
    text!(line, "subject", Some(subject));
    text!(line, "user", user);
    text!(line, "client", Some(client));
    text!(line, "actor", actor);
    let left = line.left();
    out.truncate(out.len() - left);
    String::from_utf8(out).ok()
}

/// Returns bytes that are UTF-8 as text.
fn utf_8(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;
    use tracing::Level;
    use tracing_subscriber::filter::Targets;

    use super::*;
    use crate::telemetry::sink::Sink;
    use crate::telemetry::sink::tests::Collected;

    /// Values of which most can stand in a line as they are.
    fn text() -> impl Strategy<Value = String> {
        let escaped = proptest::collection::vec(
            prop_oneof![
                "[ -~]",
                "[\"\\\\'\n\r\t\u{0}\u{1b}\u{7f}\u{85}\u{202e}\u{2028}é]",
                any::<char>().prop_map(String::from)
            ],
            0..6,
        );
        prop_oneof![4 => PLAIN, 1 => escaped.prop_map(|parts| parts.concat())]
    }

    /// Values of what is plain by its kind.
    const PLAIN: &str = "[ !#-\\[\\]-~]{0,40}";

    type Texts = (Vec<String>, Vec<Option<String>>);

    /// A line with its texts, in the order of its fields.
    type Parts = (Texts, u16, usize, Option<i64>, u64, Duration, IpAddr);

    fn parts() -> impl Strategy<Value = Parts> {
        let texts = (proptest::collection::vec(PLAIN, 3), proptest::collection::vec(proptest::option::of(text()), 10));
        let duration = prop_oneof![0..10_000_u64, 0..100_000_000_000_u64, 0..1_000_000_000_000_000_000_u64];
        let duration = duration.prop_map(Duration::from_nanos);
        (texts, any::<u16>(), 0..Outcome::ALL.len(), any::<Option<i64>>(), any::<u64>(), duration, any::<IpAddr>())
    }

    fn line(parts: &Parts) -> AccessLine<'_> {
        let ((needed, wanted), status, outcome, rpc_error, bytes, duration, address) = parts;
        let at = |place: usize| wanted[place].as_deref();
        AccessLine {
            upstream: &needed[0],
            method: &needed[1],
            status: *status,
            outcome: Outcome::ALL[*outcome],
            reason: at(0),
            detail: at(1),
            value: at(2),
            key: at(3),
            subject: at(4),
            user: at(5),
            client: at(6),
            actor: at(9),
            caller_fields: "",
            rpc_method: at(7).map(str::as_bytes),
            tool: at(8).map(str::as_bytes),
            rpc_error: *rpc_error,
            bytes: *bytes,
            duration: *duration,
            address: *address,
            request_id: needed[2].as_bytes(),
        }
    }

    fn needs_no_escape(((needed, wanted), ..): &Parts) -> bool {
        let is_plain = |c: char| matches!(c, ' '..='~') && c != '"' && c != '\\';
        needed.iter().chain(wanted.iter().flatten()).all(|text| text.chars().all(is_plain))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn lk_04_the_short_way_writes_what_tracing_writes(all in proptest::collection::vec(parts(), 1..40), json in any::<bool>()) {
            let out = Collected::default();
            let sink = Sink::start(out.clone(), false).unwrap();
            let filter = Targets::new().with_default(Level::INFO);
            let subscriber = logging::subscriber(sink.clone(), filter, json, false);
            tracing::subscriber::with_default(subscriber, || all.iter().for_each(|parts| line(parts).trace()));
            sink.flush();
            let traced = out.take();
            prop_assert_eq!(traced.lines().count(), all.len());
            for (parts, traced) in all.iter().zip(traced.lines()) {
                // The line begins with a time: as it is, or as the first member of an object.
                let stamp = traced.split(if json { '"' } else { ' ' }).nth(if json { 3 } else { 0 }).unwrap();
                let at = OffsetDateTime::parse(stamp, &Rfc3339).unwrap();
                let whole = line(parts);
                let render = if json { render::<true> } else { render::<false> };
                let fields = whole.subject.zip(whole.client).and_then(|(subject, client)| render(subject, whole.user, client, whole.actor));
                for caller_fields in [Some(String::new()), fields].into_iter().flatten() {
                    let mut short = Vec::new();
                    let line = AccessLine { caller_fields: &caller_fields, ..line(parts) };
                    let (out, now) = (&mut short, at.into());
                    let written = if json { line.write::<true>(out, now) } else { line.write::<false>(out, now) };
                    prop_assert_eq!(written.is_some(), needs_no_escape(parts));
                    if written.is_some() {
                        prop_assert_eq!(String::from_utf8(short).unwrap(), traced);
                    }
                }
            }
        }
    }
}
