//! A borrowed view of a JSON-RPC message: id, method, the name that it acts on, the version that it declares. Builds no
//! tree.

use std::borrow::Cow;

/// What kind of message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// It has a method and an id.
    Request,
    /// It has a method and no id.
    Notification,
    /// It has a result or an error (legacy sessions only).
    Response,
}

/// The parts of one message that the gateway needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The kind of message.
    pub kind: MessageKind,
    /// The id as raw JSON.
    pub id: Option<&'a str>,
    /// The method's name.
    pub method: Option<Cow<'a, str>>,
    /// `params.name`, `params.uri` or `params.taskId`, whichever its method's routing header mirrors; for
    /// `completion/complete` the name or URI in `params.ref`.
    pub name: Option<Cow<'a, str>>,
    /// What `params.ref` of `completion/complete` refers to, by its `type`.
    pub completes: Option<Completes>,
    /// The value of `params._meta["io.modelcontextprotocol/protocolVersion"]`.
    pub version: Option<Cow<'a, str>>,
}

/// Whose argument is completed (MCP, completion: reference types).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Completes {
    /// That of a prompt (`ref/prompt`).
    Prompt,
    /// That of a template of resources (`ref/resource`).
    Resource,
}

/// Why a body is not a JSON-RPC message, with the id if it could be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvelopeError {
    /// -32700 (not JSON) or -32600 (not JSON-RPC).
    pub code: i32,
    /// What is wrong.
    pub message: &'static str,
    /// The id as raw JSON, if it was readable.
    pub id: Option<String>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::EnvelopeReader;
    use super::{Completes, Envelope, MessageKind};

    fn one(body: &str) -> Envelope<'_> {
        let mut read = Envelope::read(body.as_bytes(), false).unwrap_or_else(|e| panic!("{body}: {e:?}"));
        assert_eq!(read.len(), 1);
        read.remove(0)
    }

    fn code(body: impl AsRef<[u8]>, batch: bool) -> i32 {
        Envelope::read(body.as_ref(), batch).map_or_else(|e| e.code, |_| 0)
    }

    #[test]
    fn members_come_in_any_order() {
        let meta = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","x":[{}]}"#;
        let read = one(&format!(
            r#" {{"params":{{"_meta":{meta},"arguments":{{"name":"no"}},"name":"add"}},"id":"a\"b","method":"tools/call","jsonrpc":"2.0"}} "#
        ))
        .into_parts();
        assert_eq!(
            read,
            (MessageKind::Request, r#""a\"b""#.into(), "tools/call".into(), "add".into(), "2026-07-28".into())
        );
    }

    impl Envelope<'_> {
        fn into_parts(self) -> (MessageKind, String, String, String, String) {
            let text = |t: Option<std::borrow::Cow<'_, str>>| t.unwrap_or_default().into_owned();
            let id = self.id.unwrap_or_default().to_owned();
            (self.kind, id, text(self.method), text(self.name), text(self.version))
        }
    }

    #[test]
    fn kinds_follow_from_the_members() {
        assert_eq!(one(r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#).kind, MessageKind::Request);
        assert_eq!(
            one(r#"{"jsonrpc":"2.0","method":"ping","params":[1,null,true,-1.5]}"#).kind,
            MessageKind::Notification
        );
        assert_eq!(one(r#"{"jsonrpc":"2.0","id":1,"result":{}}"#).kind, MessageKind::Response);
        assert_eq!(one(r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}"#).kind, MessageKind::Response);
        assert_eq!(
            one(r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"u","name":"n"}}"#)
                .name
                .as_deref(),
            Some("u")
        );
        assert_eq!(one(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7}}"#).name, None);
        for not_rpc in [
            "5",
            "null",
            r#""text""#,
            "{}",
            r#"{"jsonrpc":"1.0","id":1,"method":"a"}"#,
            r#"{"id":1,"method":"a"}"#,
            r#"{"jsonrpc":2.0,"id":1,"method":"a"}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","id":null,"method":"a"}"#,
            r#"{"jsonrpc":"2.0","id":true,"method":"a"}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"a"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":7}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"a","result":{}}"#,
        ] {
            assert_eq!(code(not_rpc, true), -32600, "{not_rpc}");
        }
    }

    #[test]
    fn a_completion_names_what_its_reference_says_it_is_for() {
        let of = |params: &str| {
            let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{params}}}"#);
            let read = one(&body);
            (read.completes, read.name.map(std::borrow::Cow::into_owned))
        };
        let both =
            |kind: &str| of(&format!(r#"{{"name":"x","ref":{{"uri":"u","type":{kind},"name":"n"}},"argument":{{}}}}"#));
        assert_eq!(both(r#""ref/prompt""#), (Some(Completes::Prompt), Some("n".to_owned())));
        assert_eq!(both(r#""ref/resource""#), (Some(Completes::Resource), Some("u".to_owned())));
        for none in [both(r#""ref/x""#), both("1"), of(r#"{"name":"x"}"#), of(r#"{"ref":["ref/prompt"]}"#)] {
            assert_eq!(none, (None, None));
        }
        let other = r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"ref":{"type":"ref/prompt","name":"n"}}}"#;
        assert_eq!((one(other).completes, one(other).name), (None, None));
    }

    #[test]
    fn mc_05_a_member_that_occurs_twice_is_refused_at_every_level() {
        for body in [
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"good","name":"evil"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":[{"x":{"y":1,"y":1}}]}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{},"params":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"a"}"#,
        ] {
            assert_eq!(code(body, false), -32600, "{body}");
        }
        let many: Vec<String> = (0..40).map(|i| format!(r#""k{i}":{i}"#)).collect();
        let with = |last: &str| format!(r#"{{"jsonrpc":"2.0","method":"a","params":{{{},{last}}}}}"#, many.join(","));
        assert_eq!(code(with(r#""k40":0"#), false), 0);
        assert_eq!(code(with(r#""k3":0"#), false), -32600);
        assert_eq!(code(with(r#""k39":0"#), false), -32600);
    }

    #[test]
    fn mc_05_mc_06_a_name_that_is_read_without_regard_to_case_elsewhere_is_refused() {
        let version = "io.modelcontextprotocol/protocolVersion";
        let message = ["jsonrpc", "id", "method", "params", "result", "error"].map(|name| (name, 0));
        let below = [("name", 1), ("arguments", 1), ("uri", 1), ("taskId", 1), ("_meta", 1), ("ref", 1), (version, 2)];
        let reference = [("type", 3), ("name", 3), ("uri", 3)];
        for (name, level) in message.into_iter().chain(below).chain(reference) {
            let mut others = vec![name.to_ascii_uppercase(), name.replace('i', "\\u0131")];
            for (at, letter) in name.char_indices() {
                let forms = ["\u{17f}sS", "\u{212a}kK", "\u{130}\u{131}iI"];
                let folded = forms.into_iter().find(|forms| forms.contains(letter)).unwrap_or_default().to_owned();
                let forms = format!("{folded}{}{}", letter.to_ascii_uppercase(), letter.to_ascii_lowercase());
                others.extend(forms.chars().map(|c| format!("{}{c}{}", &name[..at], &name[at + 1..])));
            }
            for other in others.iter().filter(|other| *other != name) {
                let with = |member: &str| match level {
                    0 => format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a",{member}}}"#),
                    1 => format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{{{member}}}}}"#),
                    2 => format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{{"_meta":{{{member}}}}}}}"#),
                    _ => format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{{"ref":{{{member}}}}}}}"#),
                };
                let body = with(&format!(r#""{other}":"x""#));
                let fault = Envelope::read(body.as_bytes(), false).expect_err(&body);
                assert!(fault.code == -32600 && fault.message.contains("case"), "{fault:?}: {body}");
                // Elsewhere the name means nothing to the gateway: deeper, or as part of a longer one.
                for (name, value) in [
                    ("x".to_owned(), format!(r#"{{"{other}":1}}"#)),
                    (format!("{other}s"), "1".into()),
                    (format!("x{other}"), "1".into()),
                ] {
                    assert_eq!(code(with(&format!(r#""{name}":{value}"#)), false), 0, "{name}: {value}");
                }
            }
        }
        let fault =
            Envelope::read(br#"{"jsonrpc":"2.0","id":7,"method":"a","Method":"b"}"#, false).expect_err("refused");
        assert_eq!(fault.id.as_deref(), Some("7"));
    }

    #[test]
    fn mc_06_what_two_parsers_read_differently_is_refused() {
        assert_eq!(one(r#"{"jsonrpc":"2.0","id":1,"\u006dethod":"ping"}"#).method.as_deref(), Some("ping"));
        assert_eq!(code(r#"{"jsonrpc":"2.0","id":1,"method":"a","\u006dethod":"b"}"#, false), -32600);
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let utf16: Vec<u8> = ping.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for body in [
            utf16,
            [b"\xef\xbb\xbf", ping.as_bytes()].concat(),
            [ping.as_bytes(), b"x"].concat(),
            [ping.as_bytes(), ping.as_bytes()].concat(),
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}".to_vec(),
            br#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":NaN}}"#.to_vec(),
            br#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"x":01}}"#.to_vec(),
            br#"{"jsonrpc":"2.0","id":1,"method":"a",}"#.to_vec(),
            br#"{"jsonrpc":"2.0","id":1,"method":"a"#.to_vec(),
            b"".to_vec(),
        ] {
            assert_eq!(code(&body, true), -32700, "{}", String::from_utf8_lossy(&body));
        }
        // Half a surrogate pair, in a part that is read.
        for body in [
            r#"{"jsonrpc":"2.0","id":"\ud800","method":"a"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"a\udc00"}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"\ud800"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"\ud800"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"\ud800"}}}"#,
        ] {
            let fault = Envelope::read(body.as_bytes(), false).expect_err(body);
            assert!(fault.code == -32600 && fault.message.contains("surrogate"), "{fault:?}");
        }
    }

    #[test]
    fn what_is_not_read_may_be_any_json() {
        for value in [
            "1e400",
            "-1E-400",
            "123456789012345678901234567890",
            r#""\ud800""#,
            r#"["\udc00\ud800"]"#,
            r#"{"\ud800":0,"\ud801":"\ufffd"}"#,
        ] {
            for body in [
                format!(
                    r#"{{"jsonrpc":"2.0","id":1e400,"method":"tools/call","params":{{"name":"a","arguments":{value}}}}}"#
                ),
                format!(
                    r#"{{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{{"uri":"u","name":{value}}}}}"#
                ),
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x/y","params":{{"name":{value}}}}}"#),
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"x/y","params":{value}}}"#),
                format!(r#"{{"jsonrpc":"2.0","id":1,"result":{value},"more":{value}}}"#),
            ] {
                assert_eq!(code(&body, false), 0, "{body}");
            }
        }
    }

    #[test]
    fn mc_11_methods_are_short_and_printable() {
        let with = |method: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#);
        assert_eq!(code(with(&"a".repeat(128)), false), 0);
        assert_eq!(code(with(&"a".repeat(129)), false), -32600);
        assert_eq!(code(with(r"a\nb"), false), -32600);
        assert_eq!(code(with(r"a\u0000b"), false), -32600);
    }

    #[test]
    fn depth_and_batches_are_bounded() {
        let nested =
            |n: usize| format!(r#"{{"jsonrpc":"2.0","method":"a","params":{}{}}}"#, "[".repeat(n), "]".repeat(n));
        assert_eq!(code(nested(127), false), 0);
        for depth in [128, 100_000] {
            let fault = Envelope::read(nested(depth).as_bytes(), false).expect_err("too deep");
            assert!(fault.code == -32600 && fault.message.contains("deep"), "{fault:?}");
        }
        let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let batch = |n: usize| format!("[{}]", vec![ping; n].join(","));
        assert_eq!(Envelope::read(batch(50).as_bytes(), true).map(|m| m.len()), Ok(50));
        for (body, allowed) in
            [(batch(51), true), (batch(0), true), (batch(1), false), (format!("[{}]", batch(1)), true)]
        {
            assert_eq!(code(&body, allowed), -32600, "{body}");
        }
    }

    #[test]
    fn the_id_is_told_where_it_was_read() {
        let id = |body: &str| Envelope::read(body.as_bytes(), true).expect_err("refused").id;
        assert_eq!(id(r#"{"jsonrpc":"2.0","id":7,"method":"a","method":"b"}"#).as_deref(), Some("7"));
        assert_eq!(id(r#"{"method":"a","method":"b","id":7}"#), None);
        assert_eq!(id(r#"[{"jsonrpc":"2.0","id":7,"method":"a"},{"id":8}]"#), None);
    }

    /// A JSON value with all kinds of parts, and sometimes repeated names.
    fn any_json() -> impl Strategy<Value = String> {
        let leaves = [
            "0 -1 12.50 1e400 -0.0E-999 99999999999999999999 true false null {} []",
            r#""" "a]b" "\ud800" "\"\\\/\b\f\n\r\t\u00e9é😀""#,
        ];
        let leaf = prop::sample::select(leaves.iter().flat_map(|list| list.split(' ')).collect::<Vec<_>>());
        let name = prop::sample::select(vec![r#""a""#, r#""\u0061""#, r#""b""#, r#""\udc00""#, r#""""#]);
        leaf.prop_map(str::to_owned).prop_recursive(5, 40, 6, move |inner| {
            let member = (name.clone(), inner.clone()).prop_map(|(name, value)| format!("{name} :{value}"));
            prop_oneof![
                prop::collection::vec(inner, 0..6).prop_map(|values| format!("[{}]", values.join(", "))),
                prop::collection::vec(member, 0..4).prop_map(|members| format!("{{{}}}", members.join(","))),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]
        #[test]
        fn mc_05_mc_06_all_json_passes_that_names_nothing_twice(
            value in any_json(),
            (at, cut, put) in (any::<prop::sample::Index>(), 0_usize..3, "[\\[\\]{}:,\"\\\\ 0e.u\u{1}x-]?"),
            work in 1_usize..200,
        ) {
            let mut body =
                format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"a","arguments":{value}}}}}"#);
            if !put.is_empty() {
                // Usually it is no longer JSON.
                let places: Vec<usize> = body.char_indices().map(|(place, _)| place).collect();
                let from = *at.get(&places);
                let to = places.iter().copied().find(|place| *place >= from + cut).unwrap_or(body.len());
                body.replace_range(from..to, &put);
            }
            let read = Envelope::read(body.as_bytes(), false);
            let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&body).is_ok();
            match &read {
                Ok(_) => prop_assert!(is_json, "{}", body),
                Err(fault) if fault.code == -32700 => prop_assert!(!is_json, "{}", body),
                Err(fault) => prop_assert!(!put.is_empty() || fault.message.contains("twice"), "{:?}: {}", fault, body),
            }
            let mut reader = EnvelopeReader::new(body.as_bytes(), false).unwrap();
            let pieces = std::iter::repeat_with(|| reader.step(work)).flatten().next();
            prop_assert_eq!(Some(read), pieces);
        }
    }
}
