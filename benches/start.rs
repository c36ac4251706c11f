//! A start with a million tokens in the store: the time until the gateway answers, until it accepts the token that it
//! reads last, and until all tokens are in memory. The process is killed each time, so each start also recovers from a
//! kill.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a bench may stop at the first surprise, and criterion's macro documents nothing"
)]

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};

#[allow(dead_code, reason = "it is shared with the tests")]
#[path = "../tests/support/mod.rs"]
mod support;

use support::client::{Client, ask_operator, is_healthy};
use support::gateway::Home;
use support::stock::{issued, stocked};
use support::upstream::Upstream;

const TOKENS: u64 = 1_000_000;
const CONFIG: &str = "[limits]\ntokens_in_memory = 2000000\n";

async fn until_answered(home: &Home) {
    while !is_healthy(home.operator).await {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn until_filled(home: &Home) {
    until_answered(home).await;
    while !ask_operator(home.operator, "/metrics", &[])
        .await
        .unwrap()
        .text()
        .contains("mcpgate_token_cache_filling 0\n")
    {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn start(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let home = runtime.block_on(stocked(Home::new(CONFIG, Some(Upstream::start().url)), TOKENS));
    let [token, _] = issued(&home);
    let starts = |rounds: u64, until: &dyn Fn()| {
        let once = |_| {
            let begun = Instant::now();
            let mut process = home.spawn();
            until();
            let took = begun.elapsed();
            process.kill().unwrap();
            process.wait().unwrap();
            took
        };
        (0..rounds).map(once).sum()
    };
    let mut group = c.benchmark_group("start_with_a_million_tokens");
    group.sample_size(10);
    group.bench_function("until_answered", |b| {
        b.iter_custom(|rounds| starts(rounds, &|| runtime.block_on(until_answered(&home))));
    });
    group.bench_function("until_served", |b| {
        b.iter_custom(|rounds| {
            starts(rounds, &|| {
                runtime.block_on(async {
                    until_answered(&home).await;
                    assert_eq!(Client::new(&home).call("/mcp", &token, "bench").await.status, 200);
                });
            })
        });
    });
    group.bench_function("until_filled", |b| {
        b.iter_custom(|rounds| starts(rounds, &|| runtime.block_on(until_filled(&home))));
    });
    group.finish();
}

criterion_group!(benches, start);
criterion_main!(benches);
