//! The rules that the endpoints check themselves: each has a line in the log, and its name in the access line.

use std::collections::BTreeSet;

use mcpgate::oauth::Rule;

use super::consent::at_consent;
use super::page::*;
use super::site::*;

#[path = "../support/log.rs"]
mod log;

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const JSON: (&str, &str) = ("content-type", "application/json");
const OURS: (&str, &str) = ("origin", ISSUER);

#[tokio::test]
async fn what_a_face_refuses_has_a_line_that_says_why() {
    let site = Site::start().await;
    let log = log::Log::start();
    let mut seen = BTreeSet::new();
    let basic = ("authorization", "Basic aHVudGVyMg==");
    let cookie = format!("{0}=a; {0}=b", cookie("s"));
    for (rule, path, fields, body) in [
        (Rule::ContentType, "/token", vec![JSON], "hunter2".to_owned()),
        (Rule::ContentEncoding, "/token", vec![FORM, ("content-encoding", "gzip")], "hunter2".to_owned()),
        (Rule::BodyTooLarge, "/register", vec![JSON], "hunter2".repeat(10_000)),
        (Rule::MalformedForm, "/token", vec![FORM], "hunter2=%zz".to_owned()),
        (Rule::TooManyFields, "/token", vec![FORM], "hunter2&".repeat(65)),
        (Rule::RepeatedAuthorization, "/token", vec![FORM, basic, basic], String::new()),
        (Rule::CrossSite, "/login", vec![FORM, ("origin", "https://evil.example")], "password=hunter2".to_owned()),
        (Rule::RepeatedField, "/login", vec![FORM, OURS], "password=hunter2&password=hunter2".to_owned()),
        (Rule::RepeatedCookie, "/authorize", vec![FORM, ("cookie", &cookie)], "state=hunter2".to_owned()),
        (Rule::NoTransactionCookie, "/consent", vec![FORM, OURS], "decision=approve".to_owned()),
        (Rule::DeadLink, "/setup", vec![FORM, OURS], "link=hunter2&password=hunter2&repeat=hunter2".to_owned()),
    ] {
        let answer = site.send(request("POST", path, &fields, body)).await;
        assert!((400..500).contains(&answer.status), "{rule:?}: {answer:?}");
        let lines = log.warnings();
        let is_told = |line: &String| line.contains(&format!("rule=\"{}\"", rule.label()));
        assert!(lines.len() == 1 && lines.iter().all(is_told), "{rule:?}: {lines:?}");
        assert!(!lines.concat().contains("hunter2"), "{rule:?}: {lines:?}");
        let came = [
            (Rule::ContentType, "parameter=\"Content-Type\" value=\"application/json\""),
            (Rule::ContentEncoding, "parameter=\"Content-Encoding\" value=\"gzip\""),
            (Rule::BodyTooLarge, "key=\"limits.oauth_body\""),
            (Rule::CrossSite, "parameter=\"Origin\" value=\"https://evil.example\""),
        ];
        let came = came.iter().filter(|(of, _)| *of == rule);
        came.for_each(|(_, text)| assert!(lines.concat().contains(text), "{rule:?}: {lines:?}"));
        seen.insert(rule.label());
    }
    assert_eq!(seen.len(), 11);
    let (mut browser, consent, _) = at_consent(&site).await;
    for (rule, form) in [
        (Rule::FormToken, vec![("t", consent.transaction()), ("form_token", "hunter2"), ("decision", "approve")]),
        (Rule::DecisionMissing, consent.form(&[("decision", "hunter2")])),
    ] {
        drop(log.warnings());
        let answer = browser.post("/consent", &form).await;
        assert!((400..500).contains(&answer.status), "{rule:?}: {answer:?}");
        let lines = log.warnings().concat();
        assert!(lines.contains(&format!("rule=\"{}\"", rule.label())) && !lines.contains("hunter2"), "{lines}");
    }
}
