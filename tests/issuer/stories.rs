//! Every order of steps by the owner of a family and a thief: a lost answer locks nobody out, and two parties never
//! continue with the same token. A failure names the sequence of steps.

use mcpgate::oauth::Client;
use mcpgate::store::AuditEvent;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::driver::*;
use super::lost_answers::{GRACE_IS_OVER, stands};

/// The tokens that one party holds.
#[derive(Debug, Clone)]
struct Held {
    tokens: Tokens,
    /// The number of late retries answered before the access token was issued.
    late_retries: usize,
    /// When the access token expires, in seconds.
    ends: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Party {
    Owner,
    Thief,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Refresh(Party),
    /// The gateway answers, but the answer is lost.
    RefreshInVain(Party),
    Call(Party),
    /// The thief copies the owner's tokens.
    Steal,
    /// A second passes.
    Second,
    /// The grace passes.
    Grace,
    /// The lifetime of access tokens passes.
    Hours,
    Restart,
    Kill,
}

const OWNERS: &[Step] = &[
    Step::Refresh(Party::Owner),
    Step::RefreshInVain(Party::Owner),
    Step::Call(Party::Owner),
    Step::Second,
    Step::Grace,
    Step::Hours,
    Step::Restart,
    Step::Kill,
];

const EVERYBODYS: &[Step] = &[
    Step::Refresh(Party::Owner),
    Step::RefreshInVain(Party::Owner),
    Step::Call(Party::Owner),
    Step::Steal,
    Step::Refresh(Party::Thief),
    Step::RefreshInVain(Party::Thief),
    Step::Call(Party::Thief),
    Step::Second,
    Step::Grace,
    Step::Hours,
    Step::Restart,
    Step::Kill,
];

/// How a refresh or a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Served,
    Refused,
}

/// One family, the tokens that each party holds, and the expected state.
struct Story {
    world: World,
    client: Client,
    owner: Held,
    thief: Option<Held>,
    /// The live generation.
    live: u32,
    /// Late retries that were answered, with the generation of each.
    late_retries: Vec<u32>,
    /// The start of the grace, in seconds.
    answered_at: u64,
    /// Whether a token of the live generation was honoured.
    used: bool,
    /// Whether one was presented after it expired, which counts while the cache holds the token.
    tried: bool,
    /// Facts that a kill would lose: the issue of the live generation, and its use.
    unreported: bool,
    unreported_use: bool,
    /// Facts that a kill has lost.
    in_doubt: bool,
    lost_use: bool,
}

impl Story {
    async fn begin() -> Self {
        let world = World::new().await;
        let client = world.manual_client("app", CALLBACK, None).await;
        let code = world.code_of_somebody(&client.id).await;
        let tokens = world.redeem(&client.id, &code).await.unwrap();
        let answered_at = world.now().as_secs();
        Self {
            world,
            client,
            owner: Held { tokens, late_retries: 0, ends: answered_at + 3600 },
            thief: None,
            live: 0,
            late_retries: Vec::new(),
            answered_at,
            used: false,
            tried: false,
            unreported: false,
            unreported_use: false,
            in_doubt: false,
            lost_use: false,
        }
    }

