//! What is left out of answers, and what stays.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{AnswerReader, Offer, Rewritten, SecuritySchemes, Shown, ToldUnknown, ToolHints, may_change, may_list};

/// What the caller of these tests may not use begins with `no`.
fn shows(offer: Offer<'_>) -> Shown {
    let (Offer::Completion(_, Some(name))
    | Offer::Tool(name, _, _)
    | Offer::Prompt(name)
    | Offer::Resource(name)
    | Offer::Template(name)
    | Offer::Update(name)
    | Offer::Capability(name)) = offer
    else {
        return Shown::Nothing;
    };
    (!name.starts_with("no")).into()
}

/// Rewrites an answer, in pieces too.
fn rewrite(answer: &str) -> Result<Rewritten, &'static str> {
    let whole = AnswerReader::new(answer.as_bytes(), shows).and_then(AnswerReader::read);
    for work in [1, 7, 100] {
        let mut reader = AnswerReader::new(answer.as_bytes(), shows).unwrap();
        let read = std::iter::repeat_with(|| reader.step(work)).flatten().next().unwrap();
        assert_eq!(read, whole, "{answer}");
    }
    // What the search passes over must be what reading does not change.
    assert!(may_change(answer.as_bytes()) || whole == Ok(Rewritten::Unchanged) || whole.is_err(), "{answer}");
    whole
}

fn changed(answer: &str) -> String {
    match rewrite(answer).unwrap() {
        Rewritten::Unchanged => answer.to_owned(),
        Rewritten::Changed(text) | Rewritten::Unknown(ToldUnknown { answer: text, .. }) => {
            String::from_utf8(text).unwrap()
        }
        Rewritten::Hidden => String::new(),
    }
}

fn result(result: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#)
}

