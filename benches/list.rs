//! Leaving out of a list of 100 tools what its caller may not use, by a map of 20 scopes and 50 rules.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a bench may stop at the first surprise, and criterion's macro documents nothing"
)]

#[path = "../tests/support/map_of_twenty.rs"]
mod map_of_twenty;

use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mcpgate::catalogue::{Catalogue, ToolCaller, person};
use mcpgate::clock::{Clock as _, SystemClock};
use mcpgate::config::{Config, Overrides};
use mcpgate::mcp::{AnswerReader, Offer, Rewritten, Shown, ui_resources_as_sent};
use mcpgate::oauth::{ClientId, GroupSet, ScopeSet};
use mcpgate::policy::{Annotations, Item, RuleCaller};

fn filter(c: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    std::fs::write(&file, map_of_twenty::upstreams("http://127.0.0.1:1/mcp")).unwrap();
    let overrides = Overrides { data_dir: Some(folder.path().join("data")), up: true, ..Overrides::default() };
    let config = Config::load(Some(&file), &overrides).expect("the map");
    let rules = config.upstreams.iter().find(|upstream| upstream.name == "map").unwrap().rules.clone().unwrap();
    let (client, scopes) = (ClientId::parse("c").unwrap(), ScopeSet::parse("scope0 scope1 scope2").unwrap());
    let groups = GroupSet::default();
    let caller = RuleCaller { client: &client, client_kind: None, user: "admin", groups: &groups, scopes: &scopes };
    let standing = rules.standing(&caller);
    let (catalogue, ada) =
        (Catalogue::new(Arc::new(SystemClock)), person("default", "user_00000000000000000000000000"));
    let ada = ToolCaller { person: &ada, consented_at: SystemClock.now() };
    let list = map_of_twenty::list();
    // As the proxy does.
    let filtered = || {
        let shows = |offer: Offer<'_>| {
            let Offer::Tool(name, hints, entry) = offer else { return Shown::AsItIs };
            let says = Annotations::of(hints.read_only, hints.destructive, hints.open_world);
            let ui = Some(entry).filter(|_| hints.has_meta).map(ui_resources_as_sent).unwrap_or_default();
            Shown::from(rules.shows_annotated(&standing, Item::Tool(name), catalogue.note(ada, name, (says, &ui))))
        };
        AnswerReader::new(list.as_bytes(), shows).unwrap().read().unwrap()
    };
    let Rewritten::Changed(text) = filtered() else { panic!("it is not filtered") };
    assert_eq!(text.windows(7).filter(|part| part == br#""name":"#).count(), map_of_twenty::TOOLS / 2);
    let mut group = c.benchmark_group("list");
    group.throughput(Throughput::Bytes(u64::try_from(list.len()).unwrap()));
    group.bench_function("100 tools", |b| b.iter(filtered));
    group.finish();
}

criterion_group!(benches, filter);
criterion_main!(benches);