    fn held(&self, party: Party) -> Option<Held> {
        match party {
            Party::Owner => Some(self.owner.clone()),
            Party::Thief => self.thief.clone(),
        }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Refresh(party) => drop(self.refresh(party, true).await),
            Step::RefreshInVain(party) => drop(self.refresh(party, false).await),
            Step::Call(party) => drop(self.call(party).await),
            Step::Steal => self.thief = Some(self.owner.clone()),
            Step::Second => self.pass(1).await,
            Step::Grace => self.pass(GRACE_IS_OVER).await,
            Step::Hours => self.pass(3601).await,
            Step::Restart => {
                self.report().await;
                self.world = self.world.next_process().await;
            }
            Step::Kill => {
                self.world = self.world.next_process().await;
                self.in_doubt |= self.unreported;
                self.lost_use |= self.unreported_use;
                (self.unreported, self.unreported_use) = (false, false);
            }
        }
    }

    async fn pass(&mut self, secs: u64) {
        self.world.pass(secs);
        self.report().await;
    }

    async fn report(&mut self) {
        self.world.issuer.report_uses().await.unwrap();
        (self.unreported, self.unreported_use) = (false, false);
    }

    async fn stands(&self) -> bool {
        stands(&self.world, &self.owner.tokens).await
    }

    /// Refreshes as `party` and checks the answer.
    async fn refresh(&mut self, party: Party, arrives: bool) -> Option<Ended> {
        let held = self.held(party)?;
        let stood = self.stands().await;
        let behind = self.live - held.tokens.generation;
        let in_grace = self.world.now().as_secs() - self.answered_at <= 30;
        // Reports are written first: retries are judged by the store.
        let answer = self.world.refresh(&self.client.id, &held.tokens.refresh).await;
        if behind == 1 && !in_grace && stood {
            (self.unreported, self.unreported_use) = (false, false);
        }
        let Ok(tokens) = answer else {
            assert_eq!(refused(answer), "invalid_grant");
            let doubt = behind == 1 && !in_grace && self.in_doubt;
            let stands = self.stands().await;
            assert!(!stands || doubt, "only a doubt keeps the family alive");
            assert!(!stands || !self.is_known_as_used(), "reuse ends the family");
            assert!(stands || !stood || behind > 1 || self.used || self.tried, "nothing else ends the family");
            if self.thief.is_none() {
                assert!(doubt, "without a thief, the owner is refused only in doubt");
            }
            return Some(Ended::Refused);
        };
        assert!(stood, "an ended family issues no tokens");
        match behind {
            0 => {
                self.live += 1;
                self.gave_out_anew();
            }
            1 if in_grace => {}
            1 => {
                assert!(!self.is_known_as_used(), "the successor was used: this is reuse");
                assert!(!self.in_doubt, "in doubt, no retry is answered");
                self.late_retries.push(self.live);
                self.gave_out_anew();
            }
            _ => panic!("generation {} was answered, {} is in force", held.tokens.generation, self.live),
        }
        assert_eq!(tokens.generation, self.live, "there is one successor");
        if arrives {
            let ends = self.world.now().as_secs() + 3600;
            let held = Held { tokens, late_retries: self.late_retries.len(), ends };
            match party {
                Party::Owner => self.owner = held,
                Party::Thief => self.thief = Some(held),
            }
        }
        Some(Ended::Served)
    }

    fn gave_out_anew(&mut self) {
        self.answered_at = self.world.now().as_secs();
        (self.used, self.tried) = (false, false);
        (self.unreported, self.unreported_use) = (true, false);
        (self.in_doubt, self.lost_use) = (false, false);
    }

    /// Whether the gateway knows that the live generation was used.
    fn is_known_as_used(&self) -> bool {
        self.used && !self.lost_use
    }

    /// Calls as `party` and checks the answer.
    async fn call(&mut self, party: Party) -> Option<Ended> {
        let held = self.held(party)?;
        let stood = self.stands().await;
        let generation = held.tokens.generation;
        let is_void = self.late_retries.iter().skip(held.late_retries).any(|late| *late == generation);
        let before = self.world.audit().await.len();
        if self.world.is_live(&held.tokens.access).await {
            assert!(stood && !is_void, "void tokens and those of an ended family are refused");
            if generation == self.live && generation > 0 {
                self.used = true;
                self.lost_use = false;
                self.unreported_use = true;
            }
            return Some(Ended::Served);
        }
        self.tried |= generation == self.live;
        self.report().await;
        let ended = self.world.audit().await.iter().skip(before).any(|row| row.event == AuditEvent::RefreshReused);
        assert!(!ended || is_void, "only a void token ends the family");
        let has_expired = self.world.now().as_secs() >= held.ends;
        assert!(!stood || has_expired || is_void, "a good token is honoured");
        assert!(!is_void || has_expired || !self.stands().await, "a void token ends the family");
        Some(Ended::Refused)
    }
}

/// Every order of `length` steps.
fn every_order(kinds: &'static [Step], length: u32) -> impl Iterator<Item = Vec<Step>> {
    (0..kinds.len().pow(length))
        .map(move |number| (0..length).map(|place| kinds[number / kinds.len().pow(place) % kinds.len()]).collect())
}

/// Checks every short sequence, and many longer ones.
fn for_all(kinds: &'static [Step], check: impl AsyncFn(Vec<Step>)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for story in every_order(kinds, 3) {
        runtime.block_on(check(story));
    }
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    let longer = prop::collection::vec(prop::sample::select(kinds), 4..14);
    let outcome = TestRunner::new(config).run(&longer, |story| {
        runtime.block_on(check(story));
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn no_lost_answer_locks_the_owner_out() {
    for_all(OWNERS, async |story| {
        let mut alone = Story::begin().await;
        for step in story {
            alone.take(step).await;
            assert!(alone.stands().await);
        }
        // The owner received the answer and continues with it.
        let is_lost = alone.owner.tokens.generation < alone.live;
        let doubted = is_lost && alone.in_doubt;
        alone.pass(GRACE_IS_OVER).await;
        let ended = alone.refresh(Party::Owner, true).await;
        assert_eq!(ended, Some(if doubted { Ended::Refused } else { Ended::Served }));
        if !doubted {
            assert_eq!(alone.call(Party::Owner).await, Some(Ended::Served));
        }
    });
}

#[test]
fn of_owner_and_thief_one_is_refused_and_the_family_ends_with_the_second_refresh() {
    for_all(EVERYBODYS, async |story| {
        let mut both = Story::begin().await;
        both.take(Step::Steal).await;
        for step in story {
            both.take(step).await;
        }
        both.take(Step::Steal).await;
        // Both continue with the same token, one after the other.
        let mut served = Vec::new();
        for _ in 0..2 {
            for party in [Party::Thief, Party::Owner] {
                both.pass(GRACE_IS_OVER).await;
                let refreshed = both.refresh(party, true).await;
                let called = both.call(party).await;
                if refreshed == Some(Ended::Served) && called == Some(Ended::Served) {
                    served.push(party);
                }
            }
        }
        assert!(served.iter().all(|party| *party == Party::Thief), "the second party is refused: {served:?}");
        assert!(!both.stands().await || served.is_empty(), "the second party's use ends the family");
    });
}

#[test]
fn who_holds_the_lost_answer_ends_the_family_with_the_first_call() {
    for_all(EVERYBODYS, async |story| {
        let mut both = Story::begin().await;
        both.take(Step::Steal).await;
        both.take(Step::Refresh(Party::Thief)).await;
        both.take(Step::Grace).await;
        // The thief has used nothing yet: the owner gets the same successor.
        assert_eq!(both.refresh(Party::Owner, true).await, Some(Ended::Served));
        for step in story {
            both.take(step).await;
        }
        both.call(Party::Thief).await;
    });
}
