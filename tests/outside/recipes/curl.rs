//! Requests as documents write them: for curl, and in the form of RFC 9112 with line breaks in bodies.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};

use crate::support::client::request;

/// Splits a command of a shell into words: blanks separate, quotes of both kinds hold together, a backslash before a
/// line break joins lines.
pub(super) fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in command.replace("\\\n", " ").chars() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ' | '\n') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Returns the request that a curl command makes, with placeholders replaced.
pub(super) fn curl(command: &str, values: &[(&str, &str)]) -> Request<Full<Bytes>> {
    let command = values.iter().fold(command.to_owned(), |text, (name, value)| text.replace(name, value));
    let (mut method, mut target, mut headers, mut data) = (None, String::new(), Vec::new(), Vec::new());
    let mut words = words(&command).into_iter().skip_while(|word| word == "curl");
    while let Some(word) = words.next() {
        match word.as_str() {
            "-X" => method = words.next(),
            "-H" => headers.extend(words.next()),
            "-d" => data.extend(words.next()),
            _ => target = word,
        }
    }
    let target =
        target.split_once("://").map_or(target.as_str(), |(_, rest)| rest.find('/').map_or("/", |at| &rest[at..]));
    let mut headers: Vec<_> = headers.iter().filter_map(|field| field.split_once(": ")).collect();
    if !data.is_empty() && headers.iter().all(|(name, _)| !name.eq_ignore_ascii_case("content-type")) {
        headers.push(("Content-Type", "application/x-www-form-urlencoded"));
    }
    let usual = if data.is_empty() { Method::GET } else { Method::POST };
    let method = method.map_or(usual, |name| name.parse().expect("a method"));
    request(method, target, &headers, data.join("&"))
}
