//! WebDAV (RFC 4918) over plain HTTP: it is forwarded unless a field contains an address, and refused if one does. A
//! failure means that a condition of a client is dropped, and its request does more than the client asked for.

use super::client::RawRequest;
use super::upstream::answer;
use super::world::{API, World};

#[tokio::test]
async fn fields_that_say_how_far_a_method_goes_pass() {
    let world = World::new().await;
    let token = world.token(API).text;
    let fields = [
        ("depth", "1"),
        ("overwrite", "F"),
        ("if", "(<urn:uuid:1> [\"a\"])"),
        ("lock-token", "<urn:uuid:1>"),
        ("timeout", "Second-60"),
        ("slug", "a"),
    ];
    for method in ["PROPFIND", "PROPPATCH", "MKCOL", "LOCK", "UNLOCK", "DELETE", "PUT", "REPORT"] {
        world.api.then([answer("207 Multi-Status\r\nDAV: 1, 2\r\nLock-Token: <urn:uuid:1>", "")]);
        let ask = fields.iter().fold(RawRequest::new(method, "/api/a"), |ask, (name, value)| ask.field(name, value));
        let reply = world.ask(&ask.bearer(&token)).await;
        assert_eq!(
            (reply.status, reply.field("dav"), reply.field("lock-token")),
            (207, Some("1, 2"), Some("<urn:uuid:1>")),
            "{method}"
        );
        let seen = world.api.last();
        assert!(seen.line.starts_with(&format!("{method} /")), "{}", seen.line);
        for (name, value) in fields {
            assert_eq!(seen.field(name), Some(value), "{method}");
        }
    }
}

#[tokio::test]
async fn a_field_that_names_an_address_of_the_gateway_is_refused() {
    let world = World::new().await;
    let token = world.token(API).text;
    for (method, field, value) in [
        ("COPY", "Destination", "https://gw.example/api/b"),
        ("MOVE", "Destination", "/api/b"),
        ("DELETE", "If", "<https://gw.example/api/b> ([\"a\"])"),
        ("PUT", "If", " </api/b> (<urn:uuid:1>)"),
    ] {
        let reply = world.ask(&RawRequest::new(method, "/api/a").bearer(&token).field(field, value)).await;
        assert_eq!(reply.status, 400, "{method}");
        let said = reply.text();
        assert!(said.contains(&format!("{field} ")) && said.contains("not supported"), "{said}");
    }
    assert!(world.api.seen().is_empty());
}
