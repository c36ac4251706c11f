//! The check of a bearer token that is in memory: hash and look-up, for several numbers of tokens, on one and two
//! threads.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a bench may stop at the first surprise, and criterion's macro documents nothing"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use mcpgate::clock::{Clock, SystemClock};
use mcpgate::config::{Config, Overrides};
use mcpgate::oauth::{
    AccessToken, AccessTokenRecord, AccountId, AddressRanges, Brand, ClientId, ClientOrigin, Exclusions, GrantId,
    GroupSet, Lifetime, ResourceIndicator, ScopeSet, Subject, TenantId, TokenHash, TokenKeys,
};
use mcpgate::store::memory::MemoryStore;
use mcpgate::token_cache::{Lookup, TokenCache};

/// Tokens that are looked up in turn: more than fit into the processor's caches.
const ASKED: usize = 65_536;

fn cache(count: usize) -> (Arc<TokenCache>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let overrides = Overrides { data_dir: Some(folder.path().to_owned()), up: true, ..Overrides::default() };
    let mut config = Config::load(None, &overrides).unwrap();
    config.max_stale = Lifetime::from_secs(86_400);
    config.limits.tokens_in_memory = 2_000_000;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let keys = Arc::new(TokenKeys::new(vec![(1, [7; 32])], Brand::parse("mcp").unwrap()).unwrap());
    let cache = TokenCache::new(Arc::new(MemoryStore::new()), Arc::clone(&keys), Arc::clone(&clock), &config);
    let now = clock.now();
    let mut asked = Vec::new();
    for n in 0..count {
        let mut random = [0; 32];
        random[..8].copy_from_slice(&n.to_be_bytes());
        let token = AccessToken::mint(random, &keys);
        let mut grant = [0; 16];
        grant[..8].copy_from_slice(&n.to_be_bytes());
        cache.insert(&AccessTokenRecord {
            hash: token.hash(),
            tenant: TenantId::default(),
            grant: GrantId(grant),
            client: ClientId::parse("mcp_client_a").unwrap(),
            client_origin: ClientOrigin::Registered,
            client_limit: None,
            subject: Subject::Person(AccountId::parse(&format!("user-{}", n % 1000)).unwrap()),
            user: "ada".into(),
            groups: GroupSet::default(),
            resource: ResourceIndicator::parse("https://localhost:8443/mcp").unwrap(),
            scopes: ScopeSet::parse("read write").unwrap(),
            exclusions: Exclusions::default(),
            consented_at: now,
            acting: false,
            addresses: AddressRanges::default(),
            generation: 0,
            reports_use: false,
            issued_at: now,
            expires_at: now.plus(Lifetime::from_secs(86_400)),
        });
        if n % (count / ASKED.min(count)) == 0 {
            asked.push(token.reveal().to_owned());
        }
    }
    (cache, asked)
}

fn look_up(cache: &TokenCache, asked: &[String], rounds: u64) -> Duration {
    let now = SystemClock.now();
    let mut tokens = asked.iter().cycle();
    let begun = Instant::now();
    for _ in 0..rounds {
        let hash = TokenHash::of(black_box(tokens.next().unwrap().as_bytes()));
        assert!(matches!(cache.lookup(&hash, now), Lookup::Hit(..)));
    }
    begun.elapsed()
}

fn bearer_check(c: &mut Criterion) {
    let mut group = c.benchmark_group("bearer_check");
    for count in [1_000, 10_000, 100_000, 1_000_000] {
        let (cache, asked) = cache(count);
        group.bench_function(BenchmarkId::new("one_thread", count), |b| {
            b.iter_custom(|rounds| look_up(&cache, &asked, rounds));
        });
        group.bench_function(BenchmarkId::new("two_threads", count), |b| {
            b.iter_custom(|rounds| {
                std::thread::scope(|scope| {
                    let other = scope.spawn(|| look_up(&cache, &asked, rounds));
                    look_up(&cache, &asked, rounds).max(other.join().unwrap())
                })
            });
        });
    }
    group.finish();
}

criterion_group!(benches, bearer_check);
criterion_main!(benches);
