//! What a map of scopes and rules costs a request that they let pass.

use crate::callgrind::{self, Callgrind};
use crate::costs::Costs;
use crate::lines::{Lines, Target};
use crate::map_of_twenty::{TOOLS, upstreams};
use crate::support::gateway::Gateway;
use crate::upstream::{self, Ask, Round};
use crate::{SMALL, TURN, build, prepare_with};

/// How much a map of 20 scopes and 50 rules may add to the instructions of a request, in percent: in the published
/// build, and in the release build, which is not optimised across crates.
const MAP: [(&str, f64); 2] = [("dist", 2.0), ("release", 3.0)];

/// What the requests of one upstream cost.
struct Costly<'a> {
    gateway: &'a Gateway,
    target: Target<'a>,
    together: Ask,
    requests: Lines,
    costs: Vec<f64>,
}

impl<'a> Costly<'a> {
    async fn new(gateway: &'a Gateway, token: &'a str, path: &'static str) -> Self {
        let target = Target { home: &gateway.home, token, path };
        let together = Ask::Together(SMALL, Round { requests: 64, gateway: gateway.pid() });
        let mut requests = Lines::http1(target, 64).await;
        requests.ask(2, together).await;
        Self { gateway, target, together, requests, costs: Vec::new() }
    }

    async fn ask(&mut self, callgrind: &mut Callgrind, rounds: usize) {
        let Self { requests, together, costs, .. } = self;
        let cost = callgrind.gross_cost(64, 64 * rounds, async |n| requests.ask(n / 64, *together).await).await;
        costs.push(cost);
    }

    fn median(&mut self) -> f64 {
        self.costs.sort_by(f64::total_cmp);
        self.costs[self.costs.len() / 2]
    }

    /// Returns what a list costs, and how many tools it shows.
    async fn list(&self, callgrind: &mut Callgrind) -> (f64, usize) {
        let list = Ask::Tools(Round { requests: 1, gateway: self.gateway.pid() });
        let mut line = Lines::http1(self.target, 1).await;
        let shown = upstream::tools(&line.answer(list).await);
        // Gross, because what happens once in a run counts more in the difference of two.
        (callgrind.gross_cost(2, 40, async |n| line.ask(n, list).await).await, shown)
    }
}

#[tokio::test]
async fn a_map_costs_a_request_no_more_than_is_allowed() {
    let (build, tolerance, rounds) = build();
    // Without optimisation, the share says nothing.
    let Some((_, most)) = MAP.into_iter().find(|(name, _)| *name == build) else { return };
    let Some(tools) = callgrind::tools() else { return };
    let _turn = TURN.lock().await;
    let (home, [plain, mapped]) = prepare_with(upstreams, ["all", "map"]).await;
    let (gateway, mut callgrind) = Callgrind::start(home).await;
    let mut plain = Costly::new(&gateway, &plain, "/all").await;
    let mut mapped = Costly::new(&gateway, &mapped, "/map").await;
    callgrind.count(true);
    for _ in 0..5 {
        plain.ask(&mut callgrind, rounds).await;
        mapped.ask(&mut callgrind, rounds).await;
    }
    let (_, of_all) = plain.list(&mut callgrind).await;
    let (filtered, shown) = mapped.list(&mut callgrind).await;
    assert_eq!((of_all, shown), (TOOLS, TOOLS / 2), "tools are shown");
    let [plain, mapped] = [plain.median(), mapped.median()];
    let more = (mapped / plain - 1.0) * 100.0;
    println!("a map adds {more:.2} % to the {plain:.0} instructions of a request");
    assert!(more <= most, "a map adds {more:.2} % to a request, {most} % are allowed");
    if build == "dist" {
        let mut costs = Costs::new(build, "map", &tools);
        costs.add("instructions_of_a_request_with_a_map", mapped, tolerance);
        costs.add("instructions_of_a_filtered_list", filtered, tolerance);
        costs.check();
    }
}