#[test]
fn values_of_a_completion_go_and_the_total_with_them() {
    for (completion, left) in [
        (r#"{"values":["a","no","b"],"total":3,"hasMore":false}"#, r#"{"values":["a","b"],"total":2,"hasMore":false}"#),
        (
            r#"{"total": 12 , "hasMore":true,"values":[ "no" ,"no2", "a" ]}"#,
            r#"{"total": 10 , "hasMore":true,"values":[ "a" ]}"#,
        ),
        (r#"{"values":["no"],"total":0}"#, r#"{"values":[],"total":0}"#),
        (r#"{"values":["a",1,["b"],{"c":"d"},null,"\ud800","b"],"total":"7"}"#, r#"{"values":["a","b"],"total":"7"}"#),
        (r#"{"values":["\u006eo","\u0061"],"x":{"values":["no"]}}"#, r#"{"values":["\u0061"],"x":{"values":["no"]}}"#),
        (r#"{"values":["a","b"],"total":1.5}"#, r#"{"values":["a","b"],"total":1.5}"#),
        (r#"{"values":{"a":"no"}}"#, r#"{"values":{"a":"no"}}"#),
        (r#"[{"values":["no"]}]"#, r#"[{"values":["no"]}]"#),
    ] {
        let around = |completion: &str| result(&format!("{{\"x\":1.50, \"completion\" : {completion} }}"));
        assert_eq!(changed(&around(completion)), around(left));
    }
    let values = |range: std::ops::Range<u32>| range.map(|n| n.to_string()).collect::<Vec<_>>().join(r#"", ""#);
    let hundred = result(&format!(r#"{{"completion":{{"values":["{}"],"total":150}}}}"#, values(0..150)));
    let kept = result(&format!(r#"{{"completion":{{"values":["{}"],"total":100}}}}"#, values(0..100)));
    assert_eq!(changed(&hundred), kept, "what is beyond the first hundred is not told apart");
}

#[test]
fn values_are_those_of_the_answer_with_the_id_wherever_that_is() {
    let answer = |id: u32, last: bool| {
        let (first, end) =
            if last { (String::new(), format!(r#","id":{id}"#)) } else { (format!(r#""id":{id},"#), String::new()) };
        format!(r#"{{{first}"result":{{"completion":{{"values":["1","2"]}}}}{end}}}"#)
    };
    let own = |offer: Offer<'_>| matches!(offer, Offer::Completion(id, value) if id == value).into();
    let batch = format!("[{},{}]", answer(1, false), answer(2, true));
    let read = AnswerReader::new(batch.as_bytes(), own).and_then(AnswerReader::read).unwrap();
    let expected = format!("[{},{}]", answer(1, false).replace(r#","2""#, ""), answer(2, true).replace(r#""1","#, ""));
    assert_eq!(read, Rewritten::Changed(expected.into_bytes()));
}

#[test]
fn entries_go_with_one_comma_each_and_the_rest_stays() {
    for (list, left) in [
        (r#"[{"name":"a"},{"name":"no"},{"name":"b"}]"#, r#"[{"name":"a"},{"name":"b"}]"#),
        (r#"[ {"name":"no"} , {"name":"b"} ]"#, r#"[ {"name":"b"} ]"#),
        (r#"[ {"name":"a"} , {"name":"no"} , {"name":"no2"} ]"#, r#"[ {"name":"a"} ]"#),
        (r#"[ {"name":"no"} , {"name":"no"} ]"#, "[  ]"),
        (r#"[{"x":{"name":"a"}},1,["name"],"a",{"name":7},{"name":"\ud800"}]"#, "[]"),
        (r#"[{"\u006eame":"\u006eo"},{"n\u0061me":"\u0061"}]"#, r#"[{"n\u0061me":"\u0061"}]"#),
        (r#"[{"name":"a","x":[{"name":"no"}],"uri":"no"}]"#, r#"[{"name":"a","x":[{"name":"no"}],"uri":"no"}]"#),
        ("[]", "[]"),
    ] {
        for name in ["tools", "prompts", "t\\u006fols"] {
            let around = |list: &str| result(&format!("{{\"x\" : 1.50, \"{name}\": {list},\n \"nextCursor\":\"c\"}}"));
            assert_eq!(changed(&around(list)), around(left));
        }
    }
    for (name, key) in [("resources", "uri"), ("resourceTemplates", "uriTemplate")] {
        let list = |entries: &str| result(&format!(r#"{{"{name}":[{entries}]}}"#));
        let (good, bad) = (format!(r#"{{"name":"no","{key}":"a"}}"#), format!(r#"{{"{key}":"no:","name":"a"}}"#));
        assert_eq!(changed(&list(&format!("{bad},{good},{bad}"))), list(&good));
    }
}

#[test]
fn what_a_tool_says_of_itself_comes_with_it() {
    let mut seen = Vec::new();
    let list = r#"[{"annotations":{"readOnlyHint":true,"openWorldHint":false,"title":"x"},"name":"a"},{"name":"b"},
        {"name":"c","annotations":{"destructiveHint":1,"readOnlyHint":"true"},"_meta":{"annotations":{"readOnlyHint":true}}}]"#;
    let answer = result(&format!(r#"{{"tools":{list}}}"#));
    let note = |offer: Offer<'_>| {
        if let Offer::Tool(_, hints, _) = offer {
            seen.push(hints);
        }
        Shown::AsItIs
    };
    assert_eq!(AnswerReader::new(answer.as_bytes(), note).and_then(AnswerReader::read), Ok(Rewritten::Unchanged));
    let none = ToolHints::default();
    let (first, third) =
        (ToolHints { read_only: Some(true), open_world: Some(false), ..none }, ToolHints { has_meta: true, ..none });
    assert_eq!(seen, [first, none, third]);
    let twice = list.replace("\"title\"", "\"readOnlyHint\"");
    assert!(rewrite(&result(&format!(r#"{{"tools":{twice}}}"#))).is_err());
}

#[test]
fn only_what_is_directly_in_a_result_is_a_list() {
    for answer in [
        r#"{"jsonrpc":"2.0","method":"x","params":{"tools":[{"name":"no"}]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"tools":[{"name":"no"}],"result":{}}"#,
        r#"[{"tools":[{"name":"no"}]},5]"#,
        r#""tools""#,
    ] {
        assert_eq!(rewrite(answer), Ok(Rewritten::Unchanged), "{answer}");
    }
    for inner in [
        r#"{"structuredContent":{"tools":[{"name":"no"}]}}"#,
        r#"{"content":[{"type":"text","text":"{\"tools\":[{\"name\":\"no\"}]}","tools":[{"name":"no"}]}]}"#,
        r#"{"tools":{"name":"no"}}"#,
        r#"[{"tools":[{"name":"no"}]}]"#,
        r#"{"capabilities":{"no":{}}}"#,
    ] {
        assert_eq!(rewrite(&result(inner)), Ok(Rewritten::Unchanged), "{inner}");
    }
}

#[test]
fn every_message_of_a_batch_is_rewritten() {
    let one = |list: &str| result(&format!(r#"{{"tools":{list}}}"#));
    let batch = |list: &str| format!("[{}, {} ,{}]", one(list), result("{}"), one(list));
    assert_eq!(changed(&batch(r#"[{"name":"no"},{"name":"a"}]"#)), batch(r#"[{"name":"a"}]"#));
}

#[test]
fn capabilities_go_where_versions_are_and_a_cache_is_private() {
    let begin = |capabilities: &str, scope: &str| {
        result(&format!(
            r#"{{"cacheScope":{scope},"capabilities":{{{capabilities}}},"supportedVersions":["2026-07-28"],"ttlMs":1}}"#
        ))
    };
    assert_eq!(
        changed(&begin(r#""nothing": {"listChanged":true}, "tools":{}, "no": 1"#, "\"public\"")),
        begin(r#""tools":{}"#, "\"private\"")
    );
    let initialize = |capabilities: &str| {
        result(&format!(r#"{{"protocolVersion":"2025-11-25","capabilities":{capabilities},"serverInfo":{{}}}}"#))
    };
    assert_eq!(changed(&initialize(r#"{"no":{}}"#)), initialize("{}"));
    assert_eq!(rewrite(&begin(r#""tools":{}"#, "\"private\"")), Ok(Rewritten::Unchanged));
}

#[test]
fn an_unknown_tool_is_told_in_one_form() {
    let ours = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"Unknown tool: add"}}"#;
    for answer in [
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Tool add not found","data":{"cacheScope":1}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"isError":true,"content":[{"type":"text","text":"Unknown tool: add"}]}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"text":"Unknown tool: add"}],"cacheScope":"public","isError":true}}"#,
    ] {
        let told = ToldUnknown { answer: ours.into(), code: -32602, text: "Unknown tool: add".to_owned() };
        assert_eq!(rewrite(answer), Ok(Rewritten::Unknown(told)), "{answer}");
    }
    assert_eq!(
        changed(&format!("[{ours},{}]", ours.replace("Unknown tool: add", "Tool add not found"))),
        format!("[{ours},{ours}]")
    );
    for answer in [
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"Tool add failed"}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":7}}"#.to_owned(),
        result(r#"{"isError":false,"content":[{"type":"text","text":"Unknown tool: add"}]}"#),
        result(r#"{"isError":true,"content":[{"type":"text","text":"Unknown tool: add"},{"type":"text","text":""}]}"#),
    ] {
        assert_eq!(rewrite(&answer), Ok(Rewritten::Unchanged), "{answer}");
    }
}

#[test]
fn unknown_prompts_and_resources_are_told_in_one_form_too() {
    let error = |code: i32, message: &str, rest: &str| {
        format!(r#"{{"jsonrpc":"2.0","id":1,"error":{{"code":{code},"message":"{message}"{rest}}}}}"#)
    };
    let data = r#","data":{"uri":"x:\/a"}"#;
    for (said, ours) in [
        (error(-32602, "Prompt a b not found", ""), error(-32602, "Unknown prompt: a b", "")),
        (error(0, "Unknown resource: x:/a", ""), error(-32002, "Resource not found: x:/a", "")),
        (error(-32002, "Resource not found", data), error(-32002, "Resource not found: x:/a", "")),
    ] {
        assert_eq!(changed(&said), ours);
    }
    let said = error(-32002, "Resource not found", data);
    let modern = AnswerReader::new(said.as_bytes(), shows).unwrap().for_modern(true).read().unwrap();
    let Rewritten::Unknown(told) = modern else { panic!("{modern:?}") };
    assert_eq!((told.code, told.text.as_str()), (-32602, "Resource not found: x:/a"));
    // A tool may say anything in its own words.
    let said = result(r#"{"isError":true,"content":[{"type":"text","text":"Prompt a not found"}]}"#);
    assert_eq!(rewrite(&said), Ok(Rewritten::Unchanged));
}

#[test]
fn changes_of_what_is_not_shown_are_left_out() {
    let update = |uri: &str| {
        format!(
            r#"{{"params":{{"_meta":{{}},"uri":{uri}}},"jsonrpc":"2.0","method":"notifications/resources/updated"}}"#
        )
    };
    let (own, other) = (update("\"a\""), update("\"no\""));
    let odd = other.replace('/', "\\/");
    let (number, without) = (update("7"), other.replace("uri", "url"));
    for hidden in [&other, &odd, &number, &without, &format!("[{other}, {odd}]")] {
        assert_eq!(rewrite(hidden), Ok(Rewritten::Hidden), "{hidden}");
    }
    let escaped = other.replace("notifications", "n\\u006ftifications");
    assert_eq!(rewrite(&escaped), Ok(Rewritten::Hidden));
    for stays in [own.clone(), other.replace("updated", "changed"), other.replace("method", "name")] {
        assert_eq!(changed(&stays), stays);
    }
    let list = result(r#"{"tools":[{"name":"no"}]}"#);
    assert_eq!(
        changed(&format!("[ {other},{list}, {odd},{own} ,{other}]")),
        format!("[ {}, {own}]", result(r#"{"tools":[]}"#))
    );
}

#[test]
fn what_two_programs_might_read_differently_is_not_read() {
    for answer in [
        result(r#"{"tools":[],"tools":[{"name":"no"}]}"#),
        result(r#"{"tools":[],"\u0074ools":[{"name":"no"}]}"#),
        result(r#"{"tools":[{"name":"a","name":"no"}]}"#),
        result(r#"{"tools":[{"x":[{"y":1,"y":1}],"name":"a","name":"no"}]}"#),
        result(r#"{"tools":[{"name":"a"}"#),
        format!("\u{feff}{}", result(r#"{"tools":[]}"#)),
        format!("{} {{}}", result(r#"{"tools":[]}"#)),
    ] {
        assert!(rewrite(&answer).is_err() && may_list(answer.as_bytes()), "{answer}");
    }
    let utf16: Vec<u8> = result(r#"{"tools":[]}"#).encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(may_list(&utf16) && AnswerReader::new(&utf16, shows).and_then(AnswerReader::read).is_err());
    assert!(AnswerReader::new(b"\xff", shows).is_err());
}

#[test]
fn the_search_passes_over_ordinary_answers() {
    for inner in [
        r#"{"content":[{"type":"text","text":"the \"tools\" \\u0074ools \n"}],"isError":false}"#,
        r#"{"contents":[{"uri":"file:///a","text":"caf\u00e9 \u0060 tools"}]}"#,
        "{}",
    ] {
        assert!(!may_change(result(inner).as_bytes()), "{inner}");
    }
    assert!(may_change(br#"{"result":{"isError" : true}}"#) && may_change(br#"{"error":{}}"#));
    assert!(!may_list(br#"{"error":{"capabilities":{}}}"#));
}

#[test]
fn a_tool_gets_schemes_in_the_place_of_its_own_and_the_rest_stays() {
    let schemes = |offer: Offer<'_>| match (shows(offer), offer) {
        (Shown::AsItIs, Offer::Tool("open", ..)) => Shown::With(SecuritySchemes::new(true, None)),
        (Shown::AsItIs, Offer::Tool(..)) => Shown::With(SecuritySchemes::new(true, Some(&["a", "b:c"]))),
        (shown, _) => shown,
    };
    let own = r#"[{"type":"noauth"},{"type":"oauth2","scopes":["a","b:c"]}]"#;
    let (ours, meta) = (format!(r#""securitySchemes":{own}"#), format!(r#""_meta":{{"securitySchemes":{own}}}"#));
    for (entry, with) in [
        (r#"{"name":"a"}"#, format!(r#"{{"name":"a",{ours},{meta}}}"#)),
        ("{\"name\":\"a\" , \"x\":[1.50] }", format!("{{\"name\":\"a\" , \"x\":[1.50] ,{ours},{meta}}}")),
        (r#"{"_meta":{},"name":"a"}"#, format!(r#"{{{meta},"name":"a",{ours}}}"#)),
        (
            r#"{"_meta": {"ui":{"securitySchemes":1}} ,"name":"a"}"#,
            format!(r#"{{"_meta": {{"ui":{{"securitySchemes":1}},{ours}}} ,"name":"a",{ours}}}"#),
        ),
        (
            r#"{"securitySchemes" : [{"type":"noauth"}],"_meta":{"x":0,"security\u0053chemes": null},"name":"a"}"#,
            format!(r#"{{"securitySchemes" : {own},"_meta":{{"x":0,"security\u0053chemes": {own}}},"name":"a"}}"#),
        ),
        (r#"{"name":"a","_meta":null}"#, format!(r#"{{"name":"a","_meta":null,{ours}}}"#)),
        (
            r#"{"name":"a","inputSchema":{"securitySchemes":{},"_meta":{}},"securitySchemes":{"x":[{}]}}"#,
            format!(
                r#"{{"name":"a","inputSchema":{{"securitySchemes":{{}},"_meta":{{}}}},"securitySchemes":{own},{meta}}}"#
            ),
        ),
    ] {
        let list = |entry: &str| result(&format!(r#"{{"tools":[{{"name":"no"}},{entry}],"nextCursor":"c"}}"#));
        let read = AnswerReader::new(list(entry).as_bytes(), schemes).and_then(AnswerReader::read);
        let expected = result(&format!(r#"{{"tools":[{with}],"nextCursor":"c"}}"#));
        assert_eq!(read, Ok(Rewritten::Changed(expected.into_bytes())), "{entry}");
    }
    let read = AnswerReader::new(br#"{"result":{"tools":[{"name":"open"}]}}"#, schemes).unwrap().read();
    let open = r#"[{"type":"noauth"}]"#;
    let expected = format!(
        r#"{{"result":{{"tools":[{{"name":"open","securitySchemes":{open},"_meta":{{"securitySchemes":{open}}}}}]}}}}"#
    );
    assert_eq!(read, Ok(Rewritten::Changed(expected.into_bytes())));
}

#[test]
fn reading_takes_linear_time() {
    let entry = format!(r#"{{"name":"no","x":"{}"}}"#, "y".repeat(200));
    let list = result(&format!(r#"{{"tools":[{}]}}"#, vec![entry; 20_000].join(",")));
    let begun = std::time::Instant::now();
    assert_eq!(
        AnswerReader::new(list.as_bytes(), shows).unwrap().read(),
        Ok(Rewritten::Changed(result(r#"{"tools":[]}"#).into()))
    );
    // Tens of milliseconds; in quadratic time, many minutes.
    assert!(begun.elapsed() < std::time::Duration::from_secs(20), "{:?}", begun.elapsed());
}

/// An entry, and whether it stays.
fn any_entry() -> impl Strategy<Value = (Value, bool)> {
    let name = prop_oneof!["[a-m]{1,3}", "no[a-z]{0,2}", "é\"\\\\[a-c]"];
    (name, any::<u8>(), any::<bool>()).prop_map(|(name, more, named)| {
        let stays = named && !name.starts_with("no");
        let key = if named { "name" } else { "title" };
        (json!({"a": more, key: name, "inputSchema": {"tools": [{"name": "no"}], "x": [more, null]}}), stays)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 500, ..ProptestConfig::default() })]
    #[test]
    fn a_list_is_left_with_what_the_caller_may_use(
        entries in prop::collection::vec(any_entry(), 0..8),
        pretty in any::<bool>(),
        cursor in any::<bool>(),
    ) {
        let answer = |entries: Vec<Value>| {
            let mut answer = json!({"jsonrpc": "2.0", "id": "x", "result": {"_meta": {"y": 1}, "tools": entries}});
            if cursor {
                answer["result"]["nextCursor"] = "c".into();
            }
            answer
        };
        let text = |value: &Value| if pretty { serde_json::to_string_pretty(value) } else { serde_json::to_string(value) };
        let all = text(&answer(entries.iter().map(|(entry, _)| entry.clone()).collect())).unwrap();
        let left = answer(entries.iter().filter(|(_, stays)| *stays).map(|(entry, _)| entry.clone()).collect());
        let read: Value = serde_json::from_str(&changed(&all)).unwrap();
        prop_assert_eq!(&read, &left);
        let is_empty = left["result"]["tools"].as_array().unwrap().is_empty();
        if !is_empty || entries.is_empty() {
            prop_assert_eq!(changed(&all), text(&left).unwrap());
        }
    }
}

#[test]
fn a_changed_list_is_seen_however_its_slashes_are_written() {
    for method in ["notifications/tools/list_changed", r"notifications\/prompts\/list_changed"] {
        let event = format!("data: {{\"jsonrpc\":\"2.0\",\"method\":\"{method}\"}}\n\n");
        assert!(super::says_list_changed(event.as_bytes()), "{event}");
    }
    for other in ["notifications/tools/list_changes", "notifications/message", "tools/list_changed"] {
        assert!(!super::says_list_changed(format!("data: {{\"method\":\"{other}\"}}\n\n").as_bytes()), "{other}");
    }
}
